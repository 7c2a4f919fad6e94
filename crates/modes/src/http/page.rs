//! The page at `/`: a form drawn from the schema, and results that need no script.

use ai_integration_contract::{Data, Outcome};
use ai_integration_engine::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::App;
use super::classic::{NOT_READY, data_url};
use super::form;

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
label { display: block; font-weight: 600; }
.note { display: block; font-weight: 400; font-size: .9rem; opacity: .75; }
label .note { display: inline; }
input, textarea, select { font: inherit; width: 100%; box-sizing: border-box; padding: .4rem; }
button { font: inherit; padding: .5rem 1.5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid gray; }
img, video { max-width: 100%; }
";

/// Nothing runs, and nothing is fetched but what the page itself carries.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      media-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page with the form, or why there is none yet.
pub(super) fn form(app: &App) -> Response {
    let engine = app.engine();
    let state = engine.state().borrow().clone();
    if let State::Failed(error) = state {
        let content = html! {
            h1 { "The model is not available" }
            pre { (app.wording().of_error(&error)) }
        };
        return respond(NOT_READY, &content, false);
    }
    let Some(model) = engine.model_now() else {
        let content = html! {
            h1 { "The model is being loaded" }
            p { "This page looks again by itself." }
        };
        return respond(NOT_READY, &content, true);
    };
    let about = app.about(&model);
    let name = about.name.as_deref().unwrap_or("Run the model");
    let content = html! {
        h1 { (name) }
        @if let Some(description) = &about.description { p { (description) } }
        (form::draw(&model.schema))
        p.note { "As an API: " a href="/openapi.json" { "/openapi.json" } }
    };
    respond(StatusCode::OK, &content, false)
}

/// The page with a result.
pub(super) fn result(outcome: &Outcome) -> Response {
    let content = html! {
        h1 { "Result" }
        (data(outcome))
        p { a href="/" { "Again" } }
    };
    respond(StatusCode::OK, &content, false)
}

/// The page with the failure that the model itself reports.
pub(super) fn failure(message: &str) -> Response {
    let content = html! {
        h1 { "The model reported a failure" }
        pre { (message) }
        p { a href="/" { "Again" } }
    };
    respond(StatusCode::OK, &content, false)
}

/// The page that says why there is no result.
pub(super) fn problem(status: StatusCode, title: &str, message: &str) -> Response {
    let content = html! {
        h1 { "There is no result: " (title) }
        pre { (message) }
        p { a href="/" { "Back to the form" } }
    };
    respond(status, &content, false)
}

fn data(outcome: &Outcome) -> Markup {
    let media = outcome.media_type();
    let url = || data_url(&media, &outcome.data.clone().into_bytes());
    let family = media.split('/').next().unwrap_or_default();
    let text = outcome.data.as_text();
    match (family, text) {
        ("image", _) => html! { img src=(url()) alt="The resulting picture"; },
        ("audio", _) => html! { audio src=(url()) controls {} },
        ("video", _) => html! { video src=(url()) controls {} },
        (_, Some(text)) if outcome.is_json() => {
            let pretty = serde_json::from_str::<serde_json::Value>(text);
            html! { pre { (pretty.map_or_else(|_| text.to_owned(), |json| format!("{json:#}"))) } }
        }
        (_, Some(text)) if !matches!(outcome.data, Data::Bytes(_)) || family == "text" => {
            html! { pre { (text) } }
        }
        _ => html! {
            p {
                a download="result" href=(url()) { "Download the result" }
                " (" (media) ", " (outcome.data.len()) " bytes)"
            }
        },
    }
}

fn respond(status: StatusCode, content: &Markup, reloads: bool) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if reloads { meta http-equiv="refresh" content="2"; }
                title { "Model" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (status, headers, page.into_string()).into_response()
}
