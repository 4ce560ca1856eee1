//! Checks that answer without the names of policies: of those who are known by number, for whoever asks about the same people,
//! actions and things again and again; and of those who are known by name.

use std::sync::Arc;

use cedar_policy::Decision;
use serde::Serialize;

use super::ask::Evaluator;
use super::evaluate::{valid_until, without_forbid};
use super::facts::{DirectoryFacts, Who};
use super::slice::Unknown;
use super::{AccessRequest, DenyReason, Environment, Evaluation, Policies};
use crate::directory::{Directory, EntityKey, Revision};
use crate::domain::{Permission, Timestamp, Uid, UidRef};

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
        let who = |key| directory.whose(key).map(Who::Numbered);
        let asked = (who(principal), action.permission, who(resource));
        self.ruled(directory, asked, self.kinds_of(action), now, || {
            let uid = |key| {
                let entity = directory.whose(key)?;
                Some(Uid::new(entity.kind().name(), directory.id_of(entity)))
            };
            // Nobody and nothing has an id like this.
            let [principal, resource] =
                [principal, resource].map(|key| uid(key).unwrap_or_else(|| Uid::new("", "")));
            AccessRequest::new(principal, &action.name, resource)
        })
    }

    /// As [`Policies::check`], of those who are known by name: each is looked up once, and nothing is allocated.
    #[must_use]
    pub fn check_named(
        &self,
        directory: &Directory,
        (principal, action, resource): (UidRef<'_>, &str, UidRef<'_>),
        now: Timestamp,
    ) -> Ruling {
        let who = |uid| Who::named(directory, uid);
        let asked = (who(principal), Permission::named(action), who(resource));
        self.ruled(directory, asked, self.inner.actions.get(action), now, || {
            AccessRequest::new(principal.into(), action, resource.into())
        })
    }

    /// The ruling of compiled policies, or that of [`Policies::evaluate`] where it takes more than these.
    fn ruled(
        &self,
        directory: &Directory,
        asked: (Option<Who<'_>>, Option<Permission>, Option<Who<'_>>),
        kinds: Option<&[Environment]>,
        now: Timestamp,
        request: impl Fn() -> AccessRequest,
    ) -> Ruling {
        let evaluated = || {
            let evaluation = self.evaluate(directory, directory.revision(), &request(), now);
            let failed = |_| Ruling::denied(directory.revision(), DenyReason::PolicyError);
            evaluation.map_or_else(failed, |evaluation| evaluation.ruling())
        };
        let ruling = self.ruled_by_programs(directory, asked, kinds, now);
        debug_assert!(
            ruling.is_none() || ruling == Some(evaluated()),
            "it makes a difference how {:?} is asked",
            request()
        );
        ruling.unwrap_or_else(evaluated)
    }

    /// `None`: it takes more than compiled policies.
    fn ruled_by_programs(
        &self,
        directory: &Directory,
        (principal, permission, resource): (Option<Who<'_>>, Option<Permission>, Option<Who<'_>>),
        kinds: Option<&[Environment]>,
        now: Timestamp,
    ) -> Option<Ruling> {
        if self.evaluator == Evaluator::Cedar {
            return None;
        }
        let revision = directory.revision();
        let deny = |reason| Some(Ruling::denied(revision, reason));
        let Some(principal) = principal else { return deny(DenyReason::UnknownPrincipal) };
        let facts = DirectoryFacts::check_of(directory, (principal, permission, resource), now);
        let (facts, coverage) = match facts {
            Ok(known) => known,
            Err(Unknown::Principal) => return deny(DenyReason::UnknownPrincipal),
            Err(Unknown::Resource) => return deny(DenyReason::UnknownResource),
            Err(Unknown::Facts(_)) => return None,
        };
        let types = facts.types();
        let environment = kinds?.iter().find(|environment| environment.known_types == types)?;
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

    /// The kinds of questions with this action; `None`: it is gone.
    fn kinds_of(&self, action: &ActionKey) -> Option<&[Environment]> {
        let (set, place) = action.found;
        if set == self.inner.number {
            self.inner.actions.at(place)
        } else {
            self.inner.actions.get(&action.name)
        }
    }
}
