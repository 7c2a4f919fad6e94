//! The executor of one worker: it carries what the engine orders to the worker, and what the
//! worker says to the engine.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, InputsSchema, Kind, check_content_type};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};

use crate::engine::embedded::{Embedded, Order};
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::link::Link;
use crate::link::board::{Board, Printed};
use crate::link::message::{FromWorker, PROTOCOL, Ready, Violation};
use crate::scheduler::worker::{OutOfTurn, WorkerId};
use crate::worker::ending::EndCause;
use crate::worker::pipe::Pipes;
use crate::worker::tail::Line;

/// How long a worker without a job may take to close its link once it is told to leave.
const LEAVE: Duration = Duration::from_secs(2);

/// Lines that are kept for jobs whose beginning has not been told yet.
const KEPT_LINES: usize = 16;

/// A worker that was ready for so long did not die of being started.
const SETTLED: Duration = Duration::from_secs(1);

/// The first message of a worker.
pub(crate) enum Introduction {
    /// It describes the model, and asks for its first job.
    Ready(Box<Ready>),
    /// The program ends before its loop, and is not to be started again.
    Leave,
    /// None came: the link ended before.
    None,
}

/// One worker, from its readiness to its end.
#[derive(Debug)]
pub(crate) struct Executor {
    worker: WorkerId,
    engine: Embedded,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Where the worker notes what it has started.
    board: Option<Arc<Board>>,
    pipes: Pipes,
    /// The bytes that it had printed when it was sent its first job, if it ever was sent one.
    first: Option<Printed>,
    /// True once it has ended a job.
    has_answered: bool,
    /// The jobs that it told it began, and has not ended, and how much it had printed then.
    begun: Vec<(JobId, Printed)>,
    /// The latest lines: the word that a job began may come later than what was printed for it.
    lines: VecDeque<Line>,
    /// When the worker was ready.
    since: Instant,
    /// Whether it was told that no more jobs come.
    was_drained: bool,
    /// True once it said that its program ends, and is not to be started again.
    leaves: bool,
    /// The channel for the worker's wishes to be replaced.
    wishes: Option<mpsc::Sender<String>>,
}

impl Executor {
    /// Waits for the worker's first message.
    pub(crate) async fn ready(link: &mut Link) -> Result<Introduction, Violation> {
        match link.receive().await? {
            None => Ok(Introduction::None),
            Some(FromWorker::Leave) => Ok(Introduction::Leave),
            Some(FromWorker::Ready(ready)) if ready.protocol != PROTOCOL => {
                Err(Violation::Version(ready.protocol))
            }
            Some(FromWorker::Ready(ready)) => {
                match InputsSchema::unfit_name(&ready.inputs_schema) {
                    Some(name) => Err(Violation::InputName(name.to_owned())),
                    None => Ok(Introduction::Ready(Box::new(ready))),
                }
            }
            Some(_) => Err(Violation::OutOfTurn("a message before `ready`")),
        }
    }

    /// Tells the engine that the worker is ready, for up to `quota` jobs.
    pub(crate) fn join(
        engine: Embedded,
        worker: WorkerId,
        mut ready: Ready,
        link: &mut Link,
        quota: Option<u64>,
        pipes: Pipes,
    ) -> Self {
        if ready.shared_memory {
            link.share();
        }
        let board = link.take_file().filter(|_| ready.board);
        let board = board.map(|file| Arc::new(Board::new(file)));
        ready.board = board.is_some();
        if let Some(board) = &board {
            pipes.note_on(board);
        }
        let orders = engine.join(worker, ready, quota);
        let since = Instant::now();
        Executor {
            worker,
            engine,
            orders,
            board,
            pipes,
            first: None,
            has_answered: false,
            begun: Vec::new(),
            lines: VecDeque::new(),
            since,
            was_drained: false,
            leaves: false,
            wishes: None,
        }
    }

    /// The worker's wishes to be replaced, each with its reason. One that comes while another waits
    /// is left out.
    pub(crate) fn wishes(&mut self) -> mpsc::Receiver<String> {
        let (sender, wishes) = mpsc::channel(1);
        self.wishes = Some(sender);
        wishes
    }

    /// Whether the worker had anything to do, or was at least there for a while.
    pub(crate) fn was_of_use(&self) -> bool {
        self.first.is_some() || self.since.elapsed() >= SETTLED
    }

    /// Tells whether the worker said that its program ends, and is not to be started again.
    pub(crate) fn leaves(&self) -> bool {
        self.leaves
    }

    /// Whether the worker was told to leave.
    pub(crate) fn was_drained(&self) -> bool {
        self.was_drained
    }

    /// Passes jobs to the worker and its answers to the engine until the link ends. May be
    /// abandoned at any time. A worker that stays although it was told to leave, and has nothing
    /// to do, is not waited for long. Once its link has ended it gets no more jobs: its process may
    /// take a while to follow. Answers with the reason to end the worker, if there is one.
    pub(crate) async fn run(
        &mut self,
        mut link: Link,
        printed: &mut mpsc::Receiver<Line>,
    ) -> Option<EndCause> {
        let ended = self.converse(&mut link, printed).await;
        self.engine.drain(self.worker);
        ended.err()
    }

    async fn converse(
        &mut self,
        link: &mut Link,
        printed: &mut mpsc::Receiver<Line>,
    ) -> Result<(), EndCause> {
        let mut prints = true;
        let mut leave_at = None;
        loop {
            if self.was_drained {
                leave_at.get_or_insert_with(|| Instant::now() + LEAVE);
            }
            // A worker that never stops talking must not have the runtime to itself.
            consume_budget().await;
            tokio::select! {
                biased;
                Some(order) = self.orders.recv() => self.obey(order, link).await?,
                message = link.receive() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        if !self.begun.is_empty() {
                            // It may end a job, and what was printed before is that job's.
                            while let Ok(line) = printed.try_recv() {
                                self.log(line);
                            }
                        }
                        self.take(message, link).await?;
                    }
                },
                line = printed.recv(), if prints => match line {
                    None => prints = false,
                    Some(line) => self.log(line),
                },
                () = sleep_until(leave_at.unwrap_or_else(Instant::now)), if leave_at.is_some() => {
                    return Ok(());
                }
            }
        }
    }

    async fn obey(&mut self, order: Order, link: &mut Link) -> Result<(), EndCause> {
        match order {
            Order::Send(message) => {
                self.first.get_or_insert_with(|| self.pipes.printed());
                link.send(message).await?;
            }
            Order::Close => {
                self.was_drained = true;
                link.close();
            }
            Order::End => return Err(EndCause::Overdue),
        }
        Ok(())
    }

    async fn take(&mut self, message: FromWorker, link: &mut Link) -> Result<(), EndCause> {
        let out_of_turn = |message| move |_: OutOfTurn| Violation::OutOfTurn(message);
        match message {
            FromWorker::Start(id, printed) => {
                self.engine.start_job(self.worker, id).map_err(out_of_turn("`start`"))?;
                // A worker that cannot tell may lose its first words, and never tells another's.
                let printed = printed.unwrap_or_else(|| self.pipes.printed());
                self.begun.push((id, printed));
                for line in &self.lines {
                    let words = |job| line.since(printed).filter(|_| job == id);
                    self.engine.log(self.worker, words);
                }
            }
            FromWorker::Result(id, outcome) => {
                let outcome = outcome.checked();
                self.engine
                    .finish(self.worker, id, Ok(outcome))
                    .map_err(out_of_turn("`result`"))?;
                self.forget(id);
            }
            FromWorker::InvalidInputs(id, fields) => {
                let refused = Err(Error::invalid_inputs(fields));
                self.engine.finish(self.worker, id, refused).map_err(out_of_turn("`result`"))?;
                self.forget(id);
            }
            FromWorker::BatchFailed(id, outcome) => {
                let failed = self.engine.fail_with_batch(self.worker, id, outcome);
                failed.map_err(out_of_turn("`result`"))?;
                self.forget(id);
            }
            FromWorker::Replace(reason) => {
                if let Some(wishes) = &self.wishes {
                    let _ = wishes.try_send(reason);
                }
            }
            FromWorker::Chunk(id, content_type, data) => {
                if let Err(reason) = check_content_type(content_type.as_deref()) {
                    let message = format!("the model's piece of an answer: {reason}");
                    self.engine.abandon(id, Error::new(Kind::ModelFailed, message));
                }
                let passing = self
                    .engine
                    .with_job(self.worker, id, |job| job.chunk(content_type, data))
                    .map_err(out_of_turn("`chunk`"))?;
                if let Some(Some(passing)) = passing {
                    let passed_on = pin!(passing.pass_on());
                    self.pass_on(id, passed_on, link).await?;
                }
            }
            FromWorker::Progress(id, fraction, message) => {
                self.offer(id, Event::Progress { fraction, message }, "`progress`")?;
            }
            FromWorker::Log(id, message) => self.offer(id, Event::Log(message), "`log`")?,
            FromWorker::Pause | FromWorker::Resume => {
                self.engine.pause(self.worker, matches!(message, FromWorker::Pause));
            }
            FromWorker::Leave => self.leaves = true,
            FromWorker::Ready(_) => return Err(Violation::OutOfTurn("a second `ready`").into()),
            FromWorker::Unknown => {}
        }
        Ok(())
    }

    /// The worker has ended a job.
    fn forget(&mut self, id: JobId) {
        self.has_answered = true;
        self.begun.retain(|(begun, _)| *begun != id);
    }

    /// Tells the jobs that are followed of a line that was printed since they began.
    fn log(&mut self, line: Line) {
        let since_begun = |id| {
            let (_, printed) = self.begun.iter().find(|(begun, _)| *begun == id)?;
            line.since(*printed)
        };
        self.engine.log(self.worker, since_begun);
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn offer(&self, id: JobId, event: Event, name: &'static str) -> Result<(), Violation> {
        self.engine
            .with_job(self.worker, id, |job| job.offer(event))
            .map_err(|OutOfTurn| Violation::OutOfTurn(name))?;
        Ok(())
    }

    /// Waits until a chunk has been passed on. A follower who reads too slowly is given up, since the
    /// model waits meanwhile, and with it everybody in the queue.
    async fn pass_on(
        &mut self,
        id: JobId,
        mut passed_on: Pin<&mut impl Future<Output = bool>>,
        link: &mut Link,
    ) -> Result<(), EndCause> {
        loop {
            tokio::select! {
                biased;
                was_read = &mut passed_on => {
                    if !was_read {
                        let message = "the answer was read too slowly; the model could not wait";
                        self.engine.abandon(id, Error::new(Kind::Timeout, message));
                    }
                    return Ok(());
                }
                Some(order) = self.orders.recv() => self.obey(order, link).await?,
            }
        }
    }

    /// The bytes that the worker had printed when the first of its running jobs began: what came
    /// before may be another requester's.
    pub(crate) fn busy_since(&self) -> Printed {
        let Some(first) = self.first else { return Printed::default() };
        if !self.has_answered {
            return first;
        }
        let told = self.begun.iter().map(|(_, printed)| *printed).reduce(Printed::min);
        told.or_else(|| self.board.as_ref()?.printed()).unwrap_or(Printed::UNKNOWN)
    }

    /// Ends the worker's life, which may have `crashed`: what it worked on fails with `error`, which
    /// is told whether it had begun.
    pub(crate) fn close(self, crashed: bool, error: impl Fn(bool) -> Error) {
        let started = self.board.as_ref().and_then(|board| board.started());
        self.engine.worker_lost(self.worker, started, crashed, error);
    }
}

/// Serves jobs over a link whose worker nobody here has started, until the link ends: the worker
/// of an *attached* engine is the program that started it.
pub async fn serve_attached(engine: Embedded, mut link: Link) {
    let gone = || {
        Error::new(
            Kind::ModelCrashed,
            "the model's program ended while it worked on this request; its own output says why",
        )
    };
    let ready = match Executor::ready(&mut link).await {
        Ok(Introduction::Ready(ready)) => *ready,
        Ok(Introduction::Leave | Introduction::None) => return engine.fail(gone()),
        Err(violation) => {
            return engine.fail(Error::new(Kind::ModelUnavailable, violation.to_string()));
        }
    };
    let (worker, nothing_printed) = (WorkerId(0), Pipes::default());
    let mut executor =
        Executor::join(engine.clone(), worker, ready, &mut link, None, nothing_printed);
    let (_, mut nothing) = mpsc::channel(1);
    let ended_for = tokio::select! {
        ended_for = executor.run(link, &mut nothing) => ended_for,
        () = engine.is_shut_down() => None,
    };
    executor.close(true, |_| gone());
    engine.fail(match ended_for {
        Some(EndCause::Violation(violation)) => {
            Error::new(Kind::ModelCrashed, violation.to_string())
        }
        Some(EndCause::Overdue) => Error::new(
            Kind::ModelUnavailable,
            "the model went on with a request for longer than it may take",
        ),
        _ => Error::new(Kind::ModelUnavailable, "the model's program has ended"),
    });
}
