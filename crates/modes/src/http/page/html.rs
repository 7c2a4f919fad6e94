//! The page at `/`. Scripts draw it if this build contains them. The page also has a plain form,
//! and pages for its results, that work without scripts.

use ai_integration_contract::{Data, Outcome, json};
use ai_integration_engine::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::http::app::App;
use crate::http::data_url::data_url;
use crate::http::failure::Failure;
use crate::http::page::{built, form};

/// The status of the page while the model is not ready.
const NOT_READY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

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

/// The policy of the page with scripts. Only this server's own scripts and [`START`] may run. Files
/// of models and users are shown from memory (`blob:` and `data:`).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      script-src-elem 'self' 'sha256-ueep87zTg34zQieaks/GHrlfwg9CC1Vu4zxPIpkRxiM='; \
                      img-src 'self' blob: data:; media-src blob: data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'self'";

/// The policy of the plain pages. No script may run, and only files within the page itself are
/// shown.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                      media-src data:; form-action 'self'; base-uri 'none'";

/// The inline script that adds the page's files to the page; [`POLICY`] allows it by its hash.
///
/// The files are relative to the page. If a proxy serves the page without a slash at the end, such
/// as `/models/ocr`, the files are below that path, which only the browser knows. So the script
/// sets the base first. Links in the HTML would be fetched before that.
const START: &str = include_str!("start.js");

/// Returns the page with the form, or with the reason why the model is not ready.
pub(crate) fn form(app: &App) -> Response {
    let (status, content, reloads) = plain(app);
    if !built::is_there() {
        return respond(app, status, &content, reloads);
    }
    let model = app.engine().model_now().map(|model| app.for_front_end(&model).to_string());
    let scripted = html! {
        div #app data-follows[app.is_watched()] {}
        @if let Some(model) = model.filter(|_| status == StatusCode::OK) {
            // Browsers do not run this element, because its type is not a script's. Escaping `<`
            // keeps the data from closing the element.
            script #model type="application/json" { (PreEscaped(model.replace('<', "\\u003c"))) }
        }
        noscript {
            @if reloads { meta http-equiv="refresh" content="2"; }
            main { (content) }
        }
    };
    let files = html! { script { (PreEscaped(START)) } };
    send(app, status, &files, &scripted, POLICY)
}

/// Returns the page with the API reference, which scripts draw.
pub(crate) fn docs(app: &App) -> Response {
    let files = html! {
        link rel="icon" href="assets/icon.svg";
        link rel="stylesheet" href="assets/page.css";
        script type="module" src="assets/page.js" {}
    };
    let content = html! {
        div #app data-view="docs" {}
        noscript { main { p { a href="openapi.json" { "/openapi.json" } } } }
    };
    send(app, StatusCode::OK, &files, &content, POLICY)
}

/// Draws the form without scripts, or the reason why the model is not ready. The last value is true
/// if the browser should reload the page.
fn plain(app: &App) -> (StatusCode, Markup, bool) {
    let engine = app.engine();
    let state = engine.state().borrow().clone();
    if let State::Failed(error) = state {
        let content = html! {
            h1 { "The model is not available" }
            pre { (Failure::from(error).detail(app.wording())) }
        };
        // With `--reload` the author may repair the program, so the page reloads.
        return (NOT_READY, content, app.is_watched());
    }
    let Some(model) = engine.model_now() else {
        let content = html! {
            h1 { "The model is being loaded" }
            p { "This page reloads by itself." }
        };
        return (NOT_READY, content, true);
    };
    let about = app.about(&model);
    let name = about.name.as_deref().unwrap_or("Run the model");
    let content = html! {
        h1 { (name) }
        @if let Some(description) = &about.description { p { (description) } }
        (form::draw(&model.schema))
        p.note { "As an API: " a href="openapi.json" { "/openapi.json" } }
    };
    (StatusCode::OK, content, false)
}

/// Returns the page with a result.
pub(crate) fn result(app: &App, outcome: &Outcome) -> Response {
    let content = html! {
        h1 { "Result" }
        @if let Data::List(list) = &outcome.data {
            @for member in list {
                (data(&Outcome::bytes(outcome.media_type(), member.clone())))
            }
        } @else {
            (data(outcome))
        }
        p { a href="" { "Back to the form" } }
    };
    respond(app, StatusCode::OK, &content, false)
}

/// Returns the page with a failure that the model reported.
pub(crate) fn failure(app: &App, message: &str) -> Response {
    let content = html! {
        h1 { "The model reported a failure" }
        pre { (message) }
        p { a href="" { "Back to the form" } }
    };
    respond(app, StatusCode::OK, &content, false)
}

/// Returns the page with an error.
pub(crate) fn problem(app: &App, status: StatusCode, title: &str, message: &str) -> Response {
    let content = html! {
        h1 { "There is no result: " (title) }
        pre { (message) }
        p { a href="" { "Back to the form" } }
    };
    respond(app, status, &content, false)
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
            let pretty = json::parse(text.as_bytes());
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

/// Returns a page that needs no script.
fn respond(app: &App, status: StatusCode, content: &Markup, reloads: bool) -> Response {
    let style = html! {
        @if reloads { meta http-equiv="refresh" content="2"; }
        link rel="icon" href="data:,";
        style { (PreEscaped(STYLE)) }
    };
    send(app, status, &style, &html! { main { (content) } }, PLAIN_POLICY)
}

fn send(app: &App, status: StatusCode, head: &Markup, body: &Markup, policy: &str) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Model" }
                (head)
            }
            body { (body) }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, app.frames().policy(policy)),
    ];
    let options = app.frames().options().map(|options| [(header::X_FRAME_OPTIONS, options)]);
    (status, headers, options, page.into_string()).into_response()
}
