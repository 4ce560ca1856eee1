//! Plugins in front of what is asked: they see each request first, and may answer it, change its headers, or say what it
//! stands for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use consentry::domain::{Timestamp, Uid};
use consentry::policy::{AccessRequest, Claims, Evaluation, RequestError};
use consentry_wasm_host::{
    Authority, Builder, Cause, Failure, Host, HttpHead, Level, Observer, Response as Answer, Settings,
    Verdict,
};
use sha2::{Digest as _, Sha256};

use super::ServeError;
use super::app::App;
use super::callers::OF_GATEWAYS;
use super::config::{ConfigError, PluginConfig};
use super::decision_point::DecisionPoint;
use super::problem::Problem;

/// Plugins, in the order in which requests go through them.
pub(crate) struct Plugins {
    host: Host,
    /// The bytes that each was loaded from, by their digests.
    loaded: Mutex<BTreeMap<String, [u8; 32]>>,
}

/// The decision point, as plugins ask it.
struct Asked(Arc<DecisionPoint>);

impl Authority for Asked {
    fn evaluate(&self, request: &AccessRequest) -> Result<Evaluation, RequestError> {
        self.0.reading().evaluate(request)
    }

    fn list(&self, principal: &Uid, resource: &Uid) -> Vec<(String, Option<Timestamp>)> {
        self.0.reading().permitted(principal, resource, &Claims::default()).unwrap_or_default()
    }
}

/// Knows nothing: to see whether plugins start.
struct Nobody;

impl Authority for Nobody {
    fn evaluate(&self, _: &AccessRequest) -> Result<Evaluation, RequestError> {
        Err(RequestError::Context("nothing can be asked yet".to_owned()))
    }

    fn list(&self, _: &Uid, _: &Uid) -> Vec<(String, Option<Timestamp>)> {
        Vec::new()
    }
}

/// What plugins say goes where the server says things.
struct Log;

impl Observer for Log {
    fn log(&self, plugin: &str, level: Level, message: &str) {
        match level {
            Level::Trace => tracing::trace!(plugin, "{message:?}"),
            Level::Debug => tracing::debug!(plugin, "{message:?}"),
            Level::Info => tracing::info!(plugin, "{message:?}"),
            Level::Warn => tracing::warn!(plugin, "{message:?}"),
            Level::Error | Level::Critical => tracing::error!(plugin, "{message:?}"),
        }
    }

    fn failed(&self, failure: &Failure) {
        tracing::error!(plugin = failure.plugin, kind = failure.kind.name(), "{:?}", failure.message);
    }
}

/// A plugin that cannot be run.
fn wrong(config: &PluginConfig, what: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("the plugin `{}`, {}: {what}", config.name, config.file.display()))
}

impl Plugins {
    /// Compiles and starts them. Blocks.
    pub(crate) fn open(
        configured: &[PluginConfig],
        decision_point: &Arc<DecisionPoint>,
    ) -> Result<Self, ServeError> {
        Self::on(Host::builder(Asked(decision_point.clone())).observer(Log).unmapped_goes_on(), configured)
    }

    /// Whether they could be run. Blocks.
    pub(crate) fn check(configured: &[PluginConfig]) -> Result<(), ServeError> {
        if configured.is_empty() {
            return Ok(());
        }
        Self::on(Host::builder(Nobody), configured).map(drop)
    }

    fn on(builder: Builder, configured: &[PluginConfig]) -> Result<Self, ServeError> {
        let host = builder.build().map_err(|error| ConfigError(format!("plugins cannot be run: {error}")))?;
        let plugins = Self { host, loaded: Mutex::default() };
        plugins.reload(configured)?;
        Ok(plugins)
    }

    /// Loads those whose files are others than before. When one of them cannot be run, all stay as they are. Blocks.
    pub(crate) fn reload(&self, configured: &[PluginConfig]) -> Result<(), ServeError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        for config in configured {
            let bytes = std::fs::read(&config.file).map_err(|error| wrong(config, &error))?;
            let digest: [u8; 32] = Sha256::digest(&bytes).into();
            if loaded.get(&config.name) != Some(&digest) {
                changed.push((config, bytes, digest, settings(config)?));
            }
        }
        let opened = changed
            .iter()
            .map(|(config, bytes, _, settings)| (config.name.as_str(), bytes.as_slice(), settings.clone()));
        self.host.load_all(opened).map_err(|(name, error)| {
            let config = configured.iter().find(|config| config.name == name);
            config.map_or_else(|| ConfigError(error.to_string()), |config| wrong(config, &error))
        })?;
        loaded.extend(changed.into_iter().map(|(config, _, digest, _)| (config.name.clone(), digest)));
        Ok(())
    }

    /// What becomes of a request. Blocks for as long as plugins run.
    pub(crate) fn verdict(&self, head: &HttpHead) -> Verdict {
        tokio::task::block_in_place(|| self.host.on_request(head))
    }
}

fn settings(config: &PluginConfig) -> Result<Settings, ConfigError> {
    let read = config.settings.clone().try_into();
    let settings: Settings =
        read.map_err(|error: toml::de::Error| wrong(config, &error.to_string().trim_end()))?;
    if let Some(upstream) = settings.upstreams.first() {
        return Err(wrong(config, &format!("`{upstream}` is no upstream: this server has none")));
    }
    Ok(settings)
}

/// Whether a name and path make sense.
pub(crate) fn check(configured: &[PluginConfig]) -> Result<(), ConfigError> {
    for (at, config) in configured.iter().enumerate() {
        if configured.iter().take(at).any(|before| before.name == config.name) {
            return Err(wrong(config, &"there is another one of this name"));
        }
        if config.file == Path::new("") {
            return Err(wrong(config, &"it has no file"));
        }
    }
    Ok(())
}

/// Shows plugins a header of a request. Not what says how long the body is, which is not shown and shall not be waited for;
/// nor what a gateway is known by, which is no plugin's affair.
pub(crate) fn show(head: &mut HttpHead, name: &str, value: &[u8]) {
    match name {
        "host" => head.headers.set(b":authority", value),
        "content-length" | "transfer-encoding" | OF_GATEWAYS => {}
        name => head.headers.append(name.as_bytes(), value),
    }
}

/// Lets a request on, if the plugins do.
pub(crate) async fn through(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(plugins) = &app.plugins else { return next.run(request).await };
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut head = HttpHead::new(request.method().as_str(), target);
    // What a caller is known by is no plugin's affair, either.
    for (name, value) in request.headers().iter().filter(|(name, _)| **name != AUTHORIZATION) {
        show(&mut head, name.as_str(), value.as_bytes());
    }
    match plugins.verdict(&head) {
        Verdict::Continue { .. } => next.run(request).await,
        Verdict::Respond { response, cause, .. } => match cause {
            Cause::Plugin(_) => answered(&response),
            Cause::Denied(reason) => {
                let detail = format!("what a plugin takes this for is denied: {reason}");
                Problem::new(StatusCode::FORBIDDEN, "denied", detail).into_response()
            }
            Cause::Failed(_) => failed().into_response(),
        },
    }
}

/// A plugin that was to look at a request could not.
pub(crate) fn failed() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "plugin_failed",
        "a plugin failed: nothing passes without it",
    )
}

/// The status with which an answer of a plugin lets nothing pass: to whoever asks, a status of success could be a yes.
pub(crate) fn status(answer: &Answer) -> StatusCode {
    let said = StatusCode::from_u16(answer.status).ok();
    said.filter(|status| !status.is_success() && !status.is_informational()).unwrap_or(StatusCode::FORBIDDEN)
}

/// What a plugin answered.
fn answered(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = status(answer);
    for (name, value) in said(answer) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Headers that say where a message ends, and what becomes of its connection (RFC 9110 §7.6.1, §8.6): whoever sends it says
/// them. With another length than the body has, the rest of it would be another request, which nobody was asked about.
const OF_THE_WAY: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether no plugin says this header.
pub(crate) fn is_of_the_way(name: &str) -> bool {
    OF_THE_WAY.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The headers of an answer, without those that are the server's to say.
pub(crate) fn said(answer: &Answer) -> impl Iterator<Item = (&str, &str)> {
    let text = |(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?));
    answer.headers.iter().filter_map(text).filter(|(name, _)| !is_of_the_way(name))
}
