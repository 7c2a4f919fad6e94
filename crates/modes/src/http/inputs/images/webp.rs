//! Reads the header of WebP pictures.

use super::bytes::{little, piece};
use super::extent::{Extent, Limits};

/// Reads the first chunk (RFC 9649, section 2), and counts the frames of an animation up to one
/// more than the limit. Bytes after the length that the file gives in its header are ignored.
pub(super) fn extent(bytes: &[u8], limits: &Limits) -> Option<Extent> {
    const ANIMATION: u64 = 2;
    let end = usize::try_from(little(bytes, 4, 4)? + 8).ok()?;
    let bytes = &bytes[..end.min(bytes.len())];
    let short = |at| Some(little(bytes, at, 2)? & 0x3fff);
    match piece(bytes, 12, 4)? {
        b"VP8 " => Some(Extent::still((short(26)?, short(28)?))),
        b"VP8L" => {
            let size = little(bytes, 21, 4)?;
            Some(Extent::still(((size & 0x3fff) + 1, (size >> 14 & 0x3fff) + 1)))
        }
        b"VP8X" => {
            let canvas = (little(bytes, 24, 3)? + 1, little(bytes, 27, 3)? + 1);
            let is_animation = little(bytes, 20, 1)? & ANIMATION != 0;
            let frames = if is_animation { frames(bytes, limits.frames) } else { 1 };
            Some(Extent::animation(canvas, frames))
        }
        _ => None,
    }
}

fn frames(bytes: &[u8], most: u64) -> u64 {
    let mut frames = 0;
    let mut at = 12;
    while let (Some(kind), Some(length)) = (piece(bytes, at, 4), little(bytes, at + 4, 4)) {
        frames += u64::from(kind == b"ANMF");
        if frames > most {
            break;
        }
        // Chunks are padded to an even length.
        at += 8 + length + (length & 1);
    }
    frames.max(1)
}
