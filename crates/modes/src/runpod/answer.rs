//! Writes results, as `RunPod`'s SDK does: `{"output": …}`, or `{"error": …}` with a text that is JSON.

use ai_integration_contract::{Outcome, without_traceback};
use serde::Serialize;
use serde_json::json;

use crate::http::dialects::classic::{Output, Urls, output};
use crate::http::failure::{Failure, Wording};

/// The number of passes over the data of a result while it is written.
pub(crate) const PASSES: usize = 2;

#[derive(Serialize)]
struct Body<T> {
    output: T,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Whole<'a> {
    Data(Output<'a>),
    Files(Urls),
}

/// Writes a part of a streamed result.
pub(crate) fn part(value: impl Serialize) -> Vec<u8> {
    written(&Body { output: value })
}

/// Writes a whole result. A file is a `data:` URL.
pub(crate) fn whole(outcome: &Outcome) -> Vec<u8> {
    let output = match output(outcome) {
        (_, Some(urls)) => Whole::Files(urls),
        (output, None) => Whole::Data(output),
    };
    written(&Body { output })
}

/// Writes a failure, with the members that the SDK has.
pub(crate) fn error(failure: &Failure, wording: Wording, worker: &str, host: &str) -> Vec<u8> {
    let detail = failure.detail(wording);
    let message = without_traceback(&detail);
    let traceback = if message == detail { "" } else { &detail };
    let error = json!({
        "error_type": failure.code(),
        "error_message": message,
        "error_traceback": traceback,
        "hostname": host,
        "worker_id": worker,
    });
    written(&json!({"error": error.to_string()}))
}

fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| {
        let error = format!("the result cannot be written as JSON: {error}");
        json!({"error": error}).to_string().into_bytes()
    })
}
