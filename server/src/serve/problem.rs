//! What a request that cannot be answered is told: a status, and a body of RFC 9457.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

/// Problems that no standard names.
const OURS: &str = "urn:consentry:problem:";

/// Why a request was not answered. A denial is an answer, and no problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What stands before the code in the problem's type.
    pub(crate) namespace: &'static str,
    pub(crate) status: StatusCode,
    /// A stable code for programs.
    pub(crate) code: &'static str,
    /// What is wrong with this request, for people.
    pub(crate) detail: String,
}

/// Why a request was not answered, in the form of RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Written<'a> {
    /// `urn:consentry:problem:`, or what a standard has in its place, and the code.
    r#type: String,
    title: &'static str,
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    /// For people.
    detail: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { namespace: OURS, status, code, detail: detail.into() }
    }

    /// The request makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// The request is not of the form that it must have.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// The server could not do its work.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl Problem {
    /// As it is written.
    pub(crate) fn written(&self) -> Written<'_> {
        Written {
            r#type: format!("{}{}", self.namespace, self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
        }
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.written()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
