//! The link to a worker, over which messages travel in both directions. Its transport is a socket
//! to another process, or a pair of channels within this one.

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
///
/// ```
/// use ai_integration_engine::{Embedded, Engine, JobLimits, Link, State, serve_attached};
/// use tokio::net::UnixStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let limits = JobLimits {
/// #     queue: 16,
/// #     timeout: None,
/// #     grace: std::time::Duration::ZERO,
/// #     prefetch: true,
/// #     retry: true,
/// # };
/// let embedded = Embedded::start(limits);
/// let (ours, theirs) = UnixStream::pair()?;
/// // A model process would inherit `theirs`. Here it is closed, as if the process had ended.
/// drop(theirs);
/// serve_attached(embedded.clone(), Link::over_socket(ours)).await;
/// assert!(matches!(*Engine::from(embedded).state().borrow(), State::Failed(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Link(Transport);

#[derive(Debug)]
enum Transport {
    Socket(Box<SocketLink>),
    InProcess {
        /// `None` once the engine has closed its direction.
        outgoing: Option<mpsc::UnboundedSender<ToWorker>>,
        incoming: mpsc::UnboundedReceiver<FromWorker>,
    },
}

impl Link {
    /// Makes a link over a connected socket. Must be called inside a tokio runtime.
    #[must_use]
    pub fn over_socket(socket: UnixStream) -> Self {
        Link(Transport::Socket(Box::new(SocketLink::new(socket))))
    }

    /// Makes a link within this process, with the model's side of it.
    #[must_use]
    pub fn in_process() -> (Self, WorkerSide) {
        let (outgoing, to_worker) = mpsc::unbounded_channel();
        let (from_worker, incoming) = mpsc::unbounded_channel();
        let link = Link(Transport::InProcess { outgoing: Some(outgoing), incoming });
        (link, WorkerSide::in_process(to_worker, from_worker))
    }

    /// Sends large bodies as memory files from now on, if the transport supports them.
    pub(crate) fn share(&mut self) {
        if let Transport::Socket(link) = &mut self.0 {
            link.share();
        }
    }

    /// Takes the memory file that came with the latest message, if it is not the body of the
    /// message.
    pub(crate) fn take_file(&mut self) -> Option<std::fs::File> {
        match &mut self.0 {
            Transport::Socket(link) => link.take_file(),
            Transport::InProcess { .. } => None,
        }
    }

    /// Puts a message into the output buffer. [`Link::receive`] writes it while it waits.
    pub(crate) async fn send(&mut self, message: ToWorker) -> Result<(), FrameError> {
        match &mut self.0 {
            Transport::Socket(link) => link.send(message).await,
            Transport::InProcess { outgoing, .. } => {
                // If the worker has ended, `receive` reports it.
                outgoing.as_ref().map(|outgoing| outgoing.send(message));
                Ok(())
            }
        }
    }

    /// Closes the direction to the worker, after everything that was sent.
    pub(crate) fn close(&mut self) {
        match &mut self.0 {
            Transport::Socket(link) => link.close(),
            Transport::InProcess { outgoing, .. } => *outgoing = None,
        }
    }

    /// Waits for the next message; `None` if the worker has closed the link. The future may be
    /// dropped: no message is lost.
    pub(crate) async fn receive(&mut self) -> Result<Option<FromWorker>, FrameError> {
        match &mut self.0 {
            Transport::Socket(link) => link.receive().await,
            Transport::InProcess { incoming, .. } => Ok(incoming.recv().await),
        }
    }
}
