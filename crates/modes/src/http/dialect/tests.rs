//! A small but complete dialect, with a setting, a state and error texts. It is an example for new
//! dialects.

use std::sync::Arc;
use std::thread;

use ai_integration_contract::setting::Text;
use ai_integration_contract::{InputsSchema, Outcome, Value, settings};
use ai_integration_engine::{
    Budget, Embedded, Engine, FromWorker, Link, ToWorker, WorkerSide, serve_attached,
    settings::Config,
};
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, Request};
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::*;
use crate::http::app::Parts;
use crate::http::config::ServerConfig;
use crate::http::description::{body, json_response, problems, reasons_of_a_run, responses};
use crate::http::inputs::body::BodyReader;
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::RequestInputs;
use crate::http::routes::Routes;
use crate::http::tensors::statistics::Statistics;

/// A dialect that answers `POST /shout` with `{"shout": …}`, or with `{"complaint": …}`.
struct Shout;

settings! {
    /// The settings of the dialect.
    struct Settings under "Server" {
        /// Text that follows each result.
        shout_suffix: Text = "!",
    }
}

/// The state that the handlers share.
#[derive(Clone)]
struct ShoutState {
    app: App,
    suffix: Arc<str>,
}

/// Lets `Call` and `RequestInputs` read requests in the handlers.
impl FromRef<ShoutState> for App {
    fn from_ref(state: &ShoutState) -> App {
        state.app.clone()
    }
}

impl Dialect for Shout {
    fn name(&self) -> &'static str {
        "shout"
    }

    fn settings(&self) -> &'static [&'static Setting] {
        Settings::SETTINGS
    }

    fn mount(&self, environment: &Environment, app: &App) -> Result<Mounted, SettingError> {
        let suffix = Settings::read(environment)?.shout_suffix.into();
        let state = ShoutState { app: app.clone(), suffix };
        Ok(Routes::new().at("/shout", post(shout)).with_state(state))
    }

    fn describe(&self, model: &Model) -> Description {
        let shout = json!({
            "operationId": "shout",
            "summary": "Run the model and get its result as a shout",
            "requestBody": body(&model.schema),
            "responses": responses(json_response("The shout"), problems(reasons_of_a_run())),
        });
        Description::default().at("/shout", "post", shout)
    }

    fn refuse(&self, failure: &Failure, wording: Wording, _id: &RequestId) -> Response {
        let complaint = json!({"complaint": failure.detail(wording)});
        (failure.reason.status(), Json(complaint)).into_response()
    }
}

/// Answers a request. The edge passes a returned failure to `refuse`.
async fn shout(
    State(state): State<ShoutState>,
    call: Call,
    inputs: RequestInputs,
) -> Result<Response, Failure> {
    let (_model, ticket) = state.app.submit(call, inputs).await?;
    let outcome = Failure::check_outcome(ticket.outcome().await?)?;
    let text = outcome.data.as_text().unwrap_or_default();
    Ok(Json(json!({"shout": format!("{text}{}", state.suffix)})).into_response())
}

#[tokio::test]
async fn a_result_and_a_failure_are_in_the_format_of_the_dialect() {
    let mut environment = Environment::default();
    environment.set(Settings::shout_suffix(), "!!");
    let mut mounted = Shout.mount(&environment, &app(&environment)).unwrap();
    assert_eq!(mounted.addresses, ["/shout"]);

    let response = send(&mut mounted, r#"{"text": "hello"}"#).await;
    assert_eq!(read(response).await, r#"{"shout":"HELLO!!"}"#);

    let mut response = send(&mut mounted, r#"{"text": [1]}"#).await;
    assert_eq!(response.status(), 422);
    // The edge does this for each response that has a failure.
    let failure = response.extensions_mut().remove::<Failure>().unwrap();
    let response = Shout.refuse(&failure, Wording::Full, &RequestId::of(&HeaderMap::new()));
    assert!(read(response).await.starts_with(r#"{"complaint":"text: expected text"#));
}

#[test]
fn the_addresses_are_described() {
    let (schema, _) = InputsSchema::parse(&json!({"text": "text"}));
    let described = Shout.describe(&Model { schema, ..Model::default() });
    assert_eq!(described.paths["/shout"]["post"]["operationId"], "shout");
}

/// Makes the state that the server gives to each dialect, with a model in this process.
fn app(environment: &Environment) -> App {
    let engine = Embedded::start(Config::read(environment).unwrap().limits());
    let (link, worker) = Link::in_process();
    tokio::spawn(serve_attached(engine.clone(), link));
    thread::spawn(move || work(worker));
    let config = ServerConfig::read(environment).unwrap();
    let reader = BodyReader::new(config.limits, Budget::new(config.limits.in_flight()));
    let parts = Parts {
        operator: config.operator,
        images: config.images,
        fetcher: config.fetcher,
        wording: config.wording,
        frames: config.guard.frames().clone(),
        dialects: vec![Shout.name()],
        needs_token: false,
        is_watched: false,
        metrics: Arc::default(),
        early: Semaphore::new(1),
        max_records: 1,
        statistics: Statistics::default(),
        stop: CancellationToken::new(),
        detached: TaskTracker::new(),
    };
    App::new(parts, Intake::new(Engine::from(engine), reader))
}

/// The model: returns its input in capitals.
fn work(mut worker: WorkerSide) {
    let ready = json!({"protocol": 1, "inputs_schema": {"text": "text"}});
    worker.send(FromWorker::Ready(serde_json::from_value(ready).unwrap())).unwrap();
    while let Ok(Some(message)) = worker.receive() {
        if let ToWorker::Job { id, inputs, .. } = message {
            let Value::Text(text) = &inputs["text"] else { panic!("the schema has text") };
            worker.send(FromWorker::Start(id, None)).unwrap();
            worker.send(FromWorker::Result(id, Outcome::text(text.to_uppercase()))).unwrap();
        }
    }
}

async fn send(mounted: &mut Mounted, json: &'static str) -> Response {
    let request = Request::post("/shout").header("content-type", "application/json");
    mounted.router.call(request.body(Body::from(json)).unwrap()).await.unwrap()
}

async fn read(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
