//! Writes a text as it is made, as the events of Hugging Face's text generation server.

use serde_json::json;

use crate::http::conversation::stream::EventWriter;
use crate::http::failure::{Failure, Wording};
use crate::http::server_sent::put;

/// The events of a text: one for each piece, and a last one with the whole text.
#[derive(Default)]
pub(super) struct Tokens {
    text: String,
    count: u64,
}

impl EventWriter for Tokens {
    const KEEPS_TEXT: bool = true;

    fn begin(&mut self, _to: &mut Vec<u8>) {}

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        self.text.push_str(text);
        self.count += 1;
        let token = json!({"id": 0, "text": text, "logprob": 0.0, "special": false});
        put(
            to,
            &json!({"index": self.count, "token": token, "generated_text": null, "details": null}),
        );
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        // The last event needs a token, which clients take for an end if it is special.
        let token = json!({"id": 0, "text": "", "logprob": 0.0, "special": true});
        let details = json!({"finish_reason": "eos_token", "generated_tokens": self.count, "input_length": 0});
        let text = std::mem::take(&mut self.text);
        let index = self.count + 1;
        put(
            to,
            &json!({"index": index, "token": token, "generated_text": text, "details": details}),
        );
    }

    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>) {
        put(to, &json!({"error": failure.detail(wording)}));
    }
}
