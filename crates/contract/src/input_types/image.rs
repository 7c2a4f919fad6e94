//! Pictures, as the bytes of a file: JPEG, PNG, or any other format that the model reads.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::input_types::samples;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Image;

impl InputType for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "image/*" }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        samples::pick(samples::GREY, constraints)
    }
}
