//! Reads the header of PNG pictures.

use super::bytes::{big, piece};
use super::extent::{Extent, Limits};

/// Reads the sizes in the `IHDR` chunks, and the number of frames in the chunk `acTL` before the
/// pixels (PNG, third edition, section 11.3.6.1). Decoders reject frames that extend beyond the
/// picture.
pub(super) fn extent(bytes: &[u8], limits: &Limits) -> Option<Extent> {
    let (mut sizes, mut announced) = (Vec::new(), None);
    let (mut has_mode, mut has_frame, mut is_extra, mut has_pixels) = (false, false, false, false);
    let mut at = 8;
    while let (Some(length), Some(kind)) = (big(bytes, at, 4), piece(bytes, at + 4, 4)) {
        let data = at + 8;
        match kind {
            b"IHDR" => {
                sizes.push((big(bytes, data, 4)?, big(bytes, data + 4, 4)?));
                has_mode |= piece(bytes, data + 8, 2).is_some_and(is_mode);
            }
            b"IEND" => break,
            _ if has_pixels => {}
            // With a second `acTL`, Pillow no longer treats the file as an animation.
            b"acTL" if announced.is_some() => announced = None,
            b"acTL" => {
                announced = big(bytes, data, 4).filter(|frames| (1..=1 << 31).contains(frames));
            }
            b"fcTL" => has_frame = true,
            // Pillow skips pixels that come before a valid pixel format.
            b"IDAT" | b"fdAT" if has_mode => {
                has_pixels = true;
                // Pixels before the first frame are an extra picture, for decoders without
                // animations.
                is_extra = !has_frame;
            }
            _ => {}
        }
        at = data + length + 4;
    }
    let frames = announced.map_or(1, |frames| frames + u64::from(is_extra));
    Some(Extent::animation(limits.settle(&sizes)?, frames))
}

/// Returns true if this bit depth and colour type are allowed together (PNG, third edition, table
/// 8).
fn is_mode(mode: &[u8]) -> bool {
    matches!(mode, [1 | 2 | 4 | 8 | 16, 0] | [8 | 16, 2 | 4 | 6] | [1 | 2 | 4 | 8, 3])
}
