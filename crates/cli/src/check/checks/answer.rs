//! Checks that a request gets a result, and that the result has its content type.

use std::time::Duration;

use ai_integration_contract::{Format, InputsSchema, Value, json};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value as Json};

use crate::check::http::{self, Response};
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check =
    Check { name: "answer", title: "sending a request", applies_to: AppliesTo::Any, run: check };

/// Content types that any data can have.
const ANY: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

fn check(session: &mut Session) -> Verdict {
    let (Some(server), Some(schema)) = (&session.server, &session.schema) else {
        return Verdict::Skipped("there is no server".to_owned());
    };
    let answer = match ask(server.port, &body(schema), session.limit) {
        Ok(answer) => answer,
        Err(cause) => return unanswered(session, &cause),
    };
    match type_fault(&answer) {
        Some(cause) => Fault::new(cause, "set content-type to the type of the data").into(),
        None if answer.body.is_empty() => Verdict::Doubtful(Fault::new(
            "the result for a sample is empty",
            "add an example to the schema for which the model has a result",
        )),
        None if answer.content_type == "application/json"
            && answer.body.trim_ascii() == b"null" =>
        {
            Verdict::Doubtful(Fault::new(
                "the result for a sample is null",
                "return the result from the function, or add an example for which it has a result",
            ))
        }
        None => Verdict::Passed(format!(
            "a request got {} bytes of {}",
            answer.body.len(),
            answer.content_type
        )),
    }
}

/// Sends a request; a response with another status than success is an error.
pub(crate) fn ask(port: u16, body: &str, limit: Duration) -> Result<Response, String> {
    let answer = http::post(port, "/infer", body, limit)?;
    if answer.status == 200 {
        return Ok(answer);
    }
    Err(format!("{}: {}", answer.status, answer.reason()))
}

fn unanswered(session: &mut Session, cause: &str) -> Verdict {
    session.has_results = false;
    let output = session.server.as_ref().map(|server| server.running.last_lines());
    let way_out = "fix the exception or the result that the message names";
    Fault::new(format!("a request was not answered: {cause}"), way_out)
        .with_output(output.unwrap_or_default())
        .into()
}

/// Returns the request as JSON: a sample of each input.
pub(crate) fn body(schema: &InputsSchema) -> String {
    let samples = schema.samples().into_iter().map(|(name, value)| (name, in_json(value)));
    Json::Object(samples.collect::<Map<_, _>>()).to_string()
}

fn in_json(value: Value) -> Json {
    match value {
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => BASE64_STANDARD.encode(bytes).into(),
        Value::Json(json) => json,
        Value::List(items) => items.into_iter().map(in_json).collect(),
    }
}

/// Describes how the data differs from its content type.
fn type_fault(answer: &Response) -> Option<String> {
    let Response { content_type: said, body, .. } = answer;
    if said.is_empty() {
        return Some("the result has no content type".to_owned());
    }
    let known = Format::find(said);
    let found = Format::recognise(body);
    let is_other =
        |found: &Format| !found.media_types.contains(&&**said) && !ANY.contains(&&**said);
    if said == "application/json" {
        return json::check(body).err().map(|error| {
            format!("the content type is {said}, but the data cannot be parsed: {error}")
        });
    }
    if said.starts_with("text/") {
        let is_text = std::str::from_utf8(body).is_ok();
        return (!is_text).then(|| format!("the content type is {said}, but the data is not text"));
    }
    let is_misfit = known.is_some_and(|known| known.begins.is_some() && !known.has(body));
    match found.filter(|found| is_misfit && is_other(found)) {
        Some(found) => {
            Some(format!("the content type is {said}, but the data is {}", found.media_types[0]))
        }
        None => {
            is_misfit.then(|| format!("the content type is {said}, but the data is something else"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_compared_with_its_content_type() {
        for (content_type, body, words) in [
            ("image/png", &b"\x89PNG\r\n\x1a\n"[..], None),
            ("image/png", b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            ("audio/wav", b"nothing", Some("something else")),
            ("application/json", b"{\"a\": 1}", None),
            ("application/json", b"{'a': 1}", Some("cannot be parsed")),
            ("text/plain", b"\xff\xfe", Some("not text")),
            ("application/octet-stream", b"\xff\xd8\xff\xe0", None),
            ("application/x-own", b"own", None),
            ("", b"own", Some("no content type")),
        ] {
            let answer = Response {
                status: 200,
                content_type: content_type.to_owned(),
                body: body.to_vec(),
            };
            let fault = type_fault(&answer);
            assert_eq!(fault.is_some(), words.is_some(), "{fault:?}");
            assert!(fault.unwrap_or_default().contains(words.unwrap_or_default()));
        }
    }
}
