//! Recognises formats that Pillow tries last, and that fix only a few bytes of a file.
//!
//! If Pillow cannot read a file in the format that its first bytes name, it tries these formats.
//! The file may then open as one of them, with another size than the header that was checked.

use super::bytes::{big, little, piece};

/// Returns true if Pillow could open a file as one of these formats.
pub(super) fn is_lookalike(bytes: &[u8]) -> bool {
    let checks = [is_targa, is_brush, is_flic, is_photo_cd];
    is_im(bytes) || is_spider(bytes) || checks.iter().any(|check| check(bytes).unwrap_or(false))
}

fn is_targa(bytes: &[u8]) -> Option<bool> {
    let (colours, kind, depth) = (*bytes.get(1)?, *bytes.get(2)?, *bytes.get(16)?);
    Some(colours <= 1 && matches!(kind, 1..=3 | 9..=11) && matches!(depth, 1 | 8 | 16 | 24 | 32))
}

/// Recognises a GIMP brush of version 1 or 2.
fn is_brush(bytes: &[u8]) -> Option<bool> {
    let (length, version, depth) = (big(bytes, 0, 4)?, big(bytes, 4, 4)?, big(bytes, 16, 4)?);
    let is_version = version == 1 || version == 2 && piece(bytes, 20, 4)? == b"GIMP";
    Some(length >= 20 && is_version && matches!(depth, 1 | 4))
}

/// Recognises an animation of Autodesk Animator.
fn is_flic(bytes: &[u8]) -> Option<bool> {
    let is_empty = |at, length| Some(piece(bytes, at, length)?.iter().all(|byte| *byte == 0));
    let is_marked = matches!(little(bytes, 4, 2)?, 0xaf11 | 0xaf12);
    Some(is_marked && is_empty(20, 2)? && is_empty(42, 38)? && is_empty(88, 40)?)
}

/// Recognises a SPIDER image, in either byte order: certain numbers of its header are integers.
fn is_spider(bytes: &[u8]) -> bool {
    const WHOLE: [u64; 7] = [0, 1, 4, 11, 12, 21, 22];
    const IS_IMAGE: u64 = 4;
    let is_header = |number: &dyn Fn(u64) -> Option<f32>| {
        let is_whole = |place| number(place).is_some_and(|number| number.fract() == 0.0);
        WHOLE.into_iter().all(is_whole)
            && number(IS_IMAGE).map(f32::to_bits) == Some(1_f32.to_bits())
    };
    let float = |bits: Option<u64>| Some(f32::from_bits(u32::try_from(bits?).ok()?));
    is_header(&|place| float(big(bytes, place * 4, 4)))
        || is_header(&|place| float(little(bytes, place * 4, 4)))
}

fn is_photo_cd(bytes: &[u8]) -> Option<bool> {
    Some(piece(bytes, 2048, 4)? == b"PCD_")
}

/// Recognises an IFUNC image: its header is lines of text, one of which has a known key.
fn is_im(bytes: &[u8]) -> bool {
    const LONGEST: usize = 100;
    const KEYS: [&[u8]; 9] = [
        b"Comment",
        b"Date",
        b"Digitalization equipment",
        b"File size (no of images)",
        b"Lut",
        b"Name",
        b"Scale (x,y)",
        b"Image size (x*y)",
        b"Image type",
    ];
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    lines
        .map_while(|line| {
            let is_line = line.len() <= LONGEST && line.first()?.is_ascii_alphabetic();
            line.split(|byte| *byte == b':').next().filter(|key| is_line && key.len() < line.len())
        })
        .any(|key| KEYS.contains(&key))
}
