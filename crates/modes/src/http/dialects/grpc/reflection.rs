//! The services `grpc.reflection.v1` and `v1alpha`, with which tools such as grpcurl learn the other
//! services and their messages.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::future::select;
use tokio::time::sleep;
use tonic_reflection::server::Builder;
use tower_service::Service;

use super::protocol::DESCRIPTORS;
use crate::http::app::App;
use crate::http::failure::Failure;

/// The maximum length of a request in bytes.
const MAX_REQUEST: usize = 4096;
/// The time after which a client's stream of requests ends. A tool needs a moment.
const MAX_TIME: Duration = Duration::from_mins(5);

// The descriptors are read for each request, because few servers ever get one.
macro_rules! handlers {
    ($($version:ident $build:ident;)+) => {$(
        pub(crate) async fn $version(State(app): State<App>, request: Request) -> Response {
            match descriptors().$build() {
                Ok(service) => {
                    let mut service = service.max_decoding_message_size(MAX_REQUEST);
                    match service.call(until_stopped(&app, request)).await {
                        Ok(response) => response.map(Body::new),
                        Err(never) => match never {},
                    }
                }
                Err(error) => {
                    tracing::error!("the descriptors of gRPC cannot be read: {error}");
                    Failure::not_found().into_response()
                }
            }
        }
    )+};
}

handlers! {
    v1 build_v1;
    v1alpha build_v1alpha;
}

fn descriptors() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Ends the body of a request when the server stops, or after [`MAX_TIME`].
fn until_stopped(app: &App, request: Request) -> Request {
    let stop = Box::pin(app.stop().clone().cancelled_owned());
    let end = select(stop, Box::pin(sleep(MAX_TIME)));
    request.map(|body| Body::from_stream(body.into_data_stream().take_until(end)))
}
