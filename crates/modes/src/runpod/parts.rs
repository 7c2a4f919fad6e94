//! Cuts a streamed result into parts: pieces of a text, or values of JSON. A chunk of the model may
//! end within a character or a line.

use ai_integration_contract::{Data, Error, Kind, Outcome};
use serde_json::value::RawValue;

use crate::http::conversation::chunks::is_lines;
use crate::http::failure::Failure;
use crate::runpod::answer;

/// The length in bytes from which on a part takes no more text.
const MAX_PART: usize = 64 * 1024;

/// The parts of a streamed result.
pub(crate) struct Parts {
    form: Form,
    /// The content type of the whole result.
    content_type: Option<String>,
    /// The chunks, joined.
    whole: Vec<u8>,
    /// The maximum length of `whole`.
    most: usize,
    /// The number of bytes of `whole` that are in parts.
    taken: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Values of JSON, one in each line.
    Lines,
    /// A file, which is sent as a whole.
    File,
}

impl Parts {
    /// Begins with a result of this content type, which may have at most `most` bytes.
    pub(crate) fn of(content_type: Option<String>, most: usize) -> Self {
        let media = content_type.as_deref().unwrap_or_default().split(';').next();
        let media = media.unwrap_or_default().trim().to_ascii_lowercase();
        let form = if is_lines(&media) {
            Form::Lines
        } else if media.is_empty() || media.starts_with("text/") || media.contains("json") {
            Form::Text
        } else {
            Form::File
        };
        Parts { form, content_type, whole: Vec::new(), most, taken: 0 }
    }

    /// Adds a chunk.
    pub(crate) fn add(&mut self, chunk: Data) -> Result<(), Failure> {
        let chunk = chunk.into_bytes();
        if self.whole.len() + chunk.len() > self.most {
            let message = format!("the streamed result is larger than {} bytes", self.most);
            return Err(Error::new(Kind::TooLarge, message).into());
        }
        self.whole.extend_from_slice(&chunk);
        Ok(())
    }

    /// Returns the body of the next part, if there is one. `has_ended` is true after the last chunk.
    pub(crate) fn next(&mut self, has_ended: bool) -> Option<Vec<u8>> {
        loop {
            let rest = &self.whole[self.taken..];
            match self.form {
                Form::File => return None,
                Form::Text => {
                    let length = text(&rest[..rest.len().min(MAX_PART)]);
                    self.taken += length;
                    let text = std::str::from_utf8(&rest[..length]).ok()?;
                    return (length > 0).then(|| answer::part(text));
                }
                Form::Lines => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let line = match end {
                        Some(end) => &rest[..end],
                        None if has_ended && !rest.is_empty() => rest,
                        None => return None,
                    };
                    self.taken += line.len() + usize::from(end.is_some());
                    if let Ok(value) = serde_json::from_slice::<&RawValue>(line) {
                        return Some(answer::part(value));
                    }
                }
            }
        }
    }

    /// Returns the whole result: a text, a file, or the JSON array of the values.
    pub(crate) fn whole(self) -> Outcome {
        let Parts { form, content_type, whole, .. } = self;
        if form == Form::Lines {
            let values = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let values = values.map(serde_json::from_slice::<&RawValue>).filter_map(Result::ok);
            return Outcome::json(values.collect::<Vec<_>>());
        }
        let data = match String::from_utf8(whole) {
            Ok(text) if form == Form::Text => Data::Text(text),
            Ok(text) => Data::Bytes(text.into_bytes().into()),
            Err(error) => Data::Bytes(error.into_bytes().into()),
        };
        Outcome { success: true, content_type, data, ..Outcome::default() }
    }
}

/// Returns the length of the whole characters at the start of these bytes.
fn text(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(content_type: &str, chunks: &[&'static [u8]]) -> (Vec<String>, Outcome) {
        let mut parts = Parts::of(Some(content_type.to_owned()), 1000);
        let mut bodies = Vec::new();
        for (place, chunk) in chunks.iter().enumerate() {
            parts.add(Data::Bytes((*chunk).into())).unwrap();
            let has_ended = place + 1 == chunks.len();
            bodies.extend(std::iter::from_fn(|| parts.next(has_ended)));
        }
        let bodies = bodies.into_iter().map(|body| String::from_utf8(body).unwrap());
        (bodies.collect(), parts.whole())
    }

    #[test]
    fn text_is_cut_between_characters() {
        let (parts, whole) = cut("text/plain", &[b"one ", b"\xc3", b"\xa4"]);
        assert_eq!(parts, [r#"{"output":"one "}"#, r#"{"output":"ä"}"#]);
        assert_eq!(whole.data, Data::Text("one ä".to_owned()));
    }

    #[test]
    fn lines_of_json_are_values() {
        let (parts, whole) = cut("application/x-ndjson", &[b"{\"a\": 1.50}\n[", b"2]\n\n", b"3"]);
        assert_eq!(parts, [r#"{"output":{"a": 1.50}}"#, r#"{"output":[2]}"#, r#"{"output":3}"#]);
        assert_eq!(
            whole,
            Outcome::json(vec![
                RawValue::from_string("{\"a\": 1.50}".to_owned()).unwrap(),
                RawValue::from_string("[2]".to_owned()).unwrap(),
                RawValue::from_string("3".to_owned()).unwrap(),
            ])
        );
    }

    #[test]
    fn a_file_is_sent_as_a_whole() {
        let (parts, whole) = cut("audio/wav", &[b"RI", b"FF"]);
        assert_eq!(parts, Vec::<String>::new());
        assert_eq!(whole, Outcome::bytes("audio/wav", &b"RIFF"[..]));
    }

    #[test]
    fn a_result_has_a_maximum_length() {
        let mut parts = Parts::of(None, 3);
        parts.add("abc".into()).unwrap();
        assert_eq!(parts.add("d".into()).unwrap_err().code(), "too_large");
    }
}
