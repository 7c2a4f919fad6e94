//! The model process of a worker.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::link::board::{Printed, Stream};
use crate::signals;
use crate::worker::ending::Exit;
use crate::worker::output::{LineForm, Output, Passage};
use crate::worker::pipe::{Pipe, Pipes};
use crate::worker::reaper::{ExitWatch, Reaper};
use crate::worker::rlimits::WorkerRlimits;
use crate::worker::tail::{Line, Tail};

/// The environment variable with the number of the file descriptor of a worker's link.
pub const LINK_VARIABLE: &str = "AI_INTEGRATION_LINK";
/// The environment variable by which CUDA chooses devices.
const DEVICE_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";
/// The descriptor of a worker's link, the first one after the standard streams.
const LINK_DESCRIPTOR: i32 = 3;
/// The number of printed lines that may wait for the executor.
const LINES: usize = 256;
/// The time that the engine waits for the rest of the output of an ended process.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// The command line and environment of a program that speaks the worker protocol.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The variables that are added to the inherited environment.
    pub variables: Vec<(String, String)>,
    /// The variables that are removed from the inherited environment, such as the server's token.
    pub hidden: Vec<&'static str>,
    /// The stream that the program's standard output is copied to. Its standard error is copied to
    /// the engine's.
    pub stdout: Output,
    /// The form in which printed lines are passed on; `None` to pass them on as they are.
    pub form: Option<LineForm>,
}

/// A running model process. It leads a process group of its own, which is killed when the process
/// ends.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// True once the process has sent `leave`: it ends, and must not be restarted.
    pub(super) leaves: bool,
    exit: ExitWatch,
    pipes: Pipes,
    tail: Tail,
    lines: mpsc::Receiver<Line>,
}

impl Process {
    /// Starts the program. Returns the process and the engine's end of its link.
    pub(super) fn start(
        program: &Program,
        reaper: &Reaper,
        slot: Option<usize>,
        device: Option<&String>,
        limits: WorkerRlimits,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let (name, arguments) = program.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .envs(device.map(|device| (DEVICE_VARIABLE, device)))
            .env(LINK_VARIABLE, LINK_DESCRIPTOR.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for variable in &program.hidden {
            command.env_remove(variable);
        }
        let link = FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: LINK_DESCRIPTOR };
        command.fd_mappings(vec![link]).map_err(io::Error::other)?;
        before_exec(&mut command, limits);

        let (child, exit) = reaper.spawn(&mut command)?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (sender, lines) = mpsc::channel(LINES);
        let (pipes, tail) = (Pipes::default(), Tail::default());
        let passage =
            Passage { worker: slot, form: program.form, tail: tail.clone(), lines: sender };
        let mut process = Process { pid, leaves: false, exit, pipes, tail, lines };
        // On an error no process is returned, so the caller could not end it.
        process
            .pass_output(child, program.stdout, passage)
            .inspect_err(|_| process.signal(Signal::SIGKILL))?;
        Ok((process, ours))
    }

    /// Starts the threads that copy the output.
    fn pass_output(&mut self, child: Child, stdout: Output, passage: Passage) -> io::Result<()> {
        if let Some(end) = child.stdout {
            let pipe = self.pipes.add(Pipe::new(end.into(), Stream::Stdout));
            passage.clone().start(pipe, stdout)?;
        }
        if let Some(end) = child.stderr {
            let pipe = self.pipes.add(Pipe::new(end.into(), Stream::Stderr));
            passage.start(pipe, Output::Stderr)?;
        }
        Ok(())
    }

    /// Returns the pipes that the process prints into.
    pub(super) fn pipes(&self) -> Pipes {
        self.pipes.clone()
    }

    /// Sends a signal to the whole process group.
    pub(super) fn signal(&self, signal: Signal) {
        // If this fails, the group has ended already.
        let _ = killpg(Pid::from_raw(self.pid), signal);
    }

    /// Waits for the end of the process.
    pub(super) async fn ended(&mut self) -> Exit {
        self.exit.ended().await
    }

    /// Returns the process id, a watch of the exit, and the printed lines. The caller must return
    /// the lines with [`Process::take_back`].
    pub(super) fn follow(&mut self) -> (i32, ExitWatch, mpsc::Receiver<Line>) {
        let (_, no_lines) = mpsc::channel(1);
        (self.pid, self.exit.clone(), std::mem::replace(&mut self.lines, no_lines))
    }

    /// Takes the lines back that [`Process::follow`] returned.
    pub(super) fn take_back(&mut self, lines: mpsc::Receiver<Line>) {
        self.lines = lines;
    }

    /// Returns the last lines that an ended process printed after this moment.
    pub(super) async fn last_output(&mut self, since: Printed) -> Vec<String> {
        // The streams end with the process group, unless a process has left the group.
        let _ = timeout(LAST_OUTPUT, async { while self.lines.recv().await.is_some() {} }).await;
        self.tail.since(since)
    }
}

/// Restores the signals of the new process, limits its resources, and makes the kernel kill it when
/// the engine ends for any reason.
#[expect(unsafe_code, reason = "code between fork and exec cannot be checked by the compiler")]
fn before_exec(command: &mut Command, limits: WorkerRlimits) {
    let parent = Pid::this();
    // SAFETY: the closure makes only system calls that are safe after fork, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            signals::restore()?;
            limits.apply()?;
            die_with_parent(parent)
        });
    }
}

/// Makes the kernel kill the process when its parent ends. On systems other than Linux the worker
/// notices the end of its parent at its next `get_next_input`.
#[cfg(all(target_os = "linux", not(portable)))]
fn die_with_parent(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have ended before the line above.
    if Pid::parent() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

#[cfg(any(not(target_os = "linux"), portable))]
#[expect(clippy::unnecessary_wraps, reason = "the function for Linux can fail")]
fn die_with_parent(_parent: Pid) -> io::Result<()> {
    Ok(())
}
