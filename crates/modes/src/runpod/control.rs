//! The requests to the platform. Each ends after a time. No error contains an address, because an
//! address may contain a key.

use std::error::Error as StdError;
use std::time::Duration;

use ai_integration_contract::json as strict;
use ai_integration_engine::Reservation;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value as Json;

use crate::http::large::work_on;
use crate::http::wire::trust;
use crate::runpod::settings::{Addresses, Template};

/// The version of `RunPod`'s SDK whose protocol this is.
const PROTOCOL: &str = "1.12.0";
/// The timeouts of requests that the platform holds open until it has an answer, and of the others.
const LONG_POLL: Duration = Duration::from_secs(90);
const POST: Duration = Duration::from_mins(2);
/// The pauses between the three tries to send something.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(3)];
/// The maximum length of the list of jobs that must end, in bytes.
const MAX_STOPS: usize = 1 << 20;

/// The platform, as a worker sees it.
pub(crate) struct Control {
    client: Client,
    addresses: Addresses,
    /// The maximum length of an answer with jobs, in bytes.
    max_jobs: usize,
}

/// The answer to a request for jobs.
pub(crate) enum Taken {
    Jobs(Vec<Json>),
    Nothing,
    /// The platform asks for a longer pause.
    TooOften,
}

/// The reason why something was not sent.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// True if the platform refused it, so that another try makes no sense.
    pub(crate) is_refused: bool,
    pub(crate) why: String,
}

impl Control {
    /// Makes the client. The answer to a request for jobs may have at most `max_jobs` bytes.
    pub(crate) fn new(
        addresses: Addresses,
        max_jobs: usize,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let key = addresses.key.iter().map(|key| (AUTHORIZATION, key.clone()));
        let client = Client::builder()
            .user_agent(concat!("ai-integration/", env!("CARGO_PKG_VERSION")))
            .default_headers(key.collect::<HeaderMap>())
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(Duration::from_secs(30))
            .tls_backend_preconfigured(trust::client()?);
        Ok(Control { client: client.build()?, addresses, max_jobs })
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Asks for up to `room` jobs. The platform answers when it has one, or after some time.
    pub(crate) async fn take(
        &self,
        room: usize,
        is_busy: bool,
        reservation: &mut Reservation,
    ) -> Result<Taken, String> {
        let mut url = match &self.addresses.take_batch {
            Some(batch) if room > 1 => {
                let mut url = batch.clone();
                url.query_pairs_mut().append_pair("batch_size", &room.to_string());
                url
            }
            _ => self.addresses.take.clone(),
        };
        url.query_pairs_mut().append_pair("job_in_progress", if is_busy { "1" } else { "0" });
        let response = self.get(url, LONG_POLL).send().await.map_err(causes)?;
        match response.status() {
            // 400 is the usual answer to a worker that the platform has just woken up.
            StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST => return Ok(Taken::Nothing),
            StatusCode::TOO_MANY_REQUESTS => return Ok(Taken::TooOften),
            StatusCode::OK => {}
            status => return Err(format!("the platform answers with status {status}")),
        }
        let body = read(response, self.max_jobs, Some(reservation)).await?;
        if body.is_empty() {
            return Ok(Taken::Nothing);
        }
        let parsed = work_on(body.len(), move || strict::parse(&body)).await;
        let parsed = parsed.map_err(|error| error.to_string())?;
        match parsed.map_err(|fault| format!("the platform's answer is not JSON: {fault}"))? {
            Json::Array(jobs) if jobs.is_empty() => Ok(Taken::Nothing),
            Json::Array(jobs) => Ok(Taken::Jobs(jobs)),
            Json::Null => Ok(Taken::Nothing),
            job => Ok(Taken::Jobs(vec![job])),
        }
    }

    /// Waits for the ids of jobs that must end. `None` if the platform asks for a longer pause.
    pub(crate) async fn stops(&self, url: &Url) -> Result<Option<Vec<String>>, String> {
        let response = self.get(url.clone(), LONG_POLL).send().await.map_err(causes)?;
        match response.status() {
            StatusCode::NO_CONTENT => return Ok(Some(Vec::new())),
            StatusCode::TOO_MANY_REQUESTS => return Ok(None),
            StatusCode::OK => {}
            status => return Err(format!("the platform answers with status {status}")),
        }
        let body = read(response, MAX_STOPS, None).await?;
        let answer = strict::parse(&body).unwrap_or_default();
        let ids = answer.get("jobsToStop").and_then(Json::as_array);
        let ids = ids.into_iter().flatten().filter_map(Json::as_str);
        Ok(Some(ids.map(str::to_owned).collect()))
    }

    /// Tells the platform that the worker is alive and has these jobs.
    pub(crate) async fn ping(&self, url: &Url, jobs: &[String]) -> Result<(), String> {
        let mut url = url.clone();
        if !jobs.is_empty() {
            url.query_pairs_mut().append_pair("job_id", &jobs.join(","));
        }
        url.query_pairs_mut().append_pair("runpod_version", PROTOCOL);
        let timeout = self.addresses.ping_interval * 2;
        let response = self.get(url, timeout).send().await.map_err(causes)?;
        let status = response.status();
        let is_bad = !status.is_success();
        if is_bad { Err(format!("the platform answers with status {status}")) } else { Ok(()) }
    }

    /// Sends the result of a job.
    pub(crate) async fn output(
        &self,
        job: &str,
        body: Bytes,
        is_stream: bool,
    ) -> Result<(), Unsent> {
        self.send(&self.addresses.output, job, body, is_stream).await
    }

    /// Sends a part of a streamed result.
    pub(crate) async fn part(&self, job: &str, body: Bytes) -> Result<(), Unsent> {
        match &self.addresses.stream {
            Some(place) => self.send(place, job, body, false).await,
            None => Ok(()),
        }
    }

    /// Returns true if the platform takes the parts of results.
    pub(crate) fn takes_parts(&self) -> bool {
        self.addresses.stream.is_some()
    }

    /// Sends JSON, in at most three tries.
    async fn send(
        &self,
        place: &Template,
        job: &str,
        body: Bytes,
        is_stream: bool,
    ) -> Result<(), Unsent> {
        let refused = |why: String| Unsent { is_refused: true, why };
        let url = place.of(job, is_stream);
        let url = url.ok_or_else(|| refused("the job's id makes no address".to_owned()))?;
        let mut pauses = PAUSES.into_iter();
        loop {
            let request = self.client.post(url.clone()).timeout(POST);
            // This type, with JSON under it, is what the SDK sends.
            let request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("charset", "utf-8")
                .header("x-request-id", HeaderValue::try_from(job).ok().unwrap_or(NO_ID))
                .body(body.clone());
            let why = match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => {
                    let status = response.status();
                    let why = format!("the platform answers with status {status}");
                    if !status.is_server_error() {
                        return Err(refused(why));
                    }
                    why
                }
                Err(error) => causes(error),
            };
            let Some(pause) = pauses.next() else {
                return Err(Unsent { is_refused: false, why });
            };
            tracing::debug!(request_id = job, "not sent, and tried again: {why}");
            tokio::time::sleep(pause).await;
        }
    }

    fn get(&self, url: Url, timeout: Duration) -> RequestBuilder {
        self.client.get(url).header(CONTENT_TYPE, "application/json").timeout(timeout)
    }
}

const NO_ID: HeaderValue = HeaderValue::from_static("-");

/// Reads an answer of at most `most` bytes.
async fn read(
    mut response: Response,
    most: usize,
    mut reservation: Option<&mut Reservation>,
) -> Result<Bytes, String> {
    let mut body = Vec::new();
    while let Some(data) = response.chunk().await.map_err(causes)? {
        if body.len() + data.len() > most {
            return Err(format!("the platform's answer is larger than {most} bytes"));
        }
        if let Some(reservation) = &mut reservation
            && !reservation.grow_by(data.len()).await
        {
            return Err("the memory for requests is in use".to_owned());
        }
        body.extend_from_slice(&data);
    }
    Ok(body.into())
}

/// Describes a failed request without its address.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let texts = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
}
