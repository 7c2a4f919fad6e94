//! The client of Lambda's Runtime API: HTTP/1.1 over plain TCP inside Lambda's own machine.

use std::fmt::Display;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::limits::MAX_HEAD;
use crate::lambda::function_error::{ERROR_TYPE, FunctionError};
use crate::lambda::invocation::{INVOCATION_ID, Invocation};

/// The path of the version of the API.
const BASE: &str = "/2018-06-01/runtime";
/// The time for a new connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The time after which a connection that is still in use is replaced.
const READY: Duration = Duration::from_secs(1);
/// The time for an answer that is sent as a whole, and for the rest of a response that has begun.
const EXCHANGE: Duration = Duration::from_mins(1);
/// The maximum length of an event in bytes. Lambda's own limit is a little over 6 MiB.
const MAX_EVENT: usize = 16 << 20;
/// The maximum length of the API's other responses in bytes.
const MAX_REPLY: usize = 64 << 10;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The Runtime API does not answer as it must, so this process must end. It has the reason.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) String);

/// The Runtime API, over one connection.
pub(crate) struct RuntimeApi {
    /// The host and the port.
    address: String,
    connection: Option<SendRequest<Body>>,
}

/// The body of an answer to an invocation, and its headers.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The time in which Lambda must take the answer.
    pub(crate) time: Duration,
}

impl Answer {
    /// Makes an answer that is JSON.
    pub(crate) fn json(text: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
        Answer { headers, body: Body::from(text.into()), time: EXCHANGE }
    }
}

impl RuntimeApi {
    pub(crate) fn new(address: &str) -> Self {
        RuntimeApi { address: address.to_owned(), connection: None }
    }

    /// Waits for the next invocation. This wait has no limit: Lambda freezes the process while there
    /// is nothing to do.
    pub(crate) async fn next(&mut self) -> Result<Invocation, Lost> {
        let request = self.request(Method::GET, "/invocation/next", Body::empty())?;
        let response = self.send(request).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(Lost(format!("the Runtime API answers next with {}", head.status)));
        }
        let event = match timeout(EXCHANGE, Limited::new(body, MAX_EVENT).collect()).await {
            Ok(Ok(event)) => Some(event.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                self.connection = None;
                tracing::warn!("an event has more than {MAX_EVENT} bytes, and is not read");
                None
            }
            _ => return Err(self.lost("an event ends before its length")),
        };
        Invocation::new(&head.headers, event).map_err(Lost)
    }

    /// Sends the answer to an invocation. Returns false if Lambda refuses it as too large.
    pub(crate) async fn respond(
        &mut self,
        invocation: &Invocation,
        answer: Answer,
    ) -> Result<bool, Lost> {
        let path = format!("/invocation/{}/response", invocation.id);
        let mut request = self.request(Method::POST, &path, answer.body)?;
        *request.headers_mut() = answer.headers;
        let status = self.post(request, invocation, answer.time).await?;
        Ok(status != Some(StatusCode::PAYLOAD_TOO_LARGE))
    }

    /// Sends the error of an invocation.
    pub(crate) async fn error(
        &mut self,
        invocation: &Invocation,
        error: &FunctionError,
    ) -> Result<(), Lost> {
        let path = format!("/invocation/{}/error", invocation.id);
        let request = self.error_request(&path, error)?;
        self.post(request, invocation, EXCHANGE).await.map(drop)
    }

    /// Reports that this process cannot take invocations.
    pub(crate) async fn init_error(&mut self, error: &FunctionError) -> Result<(), Lost> {
        let request = self.error_request("/init/error", error)?;
        self.exchange(request, EXCHANGE).await.map(drop)
    }

    fn error_request(&self, path: &str, error: &FunctionError) -> Result<Request<Body>, Lost> {
        let mut request = self.request(Method::POST, path, Body::from(error.json()))?;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        request.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.kind));
        Ok(request)
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Body>, Lost> {
        let request = Request::builder().method(method).uri(format!("{BASE}{path}"));
        request.body(body).map_err(|error| self.lost(error))
    }

    /// Sends the end of an invocation. Returns the status unless Lambda cannot be reached, or asks
    /// this process to end.
    async fn post(
        &mut self,
        mut request: Request<Body>,
        invocation: &Invocation,
        time: Duration,
    ) -> Result<Option<StatusCode>, Lost> {
        if let Some(id) = &invocation.attempt {
            request.headers_mut().insert(INVOCATION_ID, id.clone());
        }
        let Some(status) = self.exchange(request, time).await? else {
            tracing::warn!("Lambda did not take the answer to {} in time", invocation.id);
            return Ok(None);
        };
        if status.is_server_error() {
            return Err(Lost(format!("the Runtime API answers with {status}; this process ends")));
        }
        if !status.is_success() {
            tracing::warn!("Lambda refuses the answer to {}: {status}", invocation.id);
        }
        Ok(Some(status))
    }

    /// Sends a request and returns the status of the response; `None` if it takes too long.
    async fn exchange(
        &mut self,
        request: Request<Body>,
        time: Duration,
    ) -> Result<Option<StatusCode>, Lost> {
        // Without its connection, a request that is given up ends.
        let Ok(sent) = timeout(time, self.send(request)).await else { return Ok(None) };
        let (head, body) = sent?.into_parts();
        let _ = self.read(body, MAX_REPLY).await;
        Ok(Some(head.status))
    }

    /// Sends a request. If Lambda has closed the connection before, the request is sent over a new
    /// one.
    async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, Lost> {
        let host = HeaderValue::from_str(&self.address).map_err(|error| self.lost(error))?;
        request.headers_mut().insert(HOST, host);
        loop {
            let (mut connection, is_new) = match self.idle().await {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    self.connection = Some(connection);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(self.lost(error.into_error())),
                },
            }
        }
    }

    /// Returns the connection of the last request if it can be used again.
    async fn idle(&mut self) -> Option<SendRequest<Body>> {
        let mut connection = self.connection.take()?;
        let is_ready = timeout(READY, connection.ready()).await;
        is_ready.is_ok_and(|ready| ready.is_ok()).then_some(connection)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Lost> {
        let connected = timeout(CONNECT, TcpStream::connect(&self.address)).await;
        let stream = connected.map_err(|_| self.lost("no connection within 5 s"))?;
        let stream = stream.map_err(|error| self.lost(error))?;
        let _ = stream.set_nodelay(true);
        let handshake =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| self.lost(error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Reads a body; `None` if it is too long or stops. The connection is then not used again.
    async fn read(&mut self, body: Incoming, most: usize) -> Option<Bytes> {
        let read = timeout(EXCHANGE, Limited::new(body, most).collect()).await;
        let read = read.ok().and_then(Result::ok).map(Collected::to_bytes);
        if read.is_none() {
            self.connection = None;
        }
        read
    }

    fn lost(&self, problem: impl Display) -> Lost {
        Lost(format!("the Runtime API at {} cannot be used: {problem}", self.address))
    }
}
