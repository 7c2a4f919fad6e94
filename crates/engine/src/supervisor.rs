//! The supervisor: it starts the model's program, starts it again when it ends for any reason,
//! and gives up, visibly, when it keeps dying before it serves.

mod backoff;
mod ending;
mod output;
mod process;
mod reaper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::ending::Exit;
pub use self::output::Output;
pub use self::process::{LINK_VARIABLE, Program};

use self::backoff::Backoff;
use self::ending::{Cause, Ending};
use self::process::Process;
use self::reaper::Reaper;
use crate::executor::Executor;
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
    /// Workers whose slot is not given up.
    slots: watch::Sender<usize>,
    /// How the program's last life ended, if it is not to be started again.
    last: watch::Sender<Option<Exit>>,
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
        let slots = config.workers;
        let supervisor = Supervisor(Arc::new(Shared {
            engine,
            program,
            config,
            reaper: Reaper::start()?,
            next_worker: AtomicU64::new(1),
            stop: CancellationToken::new(),
            slots: watch::channel(slots).0,
            last: watch::channel(None).0,
        }));
        for slot in 1..=slots {
            let supervisor = supervisor.clone();
            tokio::spawn(async move { supervisor.keep_running(slot).await });
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
        self.0.reaper.signal_all(Signal::SIGKILL);
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

    async fn keep_running(&self, slot: usize) {
        let shared = &*self.0;
        let mut backoff = Backoff::new(shared.config.start_attempts);
        let given_up = loop {
            match self.live(slot, &mut backoff).await {
                Next::Stopped => break None,
                Next::GiveUp(ending) => break Some(ending),
                Next::StartAgain { after } => tokio::select! {
                    () = sleep(after) => {}
                    () = shared.stop.cancelled() => break None,
                },
            }
        };
        if let Some(ending) = given_up {
            let message = format!("the model cannot be started: {}", ending.with_output());
            if *shared.slots.borrow() > 1 {
                tracing::error!("worker {slot} is given up: {message}");
            } else {
                // The last one's end is the model's end.
                shared.engine.fail(Error::new(Kind::ModelUnavailable, message));
                shared.last.send_replace(Some(ending.exit));
            }
        }
        shared.slots.send_modify(|slots| *slots -= 1);
    }

    /// One life of a worker, from the start of its process to its end.
    async fn live(&self, slot: usize, backoff: &mut Backoff) -> Next {
        let shared = &*self.0;
        let label = (shared.config.workers > 1).then_some(slot);
        let who = label.map_or("the program".to_owned(), |slot| format!("worker {slot}"));
        let started = Process::start(&shared.program, &shared.reaper, label);
        let connected = started.and_then(|(process, socket)| {
            socket.set_nonblocking(true)?;
            Ok((process, Link::over_socket(UnixStream::from_std(socket)?)))
        });
        let (process, link) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                let ending = Ending::not_started(&shared.program.command, &error);
                return Next::GiveUp(ending);
            }
        };
        tracing::debug!(pid = process.pid, "{who} started");

        let worker = WorkerId(shared.next_worker.fetch_add(1, Ordering::Relaxed));
        let mut executor = Executor::new(worker, shared.engine.clone());
        let ending = self.attend(&mut executor, process, link).await;
        let had_work = executor.had_work();
        executor.close(|| {
            let message = format!(
                "the model's process ended while it worked on this request: {}",
                ending.with_output()
            );
            Error::new(Kind::ModelCrashed, message)
        });
        if shared.stop.is_cancelled() {
            return Next::Stopped;
        }
        if had_work {
            backoff.reset();
            tracing::warn!("{who} ended: {ending}; starting it again");
            return Next::StartAgain { after: Duration::ZERO };
        }
        let Some(after) = backoff.next() else {
            tracing::debug!("{who} ended: {ending}; giving up");
            return Next::GiveUp(ending);
        };
        let seconds = after.as_secs_f64();
        tracing::warn!("{who} ended: {ending}; starting it again in {seconds} s");
        Next::StartAgain { after }
    }

    /// Attends to a worker until its process is gone, whatever it takes.
    async fn attend(&self, executor: &mut Executor, mut process: Process, link: Link) -> Ending {
        let mut cause = self.converse(executor, &mut process, link).await;
        if cause.is_some() {
            process.signal(Signal::SIGKILL);
        }
        let is_stopping = self.0.stop.is_cancelled();
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let patience = if is_stopping { LEAVE_AT_STOP } else { LEAVE };
            if timeout(patience, process.ended()).await.is_ok() {
                break;
            }
            cause.get_or_insert(Cause::ClosedLink);
            process.signal(signal);
        }
        let exit = timeout(LEAVE, process.ended()).await.unwrap_or(Exit::Unknown);
        Ending { exit, cause, was_ready: executor.is_joined(), output: process.last_output().await }
    }

    /// Talks to a worker until its link ends, and says why the process has to be ended, if that
    /// is so.
    async fn converse(
        &self,
        executor: &mut Executor,
        process: &mut Process,
        mut link: Link,
    ) -> Option<Cause> {
        let stop = &self.0.stop;
        let patience = self.0.config.start_timeout;
        let ready = tokio::select! {
            ready = Executor::ready(&mut link) => ready,
            _ = process.ended() => {
                timeout(LAST_WORDS, Executor::ready(&mut link)).await.unwrap_or(Ok(None))
            }
            () = sleep(patience) => return Some(Cause::NotReady(patience)),
            () = stop.cancelled() => return Some(Cause::Stopped),
        };
        match ready {
            Ok(Some(ready)) => executor.join(ready),
            Ok(None) => return None,
            Err(violation) => return Some(Cause::Violation(violation)),
        }
        let (printed, mut exit) = process.follow();
        let run = executor.run(link, printed, stop);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = self.0.engine.is_shut_down() => return Some(Cause::Stopped),
            _ = exit.ended() => {
                // A process that the model left behind may hold the link open.
                timeout(LAST_WORDS, run).await.unwrap_or(Ok(()))
            }
        };
        ended.err().map(Cause::Violation)
    }
}

#[cfg(test)]
mod tests;
