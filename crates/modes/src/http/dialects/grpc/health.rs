//! The service `grpc.health.v1.Health`, which platforms and clients probe. The server as a whole and
//! the inference service have the state of the model.

use std::pin::Pin;

use ai_integration_engine::{Engine, State};
use axum::routing::{MethodRouter, post_service};
use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The names of the services whose state is known. The empty name is the server as a whole.
const KNOWN: [&str; 2] = ["", "inference.GRPCInferenceService"];
/// The maximum length of a request in bytes.
const MAX_REQUEST: usize = 4096;

/// Makes the handler of the service's two methods.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    engine: &Engine,
    stop: &CancellationToken,
) -> MethodRouter<S> {
    let probed = Probed { engine: engine.clone(), stop: stop.clone() };
    post_service(HealthServer::new(probed).max_decoding_message_size(MAX_REQUEST))
}

struct Probed {
    engine: Engine,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl Health for Probed {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !KNOWN.contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("this server does not have the service"));
        }
        Ok(Response::new(response(status(&self.engine.state().borrow()))))
    }

    /// Sends the status, and again each time that it changes, until the server stops.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let stopped = self.stop.clone().cancelled_owned();
        if !KNOWN.contains(&request.get_ref().service.as_str()) {
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
            let forever = unknown.chain(stream::pending()).take_until(stopped);
            return Ok(Response::new(Box::pin(forever)));
        }
        let changes = stream::unfold((self.engine.state(), None), |(mut state, last)| async move {
            let current = state.wait_for(|state| Some(status(state)) != last).await;
            let current = status(&*current.ok()?);
            Some((Ok(response(current)), (state, Some(current))))
        });
        let last = stream::iter([Ok(response(ServingStatus::NotServing))]);
        Ok(Response::new(Box::pin(changes.take_until(stopped).chain(last))))
    }
}

fn status(state: &State) -> ServingStatus {
    match state {
        State::Ready(_) => ServingStatus::Serving,
        State::Starting | State::Failed(_) => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
