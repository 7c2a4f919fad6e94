//! Detects whether a client that closed its sending side still reads the response.
//!
//! A client such as `nc -N` closes its sending side after the request and still reads. A client
//! that left closes the connection in the same way. TCP shows the difference only after a write:
//! the system of a client that left replies with a reset.
//!
//! So the server writes a few bytes that are valid at this point of any response. The pauses
//! between them grow, because the reset takes a round trip, or longer through a proxy. Before the
//! response these are the first bytes of `HTTP/1.1`. Between two chunks (RFC 9112, section 7.1)
//! they are zeros, which may come before any chunk's size. At other points, and when these bytes
//! are used up, the next write of the response itself shows whether the client is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::http::wire::connection::{Activity, ResponseState};
use crate::http::wire::framing::HeadFields;

/// The bytes that every response begins with.
const START: &[u8] = b"HTTP/1.";
/// The pause after the second byte; each further pause is eight times as long. There is no pause
/// after the first byte, because on the same machine the reset arrives before that write returns.
const PAUSE: Duration = Duration::from_millis(1);

/// A stream of HTTP/1.1 whose client may close its sending side and still read.
pub(crate) struct HalfOpen<S> {
    stream: S,
    activity: Arc<Activity>,
    /// A byte that was read while checking for the end of the stream.
    ahead: Option<u8>,
    /// True if the client has closed its sending side.
    has_ended: bool,
    /// True if everything is flushed, so that the next byte begins a response or a chunk.
    is_between: bool,
    /// The number of bytes of the next response that were sent as probes.
    early: usize,
    probes: Probes,
    /// The head that is being read.
    head: HeadFields,
    /// The number of requests before that head.
    heads: usize,
}

/// The probes of one request: bytes that are sent to find out whether its client is still there.
#[derive(Default)]
struct Probes {
    /// The number of the request.
    request: usize,
    sent: usize,
    /// The time of the next probe.
    due: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HalfOpen<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        HalfOpen {
            stream,
            activity,
            ahead: None,
            has_ended: false,
            is_between: true,
            early: 0,
            probes: Probes::default(),
            head: HeadFields::default(),
            heads: 0,
        }
    }

    /// Checks whether the client has closed its sending side, and if so, whether it has left. It is
    /// called from `poll_flush`: during a request hyper does not read, but flushes at every poll.
    fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.has_ended && self.ahead.is_none() {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) => {
                    self.ahead = buffer.filled().first().copied();
                    self.has_ended = self.ahead.is_none();
                    // hyper may be waiting to read the byte that was read here.
                    context.waker().wake_by_ref();
                }
            }
        }
        if self.has_ended && self.is_between { self.probe(context) } else { Ok(()) }
    }

    /// Sends the next probe if it is due. A write error means that the client has left.
    fn probe(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let request = self.activity.begun();
        if self.probes.request != request {
            self.probes = Probes { request, ..Probes::default() };
        }
        while self.probes.sent < START.len() {
            if let Some(due) = &mut self.probes.due
                && due.as_mut().poll(context).is_pending()
            {
                break;
            }
            let byte = match self.activity.response() {
                ResponseState::Pending => START[self.early.min(START.len() - 1)],
                ResponseState::Chunked => b'0',
                ResponseState::UntilClose | ResponseState::Other => break,
            };
            match Pin::new(&mut self.stream).poll_write(context, &[byte]) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(_)) => {}
            }
            if self.activity.response() == ResponseState::Pending {
                self.early += 1;
            }
            let pauses = u32::try_from(self.probes.sent).unwrap_or_default();
            self.probes.due = pauses.checked_sub(1).map(|n| Box::pin(sleep(PAUSE * 8_u32.pow(n))));
            self.probes.sent += 1;
            if let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(context) {
                flushed?;
            }
        }
        Ok(())
    }

    /// Returns how many of the `length` bytes that hyper writes were already sent as probes.
    fn take_early(&mut self, length: usize) -> Option<usize> {
        self.is_between = false;
        let taken = self.early.min(length);
        self.early -= taken;
        (taken > 0).then_some(taken)
    }

    /// Scans the bytes of the next request's head for its two length headers.
    fn scan_head(&mut self, read: &[u8]) {
        if !self.activity.is_idle() {
            return;
        }
        let before = self.activity.begun();
        if self.heads != before {
            self.heads = before;
            self.head = HeadFields::default();
        }
        if self.head.read(read) {
            self.activity.set_ambiguous();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for HalfOpen<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Some(byte) = self.ahead.take() {
            buffer.put_slice(&[byte]);
            // More bytes may follow. An end of the stream is returned by the next read as well.
            if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
                read?;
            }
        } else if !self.has_ended {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        self.scan_head(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HalfOpen<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.take_early(bytes.len()) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.take_early(slices.iter().map(|slice| slice.len()).sum()) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only after it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_between = true;
        if !self.activity.is_idle() {
            self.watch(context)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
