use ai_integration_engine::Budget;
use serde_json::json;

use super::*;
use crate::http::failure::Reason;
use crate::http::inputs::request::MAX_FIELDS;

/// Returns the inputs of each record for this schema.
fn records(schema: &Json, content: Content) -> Result<Vec<RawInputs>, Failure> {
    let (schema, _) = InputsSchema::parse(schema);
    let budget = Budget::new(1 << 20);
    let records = content.records(&schema, 3, 100, budget.reserve(None))?;
    Ok(records.into_iter().map(|record| record.raw).collect())
}

fn raw(name: &str, value: RawValue) -> RawInputs {
    RawInputs::from([(name.to_owned(), value)])
}

#[test]
fn an_instance_is_an_object_of_inputs_or_the_only_required_input() {
    let schema = json!({"photo": "image", "style": {"type": "text", "required": false}, "any": {"type": "json", "required": false}});
    let list = |items: &[Json]| Content::Instances(items.to_vec());
    let json = |value: Json| RawValue::Json(value);
    let file = json!({"b64": "AP8=", "content_type": "image/png"});
    let given =
        [json!({"photo": "x", "style": {"b64": "AP8="}, "any": file}), json!("y"), file.clone()];
    let read = records(&schema, list(&given)).unwrap();
    assert_eq!(read[0]["photo"], json(json!("x")));
    assert_eq!(read[0]["style"], RawValue::Bytes(Bytes::from_static(b"\0\xff")));
    assert_eq!(read[0]["any"], json(file.clone()));
    assert_eq!(read[1..], [raw("photo", json(json!("y"))), raw("photo", json(json!("AP8=")))]);
    // The list of files stays JSON, which is decoded later.
    let lists = json!({"files": {"type": "file", "list": true}});
    let read = records(&lists, list(&[json!({"files": [file, "AA=="]})])).unwrap();
    assert_eq!(read, [raw("files", json(json!(["AP8=", "AA=="])))]);
    let failure = records(&schema, list(&vec![json!(1); 4])).unwrap_err();
    assert_eq!(failure.reason, Reason::Failed(Kind::TooLarge));
    for schema in [json!({"a": "text", "b": "text"}), json!({})] {
        let failure = records(&schema, list(&[json!(1)])).unwrap_err();
        assert_eq!(failure.code(), "malformed_request");
    }
}

#[test]
fn a_file_or_a_text_is_for_the_only_input_of_its_kind() {
    let (text, file, both) =
        (json!({"t": "text"}), json!({"f": "image"}), json!({"t": "text", "f": "file"}));
    let optional = json!({"f": "image", "t": "text", "mask": {"type": "image", "required": false}});
    for (schema, is_text, name) in [
        (&text, true, Some("t")),
        (&text, false, Some("t")),
        (&file, true, Some("f")),
        (&both, true, Some("t")),
        (&both, false, Some("f")),
        (&optional, false, Some("f")),
        (&json!({"a": "image", "b": "image"}), false, None),
        (&json!({"n": "number"}), true, None),
    ] {
        let bytes = Bytes::from_static(b"data");
        let read = records(schema, Content::Value { bytes: bytes.clone(), is_text });
        let expected = name.map(|name| vec![raw(name, RawValue::Bytes(bytes))]);
        assert_eq!(read.ok(), expected, "{schema}");
    }
}

#[test]
fn each_record_takes_its_part_of_the_reserved_memory() {
    let (schema, _) = InputsSchema::parse(&json!({"a": "json"}));
    let content = || Content::Instances(vec![json!({"a": 1}), json!({"a": [1, 2]})]);
    let budget = Budget::new(1 << 20);
    let mut reservation = budget.reserve(None);
    assert!(reservation.add(100 + content().footprint()));
    let taken = budget.taken();
    let mut records = content().records(&schema, 2, 100, reservation).unwrap();
    let large = records.pop().unwrap();
    drop(records);
    assert_eq!(budget.taken(), 50 + strict::footprint(&json!({"a": [1, 2]})));
    assert!(budget.taken() < taken);
    drop(large);
    assert_eq!(budget.taken(), 0);
    let many: serde_json::Map<String, Json> =
        (0..=MAX_FIELDS).map(|n| (n.to_string(), json!(1))).collect();
    let content = Content::Instances(vec![many.into()]);
    let failure = content.records(&schema, 1, 100, budget.reserve(None)).unwrap_err();
    assert_eq!(failure.code(), "malformed_request");
}
