//! Reads the messages of a request. Before each message are a byte that tells whether the message is
//! compressed, and its length.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::Reservation;
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Version};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message;
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::body::BodyReader;
use crate::http::inputs::coding::Coding;
use crate::http::inputs::intake::Intake;
use crate::http::limits::FIRST;
use crate::http::request_context::RequestContext;

/// The media type of a request. A suffix names the encoding of the messages.
const GRPC: &str = "application/grpc";
/// The length in bytes of what is before each message.
pub(crate) const PREFIX: usize = 5;
/// The maximum length in bytes of a message that has no inputs of the model.
const SMALL: usize = 64 * 1024;
/// The greatest timeout that a client can set; a longer one is shortened to it.
const LONGEST: Duration = Duration::from_hours(24);

/// The only message of a request that is not for the model's inputs.
pub(crate) struct Unary<T>(pub(crate) T);

impl<T: Message + Default> FromRequest<App> for Unary<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let mut messages = Messages::new(request, app, SMALL)?;
        let (message, _reservation) = messages.only().await?;
        Ok(Unary(decode(message)?))
    }
}

/// The messages of a request's body.
pub(crate) struct Messages {
    body: Body,
    /// The data that was received and is not read yet.
    received: Bytes,
    reader: BodyReader,
    /// The coding of the messages that are compressed.
    coding: Option<Coding>,
    /// The maximum length of a message in bytes.
    limit: usize,
    context: Option<RequestContext>,
}

impl Messages {
    /// Checks the head of a request. Messages may have up to `limit` bytes, and never more than the
    /// server accepts as a body.
    pub(crate) fn new(request: Request, app: &App, limit: usize) -> Result<Self, Failure> {
        Messages::with_reader(request, Intake::from_ref(app).reader().clone(), limit)
    }

    fn with_reader(request: Request, reader: BodyReader, limit: usize) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        check(parts.version, &parts.headers)?;
        let coding = coding(&parts.headers)?;
        let context = parts.extensions.get().cloned();
        Ok(Messages { body, received: Bytes::new(), reader, coding, limit, context })
    }

    /// Reads the only message of a request, and returns it with the memory that it takes up.
    pub(crate) async fn only(&mut self) -> Result<(Bytes, Reservation), Failure> {
        let missing = || Error::new(Kind::MalformedRequest, "the request has no message").into();
        self.next().await?.ok_or_else(missing)
    }

    /// Waits until the next message begins to arrive. Returns false at the end of the body.
    pub(crate) async fn has_more(&mut self) -> Result<bool, Failure> {
        while self.received.is_empty() {
            match self.body.frame().await {
                Some(Ok(frame)) => self.received = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(unreadable(&error.to_string())),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Reads the next message. Returns `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Reservation)>, Failure> {
        let late = |_| {
            let message = format!("no part of the body arrived for {} s", FIRST.as_secs());
            Failure::refused(Refusal::RequestTimeout, message)
        };
        if !timeout(FIRST, self.has_more()).await.map_err(late)?? {
            return Ok(None);
        }
        let client = self.context.as_ref().and_then(|context| context.client);
        let mut reservation = self.reader.reserve_for(client);
        let prefix = self.read(PREFIX, None, &mut reservation).await?;
        reservation = self.reader.reserve_for(client);
        let (is_compressed, length) = prefix_of(&prefix)?;
        if length > self.limit {
            return Err(Failure::too_large());
        }
        let coding = self.coding.filter(|_| is_compressed);
        if is_compressed && coding.is_none() {
            return Err(unreadable("it is compressed, but the request has no grpc-encoding"));
        }
        let message = self.read(length, coding, &mut reservation).await?;
        if message.len() > self.limit {
            return Err(Failure::too_large());
        }
        Ok(Some((message, reservation)))
    }

    async fn read(
        &mut self,
        length: usize,
        coding: Option<Coding>,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let Messages { body, received, reader, .. } = self;
        reader.read_part(Part { body, received, rest: length }, coding, reservation).await
    }
}

/// Decodes a message.
pub(crate) fn decode<T: Message + Default>(message: Bytes) -> Result<T, Failure> {
    T::decode(message).map_err(|error| unreadable(&error.to_string()))
}

/// Makes the failure of a message that cannot be read for this reason.
pub(crate) fn unreadable(reason: &str) -> Failure {
    Error::new(Kind::MalformedRequest, format!("the message cannot be read: {reason}")).into()
}

/// Returns the timeout that the client set in the header `grpc-timeout`: up to eight digits and a
/// unit.
pub(crate) fn client_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let read = || {
        let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
        let is_number =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = digits.parse().ok().filter(|_| is_number)?;
        Some(match unit {
            "H" => Duration::from_hours(count),
            "M" => Duration::from_mins(count),
            "S" => Duration::from_secs(count),
            "m" => Duration::from_millis(count),
            "u" => Duration::from_micros(count),
            "n" => Duration::from_nanos(count),
            _ => return None,
        })
    };
    let message = "the header grpc-timeout is not a number of up to 8 digits and a unit";
    let refuse = || Failure::from(Error::new(Kind::MalformedRequest, message));
    Ok(Some(read().ok_or_else(refuse)?.min(LONGEST)))
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), Failure> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let format = media.strip_prefix(GRPC);
    if !format.is_some_and(|format| matches!(format, "" | "+proto")) {
        let message = format!("a request of type {media:?} is not supported; send {GRPC}");
        return Err(Failure::refused(Refusal::UnsupportedMediaType, message));
    }
    if version != Version::HTTP_2 {
        let message = "gRPC needs HTTP/2, and the request came over an older version";
        return Err(Error::new(Kind::MalformedRequest, message).into());
    }
    Ok(())
}

/// Returns the coding of the messages that are compressed.
fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Failure> {
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(None),
        Some(b"gzip") => Ok(Some(Coding::Gzip)),
        Some(b"deflate") => Ok(Some(Coding::Deflate)),
        Some(_) => {
            let message = "the grpc-encoding is not supported; send identity, gzip or deflate";
            Err(Failure::refused(Refusal::UnsupportedTransferCoding, message))
        }
    }
}

/// Reads what is before a message: whether it is compressed, and its length.
fn prefix_of(prefix: &[u8]) -> Result<(bool, usize), Failure> {
    let [flag @ (0 | 1), length @ ..] = *prefix.first_chunk::<PREFIX>().unwrap_or(&[u8::MAX; 5])
    else {
        return Err(unreadable("its first byte is neither 0 nor 1"));
    };
    Ok((flag == 1, usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX)))
}

/// The next bytes of a request's body, as a body with a known length.
struct Part<'a> {
    body: &'a mut Body,
    received: &'a mut Bytes,
    rest: usize,
}

impl HttpBody for Part<'_> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let part = &mut *self;
        if part.rest == 0 {
            return Poll::Ready(None);
        }
        while part.received.is_empty() {
            *part.received = match ready!(Pin::new(&mut *part.body).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let error = axum::Error::new("the message is not complete");
                    return Poll::Ready(Some(Err(error)));
                }
            };
        }
        let data = part.received.split_to(part.rest.min(part.received.len()));
        part.rest -= data.len();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest as u64)
    }
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::Environment;
    use ai_integration_engine::Budget;
    use futures_util::stream;

    use super::*;
    use crate::http::failure::Reason;
    use crate::http::limits::ClientLimits;

    /// The messages of a body that arrives in parts of this size, and the failure after them.
    async fn read(body: &[u8], size: usize) -> (Vec<Vec<u8>>, Option<Reason>) {
        let limits = ClientLimits::read(&Environment::default()).unwrap();
        let budget = Budget::new(1 << 20);
        let reader = BodyReader::new(limits, budget.clone());
        let parts: Vec<_> = body
            .chunks(size)
            .map(|part| Ok::<_, axum::Error>(Bytes::copy_from_slice(part)))
            .collect();
        let request = Request::builder().version(Version::HTTP_2).header(CONTENT_TYPE, GRPC);
        let request = request.header("grpc-encoding", "gzip");
        let request = request.body(Body::from_stream(stream::iter(parts))).unwrap();
        let mut messages = Messages::with_reader(request, reader, 100).unwrap();
        let mut found = Vec::new();
        let end = loop {
            match messages.next().await {
                Ok(Some((message, reservation))) => {
                    assert_eq!(budget.taken(), message.len());
                    found.push(message.to_vec());
                    drop(reservation);
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure.reason),
            }
        };
        assert_eq!(budget.taken(), 0);
        (found, end)
    }

    #[tokio::test]
    async fn messages_are_read_however_they_arrive() {
        let body = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d";
        for size in 1..=body.len() {
            let (messages, end) = read(body, size).await;
            assert_eq!(messages, [&b"abc"[..], b"", b"d"], "{size}");
            assert_eq!(end, None);
        }
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_read_is_refused() {
        let malformed = Reason::Failed(Kind::MalformedRequest);
        for (body, reason) in [
            (&b"\0\0"[..], malformed),
            (b"\0\0\0\0\x03ab", malformed),
            (b"\x02\0\0\0\x01a", malformed),
            (b"\x01\0\0\0\x01a", malformed),
            (b"\0\0\0\0\x65", Reason::Failed(Kind::TooLarge)),
            (b"\0\xff\xff\xff\xff", Reason::Failed(Kind::TooLarge)),
        ] {
            assert_eq!(read(body, 3).await, (vec![], Some(reason)), "{body:?}");
        }
    }

    #[test]
    fn a_timeout_has_a_unit() {
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            client_timeout(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value)]))
        };
        assert_eq!(client_timeout(&HeaderMap::new()).unwrap(), None);
        for (text, timeout) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("3S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("10u", Duration::from_micros(10)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", LONGEST),
        ] {
            assert_eq!(read(text).unwrap(), Some(timeout), "{text}");
        }
        for nonsense in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "é"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
