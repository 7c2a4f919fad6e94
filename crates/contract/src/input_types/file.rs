//! Any file, as its bytes.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::input_types::samples;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct File;

impl InputType for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "*/*" }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        samples::pick(b"sample\n", constraints)
    }
}
