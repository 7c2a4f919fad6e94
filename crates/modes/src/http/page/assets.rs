//! The page's scripts, styles and words, built from `web/` and embedded compressed; and `/docs`, which
//! the same scripts draw. A build without Node.js has none of it, and says so when it starts.

use std::io::Read;

use ai_integration_contract::{Error, Kind};
use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use rust_embed::{Embed, EmbeddedFile};

use crate::http::App;
use crate::http::failure::Rejection;
use crate::http::page::plain;

pub(crate) const PATHS: &[&str] = &["/docs"];

/// What `npm run build` leaves, each file compressed by gzip (RFC 1952).
#[derive(Embed)]
#[folder = "../../web/dist"]
#[include = "*.gz"]
#[allow_missing = true]
struct Built;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/assets/{name}", get(asset)).route("/docs", get(docs))
}

/// Whether this build has the page.
pub(crate) fn are_there() -> bool {
    Built::get("page.js.gz").is_some()
}

async fn docs() -> Result<Response, Rejection> {
    if are_there() { Ok(plain::docs()) } else { Err(Rejection::not_found()) }
}

async fn asset(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let unreadable = |_| Error::new(Kind::MalformedRequest, "the address is not text in UTF-8");
    let Path(name) = name.map_err(unreadable)?;
    let file = Built::get(&format!("{name}.gz")).ok_or_else(Rejection::not_found)?;
    let media = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let tag = tag(&file);
    // Asked again each time, and answered in a line: another version of the server may be here.
    let known = [(header::CACHE_CONTROL, "no-cache"), (header::VARY, "accept-encoding")];
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag);
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, known, [(header::ETAG, tag)]).into_response());
    }
    let about = ([(header::CONTENT_TYPE, media)], [(header::ETAG, tag)]);
    if takes_gzip(&headers) {
        let packed = [(header::CONTENT_ENCODING, "gzip")];
        return Ok((known, about, packed, file.data).into_response());
    }
    let mut plain = Vec::new();
    Ok(match GzDecoder::new(&*file.data).read_to_end(&mut plain) {
        Ok(_) => (known, about, plain).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

/// The file's version: the beginning of its hash.
fn tag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let word = u64::from_be_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
    HeaderValue::try_from(format!("\"{word:016x}\"")).unwrap_or(HeaderValue::from_static("\"-\""))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|one| one.trim() == "gzip")
}
