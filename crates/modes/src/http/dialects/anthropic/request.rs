//! Converts the members of a request into those of OpenAI's chat completions.

use ai_integration_contract::Error;
use serde_json::{Map, Value, json};

use crate::http::conversation::{Conversation, check};
use crate::http::inputs::envelope::{excerpt, unfit};

/// Reads a request.
pub(crate) fn read(mut members: Map<String, Value>) -> Result<Conversation, Error> {
    let mut messages = Vec::new();
    match members.remove("system") {
        None | Some(Value::Null) => {}
        Some(system @ (Value::String(_) | Value::Array(_))) => {
            let text = text_of(system).ok_or_else(|| unfit("system", "expected text blocks"))?;
            messages.push(json!({"role": "system", "content": text}));
        }
        Some(_) => return Err(unfit("system", "expected text or a list of text blocks")),
    }
    let Some(Value::Array(given)) = members.remove("messages") else {
        return Err(unfit("messages", "expected a list of messages"));
    };
    for (index, message) in given.into_iter().enumerate() {
        let fault = |fault: String| unfit(&format!("messages[{index}]"), fault);
        let begun = messages.len();
        add(&mut messages, message).map_err(fault)?;
        for message in &messages[begun..] {
            check(message, "messages", index)?;
        }
    }
    if let Some(Value::Array(tools)) = members.get_mut("tools") {
        tools.iter_mut().for_each(convert_tool);
    }
    if let Some(choice) = members.get_mut("tool_choice") {
        *choice = converted_choice(choice.take());
    }
    Ok(Conversation { messages, options: members, place: "messages" })
}

/// Returns the text of text blocks, or `None` if one of them is no text.
fn text_of(blocks: Value) -> Option<Value> {
    let Value::Array(blocks) = blocks else { return Some(blocks) };
    let texts: Option<Vec<&str>> = blocks.iter().map(|block| block["text"].as_str()).collect();
    texts.map(|texts| texts.join("\n").into())
}

/// Adds a message of Anthropic's form. The results of tools become messages of their own.
fn add(messages: &mut Vec<Value>, mut message: Value) -> Result<(), String> {
    if !message["role"].is_string() {
        return Err("expected an object with a role".to_owned());
    }
    let (role, content) = (message["role"].take(), message["content"].take());
    let Value::Array(blocks) = content else {
        messages.push(json!({"role": role, "content": content}));
        return Ok(());
    };
    let (mut parts, mut calls) = (Vec::new(), Vec::new());
    for mut block in blocks {
        match block["type"].as_str().unwrap_or_default() {
            "tool_use" => calls.push(converted_call(block)),
            "tool_result" => {
                let content = match block["content"].take() {
                    Value::Array(blocks) => simplified(converted(blocks)?),
                    other => other,
                };
                let id = block["tool_use_id"].take();
                let mut result = json!({"role": "tool", "tool_call_id": id, "content": content});
                // OpenAI's messages have no member that says so, but the model may need to know.
                if block["is_error"] == true {
                    result["is_error"] = true.into();
                }
                messages.push(result);
            }
            // The thoughts of earlier answers are not needed to go on.
            "thinking" | "redacted_thinking" => {}
            _ => parts.extend(converted(vec![block])?),
        }
    }
    if parts.is_empty() && calls.is_empty() {
        return Ok(());
    }
    let content = if parts.is_empty() { Value::Null } else { simplified(parts) };
    let mut message = json!({"role": role, "content": content});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    messages.push(message);
    Ok(())
}

/// Returns a single text as text, and other parts as a list.
fn simplified(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [part] if part["type"] == "text" => part["text"].take(),
        _ => parts.into(),
    }
}

/// Converts blocks into the parts of a message.
fn converted(blocks: Vec<Value>) -> Result<Vec<Value>, String> {
    let parts = blocks.into_iter().map(|mut block| {
        Ok(match block["type"].as_str().unwrap_or_default() {
            "text" => json!({"type": "text", "text": block["text"].take()}),
            "image" => {
                let url = url(block["source"].take())?;
                json!({"type": "image_url", "image_url": {"url": url}})
            }
            other => {
                return Err(format!("blocks of the type {:?} are not supported", excerpt(other)));
            }
        })
    });
    parts.collect()
}

/// Returns the URL of a picture.
fn url(mut source: Value) -> Result<Value, String> {
    match source["type"].as_str().unwrap_or_default() {
        "url" => Ok(source["url"].take()),
        "base64" => {
            let media = source["media_type"].as_str().unwrap_or("image/png").to_owned();
            let Value::String(mut data) = source["data"].take() else {
                return Err("a picture in base64 is without data".to_owned());
            };
            data.insert_str(0, &format!("data:{media};base64,"));
            Ok(data.into())
        }
        other => Err(format!("pictures of the source {:?} are not supported", excerpt(other))),
    }
}

fn converted_call(mut block: Value) -> Value {
    let input = match block["input"].take() {
        Value::Null => "{}".to_owned(),
        input => input.to_string(),
    };
    let function = json!({"name": block["name"].take(), "arguments": input});
    json!({"id": block["id"].take(), "type": "function", "function": function})
}

/// Converts the description of a tool. One that runs at Anthropic stays as it is.
fn convert_tool(tool: &mut Value) {
    let Value::Object(members) = tool else { return };
    if let Some(schema) = members.remove("input_schema") {
        members.remove("type");
        members.insert("parameters".to_owned(), schema);
        *tool = json!({"type": "function", "function": std::mem::take(members)});
    }
}

fn converted_choice(mut choice: Value) -> Value {
    match choice["type"].as_str().unwrap_or_default() {
        "any" => "required".into(),
        "tool" => json!({"type": "function", "function": {"name": choice["name"].take()}}),
        named @ ("auto" | "none") => named.into(),
        _ => choice,
    }
}
