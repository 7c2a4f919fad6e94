//! The engine's metrics for Prometheus: the counters since its start, and gauges of the moment.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Embedded;
use crate::engine::state::State;
use crate::worker::memory;

impl Embedded {
    /// Appends the metrics to `text`, in the OpenMetrics format without the final `# EOF`.
    pub(crate) fn encode_metrics(&self, text: &mut String) {
        let metrics = self.metrics();
        let mut registry = Registry::with_prefix("ai_integration");
        registry.register_with_unit(
            "queue_wait",
            "Time from a job's arrival until a worker gets it",
            Unit::Seconds,
            metrics.queue_wait.clone(),
        );
        registry.register_with_unit(
            "job_duration",
            "Time from a job's arrival to its end",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("batch_size", "Jobs in a batch", metrics.batch_size.clone());
        registry.register("jobs", "Jobs that have ended, by outcome", metrics.jobs.clone());
        registry.register("worker_ends", "Ends of workers, by cause", metrics.worker_ends.clone());
        registry.register_collector(Box::new(Now(self.clone())));
        // Writing to a string does not fail.
        let _ = encode_registry(text, &registry);
    }
}

/// The gauges, which are read when Prometheus scrapes.
struct Now(Embedded);

impl fmt::Debug for Now {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let engine = &self.0;
        let ready = match *engine.state().borrow() {
            State::Ready(workers) => workers,
            State::Starting | State::Failed(_) => 0,
        };
        let (waiting, working) = engine.load();
        let gauges = [
            ("queue_depth", "Jobs that wait for a worker", waiting),
            ("jobs_in_flight", "Jobs that workers hold", working),
            ("workers_ready", "Workers that take jobs", ready),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let mut held = encoder.encode_descriptor(
            "worker_jobs_in_flight",
            "Jobs that each worker holds",
            None,
            MetricType::Gauge,
        )?;
        let mut load = engine.load_by_slot();
        for (slot, _) in engine.metrics().processes().iter() {
            // A process that is starting holds no jobs.
            load.entry(*slot).or_default();
        }
        for (slot, jobs) in load {
            let gauge = ConstGauge::new(i64::try_from(jobs).unwrap_or(i64::MAX));
            gauge.encode(held.encode_family(&[("worker", slot.to_string())])?)?;
        }
        let processes = engine.metrics().processes().clone();
        let mut memory = encoder.encode_descriptor(
            "worker_resident_memory",
            "Resident memory of each worker's model process",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?;
        let mut resident = BTreeMap::<usize, u64>::new();
        for (slot, pid) in processes {
            let Some(bytes) = memory::resident(pid) else { continue };
            *resident.entry(slot).or_default() += bytes;
        }
        for (slot, bytes) in resident {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(memory.encode_family(&[("worker", slot.to_string())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::Environment;
    use nix::unistd::Pid;

    use super::*;
    use crate::settings::Config;
    use crate::worker::ending::EndCause;

    #[tokio::test]
    async fn a_worker_is_measured_until_its_end_even_if_another_in_its_slot_ends_first() {
        let engine = Embedded::start(Config::read(&Environment::default()).unwrap().limits());
        let measured = || {
            let mut text = String::new();
            engine.encode_metrics(&mut text);
            text.matches("worker_resident_memory_bytes{worker=\"1\"} ").count()
        };
        let metrics = engine.metrics();
        let (serving, fresh) = (Pid::this().as_raw(), Pid::parent().as_raw());
        metrics.worker_began(1, serving);
        metrics.worker_began(1, fresh);
        assert_eq!(measured(), 1);
        metrics.worker_ended(1, fresh, &EndCause::Exited);
        assert_eq!(measured(), 1);
        metrics.worker_ended(1, serving, &EndCause::Exited);
        assert_eq!(measured(), 0);
    }
}
