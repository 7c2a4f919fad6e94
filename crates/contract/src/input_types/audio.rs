//! Sounds, as the bytes of a file: WAV, MP3, or what else the model reads.

use bytes::Bytes;

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

/// Half a second of silence: WAV, 16-bit, mono, 16 kHz.
const SILENCE: &[u8] = include_bytes!("samples/silence.wav");

#[derive(Debug)]
pub(super) struct Audio;

impl InputType for Audio {
    fn name(&self) -> &'static str {
        "audio"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "audio/*" }
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Bytes(Bytes::from_static(SILENCE))
    }
}
