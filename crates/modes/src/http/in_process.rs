//! The server without its sockets, for a mode whose requests come in another form.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::SettingError;
use axum::body::Body;
use axum::http::{Request, Response};
use tokio::time::interval;

use crate::http::app::App;
use crate::http::config::{HttpSettings, ServerConfig};
use crate::http::edge;
use crate::http::trace::otlp::Tracer;
use crate::http::wire::connection::Activity;
use crate::http::wire::edge::{Caller, Edge};
use crate::http::wire::guard::Guard;
use crate::mode::Context;

/// The interval at which the state of clients that left is removed.
const TIDY: Duration = Duration::from_mins(1);

/// All parts of the server but its sockets.
pub(crate) struct InProcess {
    edge: Arc<Edge>,
    app: App,
    tracer: Option<Tracer>,
    /// The time that accepted requests have to finish.
    pub(crate) stop_timeout: Duration,
}

impl InProcess {
    /// Builds the parts from the settings. Their clients are on other machines, so every name of a
    /// host is accepted unless the operator lists names.
    pub(crate) fn new(context: &Context) -> Result<Self, SettingError> {
        let mut config = ServerConfig::read(&context.environment)?;
        config.guard = Guard::read(&context.environment, false)?;
        let tracer = config.tracer.clone();
        let stop_timeout = HttpSettings::read(&context.environment)?.stop_timeout;
        let (edge, app) = edge(context, config)?;
        let edge = Arc::new(edge);
        tokio::spawn(tidy(edge.clone()));
        Ok(InProcess { edge, app, tracer, stop_timeout })
    }

    /// Responds to a request of the client with this address, with all checks of the server.
    pub(crate) async fn respond(&self, request: Request<Body>, client: IpAddr) -> Response<Body> {
        let (edge, activity) = (self.edge.clone(), Arc::<Activity>::default());
        match (Caller { edge, activity, peer: client }).respond(request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    /// Returns the state of the handlers.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Sends the last spans.
    pub(crate) async fn stop(&self) {
        if let Some(tracer) = self.tracer.clone() {
            tracer.stop().await;
        }
    }
}

async fn tidy(edge: Arc<Edge>) {
    let mut regularly = interval(TIDY);
    loop {
        regularly.tick().await;
        edge.guard.tidy();
    }
}
