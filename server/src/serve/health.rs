//! Whether the server lives, and whether it can answer.

use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use consentry::Timestamp;
use serde::Serialize;
use serde_json::json;

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
#[derive(Debug, Serialize)]
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
        self.refused.store(refused.map(std::sync::Arc::new));
    }
}

/// `GET /healthz`: the process lives.
pub(crate) async fn healthz() -> Response<Body> {
    body::json(&json!({ "status": "ok" }))
}

/// `GET /readyz`: it can answer, from which policies and facts, and what is wrong with those that it refused.
pub(crate) async fn readyz(State(app): State<App>) -> Response<Body> {
    let ending = app.health.ending.load(Ordering::Acquire);
    let reading = app.decision_point.reading();
    let refused = app.health.refused.load();
    let mut response = body::json(&json!({
        "status": if ending { "ending" } else { "ready" },
        "policies": {
            "version": reading.policies().version(),
            "count": reading.policies().ids().len(),
            "refused": refused.as_deref(),
        },
        "revision": reading.revision(),
    }));
    if ending {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
