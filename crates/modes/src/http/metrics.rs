//! The metrics of the server. `docs/operations/metrics.md` has their names and meanings.

use std::sync::OnceLock;
use std::time::Duration;

use ai_integration_engine::Budget;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::http::failure::Reason;
use crate::http::trace::request_end::RequestEnd;

/// The labels of the count of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// Makes a histogram of seconds with 22 buckets, from 100 µs to 210 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 22))
}

/// Makes a histogram of bytes with 12 buckets, from 256 bytes to 1 GiB.
fn bytes() -> Histogram {
    Histogram::new(exponential_buckets(256.0, 4.0, 12))
}

/// An address and its metrics. They are kept with the address, because a look-up for each request
/// would cost more than the count. They are made at the first request: there are many addresses, and
/// most clients use one or two.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    counts: OnceLock<Counts>,
}

#[derive(Debug)]
struct Counts {
    ok: Counter,
    duration: Histogram,
}

/// The metrics of the server.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
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
        // Each count begins with zero, because a rate needs a value before the first failure.
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

impl Route {
    pub(crate) fn new(path: &'static str) -> Self {
        Route { path, counts: OnceLock::new() }
    }
}

impl HttpMetrics {
    fn counts(&self, path: &'static str) -> Counts {
        Counts {
            ok: self.requests.get_or_create_owned(&RequestLabels { route: path, status: 200 }),
            duration: self.duration.get_or_create_owned(&[("route", path)]),
        }
    }

    /// Counts a request that was answered, to the last byte or until the client stopped reading.
    #[expect(clippy::cast_precision_loss, reason = "bodies are small enough")]
    pub(crate) fn answered(&self, route: &Route, after: Duration, end: &RequestEnd<'_>) {
        if cfg!(unobserved) {
            return;
        }
        let counts = route.counts.get_or_init(|| self.counts(route.path));
        if end.status == 200 {
            counts.ok.inc();
        } else {
            let labels = RequestLabels { route: route.path, status: end.status };
            self.requests.get_or_create(&labels).inc();
        }
        counts.duration.observe(after.as_secs_f64());
        self.request_size.observe(end.read as f64);
        self.response_size.observe(end.written as f64);
    }

    /// Counts a request that was refused or failed, for the reason with this code.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&[("code", code)]).inc();
    }
}

/// Registers all metrics of the server.
pub(crate) fn registry(http: &HttpMetrics, budget: &Budget) -> Registry {
    let mut registry = Registry::with_prefix("ai_integration");
    registry.register("http_requests", "Requests by route and status", http.requests.clone());
    registry.register_with_unit(
        "http_request_duration",
        "Time from a request's head to the last byte of its response",
        Unit::Seconds,
        http.duration.clone(),
    );
    registry.register_with_unit(
        "http_request_size",
        "Length of requests' bodies, 0 if it is not announced",
        Unit::Bytes,
        http.request_size.clone(),
    );
    registry.register_with_unit(
        "http_response_size",
        "Length of responses' bodies",
        Unit::Bytes,
        http.response_size.clone(),
    );
    registry.register(
        "http_failures",
        "Requests without a result by the code of the reason",
        http.refusals.clone(),
    );
    registry.register("http_connections", "Open connections", http.connections.clone());
    registry.register(
        "http_connections_refused",
        "Connections refused because of the limit",
        http.refused_connections.clone(),
    );
    registry.register_collector(Box::new(InFlight(budget.clone())));
    registry
}

/// The memory of requests and responses.
#[derive(Debug)]
struct InFlight(Budget);

impl prometheus_client::collector::Collector for InFlight {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.taken()).unwrap_or(i64::MAX));
        let help = "Bodies of requests that are being received, wait or run, and large responses";
        gauge.encode(encoder.encode_descriptor(
            "http_in_flight",
            help,
            Some(&Unit::Bytes),
            gauge.metric_type(),
        )?)
    }
}
