//! Sounds, as the bytes of a file: WAV, MP3, or any other format that the model reads.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::input_types::samples;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Audio;

impl InputType for Audio {
    fn name(&self) -> &'static str {
        "audio"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "audio/*" }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        samples::pick(samples::SILENCE, constraints)
    }
}
