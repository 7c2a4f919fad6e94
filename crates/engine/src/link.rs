//! A link to a worker: messages go out, messages come in. What carries them is the transport's
//! matter: a socket to another process, or channels within this one.

pub(crate) mod board;
pub(crate) mod codec;
pub(crate) mod memory_file;
pub(crate) mod message;
mod socket;
pub(crate) mod worker_side;

use ai_integration_contract::wire::FrameError;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use self::message::{FromWorker, ToWorker};
use self::socket::SocketLink;
use self::worker_side::WorkerSide;

/// The engine's side of a link.
#[derive(Debug)]
pub struct Link(Transport);

#[derive(Debug)]
enum Transport {
    Socket(Box<SocketLink>),
    InProcess {
        /// `None` once no more messages come.
        outgoing: Option<mpsc::UnboundedSender<ToWorker>>,
        incoming: mpsc::UnboundedReceiver<FromWorker>,
    },
}

impl Link {
    /// A link over a connected socket. Needs a runtime to run on.
    #[must_use]
    pub fn over_socket(socket: UnixStream) -> Self {
        Link(Transport::Socket(Box::new(SocketLink::new(socket))))
    }

    /// A link within this process, with the model's side of it.
    #[must_use]
    pub fn in_process() -> (Self, WorkerSide) {
        let (outgoing, to_worker) = mpsc::unbounded_channel();
        let (from_worker, incoming) = mpsc::unbounded_channel();
        let link = Link(Transport::InProcess { outgoing: Some(outgoing), incoming });
        (link, WorkerSide::in_process(to_worker, from_worker))
    }

    /// From now on large bodies go out as memory files, where the transport has them.
    pub(crate) fn share(&mut self) {
        if let Transport::Socket(link) = &mut self.0 {
            link.share();
        }
    }

    /// The memory file that came with the latest message, if one did that is not its body.
    pub(crate) fn take_file(&mut self) -> Option<std::fs::File> {
        match &mut self.0 {
            Transport::Socket(link) => link.take_file(),
            Transport::InProcess { .. } => None,
        }
    }

    /// Puts a message on its way. It is written while [`Link::receive`] is waited for.
    pub(crate) async fn send(&mut self, message: ToWorker) -> Result<(), FrameError> {
        match &mut self.0 {
            Transport::Socket(link) => link.send(message).await,
            Transport::InProcess { outgoing, .. } => {
                // A worker that is gone is noticed by the end of what comes in.
                outgoing.as_ref().map(|outgoing| outgoing.send(message));
                Ok(())
            }
        }
    }

    /// Tells the worker, after all that was sent, that nothing more comes.
    pub(crate) fn close(&mut self) {
        match &mut self.0 {
            Transport::Socket(link) => link.close(),
            Transport::InProcess { outgoing, .. } => *outgoing = None,
        }
    }

    /// The next message; `None` when the worker is gone. May be abandoned and called again.
    pub(crate) async fn receive(&mut self) -> Result<Option<FromWorker>, FrameError> {
        match &mut self.0 {
            Transport::Socket(link) => link.receive().await,
            Transport::InProcess { incoming, .. } => Ok(incoming.recv().await),
        }
    }
}
