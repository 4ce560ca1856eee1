//! What a decision point says of itself (AuthZEN 1.0 §9).

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::{Response, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;

use super::{EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT, WELL_KNOWN};
use crate::serve::access_requests::{CAPABILITY, JWKS, REQUESTS};
use crate::serve::app::App;
use crate::serve::body;
use crate::serve::problem::Problem;

#[derive(Serialize, JsonSchema)]
pub(super) struct Metadata<'a> {
    policy_decision_point: &'a str,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_request_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<[&'static str; 1]>,
}

/// `GET /.well-known/authzen-configuration`, and below it the path of the server's URL, if it has one.
pub(super) async fn metadata(State(app): State<App>, uri: Uri) -> Result<Response<Body>, Problem> {
    let url = app.public_url.as_str();
    if uri.path().strip_prefix(WELL_KNOWN) != Some(path_of(url)) {
        let detail = format!("this is {url}: its configuration is at {WELL_KNOWN}{}", path_of(url));
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    }
    let asks = app.access_requests.is_some();
    let at = |path: &str| format!("{url}{path}");
    let mut response = body::json(&Metadata {
        policy_decision_point: url,
        access_evaluation_endpoint: at(EVALUATION),
        access_evaluations_endpoint: at(EVALUATIONS),
        search_subject_endpoint: at(SEARCH_SUBJECT),
        search_resource_endpoint: at(SEARCH_RESOURCE),
        search_action_endpoint: at(SEARCH_ACTION),
        access_request_endpoint: asks.then(|| at(REQUESTS)),
        jwks_uri: asks.then(|| at(JWKS)),
        capabilities: asks.then_some([CAPABILITY]),
    });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    Ok(response)
}

/// The path of a URL that has no query: empty, or from its `/` on.
pub(crate) fn path_of(url: &str) -> &str {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
}
