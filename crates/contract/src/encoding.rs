//! The encodings of text: UTF-8, and others that some clients still send.

use std::fmt;

use self::Encoding::{Latin1, Utf8, Utf16Be, Utf16Le, Utf32Be, Utf32Le, Windows1252};

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 (RFC 3629), which includes ASCII.
    Utf8,
    /// UTF-16 (RFC 2781) with the low byte first.
    Utf16Le,
    /// UTF-16 with the high byte first.
    Utf16Be,
    /// UTF-32 with the lowest byte first.
    Utf32Le,
    /// UTF-32 with the highest byte first.
    Utf32Be,
    /// ISO 8859-1: each byte is the character with that number.
    Latin1,
    /// The Western code page of Windows.
    Windows1252,
}

/// The byte order marks. The marks of UTF-32 come first, because one of them begins with a mark of
/// UTF-16.
const MARKS: [(&[u8], Encoding); 5] = [
    (b"\xef\xbb\xbf", Utf8),
    (b"\xff\xfe\0\0", Utf32Le),
    (b"\xff\xfe", Utf16Le),
    (b"\0\0\xfe\xff", Utf32Be),
    (b"\xfe\xff", Utf16Be),
];

/// The characters of `Windows1252` from 0x80 to 0x9F. The five numbers that it does not define are
/// the characters of `Latin1`.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The first place where bytes are not text in their declared encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {}, 0x{byte:02X}, is not {encoding}", .offset + 1)]
pub struct NotText {
    /// The declared encoding.
    pub encoding: Encoding,
    /// The number of bytes before the first wrong byte.
    pub offset: usize,
    /// The wrong byte.
    pub byte: u8,
}

impl Encoding {
    /// The names of the encodings, for messages.
    pub const NAMES: &str = "UTF-8, UTF-16, UTF-32, ISO-8859-1 or windows-1252";

    /// Finds an encoding by its name in a `charset` parameter.
    #[must_use]
    pub fn named(charset: &str) -> Option<Self> {
        let name = charset.trim().to_ascii_lowercase().replace('_', "-");
        Some(match name.as_str() {
            "utf-8" | "utf8" | "utf-8-sig" | "us-ascii" | "ascii" => Utf8,
            // The byte order is little-endian unless a mark or the first characters show another one.
            "utf-16" | "utf16" | "utf-16le" | "ucs-2" | "unicode" => Utf16Le,
            "utf-16be" | "unicodefffe" => Utf16Be,
            "utf-32" | "utf32" | "utf-32le" => Utf32Le,
            "utf-32be" => Utf32Be,
            "iso-8859-1" | "iso8859-1" | "iso88591" | "latin-1" | "latin1" | "l1" => Latin1,
            "windows-1252" | "cp1252" | "cp-1252" | "x-cp1252" => Windows1252,
            _ => return None,
        })
    }

    /// Detects the encoding of a text by its byte order mark, or by the zero bytes around its first
    /// character. The first character of every JSON text is ASCII (RFC 4627, section 3). Any other
    /// text has the `declared` encoding.
    #[must_use]
    pub fn of(text: &[u8], declared: Encoding) -> Self {
        let marked = MARKS.iter().find(|(mark, _)| text.starts_with(mark));
        match (marked, text) {
            (Some((_, encoding)), _) => *encoding,
            (None, [0, 0, ..]) => Utf32Be,
            (None, [0, _, ..]) => Utf16Be,
            (None, [_, 0, 0, 0, ..]) => Utf32Le,
            (None, [_, 0, ..]) => Utf16Le,
            _ => declared,
        }
    }

    /// Returns true if each character has at least two bytes, so that ASCII text is not valid in
    /// it.
    #[must_use]
    pub fn is_wide(self) -> bool {
        matches!(self, Utf16Le | Utf16Be | Utf32Le | Utf32Be)
    }

    /// Returns the text without its byte order mark.
    #[must_use]
    pub fn without_mark(self, text: &[u8]) -> &[u8] {
        let mut marks = MARKS.iter().filter(|(_, encoding)| *encoding == self);
        marks.find_map(|(mark, _)| text.strip_prefix(*mark)).unwrap_or(text)
    }

    /// Counts the bytes of the text in UTF-8, without its byte order mark.
    pub fn measure(self, text: &[u8]) -> Result<usize, NotText> {
        let mut rest = self.without_mark(text);
        let mut length = 0;
        while let [byte, ..] = *rest {
            let offset = text.len() - rest.len();
            let (character, taken) =
                self.first(rest).ok_or(NotText { encoding: self, offset, byte })?;
            length += character.len_utf8();
            rest = &rest[taken..];
        }
        Ok(length)
    }

    /// Decodes a text. [`measure`](Self::measure) has returned its `length` in UTF-8.
    #[must_use]
    pub fn decode(self, text: &[u8], length: usize) -> String {
        let mut decoded = String::with_capacity(length);
        let mut rest = self.without_mark(text);
        while let Some((character, taken)) = self.first(rest) {
            decoded.push(character);
            rest = &rest[taken..];
        }
        decoded
    }

    /// Reads the first character, and returns it with its length in bytes. Returns `None` if the
    /// text is empty or the bytes are not a character.
    fn first(self, text: &[u8]) -> Option<(char, usize)> {
        let single = *text.first()?;
        match self {
            Utf8 => {
                let valid = text[..text.len().min(4)].utf8_chunks().next()?.valid();
                let character = valid.chars().next()?;
                Some((character, character.len_utf8()))
            }
            Utf16Le | Utf16Be => {
                let unit = |bytes: &[u8]| {
                    let bytes = *bytes.first_chunk()?;
                    let is_low_first = self == Utf16Le;
                    Some(if is_low_first {
                        u16::from_le_bytes(bytes)
                    } else {
                        u16::from_be_bytes(bytes)
                    })
                };
                let units = [Some(unit(text)?), unit(&text[2..])];
                let character = char::decode_utf16(units.into_iter().flatten()).next()?.ok()?;
                Some((character, 2 * character.len_utf16()))
            }
            Utf32Le => Some((char::from_u32(u32::from_le_bytes(*text.first_chunk()?))?, 4)),
            Utf32Be => Some((char::from_u32(u32::from_be_bytes(*text.first_chunk()?))?, 4)),
            Windows1252 if (0x80..0xa0).contains(&single) => {
                Some((WINDOWS[usize::from(single - 0x80)], 1))
            }
            Latin1 | Windows1252 => Some((char::from(single), 1)),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Utf8 => "UTF-8",
            Utf16Le | Utf16Be => "UTF-16",
            Utf32Le | Utf32Be => "UTF-32",
            Latin1 => "ISO-8859-1",
            Windows1252 => "windows-1252",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &[u8], declared: Encoding) -> Result<String, String> {
        let encoding = Encoding::of(text, declared);
        let length = encoding.measure(text).map_err(|error| error.to_string())?;
        Ok(encoding.decode(text, length))
    }

    #[test]
    fn each_encoding_is_detected_and_read() {
        for (text, declared, expected) in [
            (&b"{}"[..], Utf8, "{}"),
            (b"\xef\xbb\xbf{\xc3\xa9}", Latin1, "{é}"),
            (b"{\0}\0", Utf8, "{}"),
            (b"\0{\0}", Utf8, "{}"),
            (b"\xff\xfe{\0}\0", Utf8, "{}"),
            (b"\xfe\xff\0{\0}", Latin1, "{}"),
            (b"{\0\0\0}\0\0\0", Utf8, "{}"),
            (b"\0\0\0{\0\0\0}", Utf8, "{}"),
            (b"\xff\xfe\0\0{\0\0\0", Utf8, "{"),
            (b"\0\0\xfe\xff\0\0\0{", Utf8, "{"),
            (b"{\0\x3d\xd8\0\xde", Utf8, "{😀"),
            (b"{\xe9\x80}", Latin1, "{é\u{80}}"),
            (b"{\xe9\x80}", Windows1252, "{é€}"),
            (b"", Utf16Le, ""),
        ] {
            assert_eq!(decoded(text, declared).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn wrong_bytes_are_reported_with_their_place() {
        for (text, message) in [
            (&b"{\xe9}"[..], "byte 2, 0xE9, is not UTF-8"),
            (b"\xef\xbb\xbf{\xe9}", "byte 5, 0xE9, is not UTF-8"),
            (b"{\0\x3d\xd8", "byte 3, 0x3D, is not UTF-16"),
            (b"{\0}\0}", "byte 5, 0x7D, is not UTF-16"),
            (b"\0\0\0{\0\x11\0\0", "byte 5, 0x00, is not UTF-32"),
        ] {
            assert_eq!(decoded(text, Utf8), Err(message.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn encodings_have_the_names_that_programs_use() {
        for (name, encoding) in [
            ("UTF-8", Some(Utf8)),
            (" utf8 ", Some(Utf8)),
            ("ISO_8859-1", Some(Latin1)),
            ("Latin1", Some(Latin1)),
            ("cp1252", Some(Windows1252)),
            ("utf-16BE", Some(Utf16Be)),
            ("koi8-r", None),
            ("", None),
        ] {
            assert_eq!(Encoding::named(name), encoding, "{name}");
        }
    }

    proptest! {
        #[test]
        fn text_is_the_same_in_every_encoding(text: String) {
            let text = format!("{{}}{text}");
            let wide: Vec<u16> = text.encode_utf16().collect();
            for bytes in [
                text.clone().into_bytes(),
                wide.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
                wide.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
                text.chars().flat_map(|each| u32::from(each).to_le_bytes()).collect(),
                text.chars().flat_map(|each| u32::from(each).to_be_bytes()).collect(),
            ] {
                prop_assert_eq!(decoded(&bytes, Utf8), Ok(text.clone()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for declared in [Utf8, Utf16Le, Utf16Be, Utf32Le, Utf32Be, Latin1, Windows1252] {
                let _ = declared.measure(&bytes);
                let _ = decoded(&bytes, declared);
            }
        }
    }
}
