//! The chunks of a streamed result, joined for a requester that does not read them one by one.

use ai_integration_contract::wire::MAX_BODY;
use ai_integration_contract::{Data, Error, Kind, Outcome};
use bytes::{Bytes, BytesMut};

/// Appends a chunk to the one before if both are text or both are bytes. Returns false if they are
/// not.
pub(crate) fn join(before: &mut Data, data: &Data) -> bool {
    match (before, data) {
        (Data::Text(before), Data::Text(text)) => before.push_str(text),
        (Data::Bytes(before), Data::Bytes(bytes)) => {
            // Bytes that are not shared are extended in place.
            let mut joined = BytesMut::from(std::mem::take(before));
            joined.extend_from_slice(bytes);
            *before = joined.freeze();
        }
        _ => return false,
    }
    true
}

/// The chunks so far, joined.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    content_type: Option<String>,
    /// The chunks before the first one of bytes. They are kept as text, so that a large result need
    /// not be checked for valid UTF-8 again.
    text: String,
    /// All chunks, once there is one of bytes.
    bytes: Option<BytesMut>,
    count: usize,
    /// True once the chunks were longer than a result may be.
    is_too_large: bool,
}

impl Chunks {
    /// Appends a chunk. The media type of the first one is that of the result.
    pub(crate) fn append(&mut self, content_type: Option<String>, data: &Data) {
        if self.count == 0 {
            self.content_type = content_type;
        }
        self.count += 1;
        self.is_too_large |= data.len() > MAX_BODY - self.len();
        if self.is_too_large {
            return;
        }
        match (data, &mut self.bytes) {
            (Data::None, _) => {}
            (Data::Text(text) | Data::Json(text), None) => self.text.push_str(text),
            (Data::Text(text) | Data::Json(text), Some(bytes)) => {
                bytes.extend_from_slice(text.as_bytes());
            }
            (Data::Bytes(_) | Data::List(_), bytes) => {
                let text = std::mem::take(&mut self.text);
                let before = || BytesMut::from(Bytes::from(text));
                bytes.get_or_insert_with(before).extend_from_slice(&data.clone().into_bytes());
            }
        }
    }

    /// Takes the joined chunks out, with the media type of the result. `None` if there are none.
    pub(crate) fn take(&mut self) -> Option<(Option<String>, Data)> {
        if self.count == 0 {
            return None;
        }
        let Chunks { content_type, text, bytes, is_too_large, .. } = std::mem::take(self);
        self.is_too_large = is_too_large;
        let data = bytes.map_or(Data::Text(text), |bytes| Data::Bytes(bytes.freeze()));
        Some((content_type, data))
    }

    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(self.text.len(), BytesMut::len)
    }

    /// Makes the chunks the data of the outcome, if there are any.
    pub(crate) fn complete(&mut self, mut outcome: Outcome) -> Result<Outcome, Error> {
        if self.is_too_large {
            let message = format!("the model's result is larger than {MAX_BODY} bytes");
            return Err(Error::new(Kind::TooLarge, message));
        }
        if let Some((content_type, data)) = self.take() {
            outcome.content_type = outcome.content_type.or(content_type);
            outcome.data = data;
        }
        Ok(outcome)
    }
}
