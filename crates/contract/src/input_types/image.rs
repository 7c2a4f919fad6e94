//! Pictures, as the bytes of a file: JPEG, PNG, or what else the model reads.

use bytes::Bytes;

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

/// A solid grey JPEG of 600 × 400 pixels.
const GREY: &[u8] = include_bytes!("samples/grey.jpg");

#[derive(Debug)]
pub(super) struct Image;

impl InputType for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "image/*" }
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Bytes(Bytes::from_static(GREY))
    }
}
