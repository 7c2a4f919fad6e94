//! The addresses of the page, of the API reference that its scripts draw, and of its files.

use std::io::Read;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{Broken, Revision, State as EngineState};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use rust_embed::EmbeddedFile;
use serde_json::{Value, json};

use crate::http::accept::accepts_coding;
use crate::http::app::App;
use crate::http::description::{Description, content, operation};
use crate::http::failure::{Failure, Reason};
use crate::http::page::{built, html};
use crate::http::routes::{Mounted, Routes};

/// Makes the addresses. The API reference and the files are there even without the page.
pub(crate) fn mount(app: App, has_page: bool) -> Mounted {
    let routes = Routes::new().at("/docs", get(docs)).unlabelled("/assets/{name}", get(asset));
    let routes = if has_page { routes.at("/", get(page)) } else { routes };
    let routes =
        if app.is_watched() { routes.unlabelled("/revision", get(revision)) } else { routes };
    routes.with_state(app)
}

/// Describes the page for OpenAPI. Its files are not part of the API.
pub(crate) fn describe() -> Description {
    let page = json!({"text/html": {"schema": {"type": "string"}}});
    let not_loaded = [Reason::Failed(Kind::ModelUnavailable)];
    let mut get = operation("page", "A page with a form", content("The page", &page), &not_loaded);
    get["responses"]["503"] = content("The model is not available", &page);
    Description::default().at("/", "get", get)
}

async fn page(State(app): State<App>) -> Response {
    html::form(&app)
}

async fn docs(State(app): State<App>) -> Result<Response, Failure> {
    if built::is_there() { Ok(html::docs(&app)) } else { Err(Failure::not_found()) }
}

/// Returns the number of the program's revision, and the error of a later revision that could not
/// take over. An open page polls this.
async fn revision(State(app): State<App>) -> Json<Value> {
    let engine = app.engine();
    let Revision { number, broken } =
        engine.revision().map(|one| one.borrow().clone()).unwrap_or_default();
    let broken = broken.or_else(|| match &*engine.state().borrow() {
        EngineState::Failed(error) => Some(Broken { changed: None, error: error.clone() }),
        EngineState::Starting | EngineState::Ready(_) => None,
    });
    let broken = broken.map(|Broken { changed, error }| {
        json!({"changed": changed, "detail": Failure::from(error).detail(app.wording())})
    });
    Json(json!({"revision": number, "broken": broken}))
}

async fn asset(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let unreadable =
        |_| Error::new(Kind::MalformedRequest, "the path of the URL is not valid UTF-8");
    let Path(name) = name.map_err(unreadable)?;
    let file = built::file(&name).ok_or_else(Failure::not_found)?;
    let media = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let tag = tag(&file);
    // The browser must ask for the file each time, since another version of the server may run by
    // then. If the file is the same, the response is short.
    let caching = [(header::CACHE_CONTROL, "no-cache"), (header::VARY, "accept-encoding")];
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag);
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, caching, [(header::ETAG, tag)]).into_response());
    }
    let about = ([(header::CONTENT_TYPE, media)], [(header::ETAG, tag)]);
    if accepts_coding(&headers, "gzip") {
        let packed = [(header::CONTENT_ENCODING, "gzip")];
        return Ok((caching, about, packed, file.data).into_response());
    }
    let mut plain = Vec::new();
    Ok(match GzDecoder::new(&*file.data).read_to_end(&mut plain) {
        Ok(_) => (caching, about, plain).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

/// Returns the file's entity tag: the beginning of its hash.
fn tag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let word = u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
    HeaderValue::try_from(format!("\"{word:016x}\"")).unwrap_or(HeaderValue::from_static("\"-\""))
}
