//! Reads the body of a request: bounded in size, in time and in the memory of all requests.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{BodyBuffer, Budget, Reservation};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::http::failure::{Failure, Refusal};
use crate::http::inputs::coding::{Coding, coding, inflate};
use crate::http::limits::{ClientLimits, LEAST_RATE, PAUSE, SLOW_AFTER};
use crate::http::wire::drain::drain;

/// The time for which a body that is refused is read nevertheless.
const LINGER: Duration = Duration::from_secs(5);
/// The bodies that are decompressed at a time.
const DECOMPRESSED: usize = 2;

/// Reads bodies as the settings and the dialect have it.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    limits: ClientLimits,
    budget: Budget,
    /// True where bodies may come compressed.
    takes_compressed: bool,
    /// The bodies that may still be decompressed beside others.
    places: Arc<Semaphore>,
}

impl BodyReader {
    /// A reader of bodies as they are.
    pub(crate) fn new(limits: ClientLimits, budget: Budget) -> Self {
        let places = Arc::new(Semaphore::new(DECOMPRESSED));
        BodyReader { limits, budget, takes_compressed: false, places }
    }

    /// The same for bodies that may come compressed, or may not.
    pub(crate) fn taking_compressed(mut self, takes_compressed: bool) -> Self {
        self.takes_compressed = takes_compressed;
        self
    }

    /// Takes a part of the budget, of no bytes yet.
    pub(crate) fn reserve(&self) -> Reservation {
        self.budget.reserve()
    }

    /// Finds the coding of a body, if it may come in that one.
    pub(crate) fn coding(&self, headers: &HeaderMap) -> Result<Option<Coding>, Failure> {
        coding(headers, self.takes_compressed)
    }

    /// Reads the body, whose memory `reservation` takes. A body that says that it is too long is
    /// refused before it comes.
    pub(crate) async fn read(
        &self,
        request: Request,
        coding: Option<Coding>,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let body = self.receive(request, reservation).await?;
        match coding {
            None => Ok(body),
            Some(coding) => self.decompress(coding, body, reservation).await,
        }
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
                    let _ = timeout(LINGER, drain(body, limit)).await;
                }
                return Err(if is_too_large { Failure::too_large() } else { Failure::full() });
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
        let place = timeout(self.limits.upload_timeout, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| Failure::full())?;
        let limit = self.limits.max_body;
        let mut whole = self.reserve();
        let work = move || {
            // Held to the end, also when the client has left.
            let _place = place;
            let bytes = inflate(coding, &body, limit, |bytes| whole.grow_to(bytes));
            bytes.map(|bytes| (bytes, whole))
        };
        let stopping = |_| Error::new(Kind::ShuttingDown, "the server is stopping");
        let (bytes, whole) = tokio::task::spawn_blocking(work).await.map_err(stopping)??;
        *reservation = whole;
        Ok(bytes)
    }
}

/// The pace at which a body has to come.
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

    /// The time that the next piece may take.
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

/// The part of a body that has come.
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::Body;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::http::failure::Reason;
    use ai_integration_contract::Environment;

    #[tokio::test]
    async fn a_compressed_body_takes_the_memory_of_what_comes_out() {
        let mut limits = ClientLimits::read(&Environment::default()).unwrap();
        limits.max_body = 100_000;
        let budget = Budget::new(1 << 20);
        let reader = BodyReader::new(limits, budget.clone()).taking_compressed(true);
        for (length, expected) in [(100_000, Ok(())), (100_001, Err(Kind::TooLarge))] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&vec![b'x'; length]).unwrap();
            let packed = encoder.finish().unwrap();
            assert!(packed.len() < 10_000);
            let request = Request::new(Body::from(packed));
            let mut reservation = reader.reserve();
            let coding = Some(Coding::Gzip);
            let read = reader.read(request, coding, &mut reservation).await;
            match expected {
                Ok(()) => {
                    assert_eq!(read.unwrap().len(), length);
                    assert_eq!(budget.taken(), length);
                }
                Err(kind) => assert_eq!(read.unwrap_err().reason, Reason::Failed(kind)),
            }
            drop(reservation);
            assert_eq!(budget.taken(), 0);
        }
    }
}
