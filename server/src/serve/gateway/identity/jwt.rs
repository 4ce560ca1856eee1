//! Tokens of whoever asks: JSON Web Tokens (RFC 7519), verified as RFC 8725 says.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use consentry::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{KeySource, Unauthenticated, crypto};
use crate::serve::ServeError;
use crate::serve::body::Unique;
use crate::serve::config::JwtConfig;
use crate::serve::gateway::request::{Headers, Identity};

/// Verifies tokens.
pub(crate) struct Verifier {
    header: String,
    validation: Validation,
    /// Milliseconds by which clocks may differ.
    leeway: i64,
    pub(crate) source: KeySource,
    /// A token came for which no key is.
    pub(super) unknown: Notify,
    keys: ArcSwap<Keys>,
}

/// The keys, each for its algorithm, and what was verified with them: with the keys goes what they vouched for.
#[derive(Default)]
struct Keys {
    keys: Vec<Key>,
    known: Mutex<Known>,
}

struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    identity: Arc<Identity>,
    not_before: Option<i64>,
    until: i64,
}

/// Tokens that were verified, by their digests, so that a signature is checked once. Two halves: when one is full, the
/// older one goes.
#[derive(Default)]
struct Known {
    young: HashMap<[u8; 32], Verified>,
    old: HashMap<[u8; 32], Verified>,
}

/// So many tokens are in one half.
const HALF: usize = 4096;

/// A token longer than this is none, in bytes.
const LONGEST: usize = 16 * 1024;

impl Verifier {
    pub(crate) fn new(config: &JwtConfig) -> Result<Self, ServeError> {
        crypto::install();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&config.audience);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "aud"].map(str::to_owned));
        // The moments are looked at here: there is one clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let source = KeySource::new(&config.jwks)?;
        let keys = source.read_file()?.map(|set| Keys::of(&set)).unwrap_or_default();
        Ok(Self {
            header: config.header.to_ascii_lowercase(),
            validation,
            leeway: i64::try_from(config.leeway.of_clock().as_millis()).unwrap_or_default(),
            source,
            unknown: Notify::new(),
            keys: ArcSwap::from_pointee(keys),
        })
    }

    /// Verifies with these keys from now on. What was verified with others is verified again.
    pub(crate) fn use_keys(&self, set: &JwkSet) {
        self.keys.store(Arc::new(Keys::of(set)));
    }

    /// Who asks, by the token among the headers. `None`: there is no token.
    pub(crate) fn of(
        &self,
        headers: &dyn Headers,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Unauthenticated> {
        let because = |why: &'static str| Unauthenticated(why.into());
        let Some(shown) = headers.one(&self.header) else {
            return if headers.has(&self.header) {
                Err(because("there is more than one token, or it is no text"))
            } else {
                Ok(None)
            };
        };
        let token = match shown.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            None if self.header != "authorization" => shown,
            Some(_) | None => return Err(because("there are credentials, and they are no bearer token")),
        };
        if token.len() > LONGEST {
            return Err(because("the token is too long"));
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let keys = self.keys.load();
        let verified = match keys.remembered(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.verified(&keys, token)?;
                keys.remember(digest, verified.clone());
                verified
            }
        };
        let now = now.millis();
        if now >= verified.until.saturating_add(self.leeway) {
            return Err(because("the token has expired"));
        }
        if verified.not_before.is_some_and(|from| now < from.saturating_sub(self.leeway)) {
            return Err(because("the token is not valid yet"));
        }
        Ok(Some(verified.identity))
    }

    /// Checks signature, issuer and audience.
    fn verified(&self, keys: &Keys, token: &str) -> Result<Verified, Unauthenticated> {
        let wrong = |error: &dyn std::fmt::Display| {
            Unauthenticated(format!("the token is not valid: {error}").into())
        };
        let header = jsonwebtoken::decode_header(token).map_err(|error| wrong(&error))?;
        if header.crit.is_some() || header.extras.inner().contains_key("crit") {
            return Err(wrong(&"it asks for an extension"));
        }
        if keys.keys.is_empty() {
            return Err(Unauthenticated("there are no keys to verify tokens with".into()));
        }
        let fitting = keys.keys.iter().filter(|key| {
            key.algorithm.is_none_or(|algorithm| algorithm == header.alg)
                && header.kid.as_ref().is_none_or(|wanted| key.id.as_ref() == Some(wanted))
        });
        if !crypto::algorithms().contains(&header.alg) {
            return Err(wrong(&"its algorithm is not taken"));
        }
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let mut last = wrong(&"no key is for it");
        let mut fitting = fitting.peekable();
        if fitting.peek().is_none() {
            // Its issuer may have a new one.
            self.unknown.notify_one();
        }
        for key in fitting {
            match jsonwebtoken::decode::<Unique>(token, &key.key, &validation) {
                Ok(data) => return verified(data.claims.0),
                Err(error) => last = wrong(&error),
            }
        }
        Err(last)
    }
}

fn verified(claims: Map<String, Value>) -> Result<Verified, Unauthenticated> {
    let seconds = |name: &str| -> Result<Option<i64>, Unauthenticated> {
        let Some(value) = claims.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "held within what fits")]
        let millis = value.as_f64().map(|seconds| (seconds * 1000.0).clamp(-1e15, 1e15) as i64);
        millis
            .map(Some)
            .ok_or_else(|| Unauthenticated(format!("the token is not valid: `{name}` is no moment").into()))
    };
    let until =
        seconds("exp")?.ok_or_else(|| Unauthenticated("the token is not valid: it never expires".into()))?;
    let not_before = seconds("nbf")?;
    Ok(Verified { identity: Arc::new(Identity(claims)), not_before, until })
}

impl Keys {
    /// Those of the set that tokens can be verified with; the others are left out.
    fn of(set: &JwkSet) -> Self {
        Self { keys: set.keys.iter().filter_map(Key::of).collect(), known: Mutex::default() }
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Verified> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.young.get(digest).or_else(|| known.old.get(digest)).cloned()
    }

    fn remember(&self, digest: [u8; 32], verified: Verified) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.young.len() >= HALF {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(digest, verified);
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        use jsonwebtoken::jwk::{AlgorithmParameters, PublicKeyUse};
        let is_public = matches!(
            jwk.algorithm,
            AlgorithmParameters::EllipticCurve(_)
                | AlgorithmParameters::RSA(_)
                | AlgorithmParameters::OctetKeyPair(_)
        );
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        if !is_public || !for_signatures {
            return None;
        }
        let algorithm = match jwk.common.key_algorithm {
            None => None,
            Some(named) => Some(named.to_string().parse().ok()?),
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
    }
}
