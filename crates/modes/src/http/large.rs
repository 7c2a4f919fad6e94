//! Work on much data, away from the one thread that serves everybody.

use std::panic::resume_unwind;

use ai_integration_contract::{Error, Kind};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};

/// Bytes from which work on them is done on another thread: below, the way there and back would take
/// longer than it saves.
pub(crate) const LARGE: usize = 2 << 20;
/// Bytes from which work that is done at once lets others have their turn before it goes on.
const MODERATE: usize = 64 << 10;
/// Bytes from which memory is given back on another thread: it takes time for each page.
const MUCH: usize = 8 << 20;
/// The pieces of work at a time. Each takes up a processor, which the model needs too.
static PLACES: Semaphore = Semaphore::const_new(2);

/// Does work on `size` bytes: at once where they are few, otherwise on another thread. Work that takes
/// longer for each byte than one pass over it counts its bytes several times.
pub(crate) async fn work_on<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if size < LARGE {
        let done = work();
        if size >= MODERATE {
            yield_now().await;
        }
        return Ok(done);
    }
    let stopping = || Error::new(Kind::ShuttingDown, "the server is stopping");
    let place = PLACES.acquire().await.map_err(|_| stopping())?;
    let done = spawn_blocking(move || {
        // Held to the end, also when the client has left.
        let _place = place;
        work()
    });
    done.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => stopping(),
    })
}

/// Gives the memory of these bytes back.
pub(crate) fn give_back(data: Bytes) {
    if data.len() >= MUCH
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn_blocking(move || drop(data));
    }
}
