//! Reads the header of JPEG XL pictures.

use super::boxes::Boxes;
use super::bytes::little;
use super::extent::{Extent, Limits};

const CODESTREAM: &[u8] = b"\xff\x0a";

/// Reads the size and the metadata at the start of the codestream (ISO/IEC 18181-1, annexes D and
/// E). The frames of an animation cannot be counted without decoding them, so animations are
/// rejected.
pub(super) fn extent(bytes: &[u8], _limits: &Limits) -> Option<Extent> {
    let start = if bytes.starts_with(CODESTREAM) { bytes } else { codestream(bytes)? };
    let mut bits = Bits { bytes: start.strip_prefix(CODESTREAM)?, at: 0 };
    let size = bits.size()?;
    let is_default = bits.flag()?;
    if !is_default && bits.flag()? {
        let _orientation = bits.take(3)?;
        if bits.flag()? {
            bits.size()?;
        }
        if bits.flag()? {
            bits.preview()?;
        }
        let is_animation = bits.flag()?;
        if is_animation {
            return None;
        }
    }
    Some(Extent::still(size))
}

/// Returns the start of the codestream in a container. The codestream is in one box, or in several
/// boxes that each begin with their number.
fn codestream(bytes: &[u8]) -> Option<&[u8]> {
    Boxes::new(bytes).find_map(|part| match &part.kind {
        b"jxlc" => Some(part.content),
        b"jxlp" => part.content.get(4..),
        _ => None,
    })
}

/// A reader of bit fields, the least significant bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    /// Reads up to 30 bits as a number.
    fn take(&mut self, count: u64) -> Option<u64> {
        let length = (self.at % 8 + count).div_ceil(8);
        let number = little(self.bytes, self.at / 8, length)? >> (self.at % 8);
        self.at += count;
        Some(number & ((1 << count) - 1))
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    fn size(&mut self) -> Option<(u64, u64)> {
        if self.flag()? {
            return self.sides(|bits| Some((bits.take(5)? + 1) * 8));
        }
        self.sides(|bits| {
            let length = [9, 13, 18, 30][usize::try_from(bits.take(2)?).ok()?];
            Some(bits.take(length)? + 1)
        })
    }

    /// Skips the size of a preview.
    fn preview(&mut self) -> Option<(u64, u64)> {
        let is_in_eighths = self.flag()?;
        self.sides(|bits| {
            let selector = usize::try_from(bits.take(2)?).ok()?;
            let (length, least) = if is_in_eighths {
                [(0, 16), (0, 32), (5, 1), (9, 33)][selector]
            } else {
                [(6, 1), (8, 65), (10, 321), (12, 1345)][selector]
            };
            Some(bits.take(length)? + least)
        })
    }

    /// Reads the height, and the width either as a ratio to the height or as a number of its own.
    fn sides(&mut self, side: impl Fn(&mut Self) -> Option<u64>) -> Option<(u64, u64)> {
        let height = side(self)?;
        let width = match self.take(3)? {
            0 => side(self)?,
            1 => height,
            2 => height * 12 / 10,
            3 => height * 4 / 3,
            4 => height * 3 / 2,
            5 => height * 16 / 9,
            6 => height * 5 / 4,
            _ => height * 2,
        };
        Some((width, height))
    }
}
