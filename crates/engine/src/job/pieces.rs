//! The pieces of an answer that nobody reads one by one, put together.

use ai_integration_contract::wire::MAX_BODY;
use ai_integration_contract::{Data, Error, Kind, Outcome};
use bytes::{Bytes, BytesMut};

/// The pieces that have come so far.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    content_type: Option<String>,
    /// The pieces before the first one of bytes. They are kept as text, so that a large answer need
    /// not be looked through again.
    text: String,
    /// All pieces, once there is one of bytes.
    bytes: Option<BytesMut>,
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
        self.is_over |= data.len() > MAX_BODY - self.len();
        if self.is_over {
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

    /// Takes the pieces out as one, with the media type of the answer. `None` without any.
    pub(crate) fn take(&mut self) -> Option<(Option<String>, Data)> {
        if self.count == 0 {
            return None;
        }
        let Pieces { content_type, text, bytes, is_over, .. } = std::mem::take(self);
        self.is_over = is_over;
        let data = bytes.map_or(Data::Text(text), |bytes| Data::Bytes(bytes.freeze()));
        Some((content_type, data))
    }

    fn len(&self) -> usize {
        self.bytes.as_ref().map_or(self.text.len(), BytesMut::len)
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
