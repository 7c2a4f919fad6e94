//! GIF.

use imagesize::ImageSize;

/// The images of a GIF (GIF89a, section 12 on), counted up to one more than `most`, and the size of
/// the `screen` made so large that each has room on it, which is what decoders do.
pub(crate) fn frames(bytes: &[u8], screen: ImageSize, most: usize) -> (ImageSize, usize) {
    let ImageSize { mut width, mut height } = screen;
    let number = |at: usize| {
        bytes.get(at..at + 2).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])))
    };
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = 0;
    let mut at = 13 + bytes.get(10).map_or(0, |flags| table(*flags));
    let skip_blocks = |mut at: usize| {
        while let Some(length) = bytes.get(at) {
            at += usize::from(*length) + 1;
            if *length == 0 {
                break;
            }
        }
        at
    };
    while let Some(block) = bytes.get(at) {
        match block {
            // An extension, or an image.
            0x21 => at = skip_blocks(at + 2),
            0x2c => {
                frames += 1;
                width = width.max(number(at + 1) + number(at + 5));
                height = height.max(number(at + 3) + number(at + 7));
                let colours = bytes.get(at + 9).map_or(0, |flags| table(*flags));
                at = skip_blocks(at + 10 + colours + 1);
            }
            0x3b => break,
            // Decoders pass over what they do not know.
            _ => at += 1,
        }
        if frames > most {
            break;
        }
    }
    (ImageSize { width, height }, frames)
}
