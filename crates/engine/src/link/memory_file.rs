//! Memory files: large bodies that a worker gets by descriptor instead of through the socket. They
//! have no name, so that nobody else can open them. Linux only (memfd_create(2)); elsewhere there
//! is the socket.
//!
//! Going out, a body lies in a file that is mapped here and used again: making and freeing the
//! pages of a file costs more than copying into them. It is sealed such that nobody but this
//! mapping can write. A worker that keeps the descriptor could read what later requests bring: its
//! own model's requests, so nothing that it would not be told anyway. A worker's results come in
//! files that it made, sealed against any change.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ai_integration_contract::wire::Segment;
use bytes::{Bytes, BytesMut};

use crate::link::codec::{INLINE, MemoryFile};

/// Bodies from this size on travel in memory files where both sides can.
const SHARED_FROM: usize = 256 * 1024;
/// What is taken at once for bytes that have not come yet, where there are no memory files.
const AT_ONCE: usize = SHARED_FROM;

/// Collects the bytes of a body. A large one is put where workers can read it without a copy.
#[derive(Debug)]
pub struct BodyBuffer(Place);

#[derive(Debug)]
enum Place {
    Heap(BytesMut),
    #[cfg(target_os = "linux")]
    InMemoryFile(pool::Memory, usize),
}

impl BodyBuffer {
    /// For about `expected` bytes. Memory is taken as they come: what is announced need not come.
    #[must_use]
    pub fn new(expected: usize) -> Self {
        #[cfg(target_os = "linux")]
        if expected >= SHARED_FROM
            && let Ok(memory) = pool::take(expected)
        {
            return BodyBuffer(Place::InMemoryFile(memory, 0));
        }
        BodyBuffer(Place::Heap(BytesMut::with_capacity(expected.min(AT_ONCE))))
    }

    /// Appends.
    pub fn extend_from_slice(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Place::Heap(bytes) => bytes.extend_from_slice(piece),
            #[cfg(target_os = "linux")]
            Place::InMemoryFile(memory, length) => {
                let end = *length + piece.len();
                if let Some(room) = memory.get_mut(*length..end) {
                    room.copy_from_slice(piece);
                    *length = end;
                } else {
                    // More than was expected.
                    let mut bytes = BytesMut::from(&memory[..*length]);
                    bytes.extend_from_slice(piece);
                    self.0 = Place::Heap(bytes);
                }
            }
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Heap(bytes) => bytes.len(),
            #[cfg(target_os = "linux")]
            Place::InMemoryFile(_, length) => *length,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes. The memory is used again when the last of their slices is gone.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Place::Heap(bytes) => bytes.freeze(),
            #[cfg(target_os = "linux")]
            Place::InMemoryFile(memory, length) => pool::lend(memory).slice(..length),
        }
    }
}

/// Where the large segments of a frame's body lie.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) file: MemoryFile,
    /// Where each segment begins in the file; `None` for one that stays in the frame.
    pub(crate) offsets: Vec<Option<usize>>,
    /// The file keeps what it holds until this is dropped.
    pub(crate) lease: Bytes,
}

impl Placement {
    /// Finds the file that the segments came in with, or puts them into one. `None` where they are
    /// too small for that, or no file can be had.
    pub(crate) fn of(segments: &[Segment<'_>]) -> Option<Self> {
        let is_large = |segment: &Segment<'_>| segment.as_slice().len() > INLINE;
        let large = || segments.iter().filter(|segment| is_large(segment));
        let size: usize = large().map(|segment| segment.as_slice().len()).sum();
        if size < SHARED_FROM {
            return None;
        }
        Self::found(segments, is_large).or_else(|| {
            let mut copy = BodyBuffer::new(size);
            large().for_each(|segment| copy.extend_from_slice(segment.as_slice()));
            let lease = copy.freeze();
            let (file, mut next) = pool::find(&lease)?;
            let mut place = |segment: &Segment<'_>| {
                let offset = next;
                next += segment.as_slice().len();
                offset
            };
            let offsets = segments.iter().map(|segment| is_large(segment).then(|| place(segment)));
            Some(Placement { file, offsets: offsets.collect(), lease })
        })
    }

    /// The one file that all large segments lie in.
    fn found(segments: &[Segment<'_>], is_large: impl Fn(&Segment<'_>) -> bool) -> Option<Self> {
        let mut first: Option<(MemoryFile, Bytes)> = None;
        let mut offsets = Vec::with_capacity(segments.len());
        for segment in segments {
            if !is_large(segment) {
                offsets.push(None);
                continue;
            }
            let Segment::Bytes(bytes) = segment else { return None };
            let (file, offset) = pool::find(bytes)?;
            let (known, _) = first.get_or_insert_with(|| (file.clone(), (*bytes).clone()));
            if !Arc::ptr_eq(known, &file) {
                return None;
            }
            offsets.push(Some(offset));
        }
        first.map(|(file, lease)| Placement { file, offsets, lease })
    }
}

/// Lets memory go that has not been used for a while. To be called now and then.
pub(crate) fn trim() {
    pool::trim();
}

/// Sets how many memory files there may be, if that is fewer than there would be otherwise: each is
/// a descriptor, which others need too.
pub(crate) fn limit_files(most: usize) {
    pool::limit_files(most);
}

#[cfg(target_os = "linux")]
mod pool {
    //! The memory files of this process, of powers of two in size.

    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use bytes::Bytes;
    use memmap2::MmapMut;
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use crate::link::codec::MemoryFile;

    /// What is kept for later, in bytes.
    const KEPT: usize = 64 << 20;
    /// How many files there may be; see [`limit_files`].
    static FILES: AtomicUsize = AtomicUsize::new(256);
    /// `F_SEAL_FUTURE_WRITE` of Linux 5.1: only mappings that exist already may write.
    const FUTURE_WRITE: SealFlag = SealFlag::from_bits_retain(0x10);

    static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), lent: BTreeMap::new() });

    static FILES_NOW: AtomicUsize = AtomicUsize::new(0);
    /// The bytes of used files that are being filled again: they are there whether anything comes or not.
    static REFILLED: AtomicUsize = AtomicUsize::new(0);

    struct Pool {
        /// The one used last comes last: it is the most likely to be in the processor's caches.
        free: Vec<Memory>,
        /// By address: the length, and the file.
        lent: BTreeMap<usize, (usize, MemoryFile)>,
    }

    /// A mapped file.
    #[derive(Debug)]
    pub(super) struct Memory {
        map: MmapMut,
        file: MemoryFile,
        /// Whether it has been free since [`trim`] came by.
        is_idle: bool,
        /// True while it is being filled again.
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
            let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
            let file = File::from(memfd_create(c"ai_integration", flags)?);
            file.set_len(size as u64)?;
            // SAFETY: nobody else has the file yet, and once it is sealed nobody else can write to
            // it or cut it off.
            let map = unsafe { MmapMut::map_mut(&file)? };
            let seals = SealFlag::F_SEAL_SHRINK
                | SealFlag::F_SEAL_GROW
                | FUTURE_WRITE
                | SealFlag::F_SEAL_SEAL;
            fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
            FILES_NOW.fetch_add(1, Ordering::Relaxed);
            Ok(Memory { map, file: Arc::new(file.into()), is_idle: false, is_refilled: false })
        }
    }

    impl Memory {
        /// Notes whether it is being filled again.
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

    /// Lent bytes, which give their memory back.
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

    /// Memory for so many bytes.
    pub(super) fn take(size: usize) -> io::Result<Memory> {
        let size = size.checked_next_power_of_two().ok_or(io::ErrorKind::OutOfMemory)?;
        let mut pool = pool();
        // A used file is as large as ever, however little comes for it.
        let may_refill = REFILLED.load(Ordering::Relaxed).saturating_add(size) <= KEPT;
        let fits = |memory: &Memory| may_refill && memory.len() == size;
        if let Some(at) = pool.free.iter().rposition(fits) {
            let mut memory = pool.free.remove(at);
            memory.set_refilled(true);
            return Ok(memory);
        }
        if FILES_NOW.load(Ordering::Relaxed) >= FILES.load(Ordering::Relaxed) {
            if pool.free.is_empty() {
                return Err(io::Error::other("too many memory files"));
            }
            pool.free.remove(0);
        }
        drop(pool);
        Memory::new(size)
    }

    /// Makes bytes of it, which nobody can change any more.
    pub(super) fn lend(mut memory: Memory) -> Bytes {
        memory.set_refilled(false);
        let entry = (memory.len(), Arc::clone(&memory.file));
        pool().lent.insert(memory.as_ptr().addr(), entry);
        Bytes::from_owner(Loan(Some(memory)))
    }

    pub(super) fn find(bytes: &[u8]) -> Option<(MemoryFile, usize)> {
        let start = bytes.as_ptr().addr();
        let pool = pool();
        let (base, (length, file)) = pool.lent.range(..=start).next_back()?;
        let offset = start - base;
        (offset + bytes.len() <= *length).then(|| (Arc::clone(file), offset))
    }

    pub(super) fn limit_files(most: usize) {
        FILES.fetch_min(most, Ordering::Relaxed);
    }

    pub(super) fn trim() {
        let mut pool = pool();
        pool.free.retain(|memory| !memory.is_idle);
        pool.free.iter_mut().for_each(|memory| memory.is_idle = true);
    }
}

#[cfg(not(target_os = "linux"))]
mod pool {
    pub(super) fn find(_: &[u8]) -> Option<(crate::link::codec::MemoryFile, usize)> {
        None
    }

    pub(super) fn trim() {}

    pub(super) fn limit_files(_: usize) {}
}

/// The bytes of a memory file that the other side made, which must be sealed and `length` long.
#[cfg(target_os = "linux")]
pub(crate) fn read(file: OwnedFd, length: usize) -> io::Result<Bytes> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};

    let wanted = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    let found = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS)?);
    let mut file = File::from(file);
    if !found.contains(wanted) || file.metadata()?.len() != length as u64 {
        return Err(io::Error::other("it is not sealed, or not of the length that was said"));
    }
    file.rewind()?;
    // The length is the sender's word, and a file of holes costs him nothing.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read(_: OwnedFd, _: usize) -> io::Result<Bytes> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    #[test]
    fn only_sealed_files_of_the_right_length_are_read() {
        let file = |seals: SealFlag| {
            let mut file = File::from(memfd_create(c"", MFdFlags::MFD_ALLOW_SEALING).unwrap());
            file.write_all(b"one two").unwrap();
            fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
            OwnedFd::from(file)
        };
        assert_eq!(read(file(SealFlag::from_bits_retain(15)), 7).unwrap(), "one two");
        assert!(read(file(SealFlag::from_bits_retain(15)), 6).is_err());
        assert!(read(file(SealFlag::from_bits_retain(7)), 7).is_err());
        assert!(read(tempfile::tempfile().unwrap().into(), 0).is_err());
    }

    #[test]
    fn a_large_body_lies_in_a_file_that_only_we_can_write_to() {
        let mut buffer = BodyBuffer::new(SHARED_FROM);
        for piece in 0..16_u8 {
            buffer.extend_from_slice(&vec![piece; SHARED_FROM / 16]);
        }
        assert_eq!(buffer.len(), SHARED_FROM);
        let body = buffer.freeze();
        let part = body.slice(SHARED_FROM / 2 + 1..);
        drop(body);
        let (file, offset) = pool::find(&part).unwrap();
        let file = File::from(file.try_clone().unwrap());
        let mut there = vec![0; part.len()];
        file.read_exact_at(&mut there, offset as u64).unwrap();
        assert_eq!(part, there);
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert!(pool::find(b"somewhere else").is_none());
    }

    #[test]
    fn segments_are_found_in_the_file_they_came_with_or_copied_into_one() {
        let mut buffer = BodyBuffer::new(SHARED_FROM * 2);
        buffer.extend_from_slice(&vec![1; SHARED_FROM * 2]);
        let body = buffer.freeze();
        let (one, two) = (body.slice(10..SHARED_FROM), body.slice(SHARED_FROM..));
        let small = Bytes::from_static(b"small");
        let segments = [Segment::Bytes(&one), Segment::Bytes(&small), Segment::Bytes(&two)];
        let placed = Placement::of(&segments).unwrap();
        assert_eq!(placed.offsets, [Some(10), None, Some(SHARED_FROM)]);
        assert_eq!(placed.lease.as_ptr(), one.as_ptr());

        let text = "x".repeat(SHARED_FROM);
        let segments = [Segment::Text("small"), Segment::Text(&text), Segment::Bytes(&two)];
        let placed = Placement::of(&segments).unwrap();
        assert_eq!(placed.offsets, [None, Some(0), Some(SHARED_FROM)]);
        assert_eq!(placed.lease, [text.as_bytes(), &two].concat());

        assert!(Placement::of(&[Segment::Bytes(&small)]).is_none());
    }

    #[test]
    fn more_or_less_than_was_expected_is_fine() {
        let mut buffer = BodyBuffer::new(SHARED_FROM);
        assert!(buffer.is_empty());
        buffer.extend_from_slice(b"less");
        assert_eq!(buffer.freeze(), "less");
        let mut buffer = BodyBuffer::new(SHARED_FROM + 1);
        let expected: Vec<u8> = (0..2_500_u32).flat_map(|n| n.to_be_bytes().repeat(100)).collect();
        expected.chunks(7_777).for_each(|piece| buffer.extend_from_slice(piece));
        assert_eq!(buffer.freeze(), expected);
    }

    #[test]
    fn memory_is_used_again_once_the_last_slice_is_gone() {
        // A size that no other test uses.
        let size = 8 << 20;
        let lend = || {
            let mut buffer = BodyBuffer::new(size);
            buffer.extend_from_slice(b"text");
            buffer.freeze()
        };
        let first = lend();
        let address = first.as_ptr();
        let slice = first.slice(2..);
        drop(first);
        let second = lend();
        assert_ne!(second.as_ptr(), address, "a slice of it is still in use");
        assert_eq!(slice, "xt");
        drop(slice);
        let third = lend();
        assert_eq!(third.as_ptr(), address);
        drop(third);
        assert!(pool::find(&second).is_some());
    }
}
