//! Makes one tensor of the results of all records.

use ai_integration_contract::{Data, Error, Kind, Outcome};
use bytes::{BufMut, Bytes, BytesMut};

use crate::http::data_url::data_urls;
use crate::http::tensors::tensor::LENGTH;

/// The content type of results that differ in their content types.
const ANY: &str = "application/octet-stream";
/// The length in bytes from which the content of an element is shared instead of copied.
const SHARED: usize = 16 * 1024;

/// The output of a request: a tensor of the datatype BYTES.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The content type of each element.
    pub(crate) content_type: String,
    /// True if each element is text in UTF-8. Then a protocol in JSON sends it as text, otherwise as
    /// base64.
    pub(crate) is_text: bool,
    /// The number of records. If the results are lists of files, the number of items follows; it
    /// stands alone if there is one record.
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Vec<Bytes>,
}

impl Answer {
    /// Makes the answer from the successful outcomes of all records.
    pub(crate) fn of(outcomes: Vec<Outcome>) -> Self {
        let records = outcomes.len();
        let items = outcomes.first().map_or(1, items);
        if !outcomes.iter().all(|outcome| self::items(outcome) == items) {
            return Answer::of_lists(outcomes);
        }
        let shape = match (records, items) {
            (_, 1) => vec![records],
            (1, _) => vec![items],
            _ => vec![records, items],
        };
        let content_type = outcomes.first().map_or(ANY, content_type).to_owned();
        let is_one_type =
            outcomes.iter().all(|outcome| self::content_type(outcome) == content_type);
        let is_text = is_one_type && outcomes.iter().all(is_text);
        let elements = outcomes.into_iter().flat_map(|outcome| match outcome.data {
            Data::List(list) => list,
            data => vec![data.into_bytes()],
        });
        let content_type = if is_one_type { content_type } else { ANY.to_owned() };
        Answer { content_type, is_text, shape, elements: elements.collect() }
    }

    /// Makes the answer from lists of different lengths, which have no place in one tensor. Each is a
    /// JSON array of `data:` URLs.
    fn of_lists(outcomes: Vec<Outcome>) -> Self {
        let array = |outcome: Outcome| {
            let media = outcome.media_type();
            let list = match outcome.data {
                Data::List(list) => list,
                data => vec![data.into_bytes()],
            };
            Bytes::from(serde_json::Value::from(data_urls(&media, &list)).to_string())
        };
        Answer {
            content_type: "application/json".to_owned(),
            is_text: true,
            shape: vec![outcomes.len()],
            elements: outcomes.into_iter().map(array).collect(),
        }
    }

    /// Returns the length of the raw data in bytes.
    pub(crate) fn raw_length(&self) -> usize {
        self.elements.iter().map(|element| LENGTH + element.len()).sum()
    }

    /// Returns the raw data in pieces: each element has its length in 32 bits before it. Large
    /// elements are not copied.
    pub(crate) fn into_raw(self) -> Result<Vec<Bytes>, Error> {
        let mut pieces = Vec::new();
        let mut small = BytesMut::new();
        for element in self.elements {
            let length = u32::try_from(element.len()).map_err(|_| {
                Error::new(Kind::TooLarge, "the result has 4 GiB or more, which no tensor can have")
            })?;
            small.put_u32_le(length);
            if element.len() < SHARED {
                small.put(element);
            } else {
                pieces.extend([small.split().freeze(), element]);
            }
        }
        if !small.is_empty() {
            pieces.push(small.freeze());
        }
        Ok(pieces)
    }
}

/// Returns the number of files of a result.
fn items(outcome: &Outcome) -> usize {
    if let Data::List(list) = &outcome.data { list.len() } else { 1 }
}

fn content_type(outcome: &Outcome) -> &str {
    let default = match &outcome.data {
        Data::None | Data::Text(_) => "text/plain",
        Data::Json(_) => "application/json",
        Data::Bytes(_) | Data::List(_) => ANY,
    };
    outcome.content_type.as_deref().filter(|given| !given.is_empty()).unwrap_or(default)
}

/// Returns true if a result is text by its kind or its media type. The bytes of a picture never are,
/// even if they happen to be UTF-8; bytes in another encoding are not, whatever the media type.
fn is_text(outcome: &Outcome) -> bool {
    match &outcome.data {
        Data::None | Data::Text(_) | Data::Json(_) => true,
        Data::Bytes(bytes) => {
            let is_named = outcome.is_json() || outcome.media_type().starts_with("text/");
            is_named && std::str::from_utf8(bytes).is_ok()
        }
        Data::List(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outcomes: Vec<Outcome>) -> (String, bool, Vec<usize>, usize) {
        let Answer { content_type, is_text, shape, elements } = Answer::of(outcomes);
        (content_type, is_text, shape, elements.len())
    }

    fn pictures(count: usize) -> Outcome {
        Outcome::list("image/png", vec![Bytes::from_static(b"x"); count])
    }

    #[test]
    fn the_media_type_decides_what_is_text() {
        let bytes = |media: &str, bytes: &'static [u8]| Outcome::bytes(media, bytes);
        let untyped = |data| Outcome { content_type: None, data, ..Outcome::text("") };
        for (outcome, content_type, is_text) in [
            (Outcome::text("a"), "text/plain", true),
            (Outcome::json([1]), "application/json", true),
            (bytes("text/html; charset=utf-8", b"a"), "text/html; charset=utf-8", true),
            (bytes("text/plain", b"\xff"), "text/plain", false),
            (bytes("application/geo+json", b"1"), "application/geo+json", true),
            (bytes("image/png", b"text"), "image/png", false),
            (untyped("a".into()), "text/plain", true),
            (untyped(Data::Json("1".to_owned())), "application/json", true),
            (untyped(Data::Bytes("a".into())), "application/octet-stream", false),
            (untyped(Data::None), "text/plain", true),
        ] {
            assert_eq!(answer(vec![outcome]), (content_type.to_owned(), is_text, vec![1], 1));
        }
    }

    #[test]
    fn results_of_several_records_are_one_tensor() {
        let words = |count| vec![Outcome::text("a"); count];
        let text = "text/plain".to_owned();
        assert_eq!(answer(words(3)), (text, true, vec![3], 3));
        let mixed = vec![Outcome::text("a"), Outcome::json(1)];
        assert_eq!(answer(mixed), (ANY.to_owned(), false, vec![2], 2));
        let png = || "image/png".to_owned();
        assert_eq!(answer(vec![pictures(4)]), (png(), false, vec![4], 4));
        assert_eq!(answer(vec![pictures(2), pictures(2)]), (png(), false, vec![2, 2], 4));
        let ragged = Answer::of(vec![pictures(2), pictures(1)]);
        assert_eq!((&*ragged.content_type, ragged.is_text), ("application/json", true));
        assert_eq!(ragged.shape, [2]);
        let url = "data:image/png;base64,eA==";
        assert_eq!(ragged.elements, [format!("[\"{url}\",\"{url}\"]"), format!("[\"{url}\"]")]);
    }

    #[test]
    fn raw_data_has_lengths_and_shares_large_elements() {
        let large = Bytes::from(vec![7; SHARED]);
        let elements = ["a".into(), large.clone(), Bytes::new(), "bc".into()];
        let shape = vec![4];
        let content_type = ANY.to_owned();
        let answer = Answer { content_type, is_text: false, shape, elements: elements.to_vec() };
        let length = answer.raw_length();
        let pieces = answer.into_raw().unwrap();
        assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), length);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0], &b"\x01\0\0\0a\0\x40\0\0"[..]);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(pieces[2], &b"\0\0\0\0\x02\0\0\0bc"[..]);
    }
}
