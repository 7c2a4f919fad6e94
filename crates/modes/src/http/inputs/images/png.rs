//! PNG.

/// The frames that an animated PNG announces in its chunk `acTL`, which stands before the pixels
/// (PNG, third edition, section 11.3.6.1); frames lie within the picture, or decoders refuse them.
/// Nothing unless the size is said in the first chunk, and only there: decoders that see it again
/// take the last.
pub(crate) fn frames(bytes: &[u8]) -> Option<usize> {
    const SIGNATURE: usize = 8;
    let mut frames = None;
    let mut at = SIGNATURE;
    while let (Some(length), Some(kind)) = (number(bytes, at), bytes.get(at + 4..at + 8)) {
        let is_first = at == SIGNATURE;
        if is_first != (kind == b"IHDR") || (is_first && length != 13) {
            return None;
        }
        match kind {
            b"acTL" if frames.is_none() => frames = number(bytes, at + 8),
            // What comes behind the pixels does not count.
            b"IDAT" if frames.is_none() => frames = Some(1),
            b"IEND" => break,
            _ => {}
        }
        at = at.saturating_add(length as usize).saturating_add(12);
    }
    Some(frames.map_or(1, |frames| frames as usize))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
