//! Sample files for self-tests.

use bytes::Bytes;

use crate::constraints::Constraints;
use crate::value::Value;

/// A solid grey JPEG of 600 × 400 pixels.
pub(super) const GREY: &[u8] = include_bytes!("samples/grey.jpg");
/// Half a second of silence: WAV, 16-bit, mono, 16 kHz.
pub(super) const SILENCE: &[u8] = include_bytes!("samples/silence.wav");
/// Half a second of solid grey: MP4, H.264, 64 × 48 pixels.
pub(super) const GREY_VIDEO: &[u8] = include_bytes!("samples/grey.mp4");

/// Samples in other formats: pictures of 600 × 400 pixels, silence, an empty page, an empty
/// archive.
const OTHERS: [&[u8]; 9] = [
    include_bytes!("samples/grey.png"),
    include_bytes!("samples/grey.webp"),
    include_bytes!("samples/grey.gif"),
    include_bytes!("samples/grey.bmp"),
    include_bytes!("samples/grey.tiff"),
    include_bytes!("samples/grey.avif"),
    include_bytes!("samples/silence.mp3"),
    include_bytes!("samples/empty.pdf"),
    include_bytes!("samples/empty.zip"),
];

/// Returns the usual sample of a type, or another sample if the usual one has no listed format.
pub(super) fn pick(usual: &'static [u8], constraints: &Constraints) -> Value {
    let all = [usual, GREY, SILENCE, GREY_VIDEO].into_iter().chain(OTHERS);
    let fitting = all.into_iter().find(|file| constraints.formats.are_shown_by(file));
    Value::Bytes(Bytes::from_static(fitting.unwrap_or(usual)))
}
