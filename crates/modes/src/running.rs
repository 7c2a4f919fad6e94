//! The requests that run and that their client may cancel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The running requests, each with its key. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<String, CancellationToken>>>);

/// A running request. Dropping it ends its registration.
#[derive(Debug)]
pub(crate) struct Registration {
    key: String,
    running: Running,
    cancelled: CancellationToken,
}

impl Running {
    /// Registers a request; `None` if one with this key runs already.
    pub(crate) fn register(&self, key: String) -> Option<Registration> {
        let cancelled = CancellationToken::new();
        let mut running = self.requests();
        if running.contains_key(&key) {
            return None;
        }
        running.insert(key.clone(), cancelled.clone());
        Some(Registration { key, running: self.clone(), cancelled })
    }

    /// Cancels the request with this key, if it runs.
    pub(crate) fn cancel(&self, key: &str) {
        if let Some(cancelled) = self.requests().get(key) {
            cancelled.cancel();
        }
    }

    /// Returns the keys of the requests that run.
    #[cfg_attr(not(feature = "runpod"), expect(dead_code, reason = "only `runpod` lists them"))]
    pub(crate) fn keys(&self) -> Vec<String> {
        self.requests().keys().cloned().collect()
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Does the request's work; `None` if the request is cancelled. The work is then dropped.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.cancelled.run_until_cancelled(work).await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.running.requests().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_cancelled_by_its_key_while_it_runs() {
        let running = Running::default();
        let one = running.register("1".to_owned()).unwrap();
        let two = running.register("2".to_owned()).unwrap();
        assert!(running.register("1".to_owned()).is_none());
        running.cancel("1");
        running.cancel("unknown");
        assert_eq!(one.unless_cancelled(std::future::pending::<()>()).await, None);
        assert_eq!(two.unless_cancelled(async { 5 }).await, Some(5));
        drop(one);
        assert!(running.register("1".to_owned()).is_some());
    }
}
