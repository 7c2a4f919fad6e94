//! Videos, as the bytes of a file: MP4, WebM, or any other format that the model reads.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::input_types::samples;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Video;

impl InputType for Video {
    fn name(&self) -> &'static str {
        "video"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "video/*" }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        samples::pick(samples::GREY_VIDEO, constraints)
    }
}
