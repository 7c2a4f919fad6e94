//! Writes the response to an HTTP request as the answer to the event: a JSON object.

use ai_integration_contract::{Error, Kind};
use axum::body::Body;
use axum::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING,
};
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value as Json, json};

use crate::http::failure::Failure;

/// The maximum length of an answer in bytes that Lambda passes on as a whole.
pub(crate) const MAX_ANSWER: usize = 6 * 1024 * 1024;
/// The message of the error of a longer answer.
pub(crate) const TOO_LARGE: &str = "the answer is longer than the 6 MB that AWS Lambda passes on; files count a third more, because \
     they are sent as base64. A smaller result fits, or response streaming \
     (AI_INTEGRATION_LAMBDA_STREAM)";

/// The headers that belong to a connection, which Lambda makes itself.
const OF_CONNECTION: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The form of events and their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Function URLs, and HTTP APIs of API Gateway (payload format 2.0).
    Two,
    /// REST APIs of API Gateway, and load balancers (payload format 1.0).
    One {
        /// True if each header is a list of values.
        has_lists: bool,
        /// True for a load balancer, which wants the status in words too.
        is_balancer: bool,
    },
}

/// Writes a response whose body is taken as a whole.
///
/// # Errors
/// The answer is too long, or the response broke off.
pub(crate) async fn write(response: Response<Body>, form: Form) -> Result<String, Failure> {
    let too_large = || Failure::from(Error::new(Kind::ModelFailed, TOO_LARGE));
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
        Err(error) => {
            let message = format!("the response broke off: {error}");
            return Err(Error::new(Kind::ModelFailed, message).into());
        }
    };
    let text = text(&head.headers, &body);
    let is_base64 = text.is_none();
    let body = text.map_or_else(|| BASE64_STANDARD.encode(&body), str::to_owned);
    let mut answer = of_head(&head, form);
    answer.insert("body".to_owned(), body.into());
    answer.insert("isBase64Encoded".to_owned(), is_base64.into());
    let answer = Json::Object(answer).to_string();
    if answer.len() > MAX_ANSWER { Err(too_large()) } else { Ok(answer) }
}

/// Returns the members of the answer that come from the head of a response.
pub(crate) fn of_head(head: &Parts, form: Form) -> Map<String, Json> {
    let mut answer = Map::new();
    let names = head.headers.keys().filter(|name| !OF_CONNECTION.contains(name));
    let values =
        |name| head.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
    let joined = |name| Json::from(values(name).collect::<Vec<_>>().join(", "));
    let list = |name| Json::from(values(name).map(Json::from).collect::<Vec<_>>());
    answer.insert("statusCode".to_owned(), head.status.as_u16().into());
    match form {
        Form::Two => {
            let names = names.filter(|name| **name != SET_COOKIE);
            let headers = names.map(|name| (name.to_string(), joined(name))).collect();
            answer.insert("headers".to_owned(), Json::Object(headers));
            answer.insert("cookies".to_owned(), list(&SET_COOKIE));
        }
        Form::One { has_lists, is_balancer } => {
            if is_balancer {
                answer.insert("statusDescription".to_owned(), json!(head.status.to_string()));
            }
            let member = if has_lists { "multiValueHeaders" } else { "headers" };
            let value = |name| if has_lists { list(name) } else { joined(name) };
            let headers = names.map(|name| (name.to_string(), value(name))).collect();
            answer.insert(member.to_owned(), Json::Object(headers));
        }
    }
    answer
}

/// Returns the body as text if its type is one of text, since API Gateway passes base64 on as it is
/// unless it is set up for files.
fn text<'a>(headers: &HeaderMap, body: &'a Bytes) -> Option<&'a str> {
    if headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = essence.starts_with("text/")
        || ["json", "xml", "javascript", "x-ndjson", "x-www-form-urlencoded"]
            .iter()
            .any(|name| essence.strip_suffix(name).is_some_and(|rest| rest.ends_with(['/', '+'])));
    std::str::from_utf8(body).ok().filter(|_| is_text || body.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(media: &str, body: &'static [u8], form: Form) -> Json {
        let response = Response::builder()
            .header(CONTENT_TYPE, media)
            .header(CONTENT_LENGTH, 5)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(Body::from(body));
        serde_json::from_str(&write(response.unwrap(), form).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn each_form_has_its_own_members() {
        let two = written("application/problem+json", b"{}", Form::Two).await;
        let headers = json!({"content-type": "application/problem+json"});
        let rest = json!({"statusCode": 200, "headers": headers, "cookies": ["a=1", "b=2"],
                          "body": "{}", "isBase64Encoded": false});
        assert_eq!(two, rest);
        let lists = Form::One { has_lists: true, is_balancer: true };
        let one = written("image/png", b"\x89PNG", lists).await;
        let headers = json!({"content-type": ["image/png"], "set-cookie": ["a=1", "b=2"]});
        let rest = json!({"statusCode": 200, "statusDescription": "200 OK", "body": "iVBORw==",
                          "multiValueHeaders": headers, "isBase64Encoded": true});
        assert_eq!(one, rest);
        let single = Form::One { has_lists: false, is_balancer: false };
        let one = written("text/plain; charset=utf-8", "é".as_bytes(), single).await;
        assert_eq!(
            (&one["body"], &one["headers"]["set-cookie"]),
            (&json!("é"), &json!("a=1, b=2"))
        );
    }

    #[tokio::test]
    async fn an_answer_has_at_most_6_mb() {
        let fits = |length: usize| async move {
            let response = Response::builder().header(CONTENT_TYPE, "text/plain");
            write(response.body(Body::from(vec![b'a'; length])).unwrap(), Form::Two).await
        };
        assert!(fits(MAX_ANSWER - 200).await.is_ok());
        for length in [MAX_ANSWER - 20, MAX_ANSWER, MAX_ANSWER + 1] {
            let failure = fits(length).await.unwrap_err();
            assert_eq!(failure.code(), "model_failed");
        }
    }
}
