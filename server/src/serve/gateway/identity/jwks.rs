//! The keys that tokens are verified with: from a file, or from where their issuer publishes them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::watch;

use super::Verifier;
use crate::serve::ServeError;
use crate::serve::client::Client;
use crate::serve::config::ConfigError;

/// Where the keys are.
pub(crate) enum KeySource {
    File(PathBuf),
    Url(String),
}

/// How often published keys are read again.
const EVERY: Duration = Duration::from_secs(300);
/// How soon, when they could not be read, or a token came for which there is none.
const SOON: Duration = Duration::from_secs(5);
/// More than this are no keys, in bytes.
const MOST: usize = 1024 * 1024;

/// Whether a URL leads nowhere but to this machine.
fn is_here(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let Some(authority) = url.authority() else { return false };
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    // Nothing but a host and a port: neither who somebody is nor what only looks like an address.
    if authority.as_str() != format!("{}{port}", authority.host()) {
        return false;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl KeySource {
    /// A URL, or a path.
    pub(crate) fn new(at: &str) -> Result<Self, ServeError> {
        if at.starts_with("https://") {
            return Ok(Self::Url(at.to_owned()));
        }
        if at.starts_with("http://") {
            if !is_here(at) {
                return Err(ConfigError(format!(
                    "`identity.jwt.jwks` is {at}: whoever is on the way could change the keys; use https://"
                ))
                .into());
            }
            return Ok(Self::Url(at.to_owned()));
        }
        Ok(Self::File(at.into()))
    }

    /// The keys in the file, where it is one.
    pub(crate) fn read_file(&self) -> Result<Option<JwkSet>, ServeError> {
        let Self::File(path) = self else { return Ok(None) };
        let wrong =
            |error: &dyn std::fmt::Display| ConfigError(format!("cannot use {}: {error}", path.display()));
        let text = std::fs::read(path).map_err(|error| wrong(&error))?;
        Ok(Some(serde_json::from_slice(&text).map_err(|error| wrong(&error))?))
    }
}

/// Reads published keys again and again, for as long as the server runs. While they cannot be read, the last ones count.
pub(crate) async fn keep_up(verifier: Arc<Verifier>, mut ending: watch::Receiver<bool>) {
    let KeySource::Url(url) = &verifier.source else { return };
    let client = match Client::new() {
        Ok(client) => client,
        Err(error) => return tracing::error!("keys can never be read from {url}: {error}"),
    };
    loop {
        let wait = match client
            .get(url, MOST)
            .await
            .and_then(|text| serde_json::from_slice::<JwkSet>(&text).map_err(|error| error.to_string()))
        {
            Ok(set) => {
                verifier.use_keys(&set);
                EVERY
            }
            Err(error) => {
                tracing::error!("keys could not be read from {url}: {error}");
                SOON
            }
        };
        tokio::select! {
            () = tokio::time::sleep(SOON) => {}
            _ = ending.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(SOON)) => {}
            () = verifier.unknown.notified() => {}
            _ = ending.changed() => return,
        }
    }
}
