//! Any file, as its bytes.

use bytes::Bytes;

use crate::constraints::Constraints;
use crate::input_type::InputType;
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

    fn sample(&self, _constraints: &Constraints) -> Value {
        Value::Bytes(Bytes::from_static(b"sample\n"))
    }
}
