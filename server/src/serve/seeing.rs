//! What the server did: counted, timed, and written down.

mod decision_log;
mod metrics;
mod recheck;
pub(crate) mod traces;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use consentry::policy::{AccessRequest, Evaluation};

use super::callers::Caller;
use crate::clock;
pub(crate) use decision_log::DecisionLog;
pub(crate) use metrics::{Metrics, add};
pub(crate) use recheck::Recheck;
pub(crate) use traces::Traces;

/// The header by which a request is told from others (AuthZEN 1.0 §10.1.3).
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that sees what the server does.
pub(crate) struct Seeing {
    pub(crate) metrics: Metrics,
    pub(crate) log: Option<DecisionLog>,
    /// When it was last said that somebody was turned away.
    said: Mutex<Option<Instant>>,
}

/// By which way a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Via {
    AuthZen,
    Check,
    ExtAuthzGrpc,
    ExtAuthzHttp,
    AuthRequest,
    ForwardAuth,
}

impl Via {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AuthZen => "authzen",
            Self::Check => "check",
            Self::ExtAuthzGrpc => "ext_authz_grpc",
            Self::ExtAuthzHttp => "ext_authz_http",
            Self::AuthRequest => "auth_request",
            Self::ForwardAuth => "forward_auth",
        }
    }
}

/// Who asks the server, and since when it works on the answer.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) via: Via,
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) started: Instant,
}

impl Asker {
    /// Whoever sent a request.
    pub(crate) fn of(via: Via, request: &Request) -> Self {
        Self::new(via, request.headers(), request.extensions().get::<Arc<Caller>>().cloned())
    }

    pub(crate) fn new(via: Via, headers: &HeaderMap, caller: Option<Arc<Caller>>) -> Self {
        Self { via, caller, request_id: headers.get(REQUEST_ID).cloned(), started: clock::started() }
    }
}

/// A question, and what came of it.
pub(crate) struct Decided<'a> {
    /// `None`: it stood for no question, or for one that is always allowed.
    pub(crate) question: Option<&'a AccessRequest>,
    pub(crate) allowed: bool,
    /// A stable code, with a denial.
    pub(crate) reason: Option<&'a str>,
    /// What else is said about it, for people.
    pub(crate) detail: Option<&'a str>,
    pub(crate) evaluation: Option<&'a Evaluation>,
}

impl<'a> Decided<'a> {
    /// What an evaluation says.
    pub(crate) fn by(question: &'a AccessRequest, evaluation: &'a Evaluation) -> Self {
        Self {
            question: Some(question),
            allowed: evaluation.is_allowed(),
            reason: evaluation.reason.map(consentry::DenyReason::name),
            detail: None,
            evaluation: Some(evaluation),
        }
    }

    /// It was no question: denied.
    pub(crate) fn not(detail: &'a str) -> Self {
        Self {
            question: None,
            allowed: false,
            reason: Some("invalid"),
            detail: Some(detail),
            evaluation: None,
        }
    }
}

/// Of callers who are turned away, so often is said that there are some.
const AGAIN: Duration = Duration::from_secs(10);

impl Seeing {
    pub(crate) fn new(metrics: Metrics, log: Option<DecisionLog>) -> Self {
        Self { metrics, log, said: Mutex::default() }
    }

    /// Counts somebody who may not call, and says so now and then.
    pub(crate) fn turned_away(&self, code: &'static str, who: &str) {
        self.metrics.turned_away(code);
        let now = clock::started();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.saturating_duration_since(said) >= AGAIN) {
            *said = Some(now);
            tracing::warn!(code, "{who} was turned away: see consentry_turned_away_total");
        }
    }

    /// Counts a decision, and writes it down.
    pub(crate) fn decided(&self, asker: &Asker, decided: &Decided<'_>) {
        let action = self.metrics.decided(asker.via, decided);
        traces::decided(decided, action);
        if let Some(log) = &self.log {
            log.decided(asker, decided);
        }
    }
}
