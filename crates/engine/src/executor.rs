//! The executor of one worker: it owns the jobs that the worker holds, from the assignment until
//! they end or go back to the queue.

use std::collections::VecDeque;
use std::time::Duration;

use ai_integration_contract::{Data, Error, Kind, Outcome};
use bytes::BytesMut;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Command;
use crate::job::Job;
use crate::scheduler::WorkerId;
use crate::{
    Engine, Event, FrameError, FromWorker, JobId, Link, MAX_BODY, PROTOCOL, Ready, ToWorker,
};

/// How long a follower may leave the model waiting.
const FOLLOWER: Duration = Duration::from_secs(10);
/// How long a worker without a job may take to close its link once it is told to leave.
const LEAVE: Duration = Duration::from_secs(2);
/// Workers that may end before they begin a job that they were sent; then the job is to blame.
const LOSSES: u32 = 2;

/// Why a link is not used any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("the worker sent {0}")]
    Frame(#[from] FrameError),
    #[error("the worker sent {0} out of turn")]
    OutOfTurn(&'static str),
    #[error("the worker speaks version {0} of the protocol; this engine speaks version {PROTOCOL}")]
    Version(u32),
}

/// The pieces of a streamed answer whose requester does not follow it.
#[derive(Debug, Default)]
struct Assembly {
    content_type: Option<String>,
    bytes: BytesMut,
    is_bytes: bool,
    chunks: usize,
}

/// A job that the model works on.
#[derive(Debug)]
struct Running {
    id: JobId,
    /// `None` once it has been answered ahead of its end.
    job: Option<Job>,
    assembly: Assembly,
}

/// One worker's jobs.
#[derive(Debug)]
pub(crate) struct Executor {
    worker: WorkerId,
    engine: Engine,
    /// Given to this worker by the dispatcher; `None` once the dispatcher gives no more.
    assigned: Option<mpsc::UnboundedReceiver<Job>>,
    /// Sent to the worker, not begun by it; oldest first.
    sent: VecDeque<Job>,
    running: Option<Running>,
    /// Whether the worker ever began a job.
    has_served: bool,
}

impl Executor {
    pub(crate) fn new(worker: WorkerId, engine: Engine) -> Self {
        Executor {
            worker,
            engine,
            assigned: None,
            sent: VecDeque::new(),
            running: None,
            has_served: false,
        }
    }

    /// Tells the dispatcher that the worker is ready for jobs.
    pub(crate) fn join(&mut self, ready: Ready) {
        let (sender, assigned) = mpsc::unbounded_channel();
        self.assigned = Some(assigned);
        self.engine.tell(Command::Join(self.worker, sender, ready));
    }

    /// Whether the worker became ready.
    pub(crate) fn is_joined(&self) -> bool {
        self.assigned.is_some()
    }

    /// The next job from the dispatcher; never, once it gives no more.
    async fn assignment(&mut self) -> Option<Job> {
        match &mut self.assigned {
            Some(assigned) => assigned.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Waits for the worker's description. `None` when the link ends before it comes.
    pub(crate) async fn ready(link: &mut Link) -> Result<Option<Ready>, Violation> {
        match link.incoming.recv().await.transpose()? {
            None => Ok(None),
            Some(FromWorker::Ready(ready)) if ready.protocol == PROTOCOL => Ok(Some(ready)),
            Some(FromWorker::Ready(ready)) => Err(Violation::Version(ready.protocol)),
            Some(_) => Err(Violation::OutOfTurn("a message before `ready`")),
        }
    }

    /// Passes jobs to the worker and its answers to the requesters until the link ends. Can be
    /// abandoned at any time: the jobs stay in `self`. Once `stop` is cancelled the worker
    /// gets no more jobs and is told so; one that stays all the same is not waited for long.
    pub(crate) async fn run(
        &mut self,
        link: Link,
        printed: &mut mpsc::Receiver<String>,
        stop: &CancellationToken,
    ) -> Result<(), Violation> {
        let Link { outgoing, mut incoming } = link;
        let mut outgoing = Some(outgoing);
        let mut prints = true;
        loop {
            tokio::select! {
                message = incoming.recv() => match message {
                    None => return Ok(()),
                    Some(message) => self.take(message?).await?,
                },
                Some(job) = self.assignment(), if outgoing.is_some() => {
                    let message = ToWorker::Job(job.id, job.inputs.clone());
                    self.sent.push_back(job);
                    if let Some(sender) = &outgoing {
                        // A worker that is gone is noticed by the end of `incoming`.
                        let _ = sender.send(message).await;
                    }
                },
                line = printed.recv(), if prints => match line {
                    None => prints = false,
                    Some(line) => self.tell(Event::Log(line)).await,
                },
                () = stop.cancelled(), if outgoing.is_some() => outgoing = None,
                () = sleep(LEAVE), if outgoing.is_none() && self.is_idle() => return Ok(()),
            }
        }
    }

    async fn take(&mut self, message: FromWorker) -> Result<(), Violation> {
        match message {
            FromWorker::Start(id) => {
                let may_start = self.running.is_none();
                let job = self.sent.pop_front_if(|job| may_start && job.id == id);
                let job = job.ok_or(Violation::OutOfTurn("`start`"))?;
                self.has_served = true;
                self.running = Some(Running { id, job: Some(job), assembly: Assembly::default() });
                self.tell(Event::Started).await;
            }
            FromWorker::Result(id, outcome) => {
                self.check(id, "`result`")?;
                if let Some(Running { job: Some(job), assembly, .. }) = self.running.take() {
                    job.answer(assembly.complete(outcome));
                }
                self.engine.tell(Command::Finish(self.worker));
            }
            FromWorker::Chunk(id, content_type, data) => {
                self.check(id, "`chunk`")?;
                match &mut self.running {
                    Some(Running { job: Some(job), assembly, .. }) if job.events.is_none() => {
                        assembly.append(content_type, &data);
                    }
                    _ => self.tell(Event::Chunk { content_type, data }).await,
                }
            }
            FromWorker::Progress(id, fraction, message) => {
                self.check(id, "`progress`")?;
                self.tell(Event::Progress { fraction, message }).await;
            }
            FromWorker::Log(id, message) => {
                self.check(id, "`log`")?;
                self.tell(Event::Log(message)).await;
            }
            FromWorker::Ready(_) => return Err(Violation::OutOfTurn("a second `ready`")),
            FromWorker::Unknown => {}
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.running.is_none() && self.sent.is_empty()
    }

    fn check(&self, id: JobId, message: &'static str) -> Result<(), Violation> {
        match &self.running {
            Some(running) if running.id == id => Ok(()),
            _ => Err(Violation::OutOfTurn(message)),
        }
    }

    /// Tells whoever follows the running job. A follower who does not listen for a while is given
    /// up, since the model waits meanwhile, and with it everybody in the queue.
    async fn tell(&mut self, event: Event) {
        let Some(running) = &mut self.running else { return };
        let Some(events) = running.job.as_ref().and_then(|job| job.events.as_ref()) else { return };
        // A follower who has left needs to hear no more.
        if timeout(FOLLOWER, events.send(event)).await.is_err()
            && let Some(job) = running.job.take()
        {
            let message = format!("the answer was not read for {} s", FOLLOWER.as_secs());
            job.answer(Err(Error::new(Kind::Timeout, message)));
        }
    }

    /// Whether the worker had anything to do.
    pub(crate) fn had_work(&self) -> bool {
        self.has_served || !self.sent.is_empty()
    }

    /// Ends the worker's life: the job that it was working on fails with `error`, the others go
    /// back to the queue. A job at which workers die before they begin it, as when memory runs out
    /// while they read it, fails too: it would go on to take every worker down.
    pub(crate) fn close(mut self, error: impl Fn() -> Error) {
        let error = || self.engine.shut_down_error().unwrap_or_else(&error);
        if let Some(Running { job: Some(job), .. }) = self.running.take() {
            job.answer(Err(error()));
        }
        let mut unstarted = Vec::new();
        for mut job in self.sent.drain(..) {
            job.losses += 1;
            if job.losses < LOSSES {
                unstarted.push(job);
            } else {
                job.answer(Err(error()));
            }
        }
        if let Some(assigned) = &mut self.assigned {
            assigned.close();
            while let Ok(job) = assigned.try_recv() {
                unstarted.push(job);
            }
        }
        self.engine.tell(Command::Leave(self.worker, unstarted));
    }
}

impl Assembly {
    fn append(&mut self, content_type: Option<String>, data: &Data) {
        if self.chunks == 0 {
            self.content_type = content_type;
        }
        self.chunks += 1;
        let piece = match data {
            Data::None => return,
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => {
                self.is_bytes = true;
                bytes
            }
        };
        // One byte over the limit is kept, to be told apart from a full one.
        let room = (MAX_BODY + 1).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The outcome with the pieces as its data, if there were any.
    fn complete(self, mut outcome: Outcome) -> Result<Outcome, Error> {
        if self.chunks == 0 {
            return Ok(outcome);
        }
        if self.bytes.len() > MAX_BODY {
            let message = format!("the model's answer is larger than {MAX_BODY} bytes");
            return Err(Error::new(Kind::TooLarge, message));
        }
        outcome.content_type = outcome.content_type.or(self.content_type);
        let bytes = self.bytes.freeze();
        outcome.data = match String::from_utf8(bytes.to_vec()) {
            Ok(text) if !self.is_bytes => Data::Text(text),
            _ => Data::Bytes(bytes),
        };
        Ok(outcome)
    }
}

/// Serves jobs over a link whose worker nobody here has started, until the link ends: the worker
/// of an *attached* engine is the program that started it.
pub async fn serve_attached(engine: Engine, mut link: Link) {
    let gone = || {
        Error::new(
            Kind::ModelCrashed,
            "the model's program ended while it worked on this request; its own output says why",
        )
    };
    let worker = WorkerId(0);
    let mut executor = Executor::new(worker, engine.clone());
    let ready = match Executor::ready(&mut link).await {
        Ok(Some(ready)) => ready,
        Ok(None) => return engine.fail(gone()),
        Err(violation) => {
            return engine.fail(Error::new(Kind::ModelUnavailable, violation.to_string()));
        }
    };
    executor.join(ready);
    let (_, mut nothing) = mpsc::channel(1);
    let never = CancellationToken::new();
    let ended = tokio::select! {
        ended = executor.run(link, &mut nothing, &never) => ended,
        () = engine.is_shut_down() => Ok(()),
    };
    executor.close(gone);
    let error = ended.map_or_else(
        |violation| Error::new(Kind::ModelCrashed, violation.to_string()),
        |()| Error::new(Kind::ModelUnavailable, "the model's program has ended"),
    );
    engine.fail(error);
}
