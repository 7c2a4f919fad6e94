//! The model's side of a link, for models in Rust. Its calls block, because a model's loop is plain
//! code on the main thread.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use ai_integration_contract::wire::FrameError;
use bytes::BufMut;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::sync::mpsc;

use crate::link::codec::{FrameDecoder, FrameEncoder, Piece};
use crate::link::message::{FromWorker, ToWorker};

/// The model's side of a link.
///
/// ```
/// use std::net::Shutdown;
/// use std::os::unix::net::UnixStream;
///
/// use ai_integration_engine::{FromWorker, Ready, WorkerSide};
/// use serde_json::json;
///
/// # fn main() -> std::io::Result<()> {
/// // The engine has the other end of this pair. Here it sends nothing.
/// let (theirs, ours) = UnixStream::pair()?;
/// let mut worker = WorkerSide::over_socket(theirs);
/// worker.send(FromWorker::Ready(Ready::new(json!({"text": {"type": "text"}}))))?;
/// assert_eq!(worker.poll()?, None, "the engine has sent no job yet");
/// ours.shutdown(Shutdown::Write)?;
/// assert_eq!(worker.receive()?, None, "the engine has closed the link");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WorkerSide(Transport);

#[derive(Debug)]
enum Transport {
    Socket(UnixStream, FrameDecoder),
    InProcess(mpsc::UnboundedReceiver<ToWorker>, mpsc::UnboundedSender<FromWorker>),
}

/// Sends messages over a link while another thread waits in [`WorkerSide::receive`].
///
/// ```
/// use std::io::Read;
/// use std::net::Shutdown;
/// use std::os::unix::net::UnixStream;
/// use std::thread;
///
/// use ai_integration_engine::{FromWorker, Ready, WorkerSide};
/// use serde_json::json;
///
/// # fn main() -> std::io::Result<()> {
/// let (theirs, mut ours) = UnixStream::pair()?;
/// let mut worker = WorkerSide::over_socket(theirs);
/// let mut sender = worker.sender()?;
/// let reader = thread::spawn(move || worker.receive());
/// sender.send(FromWorker::Ready(Ready::new(json!({"text": {"type": "text"}}))))?;
/// assert_ne!(ours.read(&mut [0])?, 0, "the engine gets the message");
/// ours.shutdown(Shutdown::Write)?;
/// assert!(reader.join().is_ok_and(|received| received.is_ok_and(|message| message.is_none())));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WorkerSender(Outgoing);

#[derive(Debug)]
enum Outgoing {
    Socket(UnixStream),
    InProcess(mpsc::UnboundedSender<FromWorker>),
}

impl WorkerSide {
    /// Makes the model's side of a link over a connected socket.
    #[must_use]
    pub fn over_socket(socket: UnixStream) -> Self {
        WorkerSide(Transport::Socket(socket, FrameDecoder::default()))
    }

    pub(crate) fn in_process(
        receiver: mpsc::UnboundedReceiver<ToWorker>,
        sender: mpsc::UnboundedSender<FromWorker>,
    ) -> Self {
        WorkerSide(Transport::InProcess(receiver, sender))
    }

    /// Waits for the engine's next message; `None` if the engine has closed the link. Blocks the
    /// thread, so it must not be called inside an asynchronous runtime.
    pub fn receive(&mut self) -> io::Result<Option<ToWorker>> {
        if let Transport::InProcess(receiver, _) = &mut self.0 {
            return Ok(receiver.blocking_recv());
        }
        match self.read(MsgFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(Some),
        }
    }

    /// Returns the engine's next message if it has arrived already.
    pub fn poll(&mut self) -> io::Result<Option<ToWorker>> {
        if let Transport::InProcess(receiver, _) = &mut self.0 {
            return Ok(receiver.try_recv().ok());
        }
        match self.read(MsgFlags::MSG_DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            read => read.map(Some),
        }
    }

    fn read(&mut self, flags: MsgFlags) -> io::Result<ToWorker> {
        let Transport::Socket(socket, decoder) = &mut self.0 else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        loop {
            if let Some(frame) = decoder.next_frame().map_err(invalid)? {
                return ToWorker::decode(&frame).map_err(invalid);
            }
            let buffer = decoder.buffer();
            let start = buffer.len();
            buffer.put_bytes(0, buffer.capacity() - start);
            let read = recv(socket.as_raw_fd(), &mut buffer[start..], flags);
            buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a message to the engine.
    ///
    /// # Errors
    /// The engine has ended, or the message does not fit a frame.
    pub fn send(&mut self, message: FromWorker) -> io::Result<()> {
        match &mut self.0 {
            Transport::InProcess(_, sender) => pass(sender, message),
            Transport::Socket(socket, _) => write(socket, &message),
        }
    }

    /// Makes a sender for other threads. All messages must be sent either by the link or by one
    /// sender, because frames must not mix.
    ///
    /// # Errors
    /// The process has too many open files.
    pub fn sender(&self) -> io::Result<WorkerSender> {
        Ok(WorkerSender(match &self.0 {
            Transport::InProcess(_, sender) => Outgoing::InProcess(sender.clone()),
            Transport::Socket(socket, _) => Outgoing::Socket(socket.try_clone()?),
        }))
    }
}

impl WorkerSender {
    /// Sends a message to the engine.
    ///
    /// # Errors
    /// The engine has ended, or the message does not fit a frame.
    pub fn send(&mut self, message: FromWorker) -> io::Result<()> {
        match &mut self.0 {
            Outgoing::InProcess(sender) => pass(sender, message),
            Outgoing::Socket(socket) => write(socket, &message),
        }
    }
}

fn pass(sender: &mpsc::UnboundedSender<FromWorker>, message: FromWorker) -> io::Result<()> {
    sender.send(message).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn write(socket: &mut UnixStream, message: &FromWorker) -> io::Result<()> {
    let mut encoder = FrameEncoder::default();
    message.encode(&mut encoder).map_err(invalid)?;
    encoder.pieces().iter().try_for_each(|piece| match piece {
        Piece::Bytes(bytes) | Piece::WithFile(bytes, _) => socket.write_all(bytes),
    })
}

fn invalid(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
