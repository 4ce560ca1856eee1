//! The OpenID AuthZEN Authorization API 1.0.

mod answer;
mod evaluation;
mod evaluations;
mod metadata;
mod request;
mod search;

use axum::Router;
use axum::routing::{get, post};

use super::app::App;
pub(crate) use metadata::path_of;

/// Where the API is, below the server's URL (AuthZEN 1.0 §10.1).
pub(crate) const EVALUATION: &str = "/access/v1/evaluation";
pub(crate) const EVALUATIONS: &str = "/access/v1/evaluations";
pub(crate) const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
pub(crate) const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
pub(crate) const SEARCH_ACTION: &str = "/access/v1/search/action";
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// The routes of the API.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(EVALUATION, post(evaluation::evaluate))
        .route(EVALUATIONS, post(evaluations::evaluate))
        .route(SEARCH_SUBJECT, post(search::subjects))
        .route(SEARCH_RESOURCE, post(search::resources))
        .route(SEARCH_ACTION, post(search::actions))
        .route(WELL_KNOWN, get(metadata::metadata))
        .route(&format!("{WELL_KNOWN}/{{*path}}"), get(metadata::metadata))
}
