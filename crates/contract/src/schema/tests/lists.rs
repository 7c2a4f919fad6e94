use bytes::Bytes;
use serde_json::json;

use super::*;

#[test]
fn a_mistake_with_a_list_is_reported() {
    for (field, expected) in [
        (
            json!({"type": "text", "list": "yes"}),
            "the property list is ignored: \"yes\" is not a valid value",
        ),
        (
            json!({"type": "text", "list": true, "minItems": -1}),
            "the property minItems is ignored: -1 is not a valid value",
        ),
        (
            json!({"type": "text", "min_items": 1}),
            "the property min_items is ignored: the input is not a list; add \"list\": True",
        ),
        (
            json!({"type": "text", "list": true, "min_items": 3, "max_items": 2}),
            "min_items is 3 and max_items is 2, so no list fits; both are ignored",
        ),
        (
            json!({"type": "integer", "list": true, "default": 5}),
            "the default is ignored: expected a list, each an integer, got 5; put it in brackets: a list of one is [ … ]",
        ),
        (
            json!({"type": "integer", "list": true, "max_items": 1, "default": [5, 6]}),
            "the default is ignored: expected a list of at most 1 item, got 2",
        ),
        (
            json!({"type": "integer", "list": true, "examples": [[1], [2, "x"]]}),
            "an example is left out: [1]: expected an integer, got \"x\"",
        ),
        (
            json!({"type": "image", "list": true, "min_items": 2, "examples": [["https://a.example/b"]]}),
            "an example is left out: expected a list of at least 2 items, got 1",
        ),
    ] {
        let (schema, warnings) = InputsSchema::parse(&json!({"x": field}));
        assert_eq!(warnings, [format!("input \"x\": {expected}")]);
        assert_eq!(schema.mistakes(), warnings);
    }
}

#[test]
fn a_remark_on_a_type_that_may_mean_a_list_names_the_property() {
    for name in ["list", "array"] {
        let (schema, warnings) = InputsSchema::parse(&json!({"x": {"type": name}}));
        let expected = format!(
            "input \"x\": the type {name:?} is treated as \"json\"; for a list of values of one type, give \
             that type and \"list\": True"
        );
        assert_eq!(warnings, [expected]);
        assert!(schema.mistakes().is_empty());
        assert_eq!(schema.fields()["x"].input_type.name(), "json");
    }
}

#[test]
fn lists_are_collected_from_forms() {
    let schema = schema(&json!({
        "n": {"type": "integer", "list": true, "required": false},
        "f": {"type": "file", "list": true, "required": false},
        "t": {"type": "text", "list": true, "required": false},
        "t[]": {"type": "text", "required": false},
        "one": {"type": "text", "required": false},
    }));
    let text = |text: &str| RawValue::Text(text.to_owned());
    let list = |texts: &[&str]| RawValue::List(texts.iter().map(|item| text(item)).collect());
    let bytes = |bytes: &'static [u8]| RawValue::Bytes(Bytes::from_static(bytes));
    let resolve = |given: Vec<(&str, RawValue)>| {
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let inputs = schema.resolve(given).map_err(|error| error.message.into_owned())?;
        Ok::<_, String>(inputs.into_iter().collect::<Vec<_>>())
    };
    let numbers = |expected: Json| Ok(vec![("n".to_owned(), Value::Json(expected))]);
    assert_eq!(resolve(vec![("n", list(&["1", "2"]))]), numbers(json!([1, 2])));
    assert_eq!(
        resolve(vec![("n", text("1")), ("n[]", list(&["3", "2"]))]),
        numbers(json!([1, 3, 2]))
    );
    assert_eq!(resolve(vec![("n[10]", text("1")), ("n[9]", text("2"))]), numbers(json!([2, 1])));
    assert_eq!(resolve(vec![("n", text(" [1, 2]"))]), numbers(json!([1, 2])));
    assert_eq!(resolve(vec![("n", text("[]"))]), numbers(json!([])));
    assert_eq!(resolve(vec![("n", list(&["", ""])), ("f", bytes(b""))]), Ok(vec![]));
    assert_eq!(
        resolve(vec![("f", RawValue::List(vec![bytes(b"\xff"), text("YQ==")]))]),
        Ok(vec![(
            "f".to_owned(),
            Value::List(vec![
                Value::Bytes(Bytes::from_static(b"\xff")),
                Value::Bytes(Bytes::from_static(b"a")),
            ])
        )])
    );
    assert_eq!(
        resolve(vec![("t", text("[1]")), ("t[]", text("x"))]),
        Ok(vec![
            ("t".to_owned(), Value::Json(json!(["[1]"]))),
            ("t[]".to_owned(), Value::Text("x".to_owned())),
        ])
    );
    for (given, message) in [
        (
            vec![("n", text("1")), ("n[0]", text("2"))],
            "n: given both as n and as n[0]; number all items or none",
        ),
        (vec![("n[0]", text("1")), ("n[00]", text("2"))], "n: n[0] is given more than once"),
        (vec![("n[1]", list(&["1", "2"]))], "n[1]: given more than once"),
        (vec![("n[x]", text("1"))], "n[x]: items of the list n are given as n, n[] or n[0]"),
        (vec![("n[0][y]", text("1"))], "n[0][y]: items of the list n are given as n, n[] or n[0]"),
        (
            vec![("n[]", RawValue::Json(json!([1])))],
            "n[]: in JSON, give the list n as an array under its name",
        ),
        (vec![("n", list(&["1", ""]))], "n[1]: expected an integer, got \"\""),
        (
            vec![("f", RawValue::List(vec![bytes(b""), bytes(b"a")]))],
            "f[0]: expected a file (a file's bytes; in JSON as base64 or a data: URL), got 0 bytes",
        ),
        (vec![("one", list(&["1", "2"]))], "one: given more than once; this input takes one value"),
        (
            vec![("more", list(&["1", "2"]))],
            "more: given more than once; only an input that the schema declares as a list can have several values",
        ),
    ] {
        assert_eq!(resolve(given), Err(message.to_owned()));
    }
}

#[test]
fn wrong_items_are_reported_with_their_places() {
    let schema = schema(&json!({"n": {"type": "integer", "list": true}}));
    assert_eq!(
        messages(&schema, &json!({"n": [1, "x", 2, null]})),
        ["n[1]: expected an integer, got \"x\"", "n[3]: expected an integer, got null"]
    );
    let reported = messages(&schema, &json!({"n": vec!["x"; 1000]}));
    assert_eq!(reported.len(), 21);
    assert_eq!(reported[20], "n: further items do not fit either");
    assert_eq!(messages(&schema, &json!({})), ["n: missing; expected a list, each an integer"]);
    assert_eq!(
        messages(&schema, &json!({"n": null})),
        ["n: missing: got null; expected a list, each an integer"]
    );
}
