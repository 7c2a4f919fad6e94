//! Reads the header of TIFF pictures.

use std::collections::HashSet;

use super::bytes::{big, little, piece};
use super::extent::{Extent, Limits};

/// The maximum number of fields that are read of a file. A page has a few dozen.
const MAX_FIELDS: u64 = 1 << 20;

/// Counts the pages up to one more than the limit. Each page has a size of its own. The chain of
/// pages also ends if it returns to an earlier page.
pub(super) fn extent(bytes: &[u8], limits: &Limits) -> Option<Extent> {
    let is_little = bytes.starts_with(b"II");
    // Pillow reads a big-endian BigTIFF as a plain TIFF.
    let is_wide = bytes.get(2) == Some(&43);
    pages(Tiff { bytes, is_little, is_wide }, limits.frames).or_else(|| {
        let is_wide = !is_little && bytes.get(3) == Some(&43);
        is_wide.then(|| pages(Tiff { bytes, is_little, is_wide }, limits.frames))?
    })
}

fn pages(tiff: Tiff<'_>, most: u64) -> Option<Extent> {
    const WIDTH: u16 = 256;
    const LENGTH: u16 = 257;
    let mut fields_left = MAX_FIELDS;
    let mut data_left = tiff.bytes.len() as u64;
    let mut seen = HashSet::new();
    let mut extent: Option<Extent> = None;
    let mut next = tiff.first_directory();
    while let Some(at) = next.filter(|at| *at != 0 && seen.insert(*at)) {
        let directory = tiff.directory(at, data_left, [WIDTH, LENGTH], &mut fields_left)?;
        let [width, length] = directory.fields.map(|field| field?.number());
        extent = match (extent, width.zip(length)) {
            (None, size) => Some(Extent::still(size?)),
            (Some(pages), size) => Some(pages.and(Extent::still(size.unwrap_or_default()))),
        };
        if extent.is_some_and(|pages| pages.frames > most) {
            break;
        }
        data_left = data_left.saturating_sub(directory.data);
        next = directory.next;
    }
    extent
}

/// A file with directories of fields, such as a TIFF or the index of the Multi-Picture Format.
#[derive(Clone, Copy)]
pub(super) struct Tiff<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_little: bool,
    /// True if it is a BigTIFF, whose offsets have eight bytes.
    pub(super) is_wide: bool,
}

/// The content of a directory.
pub(super) struct Directory<'a> {
    /// The wanted fields that were found.
    pub(super) fields: [Option<Field<'a>>; 2],
    /// The number of bytes of all fields that are stored outside the directory.
    data: u64,
    next: Option<u64>,
}

/// A field of a directory, with values of one type.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) data: &'a [u8],
    kind: u64,
    is_little: bool,
}

impl<'a> Tiff<'a> {
    pub(super) fn first_directory(&self) -> Option<u64> {
        if self.is_wide { self.number(8, 8) } else { self.number(4, 4) }
    }

    /// Reads a directory as Pillow does, and returns `None` once too many fields were read.
    ///
    /// If a tag occurs several times, the first one with data counts. Fields are skipped when the
    /// data outside the directory has more than `limit` bytes together. If the file is cut off, the
    /// fields before that point count.
    pub(super) fn directory(
        &self,
        mut at: u64,
        limit: u64,
        wanted: [u16; 2],
        fields_left: &mut u64,
    ) -> Option<Directory<'a>> {
        let (count, offset) = if self.is_wide { (8, 8) } else { (2, 4) };
        let mut directory = Directory { fields: [None; 2], data: 0, next: None };
        let Some(fields) = self.number(at, count) else { return Some(directory) };
        at = at.saturating_add(count);
        let (mut seen, mut total) = (HashSet::new(), 0_u64);
        for _ in 0..fields {
            *fields_left = fields_left.checked_sub(1)?;
            let Some(entry) = piece(self.bytes, at, 4 + 2 * offset) else { return Some(directory) };
            at += 4 + 2 * offset;
            let (Some(tag), Some(kind)) = (self.of(entry, 0, 2), self.of(entry, 2, 2)) else {
                break;
            };
            let tag = u16::try_from(tag).ok()?;
            let Some(unit) = unit(kind).filter(|_| !seen.contains(&tag)) else { continue };
            let length = self.of(entry, 4, offset)?.saturating_mul(unit);
            let data = if length <= offset {
                piece(entry, 4 + offset, length)?
            } else {
                let place = self.of(entry, 4 + offset, offset)?;
                if place >= 1 << 63 {
                    continue;
                }
                total = total.saturating_add(length);
                if total > limit {
                    continue;
                }
                directory.data += length;
                match piece(self.bytes, place, length) {
                    Some(data) => data,
                    None => return Some(directory),
                }
            };
            if data.is_empty() {
                continue;
            }
            seen.insert(tag);
            for (field, _) in directory.fields.iter_mut().zip(wanted).filter(|(_, one)| *one == tag)
            {
                *field = Some(Field { kind, data, is_little: self.is_little });
            }
        }
        directory.next = self.number(at, offset);
        Some(directory)
    }

    fn number(&self, at: u64, length: u64) -> Option<u64> {
        self.of(self.bytes, at, length)
    }

    fn of(&self, bytes: &[u8], at: u64, length: u64) -> Option<u64> {
        if self.is_little { little(bytes, at, length) } else { big(bytes, at, length) }
    }
}

impl Field<'_> {
    /// Returns true if its values are bytes.
    pub(super) fn is_bytes(&self) -> bool {
        [1, 7].contains(&self.kind)
    }

    /// Returns the first value if it is a positive integer. Bytes do not count, as in Pillow.
    pub(super) fn number(&self) -> Option<u64> {
        const SIGNED: [u64; 3] = [6, 8, 9];
        const UNSIGNED: [u64; 4] = [3, 4, 13, 16];
        let length = unit(self.kind)?;
        let order = if self.is_little { little } else { big };
        let value = order(self.data, 0, length)?;
        let is_positive = value > 0
            && (UNSIGNED.contains(&self.kind)
                || SIGNED.contains(&self.kind) && value >> (length * 8 - 1) == 0);
        is_positive.then_some(value)
    }
}

/// Returns the size of one value of this type (TIFF 6.0, section 2, and the supplements).
fn unit(kind: u64) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16 => Some(8),
        _ => None,
    }
}
