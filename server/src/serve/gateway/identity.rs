//! Who asks, through a gateway: a token that is verified here, or headers of a gateway that verified somebody itself.

mod crypto;
mod jwks;
mod jwt;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use consentry::Timestamp;
use serde_json::Value;

use super::request::{Headers, Identity};
use crate::serve::ServeError;
use crate::serve::config::IdentityConfig;
use jwks::KeySource;
pub(crate) use jwks::keep_up;
pub(crate) use jwt::Verifier;

/// How it is found out who asks.
pub(crate) enum Identities {
    /// It is not: nobody can ask for anything but what is open.
    Nobody,
    Token(Arc<Verifier>),
    /// By the names that mappings use, the headers that the gateway sets.
    Headers(BTreeMap<String, String>),
}

/// Why it is not known who asks: code `unauthenticated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unauthenticated(pub(crate) Cow<'static, str>);

impl Identities {
    pub(crate) fn new(config: Option<&IdentityConfig>) -> Result<Self, ServeError> {
        let Some(config) = config else { return Ok(Self::Nobody) };
        Ok(match &config.jwt {
            Some(jwt) => Self::Token(Arc::new(Verifier::new(jwt)?)),
            None => {
                let lower = |(name, header): (&String, &String)| (name.clone(), header.to_ascii_lowercase());
                Self::Headers(config.headers.iter().map(lower).collect())
            }
        })
    }

    /// The keys that tokens are verified with, where there are any.
    pub(crate) fn verifier(&self) -> Option<&Arc<Verifier>> {
        match self {
            Self::Token(verifier) => Some(verifier),
            Self::Nobody | Self::Headers(_) => None,
        }
    }

    /// Who asks. `None`: nobody says so.
    pub(crate) fn of(
        &self,
        headers: &dyn Headers,
        now: Timestamp,
    ) -> Result<Option<Arc<Identity>>, Unauthenticated> {
        match self {
            Self::Nobody => Ok(None),
            Self::Token(verifier) => verifier.of(headers, now),
            Self::Headers(names) => {
                let mut identity = Identity::default();
                for (name, header) in names {
                    match headers.one(header) {
                        Some(value) => drop(identity.0.insert(name.clone(), Value::String(value.to_owned()))),
                        None if headers.has(header) => {
                            let why = format!("the header {header} is there more than once, or is no text");
                            return Err(Unauthenticated(why.into()));
                        }
                        None => {}
                    }
                }
                Ok((!identity.0.is_empty()).then(|| Arc::new(identity)))
            }
        }
    }
}
