//! Reads the header of JPEG pictures, and of the Multi-Picture Format within them.

use ai_integration_contract::Format;
use memchr::{memchr, memmem};

use super::bytes::{big, little, piece};
use super::extent::{Extent, Limits, largest};
use super::tiff::{Field, Tiff};

/// The maximum number of segments that are read of a file. Photos have a few dozen, and a colour
/// profile of 16 MB has about 250. Every 1024 bytes between segments count as one segment.
pub(super) const MAX_SEGMENTS: u64 = 1 << 16;

/// Reads the size in the frame header, and the sizes of the further pictures that the file lists.
pub(super) fn extent(bytes: &[u8], limits: &Limits) -> Option<Extent> {
    let mut segments_left = MAX_SEGMENTS;
    let header = Header::read(bytes, 0, &mut segments_left)?;
    let first = Extent::still(limits.settle(&header.sizes)?);
    let further = header.further_pictures().unwrap_or_default();
    if further.len() as u64 >= limits.frames {
        return Some(Extent { frames: 1 + further.len() as u64, ..first });
    }
    let mut pictures = first;
    for at in further {
        let header = Header::read(bytes, at, &mut segments_left);
        let size = header.and_then(|header| largest(header.sizes)).unwrap_or_default();
        pictures = pictures.and(Extent::still(size));
    }
    (segments_left > 0).then_some(pictures)
}

/// The header of a JPEG: everything before the pixels (ITU T.81, annex B).
#[derive(Default)]
struct Header<'a> {
    sizes: Vec<(u64, u64)>,
    index: Option<Index<'a>>,
    is_ultra_hdr: bool,
}

/// The list of further pictures (CIPA DC-007, section 5), and the offset from which their places
/// are counted.
struct Index<'a> {
    bytes: &'a [u8],
    base: u64,
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8], start: u64, segments_left: &mut u64) -> Option<Self> {
        piece(bytes, start, 3).filter(|mark| *mark == b"\xff\xd8\xff")?;
        let mut header = Header::default();
        let mut at = start + 2;
        while let Some(junk) =
            bytes.get(usize::try_from(at).ok()?..).and_then(|rest| memchr(0xff, rest))
        {
            let junk = junk as u64;
            let Some(left) = segments_left.checked_sub(1 + junk / 1024) else {
                *segments_left = 0;
                return None;
            };
            *segments_left = left;
            at += junk;
            let Some(kind) = big(bytes, at + 1, 1) else { break };
            let length = match kind {
                0x01..=0xbf => return None,
                // A marker without a length, or an escaped byte of 255.
                0x00 | 0xc8 | 0xd0..=0xd9 | 0xf0..=0xfd => 0,
                // Fill bytes of 255 may come before a marker.
                0xff => {
                    at += 1;
                    continue;
                }
                _ => big(bytes, at + 2, 2)?.max(2),
            };
            let is_scan = kind == 0xda;
            if is_scan {
                break;
            }
            header.take(bytes, kind, at + 4, length.saturating_sub(2))?;
            at += 2 + length;
        }
        Some(header)
    }

    /// Reads one segment.
    fn take(&mut self, bytes: &'a [u8], kind: u64, at: u64, length: u64) -> Option<()> {
        let content = piece(bytes, at, length).unwrap_or_default();
        match kind {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf | 0xde => self.sizes.push((big(bytes, at + 3, 2)?, big(bytes, at + 1, 2)?)),
            0xe1 => self.is_ultra_hdr |= memmem::find(content, b" hdrgm:Version=\"").is_some(),
            0xe2 if content.starts_with(b"MPF\0") => {
                self.index = Some(Index { bytes: &content[4..], base: at + 4 });
            }
            _ => {}
        }
        Some(())
    }

    /// Lists the offsets of the further pictures. If Pillow cannot read the list, or the file is an
    /// Ultra HDR picture, Pillow treats the file as a plain JPEG. In these cases there are none.
    fn further_pictures(&self) -> Option<Vec<u64>> {
        const NUMBER_OF_IMAGES: u16 = 0xb001;
        const ENTRIES: u16 = 0xb002;
        const ENTRY: u64 = 16;
        let Index { bytes, base } = self.index.as_ref().filter(|_| !self.is_ultra_hdr)?;
        let mark = piece(bytes, 0, 4)?;
        let is_tiff = Format::recognise(mark).is_some_and(|format| format.name() == "tiff");
        if !is_tiff || mark == b"II+\0" {
            return None;
        }
        let list = Tiff { bytes, is_little: mark.starts_with(b"II"), is_wide: false };
        let wanted = [NUMBER_OF_IMAGES, ENTRIES];
        let (at, length, mut fields_left) =
            (list.first_directory()?, bytes.len() as u64, MAX_SEGMENTS);
        let [count, entries] = list.directory(at, length, wanted, &mut fields_left)?.fields;
        let entries = entries.filter(Field::is_bytes)?.data;
        let number = if mark == b"MM\0*" { big } else { little };
        let place = |entry: u64| {
            let (attributes, place) =
                (number(entries, entry * ENTRY, 4)?, number(entries, entry * ENTRY + 8, 4)?);
            number(entries, entry * ENTRY + 12, 4)?;
            let is_jpeg = matches!(attributes >> 24 & 7, 0);
            is_jpeg.then_some(place + base)
        };
        let places: Option<Vec<u64>> = (0..count?.number()?).map(place).collect();
        Some(places?.split_off(1))
    }
}
