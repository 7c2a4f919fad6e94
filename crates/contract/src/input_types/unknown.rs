//! The fallback for an unknown type: text, or bytes if the client sends bytes. So old programs run.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::raw::RawValue;
use crate::shape::{Refusal, Shape};
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Unknown;

impl InputType for Unknown {
    fn name(&self) -> &'static str {
        "text"
    }

    fn shape(&self) -> Shape {
        Shape::Text { format: None }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        super::text::Text.sample(constraints)
    }

    fn accept(&self, raw: RawValue, constraints: &Constraints) -> Result<Value, Refusal> {
        let shape = match &raw {
            RawValue::Bytes(_) => Shape::Blob { media: "*/*" },
            RawValue::Text(_) | RawValue::Json(_) | RawValue::List(_) => self.shape(),
        };
        shape.accept(raw, constraints)
    }
}
