//! Writes the response to an inference request: JSON with the output, or JSON and then the output as
//! binary data.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ai_integration_contract::{Error, Kind};
use axum::Json;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde::Serialize;

use crate::http::dialects::oip::request::{HEADER_LENGTH, ResponseForm};
use crate::http::tensors::answer::Answer;
use crate::http::tensors::datatype::Datatype;
use crate::http::tensors::metadata::OUTPUT;

#[derive(Serialize)]
struct InferResponse<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: [Output<'a>; 1],
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: &'a [usize],
    parameters: Parameters<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<Cow<'a, str>>>,
}

#[derive(Serialize)]
struct Parameters<'a> {
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_data_size: Option<usize>,
}

/// Makes the response of this model.
pub(super) fn write(
    model: &str,
    version: &str,
    form: ResponseForm,
    answer: Answer,
) -> Result<Response, Error> {
    let ResponseForm { id, is_binary } = form;
    let size = is_binary.then(|| answer.raw_length());
    let is_base64 = !is_binary && !answer.is_text;
    let parameters = Parameters {
        content_type: &answer.content_type,
        encoding: is_base64.then_some("base64"),
        binary_data_size: size,
    };
    let elements = answer.elements.iter();
    let data = (!is_binary).then(|| elements.map(|element| text(element, is_base64)).collect());
    let output = Output {
        name: OUTPUT,
        datatype: Datatype::Bytes.name(),
        shape: &answer.shape,
        parameters,
        data,
    };
    let response =
        InferResponse { model_name: model, model_version: version, id, outputs: [output] };
    if !is_binary {
        return Ok(Json(response).into_response());
    }
    let head = serde_json::to_vec(&response).map_err(|error| {
        Error::new(Kind::ModelFailed, format!("the response cannot be written: {error}"))
    })?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (HEADER_LENGTH, HeaderValue::from(head.len())),
    ];
    let mut pieces = VecDeque::from(answer.into_raw()?);
    pieces.push_front(head.into());
    Ok((headers, Body::new(Pieces(pieces))).into_response())
}

/// Returns an element in JSON.
fn text(element: &Bytes, is_base64: bool) -> Cow<'_, str> {
    let text = if is_base64 { None } else { std::str::from_utf8(element).ok() };
    text.map_or_else(|| Cow::Owned(BASE64_STANDARD.encode(element)), Cow::Borrowed)
}

/// A body of several pieces, whose length is known.
struct Pieces(VecDeque<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
