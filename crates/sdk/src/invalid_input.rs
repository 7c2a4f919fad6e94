//! The error for an input that the model cannot use.

use ai_integration_contract::FieldError;

/// The maximum number of characters of a place or a message. Both may quote the client's input.
const MAX_CHARACTERS: usize = 200;

/// An input that fits the schema but that the model cannot use: its name, and what is wrong with
/// it.
///
/// ```
/// use ai_integration::InvalidInput;
///
/// let error = InvalidInput::new("tags[2]", "the tag has no letters");
/// assert_eq!(error.to_string(), "tags[2]: the tag has no letters");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct InvalidInput {
    name: String,
    message: String,
}

impl InvalidInput {
    /// Creates the error for the input of this name, or for a place in it, such as `tags[2]`.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        InvalidInput { name: shortened(name.into()), message: shortened(message.into()) }
    }
}

impl From<InvalidInput> for FieldError {
    fn from(InvalidInput { name, message }: InvalidInput) -> Self {
        FieldError { name, message }
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
