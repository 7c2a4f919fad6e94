//! The tests of reading requests with binary data.

use ai_integration_engine::Budget;
use serde_json::json;

use super::*;
use crate::http::failure::Wording;

fn read(json: &Json, binary: &[u8]) -> Result<InferRequest, String> {
    let text = json.to_string();
    body(&[text.as_bytes(), binary].concat(), Some(text.len()))
}

fn body(body: &[u8], length: Option<usize>) -> Result<InferRequest, String> {
    let reservation = Budget::new(1 << 20).reserve(None);
    let read = parse(&Bytes::copy_from_slice(body), length, reservation);
    read.map_err(|failure| failure.detail(Wording::Full))
}

fn tensors(request: InferRequest) -> Vec<Tensor> {
    let Content::Tensors(inference) = request.content else { panic!("it has no JSON") };
    inference.tensors
}

fn binary(name: &str, datatype: &str, size: usize) -> Json {
    let parameters = json!({"binary_data_size": size});
    json!({"name": name, "shape": [1], "datatype": datatype, "parameters": parameters})
}

#[test]
fn sections_are_taken_in_the_order_of_the_tensors() {
    let text = json!({"name": "c", "shape": [2, 1.0], "datatype": "BYTES", "data": [["x"], ["y"]]});
    let inputs =
        json!([binary("a", "INT16", 2), text, binary("b", "UINT8", 1), binary("d", "BYTES", 0)]);
    let request = read(&json!({"id": "7", "inputs": inputs}), &[1, 2, 3]).unwrap();
    assert_eq!(request.form, ResponseForm { id: Some("7".to_owned()), is_binary: false });
    let tensors = tensors(request);
    let data: Vec<String> = tensors.iter().map(|tensor| format!("{:?}", tensor.data)).collect();
    assert_eq!(
        data,
        [
            r#"Raw(b"\x01\x02")"#,
            r#"Json([String("x"), String("y")])"#,
            r#"Raw(b"\x03")"#,
            r#"Raw(b"")"#
        ]
    );
    assert_eq!(tensors[1].shape, [2, 1]);
}

#[test]
fn the_last_word_on_the_form_of_the_output_is_its_own() {
    for (parameters, outputs, is_binary) in [
        (json!({}), json!(null), false),
        (json!({"binary_data_output": true}), json!(null), true),
        (json!({"binary_data_output": true}), json!([]), true),
        (json!({}), json!([{"name": "output", "parameters": {"binary_data": true}}]), true),
        (
            json!({"binary_data_output": true}),
            json!([{"name": "output", "parameters": {"binary_data": false, "classification": 0}}]),
            false,
        ),
        (json!({"binary_data_output": true}), json!([{"name": "output"}]), true),
    ] {
        let request = json!({"inputs": [], "parameters": parameters, "outputs": outputs});
        assert_eq!(read(&request, b"").unwrap().form.is_binary, is_binary, "{request}");
    }
}

#[test]
fn requests_that_cannot_be_read_are_refused() {
    let tensor = |more: Json| {
        let mut tensor = json!({"name": "a", "shape": [1], "datatype": "INT8", "data": [1]});
        tensor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"inputs": [tensor]})
    };
    let both = json!({"parameters": {"binary_data_size": 1}});
    let shared = json!({"parameters": {"shared_memory_region": "r"}});
    let mut neither = tensor(json!({}));
    neither["inputs"][0].as_object_mut().unwrap().remove("data");
    let asked = |output: Json| json!({"inputs": [], "outputs": [output]});
    for (request, binary, words) in [
        (json!({"inputs": [binary("a", "INT8", 2)]}), &[1][..], "beyond the end"),
        (json!({"inputs": [binary("a", "INT8", 1)]}), &[1, 2], "1 bytes more"),
        (json!({"inputs": []}), &[1], "1 bytes more"),
        (tensor(both), &[1], "both data and"),
        (neither, &[], "neither data nor"),
        (tensor(shared), &[], "no shared memory"),
        (tensor(json!({"data": 1})), &[], "data is not a list"),
        (tensor(json!({"datatype": "STRING"})), &[], "not one of BOOL, UINT8"),
        (tensor(json!({"shape": [1.5]})), &[], "a list of integers"),
        (tensor(json!({"shape": 1})), &[], "a list of integers"),
        (tensor(json!({"name": 1})), &[], "no name"),
        (tensor(json!({"parameters": 1})), &[], "not a JSON object"),
        (json!({"inputs": [1]}), &[], "an input is not a JSON object"),
        (json!({}), &[], "\"inputs\" is not a list"),
        (json!([]), &[], "not a JSON object"),
        (json!({"inputs": [], "id": 5}), &[], "\"id\" is not a string"),
        (json!({"inputs": [], "outputs": {}}), &[], "\"outputs\" is not a list"),
        (asked(json!({"name": "other"})), &[], "other: there is no such output"),
        (asked(json!({})), &[], "an output has no name"),
        (asked(json!({"name": "output", "parameters": {"classification": 3}})), &[], "classify"),
        (
            asked(json!({"name": "output", "parameters": {"shared_memory_region": "r"}})),
            &[],
            "no shared memory",
        ),
        (
            asked(json!({"name": "output", "parameters": {"binary_data": 1}})),
            &[],
            "binary_data is not true or false",
        ),
        (json!({"inputs": vec![1; 1001]}), &[], "more than 1000 inputs"),
    ] {
        let error = read(&request, binary).err().unwrap();
        assert!(error.contains(words), "{request}: {error}");
    }
    for (text, length, words) in [
        (&b""[..], None, "it is empty"),
        (b"{}", Some(3), "says that 3 bytes are JSON"),
        (b"{\"inputs\":", None, "is not JSON"),
        (b"{\"inputs\": [], \"inputs\": []}", None, "given twice"),
    ] {
        let error = body(text, length).err().unwrap();
        assert!(error.contains(words), "{error}");
    }
    let request = json!({"inputs": [binary("a", "INT8", 1)]}).to_string();
    assert!(body(request.as_bytes(), None).err().unwrap().contains("lacks the header"));
}

#[test]
fn a_body_without_json_is_the_only_required_input() {
    let raw = |schema: Json, content: &'static [u8]| {
        let (schema, _) = InputsSchema::parse(&schema);
        let content = body(content, Some(0)).unwrap().content;
        content.inference(&schema).map(|inference| {
            let Tensor { name, shape, .. } = &inference.tensors[0];
            (
                name.clone(),
                shape.clone(),
                inference.into_records(&schema, 9).map(|all| all.len()).ok(),
            )
        })
    };
    let optional = json!({"type": "text", "required": false});
    let image = json!({"image": "image", "prompt": optional});
    assert_eq!(raw(image, b"\x89PNG").unwrap(), ("image".to_owned(), vec![1], Some(1)));
    let number = json!({"x": "number"});
    assert_eq!(raw(number.clone(), &[0; 16]).unwrap(), ("x".to_owned(), vec![2], Some(2)));
    assert_eq!(raw(number.clone(), &[0; 15]).unwrap(), ("x".to_owned(), vec![1], None));
    assert_eq!(raw(number, b"").unwrap().2, None);
    assert!(raw(json!({"text": optional.clone()}), b"a").is_ok());
    for schema in
        [json!({}), json!({"a": "text", "b": "text"}), json!({"a": optional, "b": optional})]
    {
        let error = raw(schema, b"a").unwrap_err();
        assert!(error.message.contains("one required input"), "{error}");
    }
}
