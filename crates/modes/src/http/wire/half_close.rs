//! A client that stops sending may still read: `nc -N` and others close their side of the connection
//! behind a whole request. A client that is gone closes it in the same way, and TCP tells the two
//! apart only when something is written: who is gone answers with a reset. So the answer is begun at
//! once, with bytes that it begins with whatever it is, a few of them with growing pauses, since the
//! reset takes a round trip, and longer through a proxy. Before the head these are the first ones of
//! `HTTP/1.1`; between chunks (RFC 9112, section 7.1) they are zeros, which may stand before any chunk's
//! size. In other places, and once these are used up, a write of the answer itself tells.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::http::wire::connection::{Answer, Pulse};
use crate::http::wire::framing::HeadFields;

/// The bytes that every answer begins with.
const START: &[u8] = b"HTTP/1.";
/// The pause after the second byte; each further one is eight times as long. There is none after the
/// first: the reset of a client on the same machine has come by the time that its write returns.
const PAUSE: Duration = Duration::from_millis(1);

/// A stream of HTTP/1.1 whose other side may stop sending and still read.
pub(crate) struct HalfOpen<S> {
    stream: S,
    pulse: Arc<Pulse>,
    /// A byte that was read while the end was looked for.
    ahead: Option<u8>,
    /// Whether the other side sends nothing more.
    has_ended: bool,
    /// Whether all that was written so far is out, up to where an answer or a chunk begins.
    is_between: bool,
    /// The number of bytes of the next answer that are out already.
    early: usize,
    probes: Probes,
    /// The head that is being read, and the number of requests before it.
    head: HeadFields,
    heads: usize,
}

/// The bytes that are sent to find out whether a request's client is there, and when the next is due.
#[derive(Default)]
struct Probes {
    request: usize,
    sent: usize,
    due: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HalfOpen<S> {
    pub(crate) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        HalfOpen {
            stream,
            pulse,
            ahead: None,
            has_ended: false,
            is_between: true,
            early: 0,
            probes: Probes::default(),
            head: HeadFields::default(),
            heads: 0,
        }
    }

    /// Looks whether the client of the request that is being answered has stopped sending, and then
    /// whether it is gone. hyper, which reads nothing meanwhile, flushes whenever it is polled.
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
                    // hyper may wait for what has been read here.
                    context.waker().wake_by_ref();
                }
            }
        }
        if self.has_ended && self.is_between { self.probe(context) } else { Ok(()) }
    }

    /// Sends the next byte that tells whether the client is there, once it is due.
    fn probe(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let request = self.pulse.begun();
        if self.probes.request != request {
            self.probes = Probes { request, ..Probes::default() };
        }
        while self.probes.sent < START.len() {
            if let Some(due) = &mut self.probes.due
                && due.as_mut().poll(context).is_pending()
            {
                break;
            }
            let byte = match self.pulse.answer() {
                Answer::Awaited => START[self.early.min(START.len() - 1)],
                Answer::Chunked => b'0',
                Answer::UntilTheEnd | Answer::Other => break,
            };
            match Pin::new(&mut self.stream).poll_write(context, &[byte]) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(_)) => {}
            }
            if self.pulse.answer() == Answer::Awaited {
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

    /// Takes what is out already off what is to be written: that many bytes count as written.
    fn take_early(&mut self, length: usize) -> Option<usize> {
        self.is_between = false;
        let taken = self.early.min(length);
        self.early -= taken;
        (taken > 0).then_some(taken)
    }

    fn note_head(&mut self, read: &[u8]) {
        if !self.pulse.is_idle() {
            return;
        }
        let before = self.pulse.begun();
        if self.heads != before {
            self.heads = before;
            self.head = HeadFields::default();
        }
        if self.head.read(read) {
            self.pulse.set_ambiguous();
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
            // Much may be behind it. An end shows the next time too.
            if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
                read?;
            }
        } else if !self.has_ended {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        self.note_head(&buffer.filled()[before..]);
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

    /// hyper flushes only once it has handed over all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_between = true;
        if !self.pulse.is_idle() {
            self.watch(context)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
