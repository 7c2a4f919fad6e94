//! Reads the content type of a body.

use axum::http::{HeaderMap, header};
use mime::Mime;

/// Returns the content type of a request's body, if it names one. The error is the text that is none.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<Result<Mime, String>> {
    let value = headers.get(header::CONTENT_TYPE).filter(|value| !value.is_empty())?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(media_type(&text).ok_or_else(|| text.into_owned()))
}

/// Reads a media type. Clients end it with a semicolon too.
pub(crate) fn media_type(text: &str) -> Option<Mime> {
    text.trim_end_matches([' ', ';']).parse().ok()
}

/// Returns true if a media type is that of JSON (RFC 6839).
pub(crate) fn is_json(media: &Mime) -> bool {
    let is_named = matches!(media.essence_str(), "application/json" | "text/json");
    is_named || media.suffix() == Some(mime::JSON)
}
