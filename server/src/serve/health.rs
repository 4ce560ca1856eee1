//! Whether the server lives, and whether it can answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use consentry::{Revision, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use super::app::App;
use super::body;

/// What the server knows about itself.
#[derive(Debug, Default)]
pub(crate) struct Health {
    ending: AtomicBool,
    /// The last reading of policies, if it failed: those before it go on answering.
    refused: ArcSwapOption<Refused>,
}

/// Policies that could not be used.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RefusedPolicies")]
pub(crate) struct Refused {
    pub(crate) at: Timestamp,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Health {
    /// The server ends: it answers what it has begun with, and wants no more.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// How the last reading of policies went.
    pub(crate) fn policies(&self, refused: Option<Refused>) {
        self.refused.store(refused.map(Arc::new));
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
    /// What was to take their place, and could not be used.
    refused: Option<Arc<Refused>>,
}

/// `GET /healthz`: the process lives.
async fn healthz() -> Response<Body> {
    body::json(&Lives { status: "ok" })
}

/// `GET /readyz`: it can answer, from which policies and facts, and what is wrong with those that it refused.
async fn readyz(State(app): State<App>) -> Response<Body> {
    let ending = app.health.ending.load(Ordering::Acquire);
    let reading = app.decision_point.reading();
    let mut response = body::json(&Ready {
        status: if ending { "ending" } else { "ready" },
        policies: Policies {
            version: reading.policies().version().to_owned(),
            count: reading.policies().ids().len(),
            refused: app.health.refused.load_full(),
        },
        revision: reading.revision(),
    });
    if ending {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
