//! Speech from a text: `POST /v1/audio/speech`. The answer is the sound itself, whole or as it is made.

use ai_integration_contract::{Error, Kind, RawValue, Task};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use crate::http::app::App;
use crate::http::dialects::native;
use crate::http::dialects::openai::fields::{from_json, keep_known, take_text, text_input};
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::{Envelope, unfit};
use crate::http::inputs::request::RequestInputs;
use crate::http::tasks;

pub(super) async fn speech(
    State(app): State<App>,
    mut call: Call,
    envelope: Envelope,
) -> Result<Response, Failure> {
    let model = app.model(&mut call).await?;
    tasks::check(&model, &[Task::Speech])?;
    let Envelope { members, reservation, .. } = envelope;
    let mut raw = from_json(members);
    let missing = || unfit("input", "missing; expected text");
    let text = take_text(&mut raw, "input")?.ok_or_else(missing)?;
    if take_text(&mut raw, "stream_format")?.is_some_and(|format| format != "audio") {
        return Err(unfit("stream_format", "expected audio").into());
    }
    let (name, _) = text_input(&model.schema, "input")?;
    keep_known(&model.schema, &mut raw);
    raw.insert(name.to_owned(), RawValue::Text(text));
    let context = call.context.clone();
    let (_, ticket) = app.submit(call, RequestInputs { raw, reservation }).await?;
    let response = native::streamed(app, context, ticket, false).await?;
    check(&response)?;
    Ok(response)
}

/// Refuses a result that is no sound, which a client would write into the file of one.
fn check(response: &Response) -> Result<(), Error> {
    let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = media.unwrap_or_default();
    if media.starts_with("audio/") || media.starts_with("application/octet-stream") {
        return Ok(());
    }
    Err(Error::new(Kind::ModelFailed, format!("the model's result is {media}, and not a sound")))
}
