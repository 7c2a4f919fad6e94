//! Converts the items of a request into messages.

use ai_integration_contract::Error;
use serde_json::{Map, Value, json};

use crate::http::conversation::{Conversation, check};
use crate::http::inputs::envelope::{excerpt, unfit};

/// Members for which a server must store responses.
const STORED: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// Reads a request.
pub(crate) fn read(mut members: Map<String, Value>) -> Result<Conversation, Error> {
    for name in STORED {
        if members.get(name).is_some_and(|value| !value.is_null()) {
            let message = "this server stores nothing; send the whole conversation in \"input\"";
            return Err(unfit(name, message));
        }
    }
    if members.get("background") == Some(&Value::Bool(true)) {
        return Err(unfit("background", "this server stores nothing; send false"));
    }
    let mut messages = Vec::new();
    match members.remove("instructions") {
        None | Some(Value::Null) => {}
        Some(text @ Value::String(_)) => messages.push(json!({"role": "system", "content": text})),
        Some(_) => return Err(unfit("instructions", "expected text")),
    }
    match members.remove("input") {
        Some(text @ Value::String(_)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                let begun = messages.len();
                add(&mut messages, item)
                    .map_err(|fault| unfit(&format!("input[{index}]"), fault))?;
                for message in &messages[begun..] {
                    check(message, "input", index)?;
                }
            }
        }
        _ => return Err(unfit("input", "expected text or a list of items")),
    }
    if let Some(Value::Array(tools)) = members.get_mut("tools") {
        tools.iter_mut().for_each(nest_function);
    }
    if let Some(choice) = members.get_mut("tool_choice").filter(|choice| choice.is_object()) {
        nest_function(choice);
    }
    Ok(Conversation { messages, options: members, place: "input" })
}

/// Adds an item as a message, or to the last message.
fn add(messages: &mut Vec<Value>, mut item: Value) -> Result<(), String> {
    let kind = item["type"].as_str().unwrap_or("message");
    match kind {
        "message" if item["role"].is_string() => {
            if let Value::Array(parts) = &mut item["content"] {
                for part in parts {
                    convert_part(part)?;
                }
            }
            let content = item["content"].take();
            messages.push(json!({"role": item["role"].take(), "content": content}));
        }
        "message" => return Err("expected a message with a role".to_owned()),
        "function_call" => add_call(messages, item),
        "function_call_output" => {
            let mut output = item["output"].take();
            for part in output.as_array_mut().into_iter().flatten() {
                convert_part(part)?;
            }
            let id = item["call_id"].take();
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": output}));
        }
        // The thoughts of earlier answers are not needed to go on.
        "reasoning" => {}
        other => return Err(format!("items of the type {:?} are not supported", excerpt(other))),
    }
    Ok(())
}

/// Adds a call to the message of the assistant that made it.
fn add_call(messages: &mut Vec<Value>, mut item: Value) {
    let function = json!({"name": item["name"].take(), "arguments": item["arguments"].take()});
    let call = json!({"id": item["call_id"].take(), "type": "function", "function": function});
    let last = messages.last_mut().filter(|message| message["role"] == "assistant");
    let Some(Value::Object(message)) = last else {
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        return;
    };
    match message.get_mut("tool_calls") {
        Some(Value::Array(calls)) => calls.push(call),
        _ => drop(message.insert("tool_calls".to_owned(), json!([call]))),
    }
}

/// Converts a part of a message into that of chat completions.
fn convert_part(part: &mut Value) -> Result<(), String> {
    let kind = part["type"].as_str().unwrap_or_default();
    *part = match kind {
        "input_text" | "output_text" | "text" => {
            json!({"type": "text", "text": part["text"].take()})
        }
        "refusal" => json!({"type": "text", "text": part["refusal"].take()}),
        "input_image" if part["image_url"].is_string() => {
            json!({"type": "image_url", "image_url": {"url": part["image_url"].take()}})
        }
        "input_image" => return Err("a picture is without image_url".to_owned()),
        "input_audio" => json!({"type": "input_audio", "input_audio": part["input_audio"].take()}),
        other => return Err(format!("parts of the type {:?} are not supported", excerpt(other))),
    };
    Ok(())
}

/// Puts the members of a function into an object of their own, as chat completions have it.
fn nest_function(tool: &mut Value) {
    let Value::Object(members) = tool else { return };
    if members.get("type").is_some_and(|kind| kind == "function")
        && !members.contains_key("function")
    {
        members.remove("type");
        *tool = json!({"type": "function", "function": std::mem::take(members)});
    }
}
