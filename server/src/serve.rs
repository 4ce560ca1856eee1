//! `consentry serve`: a decision point for gateways and portals.

mod access_requests;
mod api;
mod app;
mod authzen;
mod body;
pub(crate) mod callers;
mod client;
pub(crate) mod config;
mod decision_point;
mod gateway;
mod health;
mod lifecycle;
mod listen;
mod plugins;
mod problem;
mod reload;
mod seeing;
mod tls;
mod upkeep;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use consentry::engine::EngineError;
use consentry::ledger::LedgerError;
use consentry::policy::{EntitiesError, PolicyErrors};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::clock;
use crate::folder::FolderError;
use access_requests::AccessRequests;
use app::{App, Shared};
use callers::Callers;
use config::{Config, ConfigError, EvaluatorConfig};
use decision_point::DecisionPoint;
use gateway::Gateway;
use health::Health;
use listen::Protocol;
use plugins::Plugins;
use reload::{Reloaded, Watched};
use seeing::{DecisionLog, Metrics, Recheck, Seeing, Traces};
use tls::Handshakes;

/// Why the server does not start, or refuses what it was to load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The policies cannot be used.
    #[error(transparent)]
    Policies(#[from] PolicyErrors),
    /// The entities cannot be used.
    #[error("{}: {error}", path.display())]
    Entities {
        /// Their file.
        path: PathBuf,
        /// Why.
        error: EntitiesError,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the ledger holds cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It cannot listen there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// It would answer anybody.
    #[error(
        "{0} is not loopback, and nothing says who may ask: anybody on the network could. \
        --dangerously-serve-without-authentication does it all the same"
    )]
    Unauthenticated(SocketAddr),
    /// The system does not give what the server needs.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServeError {
    /// A stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "config_invalid",
            Self::Folder(_) | Self::Io(_) => "io",
            Self::Policies(_) => "policy_invalid",
            Self::Entities { .. } => "entities_invalid",
            Self::Ledger(error) => error.code,
            Self::Engine(error) => error.code(),
            Self::Listen { .. } => "listen",
            Self::Unauthenticated(_) => "unauthenticated",
        }
    }
}

/// How the server is to start.
pub(crate) struct Start {
    pub(crate) config: Config,
    /// Only say whether it could.
    pub(crate) check: bool,
    /// Answer anybody, on any network.
    pub(crate) unauthenticated: bool,
    /// Say what is printed as JSON.
    pub(crate) json: bool,
    /// Deny whatever is asked, without asking anything.
    #[cfg(feature = "bench")]
    pub(crate) constant: bool,
}

/// Serves until the process is told to end, or something keeps it from starting.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(start: &Start) -> Result<(), ServeError> {
    let config = &start.config;
    say_config(&config.shown(), start.json)?;
    let callers = Callers::new(&config.callers)?;
    let listen = &config.listen;
    let addresses = [listen.http, listen.https, listen.grpc, listen.grpcs];
    let open = addresses.into_iter().flatten().find(|address| !callers.may_listen(address.ip()));
    if let Some(address) = open.filter(|_| !start.unauthenticated) {
        return Err(ServeError::Unauthenticated(address));
    }
    let watched = Watched::new(config);
    let handshakes = config.tls.as_ref().map(Handshakes::new).transpose()?.map(Arc::new);
    let gateway = Gateway::new(config)?;
    if start.check {
        Plugins::check(&config.plugins)?;
        return gateway.check(&DecisionPoint::check(config)?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let traces = {
        let _on_runtime = runtime.enter();
        Traces::open(config)?
    };
    let metrics = Metrics::new();
    let every = match config.policies.evaluator {
        EvaluatorConfig::Compiled => config.policies.recheck,
        EvaluatorConfig::Cedar => 0,
    };
    let recheck = (every > 0).then(|| Recheck::open(every, metrics.rechecks())).transpose()?;
    let decision_point = Arc::new(DecisionPoint::open(config, recheck)?);
    gateway.check(decision_point.reading().policies())?;
    let log = config.decision_log.as_ref().map(|log| DecisionLog::open(log, &metrics)).transpose()?;
    metrics.answering(decision_point.reading().policies());
    let seeing = Arc::new(Seeing::new(metrics, log));
    let writing = seeing.clone();
    let gateway = Arc::new(gateway);
    let ledger = config.ledger.as_ref().and_then(|ledger| ledger.folder.as_deref());
    let access_requests = config.access_requests.as_ref().map(|config| AccessRequests::open(config, ledger));
    let access_requests = access_requests.transpose()?.map(Arc::new);
    let plugins = (!config.plugins.is_empty()).then(|| Plugins::open(&config.plugins, &decision_point));
    let plugins = plugins.transpose()?.map(Arc::new);
    let parts =
        Parts { watched, decision_point, gateway, callers, seeing, access_requests, plugins, handshakes };
    let served = runtime.block_on(run(start, parts));
    // What was decided is more than what was traced; all of it together takes no longer than requests may.
    let (ended, patience) = (clock::started(), config.limits.shutdown.of_clock());
    let left = || patience.saturating_sub(clock::started().saturating_duration_since(ended));
    writing.log.iter().for_each(|log| log.close(left()));
    traces.close(left());
    runtime.shutdown_timeout(left());
    served
}

/// Prints the configuration that is used.
fn say_config(config: &Config, json: bool) -> Result<(), ServeError> {
    let mut out = io::stdout().lock();
    if json {
        let config = serde_json::to_value(config).map_err(io::Error::from)?;
        writeln!(out, "{}", json!({ "config": config }))?;
    } else {
        let text = toml::to_string(config).map_err(|error| ConfigError(error.to_string()))?;
        writeln!(out, "{text}")?;
    }
    out.flush()?;
    Ok(())
}

/// Prints where it listens, as soon as it does. Where nobody reads it any more, it listens all the same.
fn say_listening(kind: &str, address: SocketAddr, json: bool) {
    let said = json!({ "listening": kind, "address": address.to_string() });
    let line = if json { said.to_string() } else { format!("listening {kind} {address}") };
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A port that is listened on.
struct Listener {
    kind: &'static str,
    address: SocketAddr,
    listener: TcpListener,
    protocol: Protocol,
    tls: Option<Arc<Handshakes>>,
}

/// Begins to listen.
async fn bound(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen { address, error })
}

/// What the server is made of.
struct Parts {
    watched: Watched,
    decision_point: Arc<DecisionPoint>,
    gateway: Arc<Gateway>,
    callers: Callers,
    seeing: Arc<Seeing>,
    access_requests: Option<Arc<AccessRequests>>,
    plugins: Option<Arc<Plugins>>,
    handshakes: Option<Arc<Handshakes>>,
}

async fn run(start: &Start, parts: Parts) -> Result<(), ServeError> {
    let Parts { watched, decision_point, gateway, callers, seeing, access_requests, plugins, handshakes } =
        parts;
    let config = &start.config;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hang_up = signal(SignalKind::hangup())?;
    let mut listeners = Vec::new();
    let listen = &config.listen;
    for (kind, wanted, protocol, tls) in [
        ("http", listen.http, Protocol::Http1, None),
        ("https", listen.https, Protocol::Http1, handshakes.clone()),
        ("grpc", listen.grpc, Protocol::Http2, None),
        ("grpcs", listen.grpcs, Protocol::Http2, handshakes.clone()),
    ] {
        if let Some(address) = wanted {
            let listener = bound(address).await?;
            listeners.push(Listener { kind, address: listener.local_addr()?, listener, protocol, tls });
        }
    }
    // HTTPS, where there is some.
    let of_http = listeners.iter().rfind(|listener| listener.protocol == Protocol::Http1);
    let url = of_http.map(|listener| format!("https://{}", listener.address));
    let health = Arc::new(Health::default());
    let (end, ending) = watch::channel(false);
    let app = App::new(Shared {
        decision_point: decision_point.clone(),
        gateway: gateway.clone(),
        health: health.clone(),
        access_requests,
        plugins: plugins.clone(),
        callers,
        seeing: seeing.clone(),
        limits: config.limits.clone(),
        public_url: config.authzen.public_url.clone().or(url).unwrap_or_default(),
        searches: Arc::new(Semaphore::new(config.limits.searches)),
        subscribers: Arc::new(Semaphore::new(config.limits.subscribers)),
        ending: ending.clone(),
        #[cfg(feature = "bench")]
        constant: start.constant,
    });
    let (router, grpc) = (app::router(app.clone()), gateway::service(&app));
    let mut serving = Vec::new();
    for Listener { kind, address, listener, protocol, tls } in listeners {
        let router = if protocol == Protocol::Http2 { grpc.clone() } else { router.clone() };
        let serve = listen::serve(listener, (protocol, tls), router, config.limits.clone(), ending.clone());
        serving.push(tokio::spawn(serve));
        say_listening(kind, address, start.json);
    }
    drop((router, grpc));
    let telling = tokio::spawn(access_requests::tell(app, ending.clone()));
    if let Some(verifier) = gateway.identities.verifier() {
        tokio::spawn(gateway::keep_up(verifier.clone(), ending.clone()));
    }
    let sweep = config.ledger.as_ref().map(|ledger| ledger.sweep.of_clock()).unwrap_or_default();
    let sweeping =
        decision_point.engine().cloned().map(|engine| tokio::spawn(upkeep::look_after(engine, sweep)));
    let poll = config.policies.poll.of_clock();
    let plugins = plugins.map(|plugins| (plugins, config.plugins.clone()));
    let reloaded = Reloaded { decision_point, gateway, handshakes, plugins, health: health.clone(), seeing };
    let reloading = tokio::spawn(reload::watch(watched, reloaded, poll, hang_up));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending");
    health.end();
    reloading.abort();
    sweeping.inspect(|sweeping| sweeping.abort());
    let _ = end.send(true);
    let _ = telling.await;
    for listener in serving {
        let _ = listener.await;
    }
    Ok(())
}
