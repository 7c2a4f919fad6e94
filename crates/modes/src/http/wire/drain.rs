//! Reads what is left of a refused request.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

/// Reads a body that is refused, up to a limit: many clients listen only once they have sent all,
/// and would see nothing but a broken connection.
pub(crate) async fn drain(mut body: Body, limit: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > limit {
            return;
        }
    }
}
