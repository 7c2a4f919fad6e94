//! Answers invocations.

use std::time::Duration;

use ai_integration_contract::{Error, Kind, json as strict};
use axum::body::Body;
use axum::extract::FromRef;
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::http::dialects::classic;
use crate::http::failure::{Failure, problem};
use crate::http::in_process::InProcess;
use crate::http::inputs::call::Call;
use crate::http::inputs::intake::Intake;
use crate::http::inputs::request::RequestInputs;
use crate::http::large::work_on;
use crate::http::request_context::{REQUEST_ID, RequestContext, RequestId};
use crate::lambda::function_error::FunctionError;
use crate::lambda::http_answer::{self, MAX_ANSWER};
use crate::lambda::http_event::HttpEvent;
use crate::lambda::invocation::Invocation;
use crate::lambda::runtime_api::{Answer, Lost, RuntimeApi};
use crate::lambda::stream;

/// The label of events in the log that are not HTTP requests.
const ROUTE: &str = "event";
/// The time beyond the deadline that a streamed answer has.
const BEYOND: Duration = Duration::from_secs(5);
/// The time of an answer without a deadline.
const LONGEST: Duration = Duration::from_mins(90);

/// The model as a function.
pub(crate) struct Function {
    pub(crate) server: InProcess,
    /// True if answers are streams.
    pub(crate) is_streaming: bool,
    pub(crate) logs_for_people: bool,
}

/// The content of an event.
enum Event {
    Http(Box<HttpEvent>),
    Inputs(RequestInputs),
}

impl Function {
    /// Answers an invocation. Whatever goes wrong with the event or the model is the error of this
    /// invocation only.
    pub(crate) async fn answer(
        &self,
        mut invocation: Invocation,
        api: &mut RuntimeApi,
    ) -> Result<(), Lost> {
        let trace = invocation.trace.as_deref();
        tracing::debug!(request_id = invocation.id, _X_AMZN_TRACE_ID = trace, "an event arrived");
        let event = invocation.event.take();
        let answered = match self.read(event).await {
            Ok(Event::Http(event)) => Ok(self.answer_http(&invocation, *event).await),
            Ok(Event::Inputs(inputs)) => self.answer_inputs(&invocation, inputs).await,
            Err(failure) => Err(failure),
        };
        let failure = match answered {
            Ok(answer) => {
                if api.respond(&invocation, answer).await? {
                    return Ok(());
                }
                too_large()
            }
            Err(failure) => failure,
        };
        let app = self.server.app();
        app.record_late(&failure, &self.context(&invocation));
        api.error(&invocation, &FunctionError::of(&failure, app.wording())).await
    }

    async fn read(&self, event: Option<Bytes>) -> Result<Event, Failure> {
        let Some(event) = event else {
            return Err(Error::new(Kind::TooLarge, "the event could not be read as a whole").into());
        };
        let mut reservation = Intake::from_ref(self.server.app()).reader().reserve_for(None);
        let length = event.len();
        let parse = move || strict::parse(&event);
        let malformed = |fault| {
            Failure::from(Error::new(
                Kind::MalformedRequest,
                format!("the event is not JSON: {fault}"),
            ))
        };
        let json = work_on(length, parse).await?.map_err(malformed)?;
        let Json::Object(members) = json else {
            let message = "the event is not a JSON object; send an object with the model's inputs, \
                           each under its name";
            return Err(Error::new(Kind::MalformedRequest, message).into());
        };
        if !reservation.add(length) {
            return Err(Failure::full());
        }
        Ok(match HttpEvent::of(members) {
            Ok(event) => Event::Http(Box::new(event)),
            Err(members) => Event::Inputs(RequestInputs::from_members(members, reservation)?),
        })
    }

    async fn answer_http(&self, invocation: &Invocation, event: HttpEvent) -> Answer {
        let form = event.form();
        let response = match event.request(invocation) {
            Ok((request, client)) => self.server.respond(request, client).await,
            Err(failure) => {
                self.server.app().record_late(&failure, &self.context(invocation));
                self.refuse(invocation, &failure)
            }
        };
        if self.is_streaming {
            return stream::of_response(response, time(invocation));
        }
        let written = http_answer::write(response, form);
        let time = invocation.time_to_answer().unwrap_or(LONGEST);
        match timeout(time, written).await.unwrap_or_else(|_| Err(too_late())) {
            Ok(text) => Answer::json(text),
            Err(failure) => {
                self.server.app().record_late(&failure, &self.context(invocation));
                let refused = self.refuse(invocation, &failure);
                Answer::json(http_answer::write(refused, form).await.unwrap_or_default())
            }
        }
    }

    /// Responds to an event that does not reach the server, or whose response cannot be sent.
    fn refuse(&self, invocation: &Invocation, failure: &Failure) -> Response<Body> {
        let id = self.context(invocation).id;
        let mut response = problem(failure, self.server.app().wording(), &id);
        response.headers_mut().insert(REQUEST_ID, id.0);
        response
    }

    async fn answer_inputs(
        &self,
        invocation: &Invocation,
        inputs: RequestInputs,
    ) -> Result<Answer, Failure> {
        let app = self.server.app();
        let call =
            Call::plain(self.context(invocation), invocation.time(), app.engine().announce());
        let result = classic::written(app, call, inputs).await?;
        if self.is_streaming {
            return Ok(stream::of_json(result, time(invocation)));
        }
        if result.len() > MAX_ANSWER {
            return Err(too_large());
        }
        Ok(Answer::json(result))
    }

    fn context(&self, invocation: &Invocation) -> RequestContext {
        let id = HeaderValue::from_str(&invocation.id);
        RequestContext {
            id: RequestId(id.unwrap_or(HeaderValue::from_static("-"))),
            client: None,
            route: ROUTE,
            traceparent: invocation.traceparent().map(Into::into),
            timing: None,
            is_logged_for_people: self.logs_for_people,
        }
    }
}

/// Returns the time in which Lambda must have taken a streamed answer.
fn time(invocation: &Invocation) -> Duration {
    invocation.left().map_or(LONGEST, |left| left + BEYOND)
}

/// Makes the failure of a response that does not end before the deadline.
fn too_late() -> Failure {
    Error::new(Kind::Timeout, "the response did not end before the deadline of the function").into()
}

/// Makes the failure of an answer that Lambda would not pass on.
fn too_large() -> Failure {
    Error::new(Kind::TooLarge, http_answer::TOO_LARGE).into()
}
