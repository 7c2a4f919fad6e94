//! The text of a recording: `POST /v1/audio/transcriptions`, and in English `/v1/audio/translations`.

mod transcript;

use ai_integration_contract::{InputsSchema, Outcome, RawInputs, RawValue, Task};
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use self::transcript::{Format, Transcript};
use crate::http::app::App;
use crate::http::conversation::delta::Delta;
use crate::http::conversation::stream::{self, EventWriter};
use crate::http::dialects::openai::error;
use crate::http::dialects::openai::fields::{
    file_input, join_lists, keep_known, take, take_flag, take_text,
};
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::call::Call;
use crate::http::inputs::envelope::unfit;
use crate::http::inputs::request::RequestInputs;
use crate::http::large::{PASSES, work_on};
use crate::http::server_sent::put;
use crate::http::tasks;

const FILE: &str = "file";
/// The input that tells a model of both kinds which one is wanted, as Whisper has it.
const TASK: &str = "task";
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
    let format = Format::read(take_text(&mut raw, "response_format")?.as_deref())?;
    let is_streamed = take_flag(&mut raw, "stream")?;
    let language = match raw.get("language") {
        Some(RawValue::Text(text) | RawValue::Json(Value::String(text))) => Some(text.clone()),
        _ => None,
    };
    place(&model.schema, &mut raw, task)?;
    let context = call.context.clone();
    let (_, ticket) = app.submit(call, RequestInputs { raw, reservation }).await?;
    if is_streamed {
        return stream::respond(app, context, ticket, TranscriptEvents::default()).await;
    }
    let outcome = Failure::check_outcome(ticket.outcome().await?)?;
    let size = PASSES * outcome.data.len();
    let write = move || Transcript::of(&outcome)?.write(format, task, language);
    Ok(work_on(size, write).await??)
}

/// Writes a transcription as events.
#[derive(Default)]
struct TranscriptEvents {
    /// The text so far, which the last event has as a whole.
    text: String,
}

impl EventWriter for TranscriptEvents {
    const KEEPS_TEXT: bool = true;

    fn begin(&mut self, _to: &mut Vec<u8>) {}

    fn text(&mut self, text: &str, to: &mut Vec<u8>) {
        self.text.push_str(text);
        put(to, &json!({"type": "transcript.text.delta", "delta": text}));
    }

    fn whole(&mut self, outcome: Outcome) -> Result<Vec<Delta>, Failure> {
        let outcome = Failure::check_outcome(outcome)?;
        Ok(vec![Delta::text(Transcript::of(&outcome)?.text)])
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        put(to, &json!({"type": "transcript.text.done", "text": self.text}));
    }

    fn fail(&mut self, failure: &Failure, wording: Wording, to: &mut Vec<u8>) {
        put(to, &error::body(failure, wording));
    }
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
