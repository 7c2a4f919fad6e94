//! The supervisor: it starts the model's program, starts it again when it ends for any reason,
//! and gives up, visibly, when it keeps dying before it serves.

mod renewal;

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ai_integration_contract::{Error, Kind, without_traceback};
use nix::sys::signal::Signal;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::embedded::Embedded;
use crate::link::Link;
use crate::link::board::Printed;
use crate::link::message::Ready;
use crate::scheduler::worker::WorkerId;
use crate::settings::Config;
use crate::worker::backoff::{Backoff, Turns};
use crate::worker::ending::{EndCause, Ending, Exit, is_shortage};
use crate::worker::executor::{Executor, Introduction};
use crate::worker::generation::{Generation, Life, Seat};
use crate::worker::memory;
use crate::worker::process::{Process, Program};
use crate::worker::reaper::Reaper;

/// What a worker gets to close its link's jobs once its process has ended: data that it wrote
/// before may still be on the way.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a worker gets to end once its link is closed, before it is told to, and then made to.
const LEAVE: Duration = Duration::from_secs(5);
/// The same when everything stops; platforms do not wait for long.
const LEAVE_AT_STOP: Duration = Duration::from_secs(2);
/// The same when it has not ended its jobs, and cannot any more: somebody waits for them.
const LEAVE_WITH_JOBS: Duration = Duration::from_secs(1);

/// How often a worker's memory is looked at.
const MEMORY: Duration = Duration::from_secs(1);

/// Keeps the workers of one program running.
#[derive(Clone, Debug)]
pub struct Supervisor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Embedded,
    program: Program,
    config: Config,
    reaper: Reaper,
    next_worker: AtomicU64,
    stop: CancellationToken,
    /// The worker of each slot that serves; locked while workers are being replaced.
    serving: Mutex<HashMap<usize, Kept>>,
    /// Held by the worker that is being replaced since its process is broken.
    turns: Mutex<Turns>,
    /// Workers that are kept running.
    slots: watch::Sender<usize>,
    /// How the program's last life ended, if it is not to be started again.
    last: watch::Sender<Option<Exit>>,
}

/// A worker that is kept running.
#[derive(Debug)]
struct Kept {
    seat: Seat,
    /// Ends when it has ended, and is not to be started again.
    task: JoinHandle<()>,
}

/// What follows one life of a worker.
enum Next {
    StartAgain { after: Duration },
    GiveUp(Ending),
    Stopped,
}

impl Supervisor {
    /// Starts the workers. Needs a runtime to run on.
    pub fn start(engine: Embedded, program: Program, config: Config) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let supervisor = Supervisor(Arc::new(Inner {
            engine,
            program,
            config,
            reaper: Reaper::start()?,
            next_worker: AtomicU64::new(1),
            stop,
            serving: Mutex::default(),
            turns: Mutex::default(),
            slots: watch::channel(0).0,
            last: watch::channel(None).0,
        }));
        let generation = Arc::new(Generation::new(&supervisor.0.stop, true));
        let slots = 1..=supervisor.0.config.worker_count();
        let kept = supervisor.start_generation(&generation, slots);
        // Nobody else has it yet.
        if let Ok(mut serving) = supervisor.0.serving.try_lock() {
            serving.extend(kept);
        }
        Ok(supervisor)
    }

    /// Lets the workers end: they get no more jobs. Answers when all processes are gone, which
    /// takes as long as the model works on the jobs that it has.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let mut slots = self.0.slots.subscribe();
        let _ = slots.wait_for(|slots| *slots == 0).await;
    }

    /// Ends all processes at once.
    pub fn kill(&self) {
        self.0.stop.cancel();
        self.0.reaper.kill_all();
    }

    /// Passes a signal on to every worker.
    pub fn forward(&self, signal: Signal) {
        self.0.reaper.signal_all(signal);
    }

    /// Waits until the program has been given up, and says how it last ended.
    pub async fn given_up(&self) -> Exit {
        let mut last = self.0.last.subscribe();
        match last.wait_for(Option::is_some).await.map(|exit| exit.clone()) {
            Ok(Some(exit)) => exit,
            _ => std::future::pending().await,
        }
    }

    /// Starts a worker in each of these slots, and keeps it running.
    fn start_generation(
        &self,
        generation: &Arc<Generation>,
        slots: RangeInclusive<usize>,
    ) -> Vec<(usize, Kept)> {
        let start = |slot| {
            self.0.slots.send_modify(|slots| *slots += 1);
            let seat = generation.seat();
            let (supervisor, taken) = (self.clone(), seat.clone());
            let task = tokio::spawn(async move { supervisor.keep_running(&taken, slot).await });
            (slot, Kept { seat, task })
        };
        slots.map(start).collect()
    }

    async fn keep_running(&self, seat: &Seat, slot: usize) {
        let shared = &*self.0;
        let mut backoff = Backoff::new(shared.config.start_attempts);
        loop {
            match self.live(seat, slot, &mut backoff).await {
                Next::Stopped => break,
                Next::StartAgain { after } => {
                    if !seat.pause(after).await {
                        break;
                    }
                }
                Next::GiveUp(ending) => {
                    let is_last = shared.without_slot();
                    let error = ending.error(Kind::ModelUnavailable, "the model cannot be started");
                    if !seat.generation.is_admitted() {
                        seat.generation.broken.send_replace(Some(error));
                        return;
                    }
                    if is_last {
                        shared.engine.fail(error);
                        shared.last.send_replace(Some(ending.exit));
                        return;
                    }
                    if shared.config.reload {
                        let message = &error.message;
                        tracing::error!("worker {slot} is out until a file changes: {message}");
                        seat.generation.broken.send_replace(Some(error));
                        return seat.drain.cancelled().await;
                    }
                    // The others show that the program can run: this is not its end.
                    let pause = Backoff::LONGEST;
                    // The program has printed its traceback.
                    let output = without_traceback(&error.output.join("\n"));
                    let error =
                        error.with_output(&output.lines().map(str::to_owned).collect::<Vec<_>>());
                    tracing::error!("worker {slot} is out for {} s: {error}", pause.as_secs());
                    if !seat.pause(pause).await {
                        return;
                    }
                    shared.slots.send_modify(|slots| *slots += 1);
                }
            }
        }
        shared.without_slot();
    }

    /// One life of a worker, from the start of its process to its end.
    async fn live(&self, seat: &Seat, slot: usize, backoff: &mut Backoff) -> Next {
        let shared = &*self.0;
        let label = (shared.config.worker_count() > 1).then_some(slot);
        let who = shared.name(slot);
        let device = shared.config.devices.iter().cycle().nth(slot - 1);
        let started = Process::start(
            &shared.program,
            &shared.reaper,
            label,
            device,
            shared.config.worker_rlimits(),
        );
        let (process, link) = match started {
            Ok((process, socket)) => (process, Link::over_socket(socket)),
            Err(error) => return shared.not_started(seat, backoff, &error),
        };
        tracing::debug!(pid = process.pid, "{who} started");

        let pid = process.pid;
        shared.engine.metrics().worker_began(slot, pid);
        let worker = WorkerId(shared.next_worker.fetch_add(1, Ordering::Relaxed));
        let (ending, executor) = self.attend(seat, worker, slot, process, link).await;
        let was_of_use = executor.as_ref().is_some_and(Executor::was_of_use);
        let was_drained = executor.as_ref().is_some_and(Executor::was_drained);
        let cause = if was_drained { EndCause::Retired } else { ending.cause() };
        shared.engine.metrics().worker_ended(slot, pid, &cause);
        if let Some(executor) = executor {
            executor.close(ending.is_crash(), |had_begun| {
                if had_begun {
                    let what = "the model's process ended while it worked on this request";
                    return ending.error(Kind::ModelCrashed, what);
                }
                // What it printed last has to do with something else.
                let what = "processes of the model keep ending before they begin this request";
                Error { output: Vec::new(), ..ending.error(Kind::ModelCrashed, what) }
            });
        }
        if seat.drain.is_cancelled() {
            return Next::Stopped;
        }
        if matches!(ending.exit, Exit::Left(_)) && seat.generation.is_admitted() {
            return Next::GiveUp(ending);
        }
        if was_of_use {
            backoff.reset();
            if was_drained && ending.exit == Exit::Status(0) {
                tracing::info!("{who} was told to end and did; starting it afresh");
            } else {
                tracing::warn!("{who} ended: {ending}; starting it again");
            }
            return Next::StartAgain { after: Duration::ZERO };
        }
        // A program that somebody works on would fail as it did, until a file changes.
        let may_try_again = seat.generation.is_admitted() && !shared.config.reload;
        let pause = if may_try_again { backoff.next() } else { None };
        let Some(after) = pause else {
            tracing::debug!("{who} ended: {ending}; giving up");
            return Next::GiveUp(ending);
        };
        let seconds = after.as_secs_f64();
        tracing::warn!("{who} ended: {ending}; starting it again in {seconds} s");
        Next::StartAgain { after }
    }

    /// Attends to a worker until its process is gone, whatever it takes.
    async fn attend(
        &self,
        seat: &Seat,
        worker: WorkerId,
        slot: usize,
        mut process: Process,
        link: Link,
    ) -> (Ending, Option<Executor>) {
        let (mut ended_for, executor) = self.converse(seat, worker, slot, &mut process, link).await;
        if ended_for.is_some() {
            process.signal(Signal::SIGKILL);
        }
        let patience = if !self.0.engine.is_free(worker) {
            LEAVE_WITH_JOBS
        } else if self.0.stop.is_cancelled() {
            LEAVE_AT_STOP
        } else {
            LEAVE
        };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if timeout(patience, process.ended()).await.is_ok() {
                break;
            }
            ended_for.get_or_insert(EndCause::ClosedLink);
            process.signal(signal);
        }
        let was_ready = executor.is_some();
        let exit = match timeout(LEAVE, process.ended()).await.unwrap_or(Exit::Unknown) {
            Exit::Status(status) if process.leaves && self.0.may_leave(was_ready, status) => {
                Exit::Left(status)
            }
            exit => exit,
        };
        // One that was never ready printed nothing that has to do with a request.
        let since = executor.as_ref().map_or_else(Printed::default, Executor::busy_since);
        (Ending { exit, ended_for, was_ready, output: process.last_output(since).await }, executor)
    }

    /// Talks to a worker until its link ends, and says why the process has to be ended, if that
    /// is so. Answers also with its executor, if it became ready.
    async fn converse(
        &self,
        seat: &Seat,
        worker: WorkerId,
        slot: usize,
        process: &mut Process,
        mut link: Link,
    ) -> (Option<EndCause>, Option<Executor>) {
        let shared = &*self.0;
        let ready = match shared.readiness(seat, process, &mut link).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return (None, None),
            Err(cause) => return (Some(cause), None),
        };
        let (engine, pipes) = (shared.engine.clone(), process.pipes());
        let quota = shared.config.quota();
        let mut executor = Executor::join(engine, worker, ready, &mut link, quota, pipes);
        let mut wishes = executor.wishes();
        let life = Life { slot, over: seat.drain.child_token() };
        let _over = life.over.clone().drop_guard();
        let mut replacement: Option<JoinHandle<()>> = None;
        let (pid, mut exit, mut printed) = process.follow();
        let (abandon, abandoned) = oneshot::channel::<()>();
        // On a task of its own: what is waited for below is looked at when it happens, and not
        // with each message.
        let mut talk = tokio::spawn(async move {
            let ended_for = tokio::select! {
                biased;
                ended_for = executor.run(link, &mut printed) => ended_for,
                _ = abandoned => None,
            };
            (executor, printed, ended_for)
        });
        let mut grown = pin!(shared.has_grown(pid));
        let mut serves = true;
        let mut stopped = None;
        let talked = loop {
            tokio::select! {
                talked = &mut talk => break talked,
                () = shared.engine.is_shut_down() => {
                    stopped = Some(EndCause::Stopped);
                    drop(abandon);
                    break talk.await;
                }
                () = seat.drain.cancelled(), if serves => {
                    serves = false;
                    shared.engine.drain(worker);
                }
                () = &mut grown, if serves => {
                    serves = false;
                    shared.engine.drain(worker);
                }
                Some(reason) = wishes.recv() => {
                    if serves && replacement.as_ref().is_none_or(JoinHandle::is_finished) {
                        let replaced = self.clone().replace(life.clone(), shared.name(slot), reason);
                        replacement = Some(tokio::spawn(replaced));
                    }
                }
                _ = exit.ended() => {
                    // A process that the model left behind may hold the link open.
                    if let Ok(talked) = timeout(LAST_WORDS, &mut talk).await {
                        break talked;
                    }
                    drop(abandon);
                    break talk.await;
                }
            }
        };
        let (executor, printed, ended_for) =
            talked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        process.take_back(printed);
        process.leaves = executor.leaves();
        (stopped.or(ended_for), Some(executor))
    }
}

impl Inner {
    /// The worker of a slot, for people.
    fn name(&self, slot: usize) -> String {
        match self.config.worker_count() {
            1 => "the program".to_owned(),
            _ => format!("worker {slot}"),
        }
    }

    /// Decides what follows a start that failed.
    fn not_started(&self, seat: &Seat, backoff: &mut Backoff, error: &io::Error) -> Next {
        // The requester is not told where it lies.
        let program = self.program.command.first().map(|name| name.to_string_lossy());
        tracing::error!("{}: {error}", program.unwrap_or_default());
        self.engine.metrics().worker_not_started();
        let has_served = seat.generation.is_admitted() && self.engine.model().borrow().is_some();
        let is_shortage = is_shortage(error);
        match backoff.next() {
            Some(after) if has_served || is_shortage => Next::StartAgain { after },
            // What could be started can be again, as soon as the system has room for it.
            None if has_served && is_shortage && self.config.start_attempts > 1 => {
                Next::StartAgain { after: Backoff::LONGEST }
            }
            _ => Next::GiveUp(Ending::not_started(error)),
        }
    }

    /// Tells whether a program that says `leave` ends the engine: with any status from a loop, which
    /// cannot go on then; before its loop when it ends with 0 and has never served. A program that has
    /// served may do so again.
    fn may_leave(&self, was_ready: bool, status: i32) -> bool {
        was_ready || (status == 0 && self.engine.model().borrow().is_none())
    }

    /// Waits until the worker is ready and may take jobs. `None` when it ends before that by
    /// itself; an error is the reason to end it.
    async fn readiness(
        &self,
        seat: &Seat,
        process: &mut Process,
        link: &mut Link,
    ) -> Result<Option<Ready>, EndCause> {
        let patience = self.config.start_timeout;
        let ready = tokio::select! {
            ready = Executor::ready(link) => ready,
            _ = process.ended() => {
                let said = timeout(LAST_WORDS, Executor::ready(link)).await;
                said.unwrap_or(Ok(Introduction::None))
            }
            () = sleep(patience) => return Err(EndCause::NotReady(patience)),
            () = seat.drain.cancelled() => return Err(EndCause::Stopped),
        };
        let ready = match ready? {
            Introduction::Ready(ready) => *ready,
            Introduction::Leave => {
                process.leaves = true;
                return Ok(None);
            }
            Introduction::None => return Ok(None),
        };
        tokio::select! {
            () = seat.generation.admission() => Ok(Some(ready)),
            _ = process.ended() => Ok(None),
            () = seat.drain.cancelled() => Err(EndCause::Stopped),
        }
    }

    /// One worker fewer is kept running; whether it was the last one.
    fn without_slot(&self) -> bool {
        let mut left = 0;
        self.slots.send_modify(|slots| {
            *slots -= 1;
            left = *slots;
        });
        left == 0
    }

    /// Waits until the process takes up more memory than it may; for ever, when it may take all.
    async fn has_grown(&self, pid: i32) {
        let Some(most) = self.config.max_rss else { return std::future::pending().await };
        loop {
            sleep(MEMORY).await;
            if let Some(bytes) = memory::resident(pid)
                && bytes > most as u64
            {
                let (has, may) = (bytes >> 20, most >> 20);
                tracing::info!("process {pid} takes up {has} MiB, more than {may}; it is to end");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
