//! The server's counts. Names and meanings are in `docs/operations/metrics.md`.

use std::time::Duration;

use ai_integration_engine::Budget;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::http::failure::Reason;

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    route: &'static str,
    status: u16,
}

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// A histogram of seconds, from 100 us in 22 buckets to 210 s, and beyond.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 22))
}

/// A histogram of bytes, from 256 in 12 buckets to 1 GiB, and beyond.
fn bytes() -> Histogram {
    Histogram::new(exponential_buckets(256.0, 4.0, 12))
}

/// The metrics of one address, at hand: to look them up for each request would cost more than to
/// count.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    ok: Counter,
    duration: Histogram,
}

/// The server's own metrics.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    requests: Family<AnswerLabels, Counter>,
    duration: Family<Label, Histogram, fn() -> Histogram>,
    request_size: Histogram,
    response_size: Histogram,
    refusals: Family<Label, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) refused_connections: Counter,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let refusals = Family::<Label, Counter>::default();
        // What has not happened yet is there as a zero: a rate needs a value before the first one.
        for code in Reason::all().map(Reason::code) {
            drop(refusals.get_or_create(&[("code", code)]));
        }
        HttpMetrics {
            requests: Family::default(),
            duration: Family::new_with_constructor(seconds),
            request_size: bytes(),
            response_size: bytes(),
            refusals,
            connections: Gauge::default(),
            refused_connections: Counter::default(),
        }
    }
}

impl HttpMetrics {
    /// What is counted for an address.
    pub(crate) fn route(&self, path: &'static str) -> Route {
        Route {
            path,
            ok: self.requests.get_or_create_owned(&AnswerLabels { route: path, status: 200 }),
            duration: self.duration.get_or_create_owned(&[("route", path)]),
        }
    }

    /// A request has been answered, to its last byte or as far as its client wanted.
    #[expect(clippy::cast_precision_loss, reason = "bodies are small enough")]
    pub(crate) fn answered(
        &self,
        route: &Route,
        status: u16,
        after: Duration,
        read: u64,
        written: u64,
    ) {
        if cfg!(unobserved) {
            return;
        }
        if status == 200 {
            route.ok.inc();
        } else {
            self.requests.get_or_create(&AnswerLabels { route: route.path, status }).inc();
        }
        route.duration.observe(after.as_secs_f64());
        self.request_size.observe(read as f64);
        self.response_size.observe(written as f64);
    }

    /// A request was refused, or failed, for the reason with this code.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&[("code", code)]).inc();
    }
}

/// Everything that the server counts.
pub(crate) fn registry(http: &HttpMetrics, budget: &Budget) -> Registry {
    let mut registry = Registry::with_prefix("ai_integration");
    registry.register("http_requests", "Requests, by answer", http.requests.clone());
    registry.register_with_unit(
        "http_request_duration",
        "Time from a request's head to the last byte of its answer",
        Unit::Seconds,
        http.duration.clone(),
    );
    registry.register_with_unit(
        "http_request_size",
        "Length of requests' bodies, where they tell it",
        Unit::Bytes,
        http.request_size.clone(),
    );
    registry.register_with_unit(
        "http_response_size",
        "Length of answers' bodies",
        Unit::Bytes,
        http.response_size.clone(),
    );
    registry.register(
        "http_failures",
        "Requests without a result, by the code of the reason",
        http.refusals.clone(),
    );
    registry.register("http_connections", "Open connections", http.connections.clone());
    registry.register(
        "http_connections_refused",
        "Connections over the limit",
        http.refused_connections.clone(),
    );
    registry.register_collector(Box::new(InFlight(budget.clone())));
    registry
}

/// The memory of requests and answers.
#[derive(Debug)]
struct InFlight(Budget);

impl prometheus_client::collector::Collector for InFlight {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.taken()).unwrap_or(i64::MAX));
        let help = "Bodies of requests that are being received, wait or run, and large answers";
        gauge.encode(encoder.encode_descriptor(
            "http_in_flight",
            help,
            Some(&Unit::Bytes),
            gauge.metric_type(),
        )?)
    }
}
