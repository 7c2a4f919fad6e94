//! The error of an input that the model cannot take.

use ai_integration_contract::FieldError;

/// The most characters that are told of a place or of what is wrong there: both may quote the client.
const TOLD: usize = 200;

/// An input that the model cannot take, though it fits the schema, with its name and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct InvalidInput {
    name: String,
    message: String,
}

impl InvalidInput {
    /// Creates the error of the input of this name, or of a place in it, such as `tags[2]`.
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
    if let Some((end, _)) = text.char_indices().nth(TOLD) {
        text.truncate(end);
        text.push('…');
    }
    text
}
