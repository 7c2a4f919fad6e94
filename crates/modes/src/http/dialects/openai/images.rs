//! Pictures from a text (`POST /v1/images/generations`), and from pictures (`/v1/images/edits` and
//! `/v1/images/variations`).

mod pictures;

use ai_integration_contract::{Error, InputsSchema, RawInputs, RawValue, Task};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use self::pictures::{events, pictures};
use crate::http::app::App;
use crate::http::dialects::openai::error;
use crate::http::dialects::openai::fields::{
    file_input, from_json, join_lists, keep_known, take, take_flag, take_text, text_input,
};
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, unfit};
use crate::http::inputs::request::{RequestInputs, extent};
use crate::http::large::{PASSES, work_on};
use crate::http::records::{self, copies};
use crate::http::server_sent::{self, put};
use crate::http::tasks;

const PROMPT: &str = "prompt";
const IMAGE: &str = "image";
const MASK: &str = "mask";

pub(super) async fn generations(
    State(app): State<App>,
    call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let Envelope { members, reservation, .. } = envelope;
    let inputs = RequestInputs { raw: from_json(members), reservation };
    run(app, call, inputs, false).await
}

/// Answers for both addresses with pictures. They differ only in the prompt, which may be missing.
pub(super) async fn edits(
    State(app): State<App>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    run(app, call, inputs, true).await
}

async fn run(
    app: App,
    mut call: Call,
    inputs: RequestInputs,
    has_picture: bool,
) -> Result<Response, Failure> {
    let model = app.model(&mut call).await?;
    tasks::check(&model, &[Task::Image])?;
    let RequestInputs { raw, reservation } = inputs;
    let mut raw = join_lists(raw);
    let is_url = wants_url(&mut raw)?;
    let is_streamed = take_flag(&mut raw, "stream")?;
    let count = count(&model.schema, &mut raw)?;
    place(&model.schema, &mut raw, has_picture)?;
    let length = extent(&raw);
    let inputs = RequestInputs { raw, reservation };
    let jobs = copies(inputs, length, count, app.max_records())?;
    let context = call.context.clone();
    let tickets = records::submit(&app, &model, call, jobs).await?;
    if is_streamed {
        let kind = if has_picture { "image_edit.completed" } else { "image_generation.completed" };
        let made = async move {
            let outcomes = records::outcomes(tickets).await?;
            let size = records::size(&outcomes);
            let write = move || pictures(outcomes, false).map(|made| events(&made, kind));
            work_on(PASSES * size, write).await?
        };
        let fail = move |failure: &Failure| {
            app.record_late(failure, &context);
            let mut event = Vec::new();
            put(&mut event, &error::body(failure, app.wording()));
            event
        };
        return server_sent::respond_late(made, fail).await;
    }
    let outcomes = records::outcomes(tickets).await?;
    let size = records::size(&outcomes);
    let write = move || pictures(outcomes, is_url).map(|made| Json(made).into_response());
    work_on(PASSES * size, write).await?
}

/// Gives the prompt, the pictures and the mask to the inputs for them, and leaves out what is no input.
pub(super) fn place(
    schema: &InputsSchema,
    raw: &mut RawInputs,
    has_picture: bool,
) -> Result<(), Error> {
    let prompt = take(raw, PROMPT);
    if !has_picture {
        keep_known(schema, raw);
        return place_prompt(schema, raw, prompt, true);
    }
    let (image, mask) = (take(raw, IMAGE), take(raw, MASK));
    keep_known(schema, raw);
    let image = image.ok_or_else(|| unfit(IMAGE, "missing; expected a picture"))?;
    let (name, field) = file_input(schema, IMAGE, IMAGE, &[MASK]).ok_or_else(|| {
        unfit(IMAGE, "the model does not have exactly one required input for a picture")
    })?;
    let image = match image {
        RawValue::List(mut images) if field.items.is_none() && images.len() == 1 => {
            images.pop().unwrap_or(RawValue::Json(Value::Null))
        }
        RawValue::List(_) if field.items.is_none() => {
            return Err(unfit(IMAGE, "the model takes one picture; send only one"));
        }
        image => image,
    };
    raw.insert(name.to_owned(), image);
    if let Some(mask) = mask {
        if !schema.fields().contains_key(MASK) || name == MASK {
            return Err(unfit(MASK, "the model takes no mask; leave it out"));
        }
        raw.insert(MASK.to_owned(), mask);
    }
    place_prompt(schema, raw, prompt, false)
}

/// Gives the prompt to the input for it. A model that changes pictures may have none.
fn place_prompt(
    schema: &InputsSchema,
    raw: &mut RawInputs,
    prompt: Option<RawValue>,
    is_needed: bool,
) -> Result<(), Error> {
    match (prompt, text_input(schema, PROMPT)) {
        (Some(prompt), Ok((name, _))) => drop(raw.insert(name.to_owned(), prompt)),
        (None, _) if is_needed => return Err(unfit(PROMPT, "missing; expected text")),
        (Some(_), Err(error)) if is_needed => return Err(error),
        _ => {}
    }
    Ok(())
}

/// Returns the number of jobs, one for each picture. A model with an input `n` makes all pictures in
/// one job.
pub(super) fn count(schema: &InputsSchema, raw: &mut RawInputs) -> Result<usize, Error> {
    if schema.fields().contains_key("n") {
        return Ok(1);
    }
    let number = match take(raw, "n") {
        None => return Ok(1),
        Some(RawValue::Json(Value::Number(number))) => number.as_u64(),
        Some(RawValue::Text(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let number = number.and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| unfit("n", "expected a whole number of at least 1"))
}

fn wants_url(raw: &mut RawInputs) -> Result<bool, Error> {
    match take_text(raw, "response_format")?.as_deref() {
        None | Some("b64_json") => Ok(false),
        Some("url") => Ok(true),
        Some(_) => Err(unfit("response_format", "expected b64_json or url")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn placed(source: &Value, given: &Value, has_picture: bool) -> Result<Value, String> {
        let (schema, _) = InputsSchema::parse(source);
        let mut raw = join_lists(from_json(given.as_object().unwrap().clone()));
        place(&schema, &mut raw, has_picture).map_err(|error| error.message.to_string())?;
        let plain = |value: RawValue| match value {
            RawValue::Json(value) => value,
            RawValue::List(items) => json!({"list": items.len()}),
            other => panic!("{other:?}"),
        };
        Ok(Value::Object(raw.into_iter().map(|(name, value)| (name, plain(value))).collect()))
    }

    #[test]
    fn the_prompt_the_pictures_and_the_mask_find_their_inputs() {
        let text = json!({"text": "text", "size": {"type": "text", "required": false}});
        let picture = json!({"photo": "image"});
        let both = json!({"image": "image", "mask": {"type": "image", "required": false},
                          "prompt": {"type": "text", "required": false}});
        let list = json!({"image": {"type": "image", "list": true}, "prompt": "text"});
        for (schema, given, has_picture, expected) in [
            (
                &text,
                json!({"prompt": "a", "size": "1x1", "quality": "high", "user": null}),
                false,
                json!({"size": "1x1", "text": "a"}),
            ),
            (&picture, json!({"image": "QQ==", "prompt": "a"}), true, json!({"photo": "QQ=="})),
            (&picture, json!({"image[]": "QQ=="}), true, json!({"photo": "QQ=="})),
            (
                &both,
                json!({"image": "QQ==", "mask": "Qg==", "prompt": "a"}),
                true,
                json!({"image": "QQ==", "mask": "Qg==", "prompt": "a"}),
            ),
            (&both, json!({"image": "QQ=="}), true, json!({"image": "QQ=="})),
            (
                &list,
                json!({"image[]": "QQ==", "image": "Qg==", "prompt": "a"}),
                true,
                json!({"image": {"list": 2}, "prompt": "a"}),
            ),
        ] {
            assert_eq!(placed(schema, &given, has_picture), Ok(expected), "{given}");
        }
        for (schema, given, has_picture, words) in [
            (&text, json!({}), false, "prompt: missing"),
            (&picture, json!({"prompt": "a"}), false, "exactly one required text input"),
            (&picture, json!({}), true, "image: missing"),
            (&picture, json!({"image": "QQ==", "mask": "Qg=="}), true, "takes no mask"),
            (&picture, json!({"image": "QQ==", "image[]": "Qg=="}), true, "takes one picture"),
            (&text, json!({"image": "QQ=="}), true, "image: the model does not have"),
        ] {
            let error = placed(schema, &given, has_picture).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn each_picture_is_a_job_unless_the_model_counts_itself() {
        let (plain, _) = InputsSchema::parse(&json!({"text": "text"}));
        let (counting, _) = InputsSchema::parse(&json!({"text": "text", "n": "integer"}));
        for (given, expected) in [
            (None, Some(1)),
            (Some(RawValue::Json(json!(3))), Some(3)),
            (Some(RawValue::Json(json!(null))), Some(1)),
            (Some(RawValue::Text("2".to_owned())), Some(2)),
            (Some(RawValue::Json(json!(0))), None),
            (Some(RawValue::Json(json!(1.5))), None),
            (Some(RawValue::Text("-1".to_owned())), None),
            (Some(RawValue::Json(json!([1]))), None),
        ] {
            let mut raw: RawInputs = given.into_iter().map(|n| ("n".to_owned(), n)).collect();
            assert_eq!(count(&counting, &mut raw), Ok(1));
            assert_eq!(count(&plain, &mut raw).ok(), expected);
            assert!(raw.is_empty());
        }
    }
}
