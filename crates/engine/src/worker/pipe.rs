//! The pipes that a worker prints into, and the number of bytes that were read from them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::stat::fstat;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread, read};

use crate::link::board::{Board, Printed, Stream};

/// The engine's end of such a pipe, which one thread reads.
#[derive(Debug)]
pub(super) struct Pipe {
    end: OwnedFd,
    stream: Stream,
    progress: Mutex<Progress>,
}

/// The number of bytes that were read from a pipe.
#[derive(Debug, Default)]
struct Progress {
    /// The number of bytes that were read.
    read: u64,
    /// The board on which the worker finds that number.
    board: Option<Arc<Board>>,
}

impl Pipe {
    pub(super) fn new(end: OwnedFd, stream: Stream) -> Self {
        Pipe { end, stream, progress: Mutex::default() }
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Waits for output and reads what has arrived; 0 at the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut waiting = [PollFd::new(&self.end, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let has_output = waiting[0].revents().contains(PollFlags::IN);
            let mut progress = self.progress();
            let there = self.unread()?;
            if there == 0 && has_output {
                continue;
            }
            let most = buffer.len().min(usize::try_from(there).unwrap_or(usize::MAX));
            // Written before the bytes are read: otherwise a worker that counts meanwhile would
            // miss them, because they are no longer in the pipe.
            progress.write_to_board(self.stream, most as u64, true);
            let read = read(&self.end, &mut buffer[..most]);
            progress.read += *read.as_ref().unwrap_or(&0) as u64;
            progress.write_to_board(self.stream, 0, false);
            match read {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }

    /// Returns the number of bytes that have been printed by now.
    fn printed(&self) -> u64 {
        // The lock keeps bytes from being counted twice, or not at all.
        let progress = self.progress();
        progress.read + self.unread().unwrap_or(0)
    }

    fn attach_board(&self, board: &Arc<Board>) {
        // If the worker prints through another pipe (`| tee log`), it cannot count the bytes in
        // this one.
        let is_direct = fstat(&self.end).is_ok_and(|file| board.has_pipe(self.stream, file.st_ino));
        if is_direct {
            let mut progress = self.progress();
            progress.board = Some(board.clone());
            progress.write_to_board(self.stream, 0, false);
        }
    }

    fn unread(&self) -> io::Result<u64> {
        Ok(ioctl_fionread(&self.end)?)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Writes on the board how many bytes have been read, and `ahead` more while the thread is
    /// reading.
    fn write_to_board(&self, stream: Stream, ahead: u64, is_reading: bool) {
        if let Some(board) = &self.board {
            board.write_read(stream, self.read + ahead, is_reading);
        }
    }
}

/// All pipes of a worker. A worker that the engine did not start has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipes(Vec<Arc<Pipe>>);

impl Pipes {
    pub(super) fn add(&mut self, pipe: Pipe) -> Arc<Pipe> {
        let pipe = Arc::new(pipe);
        self.0.push(pipe.clone());
        pipe
    }

    /// Returns the present moment in the worker's output.
    pub(crate) fn printed(&self) -> Printed {
        let on =
            |stream| self.0.iter().find(|pipe| pipe.stream == stream).map(|pipe| pipe.printed());
        Printed::new(on(Stream::Stdout).unwrap_or_default(), on(Stream::Stderr).unwrap_or_default())
    }

    /// Writes on the worker's board, from now on, how much of its output has been read.
    pub(crate) fn attach_board(&self, board: &Arc<Board>) {
        self.0.iter().for_each(|pipe| pipe.attach_board(board));
    }
}
