//! The replacement of workers: of all of them on SIGHUP or when the program's files have changed,
//! or of one that reports that its process is broken.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ai_integration_contract::Error;
use tokio::time::{Instant, sleep, timeout};

use super::{Kept, Supervisor};
use crate::engine::revision::Broken;
use crate::engine::state::State;
use crate::settings::Replace;
use crate::worker::generation::{Generation, Life};

/// The length in characters to which the reason of a `replace` message is cut.
const LONGEST_REASON: usize = 500;

impl Supervisor {
    /// Replaces all workers by new processes of the program, in the order of the setting `replace`.
    /// `changed` names the changed files, if they are the reason. Returns true if the new workers
    /// have taken over. The future may be dropped, and another reload begun.
    pub async fn reload(&self, changed: Option<String>) -> bool {
        let inner = &*self.0;
        let slots = 1..=inner.config.worker_count();
        let renewed = match inner.config.replace {
            Replace::Before => {
                tracing::info!(
                    "reloading the program; the old workers serve until the new ones are ready"
                );
                self.renew(slots).await
            }
            Replace::After => {
                tracing::info!(
                    "reloading the program; each worker ends before its replacement starts"
                );
                self.renew_one_by_one(slots).await
            }
        };
        if inner.stop.is_cancelled() {
            return false;
        }
        self.log_renewal(&renewed);
        let has_taken_over = renewed.is_ok();
        inner.engine.revision().send_modify(|revision| {
            revision.number = revision.number.wrapping_add(u32::from(has_taken_over));
            revision.broken = renewed.err().map(|error| Broken { changed, error });
        });
        has_taken_over
    }

    /// Logs the result of a replacement.
    fn log_renewal(&self, renewed: &Result<(), Error>) {
        match renewed {
            Ok(()) => tracing::info!("the new workers have taken over"),
            // With `reload` the developer sees the program's output already.
            Err(error) if self.0.config.reload => {
                let error = &error.message;
                tracing::error!("{error}; the program is tried again when its files change");
            }
            Err(error) => {
                tracing::error!("the program cannot be reloaded, the old workers go on: {error}");
            }
        }
    }

    /// Replaces a worker for this reason. Workers are replaced one at a time, and with growing
    /// pauses, so that a series of bad requests cannot keep the machine busy with loading models.
    pub(super) async fn replace(self, life: Life, reason: String) {
        let inner = &*self.0;
        let name = inner.name(life.slot);
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let mut pauses = tokio::select! {
            pauses = inner.replacements.lock() => pauses,
            () = life.over.cancelled() => return,
        };
        let pause = pauses.pause();
        if !pause.is_zero() {
            let seconds = pause.as_secs_f64();
            tracing::warn!("{name} will be replaced in {seconds:.0} s: {reason}");
            tokio::select! {
                () = sleep(pause) => {}
                () = life.over.cancelled() => return,
            }
        }
        if life.over.is_cancelled() {
            return;
        }
        tracing::warn!("{name} is being replaced: {reason}");
        let begun = Instant::now();
        match inner.config.replace {
            Replace::Before => self.log_renewal(&self.renew(life.slot..=life.slot).await),
            // If the restart fails, the task that keeps the worker running logs the reason.
            Replace::After => drop(self.end_and_start_again(life.slot).await),
        }
        pauses.record(begun.elapsed());
    }

    /// Starts a new worker beside the old one in each slot. Once all new workers are ready they
    /// take over, and the old ones finish their jobs. If a new worker does not become ready, the
    /// old ones go on, and the error is the reason.
    async fn renew(&self, slots: RangeInclusive<usize>) -> Result<(), Error> {
        let inner = &*self.0;
        let mut serving = inner.serving.lock().await;
        let fresh = Arc::new(Generation::new(&inner.stop, false));
        let unless_admitted = fresh.drain.clone().drop_guard();
        let kept = self.start_generation(&fresh, slots);
        let (mut ready, mut broken) = (fresh.ready.subscribe(), fresh.broken.subscribe());
        tokio::select! {
            _ = ready.wait_for(|ready| *ready == kept.len()) => {
                unless_admitted.disarm();
                inner.engine.recover();
                fresh.admitted.send_replace(true);
                for (slot, new) in kept {
                    if let Some(old) = serving.insert(slot, new) {
                        old.seat.drain.cancel();
                    }
                }
                Ok(())
            }
            reason = broken.wait_for(Option::is_some) => {
                let error = reason.ok().and_then(|reason| reason.clone());
                let has_failed = matches!(*inner.engine.state().borrow(), State::Failed(_));
                if let Some(error) = error.clone().filter(|_| has_failed) {
                    // The engine has failed already: later requests get the new reason.
                    inner.engine.fail(error);
                }
                error.map_or(Ok(()), Err)
            }
            () = inner.stop.cancelled() => Ok(()),
        }
    }

    /// Replaces the worker of one slot after the other. Stops if a new worker cannot be started:
    /// the workers of the remaining slots go on.
    async fn renew_one_by_one(&self, slots: RangeInclusive<usize>) -> Result<(), Error> {
        for slot in slots {
            self.end_and_start_again(slot).await?;
        }
        match &*self.0.engine.state().borrow() {
            State::Failed(error) => Err(error.clone()),
            State::Starting | State::Ready(_) => Ok(()),
        }
    }

    /// Drains the worker of a slot, starts another one in its place, and waits until the new one is
    /// ready. The error is the reason why it could not be started.
    async fn end_and_start_again(&self, slot: usize) -> Result<(), Error> {
        let inner = &*self.0;
        let mut serving = inner.serving.lock().await;
        if let Some(Kept { seat, task }) = serving.get_mut(&slot) {
            seat.drain.cancel();
            // The entry stays in the map meanwhile, because this future may be dropped.
            let _ = task.await;
            serving.remove(&slot);
        }
        if inner.stop.is_cancelled() {
            return Ok(());
        }
        inner.engine.recover();
        let generation = Arc::new(Generation::new(&inner.stop, true));
        serving.extend(self.start_generation(&generation, slot..=slot));
        let mut state = inner.engine.state().subscribe();
        let all_are_ready = state.wait_for(|state| match state {
            State::Starting => false,
            State::Ready(workers) => *workers >= inner.config.worker_count(),
            State::Failed(_) => true,
        });
        let mut broken = generation.broken.subscribe();
        tokio::select! {
            _ = timeout(inner.config.start_timeout, all_are_ready) => Ok(()),
            reason = broken.wait_for(Option::is_some) => {
                reason.ok().and_then(|reason| reason.clone()).map_or(Ok(()), Err)
            }
            () = inner.stop.cancelled() => Ok(()),
        }
    }
}
