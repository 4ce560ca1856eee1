//! A check: may this principal do this now?

use std::sync::Arc;

use cedar_policy::Decision;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ask::{Check, Evaluator, Known, Verdict};
use super::load::is_access;
use super::slice::{EntitySource, Unknown};
use super::{Claims, Environment, Policies, Supplied};
use crate::directory::{Coverage, Revision};
use crate::domain::{Timestamp, Uid};

/// A question: may this principal do this on that?
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Who wants to act.
    pub principal: Uid,
    /// The action's name.
    pub action: String,
    /// On what.
    pub resource: Uid,
    /// What else is known about the try, by the names in the schema. `now` and `grant` are the engine's own.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
    /// The answer must know at least this revision; it is `stale` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 18_446_744_073_709_551_615_u64)))]
    pub at_least: Option<Revision>,
    /// What the asker knows of principal and resource beside their ids; see [`Policies::question_with`].
    #[serde(skip)]
    pub supplied: Supplied,
}

impl AccessRequest {
    /// The question whether `principal` may do `action` on `resource`.
    #[must_use]
    pub fn new(principal: Uid, action: &str, resource: Uid) -> Self {
        Self {
            principal,
            action: action.to_owned(),
            resource,
            context: Map::new(),
            at_least: None,
            supplied: Supplied::default(),
        }
    }
}

/// Why a request is not a question. Code `invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The context names something that only the engine knows.
    #[error("`{0}` in the context is the engine's own")]
    Reserved(&'static str),
    /// The context does not fit the schema.
    #[error("the context does not fit the schema: {0}")]
    Context(String),
    /// The asker said two things of the same name.
    #[error("`{0}` is in the context and among the action's properties, with different values")]
    Contradiction(String),
    /// An attribute that the asker supplied does not fit the schema.
    #[error("the property `{name}` does not fit the schema: {message}")]
    Attribute {
        /// Its name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The answer to a question.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Allow or deny.
    #[serde(serialize_with = "decision_name")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["allow", "deny"])))]
    pub decision: Decision,
    /// The ids of the policies that decided, sorted.
    pub determining_policies: Vec<String>,
    /// What policies ran into. Not empty: deny.
    pub errors: Vec<String>,
    /// With allow: from this moment on the answer may be another. `None`: no end, while nothing changes.
    pub valid_until: Option<Timestamp>,
    /// The revision on which the answer was computed.
    pub revision: Revision,
    /// With deny: why.
    pub reason: Option<DenyReason>,
    /// The policies that were asked.
    #[serde(skip)]
    pub policy_version: Arc<str>,
}

impl Evaluation {
    /// Whether the decision is allow.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

pub(super) fn decision_name<S: serde::Serializer>(
    decision: &Decision,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    })
}

/// Why a check was denied: a stable code for programs.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenyReason {
    /// There never was a grant for this company, permission and resource.
    NoGrant,
    /// There was a grant, and none is live.
    GrantEnded,
    /// A `forbid` decided.
    Forbidden,
    /// The principal is not known.
    UnknownPrincipal,
    /// The resource is not known.
    UnknownResource,
    /// There is no such action.
    UnknownAction,
    /// A policy ran into an error.
    PolicyError,
    /// The answer would not know what it was asked to know.
    Stale,
    /// No policy permits it, and none of the other reasons holds.
    NotPermitted,
}

impl DenyReason {
    /// The code as text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoGrant => "no_grant",
            Self::GrantEnded => "grant_ended",
            Self::Forbidden => "forbidden",
            Self::UnknownPrincipal => "unknown_principal",
            Self::UnknownResource => "unknown_resource",
            Self::UnknownAction => "unknown_action",
            Self::PolicyError => "policy_error",
            Self::Stale => "stale",
            Self::NotPermitted => "not_permitted",
        }
    }
}

impl Policies {
    /// Answers `request` from what `source` knows at `revision`, at `now`. Pure. Its cost does not
    /// depend on how many grants, sites or people there are.
    ///
    /// # Errors
    /// When the request is not a question; a denial is an answer.
    pub fn evaluate(
        &self,
        source: &dyn EntitySource,
        revision: Revision,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<Evaluation, RequestError> {
        self.evaluate_by(self.evaluator, source, revision, request, now)
    }

    /// As [`Policies::evaluate`], by this evaluator.
    ///
    /// # Errors
    /// As [`Policies::evaluate`].
    pub fn evaluate_by(
        &self,
        evaluator: Evaluator,
        source: &dyn EntitySource,
        revision: Revision,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<Evaluation, RequestError> {
        for reserved in ["now", "grant"] {
            if request.context.contains_key(reserved) {
                return Err(RequestError::Reserved(reserved));
            }
        }
        let deny =
            |reason| Ok(self.answer(Decision::Deny, Vec::new(), Vec::new(), None, revision, Some(reason)));
        if request.at_least.is_some_and(|wanted| wanted > revision) {
            return deny(DenyReason::Stale);
        }
        let check = Check { source, request, now };
        let environment =
            self.environment(request.principal.type_name(), &request.action, request.resource.type_name());
        let known = match check.known(evaluator, environment) {
            Ok(known) => known,
            Err(Unknown::Principal) => return deny(DenyReason::UnknownPrincipal),
            Err(Unknown::Resource) => return deny(DenyReason::UnknownResource),
            Err(Unknown::Facts(message)) => {
                let reason = Some(DenyReason::PolicyError);
                return Ok(self.answer(Decision::Deny, Vec::new(), vec![message], None, revision, reason));
            }
        };
        let coverage = known.coverage();
        let environment = match environment {
            Some(environment) if environment.is_access => environment,
            None if self.has_action(&request.action)
                && is_access(&request.action, self.inner.has_commands) =>
            {
                return deny(without_forbid(coverage));
            }
            Some(_) | None => return deny(DenyReason::UnknownAction),
        };
        let verdict = match known {
            Known::Facts(facts) => self.run(environment, &check, facts)?,
            Known::Slice(slice) => self.ask_about_slice(environment, &environment.policies, &check, slice)?,
        };
        let allowed = verdict.decision == Decision::Allow;
        let reason = if allowed {
            None
        } else if !verdict.errors.is_empty() {
            Some(DenyReason::PolicyError)
        } else if !verdict.determining_policies.is_empty() {
            Some(DenyReason::Forbidden)
        } else {
            Some(without_forbid(coverage))
        };
        let deciding = verdict.determining_policies.iter().map(String::as_str);
        let valid_until = allowed.then(|| valid_until(environment, deciding, coverage, now)).flatten();
        let Verdict { decision, determining_policies, errors } = verdict;
        Ok(self.answer(decision, determining_policies, errors, valid_until, revision, reason))
    }

    /// What `principal` may do to `resource` at `now`, and until when: sorted by action. One check for each action that
    /// the schema has for the two, with what `claims` say. Nobody may do anything that is not known.
    ///
    /// # Errors
    /// When the claims name what only the engine knows, or say two things at once.
    pub fn permitted(
        &self,
        source: &dyn EntitySource,
        revision: Revision,
        (principal, resource): (&Uid, &Uid),
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Vec<(String, Option<Timestamp>)>, RequestError> {
        let types = (principal.type_name(), resource.type_name());
        let mut actions: Vec<&str> = self.inner.actions.names().collect();
        actions
            .retain(|action| self.environment(types.0, action, types.1).is_some_and(|found| found.is_access));
        actions.sort_unstable();
        let mut permitted = Vec::new();
        for action in actions {
            let request = self.question_with(principal.clone(), action, resource.clone(), claims)?;
            // An action that cannot be asked for with these claims is not permitted with them.
            let evaluation = self.evaluate(source, revision, &request, now).ok();
            let allowed = evaluation.filter(Evaluation::is_allowed);
            permitted.extend(allowed.map(|evaluation| (action.to_owned(), evaluation.valid_until)));
        }
        Ok(permitted)
    }

    fn answer(
        &self,
        decision: Decision,
        determining_policies: Vec<String>,
        errors: Vec<String>,
        valid_until: Option<Timestamp>,
        revision: Revision,
        reason: Option<DenyReason>,
    ) -> Evaluation {
        let policy_version = self.inner.version.clone();
        Evaluation { decision, determining_policies, errors, valid_until, revision, reason, policy_version }
    }
}

/// Why it is denied when no `forbid` decided and nothing failed.
pub(super) fn without_forbid(coverage: Option<Coverage>) -> DenyReason {
    match coverage {
        Some(Coverage::Never) => DenyReason::NoGrant,
        Some(Coverage::Over) => DenyReason::GrantEnded,
        Some(Coverage::Live { .. }) | None => DenyReason::NotPermitted,
    }
}

/// Until when an allow holds if nothing changes but time: to the end of what grants give; not beyond
/// this moment when a policy that decides looks at the time in a way of its own.
pub(super) fn valid_until<'a>(
    environment: &Environment,
    deciding: impl IntoIterator<Item = &'a str>,
    coverage: Option<Coverage>,
    now: Timestamp,
) -> Option<Timestamp> {
    let timed = environment.timed_forbid
        || !environment.timed_permits.is_empty()
            && deciding.into_iter().any(|id| environment.timed_permits.contains(id));
    match coverage {
        _ if timed => Some(now),
        Some(Coverage::Live { until }) => until,
        Some(Coverage::Never | Coverage::Over) | None => None,
    }
}
