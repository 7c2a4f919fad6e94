//! Reads the boxes that HEIF, AVIF and JPEG XL files consist of (ISO/IEC 14496-12, section 4.2).

use std::cell::Cell;
use std::rc::Rc;

use super::bytes::{big, piece};

/// The maximum number of boxes that are read of a file. Photos have a few dozen.
pub(super) const MAX_BOXES: usize = 1 << 16;

/// A box without its header.
pub(super) struct Part<'a> {
    pub(super) kind: [u8; 4],
    pub(super) content: &'a [u8],
    left: Rc<Cell<usize>>,
}

impl<'a> Part<'a> {
    /// Lists the boxes within this one, after `skipped` bytes.
    pub(super) fn parts(&self, skipped: usize) -> Boxes<'a> {
        let bytes = self.content.get(skipped..).unwrap_or_default();
        Boxes { bytes, left: Rc::clone(&self.left) }
    }

    /// Finds the first box of this kind directly within this one, after `skipped` bytes.
    pub(super) fn part(&self, skipped: usize, kind: [u8; 4]) -> Option<Part<'a>> {
        self.parts(skipped).find(|part| part.kind == kind)
    }
}

/// An iterator over consecutive boxes. It ends at the first broken one.
pub(super) struct Boxes<'a> {
    bytes: &'a [u8],
    left: Rc<Cell<usize>>,
}

impl<'a> Boxes<'a> {
    /// Lists the boxes of a file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Boxes { bytes, left: Rc::new(Cell::new(MAX_BOXES)) }
    }

    /// Returns true if the limit of boxes is used up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left.get() == 0
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let length = big(self.bytes, 0, 4)?;
        let kind = piece(self.bytes, 4, 4)?.try_into().ok()?;
        self.left.set(self.left.get().checked_sub(1)?);
        let whole = self.bytes.len() as u64;
        let (head, length) = match length {
            0 => (8, whole),
            1 => (16, big(self.bytes, 8, 8)?),
            _ => (8, length),
        };
        let content = piece(self.bytes, head, length.checked_sub(head)?)?;
        self.bytes = piece(self.bytes, length, whole.checked_sub(length)?)?;
        Some(Part { kind, content, left: Rc::clone(&self.left) })
    }
}
