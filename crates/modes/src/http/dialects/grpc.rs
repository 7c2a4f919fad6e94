//! The Open Inference Protocol over gRPC, as clients of Triton, KServe and MLServer speak it. Beside
//! it are the two services that tools of gRPC expect: health checks and reflection.
//!
//! A request of gRPC is a request of HTTP/2, so it passes the edge like every other one. Its body is
//! read by `messages.rs`. A failure is a [`Failure`], as in every dialect, and becomes a status of
//! gRPC in `answers.rs`.

mod answers;
mod contents;
mod footprint;
mod health;
pub(crate) mod infer;
mod messages;
mod models;
mod protocol;
mod reflection;
mod stream;

use ai_integration_contract::{Environment, Setting, SettingError, settings};
use axum::response::Response;
use axum::routing::post;
use tonic::Code;

use crate::http::app::App;
use crate::http::dialect::Dialect;
use crate::http::failure::{Failure, Refusal, Wording};
use crate::http::listen::{ListenPort, Port};
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes};

settings! {
    /// The settings of the dialect.
    struct Settings under "Server" {
        /// Further port to listen on, for clients of gRPC that expect one of its own; Triton's is
        /// 8001. By default gRPC is served on PORT only, like everything else.
        grpc_port: Option<Port>,
    }
}

pub(crate) struct Grpc;

impl Dialect for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn settings(&self) -> &'static [&'static Setting] {
        Settings::SETTINGS
    }

    fn port(&self, environment: &Environment) -> Result<Option<ListenPort>, SettingError> {
        let port = Settings::read(environment)?.grpc_port;
        Ok(port.map(|port| ListenPort { port, setting: Settings::grpc_port() }))
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let health = health::routes(app.engine(), app.stop());
        let routes = Routes::new()
            .at("/inference.GRPCInferenceService/ServerLive", post(models::live))
            .at("/inference.GRPCInferenceService/ServerReady", post(models::ready))
            .at("/inference.GRPCInferenceService/ServerMetadata", post(models::server))
            .at("/inference.GRPCInferenceService/ModelReady", post(models::model_ready))
            .at("/inference.GRPCInferenceService/ModelMetadata", post(models::metadata))
            .at("/inference.GRPCInferenceService/ModelConfig", post(models::config))
            .at("/inference.GRPCInferenceService/ModelInfer", post(infer::infer))
            .at("/inference.GRPCInferenceService/ModelStreamInfer", post(stream::infer))
            .at("/inference.GRPCInferenceService/ModelStatistics", post(models::statistics))
            .at("/inference.GRPCInferenceService/RepositoryIndex", post(models::index))
            .at("/inference.GRPCInferenceService/RepositoryModelLoad", post(models::load))
            .at("/inference.GRPCInferenceService/{method}", post(unimplemented))
            .at("/grpc.health.v1.Health/Check", health.clone())
            .at("/grpc.health.v1.Health/Watch", health)
            .at("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", post(reflection::v1))
            .at(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                post(reflection::v1alpha),
            );
        Ok(routes.with_state(app.clone()))
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        answers::refusal(failure, wording)
    }
}

/// Answers a request for a method of Triton or KServe that means nothing here.
async fn unimplemented() -> Response {
    let message = "this server does not have this method of the inference service: it has no shared \
                   memory with clients, and its model stays loaded as long as it runs";
    let failure = Failure::refused(Refusal::NotFound, message);
    failure.with_body(answers::trailers_only(Code::Unimplemented, message))
}
