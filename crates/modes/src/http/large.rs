//! Does work on large data outside the one thread that serves all requests.

use std::panic::resume_unwind;

use ai_integration_contract::{Error, Kind};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};

/// The size in bytes from which work is done on another thread. For less data, the change of
/// threads takes more time than it saves.
pub(crate) const LARGE: usize = 2 << 20;
/// The number of times that the bytes of a result are processed while it is written as JSON: for base64,
/// for JSON, and for the copy that is sent.
pub(crate) const PASSES: usize = 3;
/// The size in bytes from which other tasks get a turn after work on this thread.
const MODERATE: usize = 64 << 10;
/// The size in bytes from which memory is freed on another thread, because each page of memory
/// takes time.
const SLOW_TO_FREE: usize = 8 << 20;
/// Limits the number of threads that work at a time. The model needs processors too.
static THREADS: Semaphore = Semaphore::const_new(2);

/// Does work on `size` bytes: on this thread if they are few, otherwise on another one. If the work
/// processes its bytes several times, `size` must be multiplied by that number.
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
    let permit = THREADS.acquire().await.map_err(|_| stopping())?;
    let done = spawn_blocking(move || {
        // Held until the work ends, even if the client leaves.
        let _permit = permit;
        work()
    });
    done.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => stopping(),
    })
}

/// Frees the memory of these bytes, on another thread if they are many.
pub(crate) fn give_back(data: Bytes) {
    if data.len() >= SLOW_TO_FREE
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn_blocking(move || drop(data));
    }
}
