//! Policies and certificates that change while the server runs: read anew when their files differ, or on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::Signal;

use super::ServeError;
use super::config::{Config, ConfigError, PluginConfig};
use super::decision_point::DecisionPoint;
use super::gateway::Gateway;
use super::health::Health;
use super::plugins::Plugins;
use super::seeing::Seeing;
use super::tls::Handshakes;
use crate::clock;

/// What was refused is tried again after so long.
const AGAIN: Duration = Duration::from_secs(30);

/// What files look like from outside, by their paths.
type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The files and folders that a configuration names, and what they looked like.
pub(crate) struct Watched {
    paths: Vec<PathBuf>,
    used: Look,
}

impl Watched {
    /// As they look now: before anything is read from them, so that no change is missed.
    pub(crate) fn new(config: &Config) -> Self {
        let jwt = config.identity.iter().filter_map(|identity| identity.jwt.as_ref());
        let tls =
            config.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key].into_iter().chain(&tls.client_ca));
        let paths =
            config.policies.folder.iter().chain(config.entities.iter().map(|entities| &entities.file));
        let paths = paths.chain(config.gateway.iter().map(|gateway| &gateway.mapping)).chain(tls);
        let paths = paths.chain(config.plugins.iter().map(|plugin| &plugin.file)).cloned();
        // A URL is no path of a file that is there.
        let paths: Vec<PathBuf> = paths.chain(jwt.map(|jwt| PathBuf::from(&jwt.jwks))).collect();
        Self { used: look(&paths), paths }
    }
}

fn look(paths: &[PathBuf]) -> Look {
    let mut look = Look::new();
    paths.iter().for_each(|path| visit(path, &mut look));
    look.sort();
    look
}

/// Links are followed: where a folder is replaced by changing a link to it, its files change.
fn visit(path: &Path, look: &mut Look) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if !metadata.is_dir() {
        look.push((path.to_owned(), metadata.len(), metadata.modified().ok()));
        return;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    entries.map(|entry| entry.path()).filter(|path| !hidden(path)).for_each(|path| visit(&path, look));
}

/// What is read anew.
#[derive(Clone)]
pub(crate) struct Reloaded {
    pub(crate) decision_point: Arc<DecisionPoint>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) handshakes: Option<Arc<Handshakes>>,
    pub(crate) plugins: Option<(Arc<Plugins>, Vec<PluginConfig>)>,
    pub(crate) health: Arc<Health>,
    pub(crate) seeing: Arc<Seeing>,
}

/// Reads everything anew whenever there is reason to, for as long as the server runs.
pub(crate) async fn watch(watched: Watched, reloaded: Reloaded, poll: Duration, mut hang_up: Signal) {
    let Watched { paths, mut used } = watched;
    let mut before = used.clone();
    let mut refused: Option<Instant> = None;
    loop {
        let asked = if poll.is_zero() || paths.is_empty() {
            hang_up.recv().await.is_some()
        } else {
            tokio::select! {
                hung_up = hang_up.recv() => hung_up.is_some(),
                () = tokio::time::sleep(poll) => false,
            }
        };
        let looked = paths.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || look(&looked)).await else { continue };
        // Files that still change are left alone until they stand still for once. What was refused may have been
        // refused for a passing reason: it is tried again, less often.
        let again = refused.is_some_and(|since| clock::started().saturating_duration_since(since) >= AGAIN);
        let changed = now == before && (now != used || again);
        before = now.clone();
        if !asked && !changed {
            continue;
        }
        used = now;
        let reloaded = reloaded.clone();
        let read = tokio::task::spawn_blocking(move || reload(&reloaded)).await;
        if read.is_err() {
            tracing::error!("reading files again failed");
        }
        refused = (!read.unwrap_or_default()).then(clock::started);
    }
}

/// Reads everything anew. Whether nothing was refused.
fn reload(reloaded: &Reloaded) -> bool {
    let Reloaded { decision_point, gateway, handshakes, plugins, health, seeing } = reloaded;
    let mut good = true;
    let mut read = |what, outcome: Result<(), &ServeError>| {
        good &= outcome.is_ok();
        seeing.metrics.read(what, outcome.is_err());
        health.read(what, outcome);
    };
    // Policies, facts and mapping are one thing: what a mapping says is what policies look at.
    match decision_point.load_anew() {
        Err(error) => read("policies", Err(&error)),
        Ok(loaded) => match gateway.load_anew(loaded.policies()) {
            Err(error) => {
                read("mapping", Err(&error));
                let why = "they go with a mapping that is refused: neither is used";
                read("policies", Err(&ConfigError(why.to_owned()).into()));
            }
            Ok(mapping) => {
                let version = loaded.policies().version().to_owned();
                seeing.metrics.answering(loaded.policies());
                let differ = gateway.replace(mapping, || decision_point.use_loaded(loaded));
                let what =
                    if differ { "these answer from now on" } else { "read again, nothing has changed" };
                tracing::info!(version, "policies: {what}");
                read("policies", Ok(()));
                read("mapping", Ok(()));
            }
        },
    }
    read("keys", gateway.reload_keys().as_ref().map(drop));
    if let Some((plugins, configured)) = plugins {
        read("plugins", plugins.reload(configured).as_ref().map(drop));
    }
    if let Some(handshakes) = handshakes {
        read("certificates", handshakes.reload().as_ref().map(drop));
    }
    if let Some(log) = &seeing.log {
        log.reopen();
    }
    good
}
