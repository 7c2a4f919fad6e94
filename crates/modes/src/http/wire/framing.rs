//! The framing of a request's body over HTTP/1.1 (RFC 9112, section 6): where it ends must not depend
//! on who reads it, or a proxy in front and this server would see different requests.

use ai_integration_contract::{Error, Kind};
use axum::http::HeaderMap;
use axum::http::header::TRANSFER_ENCODING;

use crate::http::failure::{Failure, Refusal};

/// Refuses a request whose transfer coding is not `chunked`, once and alone. hyper only looks at the
/// last coding.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else { return Ok(()) };
    let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
    let is_alone = lines.next().is_none();
    if is_alone && first.to_str().is_ok_and(is_chunked) {
        return Ok(());
    }
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    if codings.any(|coding| !coding.trim().is_empty() && !is_chunked(coding)) {
        let message =
            "the request has a transfer coding other than chunked, which is not read here";
        return Err(Failure::refused(Refusal::UnsupportedTransferCoding, message));
    }
    let message = "the request names its transfer coding more than once";
    Err(Error::new(Kind::MalformedRequest, message).into())
}
