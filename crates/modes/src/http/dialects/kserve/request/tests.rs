use serde_json::json;

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const STRUCTURED: (&str, &str) = ("content-type", EVENT);
const EVENT_HEADERS: [(&str, &str); 4] =
    [("ce-id", "1"), ("ce-source", "/camera"), ("ce-specversion", "1.0"), ("ce-type", "photo")];

/// Returns the content of a request, or the code and the message of its failure.
fn read(head: &[(&'static str, &'static str)], body: &[u8]) -> Result<Content, (String, String)> {
    let mut headers = HeaderMap::new();
    for (name, value) in head {
        headers.append(*name, value.parse().unwrap());
    }
    let body = Bytes::copy_from_slice(body);
    let content = Form::of(&headers).and_then(|form| form.read(body).map_err(Failure::from));
    content.map_err(|failure| (failure.code().to_owned(), format!("{failure:?}")))
}

fn event(more: &Json) -> Vec<u8> {
    let mut event = json!({"id": "1", "source": "/camera", "specversion": "1.0", "type": "photo"});
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string().into_bytes()
}

fn instances<const N: usize>(list: [Json; N]) -> Content {
    Content::Instances(list.into())
}

fn value(bytes: &'static [u8], is_text: bool) -> Content {
    Content::Value { bytes: Bytes::from_static(bytes), is_text }
}

fn refused(content: Result<Content, (String, String)>, code: &str, part: &str) {
    let (actual, message) = content.unwrap_err();
    assert!(actual == code && message.contains(part), "{actual}: {message}");
}

#[test]
fn the_body_of_the_protocol_has_instances() {
    for head in [
        &[JSON][..],
        &[],
        &[("content-type", "application/json; charset=utf-8")],
        &[("content-type", "application/x-www-form-urlencoded")],
    ] {
        assert_eq!(
            read(head, br#"{"instances": [{"a": 1}, 2]}"#),
            Ok(instances([json!({"a": 1}), json!(2)]))
        );
    }
    assert_eq!(read(&[JSON], br#"{"inputs": [1, 2]}"#), Ok(instances([json!(1), json!(2)])));
    assert_eq!(read(&[JSON], br#"{"inputs": {"a": 1}}"#), Ok(instances([json!({"a": 1})])));
    for (body, part) in [
        (&b"{"[..], "the body is not JSON"),
        (b"", "the body is not JSON"),
        (b"[1]", "expected a JSON object"),
        (b"{}", "neither"),
        (br#"{"instances": 1}"#, "is not a list"),
        (br#"{"instances": []}"#, "is empty"),
        (br#"{"instances": [1], "inputs": [1]}"#, "both"),
        (br#"{"instances": [{"a": 1, "a": 2}]}"#, "the body is not JSON"),
    ] {
        refused(read(&[JSON], body), "malformed_request", part);
    }
    for media in ["image/png", "multipart/form-data; boundary=x", "nonsense"] {
        refused(read(&[("content-type", media)], b"{}"), "unsupported_media_type", media);
    }
}

#[test]
fn an_event_in_the_binary_mode_has_its_data_in_the_body() {
    let read = |media: Option<&'static str>, body: &[u8]| {
        let media = media.map(|media| ("content-type", media));
        read(&EVENT_HEADERS.into_iter().chain(media).collect::<Vec<_>>(), body)
    };
    let body = br#"{"instances": [1]}"#;
    for media in [None, Some("application/json"), Some("application/x+json")] {
        assert_eq!(read(media, body), Ok(instances([json!(1)])), "{media:?}");
    }
    assert_eq!(read(Some("image/png"), b"\x89PNG"), Ok(value(b"\x89PNG", false)));
    assert_eq!(read(None, b"\x89PNG"), Ok(value(b"\x89PNG", false)));
    assert_eq!(read(Some("text/plain"), b"{"), Ok(value(b"{", true)));
    let latin = Some("text/plain; charset=iso-8859-1");
    assert_eq!(read(latin, b"caf\xe9"), Ok(value("café".as_bytes(), true)));
    refused(
        read(Some("application/json"), b"x"),
        "malformed_request",
        "the event's data is not JSON",
    );
    refused(read(Some("text/plain"), b"caf\xe9"), "malformed_request", "text/plain, but its");
    refused(read(Some("text/plain; charset=x"), b"a"), "malformed_request", "the charset of");
}

#[test]
fn an_event_in_the_structured_mode_has_its_data_beside_its_attributes() {
    let read = |more: Json| read(&[STRUCTURED], &event(&more));
    let body = json!({"instances": [1]});
    assert_eq!(read(json!({"data": body})), Ok(instances([json!(1)])));
    assert_eq!(
        read(json!({"data": body, "datacontenttype": "application/json"})),
        Ok(instances([json!(1)]))
    );
    // The base64 of {"inputs":2}.
    assert_eq!(read(json!({"data_base64": "eyJpbnB1dHMiOjJ9"})), Ok(instances([json!(2)])));
    let picture = json!({"data_base64": "iVBORw==", "datacontenttype": "image/png"});
    assert_eq!(read(picture), Ok(value(b"\x89PNG", false)));
    let text = json!({"data": "a cat", "datacontenttype": "text/plain", "data_base64": null});
    assert_eq!(read(text), Ok(value(b"a cat", true)));
    for (more, part) in [
        (json!({}), "neither data nor data_base64"),
        (json!({"data": null}), "neither data nor data_base64"),
        (json!({"data": body, "data_base64": "AA=="}), "both data and data_base64"),
        (json!({"data_base64": "?"}), "is not base64"),
        (json!({"data_base64": 1}), "is not base64"),
        (json!({"data": "text"}), "expected a JSON object"),
        (json!({"data": body, "datacontenttype": "image/png"}), "is JSON, but"),
        (json!({"data": body, "datacontenttype": 1}), "is not a media type"),
    ] {
        refused(read(more), "malformed_request", part);
    }
    refused(
        super::structured(b"[]")
            .map_err(|error| ("malformed_request".to_owned(), error.message.into_owned())),
        "malformed_request",
        "not a JSON object",
    );
}

#[test]
fn an_event_has_the_attributes_that_the_standard_requires() {
    for (name, header) in ATTRIBUTES {
        let rest: Vec<_> =
            EVENT_HEADERS.into_iter().filter(|(given, _)| *given != header).collect();
        let twice: Vec<_> = [(header, "1.0")].into_iter().chain(EVENT_HEADERS).collect();
        let empty: Vec<_> = rest.iter().copied().chain([(header, " ")]).collect();
        for head in [rest, twice, empty] {
            refused(read(&head, b"x"), "malformed_request", &format!("each: {name}"));
        }
        for fault in [json!(null), json!(""), json!(1)] {
            let body = event(&json!({(name): fault, "data": {"inputs": 1}}));
            refused(read(&[STRUCTURED], &body), "malformed_request", &format!("each: {name}"));
        }
    }
    refused(read(&[("ce-id", "1")], b"x"), "malformed_request", "each: source, specversion, type");
    let body = event(&json!({"specversion": "0.3", "data": {"inputs": 1}}));
    refused(read(&[STRUCTURED], &body), "malformed_request", "has the version \\\"0.3\\\"");
    let media = "application/cloudevents-batch+json";
    refused(read(&[("content-type", media)], b"[]"), "unsupported_media_type", media);
}
