use ai_integration_engine::Budget;
use serde_json::json;

use super::*;

/// Returns the inputs of all records, which are read two at a time.
fn read(schema: &Json, format: Format, text: &str) -> Result<Vec<RawInputs>, String> {
    let (schema, _) = InputsSchema::parse(schema);
    let budget = Budget::new(1 << 20);
    let content = Content {
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        reservation: budget.reserve(None),
    };
    let mut lines = Lines::new(format, content);
    let mut all = Vec::new();
    loop {
        let records = lines
            .next(&schema, 2)
            .map_err(|failure| failure.detail(crate::http::failure::Wording::Full))?;
        if records.is_empty() {
            assert_eq!((lines.rest(), lines.count()), (0, all.len()));
            return Ok(all);
        }
        assert!(records.len() <= 2);
        all.extend(records.into_iter().map(|record| record.raw));
    }
}

fn texts(given: &[(&str, &str)]) -> RawInputs {
    let text =
        |(name, text): &(&str, &str)| ((*name).to_owned(), RawValue::Text((*text).to_owned()));
    given.iter().map(text).collect()
}

#[test]
fn a_line_of_csv_has_the_inputs_in_their_order() {
    let schema = json!({
        "text": "text",
        "count": {"type": "integer", "required": false},
        "note": {"type": "text", "required": false},
    });
    let text = "a,1,x\r\n\"b, \"\"c\"\"\",,\n\n,2\n\"d\ne\"";
    let expected = [
        texts(&[("text", "a"), ("count", "1"), ("note", "x")]),
        texts(&[("text", "b, \"c\"")]),
        texts(&[("text", ""), ("count", "2")]),
        texts(&[("text", "d\ne")]),
    ];
    assert_eq!(read(&schema, Format::Csv, text), Ok(expected.into()));
    let error = read(&schema, Format::Csv, "a\nb,1,x,y\n").unwrap_err();
    assert!(error.starts_with("record 2 has 4 fields, and the model has 3 inputs"), "{error}");
    let long = "x".repeat(5000);
    assert_eq!(read(&schema, Format::Csv, &long), Ok(vec![texts(&[("text", &long)])]));
    let wide = ",".repeat(MAX_FIELDS);
    assert!(read(&schema, Format::Csv, &wide).is_err());
    assert_eq!(read(&schema, Format::Csv, ""), Ok(vec![]));
    let inches = texts(&[("text", "5\"")]);
    assert_eq!(read(&schema, Format::Csv, "5\""), Ok(vec![inches]));
    for open in ["a\n\"b,2\nc,3\n", "\"", "a,\"", &format!("\"{}", "x".repeat(1024))] {
        let error = read(&schema, Format::Csv, open).unwrap_err();
        assert!(error.contains("a quote that is not closed"), "{open}: {error}");
    }
}

#[test]
fn a_line_of_csv_is_the_list_of_a_model_that_needs_only_a_list() {
    let row = RawValue::Json(json!([1, 2.5, "x", "", -3.5]));
    let expected = RawInputs::from([("row".to_owned(), row)]);
    assert_eq!(read(&json!({"row": "json"}), Format::Csv, "1,2.5,x,,-3.5\n"), Ok(vec![expected]));
    let items = ["a", "b"].map(|item| RawValue::Text(item.to_owned()));
    let expected = RawInputs::from([("words".to_owned(), RawValue::List(items.into()))]);
    let schema = json!({"words": {"type": "text", "list": true}});
    assert_eq!(read(&schema, Format::Csv, "a,b"), Ok(vec![expected]));
}

#[test]
fn a_line_of_json_is_an_object_or_the_value_of_the_only_input() {
    let json = |value: Json| RawInputs::from([("text".to_owned(), RawValue::Json(value))]);
    let text = "{\"text\": \"a\"}\r\n\n  \n\"b\"\n{\"text\":1}";
    let schema = json!({"text": "text"});
    let expected = vec![json(json!("a")), json(json!("b")), json(json!(1))];
    assert_eq!(read(&schema, Format::Json, text), Ok(expected));
    let error = read(&schema, Format::Json, "\"a\"\n\n{\"text\"}\n").unwrap_err();
    assert!(error.starts_with("record 2 is not JSON: "), "{error}");
    let error = read(&json!({"a": "text", "b": "text"}), Format::Json, "1").unwrap_err();
    assert!(error.contains("not an object of inputs"), "{error}");
}
