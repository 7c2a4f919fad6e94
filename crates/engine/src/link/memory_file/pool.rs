//! The pool of this process's memory files. Their sizes are powers of two.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use crate::link::codec::MemoryFile;

/// The size of free files in bytes, all together, that are kept for reuse.
const KEPT: usize = 64 << 20;
/// The limit on the number of files, which [`limit_files`] lowers.
static MAX_FILES: AtomicUsize = AtomicUsize::new(256);

static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), lent: BTreeMap::new() });

/// The number of files.
static FILES_NOW: AtomicUsize = AtomicUsize::new(0);
/// The size in bytes of the reused files that are being filled. Their pages exist already, even if
/// no bytes arrive.
static REFILLED: AtomicUsize = AtomicUsize::new(0);

struct Pool {
    /// The file that was used last is at the end: it is the most likely to be in the processor's
    /// caches.
    free: Vec<Memory>,
    /// The length and the file of each mapping that is in use, by its address.
    lent: BTreeMap<usize, (usize, MemoryFile)>,
}

/// A mapped file.
#[derive(Debug)]
pub(super) struct Memory {
    map: MmapMut,
    file: MemoryFile,
    /// True if the file has been free since the last [`trim`].
    is_idle: bool,
    /// True while the file is being filled again.
    is_refilled: bool,
}

impl std::ops::Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl std::ops::DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}

impl Memory {
    #[expect(unsafe_code, reason = "a mapping is as safe as its file")]
    fn new(size: usize) -> io::Result<Self> {
        // This is a raw system call, because glibc has a function for it only since version 2.27.
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create(c"ai_integration", flags)?);
        file.set_len(size as u64)?;
        // SAFETY: no other process has the file yet, and once it is sealed none can write to it or
        // truncate it.
        let map = unsafe { MmapMut::map_mut(&file)? };
        // With this seal, which Linux 5.1 added, only existing mappings can write.
        let future_write = SealFlags::FUTURE_WRITE;
        let seals = SealFlags::SHRINK | SealFlags::GROW | future_write | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        FILES_NOW.fetch_add(1, Ordering::Relaxed);
        Ok(Memory { map, file: Arc::new(file.into()), is_idle: false, is_refilled: false })
    }
}

impl Memory {
    /// Records whether the file is being filled again.
    fn set_refilled(&mut self, is_refilled: bool) {
        if is_refilled && !self.is_refilled {
            REFILLED.fetch_add(self.map.len(), Ordering::Relaxed);
        } else if self.is_refilled && !is_refilled {
            REFILLED.fetch_sub(self.map.len(), Ordering::Relaxed);
        }
        self.is_refilled = is_refilled;
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.set_refilled(false);
        FILES_NOW.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The owner of lent bytes, which returns their file to the pool.
struct Loan(Option<Memory>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut memory) = self.0.take() else { return };
        let mut pool = pool();
        pool.lent.remove(&memory.as_ptr().addr());
        let kept: usize = pool.free.iter().map(|memory| memory.len()).sum();
        if kept + memory.len() <= KEPT {
            memory.is_idle = false;
            pool.free.push(memory);
        }
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a file for this number of bytes out of the pool, or makes one.
pub(super) fn take(size: usize) -> io::Result<Memory> {
    let size = size.checked_next_power_of_two().ok_or(io::ErrorKind::OutOfMemory)?;
    let mut pool = pool();
    // The pages of a reused file exist already, even if few bytes arrive. So the size of these
    // files is limited.
    let may_refill = REFILLED.load(Ordering::Relaxed).saturating_add(size) <= KEPT;
    let fits = |memory: &Memory| may_refill && memory.len() == size;
    if let Some(at) = pool.free.iter().rposition(fits) {
        let mut memory = pool.free.remove(at);
        memory.set_refilled(true);
        return Ok(memory);
    }
    if FILES_NOW.load(Ordering::Relaxed) >= MAX_FILES.load(Ordering::Relaxed) {
        if pool.free.is_empty() {
            return Err(io::Error::other("too many memory files"));
        }
        pool.free.remove(0);
    }
    drop(pool);
    Memory::new(size)
}

/// Turns a filled file into bytes that cannot be changed any more.
pub(super) fn lend(mut memory: Memory) -> Bytes {
    memory.set_refilled(false);
    let entry = (memory.len(), Arc::clone(&memory.file));
    pool().lent.insert(memory.as_ptr().addr(), entry);
    Bytes::from_owner(Loan(Some(memory)))
}

/// Finds the lent file that these bytes are in, and their offset in it.
pub(super) fn find(bytes: &[u8]) -> Option<(MemoryFile, usize)> {
    let start = bytes.as_ptr().addr();
    let pool = pool();
    let (base, (length, file)) = pool.lent.range(..=start).next_back()?;
    let offset = start - base;
    (offset + bytes.len() <= *length).then(|| (Arc::clone(file), offset))
}

/// Implements [`super::limit_files`].
pub(super) fn limit_files(most: usize) {
    MAX_FILES.fetch_min(most, Ordering::Relaxed);
}

/// Implements [`super::trim`].
pub(super) fn trim() {
    let mut pool = pool();
    pool.free.retain(|memory| !memory.is_idle);
    pool.free.iter_mut().for_each(|memory| memory.is_idle = true);
}

/// Returns true if the seals of the file forbid any change.
pub(super) fn is_sealed(file: &OwnedFd) -> io::Result<bool> {
    let wanted = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    Ok(fcntl_get_seals(file)?.contains(wanted))
}
