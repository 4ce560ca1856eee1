//! Policies and certificates that change while the server runs: read anew when their files differ, or on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;

use super::decision_point::DecisionPoint;
use super::gateway::Gateway;
use super::health::{Health, Refused};
use super::tls::Handshakes;
use crate::clock;

/// What a folder's files look like from outside, by their paths.
type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

fn look(watched: &[PathBuf]) -> Look {
    let mut look = Look::new();
    watched.iter().for_each(|path| visit(path, &mut look));
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
    pub(crate) health: Arc<Health>,
}

/// Reads everything anew whenever there is reason to, for as long as the server runs.
pub(crate) async fn watch(reloaded: Reloaded, poll: Duration, mut hang_up: Signal) {
    let of_tls = reloaded.handshakes.iter().flat_map(|tls| tls.watched());
    let of_gateways = reloaded.gateway.watched();
    let all = reloaded.decision_point.watched().into_iter().chain(of_tls).chain(of_gateways);
    let watched: Vec<PathBuf> = all.map(Path::to_owned).collect();
    let mut used = look(&watched);
    let mut before = used.clone();
    loop {
        let asked = if poll.is_zero() || watched.is_empty() {
            hang_up.recv().await.is_some()
        } else {
            tokio::select! {
                hung_up = hang_up.recv() => hung_up.is_some(),
                () = tokio::time::sleep(poll) => false,
            }
        };
        let now = look(&watched);
        // Files that still change are left alone until they stand still for once.
        let changed = now != used && now == before;
        before = now.clone();
        if !asked && !changed {
            continue;
        }
        used = now;
        let reloaded = reloaded.clone();
        let read = tokio::task::spawn_blocking(move || {
            reload(&reloaded.decision_point, &reloaded.health);
            let policies = reloaded.decision_point.reading().policies().clone();
            if let Err(error) = reloaded.gateway.reload(&policies) {
                tracing::error!("mapping: refused, the one before goes on being used: {error}");
            }
            let handshakes = reloaded.handshakes.map_or(Ok(()), |tls| tls.reload());
            if let Err(error) = handshakes {
                tracing::error!("certificates: refused, those before go on being shown: {error}");
            }
        });
        if read.await.is_err() {
            tracing::error!("policies: reading them failed");
        }
    }
}

fn reload(decision_point: &DecisionPoint, health: &Health) {
    match decision_point.reload() {
        Ok(differ) => {
            health.policies(None);
            let reading = decision_point.reading();
            let version = reading.policies().version();
            if differ {
                tracing::info!(version, "policies: these answer from now on");
            } else {
                tracing::info!(version, "policies: read again, nothing has changed");
            }
        }
        Err(error) => {
            tracing::error!(code = error.code(), "policies: refused, those before go on answering: {error}");
            let refused = Refused { at: clock::now(), code: error.code(), message: error.to_string() };
            health.policies(Some(refused));
        }
    }
}
