//! Answers of chat models, independent of the protocol of the client.
//!
//! A text is the content of the answer. A JSON object with members such as `content` and
//! `tool_calls` gives these members of the answer; any other JSON is text. A stream gives parts of an answer, which are put together.

use ai_integration_contract::Outcome;

use crate::http::conversation::chunks::{self, Chunks};
use crate::http::conversation::delta::{Delta, End, Usage, fault};
use crate::http::conversation::tool_calls::{Numbered, WholeCall};
use crate::http::failure::Failure;

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<WholeCall>,
    numbered: Numbered,
    pub(crate) end: End,
}

impl Reply {
    /// Makes the answer from the result of a model.
    pub(crate) fn of(outcome: Outcome) -> Result<Self, Failure> {
        let mut reply = Reply::default();
        for delta in deltas(outcome)? {
            reply.add(delta);
        }
        Ok(reply)
    }

    fn add(&mut self, mut delta: Delta) {
        self.end.add(&mut delta);
        self.content.push_str(&delta.content.unwrap_or_default());
        self.reasoning.push_str(&delta.reasoning.unwrap_or_default());
        for part in delta.tool_calls {
            let place = self.numbered.place(&part);
            if place.is_new {
                self.calls.push(WholeCall::begin(part));
            } else if let Some(call) = self.calls.get_mut(place.number) {
                call.function.arguments.push_str(&part.arguments);
            }
        }
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.end.usage
    }

    /// Returns the reason of the end, in the words of OpenAI's chat completions.
    pub(crate) fn finish_reason(&self) -> &str {
        self.end.finish_reason(!self.calls.is_empty())
    }
}

/// Returns the parts of an answer that has come as a whole.
pub(crate) fn deltas(outcome: Outcome) -> Result<Vec<Delta>, Failure> {
    let outcome = Failure::check_outcome(outcome)?;
    let media = outcome.media_type();
    if outcome.data.is_empty() {
        return Ok(Vec::new());
    }
    if outcome.is_json() && !chunks::is_lines(&media) {
        let text = outcome.data.as_text().unwrap_or_default();
        let value = serde_json::from_str(text).map_err(|error| fault(&error.to_string()))?;
        return Ok(vec![Delta::read(value).map_err(|reason| fault(&reason))?]);
    }
    let mut chunks = Chunks::of(outcome.content_type.as_deref())?;
    let mut deltas = chunks.read(outcome.data)?;
    deltas.extend(chunks.end()?);
    Ok(deltas)
}
