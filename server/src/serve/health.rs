//! Whether the server lives, and whether it can answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use consentry::{Revision, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::ServeError;
use super::api::Api;
use super::app::App;
use super::body;
use crate::clock;

/// What the server knows about itself.
#[derive(Debug, Default)]
pub(crate) struct Health {
    ending: AtomicBool,
    /// What was to take the place of something, and could not be used; by what it is. What was before goes on.
    refused: Mutex<BTreeMap<&'static str, Refused>>,
}

/// Why something could not be used.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "RefusedFile")]
pub(crate) struct Refused {
    pub(crate) at: Timestamp,
    pub(crate) code: &'static str,
    /// For callers who are known: it can repeat what is in files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl Health {
    /// The server ends: it answers what it has begun with, and wants no more.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// How the last reading of something went.
    pub(crate) fn read(&self, what: &'static str, outcome: Result<(), &ServeError>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => drop(refused.remove(what)),
            Err(error) => {
                tracing::error!(
                    code = error.code(),
                    "{what}: refused, what was before goes on being used: {error}"
                );
                let message = Some(error.to_string());
                refused.insert(what, Refused { at: clock::now(), code: error.code(), message });
            }
        }
    }
}

/// Adds the routes.
pub(crate) fn add(api: &mut Api) {
    api.get("/healthz", "healthz", "Does the process live?")
        .answer::<Lives>(200, "It lives")
        .by(get(healthz));
    api.get("/readyz", "readyz", "Can it answer, and from what?")
        .answer::<Ready>(200, "It can")
        .answer::<Ready>(503, "It is ending")
        .by(get(readyz));
}

#[derive(Serialize, JsonSchema)]
struct Lives {
    /// `ok`.
    status: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct Ready {
    /// `ready` or `ending`.
    status: &'static str,
    policies: Policies,
    /// What was to take the place of `policies`, `mapping`, `keys`, `plugins` or `certificates`, and could not be used: what was before goes
    /// on.
    refused: BTreeMap<&'static str, Refused>,
    /// The revision of the facts.
    revision: Revision,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReadyPolicies")]
struct Policies {
    /// Names this very set of policies.
    version: String,
    /// How many there are.
    count: usize,
}

/// `GET /healthz`: the process lives.
async fn healthz() -> Response<Body> {
    body::json(&Lives { status: "ok" })
}

/// `GET /readyz`: it can answer, from which policies and facts, and what is wrong with those that it refused.
async fn readyz(State(app): State<App>, request: Request) -> Response<Body> {
    let is_known = app.callers.sender(&request, false).is_ok();
    let mut refused = app.health.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if !is_known {
        refused.values_mut().for_each(|refused| refused.message = None);
    }
    let ending = app.health.ending.load(Ordering::Acquire);
    let reading = app.decision_point.reading();
    let mut response = body::json(&Ready {
        status: if ending { "ending" } else { "ready" },
        policies: Policies {
            version: reading.policies().version().to_owned(),
            count: reading.policies().ids().len(),
        },
        refused,
        revision: reading.revision(),
    });
    if ending {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
