//! Replaces workers: all of them on SIGHUP or since the program has changed, or one that says that its
//! process is broken.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ai_integration_contract::Error;
use tokio::time::{Instant, sleep, timeout};

use super::{Kept, Supervisor};
use crate::engine::revision::Broken;
use crate::engine::state::State;
use crate::settings::Replace;
use crate::worker::generation::{Generation, Life};

/// The longest reason to replace a worker that the log shows, in characters.
const LONGEST_REASON: usize = 500;

impl Supervisor {
    /// Starts the program anew in the place of all workers that serve, in the order that the setting
    /// `replace` asks for. `changed` says which files are the reason, if any are. Tells whether the new
    /// workers have taken over. The future may be dropped, to begin again with another one.
    pub async fn reload(&self, changed: Option<String>) -> bool {
        let shared = &*self.0;
        let slots = 1..=shared.config.worker_count();
        let renewed = match shared.config.replace {
            Replace::Before => {
                tracing::info!("starting the program anew; the workers that serve go on meanwhile");
                self.renew(slots).await
            }
            Replace::After => {
                tracing::info!("ending the workers one by one, and starting the program anew");
                self.renew_one_by_one(slots).await
            }
        };
        if shared.stop.is_cancelled() {
            return false;
        }
        self.tell(&renewed);
        let has_taken_over = renewed.is_ok();
        shared.engine.revision().send_modify(|revision| {
            revision.number = revision.number.wrapping_add(u32::from(has_taken_over));
            revision.broken = renewed.err().map(|error| Broken { changed, error });
        });
        has_taken_over
    }

    /// Tells the log what came of starting the program anew.
    fn tell(&self, renewed: &Result<(), Error>) {
        match renewed {
            Ok(()) => tracing::info!("the new workers have taken over"),
            // Who works on the program sees what it has printed.
            Err(error) if self.0.config.reload => {
                let error = &error.message;
                tracing::error!("{error}; the program is tried again when its files change");
            }
            Err(error) => tracing::error!(
                "the program cannot be started anew, the old workers go on: {error}"
            ),
        }
    }

    /// Replaces a worker for this reason, once it is its turn: one at a time, and with growing pauses,
    /// so that a stream of bad requests cannot keep the machine loading models.
    pub(super) async fn replace(self, life: Life, who: String, reason: String) {
        let shared = &*self.0;
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let mut turns = tokio::select! {
            turns = shared.turns.lock() => turns,
            () = life.over.cancelled() => return,
        };
        let pause = turns.pause();
        if !pause.is_zero() {
            let seconds = pause.as_secs_f64();
            tracing::warn!("{who} is to be replaced in {seconds:.0} s: {reason}");
            tokio::select! {
                () = sleep(pause) => {}
                () = life.over.cancelled() => return,
            }
        }
        if life.over.is_cancelled() {
            return;
        }
        tracing::warn!("{who} is being replaced: {reason}");
        let begun = Instant::now();
        match shared.config.replace {
            Replace::Before => self.tell(&self.renew(life.slot..=life.slot).await),
            // Those who keep it running tell why it is out.
            Replace::After => drop(self.end_and_start_again(life.slot).await),
        }
        turns.took(begun.elapsed());
    }

    /// Starts the program anew beside the workers of these slots, and lets the new workers take over
    /// once all of them are ready; the old ones finish what they have. When a new one does not get
    /// that far, the old ones go on, and the error says why.
    async fn renew(&self, slots: RangeInclusive<usize>) -> Result<(), Error> {
        let shared = &*self.0;
        let mut serving = shared.serving.lock().await;
        let fresh = Arc::new(Generation::new(&shared.stop, false));
        let unless_admitted = fresh.drain.clone().drop_guard();
        let kept = self.start_generation(&fresh, slots);
        let (mut ready, mut broken) = (fresh.ready.subscribe(), fresh.broken.subscribe());
        tokio::select! {
            _ = ready.wait_for(|ready| *ready == kept.len()) => {
                unless_admitted.disarm();
                shared.engine.recover();
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
                let has_failed = matches!(*shared.engine.state().borrow(), State::Failed(_));
                if let Some(error) = error.clone().filter(|_| has_failed) {
                    // Requests are told the reason of now.
                    shared.engine.fail(error);
                }
                error.map_or(Ok(()), Err)
            }
            () = shared.stop.cancelled() => Ok(()),
        }
    }

    /// Starts the program anew in one slot after the other, until it cannot be started in one: the workers
    /// whose turn has not come go on.
    async fn renew_one_by_one(&self, slots: RangeInclusive<usize>) -> Result<(), Error> {
        for slot in slots {
            self.end_and_start_again(slot).await?;
        }
        match &*self.0.engine.state().borrow() {
            State::Failed(error) => Err(error.clone()),
            State::Starting | State::Ready(_) => Ok(()),
        }
    }

    /// Lets the worker of a slot end as soon as it has no job, starts another one in its place, and
    /// waits until that is ready. The error says why it is not kept running.
    async fn end_and_start_again(&self, slot: usize) -> Result<(), Error> {
        let shared = &*self.0;
        let mut serving = shared.serving.lock().await;
        if let Some(Kept { seat, task }) = serving.get_mut(&slot) {
            seat.drain.cancel();
            // It stays where it is meanwhile: this future may be dropped.
            let _ = task.await;
            serving.remove(&slot);
        }
        if shared.stop.is_cancelled() {
            return Ok(());
        }
        shared.engine.recover();
        let generation = Arc::new(Generation::new(&shared.stop, true));
        serving.extend(self.start_generation(&generation, slot..=slot));
        let mut state = shared.engine.state().subscribe();
        let all_are_there = state.wait_for(|state| match state {
            State::Starting => false,
            State::Ready(workers) => *workers >= shared.config.worker_count(),
            State::Failed(_) => true,
        });
        let mut broken = generation.broken.subscribe();
        tokio::select! {
            _ = timeout(shared.config.start_timeout, all_are_there) => Ok(()),
            reason = broken.wait_for(Option::is_some) => {
                reason.ok().and_then(|reason| reason.clone()).map_or(Ok(()), Err)
            }
            () = shared.stop.cancelled() => Ok(()),
        }
    }
}
