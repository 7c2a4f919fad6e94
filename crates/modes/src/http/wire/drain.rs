//! Reads and discards the rest of a rejected request.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

/// Reads and discards the body of a rejected request, up to `limit` bytes. Many clients read the
/// response only after they sent the whole body. Without this they would see a broken connection
/// instead of the response.
pub(crate) async fn drain(mut body: impl Body<Data = Bytes> + Unpin, limit: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > limit {
            return;
        }
    }
}
