//! What happens to every request before and after its handler: it gets an id, passes the
//! [`Guard`], and is counted and logged with its answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ai_integration_engine::{Budget, Reservation};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, Version};
use axum::response::IntoResponse;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::timeout;
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
use crate::http::wire::connection::{Answer, Beat, Pulse};
use crate::http::wire::drain::drain;
use crate::http::wire::framing;
use crate::http::wire::guard::{Guard, is_preflight};

/// What nginx calls a request whose client did not wait for the answer; only counted, never sent.
const CLIENT_LEFT: u16 = 499;
/// How much of a refused request's body is read nevertheless, and for how long.
const LITTLE: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// The largest piece of an answer that is handed to a stream of HTTP/2. Pieces from this size on count
/// against the memory of all requests until they are written.
const PIECE: usize = 64 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Nothing to other sites; without any a browser would not say that a form is the page's own, either.
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// The policy of answers that are no page: nothing in them may run.
pub(crate) const INERT: &str = "default-src 'none'";

/// What all connections share.
pub(crate) struct Edge {
    pub(crate) router: Router,
    /// Answers what the guard refuses, so that a page of another site that may ask can read why.
    pub(crate) refusals: Router,
    /// The same addresses without the layer for CORS, which would answer every `OPTIONS` as a preflight.
    pub(crate) without_cors: Router,
    /// The policy of answers that have none of their own.
    pub(crate) inert: HeaderValue,
    pub(crate) addresses: Addresses,
    pub(crate) guard: Guard,
    /// The memory of requests and of their answers.
    pub(crate) budget: Budget,
    pub(crate) wording: Wording,
    /// True where the log is in lines for people.
    pub(crate) logs_for_people: bool,
    pub(crate) metrics: Arc<HttpMetrics>,
    /// Makes spans, where they are sent somewhere.
    pub(crate) tracer: Option<Tracer>,
}

/// The service of one connection.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) edge: Arc<Edge>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) peer: IpAddr,
}

impl hyper::service::Service<Request<Incoming>> for Caller {
    type Response = Response<Tracked>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let begun = Instant::now();
        let beat = self.pulse.beat();
        let has_both = self.pulse.take_ambiguous();
        let (edge, peer) = (self.edge.clone(), self.peer);
        Box::pin(async move {
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
            let mut account = Account {
                edge: edge.clone(),
                address,
                context: context.clone(),
                code: None,
                // Until there is an answer: the client leaves before.
                status: CLIENT_LEFT,
                read: body.size_hint().exact().unwrap_or(0),
                written: 0,
                begun,
                trace,
                beat: Arc::new(beat),
            };
            // Only a body without a length has a transfer coding.
            let may_be_coded = has_both || body.size_hint().exact().is_none();
            let framed =
                if may_be_coded { framing::check(&parts.headers, has_both) } else { Ok(()) };
            let is_framed = framed.is_ok();
            let response = if let Err(failure) = framed.and_then(|()| edge.check(&parts, peer)) {
                // A client that still sends may not hear the answer; a little is waited for.
                if !parts.headers.contains_key(EXPECT) {
                    let _ = timeout(LINGER, drain(Body::new(body), LITTLE)).await;
                }
                let mut refused = edge.refuse(failure, parts).await;
                if !is_framed {
                    // Nobody can say where the next request begins.
                    refused.headers_mut().insert(CONNECTION, CLOSE);
                }
                refused
            } else {
                parts.extensions.insert(context);
                edge.pass_on(Request::from_parts(parts, Body::new(body))).await
            };
            let response = edge.finish(response, &mut account);
            account.status = response.status().as_u16();
            account.beat.answers(way_out(version, &response));
            Ok(response.map(|body| Tracked { body, rest: Bytes::new(), account }))
        })
    }
}

impl Edge {
    fn check(&self, request: &Parts, peer: IpAddr) -> Result<(), Failure> {
        let length = request.uri.path_and_query().map_or(0, |path| path.as_str().len());
        if length > MAX_URI {
            let message = "the address is longer than 8 KiB";
            return Err(Failure::refused(Refusal::UriTooLong, message));
        }
        self.guard.check(request, peer)
    }

    async fn refuse(&self, failure: Failure, mut parts: Parts) -> Response<Body> {
        // The layer for other sites would take it for a preflight, and allow it.
        if parts.method == Method::OPTIONS {
            return failure.into_response();
        }
        parts.extensions.insert(failure);
        ask(&self.refusals, Request::from_parts(parts, Body::empty())).await
    }

    /// Asks the handler of the request's address.
    async fn pass_on(&self, request: Request<Body>) -> Response<Body> {
        let mut response = if request.method() == Method::OPTIONS {
            self.answer_options(request).await
        } else {
            ask(&self.router, request).await
        };
        // The router names the methods that have a handler.
        if let Some(allow) = response.headers_mut().get_mut(ALLOW)
            && let Ok(methods) = allow.to_str()
            && let Ok(all) = HeaderValue::try_from(format!("{methods},OPTIONS"))
        {
            *allow = all;
        }
        response
    }

    /// Answers a question for the methods of an address, and, where it is a preflight, says beside
    /// them what pages of other sites may do.
    async fn answer_options(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let preflight = is_preflight(&parts.headers).then(|| parts.clone());
        let mut response = ask(&self.without_cors, Request::from_parts(parts, body)).await;
        if let Some(parts) = preflight {
            let told = ask(&self.router, Request::from_parts(parts, Body::empty())).await;
            let is_for_pages =
                |name: &HeaderName| *name == VARY || name.as_str().starts_with("access-control-");
            let headers = told.headers().iter().filter(|(name, _)| is_for_pages(name));
            for (name, value) in headers {
                response.headers_mut().append(name, value.clone());
            }
        }
        response
    }

    /// Gives an answer what every one has, and the words to one that is no result.
    fn finish(&self, mut response: Response<Body>, account: &mut Account) -> Response<Body> {
        let context = &account.context;
        if let Some(failure) = response.extensions_mut().remove::<Failure>() {
            account.code = Some(failure.code());
            self.metrics.refused(failure.code());
            failure.log(context);
            if !failure.is_told() {
                let dialect = self.addresses.get(account.address).dialect;
                let told = match dialect {
                    Some(dialect) => dialect.refuse(&failure, self.wording, &context.id),
                    None => problem(&failure, self.wording, &context.id),
                };
                response = told_in(response, told);
            }
        }
        let status = response.status();
        tracing::debug!(
            request_id = context.id.as_str(),
            route = context.route,
            status = status.as_u16(),
            "answered after {:?}",
            account.begun.elapsed()
        );
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, context.id.0.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(REFERRER_POLICY, SAME_ORIGIN);
        headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| self.inert.clone());
        response
    }
}

/// Returns the way in which hyper sends an answer.
fn way_out(version: Version, response: &Response<Body>) -> Answer {
    let is_sized = response.body().size_hint().exact().is_some()
        || response.headers().contains_key(CONTENT_LENGTH);
    match version {
        _ if is_sized => Answer::Other,
        Version::HTTP_11 => Answer::Chunked,
        Version::HTTP_2 => Answer::Other,
        _ => Answer::UntilTheEnd,
    }
}

/// Puts the words of a failure into the answer that had none: with the headers that it had, such as
/// `Allow`, but for those that its words have too.
fn told_in(untold: Response<Body>, mut told: Response<Body>) -> Response<Body> {
    let (mut parts, _) = untold.into_parts();
    // The router has noted that there is no body.
    parts.headers.remove(CONTENT_LENGTH);
    for name in told.headers().keys() {
        parts.headers.remove(name);
    }
    told.headers_mut().extend(parts.headers);
    told
}

async fn ask(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What is noted of a request when its answer has been written.
struct Account {
    edge: Arc<Edge>,
    context: RequestContext,
    /// The number of its address.
    address: usize,
    status: u16,
    /// Why there was no result.
    code: Option<&'static str>,
    read: u64,
    written: u64,
    begun: Instant,
    trace: Trace,
    beat: Arc<Beat>,
}

impl Drop for Account {
    fn drop(&mut self) {
        let after = self.begun.elapsed();
        let Account { status, code, read, written, .. } = *self;
        let route = &self.edge.addresses.get(self.address).route;
        self.edge.metrics.answered(route, status, after, read, written);
        self.trace.end(&RequestEnd { status, code, id: self.context.id.as_str(), read, written });
    }
}

/// A body that is accounted for when it has been written, or nobody wants the rest.
pub(crate) struct Tracked {
    body: Body,
    /// What is left of a frame that goes out in pieces.
    rest: Bytes,
    account: Account,
}

/// Much of an answer: hyper has no more use for the body that it came from, and keeps it until it is
/// written. Until then the request goes on, and further ones have less room.
struct Kept {
    data: Bytes,
    _hold: Reservation,
    _beat: Arc<Beat>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.data));
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Tracked {
    fn charge(&self, data: Bytes) -> Bytes {
        if data.len() < PIECE {
            return data;
        }
        let mut hold = self.account.edge.budget.reserve(None);
        hold.force(data.len());
        Bytes::from_owner(Kept { data, _hold: hold, _beat: self.account.beat.clone() })
    }

    /// A frame for a stream of HTTP/2. hyper asks for the next one when the other side takes
    /// something of the last: so a frame is cut, and that shows who takes nothing.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.account.beat.offers(false);
        if self.rest.is_empty() {
            match ready!(self.poll_whole(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.account.beat.offers(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn poll_whole(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|data| self.charge(data)))
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = if self.account.beat.is_multiplexed() {
            self.poll_piece(context)
        } else {
            self.poll_whole(context)
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.account.written += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// Asked before anything is taken.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
