//! Parses forms as `application/x-www-form-urlencoded` (WHATWG URL, section 5.1). The common parser
//! replaces bytes that are not UTF-8 by a replacement character, and so would change the model's
//! inputs.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Splits a body into the names and values of its fields. These are still in the encoding of the
/// body.
pub(crate) fn parse(body: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    fields.map(|field| {
        let end = memchr::memchr(b'=', field).unwrap_or(field.len());
        let value = field.get(end + 1..).unwrap_or_default();
        (unescape(&field[..end]), unescape(value))
    })
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', text).is_none() {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(Cow::from(percent_decode(&spaced)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_and_unescaped() {
        let fields: Vec<_> = parse(b"a=1+%2B2&&b&=c&d=e=f&%C3%A9=%E9%4&").collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"a", b"1 +2"),
            (b"b", b""),
            (b"", b"c"),
            (b"d", b"e=f"),
            ("é".as_bytes(), b"\xe9%4"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
