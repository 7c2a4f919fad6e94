//! Fetches files from http and https URLs that [`Egress`] allows.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::setting::Seconds;
use ai_integration_contract::{
    Environment, Error, FieldError, Kind, MAX_NAMED, RawValue, SettingError, settings,
};
use ai_integration_engine::{BodyBuffer, Reservation};
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use crate::http::inputs::egress::{self, Egress};
use crate::http::inputs::fetch::address;
use crate::http::limits::{LEAST_RATE, PAUSE, SLOW_AFTER};
use crate::http::request_context::RequestId;
use crate::http::wire::trust;

settings! {
    /// The time limit for fetching.
    pub(crate) struct Settings under "Inputs" {
        /// Time limit for fetching all files that one request gives as URLs.
        url_timeout: Seconds = 30,
    }
}

/// The maximum number of requests that fetch files at once.
const FETCHING: usize = 64;
/// The maximum number of redirects that are followed. Each URL is checked like the first one.
const MAX_REDIRECTS: usize = 3;
/// The maximum memory that is allocated for a file before it arrives.
const AHEAD: usize = 1 << 20;
/// The maximum length of a URL.
const MAX_URL: usize = 8 * 1024;

/// Fetches the files of requests.
pub(crate) struct Remote {
    egress: Arc<Egress>,
    client: Client,
    timeout: Duration,
    /// The maximum size of all files of one request together, in bytes.
    most: usize,
    permits: Semaphore,
}

/// The reason why a file was not fetched.
enum FetchError {
    /// A reason that is sent to the client, since it follows from the client's URL and the
    /// settings.
    Refused(&'static str),
    /// A reason that is only logged. It would show the client which servers are in this server's
    /// network.
    Failed(String),
    /// The memory limit for all requests is reached.
    Full,
}

impl FetchError {
    fn silent() -> Self {
        FetchError::Failed(format!("no data arrived for {} s", PAUSE.as_secs()))
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The URL may contain a secret, so it is left out. The causes say what happened.
        let error = error.without_url();
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let texts = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
        FetchError::Failed(texts.collect::<Vec<_>>().join(": "))
    }
}

impl Remote {
    /// Reads the settings. The files of one request may have at most `most` bytes together. Returns
    /// `None` if nothing may be fetched.
    pub(crate) fn read(
        environment: &Environment,
        most: usize,
    ) -> Result<Option<Self>, SettingError> {
        let egress = Egress::read(environment)?;
        let timeout = Settings::read(environment)?.url_timeout;
        let Some(egress) = egress.map(Arc::new) else { return Ok(None) };
        let unfit = |error| {
            let reason = format!("the HTTP client cannot be started: {error}");
            egress::Settings::url_hosts().invalid("…", reason)
        };
        let client = client(&egress).map_err(unfit)?;
        Ok(Some(Remote { egress, client, timeout, most, permits: Semaphore::new(FETCHING) }))
    }

    /// Replaces each URL by the content at the URL. Returns an error for each file that was not
    /// fetched.
    pub(crate) async fn fetch<'a>(
        &self,
        addresses: impl Iterator<Item = (String, &'a mut RawValue)>,
        reservation: &mut Reservation,
        id: &RequestId,
    ) -> Result<Vec<FieldError>, Error> {
        let begun = Instant::now();
        let mut wrong = Vec::new();
        let permit = timeout(self.timeout, self.permits.acquire()).await.map_err(|_| full())?;
        let mut left = self.most;
        for (name, value) in addresses {
            let get = self.get(address::text(value).unwrap_or_default(), left, reservation);
            let late = |_| FetchError::Failed("the time limit for fetching passed".to_owned());
            let remaining = self.timeout.saturating_sub(begun.elapsed());
            let message = match timeout(remaining, get).await.map_err(late).flatten() {
                Ok(bytes) => {
                    left -= bytes.len();
                    *value = RawValue::Bytes(bytes);
                    continue;
                }
                Err(FetchError::Full) => return Err(full()),
                Err(FetchError::Refused(why)) => why.to_owned(),
                Err(FetchError::Failed(why)) => {
                    tracing::info!(
                        request_id = id.as_str(),
                        "the file for the input {name} was not fetched: {why}"
                    );
                    format!(
                        "the file cannot be fetched; it must be public, have at most {} bytes \
                         together with the request's other files from URLs, and arrive within {} s",
                        self.most,
                        self.timeout.as_secs_f64()
                    )
                }
            };
            wrong.push(FieldError { name, message });
            if wrong.len() == MAX_NAMED {
                break;
            }
        }
        drop(permit);
        Ok(wrong)
    }

    /// Returns the content at a URL, after following redirects.
    async fn get(
        &self,
        url: &str,
        most: usize,
        reservation: &mut Reservation,
    ) -> Result<Bytes, FetchError> {
        if url.len() > MAX_URL {
            return Err(FetchError::Refused("the URL is longer than 8 KiB"));
        }
        let mut url = Url::parse(url).map_err(|_| FetchError::Refused("the URL is malformed"))?;
        self.egress.check(&url).map_err(FetchError::Refused)?;
        let mut redirects = 0;
        loop {
            let sent = self.client.get(url.clone()).send();
            let response = timeout(PAUSE, sent).await.map_err(|_| FetchError::silent())??;
            if !response.status().is_redirection() {
                return content(response, most, reservation).await;
            }
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(FetchError::Failed("too many redirects".to_owned()));
            }
            let location = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            let next = location.and_then(|place| url.join(place).ok());
            let next = next
                .ok_or_else(|| FetchError::Failed("a redirect without a valid URL".to_owned()))?;
            // The error would show the client which servers are in this server's network, so it is
            // only logged.
            let refused = |why: &str| FetchError::Failed(format!("after a redirect: {why}"));
            self.egress.check(&next).map_err(refused)?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(refused("it goes from https to http"));
            }
            url = next;
        }
    }
}

fn full() -> Error {
    let message = "the server is at its limit for fetching files or for memory; try again later";
    Error::new(Kind::QueueFull, message)
}

async fn content(
    mut response: Response,
    most: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, FetchError> {
    let failed = |what: &dyn Display| Err(FetchError::Failed(what.to_string()));
    if response.status() != 200 {
        return failed(&format_args!("the response has status {}", response.status()));
    }
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return failed(&"the response is compressed, although this was not requested");
    }
    let expected = response.content_length().unwrap_or(0);
    if expected > most as u64 {
        return failed(&"it is too large");
    }
    // Memory is reserved for the bytes received, not for the announced length, which may be false.
    let begun = Instant::now();
    let mut whole: Option<BodyBuffer> = None;
    let mut length = 0;
    while let Some(data) =
        timeout(PAUSE, response.chunk()).await.map_err(|_| FetchError::silent())??
    {
        length += data.len();
        let elapsed = begun.elapsed();
        if length > most {
            return failed(&"it is too large");
        }
        if elapsed > SLOW_AFTER && (length as u64) < LEAST_RATE * elapsed.as_secs() {
            return failed(&"it arrives too slowly");
        }
        if !reservation.grow_by(data.len()).await {
            return Err(FetchError::Full);
        }
        let announced = usize::try_from(expected).unwrap_or(0).min(AHEAD);
        whole.get_or_insert_with(|| BodyBuffer::new(announced)).extend_from_slice(&data);
    }
    Ok(whole.map_or_else(Bytes::new, BodyBuffer::freeze))
}

/// Makes a client that connects only to addresses that the rules allow. It uses no proxy, follows
/// no redirect by itself and sends no `Referer`.
fn client(egress: &Arc<Egress>) -> Result<Client, Box<dyn StdError + Send + Sync>> {
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let client = Client::builder()
        .user_agent(concat!("ai-integration/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .dns_resolver(Arc::new(Resolver(egress.clone())))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .tls_backend_preconfigured(trust::client()?);
    Ok(client.build()?)
}

/// Resolves a name to its addresses, and fails if one of them is not allowed. The client connects
/// to these same addresses, so a second lookup cannot return other ones (DNS rebinding).
struct Resolver(Arc<Egress>);

/// Looks up the addresses of a name. This does not use tokio's pool, which panics if the system
/// cannot start a thread.
async fn look_up(name: String) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = oneshot::channel();
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        // The client sets the port later. Sending fails if the request was cancelled.
        let _ = sender.send((name, 0).to_socket_addrs());
    })?;
    found.await.map_err(io::Error::other)?.map(Iterator::collect)
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            let found = look_up(name.as_str().to_owned()).await?;
            match found.iter().find(|address| !egress.allows(address.ip())) {
                Some(address) => Err(format!("{} is not a public address", address.ip()).into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}
