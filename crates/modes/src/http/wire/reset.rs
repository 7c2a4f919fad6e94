//! Resets a connection whose response is cut off, if only the end of the connection marks the end
//! of the response. Such responses have no length, as over HTTP/1.0 (RFC 9112, section 6.3), and
//! with a normal close the client would take the part for the whole. The socket option `SO_LINGER`
//! makes the system send the reset, also if the server is killed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::wire::connection::{Activity, ResponseState};

/// A socket that ends with a reset while such a response is being sent.
pub(crate) struct Resetting {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// True while closing the socket would send a reset.
    is_armed: bool,
    /// True after hyper has shut the connection down. hyper does so only after a complete response.
    is_shut: bool,
}

impl Resetting {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Resetting { stream, activity, is_armed: false, is_shut: false }
    }

    /// Sets `SO_LINGER` to send a reset on close while such a response is being sent, and unsets it
    /// afterwards.
    fn arm(&mut self) -> io::Result<()> {
        let is_sending = !self.is_shut && self.activity.response() == ResponseState::UntilClose;
        if self.is_armed == is_sending {
            return Ok(());
        }
        self.is_armed = is_sending;
        let linger = linger { l_onoff: is_sending.into(), l_linger: 0 };
        Ok(setsockopt(&self.stream, sockopt::Linger, &linger)?)
    }
}

/// Sets `SO_LINGER` a last time, because a response may be cut off before its first write.
impl Drop for Resetting {
    fn drop(&mut self) {
        // This fails only if the socket is closed already.
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
