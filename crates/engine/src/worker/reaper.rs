//! Collects ended processes: the workers, and, as process 1 of a container or as a subreaper,
//! whatever the workers left behind; and ends what is left of a worker that has ended.

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

/// The environment variable that names a worker, to itself and to whatever it starts: a process
/// that has left the worker's group is found by it.
pub const WORKER_VARIABLE: &str = "AI_INTEGRATION_WORKER_ID";

/// How often what a worker left behind is looked for.
#[cfg(all(target_os = "linux", not(portable)))]
const ROUNDS: usize = 100;
/// How long a worker may be stopped.
const STOPPED: Duration = Duration::from_secs(10);

/// Tells of the end of one process.
#[derive(Clone, Debug)]
pub(super) struct ExitWatch(watch::Receiver<Option<Exit>>);

impl ExitWatch {
    /// Waits for the end.
    pub(super) async fn ended(&mut self) -> Exit {
        let exit = self.0.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Unknown)
    }
}

/// Held by a test that starts processes: the reapers of two would take each other's.
#[cfg(test)]
pub(super) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type Watched = HashMap<i32, WatchedWorker>;

/// A worker that runs.
#[derive(Debug)]
struct WatchedWorker {
    name: String,
    /// Since when it has been stopped, by SIGSTOP or the like.
    stopped: Option<Instant>,
    /// Whether it was ended for that.
    was_ended: bool,
    end: watch::Sender<Option<Exit>>,
}

/// Starts processes and tells of their end.
#[derive(Clone, Debug)]
pub(super) struct Reaper(Arc<Mutex<Watched>>);

impl Reaper {
    /// Begins to collect every ended child of this process.
    pub(super) fn start() -> io::Result<Self> {
        #[cfg(all(target_os = "linux", not(portable)))]
        if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
            tracing::debug!(%error, "orphans of workers go to the system");
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

    /// Starts a process whose end the second value will tell. The lock is held meanwhile: the
    /// collector must not take the end of a process that is not known yet.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<(Child, ExitWatch)> {
        let mut watched = self.watched();
        let name = format!("{:032x}", fastrand::u128(..));
        let child = command.env(WORKER_VARIABLE, &name).spawn()?;
        let (end, receiver) = watch::channel(None);
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        watched.insert(pid, WatchedWorker { name, stopped: None, was_ended: false, end });
        Ok((child, ExitWatch(receiver)))
    }

    /// Sends a signal to the process group of every worker.
    pub(super) fn signal_all(&self, signal: Signal) {
        for pid in self.watched().keys() {
            let _ = killpg(Pid::from_raw(*pid), signal);
        }
    }

    /// Ends every worker at once, and what it started.
    pub(super) fn kill_all(&self) {
        self.signal_all(Signal::SIGKILL);
        let names = self.watched().values().map(|worker| worker.name.clone()).collect();
        end_remains(names);
    }

    fn collect(&self) {
        let mut watched = self.watched();
        let which = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            // Not nix's `waitpid`: it fails for an end by a real-time signal, and that end is lost.
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
            if let Some(WatchedWorker { name, end, was_ended, .. }) = watched.remove(&pid.as_raw())
            {
                // What the worker started ends with it.
                let _ = killpg(pid, Signal::SIGKILL);
                let exit = if was_ended { Exit::Stopped(STOPPED) } else { exit };
                // It has ended when all of that has; to look for it may take a while.
                let conclude = move || {
                    end_remains(vec![name]);
                    end.send_replace(Some(exit));
                };
                // Not `spawn_blocking`, which panics where the system has no thread to give.
                let thread = thread::Builder::new().name("remains".to_owned());
                if thread.spawn(conclude.clone()).is_err() {
                    conclude();
                }
            }
        }
    }

    /// A worker is stopped: whatever it holds would wait for ever.
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
                worker.was_ended = true;
                let _ = killpg(pid, Signal::SIGKILL);
            }
        });
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a process ended; `None` for one that was stopped or goes on.
fn exit(status: WaitStatus) -> Option<Exit> {
    let by_itself = status.exit_status().map(Exit::Status);
    by_itself.or_else(|| status.terminating_signal().map(Exit::Signal))
}

/// Ends the processes that these workers started and that are not of their groups any more.
#[cfg(all(target_os = "linux", not(portable)))]
fn end_remains(workers: Vec<String>) {
    let lines: Vec<String> =
        workers.into_iter().map(|name| format!("{WORKER_VARIABLE}={name}")).collect();
    let mut ended = Vec::new();
    // One of them may start another meanwhile.
    for _ in 0..ROUNDS {
        let mut remains = processes();
        remains.retain(|pid| !ended.contains(pid) && has_one(*pid, &lines));
        if remains.is_empty() {
            return;
        }
        for pid in remains {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            ended.push(pid);
        }
    }
    tracing::warn!("a worker started processes faster than they can be ended");
}

/// The numbers of all processes.
#[cfg(all(target_os = "linux", not(portable)))]
fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether a process was started with one of these variables. Nobody else's environment can be read.
#[cfg(all(target_os = "linux", not(portable)))]
fn has_one(pid: i32, lines: &[String]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| lines.iter().any(|line| line.as_bytes() == variable))
}

#[cfg(any(not(target_os = "linux"), portable))]
fn end_remains(_workers: Vec<String>) {}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_end_by_any_signal_is_told_and_keeps_back_no_other() {
        let _alone = ALONE.lock().await;
        let reaper = Reaper::start().unwrap();
        let start = |script| reaper.spawn(Command::new("sh").args(["-c", script])).unwrap();
        let started = ["kill -34 $$", "exit 3"].map(start);
        // Both ends are there when the first is collected.
        for (child, _) in &started {
            let pid = rustix::process::Pid::from_child(child);
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        }
        for ((_, mut exit), expected) in
            started.into_iter().zip([Exit::Signal(34), Exit::Status(3)])
        {
            let told = timeout(Duration::from_secs(5), exit.ended()).await;
            assert_eq!(told, Ok(expected));
        }
        assert!(reaper.watched().is_empty());
    }
}
