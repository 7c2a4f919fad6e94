//! Videos, as the bytes of a file: MP4, WebM, or what else the model reads.

use bytes::Bytes;

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

/// Half a second of solid grey: MP4, H.264, 64 × 48 pixels.
const GREY: &[u8] = include_bytes!("samples/grey.mp4");

#[derive(Debug)]
pub(super) struct Video;

impl InputType for Video {
    fn name(&self) -> &'static str {
        "video"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "video/*" }
    }

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Bytes(Bytes::from_static(GREY))
    }
}
