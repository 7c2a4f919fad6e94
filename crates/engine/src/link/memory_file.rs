//! Memory files: large bodies that are passed as a file descriptor instead of through the socket.
//! The files have no name, so no other process can open them. They exist on Linux only
//! (memfd_create(2)); on other systems all bodies go through the socket.
//!
//! The bodies of jobs are in files that are mapped in the engine and reused, because allocating and
//! freeing the pages of a file costs more than copying into them. The seals of such a file let only
//! the engine's mapping write to it. A worker that keeps the descriptor can read the bodies of
//! later requests; these are requests to the same model, so the worker may see them. Results are in
//! files that the worker made, sealed against any change.

#[cfg(all(target_os = "linux", not(portable)))]
mod pool;
#[cfg(any(not(target_os = "linux"), portable))]
#[path = "memory_file/no_pool.rs"]
mod pool;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ai_integration_contract::wire::Segment;
use bytes::{Bytes, BytesMut};

use crate::link::codec::{INLINE, MemoryFile};

/// The least size in bytes of bodies that are in memory files, if both sides support them.
const SHARED_FROM: usize = 256 * 1024;
/// The maximum memory in bytes that is allocated for a body before the body arrives, unless it is in
/// a memory file.
const AT_ONCE: usize = SHARED_FROM;

/// A buffer for the bytes of a request body. A large body is written into a memory file, from which
/// workers read it without a copy.
///
/// ```
/// use ai_integration_engine::BodyBuffer;
///
/// let mut buffer = BodyBuffer::new(11);
/// buffer.extend_from_slice(b"hello ");
/// buffer.extend_from_slice(b"world");
/// assert_eq!(buffer.len(), 11);
/// assert_eq!(buffer.freeze(), "hello world");
/// ```
#[derive(Debug)]
pub struct BodyBuffer(Place);

#[derive(Debug)]
enum Place {
    Heap(BytesMut),
    InMemoryFile(pool::Memory, usize),
}

impl BodyBuffer {
    /// Makes a buffer for about `expected` bytes. Memory is used only as they arrive, because a
    /// client may announce more than it sends.
    #[must_use]
    pub fn new(expected: usize) -> Self {
        if expected >= SHARED_FROM
            && let Ok(memory) = pool::take(expected)
        {
            return BodyBuffer(Place::InMemoryFile(memory, 0));
        }
        BodyBuffer(Place::Heap(BytesMut::with_capacity(expected.min(AT_ONCE))))
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, added: &[u8]) {
        match &mut self.0 {
            Place::Heap(bytes) => bytes.extend_from_slice(added),
            Place::InMemoryFile(memory, length) => {
                let end = *length + added.len();
                if let Some(room) = memory.get_mut(*length..end) {
                    room.copy_from_slice(added);
                    *length = end;
                } else {
                    // There are more bytes than expected.
                    let mut bytes = BytesMut::from(&memory[..*length]);
                    bytes.extend_from_slice(added);
                    self.0 = Place::Heap(bytes);
                }
            }
        }
    }

    /// Appends the bytes that `write` puts at the beginning of a slice, which has `most` bytes with
    /// any content. `write` returns their number, or `None` to append nothing. Returns true if it
    /// returned a number.
    pub fn extend_with(
        &mut self,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let start = self.len();
        if let Place::InMemoryFile(memory, length) = &mut self.0 {
            if let Some(room) = memory.get_mut(start..start + most) {
                let written = write(room);
                *length += written.unwrap_or_default().min(most);
                return written.is_some();
            }
            // There are more bytes than expected.
            self.0 = Place::Heap(BytesMut::from(&memory[..start]));
        }
        let Place::Heap(bytes) = &mut self.0 else { return false };
        bytes.resize(start + most, 0);
        let written = write(&mut bytes[start..]);
        bytes.truncate(start + written.unwrap_or_default());
        written.is_some()
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Heap(bytes) => bytes.len(),
            Place::InMemoryFile(_, length) => *length,
        }
    }

    /// Returns true if there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes. Their memory is reused once the last slice of them is dropped.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Place::Heap(bytes) => bytes.freeze(),
            Place::InMemoryFile(memory, length) => pool::lend(memory).slice(..length),
        }
    }
}

/// The places of the large segments of a frame's body in a memory file.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) file: MemoryFile,
    /// The offset of each segment in the file; `None` for one that stays in the frame.
    pub(crate) offsets: Vec<Option<usize>>,
    /// Keeps the file from being reused until it is dropped.
    pub(crate) lease: Bytes,
}

impl Placement {
    /// Finds the memory file that the segments are in, or copies them into one. Returns `None` if
    /// they are too small for that, or no file is available.
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

    /// Finds the memory file that contains all large segments, if there is one.
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

/// Frees files that have not been used since the last call. Must be called from time to time.
pub(crate) fn trim() {
    pool::trim();
}

/// Lowers the limit on the number of memory files, each of which takes a file descriptor.
pub(crate) fn limit_files(most: usize) {
    pool::limit_files(most);
}

/// Reads a memory file that the other side made. It must be sealed, and `length` bytes long.
pub(crate) fn read(file: OwnedFd, length: usize) -> io::Result<Bytes> {
    let is_sealed = pool::is_sealed(&file)?;
    let mut file = File::from(file);
    if !is_sealed || file.metadata()?.len() != length as u64 {
        return Err(io::Error::other("it is not sealed, or its length is not the announced one"));
    }
    file.rewind()?;
    // A worker may announce any length, and a sparse file of that length costs it nothing.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(portable)))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

    use super::*;

    #[test]
    fn only_sealed_files_of_the_right_length_are_read() {
        let file = |seals: SealFlags| {
            let mut file = File::from(memfd_create(c"", MemfdFlags::ALLOW_SEALING).unwrap());
            file.write_all(b"one two").unwrap();
            fcntl_add_seals(&file, seals).unwrap();
            OwnedFd::from(file)
        };
        assert_eq!(read(file(SealFlags::from_bits_retain(15)), 7).unwrap(), "one two");
        assert!(read(file(SealFlags::from_bits_retain(15)), 6).is_err());
        assert!(read(file(SealFlags::from_bits_retain(7)), 7).is_err());
        assert!(read(tempfile::tempfile().unwrap().into(), 0).is_err());
    }

    #[test]
    fn a_large_body_is_in_a_file_that_only_the_engine_can_write_to() {
        let mut buffer = BodyBuffer::new(SHARED_FROM);
        for byte in 0..16_u8 {
            buffer.extend_from_slice(&vec![byte; SHARED_FROM / 16]);
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
    fn a_buffer_takes_more_or_fewer_bytes_than_expected() {
        let mut buffer = BodyBuffer::new(SHARED_FROM);
        assert!(buffer.is_empty());
        buffer.extend_from_slice(b"less");
        assert_eq!(buffer.freeze(), "less");
        let mut buffer = BodyBuffer::new(SHARED_FROM + 1);
        let expected: Vec<u8> = (0..2_500_u32).flat_map(|n| n.to_be_bytes().repeat(100)).collect();
        expected.chunks(7_777).for_each(|part| buffer.extend_from_slice(part));
        assert_eq!(buffer.freeze(), expected);
    }

    #[test]
    fn bytes_are_written_in_place_or_not_at_all() {
        for size in [0, 20, SHARED_FROM] {
            let mut buffer = BodyBuffer::new(size);
            let mut append = |most, bytes: &[u8]| {
                buffer.extend_with(most, |room| {
                    assert_eq!(room.len(), most);
                    room.get_mut(..bytes.len())?.copy_from_slice(bytes);
                    Some(bytes.len())
                })
            };
            assert!(append(9, b"one "));
            assert!(!append(2, b"more than two"));
            assert!(append(5, b"three"));
            let large = vec![b'x'; SHARED_FROM];
            assert!(append(large.len() + 1, &large));
            assert_eq!(buffer.freeze(), [b"one three", &large[..]].concat());
        }
    }

    #[test]
    fn memory_is_reused_once_the_last_slice_is_dropped() {
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
        assert_ne!(second.as_ptr(), address, "a slice of the first is still in use");
        assert_eq!(slice, "xt");
        drop(slice);
        let third = lend();
        assert_eq!(third.as_ptr(), address);
        drop(third);
        assert!(pool::find(&second).is_some());
    }
}
