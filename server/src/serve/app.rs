//! What the server's routes share.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use super::access_requests::{self, AccessRequests};
use super::api::Api;
use super::authzen::{self, path_of};
use super::body;
use super::callers::Callers;
use super::decision_point::DecisionPoint;
use super::gateway::{self, Gateway};
use super::health::{self, Health};
use super::lifecycle;
use super::plugins::Plugins;
use super::problem::Problem;
use super::seeing::{self, Seeing};

pub(crate) use super::config::Limits;

/// What the server's routes share. Cloning it is O(1).
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) decision_point: Arc<DecisionPoint>,
    pub(crate) health: Arc<Health>,
    pub(crate) gateway: Arc<Gateway>,
    /// Where access can be asked for.
    pub(crate) access_requests: Option<Arc<AccessRequests>>,
    /// What requests go through first.
    pub(crate) plugins: Option<Arc<Plugins>>,
    pub(crate) callers: Callers,
    pub(crate) seeing: Arc<Seeing>,
    pub(crate) limits: Limits,
    /// The URL by which others know this server.
    pub(crate) public_url: String,
    /// Turns at searching.
    pub(crate) searches: Arc<Semaphore>,
    /// Places for those who hear what happens.
    pub(crate) subscribers: Arc<Semaphore>,
    /// Whether the server ends.
    pub(crate) ending: watch::Receiver<bool>,
    /// Whether the answer is a denial, whatever is asked.
    #[cfg(feature = "bench")]
    pub(crate) constant: bool,
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Reads a body within the limits.
    pub(crate) async fn read(&self, content: Body) -> Result<Bytes, Problem> {
        body::read(content, self.limits.body_bytes, self.limits.body.of_clock()).await
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Every route of the server. Where its URL has a path, the API is there, too.
pub(crate) fn router(app: App) -> Router {
    let mut api = Api::new(&app);
    authzen::add(&mut api);
    access_requests::add(&mut api);
    lifecycle::add(&mut api);
    health::add(&mut api);
    gateway::add(&mut api);
    seeing::add(&mut api);
    let (api, document) = api.finished();
    let document = Arc::new(document);
    let api = api.route("/v1/openapi.json", get(move || std::future::ready(body::json(&*document))));
    let routes = match path_of(&app.public_url) {
        "" => api,
        path => Router::new().nest(path, api.clone()).merge(api),
    };
    let not_found = || async { Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here") };
    let not_allowed = || async {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this is asked with another method",
        )
    };
    routes
        .merge(authzen::below())
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(app)
}
