//! A streamed message as its events.

use serde_json::{Value, json};

use crate::http::conversation::delta::{Delta, End, Usage};
use crate::http::conversation::stream::EventWriter;
use crate::http::conversation::tool_calls::{Numbered, ToolCall, WholeCall};
use crate::http::dialects::anthropic::object::{error, message, stop_reason, usage};
use crate::http::failure::{Failure, Wording};
use crate::http::request_context::RequestId;
use crate::http::server_sent::{put_json, put_named};

/// Writes an answer as the events of a message.
pub(super) struct MessageEvents {
    model: String,
    request: RequestId,
    /// The number of blocks that have begun.
    blocks: usize,
    /// True while the block of a text has not ended.
    is_open: bool,
    /// The calls. Their blocks are written at the end, because a model may give the parts of several
    /// calls in turn, and a block must end before the next one begins.
    calls: Vec<WholeCall>,
    numbered: Numbered,
    /// The beginning of each event with a piece of the open text.
    text_prefix: Vec<u8>,
    end: End,
}

impl MessageEvents {
    pub(super) fn new(model: String, request: RequestId) -> Self {
        MessageEvents {
            model,
            request,
            blocks: 0,
            is_open: false,
            calls: Vec::new(),
            numbered: Numbered::default(),
            text_prefix: Vec::new(),
            end: End::default(),
        }
    }

    /// Begins a block after the end of the open one, and returns its number.
    fn begin_block(&mut self, block: &Value, to: &mut Vec<u8>) -> usize {
        self.end_block(to);
        let index = self.blocks;
        let event = json!({"type": "content_block_start", "index": index, "content_block": block});
        put_named(to, "content_block_start", &event);
        self.blocks += 1;
        self.is_open = true;
        index
    }

    fn end_block(&mut self, to: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_open) {
            let event = json!({"type": "content_block_stop", "index": self.blocks - 1});
            put_named(to, "content_block_stop", &event);
        }
    }

    fn begin_text(&mut self, to: &mut Vec<u8>) {
        let index = self.begin_block(&json!({"type": "text", "text": ""}), to);
        let head = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
        let tail = ",\"delta\":{\"type\":\"text_delta\",\"text\":";
        self.text_prefix = format!("{head}{index}{tail}").into_bytes();
    }

    fn add_call(&mut self, part: ToolCall) {
        let place = self.numbered.place(&part);
        if place.is_new {
            self.calls.push(WholeCall::begin(part));
        } else if let Some(call) = self.calls.get_mut(place.number) {
            call.function.arguments.push_str(&part.arguments);
        }
    }

    fn put_calls(&mut self, to: &mut Vec<u8>) {
        for call in std::mem::take(&mut self.calls) {
            let (id, name) = (call.id, call.function.name);
            let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
            let index = self.begin_block(&block, to);
            let arguments = call.function.arguments;
            if !arguments.is_empty() {
                let delta = json!({"type": "input_json_delta", "partial_json": arguments});
                let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
                put_named(to, "content_block_delta", &event);
            }
        }
    }
}

impl EventWriter for MessageEvents {
    const KEEPS_TEXT: bool = true;

    fn begin(&mut self, to: &mut Vec<u8>) {
        let message = message(&self.model, &[], None, &usage(&Usage::default()));
        let event = json!({"type": "message_start", "message": message});
        put_named(to, "message_start", &event);
    }

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        if !self.is_open {
            self.begin_text(to);
        }
        to.extend_from_slice(&self.text_prefix);
        put_json(to, &text);
        to.extend_from_slice(b"}}\n\n");
    }

    fn delta(&mut self, mut delta: Delta, to: &mut Vec<u8>) {
        self.end.add(&mut delta);
        if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
            self.text(&text, to);
        }
        for part in delta.tool_calls {
            self.add_call(part);
        }
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let has_calls = !self.numbered.is_empty();
        if self.blocks == 0 && !has_calls {
            self.begin_text(to);
        }
        self.put_calls(to);
        self.end_block(to);
        let stop_reason = stop_reason(&self.end, has_calls);
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
        let usage = usage(&self.end.usage);
        let event = json!({"type": "message_delta", "delta": delta, "usage": usage});
        put_named(to, "message_delta", &event);
        put_named(to, "message_stop", &json!({"type": "message_stop"}));
    }

    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>) {
        put_named(to, "error", &error(failure, wording, &self.request));
    }
}
