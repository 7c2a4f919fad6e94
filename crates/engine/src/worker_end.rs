//! The model's side of a link, for models in Rust: blocking calls, since a model's loop is plain
//! code on the main thread.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use bytes::BufMut;
use tokio::sync::mpsc;

use crate::{FrameDecoder, FrameError, FromWorker, ToWorker};

/// The model's side of a link.
#[derive(Debug)]
pub struct WorkerEnd(Transport);

#[derive(Debug)]
enum Transport {
    Socket(UnixStream, FrameDecoder),
    InProcess(mpsc::Receiver<ToWorker>, mpsc::Sender<Result<FromWorker, FrameError>>),
}

impl WorkerEnd {
    /// The worker's end of a socket.
    #[must_use]
    pub fn over_socket(socket: UnixStream) -> Self {
        WorkerEnd(Transport::Socket(socket, FrameDecoder::default()))
    }

    pub(crate) fn in_process(
        receiver: mpsc::Receiver<ToWorker>,
        sender: mpsc::Sender<Result<FromWorker, FrameError>>,
    ) -> Self {
        WorkerEnd(Transport::InProcess(receiver, sender))
    }

    /// Waits for the engine's next message; `None` when no more will come. Not for use inside an
    /// asynchronous runtime.
    pub fn receive(&mut self) -> io::Result<Option<ToWorker>> {
        let (socket, decoder) = match &mut self.0 {
            Transport::InProcess(receiver, _) => return Ok(receiver.blocking_recv()),
            Transport::Socket(socket, decoder) => (socket, decoder),
        };
        loop {
            if let Some(frame) = decoder.next_frame().map_err(invalid)? {
                return ToWorker::decode(&frame).map(Some).map_err(invalid);
            }
            let buffer = decoder.buffer();
            let start = buffer.len();
            buffer.put_bytes(0, buffer.capacity() - start);
            let read = socket.read(&mut buffer[start..]);
            buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a message to the engine. An error means that the engine is gone, or that the message
    /// does not fit a frame.
    pub fn send(&mut self, message: FromWorker) -> io::Result<()> {
        match &mut self.0 {
            Transport::InProcess(_, sender) => {
                let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                sender.blocking_send(Ok(message)).map_err(gone)
            }
            Transport::Socket(socket, _) => {
                let encoded = message.encode().map_err(invalid)?;
                encoded.pieces.iter().try_for_each(|piece| socket.write_all(piece))
            }
        }
    }
}

fn invalid(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
