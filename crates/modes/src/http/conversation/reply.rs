//! Answers of chat models, independent of the protocol of the client.
//!
//! A text is the content of the answer. A JSON object with one of [`MEMBERS`] gives these members of the
//! answer; any other JSON is text. A stream gives parts of an answer, which are put together.

use ai_integration_contract::{Error, Kind, Outcome};
use serde_json::{Map, Value as Json};

use crate::http::conversation::chunks::{self, Chunks};
use crate::http::conversation::tool_calls::{Numbered, ToolCall, WholeCall};
use crate::http::failure::Failure;

/// The members that make a JSON object an answer.
const MEMBERS: [&str; 6] =
    ["content", "tool_calls", "finish_reason", "usage", "reasoning_content", "reasoning"];

/// A part of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Delta {
    pub(crate) content: Option<String>,
    /// The model's thoughts before the answer.
    pub(crate) reasoning: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Option<Usage>,
}

/// The numbers of tokens, as the model counts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Further counts, such as those of cached tokens.
    pub(crate) others: Map<String, Json>,
}

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<WholeCall>,
    numbered: Numbered,
    pub(crate) end: End,
}

/// The end of an answer.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Usage,
}

impl Delta {
    /// Makes the part of an answer that has this text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Delta { content: Some(text.into()), ..Delta::default() }
    }

    /// Reads a JSON value of the model. The error names the member that is wrong.
    pub(super) fn read(value: Json) -> Result<Self, String> {
        match value {
            Json::Object(mut members) if MEMBERS.iter().any(|name| members.contains_key(*name)) => {
                let calls = members.remove("tool_calls").filter(|calls| !calls.is_null());
                let usage = members.remove("usage").filter(|usage| !usage.is_null());
                let named = text(&mut members, "", "reasoning_content")?;
                Ok(Delta {
                    content: text(&mut members, "", "content")?,
                    reasoning: match named {
                        Some(named) => Some(named),
                        None => text(&mut members, "", "reasoning")?,
                    },
                    tool_calls: match calls {
                        Some(calls) => ToolCall::list(calls, "tool_calls")?,
                        None => Vec::new(),
                    },
                    finish_reason: text(&mut members, "", "finish_reason")?,
                    usage: usage.map(Usage::read).transpose()?,
                })
            }
            other => Ok(Delta::text(other.to_string())),
        }
    }
}

impl Usage {
    fn read(usage: Json) -> Result<Self, String> {
        let Json::Object(mut usage) = usage else {
            return Err("usage is not an object".to_owned());
        };
        let mut count = |names: [&str; 2]| {
            let mut found = None;
            for name in names {
                found = number(&mut usage, "usage", name)?.or(found);
            }
            Ok::<_, String>(found.unwrap_or_default())
        };
        let input = count(["input_tokens", "prompt_tokens"])?;
        let output = count(["output_tokens", "completion_tokens"])?;
        usage.remove("total_tokens");
        Ok(Usage { input, output, others: usage })
    }

    pub(crate) fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl End {
    /// Takes over what a part of an answer says about its end.
    pub(crate) fn add(&mut self, delta: &mut Delta) {
        self.finish_reason = delta.finish_reason.take().or(self.finish_reason.take());
        if let Some(usage) = delta.usage.take() {
            self.usage = usage;
        }
    }

    /// Returns the reason of the end, in the words of OpenAI's chat completions.
    pub(crate) fn finish_reason(&self, has_calls: bool) -> &str {
        let usual = if has_calls { "tool_calls" } else { "stop" };
        self.finish_reason.as_deref().unwrap_or(usual)
    }
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

/// Makes the failure of a model whose answer has a fault.
pub(super) fn fault(reason: &str) -> Failure {
    Error::new(Kind::ModelFailed, format!("the model's answer cannot be read: {reason}")).into()
}

/// Takes a text out of an object. The error names its place.
pub(super) fn text(
    object: &mut Map<String, Json>,
    place: &str,
    name: &str,
) -> Result<Option<String>, String> {
    match object.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{} is not text", within(place, name))),
    }
}

/// Takes a whole number out of an object. The error names its place.
pub(super) fn number(
    object: &mut Map<String, Json>,
    place: &str,
    name: &str,
) -> Result<Option<u64>, String> {
    match object.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("{} is not a whole number", within(place, name))),
    }
}

fn within(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}
