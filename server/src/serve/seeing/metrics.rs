//! Numbers for Prometheus.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use consentry::Revision;
use consentry::policy::Policies;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::recheck::Rechecks;
use super::{Decided, Via};
use crate::clock;
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::config::Role;
use crate::serve::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    via: &'static str,
    action: String,
    decision: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    command: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabels {
    what: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

type Histograms = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    decisions: Family<DecisionLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    seconds: Histograms,
    commands: Family<OutcomeLabels, Counter>,
    reloads: Family<WhatLabels, Counter>,
    turned_away: Family<CodeLabels, Counter>,
    dropped: Counter,
    rechecks: Rechecks,
    policies: Family<VersionLabels, Gauge>,
    revision: Gauge,
    live_grants: Gauge,
    counted: Mutex<Option<Counted>>,
    answering: ArcSwapOption<Policies>,
}

/// When live grants were counted, and at which revision.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    revision: Revision,
}

/// Live grants are counted no more often than this: all of them are gone through.
const COUNT_EVERY: Duration = Duration::from_secs(10);

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_025, 2.0, 16))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("consentry");
        let decisions = Family::default();
        registry.register("decisions", "Questions, by what came of them", decisions.clone());
        let requests = Family::default();
        registry.register("requests", "Requests of known callers", requests.clone());
        let seconds: Histograms = Family::new_with_constructor(histogram);
        registry.register("request_seconds", "How long requests took to be answered", seconds.clone());
        let commands = Family::default();
        registry.register("commands", "Commands, by what came of them", commands.clone());
        let reloads = Family::default();
        registry.register("reloads", "Files that were read again", reloads.clone());
        let turned_away = Family::default();
        registry.register("turned_away", "Requests of those who may not call", turned_away.clone());
        let dropped = Counter::<u64, AtomicU64>::default();
        registry.register("decision_log_dropped", "Decisions that were not written down", dropped.clone());
        let rechecks = Rechecks::default();
        registry.register("rechecks", "Decisions that were put to Cedar's evaluator too", rechecks.clone());
        let policies = Family::default();
        registry.register(
            "policies",
            "The policies that answer: their number, by their version",
            policies.clone(),
        );
        let (revision, live_grants) = (Gauge::default(), Gauge::default());
        registry.register("revision", "The revision of the facts", revision.clone());
        registry.register("live_grants", "Grants that give access now", live_grants.clone());
        Self {
            registry,
            decisions,
            requests,
            seconds,
            commands,
            reloads,
            turned_away,
            dropped,
            rechecks,
            policies,
            revision,
            live_grants,
            counted: Mutex::default(),
            answering: ArcSwapOption::empty(),
        }
    }

    /// Counts a decision. Its action, if there is one of this name; else nothing.
    pub(super) fn decided<'a>(&self, via: Via, decided: &Decided<'a>) -> &'a str {
        // Only actions of the schema are told apart: whoever asks could make any number of others up.
        let policies = self.answering.load();
        let known = |action: &&str| policies.as_ref().is_some_and(|policies| policies.has_action(action));
        let action =
            decided.question.map(|question| question.action.as_str()).filter(known).unwrap_or_default();
        let labels = DecisionLabels {
            via: via.name(),
            action: action.to_owned(),
            decision: if decided.allowed { "allow" } else { "deny" },
            reason: decided.reason.unwrap_or_default().to_owned(),
        };
        self.decisions.get_or_create(&labels).inc();
        action
    }

    /// These policies answer from now on.
    pub(crate) fn answering(&self, policies: &Policies) {
        self.answering.store(Some(Arc::new(policies.clone())));
    }

    /// A request of a known caller was answered.
    pub(crate) fn answered(&self, route: &str, status: StatusCode, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned() };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A command was answered: `done`, or refused with a code.
    pub(crate) fn submitted(&self, command: &'static str, outcome: &'static str) {
        self.commands.get_or_create(&OutcomeLabels { command, outcome }).inc();
    }

    /// Somebody may not call.
    pub(super) fn turned_away(&self, code: &'static str) {
        self.turned_away.get_or_create(&CodeLabels { code }).inc();
    }

    /// Something was read again.
    pub(crate) fn read(&self, what: &'static str, refused: bool) {
        let outcome = if refused { "refused" } else { "used" };
        self.reloads.get_or_create(&WhatLabels { what, outcome }).inc();
    }

    /// A decision was not written down.
    pub(super) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// What came of decisions that were put to Cedar too.
    pub(crate) fn rechecks(&self) -> Rechecks {
        self.rechecks.clone()
    }

    /// The numbers that are read off what there is. Blocks while live grants are counted.
    fn look(&self, app: &App) {
        let reading = app.decision_point.reading();
        self.policies.clear();
        let version = VersionLabels { version: reading.policies().version().to_owned() };
        let count = i64::try_from(reading.policies().ids().len()).unwrap_or(i64::MAX);
        self.policies.get_or_create(&version).set(count);
        self.revision.set(i64::try_from(reading.revision()).unwrap_or(i64::MAX));
        let Some(engine) = app.decision_point.engine() else { return };
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (directory, now) = (engine.directory(), clock::started());
        let is_fresh = |counted: &Counted| {
            counted.revision == directory.revision()
                && now.saturating_duration_since(counted.at) < COUNT_EVERY
        };
        if counted.as_ref().is_none_or(|counted| !is_fresh(counted)) {
            let live = directory.live_grant_count(reading.now());
            self.live_grants.set(i64::try_from(live).unwrap_or(i64::MAX));
            *counted = Some(Counted { at: now, revision: directory.revision() });
        }
    }
}

/// Adds the route.
pub(crate) fn add(api: &mut Api) {
    api.get("/metrics", "metrics", "Numbers for Prometheus")
        .role(Role::Evaluate)
        .answer_as::<String>(200, FORM, "In the text form of OpenMetrics")
        .by(get(metrics));
}

const FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(app): State<App>) -> Result<Response<Body>, Problem> {
    let written = tokio::task::spawn_blocking(move || {
        app.seeing.metrics.look(&app);
        let mut written = String::new();
        text::encode(&mut written, &app.seeing.metrics.registry).map(|()| written)
    });
    let written = written.await.map_err(|_| Problem::internal("this failed"))?;
    let written = written.map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = Response::new(Body::from(written));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    Ok(response)
}
