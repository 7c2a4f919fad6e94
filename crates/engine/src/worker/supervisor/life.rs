//! One life of a worker: its process is started, serves jobs, and ends.

use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};

use super::{Inner, Next, Supervisor};
use crate::link::Link;
use crate::link::board::Printed;
use crate::link::message::Ready;
use crate::scheduler::worker::WorkerId;
use crate::worker::backoff::Backoff;
use crate::worker::ending::{EndCause, Ending, Exit, is_shortage};
use crate::worker::executor::{Executor, Introduction, StartedWorker};
use crate::worker::generation::{Life, Seat};
use crate::worker::memory;
use crate::worker::process::Process;
use crate::worker::reaper::ExitWatch;
use crate::worker::tail::Line;

/// The time for which the link of an ended process is still read, because data that the process
/// wrote before may not have arrived yet.
const LAST_MESSAGES: Duration = Duration::from_secs(1);
/// The time that a worker gets to exit once its link is closed, before SIGTERM, and again before
/// SIGKILL.
const LEAVE: Duration = Duration::from_secs(5);
/// The time that replaces [`LEAVE`] when the server stops, because platforms do not wait for long.
const LEAVE_AT_STOP: Duration = Duration::from_secs(2);
/// The time that replaces [`LEAVE`] for a worker that still holds jobs. It cannot finish them
/// without its link, and requesters wait for them.
const LEAVE_WITH_JOBS: Duration = Duration::from_secs(1);
/// The time between two checks of a worker's memory.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// The exchange of messages with a worker, which runs on a task of its own.
struct Conversation {
    task: JoinHandle<ConversationEnd>,
    /// Ends the conversation when it is dropped.
    abandon: oneshot::Sender<()>,
    /// The reasons of the worker's `replace` messages.
    replace_reasons: mpsc::Receiver<String>,
}

/// The end of a conversation: the executor, the channel of printed lines, and the reason to kill
/// the worker, if there is one.
type ConversationEnd = (Executor, mpsc::Receiver<Line>, Option<EndCause>);

impl Supervisor {
    /// Runs one life of a worker, from the start of its process to its end.
    pub(super) async fn live(&self, seat: &Seat, slot: usize, backoff: &mut Backoff) -> Next {
        let inner = &*self.0;
        let label = (inner.config.worker_count() > 1).then_some(slot);
        let device = inner.config.devices.iter().cycle().nth(slot - 1);
        let started = Process::start(
            &inner.program,
            &inner.reaper,
            label,
            device,
            inner.config.worker_rlimits(),
        );
        let (process, link) = match started {
            Ok((process, socket)) => (process, Link::over_socket(socket)),
            Err(error) => return inner.not_started(seat, backoff, &error),
        };
        let pid = process.pid;
        tracing::debug!(pid, "{} started", inner.name(slot));
        inner.engine.metrics().worker_began(slot, pid);
        let worker = WorkerId(inner.next_worker.fetch_add(1, Ordering::Relaxed));
        let life = Life { worker, slot, seat: seat.clone(), over: seat.drain.child_token() };

        let (ending, executor) = self.attend(&life, process, link).await;
        let was_started = executor.as_ref().is_some_and(Executor::was_started);
        let was_drained = executor.as_ref().is_some_and(Executor::was_drained);
        let cause = if was_drained { EndCause::Retired } else { ending.cause() };
        inner.engine.metrics().worker_ended(slot, pid, &cause);
        if let Some(executor) = executor {
            executor.close(ending.is_crash(), |had_begun| lost_job(&ending, had_begun));
        }
        if seat.drain.is_cancelled() {
            return Next::Stopped;
        }
        if matches!(ending.exit, Exit::Left(_)) && seat.generation.is_admitted() {
            return Next::GiveUp(ending);
        }
        if was_started {
            backoff.reset();
            if was_drained && ending.exit == Exit::Status(0) {
                let limits = "AI_INTEGRATION_MAX_REQUESTS or AI_INTEGRATION_MAX_RSS was reached";
                tracing::info!("{} was recycled, because {limits}", inner.name(slot));
            } else {
                tracing::warn!("{} ended: {ending}; starting it again", inner.name(slot));
            }
            return Next::StartAgain { after: Duration::ZERO };
        }
        inner.not_ready(&life, backoff, ending)
    }

    /// Attends to a worker until its process has ended, and kills it if necessary.
    async fn attend(
        &self,
        life: &Life,
        mut process: Process,
        link: Link,
    ) -> (Ending, Option<Executor>) {
        let inner = &*self.0;
        let (mut ended_for, executor) = self.converse(life, &mut process, link).await;
        if ended_for.is_some() {
            process.signal(Signal::SIGKILL);
        }
        let limit = if !inner.engine.is_free(life.worker) {
            LEAVE_WITH_JOBS
        } else if inner.stop.is_cancelled() {
            LEAVE_AT_STOP
        } else {
            LEAVE
        };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if timeout(limit, process.ended()).await.is_ok() {
                break;
            }
            ended_for.get_or_insert(EndCause::ClosedLink);
            process.signal(signal);
        }
        let was_ready = executor.is_some();
        let exit = match timeout(LEAVE, process.ended()).await.unwrap_or(Exit::Unknown) {
            Exit::Status(status) if process.leaves && inner.may_leave(was_ready, status) => {
                Exit::Left(status)
            }
            exit => exit,
        };
        // A worker that was never ready has printed nothing for a request: all its output is shown.
        let since = executor.as_ref().map_or_else(Printed::default, Executor::busy_since);
        (Ending { exit, ended_for, was_ready, output: process.last_output(since).await }, executor)
    }

    /// Exchanges messages with a worker until its link ends. Returns the reason to kill the
    /// process, if there is one, and the executor, if the worker became ready.
    async fn converse(
        &self,
        life: &Life,
        process: &mut Process,
        mut link: Link,
    ) -> (Option<EndCause>, Option<Executor>) {
        let inner = &*self.0;
        let ready = match inner.readiness(&life.seat, process, &mut link).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return (None, None),
            Err(cause) => return (Some(cause), None),
        };
        let quota = inner.config.quota();
        let started =
            StartedWorker { id: life.worker, slot: life.slot, quota, pipes: process.pipes() };
        let mut executor = Executor::join(inner.engine.clone(), &mut link, ready, started);
        let _over = life.over.clone().drop_guard();
        let replace_reasons = executor.replace_reasons();
        let (pid, exit, mut printed) = process.follow();
        let (abandon, abandoned) = oneshot::channel::<()>();
        // The conversation has a task of its own, so that the events that `watch` waits for are not
        // polled with each message.
        let task = tokio::spawn(async move {
            let ended_for = tokio::select! {
                biased;
                ended_for = executor.run(link, &mut printed) => ended_for,
                _ = abandoned => None,
            };
            (executor, printed, ended_for)
        });
        let conversation = Conversation { task, abandon, replace_reasons };
        let (ended, stopped) = self.watch(life, conversation, pid, exit).await;
        let (executor, printed, ended_for) =
            ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        process.take_back(printed);
        process.leaves = executor.leaves();
        (stopped.or(ended_for), Some(executor))
    }

    /// Waits for the end of a conversation. Meanwhile drains the worker when another worker takes
    /// over or the memory has grown too large, and replaces the worker when it asks for that.
    /// Returns the end of the conversation, and the reason to kill the worker if the engine is shut
    /// down.
    async fn watch(
        &self,
        life: &Life,
        conversation: Conversation,
        pid: i32,
        mut exit: ExitWatch,
    ) -> (Result<ConversationEnd, JoinError>, Option<EndCause>) {
        let inner = &*self.0;
        let Conversation { mut task, abandon, mut replace_reasons } = conversation;
        let mut replacement: Option<JoinHandle<()>> = None;
        let mut grown = pin!(inner.has_grown(pid));
        let mut serves = true;
        loop {
            tokio::select! {
                ended = &mut task => return (ended, None),
                () = inner.engine.is_shut_down() => {
                    drop(abandon);
                    return (task.await, Some(EndCause::Stopped));
                }
                () = life.seat.drain.cancelled(), if serves => {
                    serves = false;
                    inner.engine.drain(life.worker);
                }
                () = &mut grown, if serves => {
                    serves = false;
                    inner.engine.drain(life.worker);
                }
                Some(reason) = replace_reasons.recv() => {
                    if serves && replacement.as_ref().is_none_or(JoinHandle::is_finished) {
                        let replaced = self.clone().replace(life.clone(), reason);
                        replacement = Some(tokio::spawn(replaced));
                    }
                }
                _ = exit.ended() => {
                    // A descendant of the process may keep the link open.
                    if let Ok(ended) = timeout(LAST_MESSAGES, &mut task).await {
                        return (ended, None);
                    }
                    drop(abandon);
                    return (task.await, None);
                }
            }
        }
    }
}

impl Inner {
    /// Decides what follows a start that failed.
    fn not_started(&self, seat: &Seat, backoff: &mut Backoff, error: &io::Error) -> Next {
        // The path of the program is logged here, because the error for the requester does not have
        // it.
        let program = self.program.command.first().map(|name| name.to_string_lossy());
        tracing::error!("{}: {error}", program.unwrap_or_default());
        self.engine.metrics().worker_not_started();
        let has_served = seat.generation.is_admitted() && self.engine.model().borrow().is_some();
        let is_shortage = is_shortage(error);
        match backoff.next() {
            Some(after) if has_served || is_shortage => Next::StartAgain { after },
            // A program that was started before can be started again once the system has the
            // resources.
            None if has_served && is_shortage && self.config.start_attempts > 1 => {
                Next::StartAgain { after: Backoff::LONGEST }
            }
            _ => Next::GiveUp(Ending::not_started(error)),
        }
    }

    /// Decides what follows the end of a worker whose start failed.
    fn not_ready(&self, life: &Life, backoff: &mut Backoff, ending: Ending) -> Next {
        let name = self.name(life.slot);
        // With `reload` the program would fail in the same way until a file changes.
        let may_try_again = life.seat.generation.is_admitted() && !self.config.reload;
        let pause = if may_try_again { backoff.next() } else { None };
        let Some(after) = pause else {
            tracing::debug!("{name} ended: {ending}; giving up");
            return Next::GiveUp(ending);
        };
        let seconds = after.as_secs_f64();
        tracing::warn!("{name} ended: {ending}; starting it again in {seconds} s");
        Next::StartAgain { after }
    }

    /// Returns true if a program that sends `leave` ends the engine. A program that was in its loop
    /// always does. A program that ends before its loop does so only if its status is 0 and the
    /// program has never served, because otherwise a restart may help.
    fn may_leave(&self, was_ready: bool, status: i32) -> bool {
        was_ready || (status == 0 && self.engine.model().borrow().is_none())
    }

    /// Waits until the worker is ready and may take jobs. Returns `None` if it ends by itself
    /// before that. The error is the reason to kill it.
    async fn readiness(
        &self,
        seat: &Seat,
        process: &mut Process,
        link: &mut Link,
    ) -> Result<Option<Ready>, EndCause> {
        let limit = self.config.start_timeout;
        let introduction = tokio::select! {
            introduction = Executor::ready(link) => introduction,
            _ = process.ended() => {
                let last = timeout(LAST_MESSAGES, Executor::ready(link)).await;
                last.unwrap_or(Ok(Introduction::None))
            }
            () = sleep(limit) => return Err(EndCause::NotReady(limit)),
            () = seat.drain.cancelled() => return Err(EndCause::Stopped),
        };
        let ready = match introduction? {
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

    /// Waits until the process uses more memory than `max_rss` allows; for ever without that
    /// setting.
    async fn has_grown(&self, pid: i32) {
        let Some(most) = self.config.max_rss else { return std::future::pending().await };
        loop {
            sleep(MEMORY_INTERVAL).await;
            if let Some(bytes) = memory::resident(pid)
                && bytes > most as u64
            {
                let (used, most) = (bytes >> 20, most >> 20);
                let setting = "AI_INTEGRATION_MAX_RSS";
                tracing::info!(
                    "process {pid} uses {used} MiB, more than {most} MiB ({setting}); recycling it"
                );
                return;
            }
        }
    }
}

/// Returns the error for the requester of a job that ended with its worker.
fn lost_job(ending: &Ending, had_begun: bool) -> Error {
    if had_begun {
        let consequence = "the model process ended while it worked on this request";
        return ending.error(Kind::ModelCrashed, consequence);
    }
    // The last printed lines do not belong to this request.
    let consequence = "model processes keep ending before they start this request";
    Error { output: Vec::new(), ..ending.error(Kind::ModelCrashed, consequence) }
}
