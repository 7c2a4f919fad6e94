//! Reads numbers and slices of a file at offsets that the file itself gives.

/// Returns `length` bytes of a file, or `None` if the file ends before.
pub(super) fn piece(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(usize::try_from(length).ok()?)?)
}

/// Reads a big-endian number of up to eight bytes.
pub(super) fn big(bytes: &[u8], at: u64, length: u64) -> Option<u64> {
    Some(piece(bytes, at, length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Reads a little-endian number of up to eight bytes.
pub(super) fn little(bytes: &[u8], at: u64, length: u64) -> Option<u64> {
    let digits = piece(bytes, at, length)?.iter().rev();
    Some(digits.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
