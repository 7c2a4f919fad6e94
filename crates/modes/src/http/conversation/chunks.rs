//! The chunks of a streamed answer: pieces of a text, or lines of JSON. A chunk may end within a
//! character or a line.

use ai_integration_contract::Data;
use bytes::Bytes;

use crate::http::conversation::delta::{Delta, fault};
use crate::http::failure::Failure;

/// The maximum length of a line of JSON in bytes.
const MAX_LINE: usize = 4 << 20;

/// Reads the chunks of an answer.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// True if the answer is lines of JSON.
    has_lines: bool,
    /// The beginning of a character or a line whose rest is to come.
    begun: Vec<u8>,
}

impl Chunks {
    /// Makes a reader for an answer of this content type.
    pub(crate) fn of(content_type: Option<&str>) -> Result<Self, Failure> {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        let has_lines = is_lines(&media);
        let is_text = media.is_empty() || media.starts_with("text/") || media.contains("json");
        if has_lines || is_text {
            return Ok(Chunks { has_lines, begun: Vec::new() });
        }
        Err(fault(&format!(
            "it is of the type {media}, and an answer is text, or JSON with content, tool_calls, \
             finish_reason or usage"
        )))
    }

    /// Returns the text of a chunk that is plain text, which most chunks are.
    pub(crate) fn plain<'a>(&self, data: &'a Data) -> Option<&'a str> {
        match data {
            Data::Text(text) if !self.has_lines && self.begun.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Reads a chunk.
    pub(crate) fn read(&mut self, data: Data) -> Result<Vec<Delta>, Failure> {
        let bytes = data.into_bytes();
        if self.has_lines { self.lines(&bytes) } else { self.text(&bytes) }
    }

    /// Reads what is left after the last chunk.
    pub(crate) fn end(&mut self) -> Result<Vec<Delta>, Failure> {
        match (self.begun.is_empty(), self.has_lines) {
            (true, _) => Ok(Vec::new()),
            (false, true) => self.lines(&Bytes::from_static(b"\n")),
            (false, false) => Err(fault("its text is not UTF-8: it ends within a character")),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Vec<Delta>, Failure> {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(fault("its text is not UTF-8")),
        };
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
        let text = String::from_utf8(text).unwrap_or_default();
        Ok(if text.is_empty() { Vec::new() } else { vec![Delta::text(text)] })
    }

    fn lines(&mut self, bytes: &[u8]) -> Result<Vec<Delta>, Failure> {
        let mut deltas = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.begun);
            if !line.trim_ascii().is_empty() {
                deltas.push(delta(&line)?);
            }
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > MAX_LINE {
            return Err(fault(&format!("a line has more than {MAX_LINE} bytes")));
        }
        Ok(deltas)
    }
}

/// Returns true for the media types of lines of JSON.
pub(crate) fn is_lines(media: &str) -> bool {
    matches!(
        media,
        "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/json-lines"
    )
}

/// Reads a line. A text in JSON is a piece of the content.
fn delta(line: &[u8]) -> Result<Delta, Failure> {
    match serde_json::from_slice(line) {
        Ok(serde_json::Value::String(text)) => Ok(Delta::text(text)),
        Ok(value) => Delta::read(value).map_err(|reason| fault(&reason)),
        Err(error) => Err(fault(&format!("a line is not JSON: {error}"))),
    }
}
