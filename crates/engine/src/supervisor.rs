//! The supervisor: it starts the model's program, starts it again when it ends for any reason,
//! and gives up, visibly, when it keeps dying before it serves.

mod backoff;
mod ending;
mod output;
mod process;
mod reaper;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use nix::sys::signal::Signal;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::ending::Exit;
pub(crate) use self::ending::{CAUSES, NOT_STARTED};
pub use self::output::Output;
pub(crate) use self::process::resident_memory;
pub use self::process::{LINK_VARIABLE, Program};
pub use self::reaper::WORKER_VARIABLE;

use self::backoff::Backoff;
use self::ending::{Cause, Ending, is_shortage};
use self::process::Process;
use self::reaper::Reaper;
use crate::executor::{End, Executor};
use crate::scheduler::WorkerId;
use crate::settings::Config;
use crate::{Engine, Link};

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
pub struct Supervisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: Engine,
    program: Program,
    config: Config,
    reaper: Reaper,
    next_worker: AtomicU64,
    stop: CancellationToken,
    /// The workers that serve; locked while they are being replaced.
    serving: Mutex<Arc<Generation>>,
    /// Workers that are kept running.
    slots: watch::Sender<usize>,
    /// How the program's last life ended, if it is not to be started again.
    last: watch::Sender<Option<Exit>>,
}

/// Workers that were started together: one for each slot, started again as they end.
#[derive(Debug)]
struct Generation {
    /// Cancelled when others take over.
    retire: CancellationToken,
    /// Whether its workers may take jobs.
    admitted: watch::Sender<bool>,
    /// Workers that have become ready before they were admitted.
    ready: watch::Sender<usize>,
    /// Why it cannot be admitted.
    broken: watch::Sender<Option<String>>,
}

/// What follows one life of a worker.
enum Next {
    StartAgain { after: Duration },
    GiveUp(Ending),
    Stopped,
}

impl Supervisor {
    /// Starts the workers. Needs a runtime to run on.
    pub fn start(engine: Engine, program: Program, config: Config) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let generation = Arc::new(Generation::new(&stop, true));
        let supervisor = Supervisor(Arc::new(Shared {
            engine,
            program,
            config,
            reaper: Reaper::start()?,
            next_worker: AtomicU64::new(1),
            stop,
            serving: Mutex::new(generation.clone()),
            slots: watch::channel(0).0,
            last: watch::channel(None).0,
        }));
        supervisor.start_generation(&generation);
        Ok(supervisor)
    }

    /// Starts the program anew beside the workers that serve, and lets the new workers take over
    /// once all of them are ready; the old ones finish what they have. When a new one does not get
    /// that far, the old ones go on.
    pub async fn reload(&self) {
        let shared = &*self.0;
        let mut serving = shared.serving.lock().await;
        tracing::info!("starting the program anew; the workers that serve go on meanwhile");
        let fresh = Arc::new(Generation::new(&shared.stop, false));
        self.start_generation(&fresh);
        let (mut ready, mut broken) = (fresh.ready.subscribe(), fresh.broken.subscribe());
        tokio::select! {
            _ = ready.wait_for(|ready| *ready == shared.config.workers) => {
                fresh.admitted.send_replace(true);
                serving.retire.cancel();
                *serving = fresh;
                tracing::info!("the new workers have taken over");
            }
            reason = broken.wait_for(Option::is_some) => {
                let reason = reason.ok().and_then(|reason| reason.clone()).unwrap_or_default();
                fresh.retire.cancel();
                tracing::error!("the program cannot be started anew, the old workers go on: {reason}");
            }
            () = shared.stop.cancelled() => {}
        }
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

    fn start_generation(&self, generation: &Arc<Generation>) {
        for slot in 1..=self.0.config.workers {
            self.0.slots.send_modify(|slots| *slots += 1);
            let (supervisor, generation) = (self.clone(), generation.clone());
            tokio::spawn(async move { supervisor.keep_running(&generation, slot).await });
        }
    }

    async fn keep_running(&self, generation: &Generation, slot: usize) {
        let shared = &*self.0;
        let mut backoff = Backoff::new(shared.config.start_attempts);
        loop {
            match self.live(generation, slot, &mut backoff).await {
                Next::Stopped => break,
                Next::StartAgain { after } => {
                    if !generation.pause(after).await {
                        break;
                    }
                }
                Next::GiveUp(ending) => {
                    let is_last = shared.without_slot();
                    let error = ending.error(Kind::ModelUnavailable, "the model cannot be started");
                    if !generation.is_admitted() {
                        generation.broken.send_replace(Some(error.to_string()));
                        return;
                    }
                    if is_last {
                        shared.engine.fail(error);
                        shared.last.send_replace(Some(ending.exit));
                        return;
                    }
                    // The others show that the program can run: this is not its end.
                    let pause = Backoff::LONGEST;
                    tracing::error!("worker {slot} is out for {} s: {error}", pause.as_secs());
                    if !generation.pause(pause).await {
                        return;
                    }
                    shared.slots.send_modify(|slots| *slots += 1);
                }
            }
        }
        shared.without_slot();
    }

    /// One life of a worker, from the start of its process to its end.
    async fn live(&self, generation: &Generation, slot: usize, backoff: &mut Backoff) -> Next {
        let shared = &*self.0;
        let label = (shared.config.workers > 1).then_some(slot);
        let who = label.map_or("the program".to_owned(), |slot| format!("worker {slot}"));
        let device = shared.config.devices.iter().cycle().nth(slot - 1);
        let started = Process::start(
            &shared.program,
            &shared.reaper,
            label,
            device,
            shared.config.worker_limits,
        );
        let (process, link) = match started {
            Ok((process, socket)) => (process, Link::over_socket(socket)),
            Err(error) => {
                // The requester is not told where it lies.
                let program = shared.program.command.first().map(|name| name.to_string_lossy());
                tracing::error!("{}: {error}", program.unwrap_or_default());
                shared.engine.metrics().worker_not_started();
                let has_served = generation.is_admitted() && shared.engine.model_now().is_some();
                let is_shortage = is_shortage(&error);
                return match backoff.next() {
                    Some(after) if has_served || is_shortage => Next::StartAgain { after },
                    // What could be started can be again, as soon as the system has room for it.
                    None if has_served && is_shortage && shared.config.start_attempts > 1 => {
                        Next::StartAgain { after: Backoff::LONGEST }
                    }
                    _ => Next::GiveUp(Ending::not_started(&error)),
                };
            }
        };
        tracing::debug!(pid = process.pid, "{who} started");

        let pid = process.pid;
        shared.engine.metrics().worker_began(slot, pid);
        let worker = WorkerId(shared.next_worker.fetch_add(1, Ordering::Relaxed));
        let (ending, executor) = self.attend(generation, worker, process, link).await;
        let was_of_use = executor.as_ref().is_some_and(Executor::was_of_use);
        let was_retired = executor.as_ref().is_some_and(Executor::was_retired);
        let cause = if was_retired { "retired" } else { ending.cause_label() };
        shared.engine.metrics().worker_ended(slot, pid, cause);
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
        if generation.retire.is_cancelled() {
            return Next::Stopped;
        }
        if was_of_use {
            backoff.reset();
            if was_retired && ending.exit == Exit::Status(0) {
                tracing::info!("{who} was told to end and did; starting it afresh");
            } else {
                tracing::warn!("{who} ended: {ending}; starting it again");
            }
            return Next::StartAgain { after: Duration::ZERO };
        }
        let pause = if generation.is_admitted() { backoff.next() } else { None };
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
        generation: &Generation,
        worker: WorkerId,
        mut process: Process,
        link: Link,
    ) -> (Ending, Option<Executor>) {
        let (mut cause, executor) = self.converse(generation, worker, &mut process, link).await;
        if cause.is_some() {
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
            cause.get_or_insert(Cause::ClosedLink);
            process.signal(signal);
        }
        let exit = timeout(LEAVE, process.ended()).await.unwrap_or(Exit::Unknown);
        let was_ready = executor.is_some();
        (Ending { exit, cause, was_ready, output: process.last_output().await }, executor)
    }

    /// Talks to a worker until its link ends, and says why the process has to be ended, if that
    /// is so. Answers also with its executor, if it became ready.
    async fn converse(
        &self,
        generation: &Generation,
        worker: WorkerId,
        process: &mut Process,
        mut link: Link,
    ) -> (Option<Cause>, Option<Executor>) {
        let shared = &*self.0;
        let patience = shared.config.start_timeout;
        let ready = tokio::select! {
            ready = Executor::ready(&mut link) => ready,
            _ = process.ended() => {
                timeout(LAST_WORDS, Executor::ready(&mut link)).await.unwrap_or(Ok(None))
            }
            () = sleep(patience) => return (Some(Cause::NotReady(patience)), None),
            () = generation.retire.cancelled() => return (Some(Cause::Stopped), None),
        };
        let ready = match ready {
            Ok(Some(ready)) => ready,
            Ok(None) => return (None, None),
            Err(violation) => return (Some(Cause::Violation(violation)), None),
        };
        tokio::select! {
            () = generation.admission() => {}
            _ = process.ended() => return (None, None),
            () = generation.retire.cancelled() => return (Some(Cause::Stopped), None),
        }
        let engine = shared.engine.clone();
        let mut executor = Executor::join(engine, worker, ready, &mut link, shared.config.quota());
        let (pid, mut exit, mut printed) = process.follow();
        let (abandon, abandoned) = oneshot::channel::<()>();
        // On a task of its own: what is waited for below is looked at when it happens, and not
        // with each message.
        let mut talk = tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                end = executor.run(link, &mut printed) => Some(end),
                _ = abandoned => None,
            };
            (executor, printed, end)
        });
        let mut grown = pin!(shared.has_grown(pid));
        let mut serves = true;
        let mut cause = None;
        let talked = loop {
            tokio::select! {
                talked = &mut talk => break talked,
                () = shared.engine.is_shut_down() => {
                    cause = Some(Cause::Stopped);
                    drop(abandon);
                    break talk.await;
                }
                () = generation.retire.cancelled(), if serves => {
                    serves = false;
                    shared.engine.retire(worker);
                }
                () = &mut grown, if serves => {
                    serves = false;
                    shared.engine.retire(worker);
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
        let (executor, printed, end) =
            talked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        process.take_back(printed);
        let cause = cause.or(match end {
            None | Some(End::Closed) => None,
            Some(End::Violation(violation)) => Some(Cause::Violation(violation)),
            Some(End::Overdue) => Some(Cause::Overdue),
        });
        (cause, Some(executor))
    }
}

impl Shared {
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
            if let Some(bytes) = process::resident_memory(pid)
                && bytes > most
            {
                let (has, may) = (bytes >> 20, most >> 20);
                tracing::info!("process {pid} takes up {has} MiB, more than {may}; it is to end");
                return;
            }
        }
    }
}

impl Generation {
    fn new(stop: &CancellationToken, is_admitted: bool) -> Self {
        Generation {
            retire: stop.child_token(),
            admitted: watch::channel(is_admitted).0,
            ready: watch::channel(0).0,
            broken: watch::channel(None).0,
        }
    }

    /// Lets time pass; false when the workers have to end instead.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => true,
            () = self.retire.cancelled() => false,
        }
    }

    fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }

    /// Called by each worker that is ready: waits until all are.
    async fn admission(&self) {
        if !self.is_admitted() {
            self.ready.send_modify(|ready| *ready += 1);
        }
        let _ = self.admitted.subscribe().wait_for(|admitted| *admitted).await;
    }
}

#[cfg(test)]
mod tests;
