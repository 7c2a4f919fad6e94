//! Reads the body of a request: bounded in size, in time and in the memory of all requests.

use std::io::Read;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{BodyBuffer, Budget, Reservation};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout};

use crate::http::failure::{Failure, Refusal};
use crate::http::limits::{ClientLimits, LEAST_RATE, PAUSE, SLOW_AFTER};

/// How long a body that is refused is read nevertheless.
const LINGER: Duration = Duration::from_secs(5);
/// The bytes that are decompressed at a time.
const STEP: usize = 64 * 1024;

/// Reads bodies as the settings and the dialect have it.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    limits: ClientLimits,
    budget: Budget,
    /// Whether bodies may come compressed.
    takes_compressed: bool,
}

/// How a body is encoded (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Deflate,
}

impl BodyReader {
    pub(crate) fn new(limits: ClientLimits, budget: Budget, takes_compressed: bool) -> Self {
        BodyReader { limits, budget, takes_compressed }
    }

    /// Takes a part of the budget, of no bytes yet.
    pub(crate) fn reserve(&self) -> Reservation {
        self.budget.reserve()
    }

    /// Finds the coding of a body, if it may come in that one.
    pub(crate) fn coding(&self, headers: &HeaderMap) -> Result<Coding, Failure> {
        coding(headers, self.takes_compressed)
    }

    /// Reads the body, whose memory `reservation` takes. A body that says that it is too long is
    /// refused before it comes.
    pub(crate) async fn read(
        &self,
        request: Request,
        coding: Coding,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let body = self.receive(request, reservation).await?;
        if coding == Coding::Identity {
            return Ok(body);
        }
        self.decompress(coding, body, reservation).await
    }

    async fn receive(
        &self,
        request: Request,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let ClientLimits { max_body: limit, upload_timeout, .. } = self.limits;
        let waits = request.headers().contains_key(header::EXPECT);
        let mut body = request.into_body();
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let pace = Pace::new(upload_timeout, expected);
        let mut received = Received { expected, first: Bytes::new(), whole: None };
        // Taken before it comes: requests that grow side by side could all be refused in the end.
        let mut length = expected;
        let mut data = Bytes::new();
        loop {
            let is_too_large = length > limit;
            if is_too_large || !reservation.grow_to(length) {
                // Whoever waits for leave has not sent anything.
                if !(waits && received.len() == 0 && data.is_empty()) {
                    drop((received, data));
                    let _ = timeout(LINGER, discard(body, limit)).await;
                }
                return Err(if is_too_large { too_large() } else { full() }.into());
            }
            received.push(data);
            data = match timeout(pace.patience(), body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => {
                    let message = format!("the body cannot be read: {error}");
                    return Err(Error::new(Kind::MalformedRequest, message).into());
                }
                Ok(None) => return Ok(received.freeze()),
                Err(_) => return Err(pace.over()),
            };
            length = received.len() + data.len();
            pace.check(length)?;
        }
    }

    /// Decompresses the body, within the same bounds and on a thread of its own: a few bytes may
    /// stand for many.
    async fn decompress(
        &self,
        coding: Coding,
        body: Bytes,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let limit = self.limits.max_body;
        let mut whole = self.reserve();
        let work = move || {
            let read = inflate(coding, &body, limit, |bytes| whole.grow_to(bytes));
            read.map(|bytes| (bytes, whole))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let broken = |_| Error::new(Kind::MalformedRequest, "the body cannot be decompressed");
        let (bytes, whole) = done.map_err(broken)??;
        *reservation = whole;
        Ok(bytes)
    }
}

/// The time that a body has to come.
struct Pace {
    begun: Instant,
    upload: Duration,
    /// The least bytes a second.
    least_rate: u64,
}

impl Pace {
    fn new(upload: Duration, expected: usize) -> Self {
        // A body that will not be there in time anyhow is not to take up memory until then.
        let least_rate = LEAST_RATE.max(expected as u64 / upload.as_secs().max(1) / 2);
        Pace { begun: Instant::now(), upload, least_rate }
    }

    /// How long the next piece may take.
    fn patience(&self) -> Duration {
        PAUSE.min(self.upload.saturating_sub(self.begun.elapsed()))
    }

    /// Refuses a body of which so many bytes have come by now, if they came too slowly.
    fn check(&self, length: usize) -> Result<(), Failure> {
        let (elapsed, least_rate) = (self.begun.elapsed(), self.least_rate);
        if elapsed > SLOW_AFTER && (length as u64) < least_rate * elapsed.as_secs() {
            let message = format!("the body comes with less than {least_rate} bytes a second");
            return Err(Failure::refused(Refusal::RequestTimeout, message));
        }
        Ok(())
    }

    /// The failure of a body of which the next piece took too long.
    fn over(&self) -> Failure {
        let message = if self.begun.elapsed() < self.upload {
            format!("nothing of the body came for {} s", PAUSE.as_secs())
        } else {
            format!("the body did not come within {} s", self.upload.as_secs_f64())
        };
        Failure::refused(Refusal::RequestTimeout, message)
    }
}

/// What of a body has come.
struct Received {
    expected: usize,
    /// The first piece. A small body comes in one, and need not be copied.
    first: Bytes,
    whole: Option<BodyBuffer>,
}

impl Received {
    fn len(&self) -> usize {
        self.whole.as_ref().map_or(self.first.len(), BodyBuffer::len)
    }

    fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if self.len() == 0 && data.len() >= self.expected {
            self.first = data;
            return;
        }
        let (expected, first) = (self.expected, std::mem::take(&mut self.first));
        let whole = self
            .whole
            .get_or_insert_with(|| BodyBuffer::new(expected.max(first.len() + data.len())));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&data);
    }

    fn freeze(self) -> Bytes {
        self.whole.map_or(self.first, BodyBuffer::freeze)
    }
}

/// The coding of a body, if it may come in that one. A compressed body must not be taken for its
/// content: each coding counts, in however many headers and lists they come (RFC 9110, section 8.4).
fn coding(headers: &HeaderMap, takes_compressed: bool) -> Result<Coding, Failure> {
    let lists = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    let mut found = Coding::Identity;
    for coding in codings {
        let coding = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            _ => return Err(refused_coding(takes_compressed)),
        };
        if !takes_compressed || found != Coding::Identity {
            return Err(refused_coding(takes_compressed));
        }
        found = coding;
    }
    Ok(found)
}

fn refused_coding(takes_compressed: bool) -> Failure {
    let message = if takes_compressed {
        "of compressed bodies only those in gzip or deflate are read; send one of them"
    } else {
        "compressed bodies are not read; send the body without Content-Encoding"
    };
    Failure::refused(Refusal::UnsupportedMediaType, message)
}

/// Decompresses up to `limit` bytes; `grow_to` takes the memory for them, and says whether there is
/// as much.
fn inflate(
    coding: Coding,
    body: &Bytes,
    limit: usize,
    mut grow_to: impl FnMut(usize) -> bool,
) -> Result<Bytes, Failure> {
    let mut source: Box<dyn Read + '_> = match coding {
        Coding::Identity => Box::new(&body[..]),
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
            return Err(too_large().into());
        }
        if !grow_to(length) {
            return Err(full().into());
        }
        whole.extend_from_slice(&step[..read]);
    }
}

/// Whether a body in `deflate` has the wrapper that belongs to it (RFC 1950); some clients leave it
/// out.
fn is_zlib(body: &[u8]) -> bool {
    let head = body.first_chunk::<2>().map(|head| u16::from_be_bytes(*head));
    head.is_some_and(|head| head & 0x0f00 == 0x0800 && head % 31 == 0)
}

/// The failure of a body, or of what it decompresses to, over the limit.
fn too_large() -> Error {
    Error::new(Kind::TooLarge, "the body is larger than this server takes")
}

/// The failure of a request for which there is no memory now.
pub(crate) fn full() -> Error {
    let message = "the server holds as many requests as its memory allows; try again later";
    Error::new(Kind::QueueFull, message)
}

/// Reads a body that is refused, up to a limit: many clients listen only once they have sent all,
/// and would see nothing but a broken connection.
pub(crate) async fn discard(mut body: Body, limit: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > limit {
            return;
        }
    }
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
        use Coding::{Deflate, Gzip, Identity};
        for (lists, plain, compressed) in [
            (&[][..], Some(Identity), Some(Identity)),
            (&["identity"], Some(Identity), Some(Identity)),
            (&["Identity , identity", "identity"], Some(Identity), Some(Identity)),
            (&["gzip"], None, Some(Gzip)),
            (&["X-GZip"], None, Some(Gzip)),
            (&["deflate"], None, Some(Deflate)),
            (&["identity", "gzip"], None, Some(Gzip)),
            (&["identity, gzip"], None, Some(Gzip)),
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
            (Coding::Identity, _) => return Bytes::copy_from_slice(content),
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
    fn compressed_bodies_are_bounded_by_what_comes_out() {
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
