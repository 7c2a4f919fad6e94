//! `data:` URLs (RFC 2397).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

/// Returns the URL that contains these bytes.
pub(crate) fn data_url(media: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{media};base64,");
    BASE64_STANDARD.encode_string(bytes, &mut url);
    url
}

/// Returns the URLs of the members of a list, which all have this media type.
pub(crate) fn data_urls(media: &str, list: &[Bytes]) -> Vec<String> {
    list.iter().map(|bytes| data_url(media, bytes)).collect()
}
