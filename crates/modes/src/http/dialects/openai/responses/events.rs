//! A streamed response as its events.

use serde_json::{Map, Value, json};

use crate::http::conversation::delta::{Delta, End};
use crate::http::conversation::stream::EventWriter;
use crate::http::conversation::tool_calls::{Numbered, ToolCall};
use crate::http::dialects::openai::error;
use crate::http::dialects::openai::responses::object::{
    Head, function_call, id, message, text_part,
};
use crate::http::failure::{Failure, Wording};
use crate::http::server_sent::{put_json, put_named};

/// Writes an answer as the events of a response. All items end together, because the parts of several
/// calls may take turns.
pub(super) struct ResponseEvents {
    head: Head,
    /// The number of the next event.
    sequence: u64,
    items: Vec<Item>,
    /// The place of the message among the items.
    message: Option<usize>,
    /// The places of the calls among the items.
    calls: Vec<usize>,
    numbered: Numbered,
    /// The beginning of each event with a piece of the text, up to the number of the event.
    text_prefix: Vec<u8>,
    end: End,
}

enum Item {
    Message { id: String, text: String },
    Call { id: String, call_id: String, name: String, arguments: String },
}

impl Item {
    fn describe(&self, status: &str) -> Value {
        match self {
            Item::Message { id, text } => message(id, status, &[text_part(text)]),
            Item::Call { id, call_id, name, arguments } => {
                function_call(id, status, (call_id, name, arguments))
            }
        }
    }
}

impl ResponseEvents {
    pub(super) fn new(head: Head) -> Self {
        ResponseEvents {
            head,
            sequence: 0,
            items: Vec::new(),
            message: None,
            calls: Vec::new(),
            numbered: Numbered::default(),
            text_prefix: Vec::new(),
            end: End::default(),
        }
    }

    /// Writes an event with these members.
    fn put(&mut self, name: &str, members: Value, to: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("type".to_owned(), name.into());
        event.insert("sequence_number".to_owned(), self.sequence.into());
        if let Value::Object(members) = members {
            event.extend(members);
        }
        self.sequence += 1;
        put_named(to, name, &event);
    }

    /// Begins the message, if it has not begun, and returns its place among the items.
    fn begin_message(&mut self, to: &mut Vec<u8>) -> usize {
        if let Some(place) = self.message {
            return place;
        }
        let (id, place) = (id("msg"), self.items.len());
        let added = json!({"output_index": place, "item": message(&id, "in_progress", &[])});
        self.put("response.output_item.added", added, to);
        let mut part = json!({"item_id": id, "output_index": place, "content_index": 0});
        let mut prefix = b"event: response.output_text.delta\ndata: ".to_vec();
        let mut delta = part.clone();
        delta["type"] = "response.output_text.delta".into();
        delta["logprobs"] = json!([]);
        put_json(&mut prefix, &delta);
        prefix.pop();
        prefix.extend_from_slice(b",\"sequence_number\":");
        self.text_prefix = prefix;
        part["part"] = text_part("");
        self.put("response.content_part.added", part, to);
        self.items.push(Item::Message { id, text: String::new() });
        self.message = Some(place);
        place
    }

    fn put_call(&mut self, mut part: ToolCall, to: &mut Vec<u8>) {
        let place = self.numbered.place(&part);
        if place.is_new {
            let (id, call_id) = (id("fc"), part.id());
            let name = part.name.unwrap_or_default();
            let item = function_call(&id, "in_progress", (&call_id, &name, ""));
            let added = json!({"output_index": self.items.len(), "item": item});
            self.put("response.output_item.added", added, to);
            self.calls.push(self.items.len());
            self.items.push(Item::Call { id, call_id, name, arguments: String::new() });
        }
        let Some(output_index) = self.calls.get(place.number).copied() else { return };
        if let Some(Item::Call { id, arguments, .. }) = self.items.get_mut(output_index)
            && !part.arguments.is_empty()
        {
            arguments.push_str(&part.arguments);
            let delta =
                json!({"item_id": id, "output_index": output_index, "delta": part.arguments});
            self.put("response.function_call_arguments.delta", delta, to);
        }
    }

    /// Writes the end of an item.
    fn end_item(&mut self, output_index: usize, item: &Item, to: &mut Vec<u8>) {
        match item {
            Item::Message { id, text } => {
                let place =
                    json!({"item_id": id, "output_index": output_index, "content_index": 0});
                let mut done = place.clone();
                done["text"] = text.as_str().into();
                done["logprobs"] = json!([]);
                self.put("response.output_text.done", done, to);
                let mut done = place;
                done["part"] = text_part(text);
                self.put("response.content_part.done", done, to);
            }
            Item::Call { id, name, arguments, .. } => {
                let done = json!({
                    "item_id": id,
                    "output_index": output_index,
                    "name": name,
                    "arguments": arguments,
                });
                self.put("response.function_call_arguments.done", done, to);
            }
        }
        let done = json!({"output_index": output_index, "item": item.describe("completed")});
        self.put("response.output_item.done", done, to);
    }
}

impl EventWriter for ResponseEvents {
    const KEEPS_TEXT: bool = true;

    fn begin(&mut self, to: &mut Vec<u8>) {
        let response = json!({"response": self.head.response("in_progress", &json!([]))});
        self.put("response.created", response.clone(), to);
        self.put("response.in_progress", response, to);
    }

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        let place = self.begin_message(to);
        if let Some(Item::Message { text: all, .. }) = self.items.get_mut(place) {
            all.push_str(text);
        }
        to.extend_from_slice(&self.text_prefix);
        put_json(to, &self.sequence);
        to.extend_from_slice(b",\"delta\":");
        put_json(to, &text);
        to.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    fn delta(&mut self, mut delta: Delta, to: &mut Vec<u8>) {
        self.end.add(&mut delta);
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text(&text, to);
        }
        for part in delta.tool_calls {
            self.put_call(part, to);
        }
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        if self.items.is_empty() {
            self.begin_message(to);
        }
        let items = std::mem::take(&mut self.items);
        for (output_index, item) in items.iter().enumerate() {
            self.end_item(output_index, item, to);
        }
        let output: Vec<Value> = items.iter().map(|item| item.describe("completed")).collect();
        let response = self.head.ended(&self.end, &output.into());
        let name = match response["status"].as_str() {
            Some("incomplete") => "response.incomplete",
            _ => "response.completed",
        };
        self.put(name, json!({"response": response}), to);
    }

    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>) {
        // SDKs read the member `error`; other programs read the members beside it, which OpenAI
        // documents.
        let mut event = error::body(failure, wording);
        for name in ["message", "param", "code"] {
            event[name] = event["error"][name].clone();
        }
        self.put("error", event, to);
    }
}
