//! The methods of the inference service that describe the server and its model.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ai_integration_engine::Model;
use axum::extract::State;
use axum::response::Response;

use super::answers::unary;
use super::messages::Unary;
use super::protocol::model_metadata_response::TensorMetadata;
use super::protocol::repository_index_response::ModelIndex;
use super::protocol::{
    DataType, InferStatistics, ModelConfig, ModelConfigRequest, ModelConfigResponse, ModelInput,
    ModelMetadataRequest, ModelMetadataResponse, ModelOutput, ModelReadyRequest,
    ModelReadyResponse, ModelStatistics, ModelStatisticsRequest, ModelStatisticsResponse,
    RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelRequest,
    RepositoryModelResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse, StatisticDuration,
};
use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::metadata;
use crate::http::tensors::statistics::Durations;

/// The extensions of Triton that the service has.
const EXTENSIONS: [&str; 3] = ["model_configuration", "model_repository", "statistics"];

/// The model's id and version, as clients name them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Named {
    fn of(app: &App, model: &Model) -> Self {
        Named { name: app.model_id(model), version: app.model_version(model).to_owned() }
    }

    /// Refuses a request for another model than the one that is served. A request need not name a
    /// version.
    pub(crate) fn check(
        app: &App,
        model: &Model,
        name: &str,
        version: &str,
    ) -> Result<Self, Failure> {
        let served = Named::of(app, model);
        if name == served.name && (version.is_empty() || version == served.version) {
            return Ok(served);
        }
        let Named { name, version } = served;
        let message = format!(
            "there is no such model; this server has the model {name:?} in version {version:?}"
        );
        Err(Failure::refused(Refusal::NotFound, message))
    }
}

pub(crate) async fn live(_: Unary<ServerLiveRequest>) -> Result<Response, Failure> {
    unary(&ServerLiveResponse { live: true })
}

pub(crate) async fn ready(
    State(app): State<App>,
    _: Unary<ServerReadyRequest>,
) -> Result<Response, Failure> {
    unary(&ServerReadyResponse { ready: app.unready().is_none() })
}

pub(crate) async fn server(_: Unary<ServerMetadataRequest>) -> Result<Response, Failure> {
    unary(&ServerMetadataResponse {
        name: metadata::PLATFORM.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    })
}

pub(crate) async fn model_ready(
    State(app): State<App>,
    Unary(request): Unary<ModelReadyRequest>,
) -> Result<Response, Failure> {
    // While the model is being loaded, its name may not be known yet.
    if let Some(model) = app.engine().model_now() {
        Named::check(&app, &model, &request.name, &request.version)?;
    }
    unary(&ModelReadyResponse { ready: app.unready().is_none() })
}

pub(crate) async fn metadata(
    State(app): State<App>,
    Unary(request): Unary<ModelMetadataRequest>,
) -> Result<Response, Failure> {
    let (model, named) = named(&app, &request.name, &request.version).await?;
    let tensor = |tensor: metadata::TensorMetadata<'_>| TensorMetadata {
        name: tensor.name.to_owned(),
        datatype: tensor.datatype.name().to_owned(),
        shape: tensor.shape,
    };
    unary(&ModelMetadataResponse {
        name: named.name,
        versions: vec![named.version],
        platform: metadata::PLATFORM.to_owned(),
        inputs: metadata::inputs(&model.schema).map(tensor).collect(),
        outputs: vec![tensor(metadata::output())],
    })
}

pub(crate) async fn config(
    State(app): State<App>,
    Unary(request): Unary<ModelConfigRequest>,
) -> Result<Response, Failure> {
    let (model, named) = named(&app, &request.name, &request.version).await?;
    let input = |tensor: metadata::TensorMetadata<'_>| ModelInput {
        name: tensor.name.to_owned(),
        data_type: data_type(tensor.datatype).into(),
        dims: tensor.shape,
        optional: tensor.is_optional,
    };
    let output = metadata::output();
    let output = ModelOutput {
        name: output.name.to_owned(),
        data_type: data_type(output.datatype).into(),
        dims: output.shape,
    };
    let config = ModelConfig {
        name: named.name,
        platform: metadata::PLATFORM.to_owned(),
        // The dimensions include the one of the records.
        max_batch_size: 0,
        input: metadata::inputs(&model.schema).map(input).collect(),
        output: vec![output],
        backend: metadata::PLATFORM.to_owned(),
    };
    unary(&ModelConfigResponse { config: Some(config) })
}

pub(crate) async fn statistics(
    State(app): State<App>,
    Unary(request): Unary<ModelStatisticsRequest>,
) -> Result<Response, Failure> {
    let model = app.loaded_model().await?;
    // No name means all models.
    let named = if request.name.is_empty() {
        Named::of(&app, &model)
    } else {
        Named::check(&app, &model, &request.name, &request.version)?
    };
    let counted = app.statistics();
    let duration = |durations: &Durations| {
        let (count, nanoseconds) = (&durations.count, &durations.nanoseconds);
        Some(StatisticDuration { count: count.load(Relaxed), ns: nanoseconds.load(Relaxed) })
    };
    let (success, fail) = (duration(&counted.succeeded), duration(&counted.failed));
    // Each record is a job of the model.
    let records = counted.records.load(Relaxed);
    let statistics = ModelStatistics {
        name: named.name,
        version: named.version,
        last_inference: counted.last.load(Relaxed),
        inference_count: records,
        execution_count: records,
        inference_stats: Some(InferStatistics { success, fail }),
    };
    unary(&ModelStatisticsResponse { model_stats: vec![statistics] })
}

pub(crate) async fn index(
    State(app): State<App>,
    Unary(request): Unary<RepositoryIndexRequest>,
) -> Result<Response, Failure> {
    let reason = app.unready();
    let mut models = Vec::new();
    if reason.is_none() || !request.ready {
        let model = app.loaded_model().await?;
        let Named { name, version } = Named::of(&app, &model);
        let state = if reason.is_none() { "READY" } else { "UNAVAILABLE" };
        let reason = reason.unwrap_or_default();
        models.push(ModelIndex { name, version, state: state.to_owned(), reason });
    }
    unary(&RepositoryIndexResponse { models })
}

/// Answers a request to load the model, which is always loaded.
pub(crate) async fn load(
    State(app): State<App>,
    Unary(request): Unary<RepositoryModelRequest>,
) -> Result<Response, Failure> {
    let (_, named) = named(&app, request.model(), "").await?;
    unary(&RepositoryModelResponse { model_name: named.name, is_loaded: true })
}

/// Returns the model, and its id and version. While it is being loaded, waits up to 10 s.
async fn named(app: &App, name: &str, version: &str) -> Result<(Arc<Model>, Named), Failure> {
    let model = app.loaded_model().await?;
    let named = Named::check(app, &model, name, version)?;
    Ok((model, named))
}

impl RepositoryModelRequest {
    fn model(&self) -> &str {
        if self.triton_name.is_empty() { &self.name } else { &self.triton_name }
    }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Bytes => DataType::TypeString,
    }
}
