//! Reads the header of Windows and OS/2 bitmaps.

use super::bytes::little;
use super::extent::{Extent, Limits};

/// Reads the size from the second header. Its length shows which version of the format it is.
pub(super) fn extent(bytes: &[u8], _limits: &Limits) -> Option<Extent> {
    const BITFIELDS: u64 = 3;
    match little(bytes, 14, 4)? {
        12 => Some(Extent::still((little(bytes, 18, 2)?, little(bytes, 20, 2)?))),
        length @ (16 | 40 | 52 | 56 | 64 | 108 | 124) => {
            let (width, height) = (little(bytes, 18, 4)?, little(bytes, 22, 4)?);
            if length == 40 && little(bytes, 30, 4)? == BITFIELDS {
                // The colour masks follow, and must be complete.
                little(bytes, 62, 4)?;
            }
            // A negative height means that the first row is the top one. Pillow treats a height as
            // negative only if its highest byte is 255, and otherwise as a huge positive number.
            let height = if height >> 24 == 0xff { (1 << 32) - height } else { height };
            Some(Extent::still((width, height)))
        }
        _ => None,
    }
}
