//! The pieces of an answer that nobody reads one by one, put together.

use ai_integration_contract::wire::MAX_BODY;
use ai_integration_contract::{Data, Error, Kind, Outcome};
use bytes::BytesMut;

/// The pieces that have come so far.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    content_type: Option<String>,
    bytes: BytesMut,
    is_bytes: bool,
    count: usize,
    /// True once there was more than an answer may have.
    is_over: bool,
}

impl Pieces {
    pub(crate) fn append(&mut self, content_type: Option<String>, data: &Data) {
        if self.count == 0 {
            self.content_type = content_type;
        }
        self.count += 1;
        let piece = match data {
            Data::None => return,
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => {
                self.is_bytes = true;
                bytes
            }
        };
        let room = MAX_BODY - self.bytes.len();
        self.is_over |= piece.len() > room;
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Takes the pieces out as one, with the media type of the answer. `None` without any.
    pub(crate) fn take(&mut self) -> Option<(Option<String>, Data)> {
        if self.count == 0 {
            return None;
        }
        let Pieces { content_type, bytes, is_bytes, is_over, .. } = std::mem::take(self);
        self.is_over = is_over;
        let data = match String::from_utf8(bytes.into()) {
            Ok(text) if !is_bytes => Data::Text(text),
            Ok(text) => Data::Bytes(text.into()),
            Err(error) => Data::Bytes(error.into_bytes().into()),
        };
        Some((content_type, data))
    }

    /// Makes the pieces the data of the outcome, if there are any.
    pub(crate) fn complete(&mut self, mut outcome: Outcome) -> Result<Outcome, Error> {
        if self.is_over {
            let message = format!("the model's answer is larger than {MAX_BODY} bytes");
            return Err(Error::new(Kind::TooLarge, message));
        }
        if let Some((content_type, data)) = self.take() {
            outcome.content_type = outcome.content_type.or(content_type);
            outcome.data = data;
        }
        Ok(outcome)
    }
}
