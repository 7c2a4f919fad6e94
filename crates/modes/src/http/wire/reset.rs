//! A socket whose connection ends with a reset where an answer was broken off that only the end of
//! the connection ends, as answers without a length do over HTTP/1.0 (RFC 9112, section 6.3): its
//! client would take the part for the whole. The system resets it, so that this holds as well when
//! the server itself is killed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::wire::connection::{Answer, Pulse};

/// A socket that hears from its requests how their answers go out.
pub(crate) struct Resetting {
    stream: TcpStream,
    pulse: Arc<Pulse>,
    /// True while the end of the connection would be a reset.
    is_armed: bool,
    /// True once hyper has shut the connection down, which it does only when its last answer is whole.
    is_shut: bool,
}

impl Resetting {
    pub(crate) fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Resetting { stream, pulse, is_armed: false, is_shut: false }
    }

    /// Makes the end of the connection a reset as long as such an answer is under way.
    fn arm(&mut self) -> io::Result<()> {
        let is_under_way = !self.is_shut && self.pulse.answer() == Answer::UntilTheEnd;
        if self.is_armed == is_under_way {
            return Ok(());
        }
        self.is_armed = is_under_way;
        let linger = linger { l_onoff: is_under_way.into(), l_linger: 0 };
        Ok(setsockopt(&self.stream, sockopt::Linger, &linger)?)
    }
}

/// Nothing may have been written yet of an answer that is broken off.
impl Drop for Resetting {
    fn drop(&mut self) {
        // A socket that takes no options is closed already.
        let _ = self.arm();
    }
}

impl AsyncRead for Resetting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resetting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.arm()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.arm()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        self.arm()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
