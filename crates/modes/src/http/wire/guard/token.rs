//! The token that requests must contain, if one is set.

use std::path::Path;

use ai_integration_contract::setting::SettingType;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

/// The maximum length of a token. A wrong file, given by mistake, is usually longer.
const MAX_TOKEN: usize = 4096;

/// The header in which clients of Anthropic send their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The token, compared in constant time.
pub(crate) struct Token(Box<[u8]>);

impl SettingType for Token {
    type Value = Self;
    const VALUE_NAME: &'static str = "SECRET";

    fn read(word: &str) -> Result<Self, String> {
        let is_token = !word.is_empty()
            && word.len() <= MAX_TOKEN
            && word.bytes().all(|byte| byte.is_ascii_graphic());
        let expected = || "one word of printable ASCII characters".to_owned();
        is_token.then(|| Token(word.as_bytes().into())).ok_or_else(expected)
    }
}

impl Token {
    /// Reads the token from a file. The error says why the content is not a token.
    pub(crate) fn from_file(file: &Path) -> Result<Self, String> {
        let content =
            std::fs::read_to_string(file).map_err(|error| format!("it cannot be read: {error}"))?;
        Token::read(content.trim()).map_err(|expected| format!("expected {expected} in it"))
    }

    /// Returns true if the headers contain the token: as a bearer token (RFC 6750), as a password (RFC
    /// 7617), or in the header `x-api-key` of Anthropic's clients.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let is_authorized = authorization.is_some_and(|value| self.is_credential(value));
        let key = headers.get(API_KEY).map(HeaderValue::as_bytes);
        is_authorized | key.is_some_and(|key| key.trim_ascii().ct_eq(&self.0).into())
    }

    fn is_credential(&self, authorization: &str) -> bool {
        let (scheme, credentials) = authorization.split_once(' ').unwrap_or((authorization, ""));
        let credentials = credentials.trim();
        let given = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => credentials.as_bytes().to_vec(),
            "basic" => {
                let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
                let colon = decoded.iter().position(|byte| *byte == b':');
                decoded[colon.map_or(decoded.len(), |colon| colon + 1)..].to_vec()
            }
            _ => return false,
        };
        given.ct_eq(&self.0).into()
    }
}
