use ai_integration_contract::{Outcome, RawValue};
use serde_json::json;

use super::*;
use crate::http::failure::Wording;

/// Returns the inputs of a conversation as JSON, or the message of its error.
fn inputs(schema: &Json, messages: &Json, options: &Json) -> Result<Json, String> {
    let (schema, _) = InputsSchema::parse(schema);
    let messages = messages.as_array().unwrap().clone();
    for (index, message) in messages.iter().enumerate() {
        check(message, "messages", index).map_err(|error| error.message.to_string())?;
    }
    let conversation =
        Conversation { messages, options: options.as_object().unwrap().clone(), place: "messages" };
    let raw = conversation.into_inputs(&schema).map_err(|error| error.message.to_string())?;
    let plain = raw.into_iter().map(|(name, value)| match value {
        RawValue::Text(text) => (name, text.into()),
        RawValue::Json(json) => (name, json),
        other => panic!("{name} is {other:?}"),
    });
    Ok(Json::Object(plain.collect()))
}

fn user(content: &Json) -> Json {
    json!({"role": "user", "content": content})
}

fn picture(url: &str) -> Json {
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn text(text: &str) -> Json {
    json!({"type": "text", "text": text})
}

#[test]
fn a_model_with_the_input_messages_gets_all_messages_and_its_options() {
    let schema =
        json!({"messages": "json", "max_tokens": "integer", "stop": "json", "n": "integer"});
    let messages = json!([
        {"role": "system", "content": "be nice"},
        user(&json!([text("what is this?"), picture("data:image/png;base64,AAAA")])),
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "1"},
    ]);
    let options = json!({
        "model": "gpt", "stream": true, "n": 1, "user": "me", "temperature": 0.5,
        "max_completion_tokens": 5, "stop_sequences": ["END"], "tools": null,
    });
    let expected = json!({"messages": messages, "max_tokens": 5, "stop": ["END"]});
    assert_eq!(inputs(&schema, &messages, &options), Ok(expected));
    // The name that the schema has counts, if several are given.
    let both = json!({"max_completion_tokens": 5, "max_tokens": 6, "max_output_tokens": 7});
    assert_eq!(inputs(&schema, &messages, &both).unwrap()["max_tokens"], 6);
}

#[test]
fn another_model_gets_the_last_message_of_the_user() {
    let messages = json!([
        {"role": "system", "content": "be nice"},
        {"role": "developer", "content": [text("and short")]},
        user(&json!("hello")),
        {"role": "assistant", "content": "hi"},
        user(&json!([text("what is"), text("this?")])),
    ]);
    let none = json!({});
    let only = inputs(&json!({"prompt": "text"}), &messages, &none);
    assert_eq!(only, Ok(json!({"prompt": "what is\nthis?"})));
    let optional = json!({
        "prompt": "text",
        "style": {"type": "text", "required": false},
        "system": {"type": "text", "required": false},
        "history": {"type": "json", "required": false},
    });
    let expected = json!({
        "prompt": "what is\nthis?",
        "system": "be nice\nand short",
        "history": [user(&json!("hello")), {"role": "assistant", "content": "hi"}],
    });
    assert_eq!(inputs(&optional, &messages, &none), Ok(expected));
    // Without an input `system` the history has the instructions too.
    let history = json!({"prompt": "text", "history": "json"});
    let history = inputs(&history, &messages, &none).unwrap()["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(4));
}

#[test]
fn pictures_and_sounds_go_to_the_only_input_for_them() {
    let none = json!({});
    let one =
        json!({"text": "text", "photo": "image", "sound": {"type": "audio", "required": false}});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}});
    let asked = json!([user(&json!([text("what?"), picture("https://a.test/b.png"), sound]))]);
    let expected = json!({"text": "what?", "photo": "https://a.test/b.png", "sound": "UklG"});
    assert_eq!(inputs(&one, &asked, &none), Ok(expected));
    // A later question is about the picture before it.
    let later = json!([asked[0], {"role": "assistant", "content": "a cat"}, user(&json!("why?"))]);
    let expected = json!({"text": "why?", "photo": "https://a.test/b.png", "sound": "UklG"});
    assert_eq!(inputs(&one, &later, &none), Ok(expected));
    // Some programs send the URL without an object.
    let bare = json!({"type": "image_url", "image_url": "data:,"});
    let several = json!({"text": "text", "photos": {"type": "image", "list": true}});
    let two = json!([user(&json!([bare, picture("data:image/png;base64,AAAA")]))]);
    let expected = json!({"text": "", "photos": ["data:,", "data:image/png;base64,AAAA"]});
    assert_eq!(inputs(&several, &two, &none), Ok(expected));
    for (schema, messages, expected) in [
        (&one, &two, "photo: expected one, but the message has 2 pictures"),
        (&json!({"text": "text"}), &two, "messages: the model has no single input for pictures"),
    ] {
        assert_eq!(inputs(schema, messages, &none), Err(expected.to_owned()));
    }
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let schema = json!({"text": "text", "seed": {"type": "integer", "required": false}});
    let good = json!([user(&json!("hello"))]);
    let (none, seed) = (json!({}), json!({"seed": 1}));
    for (schema, messages, options, expected) in [
        (&schema, json!([]), &none, "messages: expected at least one message"),
        (&schema, json!(["hello"]), &none, "messages[0]: expected an object with a role"),
        (&schema, json!([{"role": 1}]), &none, "messages[0]: expected an object with a role"),
        (
            &schema,
            json!([user(&json!(5))]),
            &none,
            "messages[0].content: expected text or a list of parts",
        ),
        (
            &schema,
            json!([user(&json!([text("a"), "b"]))]),
            &none,
            "messages[0].content[1]: expected a part with a type",
        ),
        (
            &schema,
            json!([user(&json!([{"type": "file"}]))]),
            &none,
            "messages: a part of the type \"file\" is not supported; send text, image_url, \
             input_audio",
        ),
        (
            &schema,
            json!([{"role": "system", "content": "a"}]),
            &none,
            "messages: expected a message of the role user",
        ),
        (
            &schema,
            good.clone(),
            &json!({"n": 2}),
            "n: expected 1, because each request gets one answer",
        ),
        (
            &schema,
            json!([user(&json!([text("a"), {"type": "text", "text": 5}]))]),
            &none,
            "messages[0].content[1]: expected text",
        ),
        (
            &schema,
            json!([user(&json!([{"type": "image_url", "image_url": 5}]))]),
            &none,
            "messages[0].content[0]: expected image_url with a url",
        ),
        (
            &schema,
            json!([user(&json!("hello")), {"role": "tool", "content": "sunny"}]),
            &none,
            "messages: expected the user's message at the end, because the model has no input \
             \"messages\" for what comes after it",
        ),
        (
            &json!({"a": "text", "b": "text"}),
            good.clone(),
            &none,
            "the model has neither a JSON input \"messages\" nor exactly one required text input for \
             the user's message",
        ),
    ] {
        assert_eq!(inputs(schema, &messages, options), Err(expected.to_owned()), "{messages}");
    }
    assert_eq!(inputs(&schema, &good, &seed), Ok(json!({"text": "hello", "seed": 1})));
    // The responses of OpenAI have a member of this name, which says something else.
    let format = json!({"text": {"format": {"type": "text"}}});
    assert_eq!(inputs(&schema, &good, &format), Ok(json!({"text": "hello"})));
    let user_input = json!({"user": "text", "system": "text"});
    assert_eq!(inputs(&user_input, &good, &none), Ok(json!({"user": "hello"})));
}

/// Returns the content, the calls, the reason of the end and the numbers of tokens of an answer.
fn reply(outcome: Outcome) -> Result<Json, String> {
    let reply = Reply::of(outcome).map_err(|failure| failure.detail(Wording::Full))?;
    let (finish_reason, usage) = (reply.finish_reason(), reply.usage());
    let calls = reply
        .calls
        .iter()
        .map(|call| json!([call.id, call.function.name, call.function.arguments]));
    let calls: Vec<Json> = calls.collect();
    Ok(json!([reply.content, reply.reasoning, calls, finish_reason, usage.input, usage.output]))
}

#[test]
fn a_result_becomes_an_answer() {
    let call = json!({"id": "c", "function": {"name": "f", "arguments": {"a": 1}}});
    let lines = "{\"content\":\"a\"}\n\n\"b\"\n{\"tool_calls\":[{\"index\":3,\"id\":\"c\",\
                 \"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}\n{\"tool_calls\":[{\"index\":3,\
                 \"function\":{\"arguments\":\"}\"}}]}\n{\"usage\":{\"input_tokens\":1}}";
    for (outcome, expected) in [
        (Outcome::text("hello"), json!(["hello", "", [], "stop", 0, 0])),
        (Outcome::bytes("text/html", "<p>"), json!(["<p>", "", [], "stop", 0, 0])),
        (Outcome::json(json!({"answer": 5})), json!(["{\"answer\":5}", "", [], "stop", 0, 0])),
        (Outcome::json([1, 2]), json!(["[1,2]", "", [], "stop", 0, 0])),
        (
            Outcome::json(json!({
                "content": "a", "reasoning_content": "hm", "finish_reason": "length",
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9},
            })),
            json!(["a", "hm", [], "length", 1, 2]),
        ),
        (
            Outcome::json(json!({"content": null, "tool_calls": [call]})),
            json!(["", "", [["c", "f", "{\"a\":1}"]], "tool_calls", 0, 0]),
        ),
        (
            Outcome::bytes("application/x-ndjson", lines),
            json!(["ab", "", [["c", "f", "{}"]], "tool_calls", 1, 0]),
        ),
        (Outcome { success: true, ..Outcome::default() }, json!(["", "", [], "stop", 0, 0])),
    ] {
        assert_eq!(reply(outcome), Ok(expected));
    }
}

#[test]
fn a_fault_in_a_result_is_named_with_its_place() {
    for (outcome, expected) in [
        (Outcome::json(json!({"content": 5})), "content is not text"),
        (Outcome::json(json!({"tool_calls": {}})), "tool_calls is not a list"),
        (Outcome::json(json!({"tool_calls": [5]})), "tool_calls[0] is not an object"),
        (
            Outcome::json(json!({"tool_calls": [{"function": {"name": 1}}]})),
            "tool_calls[0].function.name is not text",
        ),
        (
            Outcome::json(json!({"tool_calls": [{"function": {"arguments": 1}}]})),
            "tool_calls[0].function.arguments is neither text nor an object",
        ),
        (Outcome::json(json!({"usage": 1})), "usage is not an object"),
        (
            Outcome::json(json!({"usage": {"prompt_tokens": -1}})),
            "usage.prompt_tokens is not a whole number",
        ),
        (Outcome::json(json!({"finish_reason": []})), "finish_reason is not text"),
        (Outcome::bytes("text/plain", &b"\xff"[..]), "its text is not UTF-8"),
        (
            Outcome::bytes("text/plain", &b"\xc3"[..]),
            "its text is not UTF-8: it ends within a character",
        ),
    ] {
        let expected = format!("the model's answer cannot be read: {expected}");
        assert_eq!(reply(outcome), Err(expected));
    }
    let file = reply(Outcome::bytes("image/png", "x")).unwrap_err();
    assert!(file.contains("it is of the type image/png"), "{file}");
    assert_eq!(reply(Outcome::failure("too dark")), Err("too dark".to_owned()));
}

#[test]
fn chunks_may_end_within_a_character_or_a_line() {
    use crate::http::conversation::chunks::Chunks;
    for (media, whole) in [
        ("text/plain", "caf\u{e9} \u{1f600}"),
        ("application/x-ndjson", "{\"content\":\"caf\u{e9}\"}\n\"\u{1f600}\"\n{\"content\":\"!\"}"),
    ] {
        let mut chunks = Chunks::of(Some(media)).unwrap();
        let mut deltas = Vec::new();
        for byte in whole.as_bytes() {
            deltas.extend(chunks.read(vec![*byte].into()).unwrap());
        }
        deltas.extend(chunks.end().unwrap());
        let content: String = deltas.into_iter().filter_map(|delta| delta.content).collect();
        let expected = if media == "text/plain" { whole } else { "caf\u{e9}\u{1f600}!" };
        assert_eq!(content, expected);
    }
}
