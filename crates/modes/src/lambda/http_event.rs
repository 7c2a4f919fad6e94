//! Events that are HTTP requests: of function URLs, of API Gateway and of load balancers.

use std::net::{IpAddr, Ipv4Addr};

use ai_integration_contract::{Error, Kind};
use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use crate::http::failure::Failure;
use crate::http::inputs::call::TIMEOUT;
use crate::http::limits::{MAX_HEAD, MAX_URI};
use crate::http::request_context::REQUEST_ID;
use crate::http::trace::TRACEPARENT;
use crate::lambda::http_answer::Form;
use crate::lambda::invocation::Invocation;

/// The bytes that a path must have in escaped form. A path that is escaped already stays as it is.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// The maximum number of headers, as over HTTP.
const MAX_HEADERS: usize = 100;
/// The part of host names that API Gateway makes. Only below these has a path its stage in it.
const EXECUTE_API: &str = ".execute-api.";

/// An event that is an HTTP request.
pub(crate) struct HttpEvent {
    members: Map<String, Json>,
    form: Form,
}

impl HttpEvent {
    /// Takes the members of an event that is an HTTP request, and gives others back.
    pub(crate) fn of(members: Map<String, Json>) -> Result<Self, Map<String, Json>> {
        let Some(context) = members.get("requestContext").filter(|context| context.is_object())
        else {
            return Err(members);
        };
        let is_two = context.pointer("/http/method").is_some_and(Json::is_string)
            && members.get("rawPath").is_some_and(Json::is_string);
        let is_one = ["httpMethod", "path"]
            .iter()
            .all(|name| members.get(*name).is_some_and(Json::is_string));
        let is_balancer = context.get("elb").is_some();
        let has_lists = members.get("multiValueHeaders").is_some_and(Json::is_object);
        let form = match (is_two, is_one) {
            (true, _) => Form::Two,
            (false, true) => Form::One { has_lists, is_balancer },
            (false, false) => return Err(members),
        };
        Ok(HttpEvent { members, form })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Makes the request, and returns it with the client's address.
    pub(crate) fn request(
        mut self,
        invocation: &Invocation,
    ) -> Result<(Request<Body>, IpAddr), Failure> {
        let body = self.body()?;
        let mut headers = self.headers()?;
        let client = self.client(&headers);
        for name in [EXPECT, TRANSFER_ENCODING, CONTENT_LENGTH] {
            headers.remove(name);
        }
        if let Form::One { is_balancer: false, .. } = self.form {
            // A REST API passes compressed text on as base64.
            headers.remove(ACCEPT_ENCODING);
        }
        if !body.is_empty() {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        if !headers.contains_key(HOST) {
            // The health checks of a load balancer have none.
            let host = self.context("/domainName").unwrap_or("localhost");
            headers.insert(HOST, host.parse().map_err(|_| malformed("its host name"))?);
        }
        add_invocation(&mut headers, invocation);
        let method = match self.form {
            Form::Two => self.context("/http/method"),
            Form::One { .. } => self.text("httpMethod"),
        };
        let request = Request::builder().method(method.unwrap_or_default()).uri(self.uri()?);
        let mut request = request.body(Body::from(body)).map_err(malformed_by)?;
        *request.headers_mut() = headers;
        Ok((request, client))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// Returns a text in `requestContext`.
    fn context(&self, pointer: &str) -> Option<&str> {
        self.members.get("requestContext")?.pointer(pointer)?.as_str()
    }

    fn body(&mut self) -> Result<Vec<u8>, Failure> {
        let is_base64 = self.members.get("isBase64Encoded").and_then(Json::as_bool);
        match self.members.remove("body") {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(Json::String(body)) if is_base64 == Some(true) => {
                BASE64_STANDARD.decode(body).map_err(|_| malformed("its body, which is not base64"))
            }
            Some(Json::String(body)) => Ok(body.into_bytes()),
            Some(_) => Err(malformed("its body, which is not a text")),
        }
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut length = 0;
        for (name, value) in self.pairs("multiValueHeaders", "headers") {
            length += name.len() + value.len();
            if headers.len() >= MAX_HEADERS || length > MAX_HEAD {
                return Err(malformed(
                    "its headers, which are more than 100 or longer than 64 KiB",
                ));
            }
            let name = HeaderName::try_from(name).map_err(malformed_by)?;
            headers.append(name, HeaderValue::try_from(value).map_err(malformed_by)?);
        }
        if let (Form::Two, Some(Json::Array(cookies))) = (self.form, self.members.get("cookies")) {
            let cookies: Vec<&str> = cookies.iter().filter_map(Json::as_str).collect();
            if !cookies.is_empty() {
                let cookies = cookies.join("; ");
                if length + cookies.len() > MAX_HEAD {
                    return Err(malformed("its cookies, which are longer than 64 KiB"));
                }
                headers.insert(COOKIE, HeaderValue::try_from(cookies).map_err(malformed_by)?);
            }
        }
        Ok(headers)
    }

    /// Returns the names and texts of the first member that is there. Each may have several texts.
    fn pairs(&self, lists: &str, singles: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = |name| {
            self.members.get(name).and_then(Json::as_object).filter(|members| !members.is_empty())
        };
        let members = map(lists).or_else(|| map(singles)).into_iter().flatten();
        members.flat_map(|(name, value)| {
            let values = match value {
                Json::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            values.iter().filter_map(move |value| Some((name.as_str(), value.as_str()?)))
        })
    }

    fn uri(&self) -> Result<String, Failure> {
        let (path, query) = match self.form {
            Form::Two => {
                let query = self.text("rawQueryString").unwrap_or_default().to_owned();
                (self.path_below_stage(self.text("rawPath").unwrap_or_default()), query)
            }
            Form::One { is_balancer, .. } => {
                (self.text("path").unwrap_or_default(), self.query(is_balancer))
            }
        };
        let mut uri = utf8_percent_encode(path, NOT_IN_PATH).to_string();
        if !uri.starts_with('/') {
            uri.insert(0, '/');
        }
        if !query.is_empty() {
            uri.push('?');
            uri.extend(utf8_percent_encode(&query, NOT_IN_PATH));
        }
        // The server itself refuses one that is a little too long, in the words of its dialect.
        if uri.len() > 4 * MAX_URI { Err(malformed("its URL, which is too long")) } else { Ok(uri) }
    }

    /// Leaves out the name of the stage, which API Gateway puts before the path.
    fn path_below_stage<'a>(&self, path: &'a str) -> &'a str {
        let host = self.context("/domainName").unwrap_or_default();
        let stage = self.context("/stage").filter(|stage| *stage != "$default");
        let below = stage.filter(|_| host.contains(EXECUTE_API)).and_then(|stage| {
            let below = path.strip_prefix('/')?.strip_prefix(stage)?;
            (below.is_empty() || below.starts_with('/')).then_some(below)
        });
        below.unwrap_or(path)
    }

    /// Returns the query. A load balancer passes it on as the client has sent it; API Gateway
    /// decodes it.
    fn query(&self, is_escaped: bool) -> String {
        let part = |text: &str| {
            if is_escaped {
                return text.to_owned();
            }
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
        };
        let pairs = self.pairs("multiValueQueryStringParameters", "queryStringParameters");
        let pairs = pairs.map(|(name, value)| format!("{}={}", part(name), part(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Returns the client's address. A load balancer adds it to the header of proxies.
    fn client(&self, headers: &HeaderMap) -> IpAddr {
        let of_proxy = || headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok();
        let address = match self.form {
            Form::Two => self.context("/http/sourceIp"),
            Form::One { is_balancer: false, .. } => self.context("/identity/sourceIp"),
            Form::One { is_balancer: true, .. } => {
                of_proxy().and_then(|all| all.rsplit(',').next())
            }
        };
        let address = address.and_then(|address| address.trim().parse().ok());
        address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// Adds the deadline, the id and the trace of the invocation. The client's own are kept, except for a
/// time that is longer than the deadline.
fn add_invocation(headers: &mut HeaderMap, invocation: &Invocation) {
    if let Some(time) = invocation.time() {
        let given = headers.get(TIMEOUT).and_then(|value| value.to_str().ok());
        let is_shorter =
            |text: &str| text.trim().parse().is_ok_and(|seconds: f64| seconds < time.as_secs_f64());
        // A value that is no number is refused later.
        let is_kept =
            given.is_some_and(|text| text.trim().parse::<f64>().is_err() || is_shorter(text));
        if !is_kept && let Ok(value) = HeaderValue::try_from(format!("{:.3}", time.as_secs_f64())) {
            headers.insert(TIMEOUT, value);
        }
    }
    let traceparent = invocation.traceparent();
    for (name, value) in
        [(REQUEST_ID.as_str(), Some(invocation.id.clone())), (TRACEPARENT, traceparent)]
    {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok())
            && !headers.contains_key(name)
            && let Ok(name) = HeaderName::try_from(name)
        {
            headers.insert(name, value);
        }
    }
}

fn malformed(what: &str) -> Failure {
    Error::new(Kind::MalformedRequest, format!("the event is not a usable request: {what}")).into()
}

fn malformed_by(error: impl Into<axum::http::Error>) -> Failure {
    malformed(&error.into().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invocation() -> Invocation {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("lambda-runtime-aws-request-id"),
            HeaderValue::from_static("id-1"),
        )]);
        Invocation::new(&headers, None).unwrap()
    }

    fn event(event: Json) -> HttpEvent {
        let Json::Object(members) = event else { panic!() };
        HttpEvent::of(members).ok().unwrap()
    }

    fn request(json: Json) -> (Request<Body>, IpAddr) {
        event(json).request(&invocation()).unwrap()
    }

    #[test]
    fn only_requests_are_requests() {
        for other in [
            json!({}),
            json!({"httpMethod": "GET", "path": "/"}),
            json!({"requestContext": {}, "httpMethod": "GET"}),
            json!({"requestContext": {"http": {"method": "GET"}}}),
            json!({"requestContext": "text", "rawPath": "/", "httpMethod": "GET", "path": "/"}),
        ] {
            let Json::Object(members) = other else { panic!() };
            assert!(HttpEvent::of(members.clone()).is_err_and(|given| given == members));
        }
    }

    #[test]
    fn format_2_is_read() {
        let http = json!({"method": "POST", "sourceIp": "203.0.113.9"});
        let (request, client) = request(json!({
            "rawPath": "/in fer", "rawQueryString": "a=%20b&c", "cookies": ["x=1", "y=2"],
            "headers": {"Content-Type": "text/plain", "content-length": "99", "expect": "x"},
            "requestContext": {"http": http, "domainName": "a.lambda-url.b.on.aws"},
            "body": "aGk=", "isBase64Encoded": true,
        }));
        assert_eq!(request.uri(), "/in%20fer?a=%20b&c");
        assert_eq!(client, IpAddr::from([203, 0, 113, 9]));
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("cookie"), Some("x=1; y=2"));
        assert_eq!((header("content-length"), header("expect")), (Some("2"), None));
        assert_eq!(header("host"), Some("a.lambda-url.b.on.aws"));
        assert_eq!(header("x-request-id"), Some("id-1"));
    }

    #[test]
    fn the_stage_is_no_part_of_the_path() {
        let path = |path: &str, stage: &str, host: &str| {
            let context = json!({"http": {"method": "GET"}, "stage": stage, "domainName": host});
            let (request, _) = request(json!({"rawPath": path, "requestContext": context}));
            request.uri().path().to_owned()
        };
        let host = "x.execute-api.eu-west-1.amazonaws.com";
        assert_eq!(path("/prod/infer", "prod", host), "/infer");
        assert_eq!(path("/prod", "prod", host), "/");
        assert_eq!(path("/production", "prod", host), "/production");
        assert_eq!(path("/v2/health", "v2", "models.example.org"), "/v2/health");
        assert_eq!(path("/infer", "$default", host), "/infer");
    }

    #[test]
    fn format_1_is_read_with_lists_and_without() {
        let (request, client) = request(json!({
            "httpMethod": "GET", "path": "/a", "headers": {"x": "2"}, "body": null,
            "multiValueHeaders": {"X": ["1", "2"]},
            "queryStringParameters": {"q": "c"},
            "multiValueQueryStringParameters": {"q": ["a b", "c"]},
            "requestContext": {"identity": {"sourceIp": "203.0.113.9"}},
        }));
        assert_eq!(
            (request.uri().query(), request.headers().get_all("x").iter().count()),
            (Some("q=a%20b&q=c"), 2)
        );
        assert_eq!(client, IpAddr::from([203, 0, 113, 9]));
        let balancer = event(json!({
            "httpMethod": "GET", "path": "/a", "queryStringParameters": {"q": "a%20b"},
            "headers": {"x-forwarded-for": "198.51.100.1, 203.0.113.9"},
            "requestContext": {"elb": {}},
        }));
        assert_eq!(balancer.form(), Form::One { has_lists: false, is_balancer: true });
        let (request, client) = balancer.request(&invocation()).unwrap();
        assert_eq!(request.uri().query(), Some("q=a%20b"));
        assert_eq!(client, IpAddr::from([203, 0, 113, 9]));
        assert_eq!(request.headers()["host"], "localhost");
    }

    #[test]
    fn an_event_that_is_no_usable_request_is_refused() {
        let whole = |change: Json| {
            let context = json!({"http": {"method": "GET"}});
            let mut event = json!({"rawPath": "/", "requestContext": context});
            event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            event
        };
        let many: Map<String, Json> = (0..101).map(|i| (format!("x{i}"), json!("1"))).collect();
        for change in [
            json!({"body": {}}),
            json!({"body": "?", "isBase64Encoded": true}),
            json!({"headers": {"a b": "1"}}),
            json!({"headers": {"a": "1\r\nb: 2"}}),
            json!({"headers": {"a": "1".repeat(MAX_HEAD)}}),
            json!({"headers": many}),
            json!({"cookies": ["1".repeat(MAX_HEAD + 1)]}),
            json!({"rawQueryString": "1".repeat(5 * MAX_URI)}),
            json!({"requestContext": {"http": {"method": "GET /"}}}),
        ] {
            let refused = event(whole(change.clone())).request(&invocation());
            assert_eq!(refused.unwrap_err().code(), "malformed_request", "{change}");
        }
    }
}
