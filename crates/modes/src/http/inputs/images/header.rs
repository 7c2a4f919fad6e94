//! The size in a picture's header, read with an end to it.

use std::io::{self, BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom};

use imagesize::ImageSize;

/// The most reads of a header. Photos take a few dozen, a colour profile of 16 MB some 500.
pub(crate) const MAX_READS: usize = 1 << 16;

/// The size in a picture's header.
pub(crate) fn size(bytes: &[u8]) -> Option<ImageSize> {
    let mut header = Header { bytes: Cursor::new(bytes), reads: MAX_READS };
    let size = imagesize::reader_size(&mut header).ok()?;
    // A reader that ran dry may have been taken for the end of the file.
    (header.reads > 0).then_some(size)
}

/// A picture for `imagesize`, which looks at as many boxes or segments as somebody puts into a
/// file: only so many of its reads are answered. Where they are does not matter, since a TIFF may
/// have its directory at its end.
struct Header<'a> {
    bytes: Cursor<&'a [u8]>,
    reads: usize,
}

impl Read for Header<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads = self.reads.checked_sub(1).ok_or(ErrorKind::FileTooLarge)?;
        self.bytes.read(buffer)
    }
}

impl BufRead for Header<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Header<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}
