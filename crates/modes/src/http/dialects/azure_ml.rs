//! The dialect of online endpoints of Azure Machine Learning: the addresses of Microsoft's own inference
//! server. `POST /score` takes a body of any type. JSON is an object of inputs by name, or the value of
//! the one input that the model needs, and a plain text in the answer to it is a string of JSON. Any
//! other body is answered as `/infer` answers.
//!
//! `/swagger.json` is the OpenAPI document. Failures are `{"message": …}`.

mod headers;

use ai_integration_contract::{Environment, Kind, SettingError};
use ai_integration_engine::Model;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::body::Body as _;
use serde_json::json;

use self::headers::{Ids, add_duration, with_server};
use crate::http::app::App;
use crate::http::description::{Description, body, content, failed, result};
use crate::http::dialect::Dialect;
use crate::http::dialects::native;
use crate::http::failure::{Failure, Reason, Wording};
use crate::http::inputs::any::AnyBody;
use crate::http::inputs::call::Call;
use crate::http::large::{PASSES, work_on};
use crate::http::request_context::{RequestContext, RequestId};
use crate::http::routes::{Mounted, Routes};

const SCORE: &str = "/score";
const SWAGGER: &str = "/swagger.json";

pub(crate) struct AzureMl;

impl Dialect for AzureMl {
    fn name(&self) -> &'static str {
        "azure_ml"
    }

    fn platform(&self) -> Option<&'static str> {
        Some("azure_ml")
    }

    fn mount(&self, _environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        Ok(Routes::new().at(SCORE, post(score)).with_state(app.clone()))
    }

    fn openapi_address(&self) -> Option<&'static str> {
        Some(SWAGGER)
    }

    fn describe(&self, model: &Model) -> Description {
        let answer = json!({"schema": result(&model.outputs)});
        let success = content(
            "The result: JSON, a text as a string of JSON, or a file as itself",
            &json!({"application/json": answer, "*/*": {"schema": {}}}),
        );
        let failed = failed(&json!({
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}},
        }));
        let run = json!({
            "operationId": "azure_ml",
            "summary": "Run the model as an online endpoint of Azure Machine Learning does",
            "parameters": [{"$ref": "#/components/parameters/Timeout"}],
            "requestBody": body(&model.schema),
            "responses": {"200": success, "default": failed},
        });
        Description::default().at(SCORE, "post", run)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        error(failure, failure.reason.status_without_422(), wording)
    }
}

async fn score(State(app): State<App>, request: Request) -> Response {
    let wording = app.wording();
    let ids = match Ids::of(request.headers()) {
        Ok(ids) => ids,
        Err(failure) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let body = error(&failure, status, wording);
            return failure.with_body(body);
        }
    };
    let context: Option<&RequestContext> = request.extensions().get();
    let id = context.map(|context| context.id.clone());
    let mut response = match run(app, request).await {
        Ok(response) => with_server(response, false),
        Err(failure) => {
            let body = error(&failure, failure.reason.status_without_422(), wording);
            failure.with_body(body)
        }
    };
    if let Some(id) = id {
        ids.add_to(response.headers_mut(), &id);
    }
    response
}

async fn run(app: App, request: Request) -> Result<Response, Failure> {
    let (mut head, body) = request.into_parts();
    let mut call = Call::from_request_parts(&mut head, &app).await?;
    let body = AnyBody::from_request(Request::from_parts(head, body), &app).await?;
    let is_json = matches!(body, AnyBody::Json { .. });
    let timing = call.context.timing.get_or_insert_default().clone();
    let model = app.model(&mut call).await?;
    let inputs = body.into_inputs(&model).await?;
    let mut response = native::answer(app, call, inputs).await?;
    if is_json {
        response = with_text_as_json(response).await?;
    }
    add_duration(response.headers_mut(), &timing);
    Ok(response)
}

/// Makes a string of JSON of a plain text that is there as a whole, because clients who send JSON expect
/// JSON. The chunks of a stream stay as they are.
async fn with_text_as_json(response: Response) -> Result<Response, Failure> {
    let (mut head, body) = response.into_parts();
    let media = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
    if !media.starts_with(b"text/plain") || body.size_hint().exact().is_none() {
        return Ok(Response::from_parts(head, body));
    }
    // The body is one piece of memory, which cannot fail to be read.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let size = bytes.len();
    let write = move || match std::str::from_utf8(&bytes).map(serde_json::to_string) {
        Ok(Ok(json)) => (Body::from(json), true),
        _ => (Body::from(bytes), false),
    };
    let (body, is_json) = work_on(PASSES * size, write).await?;
    if is_json {
        let json = header::HeaderValue::from_static("application/json");
        head.headers.insert(header::CONTENT_TYPE, json);
    }
    Ok(Response::from_parts(head, body))
}

fn error(failure: &Failure, status: StatusCode, wording: Wording) -> Response {
    let is_of_model = matches!(
        failure.reason,
        Reason::Failed(Kind::ModelFailed | Kind::ModelCrashed | Kind::Timeout)
    );
    let body = Json(json!({"message": failure.detail(wording)}));
    with_server((status, body).into_response(), is_of_model)
}
