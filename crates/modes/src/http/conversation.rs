//! Conversations with a chat model, independent of the protocol of the client. The messages have the
//! form of OpenAI's chat completions, into which dialects convert those of other protocols.
//!
//! A model whose inputs schema has a JSON input `messages` gets all messages. Any other model gets the
//! text and the pictures of the user's last message, and the messages before it if its schema has the
//! inputs `system` and `history`.

pub(crate) mod chunks;
pub(crate) mod delta;
pub(crate) mod description;
mod members;
pub(crate) mod parts;
pub(crate) mod reply;
pub(crate) mod stream;
pub(crate) mod tool_calls;

use std::sync::Arc;

use ai_integration_contract::{Error, Field, InputsSchema, Kind, RawInputs, RawValue, Shape, Task};
use ai_integration_engine::{Model, Ticket};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json};

use self::parts::{Media, Parts};
use self::reply::Reply;
use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, HANDLED, unfit};
use crate::http::inputs::request::RequestInputs;
use crate::http::inputs::unnamed::{is_text, only};
use crate::http::large::{PASSES, work_on};
use crate::http::tasks;

const MESSAGES: &str = "messages";
const SYSTEM: &str = "system";
const HISTORY: &str = "history";
/// The roles of messages that instruct the model.
const INSTRUCTING: [&str; 2] = ["system", "developer"];
/// Options that protocols name differently.
const SAME: [&[&str]; 2] =
    [&["max_tokens", "max_completion_tokens", "max_output_tokens"], &["stop", "stop_sequences"]];
/// Options that are text. An input of such a name is for the user's message only if it is required.
const TEXT_OPTIONS: [&str; 5] = ["stop", "suffix", "user", "reasoning_effort", "verbosity"];

/// A conversation that the model continues.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// The messages, in the form of OpenAI's chat completions. Each has passed [`check`].
    pub(crate) messages: Vec<Json>,
    /// The other members of the request, which are inputs if the schema has them.
    pub(crate) options: Map<String, Json>,
    /// The member of the request that has the messages, for errors.
    pub(crate) place: &'static str,
}

/// Makes a job of a request for a chat model, which must have one of these tasks. `read` converts the
/// members of the request.
pub(crate) async fn submit(
    app: &App,
    mut call: Call,
    tasks: &[Task],
    envelope: Envelope,
    read: fn(Map<String, Json>) -> Result<Conversation, Error>,
) -> Result<(Arc<Model>, Ticket), Failure> {
    let model = app.model(&mut call).await?;
    tasks::check(&model, tasks)?;
    let Envelope { members, length, reservation } = envelope;
    let convert = {
        let model = model.clone();
        move || read(members)?.into_inputs(&model.schema)
    };
    let raw = Box::pin(work_on(length, convert)).await??;
    app.submit(call, RequestInputs { raw, reservation }).await
}

/// Answers with the whole result of a job, which `write` writes in the words of a protocol.
pub(crate) async fn respond(
    ticket: Ticket,
    write: impl FnOnce(&Reply) -> Result<Json, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    let outcome = ticket.outcome().await?;
    let size = PASSES * outcome.data.len();
    let answer = move || Ok(axum::Json(write(&Reply::of(outcome)?)?).into_response());
    work_on(size, answer).await?
}

impl Conversation {
    /// Makes the inputs of a job from the conversation.
    pub(crate) fn into_inputs(self, schema: &InputsSchema) -> Result<RawInputs, Error> {
        let Conversation { messages, mut options, place } = self;
        if messages.is_empty() {
            return Err(unfit(place, "expected at least one message"));
        }
        let several = options.remove("n").filter(|n| !n.is_null() && n.as_u64() != Some(1));
        if several.is_some() {
            return Err(unfit("n", "expected 1, because each request gets one answer"));
        }
        let mut raw = if has(schema, MESSAGES, is_json) {
            RawInputs::from([(MESSAGES.to_owned(), RawValue::Json(messages.into()))])
        } else {
            of_last_message(schema, messages, place)?
        };
        add_options(schema, options, &mut raw);
        Ok(raw)
    }
}

/// Checks that a message is an object with a role, and that its content is text or a list of parts.
/// `place` is the member of the request that has it, and `index` is its number there.
pub(crate) fn check(message: &Json, place: &str, index: usize) -> Result<(), Error> {
    let fault = match (message.get("role"), message.get("content")) {
        (Some(Json::String(_)), None | Some(Json::Null | Json::String(_))) => return Ok(()),
        (Some(Json::String(_)), Some(Json::Array(parts))) => {
            let mut faults = parts.iter().map(fault_of).enumerate();
            let Some((part, fault)) = faults.find_map(|(part, fault)| Some((part, fault?))) else {
                return Ok(());
            };
            format!(".content[{part}]: {fault}")
        }
        (Some(Json::String(_)), Some(_)) => ".content: expected text or a list of parts".to_owned(),
        _ => ": expected an object with a role".to_owned(),
    };
    Err(Error::new(Kind::MalformedRequest, format!("{place}[{index}]{fault}")))
}

/// Returns what is wrong with a part of a message.
fn fault_of(part: &Json) -> Option<&'static str> {
    let picture = &part["image_url"];
    match part["type"].as_str() {
        None => Some("expected a part with a type"),
        Some("text") if !part["text"].is_string() => Some("expected text"),
        Some("image_url") if !picture.is_string() && !picture["url"].is_string() => {
            Some("expected image_url with a url")
        }
        Some(_) => None,
    }
}

/// Returns the inputs of a model without the input `messages`.
fn of_last_message(
    schema: &InputsSchema,
    mut before: Vec<Json>,
    place: &str,
) -> Result<RawInputs, Error> {
    let last = before.iter().rposition(|message| message["role"] == "user");
    let last = last.ok_or_else(|| unfit(place, "expected a message of the role user"))?;
    let mut rest = before.split_off(last);
    if rest[1..].iter().any(|message| !is_instructing(message)) {
        let fault = "expected the user's message at the end, because the model has no input \
                     \"messages\" for what comes after it";
        return Err(unfit(place, fault));
    }
    let mut message = rest.swap_remove(0);
    before.append(&mut rest);
    let mut parts = Parts::take(&mut message, place)?;
    // A question about a picture may follow the message with the picture.
    if parts.media.is_empty() {
        let users = before.iter().rev().filter(|message| message["role"] == "user");
        let mut media = users.map(|message| parts::take_media(&mut message.clone()));
        parts.media = media.find(|media| !media.is_empty()).unwrap_or_default();
    }
    let mut raw = RawInputs::new();
    let (name, field) = text_input(schema)?;
    if field.required || !parts.text.is_empty() {
        raw.insert(name.to_owned(), RawValue::Text(parts.text));
    }
    add_media(schema, parts.media, place, &mut raw)?;
    if has(schema, SYSTEM, is_text) {
        let texts = before.extract_if(.., |message| is_instructing(message));
        let texts: Vec<String> = texts.map(|mut message| parts::text_of(&mut message)).collect();
        if !texts.is_empty() {
            raw.insert(SYSTEM.to_owned(), RawValue::Text(texts.join("\n")));
        }
    }
    if has(schema, HISTORY, is_json) {
        raw.insert(HISTORY.to_owned(), RawValue::Json(before.into()));
    }
    Ok(raw)
}

fn is_instructing(message: &Json) -> bool {
    INSTRUCTING.iter().any(|role| message["role"] == *role)
}

/// Returns true if the schema has an input of this name and kind, which takes no list.
fn has(schema: &InputsSchema, name: &str, is_kind: fn(&Field) -> bool) -> bool {
    let field = schema.fields().get(name);
    field.is_some_and(|field| field.items.is_none() && is_kind(field))
}

fn is_json(field: &Field) -> bool {
    field.shape() == Shape::Json
}

/// Returns the input for the text of the user's message.
fn text_input(schema: &InputsSchema) -> Result<(&str, &Field), Error> {
    let texts = schema.fields().iter().filter(|(name, field)| {
        let name = name.as_str();
        let is_option = TEXT_OPTIONS.contains(&name) && !field.required;
        let is_other = is_option || name == SYSTEM || name == HISTORY;
        !is_other && field.items.is_none() && is_text(field)
    });
    only(texts).ok_or_else(|| {
        let message = "the model has neither a JSON input \"messages\" nor exactly one required text \
                       input for the user's message";
        Error::new(Kind::MalformedRequest, message)
    })
}

/// Returns true if an input takes the pictures or sounds of a message.
fn is_for_media(field: &Field) -> bool {
    [Media::Picture, Media::Sound].iter().any(|kind| kind.is_for(&field.shape()))
}

/// Adds the pictures and sounds of a message, each kind to the only input for it.
fn add_media(
    schema: &InputsSchema,
    mut media: Vec<(Media, Json)>,
    place: &str,
    raw: &mut RawInputs,
) -> Result<(), Error> {
    for kind in [Media::Picture, Media::Sound] {
        let given = media.extract_if(.., |(given, _)| *given == kind);
        let mut given: Vec<Json> = given.map(|(_, file)| file).collect();
        if given.is_empty() {
            continue;
        }
        let fields = schema.fields().iter().filter(|(_, field)| kind.is_for(&field.shape()));
        let Some((name, field)) = only(fields) else {
            let message = format!("the model has no single input for {}", kind.plural());
            return Err(unfit(place, message));
        };
        let value = match (given.len(), &field.items) {
            (_, Some(_)) => given.into(),
            (1, None) => given.swap_remove(0),
            (count, None) => {
                let what = kind.plural();
                return Err(unfit(
                    name,
                    format!("expected one, but the message has {count} {what}"),
                ));
            }
        };
        raw.insert(name.to_owned(), RawValue::Json(value));
    }
    Ok(())
}

/// Adds the options that the schema has, and that the messages have not given.
fn add_options(schema: &InputsSchema, options: Map<String, Json>, raw: &mut RawInputs) {
    let mut renamed = Vec::new();
    for (name, value) in options {
        if value.is_null() || HANDLED.contains(&name.as_str()) {
            continue;
        }
        if schema.fields().contains_key(&name) {
            // A member of the protocol, such as `text` of a response, may have the name of an input.
            raw.entry(name).or_insert(RawValue::Json(value));
        } else {
            let same = SAME.iter().find(|names| names.contains(&name.as_str()));
            let names = same.into_iter().flat_map(|names| names.iter());
            renamed.extend(names.map(|name| ((*name).to_owned(), value.clone())));
        }
    }
    for (name, value) in renamed {
        if schema.fields().contains_key(&name) {
            raw.entry(name).or_insert(RawValue::Json(value));
        }
    }
}

#[cfg(test)]
mod tests;
