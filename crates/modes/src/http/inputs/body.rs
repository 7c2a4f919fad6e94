//! Reads the body of a request: bounded in size, in time and in the memory of all requests.

use std::sync::Arc;
use std::time::Duration;

use ai_integration_contract::{Error, Kind};
use ai_integration_engine::{BodyBuffer, Budget, Reservation};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::http::failure::{Failure, Reason, Refusal};
use crate::http::inputs::coding::{Coding, coding, inflate};
use crate::http::limits::{ClientLimits, FIRST, LEAST_RATE, PAUSE, SLOW_AFTER, SMALL_HEAD};
use crate::http::request_context::RequestContext;
use crate::http::wire::drain::drain;

/// The time for which a body that is refused is read nevertheless.
const LINGER: Duration = Duration::from_secs(5);
/// The refused bodies that are read at a time: each keeps what its connection has to read with.
const LINGERING: usize = 128;
/// The bodies that are decompressed at a time.
const DECOMPRESSED: usize = 2;
/// The memory that is taken for the first bytes of a body, and the most that is taken ahead of it.
const FIRST_STEP: usize = 1024;
const STEP: usize = 256 * 1024;
/// What the connection of a large body reads at once, which is kept beside the body.
const READ_AHEAD: usize = 64 * 1024;
/// The memory that each field of a head takes up beside its text.
const FIELD: usize = 64;

/// Reads bodies as the settings and the dialect have it.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    limits: ClientLimits,
    budget: Budget,
    /// True where bodies may come compressed.
    takes_compressed: bool,
    /// The bodies that may still be decompressed beside others.
    places: Arc<Semaphore>,
    /// The refused bodies that may still be read beside others.
    lingering: Arc<Semaphore>,
}

impl BodyReader {
    /// A reader of bodies as they are.
    pub(crate) fn new(limits: ClientLimits, budget: Budget) -> Self {
        let places = Arc::new(Semaphore::new(DECOMPRESSED));
        let lingering = Arc::new(Semaphore::new(LINGERING));
        BodyReader { limits, budget, takes_compressed: false, places, lingering }
    }

    /// The same for bodies that may come compressed, or may not.
    pub(crate) fn taking_compressed(mut self, takes_compressed: bool) -> Self {
        self.takes_compressed = takes_compressed;
        self
    }

    /// Takes a part of the budget, of no bytes yet, for a request of this client.
    pub(crate) fn reserve(&self, request: &Request) -> Reservation {
        let context: Option<&RequestContext> = request.extensions().get();
        self.budget.reserve(context.and_then(|context| context.client))
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
        let waits = request.headers().contains_key(header::EXPECT);
        let head = head_length(&request);
        let body = self.receive(request.into_body(), head, waits, reservation).await?;
        match coding {
            None => Ok(body),
            Some(coding) => Box::pin(self.decompress(coding, body, reservation)).await,
        }
    }

    async fn receive(
        &self,
        mut body: Body,
        head: usize,
        waits: bool,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let mut has_begun = false;
        let received = self.collect(&mut body, head, &mut has_begun, reservation).await;
        if let Err(failure) = &received
            && let Reason::Failed(Kind::TooLarge | Kind::QueueFull) = failure.reason
            // Whoever waits for leave has not sent anything.
            && (has_begun || !waits)
            && let Ok(_place) = self.lingering.try_acquire()
        {
            *reservation = self.budget.reserve(None);
            let _ = timeout(LINGER, Box::pin(drain(body, self.limits.max_body))).await;
        }
        received
    }

    /// Reads a body whose memory is taken as it comes, a little ahead: what is announced need not come.
    async fn collect(
        &self,
        body: &mut Body,
        head: usize,
        has_begun: &mut bool,
        reservation: &mut Reservation,
    ) -> Result<Bytes, Failure> {
        let ClientLimits { max_body: limit, upload_timeout, .. } = self.limits;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(Failure::too_large());
        }
        if !self.budget.allows(announced) {
            return Err(Failure::full());
        }
        // A small head is within what a connection costs anyhow.
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
        let mut whole = reservation.split(0);
        let runtime = Handle::current();
        let work = move || {
            // Held to the end, also when the client has left.
            let _place = place;
            let grow_to = |bytes| whole.grow_to(bytes) || runtime.block_on(whole.grow(bytes));
            let bytes = inflate(coding, &body, limit, grow_to);
            bytes.map(|bytes| (bytes, whole))
        };
        let stopping = |_| Error::new(Kind::ShuttingDown, "the server is stopping");
        let (bytes, whole) = tokio::task::spawn_blocking(work).await.map_err(stopping)??;
        *reservation = whole;
        Ok(bytes)
    }
}

/// Waits for the next piece of a body, as long as its pace and its memory allow; `None` at its end.
async fn next(
    body: &mut Body,
    pace: &Pace,
    is_first: bool,
    reservation: &Reservation,
) -> Result<Option<Bytes>, Failure> {
    let patience = if is_first { pace.upload.min(FIRST) } else { pace.patience() };
    let came = tokio::select! {
        biased;
        came = timeout(patience, body.frame()) => came,
        () = reservation.gives_way() => return Err(Failure::gave_way()),
    };
    match came {
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(Some(Err(error))) => {
            let message = format!("the body cannot be read: {error}");
            Err(Error::new(Kind::MalformedRequest, message).into())
        }
        Ok(None) => Ok(None),
        Err(_) => Err(pace.over(patience)),
    }
}

/// The memory to take for a body of which `length` bytes have come: a small first step, twice as much
/// each time, and later a step more, up to what is announced.
fn ahead(length: usize, announced: usize) -> usize {
    let ahead = if length < STEP {
        length.next_power_of_two().max(FIRST_STEP)
    } else {
        length.div_ceil(STEP) * STEP + READ_AHEAD
    };
    ahead.min(announced.max(length))
}

/// The memory that a request's head takes up, about.
fn head_length(request: &Request) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.map(|length| length + FIELD).sum()
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

    /// The time that a further piece may take.
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

    /// The failure of a body of which the next piece took longer than `patience`.
    fn over(&self, patience: Duration) -> Failure {
        let message = if self.begun.elapsed() < self.upload {
            format!("nothing of the body came for {} s", patience.as_secs())
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

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
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
