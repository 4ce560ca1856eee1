//! Answers that nobody was asked for, as long as real ones: beside them, a load bench sees what asking costs.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::Response;
use serde_json::{Value, json};

use crate::serve::body;

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

/// To one question.
pub(super) fn one() -> Response<Body> {
    body::of_json(Bytes::clone(&ONE))
}

/// To fifty.
pub(super) fn fifty() -> Response<Body> {
    body::of_json(Bytes::clone(&FIFTY))
}
