//! Runs the model on records, and writes a line for the result of each.

use std::sync::Arc;
use std::time::Instant;

use ai_integration_contract::{Error, Kind, Outcome};
use ai_integration_engine::Model;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value as Json;

use crate::http::accept::prefers;
use crate::http::dialects::sagemaker::lines::Lines;
use crate::http::dialects::sagemaker::parameters::Shared;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::large::work_on;
use crate::http::prediction::Prediction;
use crate::http::records;

const JSON_LINES: &str = "application/jsonlines";
const CSV: &str = "text/csv";
/// The maximum number of records of a request that are in the queue at a time.
const MAX_PORTION: usize = 256;
/// The number of times that the bytes of results are processed: for base64, for JSON, and for lines.
const PASSES: usize = 4;

/// Returns true if the client prefers the results as CSV to those as JSON.
pub(super) fn wants_csv(headers: &HeaderMap) -> bool {
    prefers(headers, CSV, JSON_LINES)
}

/// Runs a job for each record, and answers with a line for each. The first failure ends the request.
pub(super) async fn answer(
    state: &Shared,
    call: Call,
    model: &Arc<Model>,
    mut lines: Lines,
    wants_csv: bool,
) -> Result<Response, Failure> {
    let app = &state.app;
    // All requests of a batch transform together have room in the queue.
    let limit = (app.max_records() / state.transforms()).clamp(1, MAX_PORTION);
    let Call { context, timeout, announcement, .. } = call;
    let mut announcement = announcement;
    let begun = Instant::now();
    let mut text = Vec::new();
    // A short record may have a long result, so the answer counts too.
    let mut reservation = lines.reserve();
    loop {
        let (model_of, before, rest) = (model.clone(), lines.count(), lines.rest());
        let read = move || {
            let jobs = lines.next(&model_of.schema, limit);
            (lines, jobs)
        };
        let jobs;
        (lines, jobs) = work_on(rest, read).await?;
        let jobs = jobs?;
        if jobs.is_empty() {
            break;
        }
        let rest = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        if rest.is_some_and(|rest| rest.is_zero()) {
            let message = "the request's timeout passed before all of its records were run";
            return Err(Error::new(Kind::Timeout, message).into());
        }
        let portion = Call::plain(context.clone(), rest, announcement.take());
        let outcomes = records::run_numbered(app, model, portion, jobs, before + 1).await?;
        let size = records::size(&outcomes);
        let length = text.len();
        let write = move || {
            for (index, outcome) in outcomes.iter().enumerate() {
                if before + index > 0 {
                    text.push(b'\n');
                }
                write(outcome, wants_csv, before + index + 1, &mut text)?;
            }
            Ok::<_, Failure>(text)
        };
        text = work_on(PASSES * size, write).await??;
        if !reservation.add(text.len() - length) {
            return Err(Failure::full());
        }
    }
    if lines.count() == 0 {
        let message = "the body has no record; send a record in each line";
        return Err(Error::new(Kind::MalformedRequest, message).into());
    }
    Ok(([(CONTENT_TYPE, if wants_csv { CSV } else { JSON_LINES })], text).into_response())
}

/// Writes the result of the record `number`.
fn write(outcome: &Outcome, as_csv: bool, number: usize, to: &mut Vec<u8>) -> Result<(), Failure> {
    let begin = to.len();
    serde_json::to_writer(&mut *to, &Prediction::of(outcome)).map_err(|error| {
        Error::new(Kind::ModelFailed, format!("the result of record {number}: {error}"))
    })?;
    if as_csv {
        let value = serde_json::from_slice(&to[begin..]).unwrap_or_default();
        let row = row(&value).ok_or_else(|| {
            let message = format!(
                "the result of record {number} is not a value, or a list of values, that fits into \
                 a line of CSV; send the header Accept: {JSON_LINES}"
            );
            Error::new(Kind::MalformedRequest, message)
        })?;
        to.truncate(begin);
        to.extend(row.into_bytes());
    } else {
        // In JSON, a line break can be only between its tokens.
        for byte in &mut to[begin..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    Ok(())
}

/// Returns the line of CSV for a result.
fn row(value: &Json) -> Option<String> {
    match value {
        Json::Array(items) => {
            items.iter().map(cell).collect::<Option<Vec<_>>>().map(|row| row.join(","))
        }
        value => cell(value),
    }
}

fn cell(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::Bool(_) | Json::Number(_) => Some(value.to_string()),
        Json::String(text) if text.contains(['\n', '\r']) => None,
        Json::String(text) if text.is_empty() || text.contains([',', '"']) => {
            Some(format!("\"{}\"", text.replace('"', "\"\"")))
        }
        Json::String(text) => Some(text.clone()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(outcome: &Outcome, as_csv: bool) -> Option<String> {
        let mut text = Vec::new();
        write(outcome, as_csv, 1, &mut text).ok()?;
        String::from_utf8(text).ok()
    }

    #[test]
    fn a_result_is_one_line() {
        for (outcome, json, csv) in [
            (Outcome::text("a\nb"), r#""a\nb""#, None),
            (Outcome::text("a, \"b\""), r#""a, \"b\"""#, Some(r#""a, ""b""""#)),
            (Outcome::text(""), r#""""#, Some(r#""""#)),
            (Outcome::json([1.5, 2.0]), "[1.5,2.0]", Some("1.5,2.0")),
            (Outcome::bytes("application/json", "[1,\r\n 2]"), "[1,   2]", Some("1,2")),
            (Outcome::bytes("application/json", "{\"a\":\n1}"), "{\"a\": 1}", None),
            (Outcome::bytes("application/json", "[[1]]"), "[[1]]", None),
            (Outcome { success: true, ..Outcome::default() }, "null", Some("")),
        ] {
            assert_eq!(written(&outcome, false).as_deref(), Some(json));
            assert_eq!(written(&outcome, true).as_deref(), csv, "{json}");
        }
    }
}
