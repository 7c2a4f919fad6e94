//! The HTTP server: the ancestor's `POST /` with its page, the native API, and the addresses that
//! platforms ask. Each family of addresses is a *dialect*: a file, and a line in the table below.

mod dialects;
mod failure;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod inputs;
mod limits;
mod metrics;
mod page;
mod probes;
mod trace;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::setting::{Seconds, SettingType};
use ai_integration_contract::{
    Environment, Error, Kind, Setting, SettingError, Value, json, settings,
};
use ai_integration_engine::{About, Budget, Engine, Model, Request, State, Ticket};
use axum::{Extension, Router};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use self::dialects::{classic, native};
use self::failure::{Failure, Rejection, Wording};
use self::inputs::call::Call;
use self::inputs::fetch::{self, Fetcher};
use self::inputs::request::{self, RequestInputs, footprint as raw_footprint};
use self::inputs::{egress, images};
use self::limits::Limits;
use self::metrics::HttpMetrics;
use self::page::{about, assets};
use self::trace::{Trace, Tracer};
use self::wire::edge::{Edge, RequestId};
use self::wire::guard::Guard;
use self::wire::tls::Tls;
use self::wire::{guard, server, tls};
use crate::console::note;
use crate::exit::ExitStatus;
use crate::mode::{Context, Mode, Running};

settings! {
    /// The address of the server, and the time that it has to stop.
    #[derive(Clone, Debug)]
    pub struct HttpSettings under "Server" {
        /// Address to listen on. By default only this machine reaches the server; inside a container
        /// it is every address (::, 0.0.0.0).
        host: Option<HostAddress> { name: "HOST" },
        /// Port to listen on; 0 takes a free one.
        port: Port = 5000 { name: "PORT" },
        /// Time for accepted requests to end after SIGTERM or SIGINT; then they are answered with an
        /// error.
        stop_timeout: Seconds = 30,
    }
}

/// The server's own settings.
const SETTINGS: &[&[&Setting]] = &[
    HttpSettings::SETTINGS,
    about::Settings::SETTINGS,
    guard::Settings::SETTINGS,
    limits::Limits::SETTINGS,
    images::Settings::SETTINGS,
    egress::Settings::SETTINGS,
    fetch::Settings::SETTINGS,
    tls::Settings::SETTINGS,
    failure::Settings::SETTINGS,
    trace::Settings::SETTINGS,
];

/// An address of this machine.
#[derive(Debug)]
pub struct HostAddress;

impl SettingType for HostAddress {
    type Value = IpAddr;
    const VALUE_NAME: &'static str = "ADDRESS";

    fn read(text: &str) -> Result<IpAddr, String> {
        match text {
            "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
            _ => text.parse().map_err(|_| "an IP address, such as 0.0.0.0".to_owned()),
        }
    }
}

/// A port of TCP.
#[derive(Debug)]
pub struct Port;

impl SettingType for Port {
    type Value = u16;
    const VALUE_NAME: &'static str = "PORT";

    fn read(text: &str) -> Result<u16, String> {
        text.parse().map_err(|_| "a port from 0 to 65535".to_owned())
    }
}

/// How long a client who asks for the schema waits for a model that is being loaded.
const DESCRIPTION: Duration = Duration::from_secs(10);

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// A family of addresses: what is served there, and the addresses for the statistics.
type Dialect = (fn() -> Router<App>, &'static [&'static str]);

macro_rules! dialects {
    ($($module:ident),+ $(,)?) => {
        const DIALECTS: &[Dialect] = &[$(($module::routes, $module::PATHS)),+];
    };
}

dialects! {
    assets,
    classic,
    probes,
    metrics,
    native,
}

pub(crate) struct Http;

impl Mode for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn hint(&self) -> &'static str {
        "Serve an HTTP API and a web page: docker run --rm -e MODE=http -p 5000:5000 IMAGE"
    }

    fn is_serving(&self) -> bool {
        true
    }

    fn settings(&self) -> &'static [&'static [&'static Setting]] {
        SETTINGS
    }

    fn run(&self, context: Context) -> Running {
        Box::pin(run(context))
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

struct Shared {
    engine: Engine,
    /// What the operator says of the model.
    about: About,
    limits: Limits,
    /// The memory of the requests' bodies.
    budget: Budget,
    images: images::Rules,
    fetcher: Fetcher,
    wording: Wording,
    /// Whether requests have to carry a secret.
    needs_token: bool,
    metrics: Arc<HttpMetrics>,
    registry: Registry,
    /// Requests that may wait until the model has told its schema; only then can they be queued.
    early: Semaphore,
}

impl App {
    /// The one way from a request to the model, whatever the dialect: holds the inputs against
    /// the schema and queues them.
    pub(crate) async fn submit(
        &self,
        mut call: Call,
        inputs: RequestInputs,
        is_followed: bool,
    ) -> Result<(Arc<Model>, Ticket), Rejection> {
        let RequestInputs { mut raw, mut hold } = inputs;
        call.timeout = self.0.engine.limit(call.timeout);
        let model = if let Some(model) = self.0.engine.model_now() {
            model
        } else {
            let full = |_| Error::new(Kind::QueueFull, "too many requests wait for the model");
            let _place = self.0.early.try_acquire().map_err(full)?;
            call.wait_for(self.0.engine.model()).await??
        };
        if fetch::has_address(&model.schema, &raw) {
            // A batch must not wait for another server.
            call.announcement = None;
            let id = call.id.clone();
            let fetched = self.0.fetcher.fetch(&model.schema, &mut raw, &mut hold, &id);
            call.wait_for(fetched).await??;
        }
        let sent: usize = raw.values().map(raw_footprint).sum();
        let inputs = model.schema.resolve(raw)?;
        let read: usize = inputs.values().filter_map(Value::as_json).map(json::footprint).sum();
        if !hold.add(read.saturating_sub(sent)) {
            return Err(request::full().into());
        }
        self.0.images.check(&model.schema, &inputs)?;
        let request = Request::new(inputs).timeout(call.timeout).timing(call.timing);
        let request = request.reservation(hold);
        let request = if is_followed { request.follow() } else { request };
        Ok((model, self.0.engine.submit(request).await?))
    }

    /// The model's description, for which a starting model is waited for a little.
    pub(crate) async fn described(&self) -> Result<Arc<Model>, Error> {
        let starting = |_| Error::new(Kind::ModelUnavailable, "the model is still being loaded");
        tokio::time::timeout(DESCRIPTION, self.0.engine.model()).await.map_err(starting)?
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn budget(&self) -> &Budget {
        &self.0.budget
    }

    fn wording(&self) -> Wording {
        self.0.wording
    }

    /// What people are told of the model.
    fn about(&self, model: &Model) -> About {
        about::over(&self.0.about, &model.about)
    }

    fn needs_token(&self) -> bool {
        self.0.needs_token
    }

    fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Counts and logs a failure that comes after the head of its answer.
    fn note(&self, failure: &Failure, id: &RequestId) {
        self.0.metrics.refused(failure.code());
        failure.log(id, "/infer", &Trace::default());
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// What the settings say.
struct Config {
    server: HttpSettings,
    /// Addresses to listen on, the first choice first.
    addresses: Vec<IpAddr>,
    about: About,
    limits: Limits,
    images: images::Rules,
    fetcher: Fetcher,
    wording: Wording,
    guard: Guard,
    tls: Option<Arc<Tls>>,
    tracer: Option<Tracer>,
}

impl Config {
    fn read(environment: &Environment) -> Result<Self, SettingError> {
        let server = HttpSettings::read(environment)?;
        let addresses = addresses(server.host, environment);
        let is_local = addresses.iter().all(IpAddr::is_loopback);
        let limits = Limits::read(environment)?;
        Ok(Config {
            server,
            addresses,
            about: about::read(environment)?,
            fetcher: Fetcher::read(environment, limits.max_body)?,
            limits,
            images: images::Rules::read(environment)?,
            wording: failure::Settings::read(environment)?.errors,
            guard: Guard::read(environment, is_local)?,
            tls: Tls::read(environment)?,
            tracer: Tracer::read(environment)?,
        })
    }

    /// Listens where the settings say.
    fn listen(&self) -> Result<TcpListener, String> {
        let mut problem = String::new();
        for host in &self.addresses {
            let address = SocketAddr::new(*host, self.server.port);
            match bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => {
                    problem = format!("cannot listen on {address}: {error}");
                    // A machine without IPv6 has the next one; a port in use is in use there too.
                    if error.kind() == std::io::ErrorKind::AddrInUse {
                        break;
                    }
                }
            }
        }
        Err(format!("{problem}; choose another address with HOST or PORT (--host, --port)"))
    }
}

/// As `TcpListener::bind`, with room for more clients that come at once.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server gets its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Where to listen, the first choice first: on loopback by default, since nothing else protects the
/// model; on every address inside a container, which has walls of its own.
fn addresses(host: Option<IpAddr>, environment: &Environment) -> Vec<IpAddr> {
    match host {
        Some(host) => vec![host],
        None if is_container(environment) => {
            vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        None => vec![Ipv4Addr::LOCALHOST.into()],
    }
}

/// Whether this process runs inside a container: as its first process, or where the usual engines
/// leave a mark.
fn is_container(environment: &Environment) -> bool {
    std::process::id() == 1
        || environment.variable("container").is_some()
        || environment.variable("KUBERNETES_SERVICE_HOST").is_some()
        || ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

async fn run(context: Context) -> ExitStatus {
    let config = match Config::read(&context.environment) {
        Ok(config) => config,
        Err(error) => {
            note(format_args!("error: {error}"));
            return ExitStatus::Usage;
        }
    };
    let listener = match config.listen() {
        Ok(listener) => listener,
        Err(problem) => {
            note(format_args!("error: {problem}"));
            return ExitStatus::CannotListen;
        }
    };
    if let Ok(address) = listener.local_addr() {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {scheme}://{}/", readable(address));
        if !address.ip().is_loopback() && !config.guard.has_token() {
            tracing::info!("whoever reaches this port may ask; AI_INTEGRATION_TOKEN sets a secret");
        }
    }
    if !assets::are_there() {
        tracing::info!("this build has no page with scripts; browsers get a plain form");
    }
    let stop_timeout = config.server.stop_timeout;
    let Config { about, limits, images, fetcher, wording, guard, tls, tracer, .. } = config;
    let engine = context.engine.clone();
    let metrics = Arc::new(HttpMetrics::default());
    let budget = Budget::new(limits.in_flight());
    let app = App(Arc::new(Shared {
        registry: metrics::registry(&metrics, &budget),
        about,
        engine,
        limits,
        budget,
        images,
        fetcher,
        wording,
        needs_token: guard.has_token(),
        metrics: metrics.clone(),
        early: Semaphore::new(context.config.queue),
    }));
    let edge = Edge {
        budget: app.budget().clone(),
        router: router(app, &guard),
        refusals: refusals(&guard),
        routes: DIALECTS
            .iter()
            .flat_map(|(_, paths)| *paths)
            .chain(&["other"])
            .map(|path| metrics.route(path))
            .collect(),
        guard,
        wording,
        metrics,
        tracer: tracer.clone(),
    };
    let server = server::Server::start(listener, edge, limits, tls);

    let mut state = context.engine.state();
    let failed = async {
        let failed = state.wait_for(|state| matches!(state, State::Failed(_))).await;
        if let Ok(State::Failed(error)) = failed.as_deref() {
            tracing::error!("{error}");
        }
    };
    let status = tokio::select! {
        () = context.stop.cancelled() => {
            tracing::info!("stopping; {} requests are queued", context.engine.queued());
            let engine = &context.engine;
            if !server.stop(stop_timeout, || engine.shut_down()).await {
                tracing::warn!("some requests did not end in time and were answered with an error");
            }
            ExitStatus::Done
        }
        () = failed => {
            server.stop(Duration::ZERO, || ()).await;
            ExitStatus::ModelUnavailable
        }
    };
    if let Some(tracer) = tracer {
        tracer.stop().await;
    }
    status
}

/// An address that can be opened: the unspecified one is this machine to a browser here.
fn readable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn router(app: App, guard: &Guard) -> Router {
    let router = DIALECTS.iter().fold(Router::new(), |router, (routes, _)| router.merge(routes()));
    let router = router
        .fallback(async || Rejection::not_found())
        .method_not_allowed_fallback(async || Rejection::method_not_allowed());
    with_cors(router, guard).with_state(app)
}

/// Answers with the rejection that a request has as an extension.
fn refusals(guard: &Guard) -> Router {
    with_cors(Router::new().fallback(async |Extension(why): Extension<Rejection>| why), guard)
}

/// Tells browsers whether a page of another site may read the answers.
fn with_cors<S: Clone + Send + Sync + 'static>(router: Router<S>, guard: &Guard) -> Router<S> {
    match guard.cors() {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{HeaderMap, Method, Request, StatusCode};
    use tower_service::Service;

    async fn refused(method: Method, origin: &str) -> (StatusCode, HeaderMap) {
        let mut environment = Environment::default();
        environment.set(guard::Settings::origins(), "https://app.example.org");
        let guard = Guard::read(&environment, true).unwrap();
        let request = Request::builder()
            .method(method)
            .header("origin", origin)
            .header("access-control-request-headers", "authorization")
            .extension(Rejection::from(Error::new(Kind::Unauthorized, "no token")));
        let request = request.body(Body::empty()).unwrap();
        let (parts, _) = refusals(&guard).call(request).await.unwrap().into_parts();
        (parts.status, parts.headers)
    }

    #[tokio::test]
    async fn a_page_that_may_ask_can_read_why_it_is_refused() {
        let listed = "https://app.example.org";
        for (origin, allowed) in [(listed, Some(listed)), ("https://evil.test", None)] {
            let (status, headers) = refused(Method::POST, origin).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            let told = headers.get("access-control-allow-origin");
            assert_eq!(told.map(|told| told.to_str().unwrap()), allowed);
            assert!(headers["vary"].to_str().unwrap().contains("origin"));
            assert!(headers.contains_key("www-authenticate"));
        }
    }

    #[tokio::test]
    async fn a_page_that_may_ask_may_send_the_token() {
        let (_, headers) = refused(Method::OPTIONS, "https://app.example.org").await;
        assert_eq!(headers["access-control-allow-headers"], "authorization");
    }
}
