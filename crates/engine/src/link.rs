//! A link to a worker, as two channels of messages. What carries them is the transport's matter:
//! a socket to another process, or nothing but the channels within this one.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::worker_end::WorkerEnd;
use crate::{FrameDecoder, FrameError, FromWorker, ToWorker};

/// Messages that may wait between a transport and its user. Few: a link is no second queue.
const CAPACITY: usize = 16;

/// The engine's side of a link. Dropping `outgoing` tells the worker that no more jobs come; the
/// end of `incoming` says that the worker is gone.
#[derive(Debug)]
pub struct Link {
    /// To the worker.
    pub outgoing: mpsc::Sender<ToWorker>,
    /// From the worker. An error is the last thing that comes.
    pub incoming: mpsc::Receiver<Result<FromWorker, FrameError>>,
}

impl Link {
    /// A link over a connected socket. Needs a runtime to run on.
    #[must_use]
    pub fn over_socket(socket: UnixStream) -> Self {
        let (outgoing, to_write) = mpsc::channel(CAPACITY);
        let (read, incoming) = mpsc::channel(CAPACITY);
        let (read_half, write_half) = socket.into_split();
        tokio::spawn(read_messages(read_half, read));
        tokio::spawn(write_messages(write_half, to_write));
        Link { outgoing, incoming }
    }

    /// A link within this process, with the model's side of it.
    #[must_use]
    pub fn in_process() -> (Self, WorkerEnd) {
        let (outgoing, to_worker) = mpsc::channel(CAPACITY);
        let (from_worker, incoming) = mpsc::channel(CAPACITY);
        (Link { outgoing, incoming }, WorkerEnd::in_process(to_worker, from_worker))
    }
}

async fn read_messages(
    mut socket: OwnedReadHalf,
    messages: mpsc::Sender<Result<FromWorker, FrameError>>,
) {
    let mut decoder = FrameDecoder::default();
    loop {
        let frame = match decoder.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => match socket.read_buf(decoder.buffer()).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            },
            Err(error) => {
                let _ = messages.send(Err(error)).await;
                return;
            }
        };
        let message = FromWorker::decode(&frame);
        let failed = message.is_err();
        if messages.send(message).await.is_err() || failed {
            return;
        }
    }
}

async fn write_messages(mut socket: OwnedWriteHalf, mut messages: mpsc::Receiver<ToWorker>) {
    while let Some(message) = messages.recv().await {
        let encoded = match message.encode() {
            Ok(encoded) => encoded,
            Err(error) => {
                tracing::error!(%error, "a job cannot be put into a frame");
                return;
            }
        };
        for piece in encoded.pieces {
            // A worker that is gone is noticed by the reader.
            if socket.write_all(&piece).await.is_err() {
                return;
            }
        }
    }
    let _ = socket.shutdown().await;
}
