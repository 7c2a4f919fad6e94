//! Text in UTF-8.

use super::{Field, InputType, Shape, Value};

#[derive(Debug)]
pub(super) struct Text;

impl InputType for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn shape(&self) -> Shape {
        Shape::Text
    }

    fn sample(&self, field: &Field) -> Value {
        let mut sample = "This is a test sentence.".to_owned();
        if let Some(max) = field.max_bytes.and_then(|max| usize::try_from(max).ok()) {
            sample.truncate(max);
        }
        Value::Text(sample)
    }
}
