//! The versions of the protocol. Up to 2025-11-25 a client begins with the request `initialize`, which
//! settles the version. Since 2026-07-28 there is no such beginning: each request names its version and
//! the client's capabilities in its `_meta`.

use serde_json::{Map, Value as Json, json};

use crate::http::inputs::envelope::excerpt;
use crate::mcp::message::{Code, RpcError};

/// The versions with a handshake, the request `initialize`. The oldest is the first.
pub(crate) const WITH_HANDSHAKE: [&str; 4] =
    ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The versions without a handshake.
pub(crate) const STATELESS: [&str; 1] = ["2026-07-28"];
/// The version for clients that ask for an unknown one.
const LATEST_WITH_HANDSHAKE: &str = WITH_HANDSHAKE[WITH_HANDSHAKE.len() - 1];

/// The members of `_meta` that every request must have since 2026-07-28.
pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The generation of a request's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// A handshake settles the version: up to 2025-11-25.
    Handshake,
    /// Each request names its version: since 2026-07-28.
    Stateless,
}

impl Era {
    /// Returns the era of a message. `header` is the version that a header of HTTP names.
    pub(crate) fn of(params: &Map<String, Json>, header: Option<&str>) -> Self {
        let is_older = header.is_none_or(|version| WITH_HANDSHAKE.contains(&version));
        if is_older && !has_version(params) { Era::Handshake } else { Era::Stateless }
    }
}

/// Returns true if a message names its version.
pub(crate) fn has_version(params: &Map<String, Json>) -> bool {
    meta(params).is_some_and(|meta| meta.contains_key(VERSION))
}

/// Returns a message's `_meta`.
pub(crate) fn meta(params: &Map<String, Json>) -> Option<&Map<String, Json>> {
    params.get("_meta").and_then(Json::as_object)
}

/// Checks that a request of the stateless era names what it must, and returns its version, which may
/// be one that is not supported.
pub(crate) fn named(params: &Map<String, Json>) -> Result<&str, RpcError> {
    let invalid = |message: String| Err(RpcError::new(Code::InvalidParams, message));
    let Some(meta) = meta(params) else {
        return invalid(format!(
            "params._meta is not an object with {VERSION:?} and {CAPABILITIES:?}"
        ));
    };
    if !meta.get(CAPABILITIES).is_some_and(Json::is_object) {
        return invalid(format!("params._meta has no object {CAPABILITIES:?}"));
    }
    match meta.get(VERSION) {
        Some(Json::String(version)) => Ok(version),
        _ => invalid(format!("params._meta has no text {VERSION:?}")),
    }
}

/// Refuses a version that is not one of the stateless era.
pub(crate) fn check(requested: &str) -> Result<(), RpcError> {
    if STATELESS.contains(&requested) {
        return Ok(());
    }
    let message = "the protocol version is not supported";
    let data = json!({"supported": STATELESS, "requested": excerpt(requested)});
    Err(RpcError { data: Some(data), ..RpcError::new(Code::UnsupportedVersion, message) })
}

/// Returns the version that `initialize` settles on, if a client asks for `requested`.
pub(crate) fn settled(requested: &str) -> &'static str {
    let known = WITH_HANDSHAKE.into_iter().find(|version| *version == requested);
    known.unwrap_or(LATEST_WITH_HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(meta: &Json) -> Map<String, Json> {
        Map::from_iter([("_meta".to_owned(), meta.clone())])
    }

    #[test]
    fn the_era_is_that_of_the_header_or_of_the_message() {
        let named = params(&json!({VERSION: "2026-07-28"}));
        let token = params(&json!({"progressToken": 1}));
        for (params, header, era) in [
            (&Map::new(), None, Era::Handshake),
            (&token, Some("2025-06-18"), Era::Handshake),
            (&token, Some("2026-07-28"), Era::Stateless),
            (&token, Some("1999-01-01"), Era::Stateless),
            (&named, None, Era::Stateless),
            (&named, Some("2025-11-25"), Era::Stateless),
        ] {
            assert_eq!(Era::of(params, header), era, "{params:?} {header:?}");
        }
    }

    #[test]
    fn a_stateless_request_names_its_version_and_capabilities() {
        let whole = json!({VERSION: "2026-07-28", CAPABILITIES: {}});
        assert_eq!(named(&params(&whole)), Ok("2026-07-28"));
        for meta in [
            json!(null),
            json!([]),
            json!({}),
            json!({VERSION: "2026-07-28"}),
            json!({CAPABILITIES: {}}),
            json!({VERSION: 2026, CAPABILITIES: {}}),
            json!({VERSION: "2026-07-28", CAPABILITIES: []}),
        ] {
            let error = named(&params(&meta)).unwrap_err();
            assert_eq!(error.code, Code::InvalidParams, "{meta}");
        }
        assert_eq!(named(&Map::new()).unwrap_err().code, Code::InvalidParams);
    }

    #[test]
    fn unknown_versions_are_refused_or_replaced() {
        assert_eq!(check("2026-07-28"), Ok(()));
        let error = check("1999-01-01").unwrap_err();
        assert_eq!(error.code, Code::UnsupportedVersion);
        let data = json!({"supported": ["2026-07-28"], "requested": "1999-01-01"});
        assert_eq!(error.data, Some(data));
        assert_eq!(settled("2025-03-26"), "2025-03-26");
        assert_eq!(settled("2026-07-28"), "2025-11-25");
        assert_eq!(settled(""), "2025-11-25");
    }
}
