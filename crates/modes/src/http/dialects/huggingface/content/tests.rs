use ai_integration_engine::Budget;
use serde_json::{Value, json};

use super::*;
use crate::http::failure::{Reason, Wording};

fn schema(source: &Value) -> InputsSchema {
    InputsSchema::parse(source).0
}

/// Returns the inputs of each job, or the message of the failure.
fn jobs(source: &Value, body: &Value) -> Result<Vec<Value>, String> {
    let members = body.as_object().unwrap().clone();
    let raw = members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect();
    let budget = Budget::new(1 << 20);
    let mut reservation = budget.reserve(None);
    assert!(reservation.add(1000));
    let records = records(&schema(source), RequestInputs { raw, reservation }, 3);
    let records = records.map_err(|failure| failure.detail(Wording::Full))?;
    assert!(budget.taken() >= 1000);
    assert!(records.is_list || records.jobs.len() == 1);
    let jobs = records.jobs.iter().map(|job| {
        job.raw.iter().map(|(name, value)| (name.clone(), json(value.clone()).unwrap())).collect()
    });
    Ok(jobs.map(Value::Object).collect())
}

#[test]
fn a_value_without_a_name_is_for_the_input_that_is_left() {
    let text = json!({"text": "text", "steps": {"type": "integer", "required": false}});
    let labels = json!({"text": "text", "candidate_labels": "json"});
    let question = json!({"image": "image", "question": "text"});
    let optional = json!({"type": "image", "required": false});
    let two_required = json!({"photo": "image", "other": "image"});
    let two_optional = json!({"photo": optional, "other": optional});
    let with_mask = json!({"photo": "image", "mask": optional});
    let any = json!({"data": "json"});
    let list = json!({"texts": {"type": "text", "list": true}});
    for (schema, body, expected) in [
        (&text, json!({"inputs": "a"}), json!([{"text": "a"}])),
        (
            &text,
            json!({"inputs": "a", "parameters": {"steps": 3, "top_k": 2}, "stream": false}),
            json!([{"steps": 3, "text": "a"}]),
        ),
        (&text, json!({"inputs": "a", "steps": 3, "x": 1}), json!([{"steps": 3, "text": "a"}])),
        (&text, json!({"inputs": {"text": "a", "x": 1}}), json!([{"text": "a", "x": 1}])),
        (&text, json!({"inputs": ["a", "b"]}), json!([{"text": "a"}, {"text": "b"}])),
        (
            &text,
            json!({"inputs": ["a", "b"], "parameters": {"steps": 1}}),
            json!([{"steps": 1, "text": "a"}, {"steps": 1, "text": "b"}]),
        ),
        (&text, json!({"inputs": null, "text": "a"}), json!([{"text": "a"}])),
        (&text, json!({"parameters": {}, "text": "a"}), json!([{"text": "a"}])),
        (
            &labels,
            json!({"inputs": "a", "parameters": {"candidate_labels": ["x"]}}),
            json!([{"candidate_labels": ["x"], "text": "a"}]),
        ),
        (
            &question,
            json!({"inputs": "QQ==", "parameters": {}, "question": "?", "image": "QQ=="}),
            json!([{"question": "?", "image": "QQ=="}]),
        ),
        (
            &question,
            json!({"inputs": {"question": "?", "image": "QQ=="}}),
            json!([{"question": "?", "image": "QQ=="}]),
        ),
        (
            &two_required,
            json!({"inputs": "QQ==", "parameters": {"other": "QQ=="}}),
            json!([{"other": "QQ==", "photo": "QQ=="}]),
        ),
        (
            &two_optional,
            json!({"inputs": "QQ==", "other": "QQ=="}),
            json!([{"other": "QQ==", "photo": "QQ=="}]),
        ),
        (
            &with_mask,
            json!({"inputs": "QQ==", "mask": "QQ=="}),
            json!([{"mask": "QQ==", "photo": "QQ=="}]),
        ),
        (&with_mask, json!({"inputs": "QQ==", "photo": "QQ=="}), json!([{"photo": "QQ=="}])),
        (
            &two_required,
            json!({"inputs": "QQ==", "photo": "QQ==", "other": "Qg=="}),
            json!([{"photo": "QQ==", "other": "Qg=="}]),
        ),
        (&any, json!({"inputs": {"a": 1}}), json!([{"data": {"a": 1}}])),
        (&any, json!({"inputs": {"data": 1}}), json!([{"data": 1}])),
        (&any, json!({"inputs": [1, 2]}), json!([{"data": [1, 2]}])),
        (&list, json!({"inputs": ["a", "b"]}), json!([{"texts": ["a", "b"]}])),
    ] {
        assert_eq!(jobs(schema, &body).map(Value::from), Ok(expected), "{body}");
    }
}

#[test]
fn a_request_that_fits_no_input_is_refused() {
    let text = json!({"text": "text"});
    for (schema, body, expected) in [
        (json!({"a": "text", "b": "text"}), json!({"inputs": "x"}), "exactly one required"),
        (json!({}), json!({"inputs": "x"}), "exactly one required"),
        (text.clone(), json!({"inputs": "x", "parameters": 3}), "not an object"),
        (text.clone(), json!({"inputs": []}), "is empty"),
        (text, json!({"inputs": ["a", "b", "c", "d"]}), "4 records"),
    ] {
        let error = jobs(&schema, &body).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn copies_of_the_named_inputs_are_charged() {
    let schema = schema(&json!({"text": "text", "labels": "json"}));
    let body = json!({"inputs": ["a", "b", "c"], "labels": "x".repeat(5000)});
    let members = body.as_object().unwrap().clone();
    let raw: RawInputs =
        members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect();
    for (room, is_enough) in [(10_000, false), (12_000, true)] {
        let budget = Budget::new(room);
        let inputs = RequestInputs { raw: raw.clone(), reservation: budget.reserve(None) };
        match records(&schema, inputs, 3) {
            Ok(_) => assert!(is_enough),
            Err(failure) => {
                assert!(!is_enough);
                assert_eq!(failure.reason, Reason::Failed(Kind::QueueFull));
            }
        }
    }
}

#[test]
fn a_file_without_a_name_is_for_a_model_that_needs_nothing_else() {
    for (source, expected) in [
        (json!({"photo": "image"}), Some("photo")),
        (json!({"photo": "image", "title": {"type": "text", "required": false}}), Some("photo")),
        (json!({"photo": "image", "title": "text"}), None),
        (json!({"a": "image", "b": {"type": "file", "required": false}}), Some("a")),
        (json!({"a": {"type": "image", "required": false}}), Some("a")),
        (json!({"a": "image", "b": "file"}), None),
        (json!({"title": "text"}), None),
    ] {
        assert_eq!(sole_file(&schema(&source)), expected, "{source}");
    }
}

#[test]
fn the_schema_decides_whose_request_it_is() {
    let members = |body: Value| -> RawInputs {
        let members = body.as_object().unwrap().clone();
        members.into_iter().map(|(name, value)| (name, RawValue::Json(value))).collect()
    };
    let (text, own) = (schema(&json!({"text": "text"})), schema(&json!({"inputs": "text"})));
    let parameters = schema(&json!({"parameters": "json"}));
    for (body, is_one, of_text, of_own, of_parameters) in [
        (json!({"inputs": "a"}), true, true, false, true),
        (json!({"parameters": {}, "table": {}}), true, true, true, false),
        (json!({"parameters": 3}), false, false, false, false),
        (json!({"text": "a"}), false, false, false, false),
    ] {
        let members = members(body);
        assert_eq!(is_shaped(&members), is_one);
        for (schema, expected) in [(&text, of_text), (&own, of_own), (&parameters, of_parameters)] {
            assert_eq!(is_one && !is_whole_request(schema, &members), expected);
        }
    }
}
