//! The trace that a request belongs to (W3C Trace Context), and the spans that OpenTelemetry's
//! collectors are sent of it over OTLP, if the settings name one.
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

use crate::http::wire::tls;

settings! {
    /// The collector of traces.
    pub(crate) struct Settings under "Logs" {
        /// Collector of OpenTelemetry traces, by OTLP over HTTP: http://collector:4318. Further OTEL_
        /// variables (headers, timeout, sampler, service name, resource attributes) are heeded. By
        /// default nothing is sent.
        otlp_endpoint: Option<Text> { name: "OTEL_EXPORTER_OTLP_ENDPOINT", value_name: "URL" },
    }
}

/// What a collector is told where nobody named the service.
const SERVICE: &str = "ai-integration";
/// What a collector gets to answer, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the last spans get to be sent when the server stops.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// What platforms ask again and again.
const UNTRACED: &[&str] = &["/healthz", "/readyz", "/metrics"];
/// The header that names a trace.
const TRACEPARENT: &str = "traceparent";

/// What makes spans and sends them, on a thread of its own and in batches.
#[derive(Clone)]
pub(crate) struct Tracer {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The trace that a request belongs to.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// What names it in the log: the request's span, or what the client sent.
    parent: Option<Arc<str>>,
    recording: Option<Box<Recording>>,
}

/// A request's span, on its way.
#[derive(Debug)]
struct Recording {
    span: Span,
    tracer: SdkTracer,
    timing: Arc<Timing>,
}

/// What is told of a request when it has ended.
pub(crate) struct RequestEnd<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'static str>,
    pub(crate) id: &'a str,
    pub(crate) read: u64,
    pub(crate) written: u64,
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

    /// Begins the span of a request.
    pub(crate) fn begin(&self, method: &Method, route: &'static str, headers: &HeaderMap) -> Trace {
        if UNTRACED.contains(&route) {
            return Trace::of(headers);
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
        let recording = span.is_recording().then(|| {
            Box::new(Recording { span, tracer: self.tracer.clone(), timing: Arc::default() })
        });
        Trace { parent: Some(parent.into()), recording }
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
        .tls_backend_preconfigured(tls::client()?)
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

impl Trace {
    /// The trace that a request names, where no spans are made.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let parent = parent.filter(|value| is_traceparent(value)).map(Into::into);
        Trace { parent, recording: None }
    }

    /// The trace's name, as in the header `traceparent`.
    pub(crate) fn parent(&self) -> Option<Arc<str>> {
        self.parent.clone()
    }

    /// What the engine is to fill in, if spans are made.
    pub(crate) fn timing(&self) -> Option<Arc<Timing>> {
        self.recording.as_ref().map(|recording| recording.timing.clone())
    }

    /// Ends the request's span, and makes those below it.
    pub(crate) fn end(&mut self, ended: &RequestEnd<'_>) {
        let Some(mut recording) = self.recording.take() else { return };
        let Recording { span, tracer, timing } = &mut *recording;
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

/// Whether this is `version-trace-parent-flags` in lower-case hexadecimal.
fn is_traceparent(value: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let hexadecimal = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = value.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && hexadecimal(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_one() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for nonsense in ["", "00-0-0-0", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"]
        {
            assert!(!is_traceparent(nonsense), "{nonsense}");
        }
    }
}
