//! The entry points of the fuzz targets. They are compiled only for fuzzing.

use std::collections::HashMap;

use ai_integration_contract::{Encoding, Environment, InputsSchema, Outcome, json};
use ai_integration_engine::Budget;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::http::conversation::chunks::Chunks;
use crate::http::conversation::reply::Reply;
use crate::http::dialects::openai::{chat, completions, fuzzing, responses};
use crate::http::dialects::sagemaker::lines::{Content, Format, Lines};
use crate::http::dialects::{anthropic, grpc, huggingface, kserve, oip, vertex};
use crate::http::inputs::any::{self, AnyBody};
use crate::http::inputs::egress;
use crate::http::inputs::images;
use crate::http::inputs::instances::{self, Instances};
use crate::http::inputs::multipart;
use crate::http::inputs::request;
use crate::http::wire::guard;

/// Reads a form whose boundary is `b`.
pub fn multipart(bytes: &[u8]) {
    let _ = multipart::parse(&Bytes::copy_from_slice(bytes), "b");
}

/// Reads a JSON object, which `serde_json` must read too and with the same names. With a long string
/// in the place of each `~` it must be accepted or refused alike.
pub fn json(bytes: &[u8]) {
    if Encoding::of(bytes, Encoding::Utf8) == Encoding::Utf8 {
        let parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'~').collect();
        let long = parts.join(&[b'~'; 8192][..]);
        assert_eq!(json::members(&long).is_ok(), json::members(bytes).is_ok());
    }
    if let Ok(members) = json::members(bytes) {
        let encoding = Encoding::of(bytes, Encoding::Utf8);
        let text = encoding.decode(bytes, encoding.measure(bytes).expect("it is text"));
        let usual: HashMap<String, IgnoredAny> = serde_json::from_str(&text).expect("it is JSON");
        for (name, _) in &members {
            assert!(usual.contains_key(name));
        }
    }
}

/// Reads a request for the model over gRPC.
pub fn grpc(bytes: &[u8]) {
    grpc::infer::fuzz(bytes);
}

/// Reads the header of a picture.
pub fn images(bytes: &[u8]) {
    images::fuzz(bytes);
}

/// Checks a URL from which an input would be downloaded.
pub fn egress(bytes: &[u8]) {
    egress::fuzz(&String::from_utf8_lossy(bytes));
}

/// Reads a request for predictions: the headers in the first lines, and the body after them. A request
/// that is an event has the attributes that the standard requires.
pub fn events(bytes: &[u8]) {
    const MOST: usize = 50;
    let mut rest = bytes;
    let mut headers = HeaderMap::new();
    for name in ["content-type", "ce-id", "ce-source", "ce-specversion", "ce-type"] {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        if let Ok(value) = HeaderValue::from_bytes(&rest[..end])
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    let schema = serde_json::json!({
        "photo": "image",
        "text": {"type": "text", "required": false},
        "data": {"type": "json", "required": false},
        "files": {"type": "file", "list": true, "required": false},
    });
    let (schema, _) = InputsSchema::parse(&schema);
    let budget = Budget::new(1 << 28);
    let body = Bytes::copy_from_slice(rest);
    if let Ok(form) = kserve::request::Form::of(&headers) {
        if matches!(form, kserve::request::Form::Binary(_)) {
            assert!(headers.keys().filter(|name| name.as_str().starts_with("ce-")).count() == 4);
        }
        if let Ok(content) = form.read(body)
            && let Ok(records) = content.records(&schema, MOST, rest.len(), budget.reserve(None))
        {
            assert!((1..=MOST).contains(&records.len()));
            for record in records {
                let _ = schema.resolve(record.raw);
            }
        }
    }
    assert_eq!(budget.taken(), 0);
}

/// Reads a request of Vertex AI or Azure ML: its content type in the first line, and the body after it.
/// Its jobs are within the limit, each has the parameters, and no memory stays reserved.
pub fn instances(bytes: &[u8]) {
    const MOST: usize = 50;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(media) = HeaderValue::from_bytes(&bytes[..end]) else { return };
    let body = Bytes::copy_from_slice(bytes.get(end + 1..).unwrap_or_default());
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media)]);
    let schema = serde_json::json!({
        "text": "text",
        "photo": {"type": "image", "required": false},
        "data": {"type": "json", "required": false},
        "files": {"type": "file", "list": true, "required": false},
    });
    let (schema, _) = InputsSchema::parse(&schema);
    let budget = Budget::new(1 << 28);
    let mut reservation = budget.reserve(None);
    assert!(reservation.add(body.len()));
    if let Ok(Some(AnyBody::Json { value, length, reservation })) =
        any::fuzz(&headers, body, reservation)
    {
        let _ = instances::inputs(&schema, value.clone(), &serde_json::Map::new());
        if let serde_json::Value::Object(members) = value
            && let Ok((list, parameters)) = vertex::members_of(members)
        {
            let (count, names) = (list.len(), parameters.clone());
            let instances = Instances { list, parameters, length, reservation };
            if let Ok(records) = instances.records(&schema, MOST) {
                assert!(records.len() == count && count <= MOST);
                for record in records {
                    assert!(names.keys().all(|name| record.raw.contains_key(name)));
                    let _ = schema.resolve(record.raw);
                }
            }
        }
    }
    assert_eq!(budget.taken(), 0);
}

/// Checks a request that has one header in each line.
pub fn guard(bytes: &[u8]) {
    let mut environment = Environment::default();
    for (setting, value) in [
        (guard::Settings::hosts(), "model.example.org, *.example.net"),
        (guard::Settings::origins(), "https://app.example.org"),
        (guard::Settings::token(), "secret"),
        (guard::Settings::trusted_proxies(), "127.0.0.0/8"),
    ] {
        environment.set(setting, value);
    }
    let guard = guard::Guard::read(&environment, true).expect("the settings are right");
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = Request::builder().method("POST").uri("/infer");
    for name in [
        "host",
        "origin",
        "authorization",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "x-api-key",
    ] {
        if let Some(value) = lines.next() {
            request = request.header(name, value);
        }
    }
    if let Ok(request) = request.body(()) {
        let (parts, ()) = request.into_parts();
        if guard.check(&parts, [127, 0, 0, 1].into()).is_ok() {
            // The guard lets in only requests with the token, in one of its forms.
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            assert!(text.contains("secret") || text.contains("basic"), "{text:?}");
        }
    }
}

/// Reads a request with tensors: the length of its JSON in 16 bits, the JSON, and the binary data. Its
/// records are within the limit, and no memory stays reserved.
pub fn tensors(bytes: &[u8]) {
    const MOST: usize = 50;
    let schema = serde_json::json!({
        "image": {"type": "image", "required": false},
        "text": {"type": "text", "required": false},
        "count": {"type": "integer", "required": false},
        "ratio": {"type": "number", "required": false},
        "flag": {"type": "boolean", "required": false},
        "day": {"type": "date", "required": false},
        "style": {"type": "choice", "choices": ["a", 1], "required": false},
        "data": {"type": "json", "required": false},
        "tags": {"type": "text", "list": true, "required": false},
        "files": {"type": "file", "list": true, "required": false},
    });
    let (schema, _) = InputsSchema::parse(&schema);
    let Some((length, body)) = bytes.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length));
    let budget = Budget::new(1 << 28);
    let body = Bytes::copy_from_slice(body);
    let length = (length < usize::from(u16::MAX)).then_some(length);
    if let Ok(request) = oip::request::parse(&body, length, budget.reserve(None))
        && let Ok(inference) = request.content.inference(&schema)
        && let Ok(records) = inference.into_records(&schema, MOST)
    {
        assert!((1..=MOST).contains(&records.len()));
        for record in records {
            let _ = schema.resolve(record.raw);
        }
    }
    assert_eq!(budget.taken(), 0);
}

/// Reads a request of OpenAI's or Hugging Face's clients for an embedding, a text or a picture. The
/// first byte chooses the address. The body is JSON or a form, in which fields may repeat. Its jobs are
/// within the limit, and no memory stays reserved.
pub fn media(bytes: &[u8]) {
    const MOST: usize = 50;
    let schemas = [
        serde_json::json!({"text": "text", "dimensions": {"type": "integer", "required": false}}),
        serde_json::json!({
            "prompt": {"type": "text", "required": false},
            "image": {"type": "image", "list": true, "required": false},
            "mask": {"type": "image", "required": false},
        }),
        serde_json::json!({
            "sound": "audio",
            "task": {"type": "text", "required": false},
            "languages": {"type": "text", "list": true, "required": false},
        }),
        serde_json::json!({"data": "json", "file": {"type": "file", "required": false}}),
    ];
    let Some((choice, body)) = bytes.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let budget = Budget::new(1 << 28);
    for schema in schemas {
        let (schema, _) = InputsSchema::parse(&schema);
        let mut reservation = budget.reserve(None);
        assert!(reservation.add(body.len()));
        let Ok(inputs) = request::fuzz(&body, reservation) else { continue };
        let jobs = match choice % 5 {
            4 => huggingface::content::records(&schema, inputs, MOST).map(|records| records.jobs),
            choice => fuzzing::jobs(choice, &schema, inputs, MOST),
        };
        let Ok(jobs) = jobs else { continue };
        assert!((1..=MOST).contains(&jobs.len()));
        for mut job in jobs {
            if choice % 5 != 4 {
                assert!(job.raw.keys().all(|name| schema.fields().contains_key(name)));
            }
            if schema.gather(&mut job.raw).is_ok() {
                let _ = schema.resolve(job.raw);
            }
        }
    }
    assert_eq!(budget.taken(), 0);
}

/// Reads a request of a chat protocol, which the first byte chooses, for a model of all messages and for
/// one of texts and pictures. Inputs that are made from it have names of the schema.
pub fn conversations(bytes: &[u8]) {
    let schemas = [
        serde_json::json!({
            "messages": "json",
            "max_tokens": {"type": "integer", "required": false},
            "stop": {"type": "text", "list": true, "required": false},
            "tools": {"type": "json", "required": false},
        }),
        serde_json::json!({
            "prompt": "text",
            "system": {"type": "text", "required": false},
            "history": {"type": "json", "required": false},
            "photos": {"type": "image", "list": true, "required": false},
            "sound": {"type": "audio", "required": false},
            "temperature": {"type": "number", "required": false},
        }),
    ];
    let Some((choice, body)) = bytes.split_first() else { return };
    let readers = [chat::read, completions::read, responses::read, anthropic::read];
    let Ok(serde_json::Value::Object(members)) = json::parse(body) else { return };
    for schema in schemas {
        let (schema, _) = InputsSchema::parse(&schema);
        let read = readers[usize::from(*choice) % readers.len()];
        if let Ok(conversation) = read(members.clone())
            && let Ok(raw) = conversation.into_inputs(&schema)
        {
            assert!(raw.keys().all(|name| schema.fields().contains_key(name)));
            let _ = schema.resolve(raw);
        }
    }
}

/// Reads the answer of a chat model: as JSON, as lines of JSON, and as text. In two chunks it is read
/// as in one.
pub fn answers(bytes: &[u8]) {
    let Some((cut, answer)) = bytes.split_first() else { return };
    let _ = Reply::of(Outcome::bytes("application/json", Bytes::copy_from_slice(answer)));
    let (first, second) = answer.split_at(usize::from(*cut).min(answer.len()));
    for media in ["application/x-ndjson", "text/plain"] {
        let whole = Reply::of(Outcome::bytes(media, Bytes::copy_from_slice(answer)));
        let Ok(mut chunks) = Chunks::of(Some(media)) else { continue };
        let mut content = String::new();
        let parts = [chunks.read(first.to_vec().into()), chunks.read(second.to_vec().into())];
        let is_read = parts.into_iter().chain([chunks.end()]).all(|deltas| {
            let Ok(deltas) = deltas else { return false };
            content.extend(deltas.into_iter().filter_map(|delta| delta.content));
            true
        });
        assert_eq!(whole.map(|reply| reply.content).ok(), is_read.then_some(content));
    }
}

/// Reads the records of a batch transform: the first byte chooses the format, and the number of records
/// that are read at a time. Read in portions they are the same as all at once, each belongs to a line,
/// and no memory stays reserved.
pub fn lines(bytes: &[u8]) {
    let schemas = [
        serde_json::json!({
            "text": "text",
            "count": {"type": "integer", "required": false},
            "photo": {"type": "image", "required": false},
        }),
        serde_json::json!({"row": "json"}),
        serde_json::json!({"words": {"type": "text", "list": true}}),
    ];
    let Some((choice, body)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(body) else { return };
    let format = if choice % 2 == 0 { Format::Json } else { Format::Csv };
    let most = text.split(['\n', '\r']).count();
    let budget = Budget::new(1 << 28);
    for schema in schemas {
        let (schema, _) = InputsSchema::parse(&schema);
        let read = |limit: usize| {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let content = Content { bytes, reservation: budget.reserve(None) };
            let mut lines = Lines::new(format, content);
            let mut all = Vec::new();
            loop {
                let records = lines.next(&schema, limit).ok()?;
                if records.is_empty() {
                    return Some(all);
                }
                assert!(records.len() <= limit);
                all.extend(records.into_iter().map(|record| record.raw));
            }
        };
        let (whole, portions) = (read(usize::MAX), read(usize::from(choice / 2 % 4) + 1));
        assert_eq!(whole, portions);
        let Some(records) = whole else { continue };
        assert!(records.len() <= most);
        for mut raw in records {
            if schema.gather(&mut raw).is_ok() {
                let _ = schema.resolve(raw);
            }
        }
    }
    assert_eq!(budget.taken(), 0);
}
