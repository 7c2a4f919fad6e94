//! The text of a recording: `POST /v1/audio/transcriptions`, and in English `/v1/audio/translations`.

mod transcript;

use ai_integration_contract::{InputsSchema, RawInputs, RawValue, Task};
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use self::transcript::{Format, Transcript};
use crate::http::app::App;
use crate::http::dialects::openai::fields::{
    file_input, join_lists, keep_known, take, take_flag, take_text, unfit,
};
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::RequestInputs;
use crate::http::large::work_on;
use crate::http::tasks;

const FILE: &str = "file";
/// The input that tells a model of both kinds which one is wanted, as Whisper has it.
const TASK: &str = "task";
/// The number of times that the bytes of a result are processed while the response is made.
const PASSES: usize = 3;

pub(super) async fn transcriptions(
    State(app): State<App>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    run(app, call, inputs, "transcribe").await
}

pub(super) async fn translations(
    State(app): State<App>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    run(app, call, inputs, "translate").await
}

async fn run(
    app: App,
    mut call: Call,
    inputs: RequestInputs,
    task: &'static str,
) -> Result<Response, Failure> {
    let model = app.model(&mut call).await?;
    tasks::check(&model, &[Task::Transcription])?;
    let RequestInputs { raw, reservation } = inputs;
    let mut raw = join_lists(raw);
    let format = Format::read(take_text(&mut raw, "response_format")?)?;
    let _is_streamed = take_flag(&mut raw, "stream")?;
    let language = match raw.get("language") {
        Some(RawValue::Text(text) | RawValue::Json(Value::String(text))) => Some(text.clone()),
        _ => None,
    };
    place(&model.schema, &mut raw, task)?;
    let (_, ticket) = app.submit(call, RequestInputs { raw, reservation }).await?;
    let outcome = Failure::check_outcome(ticket.outcome().await?)?;
    let size = PASSES * outcome.data.len();
    let write = move || Transcript::of(&outcome)?.write(format, task, language);
    Ok(work_on(size, write).await??)
}

/// Gives the recording to the input for it, and leaves out what is no input.
pub(super) fn place(schema: &InputsSchema, raw: &mut RawInputs, task: &str) -> Result<(), Failure> {
    let file = take(raw, FILE).ok_or_else(|| unfit(FILE, "missing; expected a sound"))?;
    let (name, _) = file_input(schema, FILE, "audio", &[]).ok_or_else(|| {
        unfit(FILE, "the model does not have exactly one required input for a sound")
    })?;
    keep_known(schema, raw);
    raw.insert(name.to_owned(), file);
    if task == "translate" && schema.fields().contains_key(TASK) && !raw.contains_key(TASK) {
        raw.insert(TASK.to_owned(), RawValue::Text(task.to_owned()));
    }
    Ok(())
}
