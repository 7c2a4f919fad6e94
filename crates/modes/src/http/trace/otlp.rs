//! Records the spans of requests, and sends them over OTLP if the settings name a collector.
//!
//! Each request has a span of kind *server*, with the name and attributes of OpenTelemetry's
//! conventions for HTTP. It has two child spans: `queue` is the time in which the request waited
//! for a worker, and `model` is the time that the worker took.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ai_integration_contract::setting::Text;
use ai_integration_contract::{Environment, SettingError, settings};
use ai_integration_engine::Timing;
use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use crate::http::trace::request_end::RequestEnd;
use crate::http::wire::trust;

settings! {
    /// The collector of traces.
    pub(crate) struct Settings under "Logs" {
        /// Collector of OpenTelemetry traces, for OTLP over HTTP, such as http://collector:4318.
        /// Other OTEL_ variables (headers, timeout, sampler, service name, resource attributes)
        /// apply too. By default nothing is sent.
        otlp_endpoint: Option<Text> { name: "OTEL_EXPORTER_OTLP_ENDPOINT", value_name: "URL" },
    }
}

/// The service's name if no setting gives one.
const SERVICE: &str = "ai-integration";
/// The default timeout for the collector's response, which OTEL_EXPORTER_OTLP_TIMEOUT changes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time for sending the last spans when the server shuts down.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// The addresses without traces, since platforms request them regularly.
const UNTRACED: &[&str] =
    &["/healthz", "/readyz", "/ping", "/health", "/metrics", "/v2/health/live", "/v2/health/ready"];

/// Records spans and sends them in batches, on its own thread.
#[derive(Clone)]
pub(crate) struct Tracer {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The span of a request in progress.
#[derive(Debug)]
pub(crate) struct Recording {
    span: Span,
    tracer: SdkTracer,
    timing: Arc<Timing>,
}

impl Tracer {
    /// Reads the settings. Returns `None` if no collector is set.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let Some(endpoint) = Settings::read(environment)?.otlp_endpoint else { return Ok(None) };
        let has = |name, word| {
            environment.variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
        };
        if has("OTEL_SDK_DISABLED", "true") || has("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let refused = |reason: String| Settings::otlp_endpoint().invalid(&endpoint, reason);
        let url = reqwest::Url::parse(&endpoint).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(refused("expected a URL such as http://collector:4318".to_owned()));
        }
        // This path is appended to the URL for all signals (OTLP Exporter, Endpoint URLs).
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        // The blocking client starts its own runtime, which is not allowed inside this runtime.
        let timeout = environment.variable("OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|milliseconds| milliseconds.trim().parse().ok());
        let timeout = timeout.map_or(TIMEOUT, Duration::from_millis);
        let resource = resource(environment);
        let made = std::thread::spawn(move || provider(address, timeout, resource)).join();
        let provider = made.unwrap_or_else(|_| Err("the HTTP client cannot be started".into()));
        let provider = provider.map_err(|error| refused(format!("it cannot be used: {error}")))?;
        let tracer = provider.tracer(SERVICE);
        Ok(Some(Tracer { provider, tracer }))
    }

    /// Begins the span of a request. Returns its `traceparent`, and its recording if the sampler
    /// selects the span. Returns `None` for an address without traces.
    pub(crate) fn begin(
        &self,
        method: &Method,
        route: &'static str,
        headers: &HeaderMap,
    ) -> Option<(String, Option<Recording>)> {
        if UNTRACED.contains(&route) {
            return None;
        }
        let parent = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &HeaderExtractor(headers));
        // Unknown methods share one name, so that clients cannot create any number of names.
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
        let method = known.into_iter().find(|known| method == known).unwrap_or("_OTHER");
        let name = format!("{method} {route}");
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
        ]);
        let span = self.tracer.build_with_context(builder, &parent);
        let context = span.span_context();
        let flags = context.trace_flags().to_u8();
        let parent = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
        let recording = span.is_recording().then(|| Recording {
            span,
            tracer: self.tracer.clone(),
            timing: Arc::default(),
        });
        Some((parent, recording))
    }

    /// Sends the remaining spans.
    pub(crate) async fn stop(self) {
        let sent = move || self.provider.shutdown_with_timeout(LAST_SPANS);
        match tokio::task::spawn_blocking(sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last traces were not sent: {error}"),
            Err(error) => tracing::warn!("the last traces were not sent: {error}"),
        }
    }
}

fn provider(
    endpoint: String,
    timeout: Duration,
    resource: Resource,
) -> Result<SdkTracerProvider, Box<dyn std::error::Error + Send + Sync>> {
    let client = reqwest::blocking::Client::builder()
        .tls_backend_preconfigured(trust::client()?)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()?;
    let exporter =
        SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint);
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build()?)
        .with_resource(resource)
        .build())
}

/// Returns the attributes of this server from OpenTelemetry's variables, with a default service
/// name.
fn resource(environment: &Environment) -> Resource {
    let is_name = |attribute: &str| attribute.trim().starts_with("service.name=");
    let attributes = environment.variable("OTEL_RESOURCE_ATTRIBUTES");
    let is_named = environment.variable("OTEL_SERVICE_NAME").is_some()
        || attributes.is_some_and(|list| list.split(',').any(is_name));
    let resource = Resource::builder();
    let resource = if is_named { resource } else { resource.with_service_name(SERVICE) };
    resource.build()
}

impl Recording {
    /// Returns the times that the engine fills in.
    pub(crate) fn timing(&self) -> Arc<Timing> {
        self.timing.clone()
    }

    /// Ends the request's span, and records its child spans.
    pub(crate) fn end(self, ended: &RequestEnd<'_>) {
        let Recording { mut span, tracer, timing } = self;
        let now = SystemTime::now();
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        let handed_out = timing.handed_out.get();
        let over = timing.ended.get().copied().unwrap_or(now);
        let parts = [
            ("queue", timing.submitted.get(), handed_out.copied().unwrap_or(over)),
            ("model", handed_out, over),
        ];
        for (name, begun, over) in parts {
            let Some(begun) = begun else { continue };
            let builder = SpanBuilder::from_name(name).with_start_time(*begun);
            tracer.build_with_context(builder, &context).end_with_timestamp(over.max(*begun));
        }
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        span.set_attributes([
            KeyValue::new("http.response.status_code", i64::from(ended.status)),
            KeyValue::new("http.request.body.size", number(ended.read)),
            KeyValue::new("http.response.body.size", number(ended.written)),
            KeyValue::new("http.request.header.x-request-id", ended.id.to_owned()),
        ]);
        if let Some(code) = ended.code {
            span.set_attribute(KeyValue::new("error.type", code));
        }
        if ended.status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(now);
    }
}
