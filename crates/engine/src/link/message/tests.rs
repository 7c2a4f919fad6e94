use ai_integration_contract::Value;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::link::codec::{Frame, FrameDecoder, FrameEncoder, Piece};

fn frame(encode: impl FnOnce(&mut FrameEncoder) -> Result<(), FrameError>) -> Frame {
    let mut encoder = FrameEncoder::default();
    encode(&mut encoder).unwrap();
    let mut decoder = FrameDecoder::default();
    for piece in std::mem::take(encoder.pieces()) {
        let (Piece::Bytes(bytes) | Piece::WithFile(bytes, _)) = piece;
        decoder.buffer().extend_from_slice(&bytes);
    }
    decoder.next_frame().unwrap().unwrap()
}

fn show(frame: &Frame) -> String {
    let header = String::from_utf8_lossy(&frame.header).into_owned();
    format!("{header}\n{}", String::from_utf8_lossy(&frame.body))
}

const ID: JobId = JobId(7);

fn from_worker() -> Vec<FromWorker> {
    let outcome = |data, success: bool| Outcome {
        success,
        content_type: Some("text/plain".to_owned()),
        data,
        error: (!success).then(|| "no".to_owned()),
        is_printed: false,
    };
    vec![
        FromWorker::Ready(Ready {
            about: Box::new(About { name: Some("Painter".to_owned()), ..About::default() }),
            outputs: Box::new(json!({"content_type": "image/png"})),
            client: "test/1".to_owned(),
            modes: vec![CustomMode { name: "mine".to_owned(), hint: None }],
            batch: Some(Batching { max_size: 8, max_wait_ms: 2.5 }),
            concurrency: Some(4),
            shared_memory: true,
            board: true,
            ..Ready::new(json!({"z": {"type": "text"}, "a": {"type": "image"}}))
        }),
        FromWorker::Start(ID, None),
        FromWorker::Result(ID, outcome(Data::Text("grüß".to_owned()), true)),
        FromWorker::Result(ID, outcome(Data::None, false)),
        FromWorker::Chunk(ID, Some("text/plain".to_owned()), Data::Text("a".to_owned())),
        FromWorker::Chunk(ID, None, Data::Bytes(Bytes::from_static(b"b"))),
        FromWorker::Progress(ID, Some(0.5), Some("half".to_owned())),
        FromWorker::Log(ID, "line".to_owned()),
        FromWorker::BatchFailed(ID, outcome(Data::None, false)),
        FromWorker::Replace("out of memory".to_owned()),
        FromWorker::Result(
            ID,
            outcome(Data::List(vec!["one".into(), "".into(), "2".into()]), true),
        ),
        FromWorker::Leave,
        FromWorker::InvalidInputs(ID, vec![unfit("photo"), unfit("photos[3]")]),
    ]
}

fn unfit(name: &str) -> FieldError {
    FieldError { name: name.to_owned(), message: "expected a picture, got text".to_owned() }
}

fn to_worker() -> Vec<ToWorker> {
    let inputs = Inputs::from_iter([
        ("image".to_owned(), Value::Bytes(Bytes::from_static(b"\x89PNG"))),
        ("caption".to_owned(), Value::Text("hi".to_owned())),
        ("size".to_owned(), Value::Json(json!(3))),
        ("flag".to_owned(), Value::Json(json!(true))),
        ("options".to_owned(), Value::Json(json!({"b": [1], "a": null}))),
    ]);
    let inputs = Arc::new(inputs);
    vec![
        ToWorker::Job { id: ID, inputs: inputs.clone(), more: false, tell_start: false },
        ToWorker::Cancel(ID),
        ToWorker::Job { id: ID, inputs, more: true, tell_start: true },
        ToWorker::Window { id: ID, bytes: 131_072 },
    ]
}

/// Returns the name of a message's snapshot: the side that sends it, its number and its type.
fn name(side: &str, number: usize, frame: &Frame) -> String {
    let header: Json = serde_json::from_slice(&frame.header).unwrap();
    format!("{side}_{number}_{}", header["type"].as_str().unwrap())
}

#[test]
fn every_message_is_encoded_as_its_snapshot_and_decoded_as_itself() {
    for (number, message) in from_worker().into_iter().enumerate() {
        let frame = frame(|encoder| message.encode(encoder));
        assert_eq!(FromWorker::decode(&frame), Ok(message));
        insta::assert_snapshot!(name("from_worker", number, &frame), show(&frame));
    }
    for (number, message) in to_worker().into_iter().enumerate() {
        let frame = frame(|encoder| message.encode(encoder).map(drop));
        assert_eq!(ToWorker::decode(&frame), Ok(message));
        insta::assert_snapshot!(name("to_worker", number, &frame), show(&frame));
    }
}

fn decode(header: &str, body: &'static [u8]) -> Result<FromWorker, FrameError> {
    FromWorker::decode(&Frame {
        header: Bytes::copy_from_slice(header.as_bytes()),
        body: Bytes::from_static(body),
    })
}

#[test]
fn only_failures_refuse_inputs() {
    let fields = r#""fields": [{"name": "photo", "message": "expected a picture, got text"}]"#;
    for (success, message) in [
        ("true", FromWorker::Result(ID, Outcome { success: true, ..Outcome::default() })),
        ("false", FromWorker::InvalidInputs(ID, vec![unfit("photo")])),
    ] {
        let header = format!(r#"{{"type": "result", "id": 7, "success": {success}, {fields}}}"#);
        assert_eq!(decode(&header, b""), Ok(message));
    }
    let none = r#"{"type": "result", "id": 7, "success": false, "fields": []}"#;
    assert_eq!(decode(none, b""), Ok(FromWorker::Result(ID, Outcome::default())));
}

#[test]
fn messages_and_fields_of_a_newer_protocol_are_ignored() {
    assert_eq!(decode(r#"{"type": "telemetry", "x": [1]}"#, b""), Ok(FromWorker::Unknown));
    assert_eq!(
        decode(r#"{"type": "start", "id": 7, "new": 1}"#, b""),
        Ok(FromWorker::Start(ID, None))
    );
}

#[test]
fn a_header_or_body_that_does_not_fit_is_an_error() {
    for (header, body) in [
        ("[]", &b""[..]),
        (r#"{"type": "start"}"#, b""),
        (r#"{"type": "start", "id": -1}"#, b""),
        (r#"{"type": "result", "id": 7, "data": null}"#, b"x"),
        (r#"{"type": "result", "id": 7, "data": "text"}"#, b"\xff"),
        (r#"{"type": "result", "id": 7, "data": "pickle"}"#, b"x"),
        (r#"{"type": "result", "id": 7, "fields": [{"name": "photo"}]}"#, b""),
        (r#"{"type": "result", "id": 7, "fields": ["photo"]}"#, b""),
        (r#"{"type": "result", "id": 7, "data": "list"}"#, b"x"),
        (r#"{"type": "result", "id": 7, "data": "list", "parts": []}"#, b""),
        (r#"{"type": "result", "id": 7, "data": "list", "parts": [1]}"#, b"x"),
        (r#"{"type": "result", "id": 7, "data": "list", "parts": [1, 1]}"#, b"x"),
        (r#"{"type": "result", "id": 7, "data": "list", "parts": [1, -1]}"#, b""),
        (
            r#"{"type": "result", "id": 7, "data": "list", "parts": [18446744073709551615, 2]}"#,
            b"x",
        ),
        (r#"{"type": "chunk", "id": 7, "data": "list", "parts": [1, 1]}"#, b"xy"),
    ] {
        assert!(decode(header, body).is_err(), "{header}");
    }
    let many = json!({"type": "result", "id": 7, "data": "list", "parts": vec![0; 1001]});
    assert!(decode(&many.to_string(), b"").is_err());
    for (inputs, body) in [
        (r#"[["a", "bytes", 5]]"#, &b"four"[..]),
        (r#"[["a", "bytes", 3]]"#, b"four"),
        (r#"[["a", "json", 4]]"#, b"four"),
        (r#"[["a", "bytes", -4]]"#, b"four"),
    ] {
        let header = format!(r#"{{"type": "job", "id": 7, "inputs": {inputs}}}"#).into();
        let frame = Frame { header, body: Bytes::from_static(body) };
        assert!(ToWorker::decode(&frame).is_err(), "{inputs}");
    }
}

#[test]
fn a_failure_says_that_its_traceback_was_printed() {
    let header =
        r#"{"type": "result", "id": 7, "success": false, "error": "no", "is_printed": true}"#;
    let Ok(FromWorker::Result(ID, outcome)) = decode(header, b"") else { panic!() };
    assert!(outcome.is_printed);
    let message = FromWorker::Result(ID, outcome);
    assert_eq!(FromWorker::decode(&frame(|encoder| message.encode(encoder))), Ok(message));
}
