//! Pictures, as the bytes of a file: JPEG, PNG, or what else the model reads.

use bytes::Bytes;

use super::{Field, InputType, Shape, Value};

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

    fn sample(&self, _field: &Field) -> Value {
        Value::Bytes(Bytes::from_static(GREY))
    }
}
