use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod lists;

fn schema(source: &Json) -> InputsSchema {
    let (schema, warnings) = InputsSchema::parse(source);
    assert_eq!(warnings, Vec::<String>::new());
    schema
}

fn raw(inputs: &Json) -> RawInputs {
    let members = inputs.as_object().unwrap();
    members.iter().map(|(name, value)| (name.clone(), RawValue::Json(value.clone()))).collect()
}

fn messages(schema: &InputsSchema, inputs: &Json) -> Vec<String> {
    let error = schema.resolve(raw(inputs)).unwrap_err();
    error.fields.into_iter().map(|error| format!("{}: {}", error.name, error.message)).collect()
}

#[test]
fn every_wrong_field_is_reported_at_once() {
    let schema = schema(&json!({
        "image": {"type": "image"},
        "steps": {"type": "integer", "min": 1, "max": 50},
        "style": {"type": "choice", "choices": ["mosaic", "candy"]},
        "fast": {"type": "boolean"},
        "caption": {"type": "text"},
    }));
    let wrong = json!({"steps": 51, "style": "oil", "fast": "perhaps", "caption": [1, 2]});
    assert_eq!(
        messages(&schema, &wrong),
        [
            "image: missing; expected a picture (a file's bytes; in JSON as base64 or a data: URL)",
            "steps: expected an integer from 1 to 50, got 51",
            "style: expected one of mosaic, candy, got \"oil\"",
            "fast: expected true or false, got \"perhaps\"",
            "caption: expected text, got a list of 2",
        ]
    );
}

#[test]
fn values_are_read_from_every_source() {
    let schema = schema(&json!({
        "n": {"type": "number"}, "i": {"type": "integer"}, "b": {"type": "boolean"},
        "c": {"type": "choice", "choices": [1, 2.5, "three"]}, "t": {"type": "text"},
        "f": {"type": "file"}, "j": {"type": "json"},
    }));
    let text = |text: &str| RawValue::Text(text.to_owned());
    let given = RawInputs::from_iter([
        ("n".to_owned(), text(" 2.5 ")),
        ("i".to_owned(), text("1e3")),
        ("b".to_owned(), RawValue::Bytes(Bytes::from_static(b"yes\n"))),
        ("c".to_owned(), text("2.50")),
        ("t".to_owned(), RawValue::Json(json!(7))),
        ("f".to_owned(), RawValue::Json(json!("data:;base64,AAE="))),
        ("j".to_owned(), text("{\"a\": [1]}")),
        ("more".to_owned(), RawValue::Json(json!(0.1))),
    ]);
    let inputs = schema.resolve(given).unwrap();
    assert_eq!(inputs["n"], Value::Json(json!(2.5)));
    assert_eq!(inputs["i"], Value::Json(json!(1000)));
    assert_eq!(inputs["b"], Value::Json(json!(true)));
    assert_eq!(inputs["c"], Value::Json(json!(2.5)));
    assert_eq!(inputs["t"], Value::Text("7".to_owned()));
    assert_eq!(inputs["f"], Value::Bytes(Bytes::from_static(&[0, 1])));
    assert_eq!(inputs["j"], Value::Json(json!({"a": [1]})));
    assert_eq!(inputs["more"], Value::Json(json!(0.1)));
}

#[test]
fn only_dates_and_times_of_the_calendar_fit() {
    let fields = schema(&json!({"date": {"type": "date"}, "datetime": {"type": "datetime"}}));
    let check =
        |field: &str, text: &str| fields.fields()[field].accept(RawValue::Text(text.into()));
    let dates = ["2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31", " 2023-04-30\n"];
    let times = ["12:30:00Z", "12:30", "23:59:59.999999999", "00:00:00.5+05:30", "00:00-23:59"];
    for date in dates {
        assert_eq!(check("date", date), Ok(Value::Text(date.trim().to_owned())));
        for time in times {
            for text in ["T", " "].map(|separator| [date.trim(), separator, time].concat()) {
                assert_eq!(check("datetime", &text), Ok(Value::Text(text)));
            }
        }
    }
    for date in [
        "",
        "tomorrow",
        "2023-02-29",
        "1900-02-29",
        "2024-04-31",
        "2024-00-10",
        "2024-13-01",
        "2024-01-00",
        "2024-1-1",
        "20240101",
        "24-01-01",
        "+024-01-01",
        "2024-01-01-01",
        "2024-W01-1",
        "-2024-01-01",
        "2024-01",
        "2024-01-01Z",
        "2024-01-0١",
        "2024/01/01",
        "2024-01-01T00:00",
    ] {
        let message = check("date", date).unwrap_err();
        assert_eq!(message, format!("expected a date such as 2024-02-29, got {date:?}"));
        assert!(check("datetime", &format!("{date}T12:30")).is_err(), "{date:?}");
    }
    for time in [
        "",
        "12",
        "24:00",
        "12:60",
        "12:30:60",
        "1:30",
        "12:3",
        "12:30:1",
        "12:30.5",
        "12:30:00.",
        "12:30:00.5.5",
        "12:30:00.x",
        "12:30:00,5",
        "12:30z",
        "12:30ZZ",
        "12:30+5",
        "12:30+0530",
        "12:30+24:00",
        "12:30+05:60",
        "12:30+05:30:00",
        "12:30 Z",
        "-12:30",
        "12:30:00:00",
        "noon",
    ] {
        let text = format!("2024-02-29T{time}");
        assert!(check("datetime", &text).unwrap_err().ends_with(&format!("got {text:?}")));
    }
    assert!(check("datetime", "2024-02-29").is_err());
    assert!(check("datetime", "2024-02-29t12:30").is_err());
}

#[test]
fn a_date_can_have_choices_and_be_optional() {
    let fields = json!({
        "day": {"type": "date", "choices": ["2024-02-29"]},
        "time": {"type": "datetime", "required": false},
    });
    let schema = schema(&fields);
    assert_eq!(
        messages(&schema, &json!({"day": "2024-03-01"})),
        ["day: expected one of 2024-02-29, got \"2024-03-01\""]
    );
    let empty = RawValue::Text(String::new());
    let given = [("day", RawValue::Text("2024-02-29 ".into())), ("time", empty)];
    let inputs = schema.resolve(given.map(|(name, raw)| (name.to_owned(), raw)).into()).unwrap();
    assert_eq!(inputs, Inputs::from([("day".into(), Value::Text("2024-02-29".into()))]));
}

#[test]
fn a_hint_accepts_missing_inputs_and_keeps_scalars() {
    let schema = schema(&json!({
        "image": {"type": "image"}, "title": {"type": "text"}, "size": {"type": "text"},
        "day": {"type": "date", "required": false}, "n": {"type": "number", "default": 5},
    }));
    let mut hints = Hints::default();
    let given = raw(&json!({"title": null, "size": 7, "more": true}));
    let inputs = schema.resolve_as_hint(given, &mut hints).unwrap();
    let expected =
        [("title", json!(null)), ("size", json!(7)), ("n", json!(5)), ("more", json!(true))];
    let expected = expected.map(|(name, value)| (name.to_owned(), Value::Json(value)));
    assert_eq!(inputs, Inputs::from(expected));
    let names: Vec<_> = hints.missing.iter().map(|missing| missing.name.as_str()).collect();
    assert_eq!(names, ["image", "title"]);
    // A value that does not fit a type other than text is still refused. Missing inputs are not
    // part of the error.
    let mut hints = Hints::default();
    let given = raw(&json!({"title": [1], "day": 5, "n": "x"}));
    let error = schema.resolve_as_hint(given, &mut hints).unwrap_err();
    let names: Vec<_> = error.fields.iter().map(|wrong| wrong.name.as_str()).collect();
    assert_eq!(names, ["day", "n"]);
    assert_eq!((hints.missing.len(), hints.misfits.len()), (2, 1));
}

#[test]
fn a_hint_of_the_type_text_keeps_every_value() {
    let schema = schema(&json!({
        "title": {"type": "text"}, "short": {"type": "text", "max_bytes": 5, "required": false},
        "all": {"type": "text", "list": true, "required": false},
    }));
    for value in [json!([1, 2]), json!({"a": null}), json!("a\0b")] {
        let mut hints = Hints::default();
        let inputs = schema.resolve_as_hint(raw(&json!({"title": value})), &mut hints).unwrap();
        let expected =
            value.as_str().map_or(Value::Json(value.clone()), |text| Value::Text(text.into()));
        assert_eq!(inputs, Inputs::from([("title".to_owned(), expected)]));
        assert_eq!(hints.misfits.len(), 1, "{value}");
        // If an author declares more than the type, the program relies on it.
        for name in ["short", "all"] {
            let given = raw(&json!({(name): {"a": value}}));
            assert!(schema.resolve_as_hint(given, &mut hints).is_err(), "{name}: {value}");
        }
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let schema = schema(&json!({"n": {"type": "number"}, "i": {"type": "integer"}}));
    for (n, i) in [("NaN", "1.5"), ("inf", "1e-30"), ("1e999", "true"), ("", "0x10")] {
        let inputs = json!({"n": n, "i": i});
        assert_eq!(messages(&schema, &inputs).len(), 2, "{inputs}");
    }
}

#[test]
fn an_optional_input_is_left_out_or_gets_its_default() {
    let schema = schema(&json!({
        "a": {"type": "text", "required": false},
        "b": {"type": "integer", "default": 5},
        "c": {"type": "image", "required": false},
    }));
    let inputs = schema.resolve(raw(&json!({"a": null, "b": null}))).unwrap();
    assert_eq!(inputs, Inputs::from_iter([("b".to_owned(), Value::Json(json!(5)))]));
}

#[test]
fn an_old_schema_runs_with_warnings() {
    let (schema, warnings) = InputsSchema::parse(&json!({
        "mesh": {"type": "mesh"},
        "bare": {},
        "short": "image",
        "n": {"type": "integer", "min": "low", "default": "many"},
    }));
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    assert_eq!(schema.fields()["mesh"].input_type.name(), "text");
    assert_eq!(schema.fields()["short"].input_type.name(), "image");
    assert!(schema.fields()["n"].default.is_none());
}

#[test]
fn a_mistake_is_reported_with_a_suggestion() {
    for (field, expected) in [
        (
            json!({"type": "imge"}),
            "the type \"imge\" is not known and is treated as text, or as bytes if the client sends bytes; did you mean \"image\"?",
        ),
        (
            json!({"type": "text", "requried": false}),
            "the property \"requried\" is not known and is ignored: did you mean \"required\"?",
        ),
        (
            json!({"type": "integer", "min": 5, "max": 2}),
            "min is 5 and max is 2, so no number fits; both are ignored",
        ),
        (
            json!({"type": "integer", "max": 2, "default": 3}),
            "the default is ignored: expected an integer of at most 2, got 3",
        ),
        (
            json!({"type": "integer", "maximum": 2, "examples": [1, 3]}),
            "an example is left out: expected an integer of at most 2, got 3",
        ),
        (
            json!({"type": "int", "enum": [1, "two"]}),
            "the choice \"two\" does not fit: expected an integer, got \"two\"",
        ),
        (
            json!({"type": "choice"}),
            "the type choice without choices accepts no value; list the values under \"choices\"",
        ),
        (
            json!({"type": "text", "required": "no"}),
            "the property required is ignored: \"no\" is not a valid value",
        ),
    ] {
        let (schema, warnings) = InputsSchema::parse(&json!({"x": field}));
        assert_eq!(warnings, [format!("input \"x\": {expected}")]);
        assert_eq!(schema.mistakes(), warnings);
    }
}

#[test]
fn an_unknown_property_is_reported_and_is_not_a_mistake() {
    for field in [json!({"type": "hologram"}), json!({"type": "text", "unit": "m"}), json!({})] {
        let (schema, warnings) = InputsSchema::parse(&json!({"x": field}));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(schema.mistakes().is_empty());
    }
}

#[test]
fn the_words_of_other_libraries_are_understood() {
    for (word, name) in [
        ("str", "text"),
        ("string", "text"),
        ("int", "integer"),
        ("float", "number"),
        ("bool", "boolean"),
        ("object", "json"),
    ] {
        let schema = schema(&json!({"x": {"type": word}}));
        assert_eq!(schema.fields()["x"].input_type.name(), name);
    }
    let schema = schema(&json!({
        "n": {"type": "float", "minimum": 1, "maximum": 2, "title": "A number"},
        "c": {"type": "string", "enum": ["a"], "title": "not this", "description": "A choice"},
    }));
    let fields = schema.fields();
    assert_eq!(fields["n"].expectation(), "a number from 1 to 2");
    assert_eq!(fields["n"].description.as_deref(), Some("A number"));
    assert_eq!(fields["c"].expectation(), "one of a");
    assert_eq!(fields["c"].description.as_deref(), Some("A choice"));
}

#[test]
fn the_documentation_has_every_type_property_and_synonym() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.md");
    let documentation = std::fs::read_to_string(path).unwrap();
    let first_words = |heading: &str| -> Vec<&str> {
        let part = documentation.split("\n## ").find(|part| part.starts_with(heading)).unwrap();
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.flat_map(|row| row.split(" |").next().unwrap().split(", "))
            .map(|word| word.trim_matches('`'))
            .collect()
    };
    let types: Vec<&str> = crate::INPUT_TYPES.iter().map(|known| known.name()).collect();
    assert_eq!(first_words("Types"), types);
    assert_eq!(first_words("Properties"), reading::PROPERTIES);
    let formats: Vec<&str> =
        crate::format::FORMATS.iter().flat_map(|known| known.names).copied().collect();
    assert_eq!(first_words("Formats"), formats);
    let mut synonyms = first_words("Other libraries' words");
    synonyms.sort_unstable();
    let known = reading::TYPE_SYNONYMS.iter().chain(&reading::PROPERTY_SYNONYMS);
    let mut known: Vec<&str> = known.map(|(word, _)| *word).collect();
    known.sort_unstable();
    assert_eq!(synonyms, known);
}

#[test]
fn an_input_of_an_unknown_type_accepts_any_bytes() {
    let (schema, _) = InputsSchema::parse(&json!({"x": {"type": "hologram", "max_bytes": 4}}));
    let accept = |raw| schema.fields()["x"].accept(raw);
    let bytes = Bytes::from_static(b"\xff\0a");
    assert_eq!(accept(RawValue::Bytes(bytes.clone())), Ok(Value::Bytes(bytes)));
    assert_eq!(accept(RawValue::Text("ab".into())), Ok(Value::Text("ab".into())));
    assert!(accept(RawValue::Bytes(Bytes::from_static(b"12345"))).is_err());
}

#[test]
fn a_front_end_gets_each_input_in_order() {
    let (schema, _) = InputsSchema::parse(&json!({
        "7": "image",
        "1": {"type": "integer", "min": 1, "default": 2, "unit": "m"},
        "c": {"type": "text", "choices": ["a"], "required": false},
        "d": {"type": "date"},
        "t": {"type": "text"},
    }));
    let described = json!([
        {"name": "7", "shape": {"kind": "blob", "media": "image/*"}, "required": true},
        {
            "name": "1",
            "shape": {"kind": "number", "whole": true},
            "required": false,
            "default": 2,
            "min": 1,
        },
        {"name": "c", "shape": {"kind": "choice"}, "required": false, "choices": ["a"]},
        {"name": "d", "shape": {"kind": "text", "format": "date"}, "required": true},
        {"name": "t", "shape": {"kind": "text"}, "required": true},
    ]);
    assert_eq!(schema.describe(), described);
}

#[test]
fn max_bytes_bounds_text_and_files() {
    let schema = schema(&json!({"t": {"type": "text", "max_bytes": 3}}));
    assert_eq!(messages(&schema, &json!({"t": "four"})), ["t: expected at most 3 bytes, got 4"]);
}

#[test]
fn samples_fit_their_own_schema() {
    let fields: serde_json::Map<String, Json> = crate::INPUT_TYPES
        .iter()
        .filter(|kind| kind.name() != "choice")
        .map(|kind| (kind.name().to_owned(), json!({"type": kind.name(), "min": 3, "max": 4})))
        .collect();
    let mut lists = fields.clone();
    for list in lists.values_mut() {
        list["list"] = true.into();
        list["min_items"] = 2.into();
    }
    for fields in [fields, lists] {
        let schema = schema(&Json::Object(fields));
        for (name, value) in schema.samples() {
            schema.fields()[&name].accept(value.into()).unwrap();
        }
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z_]{0,8}".prop_map(Json::from),
    ];
    let keys = "type|required|default|choices|min|max|max_bytes|formats|list|min_items|max_items|\
                examples|description|[a-z]{1,4}";
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec((keys, inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_is_read_and_any_request_is_answered(source in any_json(), request in any_json()) {
        let (schema, _) = InputsSchema::parse(&source);
        if let Json::Object(_) = request {
            let _ = schema.resolve(raw(&request));
        }
        let _ = schema.samples();
    }
}

#[test]
fn names_have_no_control_characters() {
    for name in ["a\0b", "a\nb", "\u{7f}", "\u{85}"] {
        let source = json!({"fine": "text", name: "text"});
        assert_eq!(InputsSchema::unfit_name(&source), Some(name));
        let raw = RawInputs::from_iter([(name.to_owned(), RawValue::Text("x".to_owned()))]);
        let error = InputsSchema::default().resolve(raw).unwrap_err();
        assert_eq!(error.fields[0].name, name.escape_debug().to_string());
        assert!(!error.message.contains(name));
    }
    for source in
        [json!({"fine": "text", "naïve name": "text", "日本": {}}), json!(null), json!([])]
    {
        assert_eq!(InputsSchema::unfit_name(&source), None);
    }
}
