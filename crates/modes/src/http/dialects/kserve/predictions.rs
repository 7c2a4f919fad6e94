//! Writes predictions: as the body of the V1 protocol, or as an event with that body as its data.

use ai_integration_contract::Outcome;
use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::http::dialects::kserve::request::{EVENT, Form, VERSION};
use crate::http::prediction::Predictions;

/// The type of the events that KServe answers with.
const TYPE: &str = "io.kserve.inference.response";

/// An event in the structured mode.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: &'static str,
    time: String,
    datacontenttype: &'static str,
    data: Predictions<'a>,
}

/// Writes the results of a model, in the form of the request.
pub(super) fn write(form: &Form, model: &str, outcomes: &[Outcome]) -> Response {
    let data = Predictions::of(outcomes);
    if *form == Form::Plain {
        return Json(data).into_response();
    }
    let event = Event {
        specversion: VERSION,
        id: Uuid::new_v4().to_string(),
        source: format!("io.kserve.inference.{model}"),
        r#type: TYPE,
        // The time of a clock that is set to the year 10,000 cannot be written.
        time: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        datacontenttype: "application/json",
        data,
    };
    if *form == Form::Structured {
        return ([(CONTENT_TYPE, EVENT)], Json(event)).into_response();
    }
    let headers = [
        ("ce-specversion", event.specversion),
        ("ce-id", &event.id),
        ("ce-source", &event.source),
        ("ce-type", event.r#type),
        ("ce-time", &event.time),
    ];
    (headers, Json(event.data)).into_response()
}
