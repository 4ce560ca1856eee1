//! Spans of requests, and the decisions in them, for OpenTelemetry.
//!
//! Nothing of what is asked about is said there but the action: ids and contexts are for the decision log.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request};
use tracing::{Level, Span, field};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

use super::Decided;
use crate::serve::ServeError;
use crate::serve::config::Config;

/// Of spans and events that are traces, and no lines of the log.
const TARGET: &str = "consentry::traces";

/// What sends traces away; nothing where none is configured.
#[derive(Default)]
pub(crate) struct Traces {
    #[cfg(feature = "opentelemetry")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Traces {
    /// From now on, what is said goes to standard error, and traces to where `config` says. To be called on a runtime
    /// of tokio.
    pub(crate) fn open(config: &Config) -> Result<Self, ServeError> {
        let lines = Targets::new().with_default(LevelFilter::INFO).with_target(TARGET, LevelFilter::OFF);
        let colours = io::stderr().is_terminal();
        let layer = fmt::layer().with_writer(io::stderr).with_ansi(colours).with_target(false);
        let lines = layer.with_filter(lines);
        let subscriber = Registry::default().with(lines);
        #[cfg(feature = "opentelemetry")]
        if let Some(config) = &config.opentelemetry {
            let (provider, tracer) = export::opened(config)?;
            let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false);
            let layer =
                layer.with_threads(false).with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
            let _ = subscriber.with(layer).try_init();
            return Ok(Self { provider: Some(provider) });
        }
        let _ = (config, subscriber.try_init());
        Ok(Self::default())
    }

    /// Sends what was not sent yet, but waits no longer than `patience`. Blocks.
    pub(crate) fn close(self, patience: Duration) {
        #[cfg(feature = "opentelemetry")]
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown_with_timeout(patience)) {
            tracing::error!("the last traces could not be sent: {error}");
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = patience;
    }
}

/// A method, if it is one that is known: of others, anybody could make up any number.
fn known(method: &Method) -> &'static str {
    let names = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
    names.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

/// The span of a request, in the trace that it came with, if it came with one (W3C Trace Context). Where nothing is
/// traced, it costs nothing.
pub(crate) fn span<T>(request: &Request<T>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        http.request.method = known(request.method()),
        http.route = field::Empty,
        http.response.status_code = field::Empty,
        consentry.caller = field::Empty,
    );
    if !span.is_disabled() {
        in_trace(&span, request.headers());
    }
    span
}

fn in_trace(span: &Span, headers: &HeaderMap) {
    #[cfg(feature = "opentelemetry")]
    export::in_trace(span, headers);
    #[cfg(not(feature = "opentelemetry"))]
    let _ = (span, headers);
}

/// The request that is being answered is one of this route, by this caller.
pub(crate) fn routed(method: &Method, route: &str, caller: &str) {
    let span = Span::current();
    if !span.is_disabled() {
        #[cfg(feature = "opentelemetry")]
        export::named(&span, format!("{} {route}", known(method)));
        #[cfg(not(feature = "opentelemetry"))]
        let _ = method;
        span.record("http.route", route);
        span.record("consentry.caller", caller);
    }
}

/// A request was answered so.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
}

/// A decision was made on the way.
pub(super) fn decided(decided: &Decided<'_>, action: &str) {
    let decision = if decided.allowed { "allow" } else { "deny" };
    let evaluation = decided.evaluation;
    tracing::event!(
        target: TARGET,
        Level::INFO,
        {
            consentry.action = action,
            consentry.decision = decision,
            consentry.reason = decided.reason,
            consentry.determining_policies = evaluation.map(|answer| answer.determining_policies.join(",")),
            consentry.revision = evaluation.map(|answer| answer.revision),
        },
        "decision"
    );
}

#[cfg(feature = "opentelemetry")]
mod export;
