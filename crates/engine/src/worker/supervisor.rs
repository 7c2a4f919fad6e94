//! The supervisor keeps the workers of a program running. It starts their model processes, restarts
//! them when they end, and gives up with an error if they cannot be started.

mod life;
mod renewal;

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ai_integration_contract::{Kind, without_traceback};
use nix::sys::signal::Signal;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engine::embedded::Embedded;
use crate::settings::Config;
use crate::worker::backoff::{Backoff, ReplacementPauses};
use crate::worker::ending::{Ending, Exit};
use crate::worker::generation::{Generation, Seat};
use crate::worker::process::Program;
use crate::worker::reaper::Reaper;

/// A handle to the supervisor of one program's workers. Clones are handles to the same supervisor.
///
/// A program that exits at once cannot be started:
///
/// ```
/// use ai_integration_contract::Environment;
/// use ai_integration_engine::settings::Config;
/// use ai_integration_engine::{Embedded, Exit, Output, Program, Supervisor};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = Config::read(&Environment::default())?;
/// config.start_attempts = 1;
/// let program = Program {
///     command: ["sh", "-c", "exit 3"].map(Into::into).into(),
///     variables: Vec::new(),
///     hidden: Vec::new(),
///     stdout: Output::Stderr,
///     form: None,
/// };
/// let supervisor = Supervisor::start(Embedded::start(config.limits()), program, config)?;
/// assert_eq!(supervisor.given_up().await, Exit::Status(3));
/// supervisor.stop().await;
/// # Ok(())
/// # }
/// ```
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
    /// The worker that serves in each slot. Locked while workers are being replaced.
    serving: Mutex<HashMap<usize, Kept>>,
    /// Locked while a worker is being replaced because its process is broken.
    replacements: Mutex<ReplacementPauses>,
    /// The number of workers that are kept running.
    slots: watch::Sender<usize>,
    /// The last exit of the program, once it has been given up.
    last: watch::Sender<Option<Exit>>,
}

/// A worker that is kept running.
#[derive(Debug)]
struct Kept {
    seat: Seat,
    /// The task that keeps the worker running. It ends when the worker will not be restarted.
    task: JoinHandle<()>,
}

/// The supervisor's decision after one life of a worker.
enum Next {
    StartAgain { after: Duration },
    GiveUp(Ending),
    Stopped,
}

impl Supervisor {
    /// Starts the workers. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The handler of SIGCHLD cannot be set.
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
            replacements: Mutex::default(),
            slots: watch::channel(0).0,
            last: watch::channel(None).0,
        }));
        let generation = Arc::new(Generation::new(&supervisor.0.stop, true));
        let slots = 1..=supervisor.0.config.worker_count();
        let kept = supervisor.start_generation(&generation, slots);
        // No other task has the lock yet.
        if let Ok(mut serving) = supervisor.0.serving.try_lock() {
            serving.extend(kept);
        }
        Ok(supervisor)
    }

    /// Drains all workers, and waits until their processes have ended. That takes as long as the
    /// model works on the jobs that the workers hold.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let mut slots = self.0.slots.subscribe();
        let _ = slots.wait_for(|slots| *slots == 0).await;
    }

    /// Kills all model processes at once.
    pub fn kill(&self) {
        self.0.stop.cancel();
        self.0.reaper.kill_all();
    }

    /// Sends a signal to the process group of every worker.
    pub fn forward(&self, signal: Signal) {
        self.0.reaper.signal_all(signal);
    }

    /// Waits until the program has been given up. Returns its last exit.
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

    /// Keeps a worker running in a slot until another one takes over, or it is given up.
    async fn keep_running(&self, seat: &Seat, slot: usize) {
        let mut backoff = Backoff::new(self.0.config.start_attempts);
        loop {
            match self.live(seat, slot, &mut backoff).await {
                Next::Stopped => break,
                Next::StartAgain { after } => {
                    if !seat.pause(after).await {
                        break;
                    }
                }
                Next::GiveUp(ending) => {
                    if !self.0.give_up(seat, slot, ending).await {
                        return;
                    }
                }
            }
        }
        self.0.remove_slot();
    }
}

impl Inner {
    /// Returns the name of a slot's worker for the log.
    fn name(&self, slot: usize) -> String {
        match self.config.worker_count() {
            1 => "the program".to_owned(),
            _ => format!("worker {slot}"),
        }
    }

    /// Gives up a worker that cannot be started. If other workers serve, it waits until this one
    /// may be tried again, and returns true.
    async fn give_up(&self, seat: &Seat, slot: usize, ending: Ending) -> bool {
        let is_last = self.remove_slot();
        let error = ending.error(Kind::ModelUnavailable, "the model cannot be started");
        if !seat.generation.is_admitted() {
            seat.generation.broken.send_replace(Some(error));
            return false;
        }
        if is_last {
            self.engine.fail(error);
            self.last.send_replace(Some(ending.exit));
            return false;
        }
        if self.config.reload {
            let message = &error.message;
            tracing::error!("retrying worker {slot} when a file changes: {message}");
            seat.generation.broken.send_replace(Some(error));
            seat.drain.cancelled().await;
            return false;
        }
        // The other workers show that the program can run, so the server goes on.
        let pause = Backoff::LONGEST;
        // The program has printed its traceback already.
        let output = without_traceback(&error.output.join("\n"));
        let error = error.with_output(&output.lines().map(str::to_owned).collect::<Vec<_>>());
        tracing::error!("retrying worker {slot} in {} s: {error}", pause.as_secs());
        if !seat.pause(pause).await {
            return false;
        }
        self.slots.send_modify(|slots| *slots += 1);
        true
    }

    /// Counts one worker less that is kept running. Returns true if it was the last one.
    fn remove_slot(&self) -> bool {
        let mut left = 0;
        self.slots.send_modify(|slots| {
            *slots -= 1;
            left = *slots;
        });
        left == 0
    }
}

#[cfg(test)]
mod tests;
