//! Cedar: loading policies, the entities that a question touches, and the answer.
//!
//! Every question to Cedar is asked on a slice: the few entities that it touches, complete in the sense that
//! whatever a validated policy can reach from principal, resource and context is in it. Any policy
//! that errors means deny; Cedar alone would skip it, a `forbid` too. Most questions never come to Cedar: programs
//! that policies were compiled to answer them from the directory's own records, as Cedar would.

mod ask;
mod authorize;
#[cfg(feature = "bench")]
pub mod by_hand;
pub mod cases;
mod check;
pub mod compiled;
mod context;
mod declared;
mod depth;
mod entities;
mod evaluate;
mod facts;
mod load;
mod reading;
mod search;
mod sight;
mod slice;
mod supplied;
mod word;

pub use ask::{Evaluator, QuestionFacts};
pub use check::{ActionKey, Ruling};
pub use entities::{EntitiesError, EntityStore};
pub use evaluate::{AccessRequest, DenyReason, Evaluation, RequestError};
pub use load::{PolicyError, PolicyErrors, PolicyFile, PolicySources};
pub use reading::{Reading, Witness};
pub use search::{Found, Sought, Span};
pub use sight::Hints;
pub use slice::{EntitySource, Slice, Unknown};
pub use supplied::{Claims, Supplied};

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{
    Authorizer as CedarAuthorizer, Entity, EntityTypeName, EntityUid, PolicySet, RequestEnv, Schema,
};
use compiled::{Compiled, NotCompiled};
use declared::Declared;

use crate::domain::Type;

/// A validated set of policies. Cloning it is O(1); a set is replaced whole or not at all.
#[derive(Debug, Clone)]
pub struct Policies {
    inner: Arc<Inner>,
    evaluator: Evaluator,
}

#[derive(Debug)]
struct Inner {
    schema: Schema,
    /// By action, then principal type and resource type: only the policies whose scope can match.
    /// Cedar's scope-based slicing theorem makes this sound; it saves the evaluation of all others.
    actions: Actions,
    /// No other set of policies in this process has this number.
    number: u64,
    ids: Vec<String>,
    warnings: Vec<PolicyError>,
    version: Arc<str>,
    /// Whether the schema has the actions of the commands: which are then no checks.
    has_commands: bool,
    authorizer: CedarAuthorizer,
}

/// Kinds of questions by their action.
#[derive(Debug, Default)]
struct Actions {
    places: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    kinds: Vec<Vec<Environment>>,
}

impl Actions {
    fn find(&self, name: &str) -> Option<(&Arc<str>, u32)> {
        self.places.get_key_value(name).map(|(name, place)| (name, *place))
    }

    fn at(&self, place: u32) -> Option<&[Environment]> {
        self.kinds.get(place as usize).map(Vec::as_slice)
    }

    fn get(&self, name: &str) -> Option<&[Environment]> {
        self.at(*self.places.get(name)?)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(|name| &**name)
    }

    /// All kinds of questions.
    fn all(&self) -> impl Iterator<Item = &Environment> {
        self.kinds.iter().flatten()
    }
}

impl FromIterator<(String, Vec<Environment>)> for Actions {
    fn from_iter<I: IntoIterator<Item = (String, Vec<Environment>)>>(actions: I) -> Self {
        let (names, kinds): (Vec<String>, Vec<_>) = actions.into_iter().unzip();
        Self { places: names.into_iter().map(Arc::from).zip(0..).collect(), kinds }
    }
}

/// One kind of question: who, does what, on what.
#[derive(Debug)]
struct Environment {
    principal_type: String,
    resource_type: String,
    /// The same two.
    types: [EntityTypeName; 2],
    /// The same two, where the directory has them.
    known_types: [Option<Type>; 2],
    action: EntityUid,
    /// The action with the groups that it is in; none when it is in none.
    action_entities: Vec<Entity>,
    policies: PolicySet,
    /// The same as programs.
    compiled: Compiled,
    /// Those that are none; `None`: all are.
    not_compiled: Option<PolicySet>,
    /// What these look at.
    hints: Hints,
    /// What the schema declares.
    declared: Declared,
    /// Whether it is a check, and no question that a command asks.
    is_access: bool,
    /// Whether a `forbid` among them looks at the time by itself.
    timed_forbid: bool,
    /// The permits among them that look at the time by themselves.
    timed_permits: BTreeSet<String>,
}

impl Environment {
    fn is_for_the_types_of(&self, other: &Self) -> bool {
        (&self.principal_type, &self.resource_type) == (&other.principal_type, &other.resource_type)
    }
}

impl Policies {
    /// The same policies, asked by this evaluator.
    #[must_use]
    pub fn with(self, evaluator: Evaluator) -> Self {
        Self { evaluator, ..self }
    }

    /// The ids of all policies, sorted.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.inner.ids
    }

    /// What is valid and yet suspicious, such as a policy that can never apply.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyError] {
        &self.inner.warnings
    }

    /// What names this very set: SHA-256 over schema and policies, in hexadecimal digits.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Of all policies those whose scope can match requests of this kind; `None`: the schema has no such
    /// requests. For the others it makes no difference that the rest is left out.
    #[must_use]
    pub fn matching(&self, kind: &RequestEnv) -> Option<&PolicySet> {
        let (principal, resource) = (kind.principal().to_string(), kind.resource().to_string());
        let environment = self.environment(&principal, kind.action().id().unescaped(), &resource)?;
        Some(&environment.policies)
    }

    /// What the schema declares for the context of such questions, sorted, each with whether the asker must say it;
    /// `None`: there are no such questions.
    #[must_use]
    pub fn context_of(
        &self,
        principal_type: &str,
        action: &str,
        resource_type: &str,
    ) -> Option<Vec<(&str, bool)>> {
        self.environment(principal_type, action, resource_type)
            .filter(|environment| environment.is_access)
            .map(|environment| environment.declared.context_names().collect())
    }

    fn environment(&self, principal_type: &str, action: &str, resource_type: &str) -> Option<&Environment> {
        self.inner.actions.get(action)?.iter().find(|environment| {
            environment.principal_type == principal_type && environment.resource_type == resource_type
        })
    }

    /// The policies that Cedar has to evaluate, sorted, with the reason: all others are compiled. (One that cannot match
    /// any kind of question is in neither.)
    #[must_use]
    pub fn not_compiled(&self) -> Vec<(&str, &NotCompiled)> {
        let all = self.inner.actions.all().flat_map(|environment| environment.compiled.not_compiled());
        let mut all: Vec<_> = all.map(|(id, why)| (&**id, why)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.dedup_by_key(|(id, _)| *id);
        all
    }

    /// The program that a policy is for one kind of question, one step a line; `None`: it cannot match it, or Cedar has
    /// to evaluate it.
    #[must_use]
    pub fn program(
        &self,
        id: &str,
        principal_type: &str,
        action: &str,
        resource_type: &str,
    ) -> Option<String> {
        let compiled = &self.environment(principal_type, action, resource_type)?.compiled;
        compiled.programs().iter().find(|program| program.id() == id).map(ToString::to_string)
    }

    /// How many kinds of questions there are, and how many programs for all of them.
    #[must_use]
    pub fn compiled_count(&self) -> (usize, usize) {
        let all = || self.inner.actions.all();
        (all().count(), all().map(|environment| environment.compiled.programs().len()).sum())
    }

    /// Whether the schema has an action of this name, on whatever.
    #[must_use]
    pub fn has_action(&self, action: &str) -> bool {
        self.inner.actions.get(action).is_some()
    }
}

#[cfg(test)]
mod tests;
