//! A connection whose silences end. hyper and the timeouts in its neighbourhood watch a request's
//! head only; a client that takes nothing of its answer, or keeps an idle connection for ever, is
//! nobody's concern there.

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

/// The bytes that are read at once of a request of which less than `MUCH` has come.
const LITTLE: usize = 8 * 1024;
const MUCH: usize = 64 * 1024;
thread_local! {
    /// The memory that they are read to first: that of hyper's would have to be zeroed each time.
    static READ: RefCell<[u8; LITTLE]> = const { RefCell::new([0; LITTLE]) };
}

/// The most bytes that are written at once: a connection that takes whatever it gets must let others
/// have their turn.
const AT_ONCE: usize = 128 * 1024;

/// What the requests of a connection tell it.
#[derive(Debug)]
pub(crate) struct Pulse {
    opened: Instant,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// When the latest request ended, in milliseconds from `opened` on.
    latest_end: AtomicU64,
    /// Whether requests overlap (HTTP/2): then bytes between them are not the next one's head.
    pub(crate) multiplexes: AtomicBool,
    /// The state of the latest request's answer, which HTTP/1.1 has one of at a time.
    answer: AtomicU8,
    /// Whether the head that was read last has both a length and a transfer coding.
    is_ambiguous: AtomicBool,
    /// Since when the other side takes nothing of an answer, by the answers' numbers. Of each it takes
    /// as much as it likes over HTTP/2, whatever else it reads.
    untaken: Mutex<BTreeMap<usize, Instant>>,
}

/// The state of a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Answer {
    /// There is none yet.
    Awaited,
    /// It has begun, and goes out in chunks.
    Chunked,
    /// It has begun, and ends with the connection.
    UntilTheEnd,
    /// It has begun, and its length is told in another way.
    Other,
}

/// A request that is being answered; dropped when the answer has been written or given up.
#[derive(Debug)]
pub(crate) struct Beat {
    pulse: Arc<Pulse>,
    number: usize,
}

impl Default for Pulse {
    fn default() -> Self {
        Pulse {
            opened: Instant::now(),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            latest_end: AtomicU64::new(0),
            multiplexes: AtomicBool::new(false),
            answer: AtomicU8::new(Answer::Awaited as u8),
            is_ambiguous: AtomicBool::new(false),
            untaken: Mutex::default(),
        }
    }
}

impl Pulse {
    pub(crate) fn beat(self: &Arc<Self>) -> Beat {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.answer.store(Answer::Awaited as u8, Ordering::Relaxed);
        Beat { pulse: self.clone(), number }
    }

    /// Tells whether no request is being answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.begun() == self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.multiplexes.load(Ordering::Relaxed)
    }

    /// Returns how many requests have begun.
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns the state of the latest request's answer.
    pub(crate) fn answer(&self) -> Answer {
        match self.answer.load(Ordering::Relaxed) {
            state if state == Answer::Awaited as u8 => Answer::Awaited,
            state if state == Answer::Chunked as u8 => Answer::Chunked,
            state if state == Answer::UntilTheEnd as u8 => Answer::UntilTheEnd,
            _ => Answer::Other,
        }
    }

    /// Notes that the head of the next request has both a length and a transfer coding.
    pub(crate) fn set_ambiguous(&self) {
        self.is_ambiguous.store(true, Ordering::Relaxed);
    }

    /// Tells whether that was noted, of one request only.
    pub(crate) fn take_ambiguous(&self) -> bool {
        self.is_ambiguous.swap(false, Ordering::Relaxed)
    }

    fn untaken(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.pulse.is_multiplexed()
    }

    /// Notes how the answer goes out that now begins.
    pub(crate) fn answers(&self, answer: Answer) {
        self.pulse.answer.store(answer as u8, Ordering::Relaxed);
    }

    /// A piece of the answer is there to be taken, or has been.
    pub(crate) fn offers(&self, is_there: bool) {
        if is_there {
            self.pulse.untaken().insert(self.number, Instant::now());
        } else {
            self.pulse.untaken().remove(&self.number);
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let Beat { pulse, .. } = self;
        let after = u64::try_from(pulse.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        pulse.latest_end.store(after, Ordering::Relaxed);
        pulse.ended.fetch_add(1, Ordering::Relaxed);
        if pulse.is_multiplexed() {
            self.offers(false);
        }
    }
}

/// What a connection waits for when no request is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    /// The first byte ever.
    FirstByte,
    /// The rest of a head.
    Head,
    /// A further request.
    Further,
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when the other side is silent for too long.
pub(crate) struct Timed<S> {
    stream: S,
    pulse: Arc<Pulse>,
    limits: ClientLimits,
    awaits: Awaits,
    since: Instant,
    /// How many requests had begun when `awaits` was set.
    begun: usize,
    /// The bytes that have come since the last request ended: of a head that is not whole yet.
    head: usize,
    /// The bytes that have come since the last request began.
    read: usize,
    /// The memory that such a head takes up.
    reservation: Reservation,
    reading: Timer,
    /// Since when the other side takes nothing.
    stalled: Option<Instant>,
    writing: Timer,
}

impl<S> Timed<S> {
    /// A stream whose heads take a part of what `reservation` is of.
    pub(crate) fn new(
        stream: S,
        pulse: Arc<Pulse>,
        limits: ClientLimits,
        reservation: Reservation,
    ) -> Self {
        Timed {
            stream,
            pulse,
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

    /// Until when the other side has to say something, if it has to.
    fn deadline(&mut self) -> Option<Instant> {
        let begun = self.pulse.begun();
        if begun != self.begun {
            self.begun = begun;
            self.awaits = Awaits::Further;
            (self.head, self.read) = (0, 0);
            self.reservation = self.reservation.split(0);
        }
        if !self.pulse.is_idle() {
            if !self.pulse.is_multiplexed() {
                return None;
            }
            let longest = self.pulse.untaken().values().min().copied();
            return longest.map(|since| since + self.limits.write_timeout);
        }
        Some(match self.awaits {
            Awaits::FirstByte | Awaits::Head => self.since + self.limits.head_timeout,
            Awaits::Further => {
                let after = self.pulse.latest_end.load(Ordering::Relaxed);
                self.pulse.opened + Duration::from_millis(after) + self.limits.idle_timeout
            }
        })
    }

    /// Notes that so much has come of what begins the next request.
    fn heard(&mut self, bytes: usize) {
        self.head += bytes;
        if self.awaits != Awaits::Head && !self.pulse.is_multiplexed() {
            self.awaits = Awaits::Head;
            self.since = Instant::now();
        }
    }

    /// Takes the memory of a head that is not whole yet, unless it is small.
    fn hold_head(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.head <= SMALL_HEAD {
            return Ok(());
        }
        self.reservation.receive();
        let has_room = self.reservation.grow_to(self.head.next_power_of_two());
        if !has_room || self.reservation.poll_gives_way(context).is_ready() {
            return Err(io::Error::other("others needed the memory of the head"));
        }
        Ok(())
    }

    /// Notes whether the other side takes something, and gives it up in the end.
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
    /// Reads no more than a little of what a request begins with. hyper's buffer grows with what is read
    /// at once, and stays as large for as long as the connection lasts.
    fn poll_read_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        if self.read >= MUCH || buffer.remaining() <= LITTLE {
            return stream.poll_read(context, buffer);
        }
        READ.with_borrow_mut(|read| {
            let mut little = ReadBuf::new(read);
            ready!(stream.poll_read(context, &mut little))?;
            buffer.put_slice(little.filled());
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
        // Looked at first, since what is read may belong to the next request.
        let deadline = this.deadline();
        this.hold_head(context)?;
        let is_idle = this.pulse.is_idle();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = this.poll_read_some(context, buffer) {
            let bytes = buffer.filled().len() - before;
            this.read = this.read.saturating_add(bytes);
            if is_idle && bytes > 0 {
                this.heard(bytes);
            }
            return Poll::Ready(read);
        }
        let mut deadline = deadline;
        loop {
            // Nobody tells when a request ends, so that is looked at when it would matter.
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
        let bytes = &bytes[..bytes.len().min(AT_ONCE)];
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
        if let Some(first) = first.filter(|_| length > AT_ONCE) {
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

/// A clock that is set anew only when it strikes: deadlines move with each request, mostly before
/// anybody waits for them.
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

    fn timed() -> (Timed<DuplexStream>, DuplexStream, Arc<Pulse>) {
        let (ours, theirs) = duplex(64);
        let pulse = Arc::new(Pulse::default());
        let limits = ClientLimits::read(&Environment::default()).unwrap();
        let reservation = Budget::new(1 << 20).reserve(None);
        (Timed::new(ours, pulse.clone(), limits, reservation), theirs, pulse)
    }

    async fn seconds_until_given_up(timed: &mut Timed<DuplexStream>) -> u64 {
        let begin = Instant::now();
        let error = timed.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_before_a_request_in_its_head_and_after_it() {
        let (mut silent, _theirs, _) = timed();
        assert_eq!(seconds_until_given_up(&mut silent).await, 10);

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
        // The first byte came after 4 s, and is the head's beginning.
        assert_eq!(begin.elapsed().as_secs(), 14);
        drop(slow);
        let _theirs = feeding.await.unwrap();

        let (mut kept, mut theirs, _) = timed();
        theirs.write_all(b"G").await.unwrap();
        kept.read_u8().await.unwrap();
        let beat = kept.pulse.beat();
        let answered = tokio::time::timeout(Duration::from_mins(15), kept.read_u8()).await;
        assert!(answered.is_err(), "a request takes as long as it takes");
        // The request ends while the connection is waited for, and nothing else happens.
        let ending = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            drop(beat);
        });
        assert_eq!(seconds_until_given_up(&mut kept).await, 60 + 75);
        ending.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_given_up() {
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
