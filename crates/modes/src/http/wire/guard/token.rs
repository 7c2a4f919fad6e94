//! The token that requests must contain, if one is set.

use std::path::Path;

use ai_integration_contract::setting::SettingType;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

/// The maximum length of a token. A wrong file, given by mistake, is usually longer.
const MAX_TOKEN: usize = 4096;

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

    /// Returns true if the headers contain the token, as a bearer token (RFC 6750) or a password
    /// (RFC 7617).
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else { return false };
        let Ok((scheme, credentials)) =
            value.to_str().map(|v| v.split_once(' ').unwrap_or((v, "")))
        else {
            return false;
        };
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
