//! A connection with timeouts for every wait. hyper limits only the time for a request's head. It
//! has no limit for a client that does not read its response, or that keeps an idle connection
//! open.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ai_integration_engine::Reservation;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::limits::{ClientLimits, SMALL_HEAD};

/// The maximum number of bytes in one read while a request is small.
const SMALL_READ: usize = 8 * 1024;
/// The number of bytes from which on a request is no longer small.
const LARGE_REQUEST: usize = 64 * 1024;
thread_local! {
    /// The buffer for small reads. hyper's own buffer would have to be zeroed before each read.
    static READ: RefCell<[u8; SMALL_READ]> = const { RefCell::new([0; SMALL_READ]) };
}

/// The maximum number of bytes in one write, so that a connection with a fast reader does not block
/// the other connections.
const MAX_WRITE: usize = 128 * 1024;

/// The state of a connection's requests, shared by the connection and its requests.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// The end of the latest request, in milliseconds since `opened`.
    latest_end: AtomicU64,
    /// True if requests overlap (HTTP/2). Bytes that come after a request are then not necessarily
    /// the head of the next one.
    pub(crate) multiplexes: AtomicBool,
    /// The [`ResponseState`] of the latest request. HTTP/1.1 has one response at a time.
    response: AtomicU8,
    /// True if the head that was read last has both a length and a transfer coding.
    is_ambiguous: AtomicBool,
    /// The time since which a frame waits for the client to read it, by the number of the request.
    /// Over HTTP/2 a client may stop reading one response while it reads others.
    unread: Mutex<BTreeMap<usize, Instant>>,
}

/// The state of a request's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ResponseState {
    /// The response has not begun.
    Pending,
    /// The response has begun and uses the chunked transfer coding.
    Chunked,
    /// The response has begun and ends when the connection is closed.
    UntilClose,
    /// The response has begun and its length is known in another way.
    Other,
}

/// A request in progress. It is dropped when the response was written or abandoned.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    activity: Arc<Activity>,
    number: usize,
}

impl Default for Activity {
    fn default() -> Self {
        Activity {
            opened: Instant::now(),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            latest_end: AtomicU64::new(0),
            multiplexes: AtomicBool::new(false),
            response: AtomicU8::new(ResponseState::Pending as u8),
            is_ambiguous: AtomicBool::new(false),
            unread: Mutex::default(),
        }
    }
}

impl Activity {
    pub(crate) fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.response.store(ResponseState::Pending as u8, Ordering::Relaxed);
        ActiveRequest { activity: self.clone(), number }
    }

    /// Returns true if no request is in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.begun() == self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.multiplexes.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that have begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns the state of the latest request's response.
    pub(crate) fn response(&self) -> ResponseState {
        match self.response.load(Ordering::Relaxed) {
            state if state == ResponseState::Pending as u8 => ResponseState::Pending,
            state if state == ResponseState::Chunked as u8 => ResponseState::Chunked,
            state if state == ResponseState::UntilClose as u8 => ResponseState::UntilClose,
            _ => ResponseState::Other,
        }
    }

    /// Records that the head of the next request has both a length and a transfer coding.
    pub(crate) fn set_ambiguous(&self) {
        self.is_ambiguous.store(true, Ordering::Relaxed);
    }

    /// Returns true if [`Activity::set_ambiguous`] was called since the last call of this function.
    pub(crate) fn take_ambiguous(&self) -> bool {
        self.is_ambiguous.swap(false, Ordering::Relaxed)
    }

    fn unread(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveRequest {
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.activity.is_multiplexed()
    }

    /// Records the state of this request's response.
    pub(crate) fn set_response(&self, state: ResponseState) {
        self.activity.response.store(state as u8, Ordering::Relaxed);
    }

    /// Records whether a frame of the response is waiting to be read by the client.
    pub(crate) fn set_waiting_frame(&self, is_waiting: bool) {
        if is_waiting {
            self.activity.unread().insert(self.number, Instant::now());
        } else {
            self.activity.unread().remove(&self.number);
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let ActiveRequest { activity, .. } = self;
        let after = u64::try_from(activity.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        activity.latest_end.store(after, Ordering::Relaxed);
        activity.ended.fetch_add(1, Ordering::Relaxed);
        if activity.is_multiplexed() {
            self.set_waiting_frame(false);
        }
    }
}

/// The bytes that a connection waits for while no request is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// The first byte of the connection.
    FirstByte,
    /// The rest of a request's head.
    Head,
    /// The next request.
    NextRequest,
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when the client neither sends nor reads for
/// too long.
pub(crate) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: ClientLimits,
    awaits: Awaits,
    since: Instant,
    /// The number of requests that had begun when `awaits` was set.
    begun: usize,
    /// The bytes received since the last request ended, which belong to an incomplete head.
    head: usize,
    /// The bytes received since the last request began.
    read: usize,
    /// The memory that the incomplete head takes up.
    reservation: Reservation,
    reading: Timer,
    /// The time since which the client reads nothing.
    stalled: Option<Instant>,
    writing: Timer,
}

impl<S> Timed<S> {
    /// Wraps a stream. The memory of incomplete heads is charged to `reservation`.
    pub(crate) fn new(
        stream: S,
        activity: Arc<Activity>,
        limits: ClientLimits,
        reservation: Reservation,
    ) -> Self {
        Timed {
            stream,
            activity,
            limits,
            awaits: Awaits::FirstByte,
            since: Instant::now(),
            begun: 0,
            head: 0,
            read: 0,
            reservation,
            reading: Timer::default(),
            stalled: None,
            writing: Timer::default(),
        }
    }

    /// Returns the time by which the client must send or read something, if there is a limit.
    fn deadline(&mut self) -> Option<Instant> {
        let begun = self.activity.begun();
        if begun != self.begun {
            self.begun = begun;
            self.awaits = Awaits::NextRequest;
            (self.head, self.read) = (0, 0);
            self.reservation = self.reservation.split(0);
        }
        if !self.activity.is_idle() {
            if !self.activity.is_multiplexed() {
                return None;
            }
            let oldest = self.activity.unread().values().min().copied();
            return oldest.map(|since| since + self.limits.write_timeout);
        }
        Some(match self.awaits {
            Awaits::FirstByte | Awaits::Head => self.since + self.limits.head_timeout,
            Awaits::NextRequest => {
                let after = self.activity.latest_end.load(Ordering::Relaxed);
                self.activity.opened + Duration::from_millis(after) + self.limits.idle_timeout
            }
        })
    }

    /// Counts `bytes` as received of the next request's head.
    fn count_head(&mut self, bytes: usize) {
        self.head += bytes;
        if self.awaits != Awaits::Head && !self.activity.is_multiplexed() {
            self.awaits = Awaits::Head;
            self.since = Instant::now();
        }
    }

    /// Reserves the memory of an incomplete head, unless the head is small.
    fn reserve_head(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.head <= SMALL_HEAD {
            return Ok(());
        }
        self.reservation.receive();
        let has_room = self.reservation.grow_to(self.head.next_power_of_two());
        if !has_room || self.reservation.poll_gives_way(context).is_ready() {
            return Err(io::Error::other("there was not enough memory for the request's head"));
        }
        Ok(())
    }

    /// Passes the result of a write on, and fails if no write succeeded for the write timeout.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        ready!(self.writing.wait_until(since + self.limits.write_timeout, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Timed<S> {
    /// Reads at most [`SMALL_READ`] bytes while the request is small. hyper's buffer grows with the
    /// size of a read, and keeps that size until the connection is closed.
    fn poll_read_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        if self.read >= LARGE_REQUEST || buffer.remaining() <= SMALL_READ {
            return stream.poll_read(context, buffer);
        }
        READ.with_borrow_mut(|read| {
            let mut small = ReadBuf::new(read);
            ready!(stream.poll_read(context, &mut small))?;
            buffer.put_slice(small.filled());
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Before the read, because the bytes that are read may belong to the next request.
        let deadline = this.deadline();
        this.reserve_head(context)?;
        let is_idle = this.activity.is_idle();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = this.poll_read_some(context, buffer) {
            let bytes = buffer.filled().len() - before;
            this.read = this.read.saturating_add(bytes);
            if is_idle && bytes > 0 {
                this.count_head(bytes);
            }
            return Poll::Ready(read);
        }
        let mut deadline = deadline;
        loop {
            // The end of a request does not wake this task, so the deadline is computed again when
            // the idle timeout could have passed.
            let until = deadline.unwrap_or_else(|| Instant::now() + this.limits.idle_timeout);
            ready!(this.reading.wait_until(until, context));
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            deadline = this.deadline();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(MAX_WRITE)];
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some(first) = first.filter(|_| length > MAX_WRITE) {
            return self.poll_write(context, first);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(context, shut)
    }
}

/// A timer that is moved to a later deadline only when it fires. Deadlines move with each request,
/// mostly before anything waits for them.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn wait_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_integration_contract::Environment;
    use ai_integration_engine::Budget;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn timed() -> (Timed<DuplexStream>, DuplexStream, Arc<Activity>) {
        let (ours, theirs) = duplex(64);
        let activity = Arc::new(Activity::default());
        let limits = ClientLimits::read(&Environment::default()).unwrap();
        let reservation = Budget::new(1 << 20).reserve(None);
        (Timed::new(ours, activity.clone(), limits, reservation), theirs, activity)
    }

    async fn seconds_until_timeout(timed: &mut Timed<DuplexStream>) -> u64 {
        let begin = Instant::now();
        let error = timed.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_for_a_request_has_a_timeout() {
        let (mut silent, _theirs, _) = timed();
        assert_eq!(seconds_until_timeout(&mut silent).await, 10);

        let (mut slow, mut theirs, _) = timed();
        let feeding = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                if theirs.write_all(b"G").await.is_err() {
                    break;
                }
            }
            theirs
        });
        let begin = Instant::now();
        while slow.read_u8().await.is_ok() {}
        // The first byte came after 4 s, and the head's timeout of 10 s began with it.
        assert_eq!(begin.elapsed().as_secs(), 14);
        drop(slow);
        let _theirs = feeding.await.unwrap();

        let (mut kept, mut theirs, _) = timed();
        theirs.write_all(b"G").await.unwrap();
        kept.read_u8().await.unwrap();
        let request = kept.activity.begin_request();
        let answered = tokio::time::timeout(Duration::from_mins(15), kept.read_u8()).await;
        assert!(answered.is_err(), "a request in progress has no timeout here");
        // The request ends while a read waits, and nothing wakes the read.
        let ending = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            drop(request);
        });
        assert_eq!(seconds_until_timeout(&mut kept).await, 60 + 75);
        ending.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_times_out() {
        let (mut ours, mut theirs, _) = timed();
        ours.write_all(&[0; 64]).await.unwrap();
        let begin = Instant::now();
        let reading = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            theirs.read_exact(&mut [0; 10]).await.unwrap();
            theirs
        });
        let error = ours.write_all(&[0; 20]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (io::ErrorKind::TimedOut, 50));
        drop(reading);
    }
}
