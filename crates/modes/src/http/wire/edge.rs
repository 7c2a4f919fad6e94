//! The steps that every request passes before and after its handler: the edge gives it an id,
//! checks it with the [`Guard`], and counts and logs it together with its response.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ai_integration_engine::{Budget, Reservation};
use axum::body::{Body, Bytes};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, Version};
use axum::response::IntoResponse;
use axum::{BoxError, Router};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::http::failure::{Failure, Refusal, Wording, problem};
use crate::http::large::give_back;
use crate::http::limits::MAX_URI;
use crate::http::metrics::HttpMetrics;
use crate::http::request_context::{REQUEST_ID, RequestContext, RequestId};
use crate::http::trace::Trace;
use crate::http::trace::otlp::Tracer;
use crate::http::trace::request_end::RequestEnd;
use crate::http::wire::addresses::Addresses;
use crate::http::wire::connection::{ActiveRequest, Activity, ResponseState};
use crate::http::wire::drain::drain;
use crate::http::wire::framing;
use crate::http::wire::guard::{Guard, is_preflight};

/// The status of a request whose client left before the response began, as in nginx. It is only
/// counted, never sent.
const CLIENT_LEFT: u16 = 499;
/// The maximum number of bytes of a rejected request's body that are read and discarded.
const DRAINED: usize = 64 * 1024;
/// The maximum time for reading and discarding these bytes.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The largest frame of a response over HTTP/2. Response data from this size on counts against the
/// memory budget until it is written.
const MAX_FRAME: usize = 64 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// The `Referrer-Policy` of all responses. Browsers send no address to other sites, but still send
/// this server the `Origin` of the page's own form, which `no-referrer` would hide.
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// The `Content-Security-Policy` of responses that are not a page: browsers run no script in them.
pub(crate) const INERT: &str = "default-src 'none'";

/// The state that all connections share.
pub(crate) struct Edge {
    pub(crate) router: Router,
    /// Responds to requests that the guard rejects. It adds CORS headers, so that a page of an
    /// allowed site can read the error.
    pub(crate) refusals: Router,
    /// The same addresses as `router`, without the CORS layer. That layer would handle every
    /// `OPTIONS` request as a preflight.
    pub(crate) without_cors: Router,
    /// The `Content-Security-Policy` of responses that set no policy of their own.
    pub(crate) inert: HeaderValue,
    pub(crate) addresses: Addresses,
    pub(crate) guard: Guard,
    /// The memory limit for all requests and their responses together.
    pub(crate) budget: Budget,
    /// The work that goes on when its client disconnects.
    pub(crate) detached: TaskTracker,
    pub(crate) wording: Wording,
    /// True if the log is written as lines for people.
    pub(crate) logs_for_people: bool,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// Records spans, if a collector is set.
    pub(crate) tracer: Option<Tracer>,
}

/// The hyper service of one connection.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) edge: Arc<Edge>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) peer: IpAddr,
}

impl hyper::service::Service<Request<Incoming>> for Caller {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.respond(request))
    }
}

impl Caller {
    /// Responds to a request. The request has begun as soon as this is called.
    pub(crate) fn respond<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> + Send + use<B>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let begun = Instant::now();
        let active = self.activity.begin_request();
        let has_both = self.activity.take_ambiguous();
        let (edge, peer) = (self.edge.clone(), self.peer);
        async move {
            let (mut parts, body) = request.into_parts();
            let version = parts.version;
            let address = edge.addresses.find(parts.uri.path());
            let route = edge.addresses.get(address).route.path;
            let trace = Trace::begin(edge.tracer.as_ref(), &parts.method, route, &parts.headers);
            let context = RequestContext {
                id: RequestId::of(&parts.headers),
                client: Some(edge.guard.client(&parts.headers, peer)),
                route,
                traceparent: trace.parent(),
                timing: trace.timing(),
                is_logged_for_people: edge.logs_for_people,
            };
            let mut record = Record {
                edge: edge.clone(),
                address,
                context: context.clone(),
                code: None,
                // This status is counted if the client leaves before the response begins.
                status: CLIENT_LEFT,
                read: body.size_hint().exact().unwrap_or(0),
                written: 0,
                begun,
                trace,
                request: Arc::new(active),
            };
            // Only a body without a known length can have a transfer coding.
            let may_be_coded = has_both || body.size_hint().exact().is_none();
            let framed =
                if may_be_coded { framing::check(&parts.headers, has_both) } else { Ok(()) };
            let is_framed = framed.is_ok();
            let response = if let Err(failure) = framed.and_then(|()| edge.check(&parts, peer)) {
                // A client that is still sending may not read the response, so a part of the body
                // is read first.
                if !parts.headers.contains_key(EXPECT) {
                    let _ = timeout(DRAIN_TIME, drain(Body::new(body), DRAINED)).await;
                }
                let mut refused = edge.refuse(failure, parts).await;
                if !is_framed {
                    // It is unknown where the next request begins.
                    refused.headers_mut().insert(CONNECTION, CLOSE);
                }
                refused
            } else {
                parts.extensions.insert(context);
                edge.pass_on(Request::from_parts(parts, Body::new(body))).await
            };
            let response = edge.finish(response, &mut record);
            record.status = response.status().as_u16();
            record.request.set_response(response_state(version, &response));
            Ok(response.map(|body| TrackedBody { body, rest: Bytes::new(), record }))
        }
    }
}

impl Edge {
    fn check(&self, request: &Parts, peer: IpAddr) -> Result<(), Failure> {
        let length = request.uri.path_and_query().map_or(0, |path| path.as_str().len());
        if length > MAX_URI {
            let message = "the URL of the request is longer than 8 KiB";
            return Err(Failure::refused(Refusal::UriTooLong, message));
        }
        self.guard.check(request, peer)
    }

    async fn refuse(&self, failure: Failure, mut parts: Parts) -> Response<Body> {
        // The CORS layer would handle every OPTIONS request as a preflight, and allow it.
        if parts.method == Method::OPTIONS {
            return failure.into_response();
        }
        parts.extensions.insert(failure);
        route(&self.refusals, Request::from_parts(parts, Body::empty())).await
    }

    /// Passes a request to the handler of its address.
    async fn pass_on(&self, request: Request<Body>) -> Response<Body> {
        let mut response = if request.method() == Method::OPTIONS {
            self.respond_to_options(request).await
        } else {
            route(&self.router, request).await
        };
        // The router lists only the methods that have a handler. OPTIONS is handled here.
        if let Some(allow) = response.headers_mut().get_mut(ALLOW)
            && let Ok(methods) = allow.to_str()
            && let Ok(all) = HeaderValue::try_from(format!("{methods},OPTIONS"))
        {
            *allow = all;
        }
        response
    }

    /// Responds to `OPTIONS` with the methods of the address. The response to a preflight also has
    /// the CORS headers.
    async fn respond_to_options(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let preflight = is_preflight(&parts.headers).then(|| parts.clone());
        let mut response = route(&self.without_cors, Request::from_parts(parts, body)).await;
        if let Some(parts) = preflight {
            let cors = route(&self.router, Request::from_parts(parts, Body::empty())).await;
            let is_for_pages =
                |name: &HeaderName| *name == VARY || name.as_str().starts_with("access-control-");
            let headers = cors.headers().iter().filter(|(name, _)| is_for_pages(name));
            for (name, value) in headers {
                response.headers_mut().append(name, value.clone());
            }
        }
        response
    }

    /// Adds the headers that every response has. If the response is a failure without a body, the
    /// dialect of the address writes the body.
    fn finish(&self, mut response: Response<Body>, record: &mut Record) -> Response<Body> {
        let context = &record.context;
        if let Some(failure) = response.extensions_mut().remove::<Failure>() {
            record.code = Some(failure.code());
            self.metrics.refused(failure.code());
            failure.log(context);
            if !failure.has_body() {
                let dialect = self.addresses.get(record.address).dialect;
                let error = match dialect {
                    Some(dialect) => dialect.refuse(&failure, self.wording, &context.id),
                    None => problem(&failure, self.wording, &context.id),
                };
                response = with_headers_of(response, error);
            }
        }
        let status = response.status();
        tracing::debug!(
            request_id = context.id.as_str(),
            route = context.route,
            status = status.as_u16(),
            "answered after {:?}",
            record.begun.elapsed()
        );
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, context.id.0.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(REFERRER_POLICY, SAME_ORIGIN);
        headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| self.inert.clone());
        response
    }
}

/// Returns the state of a response that hyper is about to send.
fn response_state(version: Version, response: &Response<Body>) -> ResponseState {
    let is_sized = response.body().size_hint().exact().is_some()
        || response.headers().contains_key(CONTENT_LENGTH);
    match version {
        _ if is_sized => ResponseState::Other,
        Version::HTTP_11 => ResponseState::Chunked,
        Version::HTTP_2 => ResponseState::Other,
        _ => ResponseState::UntilClose,
    }
}

/// Adds the headers of `original`, such as `Allow`, to the response `error` that replaces it. A
/// header that both have keeps the value in `error`.
fn with_headers_of(original: Response<Body>, mut error: Response<Body>) -> Response<Body> {
    let (mut parts, _) = original.into_parts();
    // The original response had no body, and the router has set its length to 0.
    parts.headers.remove(CONTENT_LENGTH);
    for name in error.headers().keys() {
        parts.headers.remove(name);
    }
    error.headers_mut().extend(parts.headers);
    error
}

/// Passes a request to a router.
pub(crate) async fn route(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The facts of a request that are counted and traced when its response has been written.
struct Record {
    edge: Arc<Edge>,
    context: RequestContext,
    /// The index of its address in [`Addresses`].
    address: usize,
    status: u16,
    /// The error's code, if the response is not a result.
    code: Option<&'static str>,
    read: u64,
    written: u64,
    begun: Instant,
    trace: Trace,
    request: Arc<ActiveRequest>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let after = self.begun.elapsed();
        let Record { status, code, read, written, .. } = *self;
        let route = &self.edge.addresses.get(self.address).route;
        let end = RequestEnd { status, code, id: self.context.id.as_str(), read, written };
        self.edge.metrics.answered(route, after, &end);
        self.trace.end(&end);
    }
}

/// The body of a response. The request is counted when the body has been written or is dropped.
pub(crate) struct TrackedBody {
    body: Body,
    /// The rest of a large frame that is sent as several smaller ones.
    rest: Bytes,
    record: Record,
}

/// Response data that is charged to the memory budget. hyper may drop the body as soon as it has
/// taken the last data, and keeps the data until it is written. Until then the request counts as
/// active.
struct ChargedData {
    data: Bytes,
    _reservation: Reservation,
    _request: Arc<ActiveRequest>,
}

impl Drop for ChargedData {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.data));
    }
}

impl AsRef<[u8]> for ChargedData {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl TrackedBody {
    fn charge(&self, data: Bytes) -> Bytes {
        if data.len() < MAX_FRAME {
            return data;
        }
        let mut reservation = self.record.edge.budget.reserve(None);
        reservation.force(data.len());
        let request = self.record.request.clone();
        Bytes::from_owner(ChargedData { data, _reservation: reservation, _request: request })
    }

    /// Returns the next frame for an HTTP/2 stream. hyper polls for a frame only after the client
    /// has read a part of the last one. Frames are therefore limited in size, so that a client that
    /// stops reading is noticed.
    fn poll_limited(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.record.request.set_waiting_frame(false);
        if self.rest.is_empty() {
            match ready!(self.poll_whole(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let data = self.rest.split_to(self.rest.len().min(MAX_FRAME));
        self.record.request.set_waiting_frame(true);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|data| self.charge(data)))
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = if self.record.request.is_multiplexed() {
            self.poll_limited(context)
        } else {
            self.poll_whole(context)
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.record.written += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// hyper calls this before it polls the first frame, so `rest` is still empty.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
