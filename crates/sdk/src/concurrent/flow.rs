//! Keeps what the engine reports about a job while it runs: that its client has read some chunks, or
//! that nobody waits for it any more.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::job::Cancelled;

/// The state of a job that the reader of the link changes. Threads and tasks wait for its changes.
#[derive(Debug)]
pub(super) struct Flow {
    state: Mutex<State>,
    for_threads: Condvar,
    for_tasks: Notify,
}

#[derive(Debug)]
struct State {
    /// The number of bytes of chunks that may be sent. Negative after a chunk that was larger.
    window: isize,
    is_cancelled: bool,
}

impl State {
    /// Takes the length of a chunk off the window. Returns `None` if the chunk must wait.
    fn take(&mut self, length: usize) -> Option<Result<(), Cancelled>> {
        if self.is_cancelled {
            return Some(Err(Cancelled));
        }
        if self.window <= 0 {
            return None;
        }
        // An empty chunk takes room too, so that their number is bounded.
        self.window = self.window.saturating_sub_unsigned(length.max(1));
        Some(Ok(()))
    }
}

impl Flow {
    pub(super) fn new(window: usize) -> Self {
        let window = isize::try_from(window).unwrap_or(isize::MAX);
        Flow {
            state: Mutex::new(State { window, is_cancelled: false }),
            for_threads: Condvar::new(),
            for_tasks: Notify::new(),
        }
    }

    /// Waits until a chunk of this length may be sent.
    pub(super) async fn take(&self, length: usize) -> Result<(), Cancelled> {
        loop {
            // A change after this line is noticed, even before the wait.
            let changed = self.for_tasks.notified();
            let taken = self.state().take(length);
            match taken {
                Some(taken) => return taken,
                None => changed.await,
            }
        }
    }

    /// Blocks the thread until a chunk of this length may be sent.
    pub(super) fn take_blocking(&self, length: usize) -> Result<(), Cancelled> {
        let mut state = self.state();
        loop {
            if let Some(taken) = state.take(length) {
                return taken;
            }
            state = self.for_threads.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the job is cancelled.
    pub(super) async fn until_cancelled(&self) {
        loop {
            let changed = self.for_tasks.notified();
            if self.is_cancelled() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    /// Lets the job send this many bytes more.
    pub(super) fn add(&self, bytes: usize) {
        self.change(|state| state.window = state.window.saturating_add_unsigned(bytes));
    }

    pub(super) fn cancel(&self) {
        self.change(|state| state.is_cancelled = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.for_threads.notify_all();
        self.for_tasks.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_chunk_may_be_larger_than_the_window_and_the_next_one_waits() {
        let flow = Flow::new(10);
        flow.take_blocking(25).unwrap();
        thread::scope(|scope| {
            let next = scope.spawn(|| flow.take_blocking(1));
            flow.add(15);
            assert!(flow.state().take(1).is_none(), "the window is exactly used up");
            flow.add(1);
            assert!(next.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_cancelled_job_waits_for_no_window() {
        let flow = Flow::new(1);
        flow.take_blocking(0).unwrap();
        thread::scope(|scope| {
            let next = scope.spawn(|| flow.take_blocking(1));
            flow.cancel();
            assert!(next.join().unwrap().is_err());
        });
    }

    #[tokio::test]
    async fn a_task_waits_like_a_thread() {
        let flow = Flow::new(10);
        flow.take(25).await.unwrap();
        flow.add(15);
        let soon = Duration::from_millis(20);
        assert!(timeout(soon, flow.take(1)).await.is_err(), "the window is exactly used up");
        assert!(timeout(soon, flow.until_cancelled()).await.is_err());
        let (taken, ()) = tokio::join!(flow.take(1), async { flow.add(1) });
        assert!(taken.is_ok());
        let (taken, (), ()) =
            tokio::join!(flow.take(1), flow.until_cancelled(), async { flow.cancel() });
        assert!(taken.is_err());
    }
}
