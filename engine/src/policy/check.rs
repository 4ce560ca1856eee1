//! Checks by number: for whoever asks about the same people, actions and things again and again.

use std::sync::Arc;

use cedar_policy::Decision;
use serde::Serialize;

use super::ask::Evaluator;
use super::evaluate::{valid_until, without_forbid};
use super::facts::{DirectoryFacts, Who};
use super::slice::{Type, Unknown};
use super::{AccessRequest, DenyReason, Environment, Evaluation, Policies};
use crate::directory::{Directory, EntityKey, Revision};
use crate::domain::{Permission, Timestamp, Uid};

/// An action, to be asked about without its name. It is looked up once; policies that replace those where it was found
/// know it by its name still.
#[derive(Debug, Clone)]
pub struct ActionKey {
    name: Arc<str>,
    permission: Option<Permission>,
    /// Which set of policies knows it at which place.
    found: (u64, u32),
}

impl ActionKey {
    /// The action's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What was decided: an [`Evaluation`] without the names of policies, which makes it cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ruling {
    /// Allow or deny.
    #[serde(serialize_with = "super::evaluate::decision_name")]
    pub decision: Decision,
    /// With allow: from this moment on the answer may be another. `None`: no end, while nothing changes.
    pub valid_until: Option<Timestamp>,
    /// The revision on which it was decided.
    pub revision: Revision,
    /// With deny: why.
    pub reason: Option<DenyReason>,
}

impl Ruling {
    fn denied(revision: Revision, reason: DenyReason) -> Self {
        Self { decision: Decision::Deny, valid_until: None, revision, reason: Some(reason) }
    }

    /// Whether the decision is allow.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}

impl Evaluation {
    /// The same without the names of policies.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        let Self { decision, valid_until, revision, reason, .. } = *self;
        Ruling { decision, valid_until, revision, reason }
    }
}

impl Policies {
    /// The action of this name; `None`: there is none.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<ActionKey> {
        let (name, place) = self.inner.actions.find(name)?;
        Some(ActionKey {
            name: name.clone(),
            permission: Permission::named(name),
            found: (self.inner.number, place),
        })
    }

    /// As [`Policies::evaluate`] with nothing said beside, of those who are known by number: no text is looked at, and
    /// nothing is allocated, as long as compiled policies have the answer.
    ///
    /// A key of another directory is of nobody. What would be no question, as it needs a context that it does not have,
    /// is denied (`policy_error`).
    #[must_use]
    pub fn check(
        &self,
        directory: &Directory,
        (principal, action, resource): (EntityKey, &ActionKey, EntityKey),
        now: Timestamp,
    ) -> Ruling {
        let asked = (principal, action, resource);
        let ruling = self.check_compiled(directory, asked, now);
        debug_assert!(
            ruling.is_none() || ruling == Some(self.check_by_name(directory, asked, now)),
            "it makes a difference that {asked:?} are numbers"
        );
        ruling.unwrap_or_else(|| self.check_by_name(directory, asked, now))
    }

    /// `None`: it takes more than compiled policies.
    fn check_compiled(
        &self,
        directory: &Directory,
        (principal, action, resource): (EntityKey, &ActionKey, EntityKey),
        now: Timestamp,
    ) -> Option<Ruling> {
        if self.evaluator == Evaluator::Cedar {
            return None;
        }
        let revision = directory.revision();
        let deny = |reason| Some(Ruling::denied(revision, reason));
        let who = |key| directory.whose(key).map(Who::Numbered);
        let Some(principal) = who(principal) else { return deny(DenyReason::UnknownPrincipal) };
        let resource = who(resource);
        let facts = DirectoryFacts::check_of(directory, (principal, action.permission, resource), now);
        let (facts, coverage) = match facts {
            Ok(known) => known,
            Err(Unknown::Principal) => return deny(DenyReason::UnknownPrincipal),
            Err(Unknown::Resource) => return deny(DenyReason::UnknownResource),
            Err(Unknown::Facts(_)) => return None,
        };
        let environment = self.environment_of(action, facts.types())?;
        if !environment.is_access
            || environment.not_compiled.is_some()
            || environment.declared.asks_for_context()
        {
            return None;
        }
        let answer = environment.compiled.answer(&facts);
        if !answer.failed.is_empty() {
            return None;
        }
        if !answer.forbids.is_empty() {
            return deny(DenyReason::Forbidden);
        }
        if answer.permits.is_empty() {
            return deny(without_forbid(coverage));
        }
        let ids = environment.compiled.ids(&answer.permits);
        let valid_until = valid_until(environment, ids, coverage, now);
        Some(Ruling { decision: Decision::Allow, valid_until, revision, reason: None })
    }

    fn environment_of(&self, action: &ActionKey, types: [Option<Type>; 2]) -> Option<&Environment> {
        let (set, place) = action.found;
        let kinds = if set == self.inner.number {
            self.inner.actions.at(place)?
        } else {
            self.inner.actions.get(&action.name)?
        };
        kinds.iter().find(|environment| environment.known_types == types)
    }

    fn check_by_name(
        &self,
        directory: &Directory,
        (principal, action, resource): (EntityKey, &ActionKey, EntityKey),
        now: Timestamp,
    ) -> Ruling {
        let revision = directory.revision();
        let deny = |reason| Ruling::denied(revision, reason);
        let uid =
            |key| directory.whose(key).map(|entity| Uid::new(entity.type_name(), directory.id_of(entity)));
        let Some(principal) = uid(principal) else { return deny(DenyReason::UnknownPrincipal) };
        // Nothing has an id like this.
        let resource = uid(resource).unwrap_or_else(|| Uid::new("", ""));
        let request = AccessRequest::new(principal, &action.name, resource);
        let evaluation = self.evaluate(directory, revision, &request, now);
        evaluation.map_or_else(|_| deny(DenyReason::PolicyError), |evaluation| evaluation.ruling())
    }
}
