//! WebP.

/// The chunks `ANMF` of a WebP (RFC 9649, section 2.7.1.1), counted up to one more than `most`.
pub(crate) fn frames(bytes: &[u8], most: usize) -> usize {
    let mut frames = 0;
    let mut at = 12_usize;
    while let Some(head) = bytes.get(at..at.saturating_add(8)) {
        frames += usize::from(&head[..4] == b"ANMF");
        if frames > most {
            break;
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        // Chunks have an even length.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length & 1);
    }
    frames.max(1)
}
