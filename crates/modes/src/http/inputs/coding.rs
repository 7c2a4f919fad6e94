//! Decompresses bodies with the content codings gzip and deflate, up to a limit.

use std::io::Read;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::BodyBuffer;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::http::failure::{Failure, Refusal};

/// The number of bytes that are decompressed at once.
const STEP: usize = 64 * 1024;

/// A content coding that a body may have (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

/// Returns the content coding of a body, or an error if the coding is not accepted. All codings in
/// all headers count (RFC 9110, section 8.4), so that a compressed body is never read as plain
/// content.
pub(crate) fn coding(
    headers: &HeaderMap,
    takes_compressed: bool,
) -> Result<Option<Coding>, Failure> {
    let lists = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    let mut found = None;
    for coding in codings {
        let coding = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            _ => return Err(refused_coding(takes_compressed)),
        };
        if !takes_compressed || found.is_some() {
            return Err(refused_coding(takes_compressed));
        }
        found = Some(coding);
    }
    Ok(found)
}

fn refused_coding(takes_compressed: bool) -> Failure {
    let message = if takes_compressed {
        "the body has a Content-Encoding other than gzip or deflate; send one of these, and only once"
    } else {
        "compressed bodies are not accepted; send the body without Content-Encoding"
    };
    Failure::refused(Refusal::UnsupportedMediaType, message)
}

/// Decompresses up to `limit` bytes. `grow_to` reserves the memory for them, and returns false if
/// there is not enough.
pub(crate) fn inflate(
    coding: Coding,
    body: &Bytes,
    limit: usize,
    mut grow_to: impl FnMut(usize) -> bool,
) -> Result<Bytes, Failure> {
    let mut source: Box<dyn Read + '_> = match coding {
        Coding::Gzip => Box::new(MultiGzDecoder::new(&body[..])),
        Coding::Deflate if is_zlib(body) => Box::new(ZlibDecoder::new(&body[..])),
        Coding::Deflate => Box::new(DeflateDecoder::new(&body[..])),
    };
    let mut whole = BodyBuffer::new(body.len().saturating_mul(4).min(limit));
    let mut step = vec![0; STEP];
    loop {
        let read = source.read(&mut step).map_err(|error| {
            let message = format!("the body cannot be decompressed: {error}");
            Error::new(Kind::MalformedRequest, message)
        })?;
        if read == 0 {
            return Ok(whole.freeze());
        }
        let length = whole.len() + read;
        if length > limit {
            return Err(Failure::too_large());
        }
        if !grow_to(length) {
            return Err(Failure::full());
        }
        whole.extend_from_slice(&step[..read]);
    }
}

/// Returns true if a body in `deflate` has the zlib header that the coding requires (RFC 1950).
/// Some clients leave it out.
fn is_zlib(body: &[u8]) -> bool {
    let head = body.first_chunk::<2>().map(|head| u16::from_be_bytes(*head));
    head.is_some_and(|head| head & 0x0f00 == 0x0800 && head % 31 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;
    use crate::http::failure::Reason;

    #[test]
    fn every_coding_of_a_body_counts() {
        use Coding::{Deflate, Gzip};
        let identity = Some(None);
        for (lists, plain, compressed) in [
            (&[][..], identity, identity),
            (&["identity"], identity, identity),
            (&["Identity , identity", "identity"], identity, identity),
            (&["gzip"], None, Some(Some(Gzip))),
            (&["X-GZip"], None, Some(Some(Gzip))),
            (&["deflate"], None, Some(Some(Deflate))),
            (&["identity", "gzip"], None, Some(Some(Gzip))),
            (&["identity, gzip"], None, Some(Some(Gzip))),
            (&["gzip, gzip"], None, None),
            (&["gzip", "deflate"], None, None),
            (&["br"], None, None),
            (&[""], None, None),
        ] {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(header::CONTENT_ENCODING, list.parse().unwrap());
            }
            for (takes_compressed, expected) in [(false, plain), (true, compressed)] {
                let found = coding(&headers, takes_compressed);
                assert_eq!(found.as_ref().ok(), expected.as_ref(), "{lists:?}");
                let refused = Reason::Refused(Refusal::UnsupportedMediaType);
                assert!(found.err().is_none_or(|failure| failure.reason == refused));
            }
        }
    }

    fn compressed(coding: Coding, is_raw: bool, content: &[u8]) -> Bytes {
        let level = Compression::fast();
        let packed = match (coding, is_raw) {
            (Coding::Gzip, _) => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(content).and_then(|()| encoder.finish())
            }
            (Coding::Deflate, false) => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(content).and_then(|()| encoder.finish())
            }
            (Coding::Deflate, true) => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(content).and_then(|()| encoder.finish())
            }
        };
        packed.unwrap().into()
    }

    #[test]
    fn compressed_bodies_are_limited_by_their_decompressed_size() {
        let content = b"one two ".repeat(20_000);
        for (coding, is_raw) in
            [(Coding::Gzip, false), (Coding::Deflate, false), (Coding::Deflate, true)]
        {
            let packed = compressed(coding, is_raw, &content);
            let read = |limit: usize, room: usize| {
                inflate(coding, &packed, limit, |bytes| bytes <= room).map_err(|f| f.reason)
            };
            assert_eq!(read(content.len(), usize::MAX).unwrap(), content);
            let reason = |kind| Err(Reason::Failed(kind));
            assert_eq!(read(content.len() - 1, usize::MAX), reason(Kind::TooLarge));
            assert_eq!(read(usize::MAX, content.len() - 1), reason(Kind::QueueFull));
            let cut = packed.slice(..packed.len() / 2);
            let broken = inflate(coding, &cut, usize::MAX, |_| true).unwrap_err();
            assert_eq!(broken.reason, Reason::Failed(Kind::MalformedRequest));
        }
        let twice =
            [compressed(Coding::Gzip, false, b"one "), compressed(Coding::Gzip, false, b"two")];
        let twice = inflate(Coding::Gzip, &twice.concat().into(), 100, |_| true).unwrap();
        assert_eq!(twice, "one two");
    }
}
