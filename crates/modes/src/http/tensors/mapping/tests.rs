//! The tests of the way from tensors to the inputs of each record.

use ai_integration_contract::{Inputs, Value};
use ai_integration_engine::Budget;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::http::failure::{Reason, Wording};
use crate::http::tensors::tensor::TensorData;

fn schema() -> InputsSchema {
    let (schema, remarks) = InputsSchema::parse(&json!({
        "text": {"type": "text", "required": false},
        "image": {"type": "image", "required": false},
        "count": {"type": "integer", "required": false},
        "ratio": {"type": "number", "required": false},
        "flag": {"type": "boolean", "required": false},
        "style": {"type": "choice", "choices": ["a", "b"], "required": false},
        "matrix": {"type": "json", "required": false},
        "tags": {"type": "text", "list": true, "required": false},
        "numbers": {"type": "number", "list": true, "required": false},
        "files": {"type": "file", "list": true, "required": false},
    }));
    assert!(remarks.is_empty(), "{remarks:?}");
    schema
}

fn tensor(name: &str, datatype: &str, shape: &[i64], data: Json) -> Tensor {
    let data = TensorData::Json(serde_json::from_value(data).unwrap());
    let datatype = Datatype::named(datatype).unwrap();
    Tensor { name: name.to_owned(), datatype, shape: shape.to_vec(), data }
}

fn binary(name: &str, elements: &[&'static [u8]]) -> Tensor {
    let framed = |element: &&[u8]| {
        let length = u32::try_from(element.len()).unwrap();
        [&length.to_le_bytes(), *element].concat()
    };
    let data: Vec<u8> = elements.iter().flat_map(framed).collect();
    let shape = vec![i64::try_from(elements.len()).unwrap()];
    let data = TensorData::Raw(data.into());
    Tensor { name: name.to_owned(), datatype: Datatype::Bytes, shape, data }
}

fn inference(tensors: Vec<Tensor>, parameters: Json) -> Inference {
    let parameters = serde_json::from_value(parameters).unwrap();
    let reservation = Budget::new(1 << 30).reserve(None);
    Inference { tensors, parameters, size: 0, reservation }
}

fn records(tensors: Vec<Tensor>, parameters: Json) -> Result<Vec<Inputs>, Failure> {
    let schema = schema();
    let records = inference(tensors, parameters).into_records(&schema, 100)?;
    records.into_iter().map(|record| Ok(schema.resolve(record.raw)?)).collect()
}

fn only(tensors: Vec<Tensor>, parameters: Json) -> Inputs {
    let [record] = records(tensors, parameters).unwrap().try_into().unwrap();
    record
}

fn refused(tensors: Vec<Tensor>, parameters: Json) -> String {
    records(tensors, parameters).unwrap_err().detail(Wording::Full)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn an_element_is_read_as_the_input_with_the_tensors_name() {
    let inputs = only(
        vec![
            tensor("text", "BYTES", &[1], json!(["5"])),
            tensor("image", "BYTES", &[1], json!(["data:image/png;base64,/w=="])),
            tensor("count", "INT64", &[1, 1], json!([3])),
            tensor("ratio", "BYTES", &[], json!(["2.5"])),
            tensor("flag", "BOOL", &[1], json!([true])),
            binary("style", &[b"b"]),
        ],
        json!({}),
    );
    assert_eq!(inputs["text"], text("5"));
    assert_eq!(inputs["image"], Value::Bytes(Bytes::from_static(b"\xff")));
    assert_eq!(inputs["count"], Value::Json(json!(3)));
    assert_eq!(inputs["ratio"], Value::Json(json!(2.5)));
    assert_eq!(inputs["flag"], Value::Json(json!(true)));
    assert_eq!(inputs["style"], text("b"));
    let inputs = only(vec![binary("image", &[b"\xff\0"])], json!({}));
    assert_eq!(inputs["image"], Value::Bytes(Bytes::from_static(b"\xff\0")));
}

#[test]
fn json_is_a_text_in_bytes_or_nested_numbers() {
    let number = tensor("matrix", "FP32", &[2, 2], json!([1, 2, 3, 4]));
    assert_eq!(
        only(vec![number], json!({}))["matrix"],
        Value::Json(json!([[1.0, 2.0], [3.0, 4.0]]))
    );
    for (shape, value) in [(&[][..], json!(7)), (&[1], json!([7])), (&[1, 1], json!([[7]]))] {
        let number = tensor("matrix", "INT8", shape, json!([7]));
        assert_eq!(only(vec![number], json!({}))["matrix"], Value::Json(value));
    }
    let texts = vec![tensor("matrix", "BYTES", &[2], json!([r#"{"a": 1}"#, "[2]"]))];
    let read: Vec<Value> = records(texts, json!({}))
        .unwrap()
        .into_iter()
        .map(|record| record["matrix"].clone())
        .collect();
    assert_eq!(read, [Value::Json(json!({"a": 1})), Value::Json(json!([2]))]);
}

#[test]
fn several_elements_are_several_records() {
    let read = records(
        vec![
            tensor("text", "BYTES", &[3, 1], json!(["a", "b", "c"])),
            binary("image", &[b"1", b"2", b"3"]),
            tensor("count", "INT32", &[1], json!([9])),
            tensor("matrix", "INT32", &[2], json!([1, 2])),
            tensor("extra", "INT32", &[2], json!([1, 2])),
        ],
        json!({"ratio": 0.5}),
    )
    .unwrap();
    assert_eq!(read.len(), 3);
    for (record, (letter, image)) in read.iter().zip([("a", "1"), ("b", "2"), ("c", "3")]) {
        assert_eq!(record["text"], text(letter));
        assert_eq!(record["image"], Value::Bytes(image.into()));
        assert_eq!(record["count"], Value::Json(json!(9)));
        assert_eq!(record["ratio"], Value::Json(json!(0.5)));
        assert_eq!(record["matrix"], Value::Json(json!([1, 2])));
        assert_eq!(record["extra"], Value::Json(json!([1, 2])));
    }
}

#[test]
fn a_tensor_is_one_list_and_a_matrix_is_a_list_for_each_record() {
    let inputs = only(
        vec![
            tensor("tags", "BYTES", &[2], json!(["a", "[1]"])),
            tensor("numbers", "INT8", &[1, 3], json!([1, 2, 3])),
            binary("files", &[b"x", b"y"]),
        ],
        json!({}),
    );
    assert_eq!(inputs["tags"], Value::Json(json!(["a", "[1]"])));
    assert_eq!(inputs["numbers"], Value::Json(json!([1, 2, 3])));
    let file = |content: &'static str| Value::Bytes(content.into());
    assert_eq!(inputs["files"], Value::List(vec![file("x"), file("y")]));
    let read = records(
        vec![
            tensor("numbers", "FP64", &[2, 2], json!([1.5, 2, 3, 4])),
            tensor("tags", "BYTES", &[1], json!(["a"])),
        ],
        json!({}),
    );
    let read = read.unwrap();
    assert_eq!(read[0]["numbers"], Value::Json(json!([1.5, 2.0])));
    assert_eq!(read[1]["numbers"], Value::Json(json!([3.0, 4.0])));
    assert_eq!(read[1]["tags"], Value::Json(json!(["a"])));
}

#[test]
fn other_tensors_and_parameters_are_options() {
    let inputs = only(
        vec![
            tensor("one", "FP64", &[1], json!([1.5])),
            tensor("several", "INT64", &[2, 1], json!([1, 2])),
            binary("word", &["é".as_bytes()]),
            tensor("words", "BYTES", &[2], json!(["a", "b"])),
        ],
        json!({
            "seed": 5, "matrix": "[1]", "text": "b", "priority": 3, "triton_x": 1, "timeout": 7,
            "shared_memory_region": "r", "binary_data_output": true, "content_type": "str",
        }),
    );
    let names: Vec<&String> = inputs.keys().collect();
    assert_eq!(names, ["text", "matrix", "one", "several", "word", "words", "seed"]);
    assert_eq!(inputs["one"], Value::Json(json!(1.5)));
    assert_eq!(inputs["several"], Value::Json(json!([[1], [2]])));
    assert_eq!(inputs["word"], text("é"));
    assert_eq!(inputs["words"], Value::Json(json!(["a", "b"])));
    assert_eq!(inputs["matrix"], Value::Json(json!([1])));
    assert_eq!(inputs["seed"], Value::Json(json!(5)));
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let word = || tensor("text", "BYTES", &[1], json!(["a"]));
    let many = || tensor("text", "BYTES", &[101], json!(vec!["a"; 101]));
    let large = Tensor {
        data: TensorData::Raw(vec![1; 500_000].into()),
        ..tensor("x", "INT8", &[500_000, 1], json!([]))
    };
    for (tensors, parameters, message) in [
        (vec![word(), word()], json!({}), "text: given more than once"),
        (vec![word()], json!({"text": "b"}), "text: given more than once"),
        (
            vec![
                tensor("text", "BYTES", &[2], json!(["a", "b"])),
                tensor("count", "INT8", &[3], json!([1, 2, 3])),
            ],
            json!({}),
            "count: it has 3 elements, but text has 2",
        ),
        (vec![many()], json!({}), "has 101 records"),
        (vec![binary("text", &[b"\xff"])], json!({}), "text: expected text"),
        (vec![binary("count", &[b"five"])], json!({}), "count: expected an integer, got \"five\""),
        (vec![binary("option", &[b"\xff"])], json!({}), "option: the model declares no such input"),
        (
            vec![tensor("image", "UINT8", &[1], json!([1]))],
            json!({}),
            "image: expected the content",
        ),
        (
            vec![tensor("count", "FP64", &[1], json!([1.5]))],
            json!({}),
            "count: expected an integer",
        ),
        (
            vec![tensor("x", "INT8", &[1 << 40], json!([1]))],
            json!({}),
            "x: its data has 1 elements",
        ),
        (vec![large], json!({}), "more than 1000000"),
    ] {
        let refused = refused(tensors, parameters);
        assert!(refused.contains(message), "{refused}");
    }
    let tensors = vec![
        tensor("count", "INT8", &[100], json!(vec![1; 100])),
        tensor("text", "BYTES", &[1], json!(["a".repeat(2 << 20)])),
    ];
    assert!(refused(tensors, json!({})).contains("too large together"));
    let parameters: Map<String, Json> = (0..1001).map(|n| (n.to_string(), json!(1))).collect();
    assert!(refused(vec![], parameters.into()).contains("more than 1000 inputs"));
}

#[test]
fn a_file_that_all_records_get_is_decoded_once() {
    let read = records(
        vec![
            tensor("count", "INT8", &[2], json!([1, 2])),
            tensor("image", "BYTES", &[1], json!(["/w=="])),
        ],
        json!({}),
    );
    let read = read.unwrap();
    let file = |record: &Inputs| record["image"].as_bytes().unwrap().as_ptr();
    assert_eq!(read[0]["image"], Value::Bytes(Bytes::from_static(b"\xff")));
    assert_eq!(file(&read[0]), file(&read[1]));
}

#[test]
fn copies_for_the_records_are_charged() {
    let tensors = || {
        vec![
            tensor("count", "INT8", &[50], json!(vec![1; 50])),
            tensor("text", "BYTES", &[1], json!(["a".repeat(10_000)])),
        ]
    };
    for (room, is_enough) in [(400_000, false), (600_000, true)] {
        let budget = Budget::new(room);
        let reservation = budget.reserve(None);
        let inference = Inference { reservation, ..inference(tensors(), json!({})) };
        match inference.into_records(&schema(), 100) {
            Ok(records) => {
                assert!(is_enough && budget.taken() > 500_000);
                drop(records);
            }
            Err(failure) => {
                assert!(!is_enough);
                assert_eq!(failure.reason, Reason::Failed(Kind::QueueFull));
            }
        }
        assert_eq!(budget.taken(), 0);
    }
}

#[test]
fn a_timeout_is_in_microseconds() {
    let timeout = |value: Json| inference(vec![], json!({"timeout": value})).timeout();
    assert_eq!(inference(vec![], json!({})).timeout(), Ok(None));
    assert_eq!(timeout(json!(0)), Ok(None));
    assert_eq!(timeout(json!(1_500)), Ok(Some(Duration::from_micros(1500))));
    assert_eq!(timeout(json!("1500")), Ok(Some(Duration::from_micros(1500))));
    for nonsense in [json!(-1), json!(1.5), json!(true), json!("soon"), json!(null)] {
        assert!(timeout(nonsense).is_err());
    }
}
