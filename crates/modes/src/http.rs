//! The HTTP server: the ancestor's `POST /` with its page, the native API, and the addresses that
//! platforms ask. Each family of addresses is a *dialect*: a file, and a line in the table below.

mod answer;
mod call;
mod events;
mod form;
mod health;
mod multipart;
mod openapi;
mod page;
mod request;
mod server;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Environment, Error, Kind, RawInputs, Setting, SettingError};
use ai_integration_engine::{Delivery, Engine, Model, State, Ticket, settings};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::answer::Rejection;
use self::call::Call;
use crate::console::note;
use crate::{Context, ExitStatus, Mode, Running};

/// Where to listen.
pub(crate) static HOST: Setting = Setting {
    name: "HOST",
    flag: Some("host"),
    value_name: "ADDRESS",
    default: "",
    help: "Address to listen on. By default only this machine reaches the server; inside a \
           container it is every address (::, 0.0.0.0).",
};

/// Where to listen.
pub(crate) static PORT: Setting = Setting {
    name: "PORT",
    flag: Some("port"),
    value_name: "PORT",
    default: "5000",
    help: "Port to listen on; 0 takes a free one.",
};

/// The greatest request.
pub(crate) static MAX_BODY: Setting = Setting {
    name: "AI_INTEGRATION_MAX_BODY",
    flag: Some("max-body"),
    value_name: "BYTES",
    default: "104857600",
    help: "Greatest length of a request's body; larger ones are answered with status 413.",
};

const SETTINGS: &[&Setting] = &[&HOST, &PORT, &MAX_BODY];

/// How long a client who asks for the schema waits for a model that is being loaded.
const DESCRIPTION: Duration = Duration::from_secs(10);

/// A family of addresses.
type Dialect = fn() -> Router<App>;

macro_rules! dialects {
    ($($module:ident),+ $(,)?) => {
        $(mod $module;)+
        const DIALECTS: &[Dialect] = &[$($module::routes),+];
    };
}

dialects! {
    classic,
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

    fn settings(&self) -> &'static [&'static Setting] {
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
    max_body: usize,
    /// Requests that may wait until the model has told its schema; only then can they be queued.
    early: Semaphore,
}

impl App {
    /// The one way from a request to the model, whatever the dialect: holds the inputs against
    /// the schema and queues them.
    pub(crate) async fn submit(
        &self,
        call: Call,
        raw: RawInputs,
        delivery: Delivery,
    ) -> Result<(Arc<Model>, Ticket), Rejection> {
        let model = if let Some(model) = self.0.engine.model_now() {
            model
        } else {
            let full = |_| Error::new(Kind::QueueFull, "too many requests wait for the model");
            let _place = self.0.early.try_acquire().map_err(full)?;
            self.0.engine.model().await?
        };
        let inputs = model.schema.resolve(raw)?;
        let engine = &self.0.engine;
        let ticket = engine.submit(inputs, call.timeout, delivery)?;
        Ok((model, ticket))
    }

    /// The model's description, for which a starting model is waited for a little.
    pub(crate) async fn described(&self) -> Result<Arc<Model>, Error> {
        let starting = |_| Error::new(Kind::ModelUnavailable, "the model is still being loaded");
        tokio::time::timeout(DESCRIPTION, self.0.engine.model()).await.map_err(starting)?
    }

    /// The greatest length of a request's body.
    pub(crate) fn max_body(&self) -> usize {
        self.0.max_body
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// What the settings say.
struct Config {
    host: Option<IpAddr>,
    port: u16,
    max_body: usize,
    engine: settings::Config,
}

impl Config {
    fn read(environment: &Environment) -> Result<Self, SettingError> {
        let host = match environment.get(&HOST) {
            Some("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            _ => environment.parse(&HOST, "an IP address, such as 0.0.0.0", |_| true)?,
        };
        let at_most = "a number of bytes from 1 to 1073741824";
        Ok(Config {
            host,
            port: environment.parse(&PORT, "a port from 0 to 65535", |_| true)?.unwrap_or(5000),
            max_body: environment
                .parse(&MAX_BODY, at_most, |n| (1..=1 << 30).contains(n))?
                .unwrap_or(100 << 20),
            engine: settings::Config::read(environment)?,
        })
    }

    /// Listens where the settings say: on loopback by default, since nothing else protects the
    /// model; on every address inside a container, which has walls of its own.
    async fn listen(&self) -> Result<TcpListener, String> {
        let port = self.port;
        let candidates: &[IpAddr] = match self.host {
            Some(host) => &[host],
            None if is_container() => &[Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
            None => &[Ipv4Addr::LOCALHOST.into()],
        };
        let mut problem = String::new();
        for host in candidates {
            let address = SocketAddr::new(*host, port);
            match TcpListener::bind(address).await {
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

/// Whether this process runs inside a container: as its first process, or where the usual engines
/// leave a mark.
fn is_container() -> bool {
    std::process::id() == 1
        || std::env::var_os("container").is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
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
    let listener = match config.listen().await {
        Ok(listener) => listener,
        Err(problem) => {
            note(format_args!("error: {problem}"));
            return ExitStatus::CannotListen;
        }
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!("listening on http://{}/", readable(address));
    }
    let app = App(Arc::new(Shared {
        engine: context.engine.clone(),
        max_body: config.max_body,
        early: Semaphore::new(config.engine.limits.queue),
    }));
    let server = server::Server::start(listener, router(app));

    let mut state = context.engine.state();
    let failed = async {
        let failed = state.wait_for(|state| matches!(state, State::Failed(_))).await;
        if let Ok(State::Failed(error)) = failed.as_deref() {
            tracing::error!("{error}");
        }
    };
    tokio::select! {
        () = context.stop.cancelled() => {
            tracing::info!("stopping; {} requests are queued", context.engine.queued());
            let engine = &context.engine;
            if !server.stop(config.engine.stop_timeout, || engine.shut_down()).await {
                tracing::warn!("some requests did not end in time and were answered with an error");
            }
            ExitStatus::Done
        }
        () = failed => {
            server.stop(Duration::ZERO, || ()).await;
            ExitStatus::ModelUnavailable
        }
    }
}

/// An address that can be opened: the unspecified one is this machine to a browser here.
fn readable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn router(app: App) -> Router {
    DIALECTS
        .iter()
        .fold(health::routes(), |router, dialect| router.merge(dialect()))
        .with_state(app)
}
