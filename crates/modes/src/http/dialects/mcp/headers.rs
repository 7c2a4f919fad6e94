//! The headers that repeat parts of a message, for proxies that do not read bodies. Since 2026-07-28
//! they must agree with the message.

use ai_integration_contract::decode_base64;
use axum::http::HeaderMap;
use serde_json::Value as Json;

use crate::http::inputs::envelope::excerpt;
use crate::mcp::message::{Code, Request, RpcError};

/// The header with the version of the protocol.
pub(super) const VERSION: &str = "mcp-protocol-version";
/// The header with the method.
const METHOD: &str = "mcp-method";
/// The header with the name of what the request is for.
const NAME: &str = "mcp-name";
/// The header with the id of a client's session, in versions that have sessions.
pub(super) const SESSION: &str = "mcp-session-id";

/// The methods that have the header [`NAME`], each with the parameter that the header repeats.
const NAMED: [(&str, &str); 3] =
    [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri")];

/// Returns the version that the headers name. They may repeat it, but must not contradict each other.
pub(super) fn version(headers: &HeaderMap) -> Result<Option<&str>, RpcError> {
    let mut values = headers.get_all(VERSION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match first.to_str() {
        Ok(version) if values.all(|value| value == first) => Ok(Some(version)),
        _ => {
            let message = format!("the header {VERSION} has no single version");
            Err(RpcError::new(Code::HeaderMismatch, message))
        }
    }
}

/// Checks that the headers agree with a request of this version.
pub(super) fn check(headers: &HeaderMap, request: &Request, version: &str) -> Result<(), RpcError> {
    expect(headers, VERSION, version)?;
    expect(headers, METHOD, &request.method)?;
    let parameter = NAMED.iter().find(|(method, _)| *method == request.method);
    match parameter.and_then(|(_, parameter)| request.params.get(*parameter)) {
        Some(Json::String(name)) => expect(headers, NAME, name),
        _ => Ok(()),
    }
}

/// Checks that a header is there once, with this value.
pub(super) fn expect(
    headers: &HeaderMap,
    name: &'static str,
    expected: &str,
) -> Result<(), RpcError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_none() && value.and_then(decoded).as_deref() == Some(expected) {
        return Ok(());
    }
    let expected = excerpt(expected);
    let message = format!("the header {name} is not what the message says: {expected:?}");
    Err(RpcError::new(Code::HeaderMismatch, message))
}

/// Decodes a value. Text that a header cannot contain is sent as `=?base64?…?=`.
fn decoded(value: &str) -> Option<String> {
    let encoded = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(decode_base64(encoded)?.into()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;
    use serde_json::{Map, json};

    fn check_with(changes: &[(&str, Option<&str>)]) -> Result<(), Code> {
        let usual = [(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "my-model")];
        let mut headers = HeaderMap::new();
        for (name, value) in usual {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        for (name, value) in changes {
            let name: HeaderName = name.parse().unwrap();
            match value {
                Some(value) => drop(headers.insert(name, value.parse().unwrap())),
                None => drop(headers.remove(name)),
            }
        }
        let params = Map::from_iter([("name".to_owned(), json!("my-model"))]);
        let request = Request { id: json!(1), method: "tools/call".to_owned(), params };
        check(&headers, &request, "2026-07-28").map_err(|error| error.code)
    }

    #[test]
    fn headers_must_agree_with_the_message() {
        assert_eq!(check_with(&[]), Ok(()));
        assert_eq!(check_with(&[(NAME, Some("=?base64?bXktbW9kZWw=?="))]), Ok(()));
        for (name, value) in [
            (VERSION, None),
            (VERSION, Some("2025-11-25")),
            (METHOD, None),
            (METHOD, Some("tools/list")),
            (METHOD, Some("Tools/Call")),
            (NAME, None),
            (NAME, Some("other")),
            (NAME, Some("=?base64?!?=")),
            (NAME, Some("=?base64?/w==?=")),
        ] {
            assert_eq!(check_with(&[(name, value)]), Err(Code::HeaderMismatch), "{name} {value:?}");
        }
    }

    #[test]
    fn the_headers_name_at_most_one_version() {
        for (values, expected) in [
            (vec![], Ok(None)),
            (vec!["2025-06-18"], Ok(Some("2025-06-18"))),
            (vec!["2025-06-18", "2025-06-18"], Ok(Some("2025-06-18"))),
            (vec!["2025-06-18", "2025-11-25"], Err(Code::HeaderMismatch)),
            (vec!["\u{e9}"], Err(Code::HeaderMismatch)),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(VERSION, value.parse().unwrap());
            }
            assert_eq!(version(&headers).map_err(|error| error.code), expected, "{values:?}");
        }
    }

    #[test]
    fn a_header_that_is_given_twice_is_refused() {
        let mut headers = HeaderMap::new();
        for value in ["a", "a"] {
            headers.append(METHOD, value.parse().unwrap());
        }
        assert_eq!(expect(&headers, METHOD, "a").unwrap_err().code, Code::HeaderMismatch);
    }
}
