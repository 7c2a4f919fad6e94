//! The secret that requests have to carry, where there is one.

use ai_integration_contract::{Environment, Setting, SettingError};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

/// The secret. No flag, since others can read a process's arguments.
pub(crate) static TOKEN: Setting = Setting {
    name: "AI_INTEGRATION_TOKEN",
    flag: None,
    value_name: "SECRET",
    default: "",
    help: "A secret that requests have to carry: Authorization: Bearer SECRET, or as the password \
           that a browser asks for. The model's program does not get to see it. /healthz and \
           /readyz need none.",
};

/// The secret in a file.
pub(crate) static TOKEN_FILE: Setting = Setting {
    name: "AI_INTEGRATION_TOKEN_FILE",
    flag: Some("token-file"),
    value_name: "FILE",
    default: "",
    help: "A file whose content is the token.",
};

/// The greatest length of a token, which a file by mistake would be over.
const MAX_TOKEN: usize = 4096;

/// The secret.
pub(crate) struct Token(Box<[u8]>);

impl Token {
    /// The token that the settings name.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let invalid = |name, expected: &str| SettingError::Invalid {
            name,
            // Whatever it is, it is not for the log.
            value: "…".to_owned(),
            expected: expected.to_owned(),
        };
        let given =
            environment.variable(TOKEN.name).map(str::trim).filter(|token| !token.is_empty());
        let (name, token) = match (given, environment.get(&TOKEN_FILE)) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(invalid(TOKEN.name, "there is AI_INTEGRATION_TOKEN_FILE too; use one"));
            }
            (Some(token), None) => (TOKEN.name, token.to_owned()),
            (None, Some(file)) => {
                let read =
                    std::fs::read_to_string(file).map_err(|error| SettingError::Invalid {
                        name: TOKEN_FILE.name,
                        value: file.to_owned(),
                        expected: format!("it cannot be read: {error}"),
                    })?;
                (TOKEN_FILE.name, read.trim().to_owned())
            }
        };
        let is_token = !token.is_empty()
            && token.len() <= MAX_TOKEN
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err(invalid(name, "a token is one word of printable ASCII characters"));
        }
        Ok(Some(Token(token.into_bytes().into())))
    }

    /// Whether a request carries it: as a bearer token (RFC 6750) or as a password (RFC 7617).
    pub(crate) fn is_carried(&self, headers: &HeaderMap) -> bool {
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
