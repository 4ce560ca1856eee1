//! Answers that nobody was asked for, as long as real ones: beside them, a load bench sees what asking costs.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use serde_json::{Value, json};

static ONE: LazyLock<Bytes> = LazyLock::new(|| denial().to_string().into());
static FIFTY: LazyLock<Bytes> =
    LazyLock::new(|| json!({ "evaluations": vec![denial(); 50] }).to_string().into());

fn denial() -> Value {
    let version = "0123456789abcdef".repeat(4);
    let policies = ["constant-constant-constant-constant"];
    json!({
        "decision": false,
        "context": { "reason": "constant", "determining_policies": policies, "revision": 0, "policy_version": version },
    })
}

fn said(text: &'static LazyLock<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::clone(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// To one question.
pub(super) fn one() -> Response<Body> {
    said(&ONE)
}

/// To fifty.
pub(super) fn fifty() -> Response<Body> {
    said(&FIFTY)
}
