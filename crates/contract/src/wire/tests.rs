use std::iter;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::error::{Error, FieldError, Kind};
use crate::outcome::{Data, Outcome};
use crate::value::{Inputs, Value};

type End = Result<Outcome, Error>;

fn sample_inputs() -> Inputs {
    Inputs::from_iter([
        ("image".to_owned(), Value::Bytes(Bytes::from_static(b"\x89PNG"))),
        ("caption".to_owned(), Value::Text("grüß".to_owned())),
        ("size".to_owned(), Value::Json(json!(3))),
        ("options".to_owned(), Value::Json(json!({"b": [1], "a": null}))),
    ])
}

fn sample_ends() -> Vec<End> {
    let field = FieldError { name: "size".to_owned(), message: "missing".to_owned() };
    vec![
        Ok(Outcome::text("hi")),
        Ok(Outcome::failure("too dark")),
        Err(Error::invalid_inputs(vec![field])),
        Err(Error::new(Kind::ModelCrashed, "it crashed").with_output(&["line".to_owned()])),
        Err(Error::new(Kind::QueueFull, "wait").with_retry_after(5)),
    ]
}

fn prefix(header: usize, body: usize) -> [u8; 8] {
    let [header, body] = [header, body].map(|length| u32::try_from(length).unwrap().to_be_bytes());
    [header, body].concat().try_into().unwrap()
}

fn frame(header: &str, body: &[u8]) -> Bytes {
    [&prefix(header.len(), body.len())[..], header.as_bytes(), body].concat().into()
}

/// A change here is a change of the wire form. Old readers must understand it, or it needs a new
/// version.
#[test]
fn the_bytes_of_messages_are_unchanged() {
    let ends = sample_ends().into_iter().map(|end| end.to_bytes().unwrap());
    let written: Vec<Bytes> = iter::once(sample_inputs().to_bytes().unwrap()).chain(ends).collect();
    let expected = [
        frame(
            r#"{"version":1,"type":"inputs","inputs":[["image","bytes",4],["caption","text",6],["size","value",3],["options","json",18]]}"#,
            b"\x89PNGgr\xc3\xbc\xc3\x9f{\"b\":[1],\"a\":null}",
        ),
        frame(
            r#"{"version":1,"type":"outcome","success":true,"content_type":"text/plain","data":"text"}"#,
            b"hi",
        ),
        frame(
            r#"{"version":1,"type":"outcome","success":false,"content_type":"text/plain","error":"too dark"}"#,
            b"",
        ),
        frame(
            r#"{"version":1,"type":"error","code":"invalid_input","message":"size: missing","fields":[{"name":"size","message":"missing"}]}"#,
            b"",
        ),
        frame(
            r#"{"version":1,"type":"error","code":"model_crashed","message":"it crashed","output":["line"]}"#,
            b"",
        ),
        frame(
            r#"{"version":1,"type":"error","code":"queue_full","message":"wait","retry_after":5}"#,
            b"",
        ),
    ];
    assert_eq!(written, expected);
    let items = vec![Value::Bytes(Bytes::from_static(b"\x89PNG")), Value::Text("b".to_owned())];
    let list = Inputs::from([("images".to_owned(), Value::List(items))]);
    let expected = frame(
        r#"{"version":2,"type":"inputs","inputs":[["images","list",[["bytes",4],["text",1]]]]}"#,
        b"\x89PNGb",
    );
    assert_eq!(list.to_bytes().unwrap(), expected);
    let json: End = Ok(Outcome::json([1]));
    let expected = frame(
        r#"{"version":1,"type":"outcome","success":true,"content_type":"application/json","data":"text"}"#,
        b"[1]",
    );
    assert_eq!(json.to_bytes().unwrap(), expected);
}

#[test]
fn unknown_members_of_a_newer_writer_are_ignored() {
    let inputs =
        r#"{"type":"inputs","priority":{"a":[1]},"inputs":[["a","value",null]],"version":1}"#;
    let expected = Inputs::from([("a".to_owned(), Value::Json(Json::Null))]);
    assert_eq!(Inputs::from_bytes(frame(inputs, b"")), Ok(expected));
    let outcome =
        r#"{"version":1,"type":"outcome","success":true,"data":null,"cost":1,"error":null}"#;
    let expected = Outcome { success: true, ..Outcome::default() };
    assert_eq!(End::from_bytes(frame(outcome, b"")), Ok(Ok(expected)));
    let error =
        r#"{"version":1,"type":"error","code":"out_of_memory","message":"no room","fields":null}"#;
    let expected = Error::new(Kind::ModelFailed, "no room");
    assert_eq!(End::from_bytes(frame(error, b"")), Ok(Err(expected)));
}

#[test]
fn bytes_without_the_wire_form_are_refused() {
    let newer = frame(r#"{"version":3,"type":"inputs","entries":[]}"#, b"");
    assert_eq!(Inputs::from_bytes(newer), Err(FrameError::Version(3)));
    let zero = frame(r#"{"version":0,"type":"inputs","inputs":[]}"#, b"");
    assert_eq!(Inputs::from_bytes(zero), Err(FrameError::Version(0)));
    for (header, body) in [
        ("[]", ""),
        ("{}", ""),
        (r#"{"version":1}"#, ""),
        (r#"{"version":1,"type":"outcome","success":true}"#, ""),
        (r#"{"version":1,"type":"greeting"}"#, ""),
        (r#"{"version":1,"type":"inputs"}"#, ""),
        (r#"{"version":1,"type":"inputs","inputs":[["a","sound",1]]}"#, "a"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","text",1,0]]}"#, "a"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","text",2]]}"#, "a"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","text",-1]]}"#, "a"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","text",18446744073709551615]]}"#, "a"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","text",1]]}"#, "ab"),
        (r#"{"version":1,"type":"inputs","inputs":[["a","json",1]]}"#, "{"),
        (r#"{"version":2,"type":"inputs","inputs":[["a","list",1]]}"#, "a"),
        (r#"{"version":2,"type":"inputs","inputs":[["a","list",[["text",2]]]]}"#, "a"),
        (r#"{"version":2,"type":"inputs","inputs":[["a","list",[["list",[]]]]]}"#, ""),
    ] {
        let read = Inputs::from_bytes(frame(header, body.as_bytes()));
        assert!(matches!(read, Err(FrameError::Header(_) | FrameError::Body(_))), "{header}");
    }
    for (header, body) in [
        (r#"{"version":1,"type":"inputs","inputs":[]}"#, ""),
        (r#"{"version":1,"type":"outcome"}"#, ""),
        (r#"{"version":1,"type":"outcome","success":true}"#, "body"),
        (r#"{"version":1,"type":"outcome","success":true,"data":"xml"}"#, "{}"),
        (r#"{"version":1,"type":"error","code":"timeout"}"#, ""),
        (r#"{"version":1,"type":"error","code":"timeout","message":"late"}"#, "body"),
    ] {
        assert!(End::from_bytes(frame(header, body.as_bytes())).is_err(), "{header}");
    }
    let not_text = frame(r#"{"version":1,"type":"outcome","success":true,"data":"text"}"#, b"\xff");
    assert!(matches!(End::from_bytes(not_text), Err(FrameError::Body(_))));
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_is_written_or_read() {
    let name = "n".repeat(MAX_HEADER);
    let inputs = Inputs::from([(name, Value::Json(Json::Null))]);
    assert!(matches!(inputs.to_bytes(), Err(FrameError::HeaderLength(_))));
    assert!(!inputs::fit(&inputs));
    let prefix = |header, body| Bytes::from_owner(prefix(header, body));
    assert_eq!(Inputs::from_bytes(prefix(1, 0)), Err(FrameError::HeaderLength(1)));
    let length = MAX_HEADER + 1;
    assert_eq!(Inputs::from_bytes(prefix(length, 0)), Err(FrameError::HeaderLength(length)));
    let length = MAX_BODY + 1;
    assert_eq!(Inputs::from_bytes(prefix(2, length)), Err(FrameError::BodyLength(length)));
    let expected = 8 + MAX_HEADER + MAX_BODY;
    let announced = Inputs::from_bytes(prefix(MAX_HEADER, MAX_BODY));
    assert_eq!(announced, Err(FrameError::Length { given: 8, expected }));
}

#[test]
fn bytes_are_not_copied_when_inputs_are_split_or_read() {
    let inputs = sample_inputs();
    let Value::Bytes(image) = &inputs["image"] else { panic!() };
    let split = inputs::split(&inputs);
    assert_eq!(split.segments[0].to_bytes().as_ptr(), image.as_ptr());
    let message = inputs.to_bytes().unwrap();
    let read = Inputs::from_bytes(message.clone()).unwrap();
    assert!(message.as_ptr_range().contains(&read["image"].as_bytes().unwrap().as_ptr()));
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<i32>().prop_map(|number| Json::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

fn any_inputs() -> impl Strategy<Value = Inputs> {
    let value = prop_oneof![
        any::<String>().prop_map(Value::Text),
        any_bytes().prop_map(Value::Bytes),
        any_json().prop_map(Value::Json),
    ];
    let list = prop::collection::vec(value.clone(), 0..4).prop_map(Value::List);
    let value = prop_oneof![4 => value, 1 => list];
    prop::collection::vec((any::<String>(), value), 0..6).prop_map(Inputs::from_iter)
}

fn any_end() -> impl Strategy<Value = End> {
    let data = prop_oneof![
        Just(Data::None),
        any::<String>().prop_map(Data::Text),
        any_bytes().prop_map(Data::Bytes),
        prop::collection::vec(any_bytes(), 2..5).prop_map(Data::List),
    ];
    let text = || prop::option::of(any::<String>());
    let outcome =
        (any::<bool>(), text(), data, text()).prop_map(|(success, content_type, data, error)| {
            Outcome { success, content_type, data, error, is_printed: false }
        });
    let fields = prop::collection::vec(
        any::<(String, String)>().prop_map(|(name, message)| FieldError { name, message }),
        0..3,
    );
    let output = prop::collection::vec(any::<String>(), 0..3);
    let kind = prop::sample::select(Kind::ALL);
    let error = (kind, any::<String>(), fields, output, any::<Option<u64>>()).prop_map(
        |(kind, message, fields, output, retry_after)| Error {
            fields,
            output,
            retry_after,
            ..Error::new(kind, message)
        },
    );
    prop_oneof![outcome.prop_map(Ok), error.prop_map(Err)]
}

proptest! {
    #[test]
    fn inputs_are_read_as_written_and_only_if_complete(
        inputs in any_inputs(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = inputs.to_bytes().unwrap();
        prop_assert!(inputs::fit(&inputs));
        prop_assert!(Inputs::from_bytes(bytes.slice(..cut.index(bytes.len()))).is_err());
        prop_assert!(Inputs::from_bytes([&bytes[..], b"x"].concat().into()).is_err());
        prop_assert_eq!(Inputs::from_bytes(bytes), Ok(inputs));
    }

    #[test]
    fn ends_are_read_as_written_and_only_if_complete(
        end in any_end(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = end.to_bytes().unwrap();
        prop_assert!(End::from_bytes(bytes.slice(..cut.index(bytes.len()))).is_err());
        prop_assert!(End::from_bytes([&bytes[..], b"x"].concat().into()).is_err());
        prop_assert_eq!(End::from_bytes(bytes), Ok(end));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in any_bytes(),
        inputs in any_inputs(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut changed = inputs.to_bytes().unwrap().to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [bytes, changed.into()] {
            let _ = Inputs::from_bytes(bytes.clone());
            let _ = End::from_bytes(bytes);
        }
    }
}
