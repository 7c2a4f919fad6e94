//! Any file, as its bytes.

use bytes::Bytes;

use super::{Field, InputType, Shape, Value};

#[derive(Debug)]
pub(super) struct File;

impl InputType for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn shape(&self) -> Shape {
        Shape::Blob { media: "*/*" }
    }

    fn sample(&self, _field: &Field) -> Value {
        Value::Bytes(Bytes::from_static(b"sample\n"))
    }
}
