//! Fetches files from http and https addresses, where [`Egress`] lets it.

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
    /// The time for fetching.
    pub(crate) struct Settings under "Inputs" {
        /// Time in which all of a request's files have to come that it gives as addresses.
        url_timeout: Seconds = 30,
    }
}

/// Requests that fetch at a time.
const PLACES: usize = 64;
/// Redirects that are followed, each checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// What is made ready for a file before it comes, at most.
const AHEAD: usize = 1 << 20;
/// The greatest length of an address.
const MAX_URL: usize = 8 * 1024;

/// Fetches the files of requests.
pub(crate) struct Remote {
    egress: Arc<Egress>,
    client: Client,
    timeout: Duration,
    /// What the files of one request may come to together, in bytes.
    most: usize,
    places: Semaphore,
}

/// Why nothing came.
enum Trouble {
    /// What the client may know: it follows from the address that it gave, and the settings.
    Refused(&'static str),
    /// What only the log may know: it would tell the client what answers behind this server.
    Failed(String),
    /// The memory of all requests is taken.
    Full,
}

impl Trouble {
    fn silent() -> Self {
        Trouble::Failed(format!("nothing came for {} s", PAUSE.as_secs()))
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        // The address may carry a secret; the causes say what happened.
        let error = error.without_url();
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let told = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
        Trouble::Failed(told.collect::<Vec<_>>().join(": "))
    }
}

impl Remote {
    /// As the settings have it, for files of at most `most` bytes; none when nothing may be fetched.
    pub(crate) fn read(
        environment: &Environment,
        most: usize,
    ) -> Result<Option<Self>, SettingError> {
        let egress = Egress::read(environment)?;
        let timeout = Settings::read(environment)?.url_timeout;
        let Some(egress) = egress.map(Arc::new) else { return Ok(None) };
        let unfit = |error| {
            egress::Settings::url_hosts().invalid("…", format!("nothing can be fetched: {error}"))
        };
        let client = client(&egress).map_err(unfit)?;
        Ok(Some(Remote { egress, client, timeout, most, places: Semaphore::new(PLACES) }))
    }

    /// Puts the content in the place of each of these addresses, and tells which did not come.
    pub(crate) async fn fetch<'a>(
        &self,
        addresses: impl Iterator<Item = (String, &'a mut RawValue)>,
        hold: &mut Reservation,
        id: &RequestId,
    ) -> Result<Vec<FieldError>, Error> {
        let begun = Instant::now();
        let mut wrong = Vec::new();
        let place = timeout(self.timeout, self.places.acquire()).await.map_err(|_| full())?;
        let mut left = self.most;
        for (name, value) in addresses {
            let get = self.get(address::text(value).unwrap_or_default(), left, hold);
            let late = |_| Trouble::Failed("it did not come in time".to_owned());
            let remaining = self.timeout.saturating_sub(begun.elapsed());
            let message = match timeout(remaining, get).await.map_err(late).flatten() {
                Ok(bytes) => {
                    left -= bytes.len();
                    *value = RawValue::Bytes(bytes);
                    continue;
                }
                Err(Trouble::Full) => return Err(full()),
                Err(Trouble::Refused(why)) => why.to_owned(),
                Err(Trouble::Failed(why)) => {
                    tracing::info!(
                        request_id = id.as_str(),
                        "the input {name} was not fetched: {why}"
                    );
                    format!(
                        "the file cannot be fetched; it has to be public, to have at most {} bytes \
                         together with the other files that the request gives as addresses, and to \
                         come within {} s",
                        self.most,
                        self.timeout.as_secs_f64()
                    )
                }
            };
            wrong.push(FieldError { name, message });
            // One that does not come is reason enough to refuse the request.
            if wrong.len() == MAX_NAMED {
                break;
            }
        }
        drop(place);
        Ok(wrong)
    }

    /// The content at an address, or where it leads.
    async fn get(&self, url: &str, most: usize, hold: &mut Reservation) -> Result<Bytes, Trouble> {
        if url.len() > MAX_URL {
            return Err(Trouble::Refused("the address is longer than 8 KiB"));
        }
        let mut url = Url::parse(url).map_err(|_| Trouble::Refused("the address is malformed"))?;
        self.egress.check(&url).map_err(Trouble::Refused)?;
        let mut redirects = 0;
        loop {
            let asked = self.client.get(url.clone()).send();
            let response = timeout(PAUSE, asked).await.map_err(|_| Trouble::silent())??;
            if !response.status().is_redirection() {
                return content(response, most, hold).await;
            }
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Trouble::Failed("too many redirects".to_owned()));
            }
            let location = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            let next = location.and_then(|place| url.join(place).ok());
            let next = next.ok_or_else(|| Trouble::Failed("a redirect to nowhere".to_owned()))?;
            // Where it leads says what answers there, so only the log gets the reason.
            let refused = |why: &str| Trouble::Failed(format!("behind a redirect: {why}"));
            self.egress.check(&next).map_err(refused)?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(refused("it leads away from https"));
            }
            url = next;
        }
    }
}

fn full() -> Error {
    let message = "the server fetches or holds as much as it can; try again later";
    Error::new(Kind::QueueFull, message)
}

async fn content(
    mut response: Response,
    most: usize,
    hold: &mut Reservation,
) -> Result<Bytes, Trouble> {
    let failed = |what: &dyn Display| Err(Trouble::Failed(what.to_string()));
    if response.status() != 200 {
        return failed(&format_args!("the answer has status {}", response.status()));
    }
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return failed(&"the answer is compressed, though that was not asked for");
    }
    let expected = response.content_length().unwrap_or(0);
    if expected > most as u64 {
        return failed(&"it is too large");
    }
    // Memory is taken as it comes: whoever announces much and sends little is to hold none.
    let begun = Instant::now();
    let mut whole: Option<BodyBuffer> = None;
    let mut length = 0;
    while let Some(data) =
        timeout(PAUSE, response.chunk()).await.map_err(|_| Trouble::silent())??
    {
        length += data.len();
        let elapsed = begun.elapsed();
        if length > most {
            return failed(&"it is too large");
        }
        if elapsed > SLOW_AFTER && (length as u64) < LEAST_RATE * elapsed.as_secs() {
            return failed(&"it comes too slowly");
        }
        if !hold.grow_by(data.len()).await {
            return Err(Trouble::Full);
        }
        let announced = usize::try_from(expected).unwrap_or(0).min(AHEAD);
        whole.get_or_insert_with(|| BodyBuffer::new(announced)).extend_from_slice(&data);
    }
    Ok(whole.map_or_else(Bytes::new, BodyBuffer::freeze))
}

/// A client that connects only where the rules let it, and sends nothing of its own accord.
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

/// Gives the addresses of a name, if each of them may be connected to. What it gives is what is
/// dialled: there is no second answer that could be another one.
struct Resolver(Arc<Egress>);

/// The addresses of a name. On a thread of its own: the runtime takes it for the end of everything
/// when the system has no thread for it.
async fn look_up(name: String) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = oneshot::channel();
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        // The port is put in later. Whoever asked may have left.
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
