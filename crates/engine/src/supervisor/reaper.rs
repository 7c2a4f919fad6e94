//! Collects ended processes: the workers, and, as process 1 of a container or as a subreaper,
//! whatever the workers left behind.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::ending::Exit;

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

type Watched = HashMap<i32, watch::Sender<Option<Exit>>>;

/// Starts processes and tells of their end.
#[derive(Clone, Debug)]
pub(super) struct Reaper(Arc<Mutex<Watched>>);

impl Reaper {
    /// Begins to collect every ended child of this process.
    pub(super) fn start() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
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
        let child = command.spawn()?;
        let (sender, receiver) = watch::channel(None);
        watched.insert(i32::try_from(child.id()).map_err(io::Error::other)?, sender);
        Ok((child, ExitWatch(receiver)))
    }

    /// Sends a signal to the process group of every worker.
    pub(super) fn signal_all(&self, signal: Signal) {
        for pid in self.watched().keys() {
            let _ = killpg(Pid::from_raw(*pid), signal);
        }
    }

    fn collect(&self) {
        let mut watched = self.watched();
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, Exit::Status(status)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            if let Some(sender) = watched.remove(&pid.as_raw()) {
                // What the worker started ends with it.
                let _ = killpg(pid, Signal::SIGKILL);
                sender.send_replace(Some(exit));
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
