//! How spans leave the process: OTLP over gRPC.

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::serve::ServeError;
use crate::serve::config::{ConfigError, OpenTelemetryConfig};

/// Begins to export.
pub(super) fn opened(config: &OpenTelemetryConfig) -> Result<(SdkTracerProvider, SdkTracer), ServeError> {
    let wrong = |error: ExporterBuildError| {
        ConfigError(format!("`opentelemetry.endpoint` is {}: {error}", config.endpoint))
    };
    let mut exporter = SpanExporter::builder().with_tonic().with_endpoint(config.endpoint.as_str());
    if config.endpoint.starts_with("https://") {
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let resource = Resource::builder().with_service_name(config.service.clone());
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.build().map_err(wrong)?)
        .with_resource(resource.build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
        .build();
    let tracer = provider.tracer("consentry");
    Ok((provider, tracer))
}

/// Headers, as propagators read them.
struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Says what a span that has begun is called.
pub(super) fn named(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Puts a span into the trace that `headers` name.
pub(super) fn in_trace(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Carrier(headers));
    // It fails where the span is not one of ours: then there is nothing to put anywhere.
    let _ = span.set_parent(context);
}
