//! Checks how the length of a request's body is given over HTTP/1.1 (RFC 9112, section 6). If a
//! proxy and this server disagreed about where a body ends, a client could hide a second request in
//! the body of the first (request smuggling).

use std::sync::LazyLock;

use ai_integration_contract::{Error, Kind};
use axum::http::HeaderMap;
use axum::http::header::TRANSFER_ENCODING;
use memchr::memmem::Finder;

use crate::http::failure::{Failure, Refusal};

/// The end of a head, and the first bytes of a line that may be a `Transfer-Encoding` header.
static END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\r\n\r\n"));
static STARTS: LazyLock<[Finder<'_>; 2]> = LazyLock::new(|| ["\nt", "\nT"].map(Finder::new));

/// The two headers that give the length of a body, with the colon.
const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";

/// Rejects a request whose transfer coding is anything but a single `chunked`; hyper checks only
/// the last coding. `has_both` is true if the request also has a `Content-Length`.
pub(crate) fn check(headers: &HeaderMap, has_both: bool) -> Result<(), Failure> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else { return Ok(()) };
    if has_both {
        let message = "the request has both a Content-Length and a Transfer-Encoding";
        return Err(Error::new(Kind::MalformedRequest, message).into());
    }
    let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
    let is_alone = lines.next().is_none();
    if is_alone && first.to_str().is_ok_and(is_chunked) {
        return Ok(());
    }
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    if codings.any(|coding| !coding.trim().is_empty() && !is_chunked(coding)) {
        let message =
            "the request has a transfer coding other than chunked, which is not supported";
        return Err(Failure::refused(Refusal::UnsupportedTransferCoding, message));
    }
    let message = "the request names its transfer coding more than once";
    Err(Error::new(Kind::MalformedRequest, message).into())
}

/// Scans the bytes of a head for both length headers. hyper drops a `Content-Length` that comes
/// with a `Transfer-Encoding`, so the two cannot be found later.
#[derive(Default)]
pub(crate) struct HeadFields {
    /// The start of the current line, and its length so far.
    start: [u8; CODING.len()],
    length: usize,
    state: HeadState,
    has_length: bool,
    has_coding: bool,
}

/// The progress of reading a head.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum HeadState {
    /// Nothing was read, or only empty lines, which may come before a request.
    #[default]
    Empty,
    /// At least one line was read.
    Begun,
    /// The whole head was read.
    Whole,
}

impl HeadFields {
    /// Scans the next bytes. Returns true if the head ends within them and has both a length and a
    /// transfer coding.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> bool {
        if self.state == HeadState::Whole {
            return false;
        }
        let is_fresh = self.state == HeadState::Empty && self.length == 0;
        if is_fresh && is_whole_without_coding(bytes) {
            self.state = HeadState::Whole;
            return false;
        }
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[begin..end];
            begin = end + 1;
            if self.length == 0 {
                self.end_line(line);
            } else {
                self.store(line);
                let start = self.start;
                self.end_line(&start[..self.length.min(start.len())]);
                self.length = 0;
            }
            if self.state == HeadState::Whole {
                return self.has_length && self.has_coding;
            }
        }
        self.store(&bytes[begin..]);
        false
    }

    /// Stores a part of a line that arrives in several reads. Only the start of the line is needed.
    fn store(&mut self, part: &[u8]) {
        if let Some(room) = self.start.get_mut(self.length..) {
            let stored = room.len().min(part.len());
            room[..stored].copy_from_slice(&part[..stored]);
        }
        self.length += part.len();
    }

    fn end_line(&mut self, line: &[u8]) {
        let names = |field: &[u8]| {
            line.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field))
        };
        match line {
            b"" | b"\r" if self.state == HeadState::Empty => return,
            b"" | b"\r" => {
                self.state = HeadState::Whole;
                return;
            }
            [b'c' | b'C', ..] => self.has_length |= names(LENGTH),
            [b't' | b'T', ..] => self.has_coding |= names(CODING),
            _ => {}
        }
        self.state = HeadState::Begun;
    }
}

/// Returns true if these bytes contain a whole head without a transfer coding. Most heads arrive
/// like this, and a search is faster than reading line by line.
fn is_whole_without_coding(bytes: &[u8]) -> bool {
    let has_coding = |head: &[u8]| STARTS.iter().any(|start| start.find(head).is_some());
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && END.find(bytes).is_some_and(|end| !has_coding(&bytes[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_length_headers_are_found_however_the_head_is_split() {
        let both = b"\r\nPOST / HTTP/1.1\r\ncontent-LENGTH: 1\r\nX: y\r\nTransfer-Encoding:chunked\r\n\r\n";
        for piece in [1, 2, 3, 7, both.len()] {
            let mut head = HeadFields::default();
            let seen: Vec<bool> = both.chunks(piece).map(|piece| head.read(piece)).collect();
            assert_eq!(seen.iter().filter(|seen| **seen).count(), 1, "{piece}");
            assert!(seen.last().unwrap());
        }
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nContent-Length: 1\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nX-Transfer-Encoding: chunked\r\n\r\n",
            "POST /transfer-encoding: HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
            "TRACE / HTTP/1.1\r\n\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(!HeadFields::default().read(head.as_bytes()), "{head}");
        }
    }
}
