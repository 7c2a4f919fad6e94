//! Text in UTF-8.

use crate::constraints::Constraints;
use crate::input_type::InputType;
use crate::shape::Shape;
use crate::value::Value;

#[derive(Debug)]
pub(super) struct Text;

impl InputType for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn shape(&self) -> Shape {
        Shape::Text { format: None }
    }

    fn sample(&self, constraints: &Constraints) -> Value {
        let mut sample = "This is a test sentence.".to_owned();
        if let Some(max) = constraints.max_bytes.and_then(|max| usize::try_from(max).ok()) {
            sample.truncate(max);
        }
        Value::Text(sample)
    }
}
