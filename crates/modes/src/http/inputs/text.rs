//! Reads a body, or the data in it, that is a text.

use ai_integration_contract::{Encoding, Error, Kind};
use ai_integration_engine::Reservation;
use bytes::Bytes;
use mime::Mime;

use crate::http::failure::Failure;

/// Returns the text of a body in UTF-8 like [`in_utf8`]. `reservation` already has the memory of the
/// body, and grows by what the text is longer.
pub(crate) fn body_in_utf8(
    media: &Mime,
    body: Bytes,
    reservation: &mut Reservation,
) -> Result<Bytes, Failure> {
    let length = body.len();
    let text = in_utf8("the body", media, body)?;
    if !reservation.add(text.len().saturating_sub(length)) {
        return Err(Failure::full());
    }
    Ok(text)
}

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

#[cfg(test)]
mod tests {
    use ai_integration_engine::Budget;

    use super::*;

    #[test]
    fn a_text_that_grows_is_charged() {
        let media = "text/plain; charset=latin-1".parse().unwrap();
        for (most, code) in [(4, None), (3, Some(Failure::full().code()))] {
            let budget = Budget::new(most);
            let mut reservation = budget.reserve(None);
            assert!(reservation.add(2));
            let text = body_in_utf8(&media, Bytes::from_static(b"\xe9\xe9"), &mut reservation);
            assert_eq!(text.as_ref().err().map(Failure::code), code);
            assert_eq!(budget.taken(), if code.is_none() { 4 } else { 2 });
        }
    }
}
