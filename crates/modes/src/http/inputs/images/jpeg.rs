//! JPEG.

/// Tells whether a JPEG has one frame header before its pixels (ITU T.81, section B.2): of several
/// some decoders take the first, and others the last. What lies between segments is passed over.
pub(crate) fn says_one_size(bytes: &[u8]) -> bool {
    let mut sizes = 0;
    let mut at = 2;
    while let Some(&[mark, kind]) = bytes.get(at..at + 2) {
        at += match (mark, kind) {
            (0xff, 0xda) => break,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd9) => 2,
            (0xff, 0x02..=0xfe) => {
                sizes +=
                    usize::from(matches!(kind, 0xc0..=0xcf) && ![0xc4, 0xc8, 0xcc].contains(&kind));
                let length = bytes.get(at + 2..at + 4);
                2 + length.map_or(2, |two| usize::from(u16::from_be_bytes([two[0], two[1]])).max(2))
            }
            _ => 1,
        };
    }
    sizes <= 1
}
