//! A worker's process.

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

/// The environment variable that tells a worker the descriptor of its link.
pub const LINK_VARIABLE: &str = "AI_INTEGRATION_LINK";
/// The environment variable by which CUDA, and whatever builds on it, chooses devices.
const DEVICE_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";
/// The descriptor of a worker's link, out of the way of the standard streams.
const LINK_DESCRIPTOR: i32 = 3;
/// Lines that may wait for somebody who follows a job.
const LINES: usize = 256;
/// How long the rest of the output of an ended process is waited for.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A program that speaks the worker protocol.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Variables set over the inherited environment.
    pub variables: Vec<(String, String)>,
    /// Variables of the inherited environment that the program does not get: the secrets of clients.
    pub hidden: Vec<&'static str>,
    /// Where its standard output goes; its standard error goes to ours.
    pub stdout: Output,
    /// The form in which its lines are passed on, unless they stay as they are.
    pub form: Option<LineForm>,
}

/// A running worker. It leads a process group of its own, which ends with it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// True once it said that it ends, and is not to be started again.
    pub(super) leaves: bool,
    exit: ExitWatch,
    pipes: Pipes,
    tail: Tail,
    lines: mpsc::Receiver<Line>,
}

impl Process {
    /// Starts the program and answers with our end of its link.
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
        // Nobody would attend to one that runs and is not answered with.
        process
            .pass_output(child, program.stdout, passage)
            .inspect_err(|_| process.signal(Signal::SIGKILL))?;
        Ok((process, ours))
    }

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

    /// The pipes that it prints into.
    pub(super) fn pipes(&self) -> Pipes {
        self.pipes.clone()
    }

    /// Sends a signal to the whole process group.
    pub(super) fn signal(&self, signal: Signal) {
        // A group that is gone already needs no signal.
        let _ = killpg(Pid::from_raw(self.pid), signal);
    }

    /// Waits for the end.
    pub(super) async fn ended(&mut self) -> Exit {
        self.exit.ended().await
    }

    /// Its number, its end, and the lines that it prints, which are to be given back.
    pub(super) fn follow(&mut self) -> (i32, ExitWatch, mpsc::Receiver<Line>) {
        let (_, nothing) = mpsc::channel(1);
        (self.pid, self.exit.clone(), std::mem::replace(&mut self.lines, nothing))
    }

    /// Takes the lines back that [`Process::follow`] gave away.
    pub(super) fn take_back(&mut self, lines: mpsc::Receiver<Line>) {
        self.lines = lines;
    }

    /// The last lines that an ended process printed after this moment.
    pub(super) async fn last_output(&mut self, since: Printed) -> Vec<String> {
        // The streams end with the group, unless a process has left the group.
        let _ = timeout(LAST_OUTPUT, async { while self.lines.recv().await.is_some() {} }).await;
        self.tail.since(since)
    }
}

/// Gives the worker the signals of other programs, limits it, and has the kernel end it when this process ends, however that happens.
#[expect(unsafe_code, reason = "nothing safe runs between fork and exec")]
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

/// Elsewhere than on Linux a worker notices its parent's end at its next `get_next_input`.
#[cfg(all(target_os = "linux", not(portable)))]
fn die_with_parent(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have ended before the line above.
    if Pid::parent() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

#[cfg(any(not(target_os = "linux"), portable))]
#[expect(clippy::unnecessary_wraps, reason = "the one for Linux can fail")]
fn die_with_parent(_parent: Pid) -> io::Result<()> {
    Ok(())
}
