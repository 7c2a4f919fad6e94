//! Reads the header of GIF pictures.

use super::bytes::little;
use super::extent::{Extent, Limits};

/// Counts the images of a GIF (GIF89a, sections 12 and following) up to one more than the limit. If
/// an image extends beyond the screen, the screen is enlarged, as decoders do.
pub(super) fn extent(bytes: &[u8], limits: &Limits) -> Option<Extent> {
    let (mut width, mut height) = (little(bytes, 6, 2)?, little(bytes, 8, 2)?);
    let mut frames = 0;
    let mut at = 13 + colours(*bytes.get(10)?);
    while let Some(block) = bytes.get(at).filter(|_| frames <= limits.frames) {
        let next = match block {
            b'!' => extension(bytes, at, frames == 0),
            b',' => image(bytes, at),
            b';' => None,
            // Decoders skip bytes that begin no known block.
            _ => Some(at + 1),
        };
        let Some(next) = next else { break };
        if *block == b',' {
            frames += 1;
            let place = |offset| little(&bytes[at..], offset, 2);
            width = width.max(place(1)? + place(5)?);
            height = height.max(place(3)? + place(7)?);
        }
        at = next;
    }
    Some(Extent::animation((width, height), frames.max(1)))
}

/// Returns the offset of the end of an image, if its descriptor is complete.
fn image(bytes: &[u8], at: usize) -> Option<usize> {
    let pixels = at + 10 + colours(*bytes.get(at + 9)?);
    // This byte is the code size of the compressed pixels.
    bytes.get(pixels)?;
    Some(skip_blocks(bytes, pixels + 1))
}

/// Returns the offset at which an extension ends for Pillow. An empty first block does not end an
/// extension, unless the extension is a comment. Other decoders may read the blocks after the empty
/// one as an image.
fn extension(bytes: &[u8], at: usize, is_first_frame: bool) -> Option<usize> {
    const GRAPHIC_CONTROL: u8 = 0xf9;
    const COMMENT: u8 = 0xfe;
    const APPLICATION: u8 = 0xff;
    let label = *bytes.get(at + 1)?;
    let Some(length) = bytes.get(at + 2).map(|length| usize::from(*length)) else {
        return Some(bytes.len());
    };
    let first = bytes.get(at + 3..).map(|rest| &rest[..length.min(rest.len())])?;
    let behind = at + 3 + length;
    match label {
        COMMENT => Some(skip_blocks(bytes, at + 2)),
        GRAPHIC_CONTROL if length > 0 => {
            let needed = if first.first()? & 1 == 0 { 3 } else { 4 };
            (first.len() >= needed).then(|| skip_blocks(bytes, behind))
        }
        APPLICATION if is_first_frame && first.starts_with(b"NETSCAPE2.0") => {
            let second = bytes.get(behind).map_or(0, |length| usize::from(*length));
            Some(skip_blocks(bytes, behind + 1 + second))
        }
        _ => Some(skip_blocks(bytes, behind)),
    }
}

/// Returns the offset of the end of a series of data blocks, the last of which is empty.
fn skip_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(length) = bytes.get(at) {
        at += usize::from(*length) + 1;
        if *length == 0 {
            break;
        }
    }
    at
}

/// Returns the length of the colour table that a descriptor's flags announce.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
