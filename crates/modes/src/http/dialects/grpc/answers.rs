//! The answers of gRPC: messages, and after them the status as trailers.

use ai_integration_contract::{Error, Kind, without_traceback};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, future, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::{Code, Status};

use super::messages::PREFIX;
use crate::http::failure::{Failure, Reason, Refusal, Wording};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// The maximum length in bytes of a status message as it is sent. Clients refuse trailers of more
/// than 8 KiB.
const MAX_MESSAGE: usize = 4096;

/// The length in bytes up to which a message is sent in one piece.
const SMALL: usize = 16 * 1024;

/// A message as it is sent, in pieces.
#[derive(Debug)]
pub(crate) struct Sent(Vec<Bytes>);

impl Sent {
    /// Makes what is sent of an encoded message, whose pieces these are.
    pub(crate) fn new(pieces: Vec<Bytes>) -> Result<Self, Error> {
        let length = pieces.iter().map(Bytes::len).sum::<usize>();
        let prefix = u32::try_from(length).map_err(|_| {
            Error::new(Kind::TooLarge, "the result has 4 GiB or more, which gRPC cannot send")
        })?;
        let mut first = BytesMut::with_capacity(PREFIX + length.min(SMALL));
        first.put_u8(0);
        first.put_u32(prefix);
        if length <= SMALL {
            first.extend(pieces);
            return Ok(Sent(vec![first.freeze()]));
        }
        let mut all = vec![first.freeze()];
        all.extend(pieces);
        Ok(Sent(all))
    }
}

/// Encodes a message, and after it a further field that has the content of these pieces. Large pieces
/// are not copied.
pub(crate) fn with_field(message: &impl Message, number: u32, content: Vec<Bytes>) -> Vec<Bytes> {
    let mut fields = BytesMut::new();
    // This fails only if there is no room, and the buffer grows.
    let _ = message.encode(&mut fields);
    if !content.is_empty() {
        encode_key(number, WireType::LengthDelimited, &mut fields);
        encode_varint(content.iter().map(Bytes::len).sum::<usize>() as u64, &mut fields);
    }
    let mut pieces = vec![fields.freeze()];
    pieces.extend(content);
    pieces
}

/// Answers with one message and the status OK.
pub(crate) fn unary(message: &impl Message) -> Result<Response, Failure> {
    let sent = Sent::new(vec![message.encode_to_vec().into()])?;
    Ok(streamed(stream::iter([Ok(sent)])))
}

/// Answers with the messages of a stream. The status is OK, or the error with which the stream ends.
pub(crate) fn streamed(
    messages: impl Stream<Item = Result<Sent, Status>> + Send + 'static,
) -> Response {
    let end = stream::iter([Err(Status::ok(""))]);
    let frames = messages.chain(end).scan(false, |has_ended, next| {
        let frames = (!*has_ended).then(|| match next {
            Ok(Sent(pieces)) => pieces.into_iter().map(Frame::data).collect(),
            Err(status) => {
                *has_ended = true;
                vec![Frame::trailers(trailers(&status))]
            }
        });
        future::ready(frames)
    });
    let frames = frames.flat_map(stream::iter).map(Ok::<_, axum::Error>);
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // This fails only for a message that a header cannot have, and the message is escaped.
    let _ = status.add_header(&mut trailers);
    trailers
}

/// Answers with a failure.
pub(crate) fn refusal(failure: &Failure, wording: Wording) -> Response {
    let mut response = status(failure, wording).into_http();
    if failure.reason == Reason::Refused(Refusal::UnsupportedMediaType) {
        // A client of another protocol must not take the response for a success.
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    response
}

/// Answers with a status and no message.
pub(crate) fn trailers_only(code: Code, message: &str) -> Response {
    Status::new(code, message).into_http()
}

/// Returns the status of a failure.
pub(crate) fn status(failure: &Failure, wording: Wording) -> Status {
    Status::new(code(failure.reason), shortened(failure.detail(wording)))
}

/// Returns the code of gRPC for a reason (its documentation describes each).
fn code(reason: Reason) -> Code {
    match reason {
        Reason::Refused(refusal) => match refusal {
            Refusal::Unauthorized => Code::Unauthenticated,
            Refusal::Forbidden | Refusal::Misdirected => Code::PermissionDenied,
            Refusal::NotFound => Code::NotFound,
            Refusal::MethodNotAllowed | Refusal::UnsupportedTransferCoding => Code::Unimplemented,
            Refusal::UriTooLong | Refusal::UnsupportedMediaType => Code::InvalidArgument,
            Refusal::RequestTimeout => Code::DeadlineExceeded,
            Refusal::RateLimited => Code::ResourceExhausted,
        },
        Reason::Failed(kind) => match kind {
            Kind::InvalidInput | Kind::MalformedRequest => Code::InvalidArgument,
            Kind::TooLarge | Kind::QueueFull => Code::ResourceExhausted,
            Kind::ModelUnavailable | Kind::ShuttingDown => Code::Unavailable,
            Kind::ModelCrashed | Kind::ModelFailed => Code::Internal,
            Kind::Timeout => Code::DeadlineExceeded,
        },
    }
}

/// Shortens a message that is too long for a trailer: by its traceback, and then at its end.
fn shortened(message: String) -> String {
    if cut(&message) == message.len() {
        return message;
    }
    let mut message = without_traceback(&message);
    let end = cut(&message);
    if end < message.len() {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Returns the number of bytes from the start of a message that may be sent. Of most characters that
/// are not letters or digits, each byte is sent as three.
fn cut(message: &str) -> usize {
    let mut sent = 0;
    let fits = |character: &char| {
        sent += if character.is_ascii_alphanumeric() { 1 } else { 3 * character.len_utf8() };
        sent <= MAX_MESSAGE
    };
    message.chars().take_while(fits).map(char::len_utf8).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(failure: &Failure) -> (StatusCode, String, String) {
        let response = refusal(failure, Wording::Full);
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        (response.status(), header("grpc-status"), header("grpc-message"))
    }

    #[test]
    fn each_failure_has_a_status() {
        let full = Error::new(Kind::QueueFull, "50 % full: é").into();
        let (status, number, message) = sent(&full);
        assert_eq!((status, number.as_str()), (StatusCode::OK, "8"));
        assert_eq!(message, "50%20%25%20full:%20%C3%A9");
        for reason in Reason::all() {
            assert_ne!(code(reason), Code::Ok);
            assert_ne!(code(reason), Code::Unknown);
        }
        let other = Failure::refused(Refusal::UnsupportedMediaType, "x");
        assert_eq!(sent(&other).0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[test]
    fn a_long_message_is_cut() {
        for (character, kept) in [("a", 4096), (" ", 1365), ("é", 682), ("日", 455)] {
            let message = shortened(character.repeat(10_000));
            assert_eq!(message, character.repeat(kept) + "…");
            let (_, _, message) = sent(&Error::new(Kind::ModelFailed, message).into());
            assert!(message.len() <= MAX_MESSAGE + 9, "{}", message.len());
        }
        let call = "  File \"model.py\", line 1\n".repeat(200);
        let traceback = format!("Traceback (most recent call last):\n{call}ValueError: why");
        assert_eq!(shortened(traceback), "ValueError: why");
        let short = "Traceback (most recent call last):\n  File\nValueError: why";
        assert_eq!(shortened(short.to_owned()), short);
    }
}
