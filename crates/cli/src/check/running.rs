//! A run of the checked program, and its output.

use std::ffi::OsString;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::check::{interruption, processes};

/// The maximum number of bytes that are kept of a run's output. Its end is kept.
const KEPT: usize = 1 << 20;
/// The maximum number of output lines that are shown, and the maximum length of each in characters.
const SHOWN: usize = 12;
const LONGEST: usize = 300;
const PAUSE: Duration = Duration::from_millis(10);
/// The maximum time for reading the rest of an ended run's output, because other processes may hold
/// the output open.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// The time limit for a command that reaches a container.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A run of the program. Dropping it ends the run.
pub(crate) struct Running {
    child: Child,
    output: Arc<Mutex<Output>>,
    readers: Vec<JoinHandle<()>>,
    /// The commands that send SIGTERM to the program and that kill it, if the program is not the
    /// child process.
    outside: Option<Outside>,
}

/// Commands that reach a program inside a container.
pub(crate) struct Outside {
    pub(crate) terminate: Vec<OsString>,
    pub(crate) remove: Vec<OsString>,
}

#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    /// Both output streams, in the order of arrival.
    all: Vec<u8>,
}

impl Running {
    /// Starts a command without standard input.
    pub(crate) fn start(mut command: Command, outside: Option<Outside>) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let output = Arc::<Mutex<Output>>::default();
        let stdout = child.stdout.take().map(|stream| keep(stream, output.clone(), true));
        let stderr = child.stderr.take().map(|stream| keep(stream, output.clone(), false));
        let readers = stdout.into_iter().chain(stderr).collect();
        Ok(Running { child, output, readers, outside })
    }

    /// Returns the status of a program that has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok()??;
        let deadline = Instant::now() + LAST_OUTPUT;
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            sleep(PAUSE);
        }
        Some(status)
    }

    /// Waits for the program's end. Returns `None` if it is still running.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= deadline || interruption::signal().is_some() {
                return ended;
            }
            sleep(PAUSE);
        }
    }

    /// Sends SIGTERM to the program.
    pub(crate) fn terminate(&self) {
        if let Some(outside) = &self.outside {
            run_command(&outside.terminate);
        } else if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Returns the standard output.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output().stdout).into_owned()
    }

    /// Returns both output streams, in the order of arrival.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.output().all).into_owned()
    }

    /// Returns the last lines of the output.
    pub(crate) fn last_lines(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = lines[lines.len().saturating_sub(SHOWN)..].iter();
        let cut = |line: &&str| line.chars().take(LONGEST).collect::<String>();
        shown.map(cut).collect::<Vec<_>>().join("\n")
    }

    fn output(&self) -> std::sync::MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            if let Some(outside) = &self.outside {
                run_command(&outside.remove);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        processes::end_all();
    }
}

/// Reads a stream to its end on a thread, and keeps the last part.
fn keep(
    mut stream: impl Read + Send + 'static,
    output: Arc<Mutex<Output>>,
    is_stdout: bool,
) -> JoinHandle<()> {
    spawn(move || {
        let mut part = vec![0; 1 << 14];
        while let Ok(length @ 1..) = stream.read(&mut part) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            if is_stdout {
                append(&mut output.stdout, &part[..length]);
            }
            append(&mut output.all, &part[..length]);
        }
    })
}

fn append(kept: &mut Vec<u8>, part: &[u8]) {
    kept.extend_from_slice(part);
    if kept.len() > KEPT {
        kept.drain(..kept.len() - KEPT / 2);
    }
}

fn run_command(words: &[OsString]) {
    let Some((program, rest)) = words.split_first() else { return };
    let mut command = Command::new(program);
    command.args(rest);
    if let Ok(mut running) = Running::start(command, None) {
        running.wait(COMMAND_TIMEOUT);
    }
}
