//! The executor of one worker: it carries the engine's orders to the worker, and the worker's
//! messages and printed lines to the engine.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Data, Error, InputsSchema, Kind, Tasks, check_content_type};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};

use crate::engine::embedded::{Embedded, Order};
use crate::job::channel::Exceeded;
use crate::job::event::Event;
use crate::job::id::JobId;
use crate::link::Link;
use crate::link::board::{Board, Printed};
use crate::link::message::{FromWorker, PROTOCOL, Ready, ToWorker, Violation};
use crate::scheduler::worker::{OutOfTurn, WorkerId};
use crate::worker::ending::EndCause;
use crate::worker::pipe::Pipes;
use crate::worker::tail::Line;

/// The time in which a drained worker must close its link, after the engine has closed its
/// direction.
const LEAVE: Duration = Duration::from_secs(2);

/// The number of printed lines that are kept for jobs whose start has not been reported yet.
const KEPT_LINES: usize = 16;

/// A worker that was ready for this time has started successfully.
const SETTLED: Duration = Duration::from_secs(1);

/// The first message of a worker.
pub(crate) enum Introduction {
    /// `ready`: it describes the model and asks for its first job.
    Ready(Box<Ready>),
    /// `leave`: the program ends before its loop, and must not be restarted.
    Leave,
    /// No message: the link ended before.
    None,
}

/// A worker that was started, as its supervisor knows it.
#[derive(Debug)]
pub(crate) struct StartedWorker {
    pub(crate) id: WorkerId,
    /// The slot that it runs in.
    pub(crate) slot: usize,
    /// The number of jobs after which it is recycled, if there is a limit.
    pub(crate) quota: Option<u64>,
    pub(crate) pipes: Pipes,
}

/// The executor of one worker, from its `ready` to its end.
#[derive(Debug)]
pub(crate) struct Executor {
    worker: WorkerId,
    engine: Embedded,
    /// The number of jobs that the worker runs at a time. If there are several, the pipes do not
    /// say which job printed a line.
    concurrency: usize,
    orders: mpsc::UnboundedReceiver<Order>,
    /// The board on which the worker records the job that it has started.
    board: Option<Arc<Board>>,
    pipes: Pipes,
    /// The moment in the worker's output when it was sent its first job, if it was sent any.
    first: Option<Printed>,
    /// True once the worker has finished a job.
    has_answered: bool,
    /// The jobs whose start the worker has reported and which it has not finished, each with the
    /// moment in its output.
    begun: Vec<(JobId, Printed)>,
    /// The latest printed lines: the start of a job may be reported after lines that belong to it.
    lines: VecDeque<Line>,
    /// The time when the worker became ready.
    since: Instant,
    /// True once the engine has closed its direction of the link.
    was_drained: bool,
    /// True once the worker has sent `leave`: it ends, and must not be restarted.
    leaves: bool,
    /// The channel for the reasons of the worker's `replace` messages.
    replace_reasons: Option<mpsc::Sender<String>>,
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
                if let Some(name) = InputsSchema::unfit_name(&ready.inputs_schema) {
                    return Err(Violation::InputName(name.to_owned()));
                }
                Tasks::parse(&ready.task).map_err(Violation::Task)?;
                Ok(Introduction::Ready(Box::new(ready)))
            }
            Some(_) => Err(Violation::OutOfTurn("a message before `ready`")),
        }
    }

    /// Adds a worker that is ready to the engine.
    pub(crate) fn join(
        engine: Embedded,
        link: &mut Link,
        mut ready: Ready,
        started: StartedWorker,
    ) -> Self {
        let StartedWorker { id: worker, slot, quota, pipes } = started;
        if ready.shared_memory {
            link.share();
        }
        let board = link.take_file().filter(|_| ready.board);
        let board = board.map(|file| Arc::new(Board::new(file)));
        ready.board = board.is_some();
        if let Some(board) = &board {
            pipes.attach_board(board);
        }
        let concurrency = ready.concurrency();
        let orders = engine.join(worker, slot, ready, quota);
        let since = Instant::now();
        Executor {
            worker,
            engine,
            concurrency,
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
            replace_reasons: None,
        }
    }

    /// Returns a channel with the reason of each `replace` message of the worker. A message that
    /// arrives while another one waits is dropped.
    pub(crate) fn replace_reasons(&mut self) -> mpsc::Receiver<String> {
        let (sender, reasons) = mpsc::channel(1);
        self.replace_reasons = Some(sender);
        reasons
    }

    /// Returns true if the start of the worker was a success: it got a job, or was ready for a
    /// second.
    pub(crate) fn was_started(&self) -> bool {
        self.first.is_some() || self.since.elapsed() >= SETTLED
    }

    /// Returns true if the worker has sent `leave`: it ends, and must not be restarted.
    pub(crate) fn leaves(&self) -> bool {
        self.leaves
    }

    /// Returns true if the worker was drained.
    pub(crate) fn was_drained(&self) -> bool {
        self.was_drained
    }

    /// Carries messages between the engine and the worker until the link ends. A drained worker
    /// must close its link within [`LEAVE`]. After the end of the link the worker gets no more
    /// jobs, although its process may run for a while. Returns the reason to kill the worker, if
    /// there is one. The future may be dropped at any time.
    pub(crate) async fn run(
        &mut self,
        mut link: Link,
        printed: &mut mpsc::Receiver<Line>,
    ) -> Option<EndCause> {
        let ended = self.converse(&mut link, printed).await;
        self.engine.drain(self.worker);
        ended.err()
    }

    /// Exchanges messages with the worker until the link ends.
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
            // A worker that sends messages without end must not block the runtime.
            consume_budget().await;
            tokio::select! {
                biased;
                Some(order) = self.orders.recv() => self.carry_out(order, link).await?,
                message = link.receive() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        if !self.begun.is_empty() {
                            // The message may end a job, and lines printed before belong to that
                            // job.
                            while let Ok(line) = printed.try_recv() {
                                self.log(line);
                            }
                        }
                        self.handle(message, link).await?;
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

    /// Carries out an order of the engine.
    async fn carry_out(&mut self, order: Order, link: &mut Link) -> Result<(), EndCause> {
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

    /// Handles a message of the worker.
    async fn handle(&mut self, message: FromWorker, link: &mut Link) -> Result<(), EndCause> {
        let out_of_turn = |message| move |_: OutOfTurn| Violation::OutOfTurn(message);
        match message {
            FromWorker::Start(id, printed) => {
                self.engine.start_job(self.worker, id).map_err(out_of_turn("`start`"))?;
                // A worker without a board sends no number. If the engine counts instead, the job
                // may lose its first lines, but never gets the lines of another job.
                let printed = printed.unwrap_or_else(|| self.pipes.printed());
                self.begun.push((id, printed));
                for line in &self.lines {
                    let text = |job| line.since(printed).filter(|_| job == id);
                    self.engine.log(self.worker, text);
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
                if let Some(reasons) = &self.replace_reasons {
                    let _ = reasons.try_send(reason);
                }
            }
            FromWorker::Chunk(id, content_type, data) => {
                self.handle_chunk(id, content_type, data, link).await?;
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

    /// Passes a chunk on to the requester of its job, which blocks the worker while the window is
    /// full.
    async fn handle_chunk(
        &mut self,
        id: JobId,
        content_type: Option<String>,
        data: Data,
        link: &mut Link,
    ) -> Result<(), EndCause> {
        if let Err(reason) = check_content_type(content_type.as_deref()) {
            let message = format!("a chunk of the model's result: {reason}");
            self.engine.abandon(id, Error::new(Kind::ModelFailed, message));
        }
        if self.concurrency > 1 {
            return self.handle_chunk_in_window(id, content_type, data, link).await;
        }
        let passing = self
            .engine
            .with_job(self.worker, id, |job| job.chunk(content_type, data))
            .map_err(|OutOfTurn| Violation::OutOfTurn("`chunk`"))?;
        if let Some(Some(passing)) = passing {
            let passed_on = pin!(passing.pass_on());
            self.pass_on(id, passed_on, link).await?;
        }
        Ok(())
    }

    /// Passes a chunk of a concurrent worker on, and reports to the worker how much it may send.
    async fn handle_chunk_in_window(
        &mut self,
        id: JobId,
        content_type: Option<String>,
        data: Data,
        link: &mut Link,
    ) -> Result<(), EndCause> {
        let passed_on = self
            .engine
            .with_job(self.worker, id, |job| job.chunk_in_window(content_type, data))
            .map_err(|OutOfTurn| Violation::OutOfTurn("`chunk`"))?;
        match passed_on {
            Some(Ok(Some(bytes))) => link.send(ToWorker::Window { id, bytes }).await?,
            Some(Err(Exceeded)) => {
                let message = "the worker sent more of the result than its window allows";
                self.engine.abandon(id, Error::new(Kind::ModelFailed, message));
            }
            Some(Ok(None)) | None => {}
        }
        Ok(())
    }

    /// Removes a job that the worker has finished.
    fn forget(&mut self, id: JobId) {
        self.has_answered = true;
        self.begun.retain(|(begun, _)| *begun != id);
    }

    /// Passes a printed line on to the followed jobs that were started before it.
    fn log(&mut self, line: Line) {
        if self.concurrency > 1 {
            return;
        }
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

    /// Passes an event on to the requester of a job.
    fn offer(&self, id: JobId, event: Event, name: &'static str) -> Result<(), Violation> {
        self.engine
            .with_job(self.worker, id, |job| job.offer(event))
            .map_err(|OutOfTurn| Violation::OutOfTurn(name))?;
        Ok(())
    }

    /// Waits until a chunk has been passed on. If the requester reads too slowly, the job is
    /// abandoned, because the model is blocked, and with it all requests in the queue.
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
                        self.engine.abandon(id, Embedded::read_too_slowly());
                    }
                    return Ok(());
                }
                Some(order) = self.orders.recv() => self.carry_out(order, link).await?,
            }
        }
    }

    /// Returns the moment in the output when the first of the running jobs was started. Earlier
    /// lines may belong to another requester.
    pub(crate) fn busy_since(&self) -> Printed {
        let Some(first) = self.first else { return Printed::default() };
        if self.concurrency > 1 {
            return Printed::UNKNOWN;
        }
        if !self.has_answered {
            return first;
        }
        let reported = self.begun.iter().map(|(_, printed)| *printed).reduce(Printed::min);
        reported.or_else(|| self.board.as_ref()?.printed()).unwrap_or(Printed::UNKNOWN)
    }

    /// Removes the lost worker from the engine. See [`Embedded::worker_lost`] for `crashed` and
    /// `error`.
    pub(crate) fn close(self, crashed: bool, error: impl Fn(bool) -> Error) {
        let started = self.board.as_ref().and_then(|board| board.started());
        self.engine.worker_lost(self.worker, started, crashed, error);
    }
}

/// Serves jobs over the link of a worker that the engine did not start, until the link ends. In an
/// *attached* engine this worker is the program that started the engine.
pub async fn serve_attached(engine: Embedded, mut link: Link) {
    let gone = |when: &str| {
        let message = format!("the model process ended {when}; its output says why");
        Error::new(Kind::ModelCrashed, message)
    };
    let ready = match Executor::ready(&mut link).await {
        Ok(Introduction::Ready(ready)) => *ready,
        Ok(Introduction::Leave | Introduction::None) => {
            return engine.fail(gone("before it was ready"));
        }
        Err(violation) => {
            return engine.fail(Error::new(Kind::ModelUnavailable, violation.to_string()));
        }
    };
    let pipes = Pipes::default();
    let started = StartedWorker { id: WorkerId(0), slot: 1, quota: None, pipes };
    let mut executor = Executor::join(engine.clone(), &mut link, ready, started);
    let (_, mut no_lines) = mpsc::channel(1);
    let ended_for = tokio::select! {
        ended_for = executor.run(link, &mut no_lines) => ended_for,
        () = engine.is_shut_down() => None,
    };
    executor.close(true, |had_begun| {
        gone(if had_begun {
            "while it worked on this request"
        } else {
            "before it started this request"
        })
    });
    engine.fail(match ended_for {
        Some(EndCause::Violation(violation)) => {
            Error::new(Kind::ModelCrashed, violation.to_string())
        }
        Some(EndCause::Overdue) => Error::new(
            Kind::ModelUnavailable,
            "the model did not finish a request within its timeout",
        ),
        _ => Error::new(Kind::ModelUnavailable, "the model process has ended"),
    });
}
