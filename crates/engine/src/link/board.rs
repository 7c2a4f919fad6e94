//! The board: a memory file in which a worker notes what it has started, and how much it had
//! printed by then. It outlives the worker, and spares it a message for each job.
//!
//! The output of a worker goes through pipes, and is read later than it is written. Only the worker
//! can tell what belongs to which job: what the engine has read when the job begins, and what lies
//! in the pipe. The engine keeps the first of these numbers on the board.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::job::id::JobId;

/// The bytes of a number on the board.
const NUMBER: usize = 8;
/// The places of the numbers that follow the job's, each for standard output and the next one for
/// standard error: what was printed when it began, what the engine has read, and the worker's pipe.
const PRINTED: usize = 1;
const READ: usize = 3;
const PIPES: usize = 5;
/// The mark of a number that the engine is about to have read.
const IS_READING: u64 = 1 << 63;

/// One of a worker's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A moment in the output of a worker: how many bytes it had printed by then, on standard output and
/// on standard error. A number above all others stands for one that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed([u64; 2]);

impl Printed {
    /// A moment that is not known.
    pub(crate) const UNKNOWN: Self = Printed([u64::MAX; 2]);

    /// The moment at which these bytes had been printed.
    pub(crate) fn new(stdout: u64, stderr: u64) -> Self {
        Printed([stdout, stderr])
    }

    /// The bytes of a stream.
    pub(crate) fn on(self, stream: Stream) -> u64 {
        self.0[stream as usize]
    }

    /// The earlier of two moments, by stream.
    pub(crate) fn min(self, other: Self) -> Self {
        Printed([self.0[0].min(other.0[0]), self.0[1].min(other.0[1])])
    }
}

/// The engine's hold on a worker's board.
#[derive(Debug)]
pub(crate) struct Board(File);

impl Board {
    pub(crate) fn new(file: File) -> Self {
        Board(file)
    }

    /// The job that the worker had started last; `None` before the first.
    pub(crate) fn started(&self) -> Option<JobId> {
        self.number(0).filter(|id| *id > 0).map(JobId)
    }

    /// The bytes that the worker had printed when it started that job; `None` where it does not note it.
    pub(crate) fn printed(&self) -> Option<Printed> {
        Some(Printed([self.number(PRINTED)?, self.number(PRINTED + 1)?]))
    }

    /// Tells the worker how many bytes of a stream have been read, or will have been when that is
    /// not going on any more. What the worker prints must go right into this pipe.
    pub(crate) fn tell_read(&self, stream: Stream, bytes: u64, is_reading: bool) {
        let told = bytes | if is_reading { IS_READING } else { 0 };
        let place = (READ + stream as usize) * NUMBER;
        // A worker that is not told finds its own first value, by which it knows that.
        let _ = self.0.write_all_at(&told.to_le_bytes(), place as u64);
    }

    /// Returns whether this is the pipe behind one of the worker's streams, as far as it says so.
    pub(crate) fn has_pipe(&self, stream: Stream, inode: u64) -> bool {
        self.number(PIPES + stream as usize) == Some(inode)
    }

    fn number(&self, place: usize) -> Option<u64> {
        let mut number = [0; NUMBER];
        self.0.read_exact_at(&mut number, (place * NUMBER) as u64).ok()?;
        Some(u64::from_le_bytes(number))
    }
}
