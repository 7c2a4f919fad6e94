//! Reads a body, or the data in it, that is a text.

use ai_integration_contract::{Encoding, Error, Kind};
use bytes::Bytes;
use mime::Mime;

/// Returns a text in UTF-8, without a byte order mark. Its charset is that of `media`, unless its
/// first bytes show another one. `what` names the text in errors.
pub(crate) fn in_utf8(what: &str, media: &Mime, data: Bytes) -> Result<Bytes, Error> {
    let malformed = |message| Error::new(Kind::MalformedRequest, message);
    let charset = media.get_param(mime::CHARSET).map(|charset| charset.as_str());
    let declared = charset.map_or(Some(Encoding::Utf8), Encoding::named).ok_or_else(|| {
        let names = Encoding::NAMES;
        malformed(format!("the charset of {media} is not supported; send {names}"))
    })?;
    let encoding = Encoding::of(&data, declared);
    let length = encoding
        .measure(&data)
        .map_err(|error| malformed(format!("{what} is of the type {media}, but its {error}")))?;
    if encoding == Encoding::Utf8 && length == data.len() {
        return Ok(data);
    }
    Ok(encoding.decode(&data, length).into())
}
