//! Records the spans of requests and sends them to a collector over OTLP, if the settings name one.
//!
//! A request is a span of kind *server*, named and described as OpenTelemetry's conventions for
//! HTTP have it; below it are `queue` and `model`, the time that it waited for a worker and the
//! time that the worker took.

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
        /// Collector of OpenTelemetry traces, by OTLP over HTTP: http://collector:4318. Further OTEL_
        /// variables (headers, timeout, sampler, service name, resource attributes) are heeded. By
        /// default nothing is sent.
        otlp_endpoint: Option<Text> { name: "OTEL_EXPORTER_OTLP_ENDPOINT", value_name: "URL" },
    }
}

/// The service's name where nobody gave one.
const SERVICE: &str = "ai-integration";
/// The time for a collector to answer, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time for the last spans to be sent when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// The addresses that platforms ask again and again.
const UNTRACED: &[&str] = &["/healthz", "/readyz", "/metrics"];
/// Makes spans and sends them, on a thread of its own and in batches.
#[derive(Clone)]
pub(crate) struct Tracer {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A request's span, on its way.
#[derive(Debug)]
pub(crate) struct Recording {
    span: Span,
    tracer: SdkTracer,
    timing: Arc<Timing>,
}

impl Tracer {
    /// As the settings have it; none without a collector.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let Some(endpoint) = Settings::read(environment)?.otlp_endpoint else { return Ok(None) };
        let says = |name, word| {
            environment.variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
        };
        if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let refused = |reason: String| Settings::otlp_endpoint().invalid(&endpoint, reason);
        let url = reqwest::Url::parse(&endpoint).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(refused("expected an address such as http://collector:4318".to_owned()));
        }
        // What is to be appended to the address of all signals (OTLP Exporter, Endpoint URLs).
        let address = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        // The client has a runtime of its own, which must not be made inside of ours.
        let timeout = environment.variable("OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|milliseconds| milliseconds.trim().parse().ok());
        let timeout = timeout.map_or(PATIENCE, Duration::from_millis);
        let resource = resource(environment);
        let made = std::thread::spawn(move || provider(address, timeout, resource)).join();
        let provider = made.unwrap_or_else(|_| Err("its client cannot be started".into()));
        let provider = provider.map_err(|error| refused(format!("it cannot be used: {error}")))?;
        let tracer = provider.tracer(SERVICE);
        Ok(Some(Tracer { provider, tracer }))
    }

    /// Begins the span of a request, which `traceparent` names from here on; what is recorded of it
    /// is the sampler's to say. None for an address that is not traced.
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
        // A client must not choose the number of different names.
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

    /// Sends what there still is.
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

/// Describes this server to collectors: as OpenTelemetry's variables do, and by a name in any case.
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
    /// The times that the engine fills in.
    pub(crate) fn timing(&self) -> Arc<Timing> {
        self.timing.clone()
    }

    /// Ends the request's span, and makes those below it.
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
