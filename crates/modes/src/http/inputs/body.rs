//! Reads the body of a request, with limits on its size, its time and the memory of all requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{BodyBuffer, Budget, Reservation};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::http::failure::{Failure, Reason, Refusal};
use crate::http::inputs::coding::{Coding, coding, inflate};
use crate::http::limits::{ClientLimits, FIRST, LEAST_RATE, PAUSE, SLOW_AFTER, SMALL_HEAD};
use crate::http::request_context::RequestContext;
use crate::http::wire::drain::drain;

/// The maximum time for reading and discarding a rejected body.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// The maximum number of rejected bodies that are read at once. Each keeps the buffer of its
/// connection.
const DRAINING: usize = 128;
/// The maximum number of bodies that are decompressed at once.
const DECOMPRESSING: usize = 2;
/// The memory that is reserved for the first bytes of a body.
const FIRST_STEP: usize = 1024;
/// The maximum memory that is reserved ahead of the bytes received.
const STEP: usize = 256 * 1024;
/// The size of the read buffer that the connection of a large body has.
const READ_AHEAD: usize = 64 * 1024;
/// The memory that each header takes up in addition to its text.
const HEADER: usize = 64;

/// Reads bodies by the rules of the settings and the dialect.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    limits: ClientLimits,
    budget: Budget,
    /// True if compressed bodies are accepted.
    takes_compressed: bool,
    /// Limits the number of bodies that are decompressed at once.
    decompressing: Arc<Semaphore>,
    /// Limits the number of rejected bodies that are read at once.
    draining: Arc<Semaphore>,
}

impl BodyReader {
    /// Makes a reader that rejects compressed bodies.
    pub(crate) fn new(limits: ClientLimits, budget: Budget) -> Self {
        let decompressing = Arc::new(Semaphore::new(DECOMPRESSING));
        let draining = Arc::new(Semaphore::new(DRAINING));
        BodyReader { limits, budget, takes_compressed: false, decompressing, draining }
    }

    /// Sets whether compressed bodies are accepted.
    pub(crate) fn taking_compressed(mut self, takes_compressed: bool) -> Self {
        self.takes_compressed = takes_compressed;
        self
    }

    /// Makes an empty reservation for the client of this request.
    pub(crate) fn reserve(&self, request: &Request) -> Reservation {
        let context: Option<&RequestContext> = request.extensions().get();
        self.reserve_for(context.and_then(|context| context.client))
    }

    /// Makes an empty reservation for this client.
    pub(crate) fn reserve_for(&self, client: Option<IpAddr>) -> Reservation {
        self.budget.reserve(client)
    }

    /// Returns the content coding of a body, or an error if the coding is not accepted.
    pub(crate) fn coding(&self, headers: &HeaderMap) -> Result<Option<Coding>, Failure> {
        coding(headers, self.takes_compressed)
    }

    /// Reads the body, and charges its memory to `reservation`. A body whose announced length is
    /// over the limit is rejected before it is read.
    pub(crate) async fn read(
        &self,
        request: Request,
        coding: Option<Coding>,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let waits = request.headers().contains_key(header::EXPECT);
        let head = head_length(&request);
        let body = self.receive(request.into_body(), head, waits, reservation).await?;
        self.decoded(coding, body, reservation).await
    }

    /// Reads a part of a body, such as one of its messages, by the same rules as a whole body.
    #[cfg_attr(not(feature = "grpc"), expect(dead_code, reason = "only gRPC has such bodies"))]
    pub(crate) async fn read_part<B>(
        &self,
        part: B,
        coding: Option<Coding>,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure>
    where
        B: Body<Data = Bytes, Error = axum::Error> + Unpin,
    {
        let part = self.receive(part, 0, false, reservation).await?;
        self.decoded(coding, part, reservation).await
    }

    async fn decoded(
        &self,
        coding: Option<Coding>,
        body: Bytes,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        match coding {
            None => Ok(body),
            Some(coding) => Box::pin(self.decompress(coding, body, reservation)).await,
        }
    }

    async fn receive<B>(
        &self,
        mut body: B,
        head: usize,
        waits: bool,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure>
    where
        B: Body<Data = Bytes, Error = axum::Error> + Unpin,
    {
        let mut has_begun = false;
        let received = self.collect(&mut body, head, &mut has_begun, reservation).await;
        if let Err(failure) = &received
            && let Reason::Failed(Kind::TooLarge | Kind::QueueFull) = failure.reason
            // A client that waits for status 100 has not sent a body.
            && (has_begun || !waits)
            && let Ok(_permit) = self.draining.try_acquire()
        {
            *reservation = self.budget.reserve(None);
            let _ = timeout(DRAIN_TIME, Box::pin(drain(body, self.limits.max_body))).await;
        }
        received
    }

    /// Reads a body, and reserves memory shortly before it is received. The announced length is not
    /// reserved at once, because a client may never send that many bytes.
    async fn collect<B>(
        &self,
        body: &mut B,
        head: usize,
        has_begun: &mut bool,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure>
    where
        B: Body<Data = Bytes, Error = axum::Error> + Unpin,
    {
        let ClientLimits { max_body: limit, upload_timeout, .. } = self.limits;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(Failure::too_large());
        }
        if !self.budget.allows(announced) {
            return Err(Failure::full());
        }
        // The memory of a small head is part of what every connection needs, and is not counted.
        let head = if head > SMALL_HEAD { head } else { 0 };
        if head > 0 {
            reservation.receive();
            if !reservation.grow(head).await {
                return Err(Failure::full());
            }
        }
        let pace = Pace::new(upload_timeout, announced);
        let mut received = Received { expected: announced, first: Bytes::new(), whole: None };
        while let Some(data) = next(body, &pace, received.len() == 0, reservation).await? {
            let length = received.len() + data.len();
            if length > limit {
                return Err(Failure::too_large());
            }
            *has_begun |= length > 0;
            let part = if body.is_end_stream() {
                length
            } else {
                pace.check(length)?;
                reservation.receive();
                ahead(length, announced)
            };
            if !reservation.grow(head + part).await {
                return Err(Failure::full());
            }
            received.push(data);
            if body.is_end_stream() {
                break;
            }
        }
        if !reservation.settle(head + received.len()) {
            return Err(Failure::gave_way());
        }
        Ok(received.freeze())
    }

    /// Decompresses the body within the same limits. This runs on its own thread, because a small
    /// body may decompress to a very large one.
    async fn decompress(
        &self,
        coding: Coding,
        body: Bytes,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let permit = self.decompressing.clone().acquire_owned();
        let permit = timeout(self.limits.upload_timeout, permit).await;
        let permit = permit.map_err(|_| Failure::full())?;
        let limit = self.limits.max_body;
        let mut whole = reservation.split(0);
        let runtime = Handle::current();
        let work = move || {
            // Held to the end, also if the client leaves.
            let _permit = permit;
            let grow_to = |bytes| whole.grow_to(bytes) || runtime.block_on(whole.grow(bytes));
            let bytes = inflate(coding, &body, limit, grow_to);
            bytes.map(|bytes| (bytes, whole))
        };
        let stopping = |_| Error::new(Kind::ShuttingDown, "the server is shutting down");
        let (bytes, whole) = tokio::task::spawn_blocking(work).await.map_err(stopping)??;
        *reservation = whole;
        Ok(bytes)
    }
}

/// Waits for the next data of a body. Returns `None` at its end, and an error if the body is too
/// slow or its memory was taken for other requests.
async fn next<B>(
    body: &mut B,
    pace: &Pace,
    is_first: bool,
    reservation: &Reservation,
) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes, Error = axum::Error> + Unpin,
{
    let limit = if is_first { pace.upload.min(FIRST) } else { pace.next_timeout() };
    let received = tokio::select! {
        biased;
        received = timeout(limit, body.frame()) => received,
        () = reservation.gives_way() => return Err(Failure::gave_way()),
    };
    match received {
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(Some(Err(error))) => {
            let message = format!("the body cannot be read: {error}");
            Err(Error::new(Kind::MalformedRequest, message).into())
        }
        Ok(None) => Ok(None),
        Err(_) => Err(pace.timed_out(limit)),
    }
}

/// Returns the memory to reserve for a body of which `length` bytes were received. Small
/// reservations double, and large ones grow by [`STEP`] and include the connection's read buffer. A
/// reservation is never larger than the `announced` length.
fn ahead(length: usize, announced: usize) -> usize {
    let ahead = if length < STEP {
        length.next_power_of_two().max(FIRST_STEP)
    } else {
        length.div_ceil(STEP) * STEP + READ_AHEAD
    };
    ahead.min(announced.max(length))
}

/// Returns the approximate memory of a request's head.
fn head_length(request: &Request) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.map(|length| length + HEADER).sum()
}

/// The minimum rate at which a client must send a body.
struct Pace {
    begun: Instant,
    upload: Duration,
    /// The minimum rate in bytes per second.
    least_rate: u64,
}

impl Pace {
    fn new(upload: Duration, expected: usize) -> Self {
        // A body at less than half the rate that it needs will not be complete in time. It is
        // rejected early, so that it does not take up memory until the timeout.
        let least_rate = LEAST_RATE.max(expected as u64 / upload.as_secs().max(1) / 2);
        Pace { begun: Instant::now(), upload, least_rate }
    }

    /// Returns the time within which the next data must arrive.
    fn next_timeout(&self) -> Duration {
        PAUSE.min(self.upload.saturating_sub(self.begun.elapsed()))
    }

    /// Rejects a body if the `length` bytes received by now arrived too slowly.
    fn check(&self, length: usize) -> Result<(), Failure> {
        let (elapsed, least_rate) = (self.begun.elapsed(), self.least_rate);
        if elapsed > SLOW_AFTER && (length as u64) < least_rate * elapsed.as_secs() {
            let message = format!("the body arrives at less than {least_rate} bytes per second");
            return Err(Failure::refused(Refusal::RequestTimeout, message));
        }
        Ok(())
    }

    /// Returns the failure of a body whose next data did not arrive within `limit`.
    fn timed_out(&self, limit: Duration) -> Failure {
        let message = if self.begun.elapsed() < self.upload {
            format!("no part of the body arrived for {} s", limit.as_secs())
        } else {
            format!("the body did not arrive within {} s", self.upload.as_secs_f64())
        };
        Failure::refused(Refusal::RequestTimeout, message)
    }
}

/// The part of a body that was received.
struct Received {
    expected: usize,
    /// The first data. A small body usually arrives as one, and then is not copied.
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

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use ai_integration_contract::Environment;
    use axum::body::Body;

    #[tokio::test]
    async fn a_compressed_body_is_charged_by_its_decompressed_size() {
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
            let mut reservation = reader.reserve(&request);
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
