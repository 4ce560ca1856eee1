//! The OpenID AuthZEN Authorization API 1.0.

mod answer;
#[cfg(feature = "bench")]
mod constant;
mod evaluation;
mod evaluations;
mod metadata;
mod request;
mod search;

use axum::Router;
use axum::routing::{get, post};

use super::api::Api;
use super::app::App;
use super::config::Role;
pub(crate) use metadata::path_of;
pub(crate) use request::{Action, Entity, Whole};

/// Where the API is, below the server's URL (AuthZEN 1.0 §10.1).
pub(crate) const EVALUATION: &str = "/access/v1/evaluation";
pub(crate) const EVALUATIONS: &str = "/access/v1/evaluations";
pub(crate) const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
pub(crate) const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
pub(crate) const SEARCH_ACTION: &str = "/access/v1/search/action";
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// Adds the routes.
pub(crate) fn add(api: &mut Api) {
    api.post(EVALUATION, "evaluation", "AuthZEN: ask whether a subject may do something")
        .role(Role::Evaluate)
        .through_plugins()
        .body::<request::Question>()
        .answer::<answer::Decision>(200, "A decision")
        .by(post(evaluation::evaluate));
    api.post(EVALUATIONS, "evaluations", "AuthZEN: ask several questions at once")
        .role(Role::Evaluate)
        .through_plugins()
        .body::<evaluations::Batch<'_>>()
        .answer::<evaluations::OneOrAll>(200, "A decision for each; or one, where one question was asked")
        .by(post(evaluations::evaluate));
    api.post(SEARCH_SUBJECT, "searchSubject", "AuthZEN: find who may do something")
        .role(Role::Evaluate)
        .through_plugins()
        .body::<search::SubjectSearch<'_>>()
        .answer::<search::Results<search::FoundEntity<'_>>>(200, "A page of them")
        .by(post(search::subjects));
    api.post(SEARCH_RESOURCE, "searchResource", "AuthZEN: find on what a subject may do something")
        .role(Role::Evaluate)
        .through_plugins()
        .body::<search::ResourceSearch<'_>>()
        .answer::<search::Results<search::FoundEntity<'_>>>(200, "A page of them")
        .by(post(search::resources));
    api.post(SEARCH_ACTION, "searchAction", "AuthZEN: find what a subject may do to a resource")
        .role(Role::Evaluate)
        .through_plugins()
        .body::<search::ActionSearch<'_>>()
        .answer::<search::Results<search::FoundAction>>(200, "A page of them")
        .by(post(search::actions));
    api.get(WELL_KNOWN, "metadata", "AuthZEN: what the decision point says of itself")
        .answer::<metadata::Metadata<'_>>(200, "Where its API is")
        .problems(&[404])
        .by(get(metadata::metadata));
}

/// What the decision point says of itself, where its URL has a path.
pub(crate) fn below() -> Router<App> {
    Router::new().route(&format!("{WELL_KNOWN}/{{*path}}"), get(metadata::metadata))
}
