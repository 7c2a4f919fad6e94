//! The calls of tools in a model's answer. The client runs the tools, and sends their results with its
//! next request.

use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::http::conversation::members::{number, text};

/// A call of a tool, or a part of one in a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ToolCall {
    /// The number by which a model tells the parts of several calls apart.
    index: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// The arguments as JSON text.
    pub(crate) arguments: String,
}

/// A whole call, in the form of OpenAI's chat completions.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct WholeCall {
    pub(crate) id: String,
    r#type: &'static str,
    pub(crate) function: Function,
}

/// The function of a call.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    /// The first part of each call, without its arguments.
    calls: Vec<ToolCall>,
}

/// The place of a part among the calls of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) number: usize,
    /// True if this is the first part of its call.
    pub(crate) is_new: bool,
}

impl ToolCall {
    /// Reads the calls of an answer. `place` is their member, for errors.
    pub(super) fn list(calls: Json, place: &str) -> Result<Vec<Self>, String> {
        let Json::Array(calls) = calls else { return Err(format!("{place} is not a list")) };
        let calls = calls.into_iter().enumerate();
        calls.map(|(index, call)| ToolCall::read(call, &format!("{place}[{index}]"))).collect()
    }

    fn read(call: Json, place: &str) -> Result<Self, String> {
        let Json::Object(mut call) = call else { return Err(format!("{place} is not an object")) };
        let index = number(&mut call, place, "index")?;
        let id = text(&mut call, place, "id")?.filter(|id| !id.is_empty());
        let mut function = match call.remove("function") {
            Some(Json::Object(function)) => function,
            // The responses of OpenAI have the members of the function in the call itself.
            None => call,
            Some(_) => return Err(format!("{place}.function is not an object")),
        };
        let place_of_function = format!("{place}.function");
        let arguments = match function.remove("arguments") {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text,
            Some(object @ Json::Object(_)) => object.to_string(),
            Some(_) => {
                return Err(format!("{place_of_function}.arguments is neither text nor an object"));
            }
        };
        Ok(ToolCall {
            index,
            id,
            name: text(&mut function, &place_of_function, "name")?.filter(|name| !name.is_empty()),
            arguments,
        })
    }

    /// Returns the id of the call, or makes one.
    pub(crate) fn id(&mut self) -> String {
        self.id.take().unwrap_or_else(|| format!("call_{}", Uuid::new_v4().simple()))
    }
}

impl WholeCall {
    pub(crate) fn begin(mut part: ToolCall) -> Self {
        let (id, name) = (part.id(), part.name.unwrap_or_default());
        WholeCall { id, r#type: "function", function: Function { name, arguments: part.arguments } }
    }
}

impl Numbered {
    /// Returns true if there is no call.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Finds the call of a part: by its index, else by its id. A part without both continues the last
    /// call, unless it names a function. A part that names another function begins a call.
    pub(crate) fn place(&mut self, part: &ToolCall) -> Position {
        let mut calls = self.calls.iter();
        let known = match (part.index, &part.id) {
            (Some(_), _) => calls.position(|call| call.index == part.index),
            (None, Some(_)) => calls.position(|call| {
                call.id == part.id && (part.name.is_none() || part.name == call.name)
            }),
            (None, None) if part.name.is_some() => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        if let Some(number) = known {
            return Position { number, is_new: false };
        }
        self.calls.push(ToolCall { arguments: String::new(), ..part.clone() });
        Position { number: self.calls.len() - 1, is_new: true }
    }
}
