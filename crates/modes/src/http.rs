//! The mode `http`: a server for the dialects of clients and platforms, the web page, and the
//! addresses that platforms probe.
//!
//! The parts, in the order in which a request reaches them:
//!
//! 1. `config.rs` and `limits.rs` have the settings. `listen.rs` opens the socket.
//! 2. `wire/` has the connections, and what every request passes before its handler: the guard
//!    may refuse the request, and the edge counts and logs it.
//! 3. `dialect.rs` has the trait of a dialect, with an example. `dialects/` has the dialects, whose
//!    handlers answer requests. `probes.rs`, `openapi.rs` and `page/` have the other handlers.
//! 4. `inputs/` reads the head and the body of a request to the model.
//! 5. `app.rs` submits the inputs to the engine, and `records.rs` those of several jobs. `tensors/`
//!    makes them from tensors.
//! 6. `failure.rs` turns a failure into a response, and `metrics.rs` counts it.

mod about;
mod accept;
pub(crate) mod app;
pub(crate) mod config;
pub(crate) mod conversation;
mod data_url;
pub(crate) mod description;
mod dialect;
pub(crate) mod dialects;
pub(crate) mod failure;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod headless;
pub(crate) mod healthcheck;
#[cfg(feature = "lambda")]
pub(crate) mod in_process;
pub(crate) mod inputs;
pub(crate) mod large;
pub(crate) mod limits;
mod listen;
mod metrics;
mod models;
mod openapi;
mod page;
mod prediction;
mod probes;
mod records;
pub(crate) mod request_context;
mod routes;
mod server_sent;
pub(crate) mod start_failure;
mod tasks;
mod tensors;
pub(crate) mod trace;
pub(crate) mod wire;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Environment, Setting, SettingError};
use ai_integration_engine::{Budget, State};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use self::app::{App, Parts};
use self::config::{HttpSettings, SETTINGS, ServerConfig};
use self::dialect::Dialect;
use self::dialects::missing_for_page;
use self::failure::Failure;
use self::inputs::body::BodyReader;
use self::inputs::intake::Intake;
use self::listen::{address_note, listen, readable};
use self::metrics::HttpMetrics;
use self::page::{built, routes as page_routes};
use self::routes::Mounted;
use self::start_failure::start_failure;
use self::tensors::statistics::Statistics;
use self::wire::addresses::Addresses;
use self::wire::edge::{Edge, INERT, route};
use self::wire::guard::Guard;
use self::wire::server::Server;
use crate::console::eprint;
use crate::exit::ExitStatus;
use crate::mode::{Context, Mode, Running};

pub(crate) struct Http;

impl Mode for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn hint(&self) -> &'static str {
        "Serve an HTTP API and a web page"
    }

    fn example(&self) -> Option<&'static str> {
        Some("docker run --rm -e MODE=http -p 5000:5000 IMAGE")
    }

    fn is_serving(&self) -> bool {
        true
    }

    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        &SETTINGS
    }

    fn port(&self) -> Option<&'static Setting> {
        Some(HttpSettings::port())
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(run(context))
    }
}

async fn run(context: Context) -> ExitStatus {
    let config = match ServerConfig::read(&context.environment) {
        Ok(config) => config,
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let listening = config.ports.iter().map(|port| listen(&config.addresses, *port));
    let listeners: Vec<TcpListener> = match listening.collect() {
        Ok(listeners) => listeners,
        Err(problem) => {
            eprint(format_args!("error: {problem}"));
            return ExitStatus::CannotListen;
        }
    };
    let url = announce(&listeners, &config, context.config.reload);
    let (stop_timeout, limits) = (config.server.stop_timeout, config.limits);
    let (tls, tracer) = (config.tls.clone(), config.tracer.clone());
    let edge = match edge(&context, config) {
        Ok((edge, _)) => edge,
        Err(error) => {
            eprint(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let server = Server::start(listeners, edge, limits, tls);

    let mut state = context.engine.state();
    let ready = announce_readiness(state.clone(), url);
    let failed = start_failure(&mut state, context.config.reload, context.logs_for_people);
    let status = tokio::select! {
        () = context.stop.cancelled() => {
            tracing::info!("stopping; {} requests are queued", context.engine.queued());
            let engine = &context.engine;
            if !server.stop(stop_timeout, || engine.shut_down()).await {
                tracing::warn!(
                    "some requests did not end within AI_INTEGRATION_STOP_TIMEOUT and were answered \
                     with an error"
                );
            }
            ExitStatus::Done
        }
        () = failed => {
            server.stop(Duration::ZERO, || ()).await;
            ExitStatus::ModelUnavailable
        }
        never = ready => match never {},
    };
    if let Some(tracer) = tracer {
        tracer.stop().await;
    }
    status
}

/// Logs when the model is ready, and never ends.
async fn announce_readiness(mut state: watch::Receiver<State>, url: String) -> Infallible {
    if state.wait_for(|state| matches!(state, State::Ready(_))).await.is_ok() {
        tracing::info!("ready on {url}");
    }
    std::future::pending().await
}

/// Logs the server's address, and warns of settings that may surprise an operator. Returns the URL
/// with which a browser on this machine opens the page.
fn announce(listeners: &[TcpListener], config: &ServerConfig, is_watched: bool) -> String {
    if let Some(warning) = config.server.warning() {
        tracing::warn!("{warning}");
    }
    let mut bound = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    let Some(address) = bound.next() else { return "an unknown address".to_owned() };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/", readable(address));
    let is_chosen = config.server.address().is_some();
    tracing::info!("listening on {url}{}", address_note(address, is_chosen));
    for (address, port) in bound.zip(&config.ports[1..]) {
        tracing::info!("listening on {address} too ({})", port.setting.name);
    }
    if !address.ip().is_loopback() && !config.guard.has_token() {
        tracing::info!(
            "no token is set: anyone who can reach this port can use the model \
             (AI_INTEGRATION_TOKEN)"
        );
    }
    if is_watched && !address.ip().is_loopback() {
        tracing::warn!(
            "AI_INTEGRATION_RELOAD is for development, but other machines can reach this server. \
             If the program cannot start, its output is shown to their users; \
             AI_INTEGRATION_ERRORS=brief hides it"
        );
    }
    let missing = missing_for_page(&config.dialects);
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        tracing::info!(
            "there is no web page, because AI_INTEGRATION_DIALECTS leaves out {missing}"
        );
    } else if !built::is_there() {
        tracing::info!("this build has no web page; browsers get a plain form");
    }
    url
}

/// Builds the edge, and behind it all parts of the server, from the settings. Also returns the state
/// of the handlers.
fn edge(context: &Context, config: ServerConfig) -> Result<(Edge, App), SettingError> {
    let ServerConfig {
        dialects,
        probed,
        operator,
        limits,
        images,
        fetcher,
        wording,
        guard,
        tracer,
        ..
    } = config;
    let metrics = Arc::new(HttpMetrics::default());
    let budget = Budget::new(limits.in_flight());
    let detached = TaskTracker::new();
    let engine = context.engine.clone();
    let registry = metrics::registry(&metrics, &budget);
    let reader = BodyReader::new(limits, budget.clone());
    let intake = |takes_compressed| {
        Intake::new(engine.clone(), reader.clone().taking_compressed(takes_compressed))
    };
    let parts = Parts {
        operator,
        images,
        fetcher,
        wording,
        frames: guard.frames().clone(),
        dialects: dialects.iter().map(|dialect| dialect.name()).collect(),
        needs_token: guard.has_token(),
        is_watched: context.config.reload,
        metrics: metrics.clone(),
        early: Semaphore::new(context.config.queue),
        max_records: context.config.queue,
        statistics: Statistics::default(),
        stop: context.stop.clone(),
        detached: detached.clone(),
    };
    let app = App::new(parts, intake(false));
    let state = |takes_compressed| app.with_intake(intake(takes_compressed));
    let (of_platform, dialects_of_all): (Vec<_>, Vec<_>) =
        dialects.iter().copied().partition(|dialect| dialect.platform().is_some());
    let mut first = mount(&of_platform, &context.environment, &state)?;
    first.extend(probed.mount(engine.clone()).map(|part| (part, None)));
    let mut parts = mount(&dialects_of_all, &context.environment, &state)?;
    let has_page = missing_for_page(&dialects).is_empty();
    parts.push((page_routes::mount(app.clone(), has_page), None));
    parts.push((openapi::mount(app.clone(), dialects, has_page), None));
    parts.push((probes::mount(engine.clone(), registry, probed.statuses()), None));
    let all = first.iter().chain(&parts);
    let addresses = Addresses::new(all.map(|(part, dialect)| (part, *dialect)));
    let without_cors = in_front(first, router(parts));
    let edge = Edge {
        addresses,
        router: with_cors(without_cors.clone(), &guard),
        without_cors,
        refusals: refusals(&guard),
        inert: guard.frames().policy(INERT),
        guard,
        budget,
        detached,
        wording,
        logs_for_people: context.logs_for_people,
        metrics,
        tracer,
    };
    Ok((edge, app))
}

/// Some addresses of the server, and their dialect if they have one.
type Part = (Mounted, Option<&'static dyn Dialect>);

/// Mounts the dialects. `app` makes the state for addresses that take compressed bodies (`true`) or
/// do not (`false`).
fn mount(
    dialects: &[&'static dyn Dialect],
    environment: &Environment,
    app: &impl Fn(bool) -> App,
) -> Result<Vec<Part>, SettingError> {
    let mount = |dialect: &&'static dyn Dialect| {
        let mounted = dialect.mount(environment, &app(dialect.takes_compressed()))?;
        tracing::debug!("dialect {}: {}", dialect.name(), mounted.addresses.join(", "));
        Ok((mounted, Some(*dialect)))
    };
    dialects.iter().map(mount).collect()
}

fn router(parts: Vec<Part>) -> Router {
    let router = merged(parts);
    router.fallback(async || Failure::not_found()).method_not_allowed_fallback(other_method)
}

fn merged(parts: Vec<Part>) -> Router {
    parts.into_iter().map(|(part, _)| part.router).fold(Router::new(), Router::merge)
}

/// Puts the addresses of a platform's dialects before all others. A platform chooses addresses, which
/// may be those of other parts: it gets them for its methods, and the other parts keep theirs.
fn in_front(first: Vec<Part>, rest: Router) -> Router {
    if first.is_empty() {
        return rest;
    }
    let router = merged(first);
    let others = rest.clone();
    let other_method = move |request: Request| {
        let (others, method) = (others.clone(), request.method().clone());
        async move {
            let response = route(&others, request).await;
            let is_nothing = response.status() == StatusCode::NOT_FOUND;
            if is_nothing { other_method(method).await } else { response }
        }
    };
    router.fallback_service(rest).method_not_allowed_fallback(other_method)
}

/// Answers a request whose method has no handler at its address. The router adds the header
/// `Allow`, so the response to `OPTIONS` needs no body.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Failure::method_not_allowed().into_response()
    }
}

/// Builds a router that answers each request with the failure among its extensions.
fn refusals(guard: &Guard) -> Router {
    with_cors(Router::new().fallback(async |Extension(why): Extension<Failure>| why), guard)
}

/// Adds the headers that tell browsers whether a page of another site may read the responses (CORS).
fn with_cors(router: Router, guard: &Guard) -> Router {
    match guard.cors() {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::failure::Refusal;
    use crate::http::wire::guard;
    use axum::body::Body;
    use axum::http::{HeaderMap, Request};
    use tower_service::Service;

    async fn refused(method: Method, origin: &str) -> (StatusCode, HeaderMap) {
        let mut environment = Environment::default();
        environment.set(guard::Settings::origins(), "https://app.example.org");
        let guard = Guard::read(&environment, true).unwrap();
        let request = Request::builder()
            .method(method)
            .header("origin", origin)
            .header("access-control-request-headers", "authorization")
            .extension(Failure::refused(Refusal::Unauthorized, "no token"));
        let request = request.body(Body::empty()).unwrap();
        let (parts, _) = refusals(&guard).call(request).await.unwrap().into_parts();
        (parts.status, parts.headers)
    }

    #[tokio::test]
    async fn a_listed_site_can_read_why_its_request_is_refused() {
        let listed = "https://app.example.org";
        for (origin, allowed) in [(listed, Some(listed)), ("https://evil.test", None)] {
            let (status, headers) = refused(Method::POST, origin).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            let sent = headers.get("access-control-allow-origin");
            assert_eq!(sent.map(|sent| sent.to_str().unwrap()), allowed);
            assert!(headers["vary"].to_str().unwrap().contains("origin"));
            assert!(headers.contains_key("www-authenticate"));
        }
    }

    #[tokio::test]
    async fn a_listed_site_may_send_the_token() {
        let (_, headers) = refused(Method::OPTIONS, "https://app.example.org").await;
        assert_eq!(headers["access-control-allow-headers"], "authorization");
    }
}
