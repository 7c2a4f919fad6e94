//! Decodes parts of a form that have a `Content-Transfer-Encoding` (RFC 2045, section 6). RFC 7578
//! deprecates the header, but mail libraries still write it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The number of base64 characters that are decoded at once: a multiple of four.
const STEP: usize = 4096;

/// The encoding of a part's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TransferEncoding {
    /// The content is not encoded.
    #[default]
    Identity,
    Base64,
    QuotedPrintable,
}

impl TransferEncoding {
    /// Finds an encoding by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Some(match name.as_str() {
            "7bit" | "8bit" | "binary" => TransferEncoding::Identity,
            "base64" => TransferEncoding::Base64,
            "quoted-printable" => TransferEncoding::QuotedPrintable,
            _ => return None,
        })
    }

    /// Decodes a part's content. The result is never longer than the content. Returns `None` if the
    /// content is not valid in this encoding.
    pub(crate) fn decode(self, content: &Bytes) -> Option<Bytes> {
        match self {
            TransferEncoding::Identity => Some(content.clone()),
            TransferEncoding::Base64 => base64(content).map(Bytes::from),
            TransferEncoding::QuotedPrintable => quoted_printable(content).map(Bytes::from),
        }
    }
}

impl fmt::Display for TransferEncoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            TransferEncoding::Identity => "binary",
            TransferEncoding::Base64 => "base64",
            TransferEncoding::QuotedPrintable => "quoted-printable",
        })
    }
}

fn base64(content: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(content.len() / 4 * 3);
    let mut step = Vec::with_capacity(STEP);
    for byte in content.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        step.push(*byte);
        if step.len() == STEP {
            STANDARD.decode_vec(&step, &mut decoded).ok()?;
            step.clear();
        }
    }
    STANDARD.decode_vec(&step, &mut decoded).ok()?;
    Some(decoded)
}

fn quoted_printable(content: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            rest = after;
            if *byte != b'=' {
                decoded.push(*byte);
            } else if !after.is_empty() {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &after[2..];
            }
        }
        // A line that ends with an equals sign continues on the next line.
        if !text.ends_with(b"=") {
            let end = line.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            decoded.extend_from_slice(&line[line.len() - end..]);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, content: &[u8]) -> Option<Bytes> {
        TransferEncoding::named(name)?.decode(&Bytes::copy_from_slice(content))
    }

    #[test]
    fn contents_are_decoded_by_their_encoding() {
        for (name, content, expected) in [
            ("binary", &b"=C3"[..], Some(&b"=C3"[..])),
            ("8BIT", b"\xff", Some(b"\xff")),
            ("Base64", b"aGV\r\nsbG8=\r\n", Some(b"hello")),
            ("base64", b"", Some(b"")),
            ("base64", b"aGVsbG8", None),
            ("base64", b"a.b=", None),
            ("quoted-printable", b"caf=C3=a9 = 3D", None),
            ("quoted-printable", b"caf=C3=a9 =3D", Some("café =".as_bytes())),
            (
                "quoted-printable",
                b"one \t\r\ntwo=\r\n three= \nfour\n",
                Some(b"one\r\ntwo threefour\n"),
            ),
            ("quoted-printable", b"=C", None),
            ("x-uuencode", b"", None),
        ] {
            assert_eq!(decoded(name, content).as_deref(), expected, "{name} {content:?}");
        }
        let long = vec![7; 3 * STEP];
        let encoded = STANDARD.encode(&long);
        assert_eq!(decoded("base64", encoded.as_bytes()).as_deref(), Some(&long[..]));
    }
}
