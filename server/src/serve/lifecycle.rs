//! What portals and owners' apps need: commands, where things stand, what is registered, and what happens.

mod commands;
mod events;
mod looks;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use consentry::engine::{Engine, EngineError};

use super::api::Api;
use super::app::App;
use super::body;
use super::problem::Problem;

/// Adds the routes.
pub(crate) fn add(api: &mut Api) {
    commands::add(api);
    looks::add(api);
    events::add(api);
}

/// The engine, where there is one.
pub(crate) fn engine(app: &App) -> Result<Engine, Problem> {
    app.decision_point.engine().cloned().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_ledger",
            "this server answers from a file of entities: nothing is asked for here",
        )
    })
}

/// The engine could not do its work.
pub(crate) fn broken(error: &EngineError) -> Problem {
    tracing::error!(code = error.code(), "the engine failed: {error}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
}

/// Does what may wait for a disk, where it holds up nobody else.
pub(crate) async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("this failed"))?
}

/// The body of a request, if it is JSON and says so.
pub(crate) async fn text(app: &App, request: Request<Body>) -> Result<axum::body::Bytes, Problem> {
    let (head, content) = request.into_parts();
    if !body::is_json(&head.headers) {
        let detail = "the content type must be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail));
    }
    app.read(content).await
}
