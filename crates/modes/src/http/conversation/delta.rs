//! Parts of a model's answer. A stream gives many of them, any other result gives one.

use ai_integration_contract::{Error, Kind};
use serde_json::{Map, Value as Json};

use crate::http::conversation::members::{number, text};
use crate::http::conversation::tool_calls::ToolCall;
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

    /// Returns a further count, such as that of cached tokens, from the first of these members that
    /// has it. Protocols name the members differently.
    pub(crate) fn detail(&self, members: [&str; 2], name: &str) -> u64 {
        let mut counts = members.iter().filter_map(|member| self.others.get(*member)?.get(name));
        counts.find_map(Json::as_u64).unwrap_or_default()
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

/// Makes the failure of a model whose answer has a fault.
pub(crate) fn fault(reason: &str) -> Failure {
    Error::new(Kind::ModelFailed, format!("the model's answer cannot be read: {reason}")).into()
}
