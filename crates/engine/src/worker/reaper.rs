//! The reaper collects ended child processes: the model processes, and the orphans that they leave
//! to the engine as process 1 of a container or as a subreaper. It also kills the processes that an
//! ended worker has started.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::worker::ending::Exit;

/// The environment variable with the name of a worker, which every process that the worker starts
/// inherits. With it the engine finds processes that have left the worker's process group.
pub const WORKER_VARIABLE: &str = "AI_INTEGRATION_WORKER_ID";

/// The maximum number of searches for the processes that an ended worker has started.
#[cfg(all(target_os = "linux", not(portable)))]
const ROUNDS: usize = 100;
/// The time for which a worker may be stopped by SIGSTOP. Then it is killed.
const STOPPED: Duration = Duration::from_secs(10);

/// A watch of the exit of one process.
#[derive(Clone, Debug)]
pub(super) struct ExitWatch(watch::Receiver<Option<Exit>>);

impl ExitWatch {
    /// Waits for the exit.
    pub(super) async fn ended(&mut self) -> Exit {
        let exit = self.0.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Unknown)
    }
}

/// A lock that each test that starts processes must hold: two reapers would collect each other's
/// processes.
#[cfg(test)]
pub(super) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The workers that run, by process id.
type Watched = HashMap<i32, WatchedWorker>;

/// A worker whose process runs.
#[derive(Debug)]
struct WatchedWorker {
    /// The value of [`WORKER_VARIABLE`].
    name: String,
    /// The time when a signal such as SIGSTOP stopped the process, if it is stopped.
    stopped: Option<Instant>,
    /// True if the engine killed the process because it was stopped.
    was_killed: bool,
    end: watch::Sender<Option<Exit>>,
}

/// Starts processes, and collects them when they end.
#[derive(Clone, Debug)]
pub(super) struct Reaper(Arc<Mutex<Watched>>);

impl Reaper {
    /// Begins to collect every ended child of this process.
    pub(super) fn start() -> io::Result<Self> {
        #[cfg(all(target_os = "linux", not(portable)))]
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            tracing::debug!(%error, "orphaned processes of workers cannot be collected");
        }
        let mut ended = signal(SignalKind::child())?;
        let reaper = Reaper(Arc::default());
        let collector = reaper.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                collector.collect();
            }
        });
        Ok(reaper)
    }

    /// Starts a process. Returns it with a watch of its exit. The lock is held meanwhile, because
    /// the collector must not collect a process that is not registered yet.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<(Child, ExitWatch)> {
        let mut watched = self.watched();
        let name = format!("{:032x}", fastrand::u128(..));
        let child = command.env(WORKER_VARIABLE, &name).spawn()?;
        let (end, receiver) = watch::channel(None);
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        watched.insert(pid, WatchedWorker { name, stopped: None, was_killed: false, end });
        Ok((child, ExitWatch(receiver)))
    }

    /// Sends a signal to the process group of every worker.
    pub(super) fn signal_all(&self, signal: Signal) {
        for pid in self.watched().keys() {
            let _ = killpg(Pid::from_raw(*pid), signal);
        }
    }

    /// Kills every worker, and the processes that it started.
    pub(super) fn kill_all(&self) {
        self.signal_all(Signal::SIGKILL);
        let names = self.watched().values().map(|worker| worker.name.clone()).collect();
        kill_descendants(names);
    }

    /// Collects all children that have ended, and watches those that are stopped.
    fn collect(&self) {
        let mut watched = self.watched();
        let which = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            // nix's `waitpid` is not used: it fails if a real-time signal killed the process, and
            // loses that exit.
            let (pid, status) = match wait(which) {
                Ok(Some((pid, status))) => (Pid::from_raw(pid.as_raw_pid()), status),
                Err(Errno::INTR) => continue,
                Ok(None) | Err(_) => return,
            };
            let Some(exit) = exit(status) else {
                if status.stopped() {
                    self.stopped(&mut watched, pid);
                } else if let Some(worker) = watched.get_mut(&pid.as_raw()) {
                    worker.stopped = None;
                }
                continue;
            };
            if let Some(WatchedWorker { name, end, was_killed, .. }) = watched.remove(&pid.as_raw())
            {
                // The processes that the worker started are killed with it.
                let _ = killpg(pid, Signal::SIGKILL);
                let exit = if was_killed { Exit::Stopped(STOPPED) } else { exit };
                // The search for processes that have left the group may take a while. The end is
                // reported after it.
                let conclude = move || {
                    kill_descendants(vec![name]);
                    end.send_replace(Some(exit));
                };
                // `spawn_blocking` is not used, because it panics if the system cannot start a
                // thread.
                let thread = thread::Builder::new().name("descendants".to_owned());
                if thread.spawn(conclude.clone()).is_err() {
                    conclude();
                }
            }
        }
    }

    /// Records that a worker was stopped, and kills it if it does not go on in time, because its
    /// jobs would wait for ever.
    fn stopped(&self, watched: &mut Watched, pid: Pid) {
        let Some(worker) = watched.get_mut(&pid.as_raw()) else { return };
        let since = Instant::now();
        worker.stopped = Some(since);
        let reaper = self.clone();
        tokio::spawn(async move {
            sleep(STOPPED).await;
            let mut watched = reaper.watched();
            let worker = watched.get_mut(&pid.as_raw());
            if let Some(worker) = worker.filter(|worker| worker.stopped == Some(since)) {
                worker.was_killed = true;
                let _ = killpg(pid, Signal::SIGKILL);
            }
        });
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the exit of a process; `None` if it was stopped or continued.
fn exit(status: WaitStatus) -> Option<Exit> {
    let by_itself = status.exit_status().map(Exit::Status);
    by_itself.or_else(|| status.terminating_signal().map(Exit::Signal))
}

/// Kills the processes that these workers started and that have left the workers' process groups.
#[cfg(all(target_os = "linux", not(portable)))]
fn kill_descendants(workers: Vec<String>) {
    let lines: Vec<String> =
        workers.into_iter().map(|name| format!("{WORKER_VARIABLE}={name}")).collect();
    let mut killed = Vec::new();
    // A process may start another one during the search.
    for _ in 0..ROUNDS {
        let mut descendants = processes();
        descendants.retain(|pid| !killed.contains(pid) && has_one(*pid, &lines));
        if descendants.is_empty() {
            return;
        }
        for pid in descendants {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            killed.push(pid);
        }
    }
    tracing::warn!(
        "a worker started processes faster than the engine can kill them; some are left"
    );
}

/// Returns the ids of all processes.
#[cfg(all(target_os = "linux", not(portable)))]
fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns true if a process was started with one of these variables. The environment of another
/// user's process cannot be read, and then this returns false.
#[cfg(all(target_os = "linux", not(portable)))]
fn has_one(pid: i32, lines: &[String]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| lines.iter().any(|line| line.as_bytes() == variable))
}

#[cfg(any(not(target_os = "linux"), portable))]
fn kill_descendants(_workers: Vec<String>) {}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_exit_by_any_signal_is_reported_and_delays_no_other() {
        let _alone = ALONE.lock().await;
        let reaper = Reaper::start().unwrap();
        let start = |script| reaper.spawn(Command::new("sh").args(["-c", script])).unwrap();
        let started = ["kill -34 $$", "exit 3"].map(start);
        // Both processes have ended when the first one is collected.
        for (child, _) in &started {
            let pid = rustix::process::Pid::from_child(child);
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        }
        for ((_, mut exit), expected) in
            started.into_iter().zip([Exit::Signal(34), Exit::Status(3)])
        {
            let reported = timeout(Duration::from_secs(5), exit.ended()).await;
            assert_eq!(reported, Ok(expected));
        }
        assert!(reaper.watched().is_empty());
    }
}
