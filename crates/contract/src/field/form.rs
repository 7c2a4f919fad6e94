//! Checks the property `as` of a field: the form in which the program gets a file.
//!
//! The engine always passes the bytes, and the Python package converts them. The web page must know
//! the form of sounds, because the libraries that programs use cannot decode the recordings that
//! browsers make by default.

use serde_json::Value as Json;

use crate::field::Field;
use crate::likeness::nearest;
use crate::shape::Shape;

/// The forms, and the types that have each.
const FORMS: [(&str, &[&str]); 4] = [
    ("bytes", &["image", "audio", "video", "file"]),
    ("path", &["image", "audio", "video", "file"]),
    ("numpy", &["image", "audio"]),
    ("pil", &["image"]),
];

/// Checks the form of a field whose other properties have been read, and reports faults. Returns the
/// media type in which the web page should record sounds, if only one can be used.
pub(super) fn check(
    field: &Field,
    value: &Json,
    remark: &mut impl FnMut(String, bool),
) -> Option<&'static str> {
    let names = || FORMS.iter().map(|(name, _)| *name);
    let form = FORMS.iter().find(|(name, _)| value.as_str() == Some(name));
    let problem = match form {
        _ if !matches!(field.shape(), Shape::Blob { .. }) => {
            "only the types image, audio, video and file without choices can have it".to_owned()
        }
        Some((name, types)) if types.contains(&field.input_type.name()) => {
            return (field.input_type.name() == "audio" && *name == "numpy").then_some("audio/wav");
        }
        Some((name, types)) => format!("only the type {} has {name:?}", types.join(" or ")),
        None => {
            let meant = value.as_str().and_then(|word| nearest(word, names()));
            let hint = match meant {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("known: {}", names().collect::<Vec<_>>().join(", ")),
            };
            format!("{value} is not a valid value; {hint}")
        }
    };
    remark(format!("the property as is ignored: {problem}"), true);
    None
}
