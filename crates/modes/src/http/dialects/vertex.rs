//! The dialect of Google's Vertex AI, at the address that Vertex AI names in `AIP_PREDICT_ROUTE`.
//! `{"instances": […], "parameters": {…}}` answers with `{"predictions": […]}`, one for each instance and
//! in their order. Each instance is a job of its own; if one of them fails, the request fails.
//!
//! Any other body is one of `rawPredict` or `streamRawPredict`, which Vertex AI passes on as it is. It
//! runs the model once, and is answered as `/infer` answers. Failures have the form of Google's APIs:
//! `{"error": {"code": …, "message": …, "status": …}}`.
//!
//! OpenAPI does not describe the address, because only Vertex AI chooses it and sends requests to it.

use ai_integration_contract::{Environment, Error, Kind, SettingError};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};

use crate::http::app::App;
use crate::http::dialect::Dialect;
use crate::http::dialects::native;
use crate::http::failure::{Failure, Wording};
use crate::http::inputs::any::AnyBody;
use crate::http::inputs::call::Call;
use crate::http::inputs::instances::Instances;
use crate::http::large::{PASSES, work_on};
use crate::http::prediction::Predictions;
use crate::http::records;
use crate::http::request_context::RequestId;
use crate::http::routes::{Mounted, Routes, is_address};

/// The variable with the address for predictions.
const ROUTE: &str = "AIP_PREDICT_ROUTE";
/// The address without this variable, as when the container is tried elsewhere.
const DEFAULT_ROUTE: &str = "/predict";

const INSTANCES: &str = "instances";
const PARAMETERS: &str = "parameters";

pub(crate) struct Vertex;

impl Dialect for Vertex {
    fn name(&self) -> &'static str {
        "vertex"
    }

    fn platform(&self) -> Option<&'static str> {
        Some("vertex")
    }

    fn mount(&self, environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let route = route(environment.variable(ROUTE).unwrap_or_default())?;
        // The address lives as long as the server, like the addresses in the code.
        let routes = Routes::new().at(route.leak(), post(predict));
        Ok(routes.with_state(app.clone()))
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        let status = failure.reason.status_without_422();
        let error = json!({
            "code": status.as_u16(),
            "message": failure.detail(wording),
            "status": word(status),
        });
        (status, Json(json!({"error": error}))).into_response()
    }
}

/// Returns the address for predictions that the variable names.
fn route(given: &str) -> Result<String, SettingError> {
    let given = given.trim();
    if given.is_empty() {
        return Ok(DEFAULT_ROUTE.to_owned());
    }
    if is_address(given) {
        return Ok(given.to_owned());
    }
    let reason = "expected a path such as /predict, without spaces, {}?#%\\, and parts that begin with : or *".to_owned();
    Err(SettingError::Invalid { name: ROUTE, value: given.to_owned(), reason })
}

/// Returns Google's word for a status of HTTP (google.rpc.Code).
fn word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

async fn predict(
    State(app): State<App>,
    mut call: Call,
    body: AnyBody,
) -> Result<Response, Failure> {
    match body {
        AnyBody::Json { value: Value::Object(members), length, reservation }
            if members.contains_key(INSTANCES) =>
        {
            let (list, parameters) = members_of(members)?;
            predictions(app, call, Instances { list, parameters, length, reservation }).await
        }
        body => {
            let model = app.model(&mut call).await?;
            let inputs = body.into_inputs(&model).await?;
            native::answer(app, call, inputs).await
        }
    }
}

/// Returns the instances and the parameters of a request.
pub(crate) fn members_of(
    mut members: Map<String, Value>,
) -> Result<(Vec<Value>, Map<String, Value>), Error> {
    let malformed = |message| Error::new(Kind::MalformedRequest, message);
    let Some(Value::Array(list)) = members.remove(INSTANCES) else {
        return Err(malformed("\"instances\" is not a list"));
    };
    match members.remove(PARAMETERS) {
        None | Some(Value::Null) => Ok((list, Map::new())),
        Some(Value::Object(parameters)) => Ok((list, parameters)),
        Some(_) => Err(malformed("\"parameters\" is not an object")),
    }
}

/// Runs the model once for each instance.
async fn predictions(app: App, mut call: Call, instances: Instances) -> Result<Response, Failure> {
    let model = app.model(&mut call).await?;
    let records = {
        let (model, limit, length) = (model.clone(), app.max_records(), instances.length);
        work_on(length, move || instances.records(&model.schema, limit)).await??
    };
    let outcomes = records::run(&app, &model, call, records).await?;
    let size = records::size(&outcomes);
    let write = move || Json(Predictions::of(&outcomes)).into_response();
    Ok(work_on(PASSES * size, write).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_a_plain_path() {
        let usual = "/v1/endpoints/12/deployedModels/34:predict";
        for (given, expected) in [("", "/predict"), (usual, usual), (" /a ", "/a"), ("/", "/")] {
            assert_eq!(route(given).as_deref(), Ok(expected), "{given:?}");
        }
        for given in ["predict", "/{name}", "/:a", "/*a", "/a b", "http://a/b"] {
            let message = route(given).unwrap_err().to_string();
            assert!(message.starts_with("AIP_PREDICT_ROUTE="), "{message}");
        }
    }
}
