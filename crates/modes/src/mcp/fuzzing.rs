//! The entry point of the fuzz target. It is compiled only for fuzzing.

use ai_integration_contract::{Outcome, json as strict};
use bytes::Bytes;
use serde_json::Value as Json;

use crate::mcp::content::{ResultFormat, failure, success};
use crate::mcp::message::{Message, response};
use crate::mcp::progress::Progress;
use crate::mcp::version::{Era, check, meta, named};

/// Reads a message from the first line, and writes a result of the rest: the content type in the
/// second line, and the data. What is written is one line of JSON.
pub fn messages(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (line, media, data) = (next(), next(), next());
    match strict::parse(line).map(Message::read) {
        Ok(Message::Request(request)) => {
            if Era::of(&request.params, None) == Era::Stateless
                && let Ok(version) = named(&request.params)
                && let Err(error) = check(version)
            {
                assert_line(&error.response(&request.id));
            }
            let token = meta(&request.params).and_then(|meta| meta.get("progressToken"));
            if let Some(report) = Progress::new(token).and_then(|mut it| it.report(Some(0.5), None))
            {
                assert_line(&report);
            }
            assert_line(&response(&request.id, "{}"));
        }
        Ok(Message::Invalid { id, error }) => assert_line(&error.response(&id)),
        Ok(Message::Notification { .. } | Message::Response) | Err(_) => {}
    }
    let media = String::from_utf8_lossy(media).into_owned();
    let outcome = Outcome::bytes(media, Bytes::copy_from_slice(data));
    let is_sound = outcome.json_fault().is_none();
    for takes_any_json in [false, true].into_iter().filter(|_| is_sound) {
        for has_schema in [false, true] {
            let format = ResultFormat { has_schema, takes_any_json, ..ResultFormat::default() };
            if let Ok(result) = success(&outcome, &format) {
                assert_line(&response(&Json::Null, &result));
            }
        }
    }
    if let Ok(result) = failure(&String::from_utf8_lossy(data), &ResultFormat::default()) {
        assert_line(&response(&Json::Null, &result));
    }
}

/// Checks that a message is one line, and JSON.
fn assert_line(message: &str) {
    assert!(!message.contains(['\n', '\r']), "{message:?}");
    serde_json::from_str::<Json>(message).expect("it is JSON");
}
