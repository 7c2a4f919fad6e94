//! The dialect of the Open Inference Protocol (version 2) over REST, which KServe, Triton, MLServer and
//! others serve, with Triton's extensions for binary tensors, model configuration, statistics and
//! the model repository.
//!
//! An input of the model is a tensor, and the result is the tensor `output`; `http/tensors` has the
//! rules. Failures are `{"error": …}`.

mod models;
mod operations;
pub(crate) mod request;
mod response;
mod served;

use std::sync::Arc;
use std::time::Instant;

use ai_integration_contract::{Environment, SettingError};
use ai_integration_engine::Model;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get, post};

use self::request::{InferRequest, ResponseForm};
use self::served::Named;
use crate::http::app::App;
use crate::http::description::Description;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Refusal, Wording};
use crate::http::inputs::call::Call;
use crate::http::large::{PASSES, work_on};
use crate::http::records;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};
use crate::http::tensors::answer::Answer;
use crate::http::tensors::mapping::Inference;

/// The addresses of Triton's extensions that need a machine or a log that clients share with the
/// server. Clients get a response that says so.
const UNSUPPORTED: [&str; 8] = [
    "/v2/systemsharedmemory/{*rest}",
    "/v2/cudasharedmemory/{*rest}",
    "/v2/xpusharedmemory/{*rest}",
    "/v2/trace/setting",
    "/v2/logging",
    "/v2/models/{model}/trace/setting",
    "/v2/models/{model}/generate",
    "/v2/models/{model}/generate_stream",
];

pub(crate) struct Oip;

impl Dialect for Oip {
    fn name(&self) -> &'static str {
        "oip"
    }

    fn takes_compressed(&self) -> bool {
        true
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let routes = Routes::new()
            .at("/v2", get(models::server))
            .at("/v2/health/live", get(models::live))
            .at("/v2/health/ready", get(models::ready))
            .at("/v2/models", get(models::list))
            .at("/v2/models/stats", get(models::all_statistics))
            .at("/v2/models/{model}", get(models::model))
            .at("/v2/models/{model}/ready", get(models::model_ready))
            .at("/v2/models/{model}/infer", post(infer))
            .at("/v2/models/{model}/config", get(models::config))
            .at("/v2/models/{model}/stats", get(models::statistics))
            .at("/v2/models/{model}/versions/{version}", get(models::model))
            .at("/v2/models/{model}/versions/{version}/ready", get(models::model_ready))
            .at("/v2/models/{model}/versions/{version}/infer", post(infer))
            .at("/v2/models/{model}/versions/{version}/config", get(models::config))
            .at("/v2/models/{model}/versions/{version}/stats", get(models::statistics))
            .at("/v2/repository/index", post(models::index))
            .at("/v2/repository/models/{model}/load", post(models::load))
            .at("/v2/repository/models/{model}/unload", post(models::unload));
        let routes = UNSUPPORTED
            .into_iter()
            .fold(routes, |routes, address| routes.unlabelled(address, any(unsupported)));
        Ok(routes.with_state(app.clone()))
    }

    fn describe(&self, _model: &Model) -> Description {
        operations::describe()
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        failure.as_error(wording)
    }
}

async fn infer(
    State(app): State<App>,
    named: Named,
    mut call: Call,
    request: InferRequest,
) -> Result<Response, Failure> {
    let statistics = app.statistics();
    let InferRequest { content, form } = request;
    call.shorten(content.timeout()?);
    let model = app.model(&mut call).await?;
    named.check(&app, &model)?;
    let begun = Instant::now();
    let ended = match content.inference(&model.schema) {
        Ok(inference) => run(&app, &model, call, inference, form).await,
        Err(error) => Err(error.into()),
    };
    match &ended {
        Ok((records, _)) => statistics.succeeded(*records, begun.elapsed()),
        Err(_) => statistics.failed(begun.elapsed()),
    }
    ended.map(|(_, response)| response)
}

/// Runs the model, and returns the number of records and the response.
async fn run(
    app: &App,
    model: &Arc<Model>,
    mut call: Call,
    inference: Inference,
    form: ResponseForm,
) -> Result<(usize, Response), Failure> {
    let records = inference.records(app, model, &mut call).await?;
    let count = records.len();
    let outcomes = records::run(app, model, call, records).await?;
    let size = records::size(&outcomes);
    let size = if form.is_binary { 0 } else { PASSES * size };
    let (app, model) = (app.clone(), model.clone());
    let write = move || {
        let answer = Answer::of(outcomes);
        response::write(&app.model_id(&model), app.model_version(&model), form, answer)
    };
    Ok((count, work_on(size, write).await??))
}

async fn unsupported() -> Failure {
    let message = "this server has no shared memory, trace settings, log settings or text \
                   generation; send tensors in the request, and see /v2 for its extensions";
    Failure::refused(Refusal::NotFound, message)
}
