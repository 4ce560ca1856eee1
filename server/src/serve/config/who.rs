//! Who may call the server, and how it is found out who asks through a gateway.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Length};

/// How it is found out who asks through a gateway: by a token, or by what the gateway says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityConfig {
    /// A token that comes with the request, verified here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<JwtConfig>,
    /// Headers that the gateway sets once it has verified somebody itself, by the names that mappings use. It must not
    /// let them through from outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
}

/// A JSON Web Token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtConfig {
    /// The issuer's keys: a file, or a URL.
    pub(crate) jwks: String,
    /// Who issued it: `iss`.
    pub(crate) issuer: String,
    /// For whom it is: one of them must be in `aud`.
    pub(crate) audience: Vec<String>,
    /// By how much clocks may differ.
    #[serde(default = "JwtConfig::leeway")]
    pub(crate) leeway: Length,
    /// The header that holds it.
    #[serde(default = "JwtConfig::header")]
    pub(crate) header: String,
}

impl IdentityConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |message: &str| Err(ConfigError(message.to_owned()));
        match (&self.jwt, self.headers.is_empty()) {
            (None, true) => wrong("`identity` says nothing: it needs `jwt` or `headers`"),
            (Some(_), false) => wrong(
                "`identity.jwt` and `identity.headers` are two ways to say who asks: only one of them can be used",
            ),
            (Some(jwt), true) if jwt.audience.is_empty() => wrong(
                "`identity.jwt.audience` is empty: a token that is meant for others must not count here",
            ),
            (Some(_), true) => Ok(()),
            (None, false) => {
                let bad = self.headers.values().find(|name| name.parse::<axum::http::HeaderName>().is_err());
                bad.map_or(Ok(()), |name| {
                    Err(ConfigError(format!("`{name}` in `identity.headers` is no name of a header")))
                })
            }
        }
    }
}

impl JwtConfig {
    fn leeway() -> Length {
        Length::from_seconds(30)
    }

    fn header() -> String {
        "authorization".to_owned()
    }
}

/// Somebody who may call the server. Where nobody is named, whoever reaches it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallerConfig {
    /// What the caller is called in logs.
    pub(crate) name: String,
    /// What the caller may ask for.
    pub(crate) role: Role,
    /// The SHA-256 of the caller's bearer token, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_sha256: Option<String>,
    /// A DNS name or URI for which the caller's certificate is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// Requests a second that are answered; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Where it may be told what became of its requests for access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callback: Option<CallbackConfig>,
}

/// Where a caller is told something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallbackConfig {
    /// Endpoints; one that ends with `/`: all below it.
    pub(crate) urls: Vec<String>,
    /// A file with the key that signs what is told, known to both: at least 16 bytes.
    pub(crate) key: PathBuf,
}

/// What a caller may ask for; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Decisions.
    Evaluate,
    /// What end users and installers do and see.
    Lifecycle,
    /// What operators do.
    Admin,
}
