//! Streamed answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, TRAILER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value as Json;

use crate::lambda::function_error::{ERROR_TYPE, FunctionError};
use crate::lambda::http_answer::{Form, of_head};
use crate::lambda::runtime_api::{Answer, JSON};

/// The maximum length of a streamed answer in bytes.
const MAX_STREAM: usize = 200 * 1024 * 1024;

/// The header that announces a streamed answer.
const MODE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("lambda-runtime-function-response-mode"),
    HeaderValue::from_static("streaming"),
);
/// The trailer with the error of an answer that broke off, in base64.
const ERROR_BODY: HeaderName = HeaderName::from_static("lambda-runtime-function-error-body");
const TRAILERS: HeaderValue = HeaderValue::from_static(
    "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
);
/// The type of an answer that begins with the head of a response.
const INTEGRATION: HeaderValue =
    HeaderValue::from_static("application/vnd.awslambda.http-integration-response");
/// The bytes between the head and the body.
const SEPARATOR: [u8; 8] = [0; 8];

/// Streams a response: its head as JSON, 8 zero bytes, and its body as it comes.
pub(crate) fn of_response(response: Response<Body>, time: Duration) -> Answer {
    let (head, body) = response.into_parts();
    let mut prelude = Json::Object(of_head(&head, Form::Two)).to_string().into_bytes();
    prelude.extend(SEPARATOR);
    streamed(INTEGRATION, Bytes::from(prelude), body, time)
}

/// Streams a result that is JSON.
pub(crate) fn of_json(text: String, time: Duration) -> Answer {
    streamed(JSON, Bytes::from(text), Body::empty(), time)
}

fn streamed(media: HeaderValue, first: Bytes, body: Body, time: Duration) -> Answer {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, media), MODE, (TRAILER, TRAILERS)]);
    let frames = stream::unfold(Some(Rest { first: Some(first), body, length: 0 }), |rest| async {
        let mut rest = rest?;
        let frame = rest.next().await?;
        let next = frame.is_data().then_some(rest);
        Some((Ok::<_, axum::Error>(frame), next))
    });
    Answer { headers, body: Body::new(StreamBody::new(frames)), time }
}

/// The part of an answer that has not been sent.
struct Rest {
    first: Option<Bytes>,
    body: Body,
    /// The number of bytes that have been sent.
    length: usize,
}

impl Rest {
    /// Returns the next data, or the error as trailers if the answer breaks off here.
    async fn next(&mut self) -> Option<Frame<Bytes>> {
        let data = match self.first.take() {
            Some(first) => first,
            None => match self.body.frame().await? {
                Ok(frame) => frame.into_data().ok()?,
                Err(error) => return Some(trailers(&FunctionError::late(&error.to_string()))),
            },
        };
        self.length = self.length.saturating_add(data.len());
        if self.length > MAX_STREAM {
            let message = "the answer is longer than the 200 MB that AWS Lambda streams".to_owned();
            return Some(trailers(&FunctionError::new("Payload.TooLarge", message)));
        }
        Some(Frame::data(data))
    }
}

fn trailers(error: &FunctionError) -> Frame<Bytes> {
    let body = HeaderValue::try_from(BASE64_STANDARD.encode(error.json()));
    let body = body.unwrap_or(HeaderValue::from_static(""));
    let kind = HeaderValue::from_static(error.kind);
    Frame::trailers(HeaderMap::from_iter([(ERROR_TYPE, kind), (ERROR_BODY, body)]))
}
