//! The board: a memory file in which a worker records the job that it has started, and how much it
//! had printed before. The file outlives the worker, and saves one message for each job.
//!
//! The engine reads a worker's output from pipes, later than it is written. So only the worker can
//! tell where the output of a job begins: it adds the number of bytes that the engine has read to
//! the number of bytes in the pipe. The engine writes the first of these numbers on the board.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::job::id::JobId;

/// The size of a number on the board, in bytes.
const NUMBER: usize = 8;
/// The index of the number of bytes that the worker had printed on standard output when it started
/// the job. The indices below are also those for standard output. Each is followed by the index for
/// standard error.
const PRINTED: usize = 1;
/// The index of the number of bytes that the engine has read.
const READ: usize = 3;
/// The index of the inode of the worker's pipe.
const PIPES: usize = 5;
/// The flag that is set in the number of bytes while the engine is reading up to that number.
const IS_READING: u64 = 1 << 63;

/// One of a worker's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A moment in the output of a worker: the number of bytes that it had printed before, on standard
/// output and on standard error. The greatest number stands for "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed([u64; 2]);

impl Printed {
    /// The unknown moment.
    pub(crate) const UNKNOWN: Self = Printed([u64::MAX; 2]);

    /// Returns the moment at which these numbers of bytes had been printed.
    pub(crate) fn new(stdout: u64, stderr: u64) -> Self {
        Printed([stdout, stderr])
    }

    /// Returns the number of bytes that had been printed on a stream.
    pub(crate) fn on(self, stream: Stream) -> u64 {
        self.0[stream as usize]
    }

    /// Returns the earlier one of two moments, for each stream by itself.
    pub(crate) fn min(self, other: Self) -> Self {
        Printed([self.0[0].min(other.0[0]), self.0[1].min(other.0[1])])
    }
}

/// The engine's handle on a worker's board.
#[derive(Debug)]
pub(crate) struct Board(File);

impl Board {
    pub(crate) fn new(file: File) -> Self {
        Board(file)
    }

    /// Returns the job that the worker has started last; `None` before the first one.
    pub(crate) fn started(&self) -> Option<JobId> {
        self.number(0).filter(|id| *id > 0).map(JobId)
    }

    /// Returns the moment in the output when the worker started that job; `None` if an older worker
    /// does not record it.
    pub(crate) fn printed(&self) -> Option<Printed> {
        Some(Printed([self.number(PRINTED)?, self.number(PRINTED + 1)?]))
    }

    /// Writes the number of bytes that the engine has read of a stream; while it `is_reading`, the
    /// number that it will have read afterwards. Only for a stream whose pipe the worker prints
    /// into directly.
    pub(crate) fn write_read(&self, stream: Stream, bytes: u64, is_reading: bool) {
        let number = bytes | if is_reading { IS_READING } else { 0 };
        let place = (READ + stream as usize) * NUMBER;
        // If this fails, the worker finds its own initial value, which stands for "unknown".
        let _ = self.0.write_all_at(&number.to_le_bytes(), place as u64);
    }

    /// Returns true if the board says that this is the pipe behind one of the worker's streams.
    pub(crate) fn has_pipe(&self, stream: Stream, inode: u64) -> bool {
        self.number(PIPES + stream as usize) == Some(inode)
    }

    fn number(&self, place: usize) -> Option<u64> {
        let mut number = [0; NUMBER];
        self.0.read_exact_at(&mut number, (place * NUMBER) as u64).ok()?;
        Some(u64::from_le_bytes(number))
    }
}
