//! `data:` URLs (RFC 2397).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The URL of these bytes.
pub(crate) fn data_url(media: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{media};base64,");
    BASE64_STANDARD.encode_string(bytes, &mut url);
    url
}
