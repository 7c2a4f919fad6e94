//! Reads the property `formats` of a field.

use serde_json::Value as Json;

use crate::field::Field;
use crate::formats::{Formats, Misfit, suggestion};
use crate::shape::Shape;

/// Reads the formats of a field whose type has been read, and reports faults.
pub(super) fn read(field: &mut Field, value: &Json, remark: &mut impl FnMut(String, bool)) {
    let words: Option<Vec<&str>> =
        value.as_array().and_then(|words| words.iter().map(Json::as_str).collect());
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        let text = format!(
            "the property formats is ignored: {value} is not a valid value; give a list such as [\"png\", \"jpeg\"]"
        );
        return remark(text, true);
    };
    let Shape::Blob { media } = field.input_type.shape() else {
        let text = "the property formats is ignored: only the types image, audio, video and file have formats";
        return remark(text.to_owned(), true);
    };
    let mut formats = Formats::default();
    for word in words {
        let problem = match formats.add(word, media) {
            Ok(()) => continue,
            Err(Misfit::Unknown) => format!("is not known; {}", suggestion(word, media)),
            Err(Misfit::OtherType) => {
                format!("is not a format of the type {}", field.input_type.name())
            }
        };
        remark(format!("the format {word:?} is left out: it {problem}"), true);
    }
    field.constraints.formats = formats;
}
