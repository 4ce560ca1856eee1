//! The configuration of `consentry serve`: one file, what the environment says, what was typed; checked before anything
//! starts.

mod lengths;
mod merge;
mod who;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use consentry::domain::Validity;
use consentry::policy::Evaluator;
use serde::{Deserialize, Serialize};

use super::plugins;
pub(crate) use lengths::Length;
pub(crate) use merge::{Override, merged};
pub(crate) use who::{CallbackConfig, CallerConfig, IdentityConfig, JwtConfig, Role};

/// Why a configuration cannot be used. Code `config_invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// Everything that can be set. A name that is not here is an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) listen: Listen,
    pub(crate) policies: Policies,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<Ledger>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entities: Option<Entities>,
    pub(crate) authzen: AuthZen,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<GatewayConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<IdentityConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_requests: Option<AccessRequestsConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision_log: Option<DecisionLogConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opentelemetry: Option<OpenTelemetryConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) callers: Vec<CallerConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) plugins: Vec<PluginConfig>,
}

/// A plugin in front of what is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginConfig {
    /// What it is called in logs.
    pub(crate) name: String,
    /// The plugin: a module or component.
    pub(crate) file: PathBuf,
    /// What it may do and cost, and what it reads as its configuration: see docs/plugins.md.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub(crate) settings: toml::Table,
}

/// How access that was denied is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessRequestsConfig {
    /// The key that signs what is given to callers; without it, one that is made and kept in the ledger's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// How long a denial can be used to ask.
    pub(crate) offer: Length,
    /// How long access is asked for where nothing is said of it.
    pub(crate) validity: Validity,
}

impl Default for AccessRequestsConfig {
    fn default() -> Self {
        Self { key: None, offer: Length::from_seconds(600), validity: Validity::OneHour }
    }
}

/// Where decisions are written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecisionLogConfig {
    /// A file, to which lines are added; `-`: standard output.
    pub(crate) file: PathBuf,
    /// The share of allows that is written down; denials all are.
    #[serde(default = "DecisionLogConfig::sample")]
    pub(crate) sample: f64,
    /// Whether the values of a context are written down, and not only its names.
    #[serde(default)]
    pub(crate) context: bool,
    /// Names, or parts of names, whose values never are.
    #[serde(default = "DecisionLogConfig::redact")]
    pub(crate) redact: Vec<String>,
}

impl DecisionLogConfig {
    fn sample() -> f64 {
        1.0
    }

    fn redact() -> Vec<String> {
        ["password", "secret", "token", "authorization", "cookie", "key"].map(str::to_owned).to_vec()
    }
}

/// Where traces of requests go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenTelemetryConfig {
    /// A collector that speaks OTLP over gRPC.
    pub(crate) endpoint: String,
    /// What this server is called there.
    #[serde(default = "OpenTelemetryConfig::service")]
    pub(crate) service: String,
    /// The share of requests that is traced, of those that do not come with a trace which says it.
    #[serde(default = "OpenTelemetryConfig::sample")]
    pub(crate) sample: f64,
}

impl OpenTelemetryConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { endpoint, sample, .. } = self;
        let is_url = |url: &Uri| url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"));
        let wrong = if !cfg!(feature = "opentelemetry") {
            "`opentelemetry`: this program was built without the feature `opentelemetry`".to_owned()
        } else if !(0.0..=1.0).contains(sample) {
            "`opentelemetry.sample` is a share: from 0 to 1".to_owned()
        } else if !endpoint.parse().is_ok_and(|url| is_url(&url)) {
            format!("`opentelemetry.endpoint` is {endpoint}: it is no http:// or https:// URL")
        } else {
            return Ok(());
        };
        Err(ConfigError(wrong))
    }

    fn service() -> String {
        "consentry".to_owned()
    }

    fn sample() -> f64 {
        1.0
    }
}

/// What gateways ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// The file that says what their requests stand for.
    pub(crate) mapping: PathBuf,
}

/// Where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// Address and port for HTTP; port 0: any that is free. `127.0.0.1:8181`, where nothing is said of HTTP and HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    /// The same for HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) https: Option<SocketAddr>,
    /// The same for Envoy's `ext_authz` over gRPC, without TLS
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc: Option<SocketAddr>,
    /// and with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpcs: Option<SocketAddr>,
}

/// Keys and certificates, as PEM. They are read again when they change, and on SIGHUP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The server's certificate, and those that lead from it to one that callers trust.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Who signs the certificates of callers; without it, none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
}

/// Which policies are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policies {
    /// The folder; without one, the policies that come with Consentry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// How often the folder is looked at for changes; `0s`: only on SIGHUP.
    pub(crate) poll: Length,
    /// Who answers.
    pub(crate) evaluator: EvaluatorConfig,
    /// Of so many decisions, one is also put to Cedar's evaluator, in the background; a difference is logged and counted.
    /// `0`: none.
    pub(crate) recheck: u64,
}

/// Who answers. The answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EvaluatorConfig {
    /// Compiled policies.
    #[default]
    Compiled,
    /// Cedar's evaluator.
    Cedar,
}

impl From<EvaluatorConfig> for Evaluator {
    fn from(config: EvaluatorConfig) -> Self {
        match config {
            EvaluatorConfig::Compiled => Self::Compiled,
            EvaluatorConfig::Cedar => Self::Cedar,
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            folder: None,
            poll: Length::from_millis(500),
            evaluator: EvaluatorConfig::default(),
            recheck: 10_000,
        }
    }
}

/// Which ledger is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ledger {
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// Keep it in memory: when the server ends, everything is forgotten.
    pub(crate) memory: bool,
    /// How often what time has ended is recorded; `0s`: only when somebody tries it. Answers do not depend on it.
    pub(crate) sweep: Length,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { folder: None, memory: false, sweep: Length::from_seconds(1) }
    }
}

/// Facts from a file, in place of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entities {
    /// Entities as Cedar's JSON.
    pub(crate) file: PathBuf,
}

/// How it speaks AuthZEN.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuthZen {
    /// The URL by which others know this server, without a `/` at its end: `https://pdp.example.com`. Without one,
    /// `https://` and the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
}

/// How long what is asked for waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lifetimes {
    pub(crate) invite: Length,
    pub(crate) permission_application: Length,
    pub(crate) reset_ticket: Length,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let day = Length::from_hours(24);
        Self { invite: day, permission_application: day, reset_ticket: day }
    }
}

/// What a caller may use up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Bytes of a request's body.
    pub(crate) body_bytes: usize,
    /// Evaluations in one request.
    pub(crate) evaluations: usize,
    /// Results on one page of a search.
    pub(crate) search_page: usize,
    /// Candidates that a search asks for before it ends its page.
    pub(crate) search_candidates: usize,
    /// How long a search waits for its turn, and how long it may take before it ends its page.
    pub(crate) search: Length,
    /// Searches at the same time.
    pub(crate) searches: usize,
    /// Subscribers to what happens at the same time.
    pub(crate) subscribers: usize,
    /// Connections at the same time.
    pub(crate) connections: usize,
    /// How long the head of a request may take, or a connection be silent.
    pub(crate) head: Length,
    /// How long the body of a request may take.
    pub(crate) body: Length,
    /// How long requests may take to finish when the server ends.
    pub(crate) shutdown: Length,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            evaluations: 500,
            search_page: 1000,
            search_candidates: 20_000,
            search: Length::from_seconds(5),
            searches: 2,
            subscribers: 100,
            connections: 10_000,
            head: Length::from_seconds(60),
            body: Length::from_seconds(10),
            shutdown: Length::from_seconds(10),
        }
    }
}

impl Config {
    /// As it may be shown: without what plugins alone shall read.
    pub(crate) fn shown(&self) -> Self {
        let mut shown = self.clone();
        for plugin in &mut shown.plugins {
            for name in ["configuration", "vm_configuration"] {
                if let Some(value) = plugin.settings.get_mut(name) {
                    *value = toml::Value::String("[redacted]".to_owned());
                }
            }
        }
        shown
    }

    /// Paths that are not absolute are seen from `folder`.
    pub(crate) fn seen_from(&mut self, folder: &Path) {
        let seen = |path: &mut PathBuf| *path = folder.join(&path);
        self.policies.folder.iter_mut().for_each(seen);
        self.ledger.iter_mut().filter_map(|ledger| ledger.folder.as_mut()).for_each(seen);
        self.entities.iter_mut().for_each(|entities| seen(&mut entities.file));
        let requests = self.access_requests.iter_mut();
        requests.filter_map(|requests| requests.key.as_mut()).for_each(seen);
        let is_file = |log: &&mut DecisionLogConfig| log.file != Path::new("-");
        self.decision_log.iter_mut().filter(is_file).for_each(|log| seen(&mut log.file));
        self.gateway.iter_mut().for_each(|gateway| seen(&mut gateway.mapping));
        let jwt = self.identity.as_mut().and_then(|identity| identity.jwt.as_mut());
        if let Some(jwt) = jwt.filter(|jwt| !jwt.jwks.contains("://")) {
            jwt.jwks = folder.join(&jwt.jwks).display().to_string();
        }
        let callbacks = self.callers.iter_mut().filter_map(|caller| caller.callback.as_mut());
        callbacks.for_each(|callback| seen(&mut callback.key));
        self.plugins.iter_mut().for_each(|plugin| seen(&mut plugin.file));
        if let Some(tls) = &mut self.tls {
            [&mut tls.certificate, &mut tls.key].into_iter().chain(&mut tls.client_ca).for_each(seen);
        }
    }

    /// Checks what the types leave open, and fills in what depends on more than one value. A ledger without a place is
    /// in `folder`.
    pub(crate) fn checked(mut self, folder: &Path) -> Result<Self, ConfigError> {
        let wrong = |message: &str| Err(ConfigError(message.to_owned()));
        if self.entities.is_some() && self.ledger.is_some() {
            return wrong("`entities` and `ledger` are two sources of facts: only one of them can be used");
        }
        if self.entities.is_none() {
            let ledger = self.ledger.get_or_insert_default();
            if ledger.memory && ledger.folder.is_some() {
                return wrong("`ledger.memory` and `ledger.folder` contradict each other");
            }
            if !ledger.memory && ledger.folder.is_none() {
                ledger.folder = Some(folder.join("consentry-ledger"));
            }
        }
        if self.entities.is_some() && self.access_requests.is_some() {
            return wrong("`access_requests` needs a ledger: with `entities` there is nobody to ask");
        }
        if self.entities.is_some() && self.policies.folder.is_none() {
            return wrong("`entities` needs `policies.folder`: a schema, and policies for it");
        }
        if let Some(url) = &self.authzen.public_url {
            check_url(url)?;
        }
        let listen = &mut self.listen;
        if listen.http.is_none() && listen.https.is_none() {
            listen.http = Some(SocketAddr::from(([127, 0, 0, 1], 8181)));
        }
        for (name, address) in [("https", listen.https), ("grpcs", listen.grpcs)] {
            if address.is_some() && self.tls.is_none() {
                return Err(ConfigError(format!("`listen.{name}` needs `tls`: a certificate, and its key")));
            }
        }
        if self.decision_log.as_ref().is_some_and(|log| !(0.0..=1.0).contains(&log.sample)) {
            return wrong("`decision_log.sample` is a share: from 0 to 1");
        }
        self.opentelemetry.as_ref().map_or(Ok(()), OpenTelemetryConfig::check)?;
        let by_certificate = self.callers.iter().find(|caller| caller.certificate.is_some());
        let asks_clients = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if let Some(caller) = by_certificate.filter(|_| !asks_clients) {
            let name = &caller.name;
            return Err(ConfigError(format!(
                "the caller `{name}` has a `certificate`: that needs `tls.client_ca`"
            )));
        }
        if (listen.grpc.is_some() || listen.grpcs.is_some())
            && self.gateway.is_none()
            && self.plugins.is_empty()
        {
            return wrong("`listen.grpc` is for gateways: that needs `gateway.mapping`");
        }
        plugins::check(&self.plugins)?;
        if let Some(identity) = &self.identity {
            identity.check()?;
        }
        let limits = &self.limits;
        let sizes = [
            ("body_bytes", limits.body_bytes),
            ("evaluations", limits.evaluations),
            ("search_page", limits.search_page),
            ("search_candidates", limits.search_candidates),
            ("searches", limits.searches),
            ("subscribers", limits.subscribers),
            ("connections", limits.connections),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(ConfigError(format!("`limits.{name}` is 0: nothing could be asked")));
        }
        let lengths = [("limits.head", limits.head), ("limits.body", limits.body)];
        let lifetimes = &self.lifetimes;
        let waits = [
            ("lifetimes.invite", lifetimes.invite),
            ("lifetimes.permission_application", lifetimes.permission_application),
            ("lifetimes.reset_ticket", lifetimes.reset_ticket),
        ];
        if let Some((name, _)) = lengths.iter().chain(&waits).find(|(_, length)| length.is_zero()) {
            return Err(ConfigError(format!("`{name}` is no time at all: nothing could be answered")));
        }
        Ok(self)
    }
}

impl Role {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Lifecycle => "lifecycle",
            Self::Admin => "admin",
        }
    }
}

/// AuthZEN 1.0 §9.1.1: an `https` URL without query and fragment.
fn check_url(url: &str) -> Result<(), ConfigError> {
    let wrong = |what: &str| Err(ConfigError(format!("`authzen.public_url` is `{url}`: {what}")));
    let Some(rest) = url.strip_prefix("https://") else {
        return wrong("AuthZEN asks for a URL that begins with https://");
    };
    if rest.contains(['?', '#', '@', ' ', '"', '\\']) || rest.chars().any(|c| c.is_control() || !c.is_ascii())
    {
        return wrong("it has no user, query or fragment, and nothing to be escaped");
    }
    if rest.is_empty() || rest.starts_with('/') {
        return wrong("there is no host");
    }
    if url.ends_with('/') {
        return wrong("it ends without `/`");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
