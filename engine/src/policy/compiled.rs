//! Policies compiled: the answers of Cedar's evaluator, from small flat programs.
//!
//! When policies are loaded, each becomes one program for each kind of question (principal's type, action, resource's
//! type) that its scope can match: the tree of its conditions (`term`) without what the kind decides already
//! (`read`), written out as steps on a stack of values (`instruction`, `emit`). Which programs run for a question
//! is told by an index over the scopes (`index`). Programs run (`machine`) on facts where they lie (`value`), of a
//! directory or of a table of Cedar's entities (`table`).
//!
//! What is not used is that facts conform to the schema: where they do not, the answer is still Cedar's.

mod constant;
mod emit;
mod index;
mod instruction;
mod machine;
mod read;
mod stack;
mod table;
mod term;
mod value;
mod with;

use std::sync::Arc;

use cedar_policy::{AuthorizationError, Authorizer, Decision, Effect, Entities, PolicySet, Request};
use cedar_policy_core::ast;

use constant::Row;
pub(crate) use constant::{Constant, Named};
use index::{Asked, Index};
pub(crate) use index::{Few, Names};
use instruction::Code;
use machine::Machine;
pub(crate) use read::Kind;
pub use read::NotCompiled;
use read::{NESTED, Reader};
pub(crate) use table::{EntityTable, TableFacts, fields};
use term::Term;
pub(crate) use value::{Facts, Failed, Fields, Members, Step, Value};
pub(crate) use with::{Added, With};

/// The policies that can match one kind of question.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    /// Sorted by id.
    programs: Vec<Program>,
    index: Index,
    not_compiled: Vec<(Arc<str>, NotCompiled)>,
}

/// A policy.
#[derive(Debug)]
pub(crate) struct Program {
    id: Arc<str>,
    effect: Effect,
    code: Code,
}

/// What the programs came to, by their places.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) permits: Few,
    pub(crate) forbids: Few,
    pub(crate) failed: Few,
}

impl Compiled {
    /// Compiles policies for questions of one kind. What cannot be satisfied by any of them is left out.
    pub(crate) fn new<'p>(policies: impl Iterator<Item = &'p ast::Policy>, kind: Kind<'_>) -> Self {
        let mut compiled = Self::default();
        let mut programs = Vec::new();
        for policy in policies {
            let id: Arc<str> = AsRef::<str>::as_ref(policy.id()).into();
            let reader = Reader { kind, slots: policy.env() };
            match reader.term(&policy.condition(), NESTED) {
                Ok(term) if term.constant() == Some(&Constant::Bool(false)) => {}
                Ok(term) => programs.push((policy, Program::new(id, policy.effect(), &term))),
                Err(why) => compiled.not_compiled.push((id, why)),
            }
        }
        programs.sort_unstable_by(|(_, one), (_, other)| one.id.cmp(&other.id));
        for (place, (policy, program)) in (0..).zip(programs) {
            let principal = policy.principal_constraint().into_inner();
            let resource = policy.resource_constraint().into_inner();
            compiled.index.add(&asked(&principal), &asked(&resource), place);
            compiled.programs.push(program);
        }
        compiled
    }

    /// The programs, sorted by the ids of their policies.
    pub(crate) fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The policies that Cedar has to evaluate, and why.
    pub(crate) fn not_compiled(&self) -> &[(Arc<str>, NotCompiled)] {
        &self.not_compiled
    }

    /// Runs the programs that the index finds. Allocates nothing where these put no sets or records together.
    pub(crate) fn answer<'a, F: Facts<'a>>(&'a self, facts: F) -> Answer {
        let mut answer = Answer::default();
        let mut machine = Machine::new(facts);
        let mut run = |place: u32| {
            let Some(program) = self.programs.get(place as usize) else { return };
            match (machine.is_satisfied(&program.code), program.effect) {
                (Ok(true), Effect::Permit) => answer.permits.push(place),
                (Ok(true), Effect::Forbid) => answer.forbids.push(place),
                (Ok(false), _) => {}
                (Err(_), _) => answer.failed.push(place),
            }
        };
        if self.index.is_trivial() {
            (0..).zip(&self.programs).for_each(|(place, _)| run(place));
        } else {
            self.index.visit(facts, run);
        }
        answer
    }

    /// What an answer decides, where policies that failed do not count, and the ids of those that decided, sorted.
    pub(crate) fn decision(&self, answer: &Answer) -> (Decision, Vec<String>) {
        let allowed = answer.forbids.is_empty() && !answer.permits.is_empty();
        let deciding = if answer.forbids.is_empty() { &answer.permits } else { &answer.forbids };
        (if allowed { Decision::Allow } else { Decision::Deny }, sorted(self.ids(deciding)))
    }

    /// The ids of the policies at these places.
    pub(crate) fn ids<'c>(&'c self, places: &'c Few) -> impl Iterator<Item = &'c str> {
        places.iter().filter_map(|place| self.programs.get(place as usize)).map(Program::id)
    }
}

impl Program {
    fn new(id: Arc<str>, effect: ast::Effect, term: &Term) -> Self {
        let effect = match effect {
            ast::Effect::Permit => Effect::Permit,
            ast::Effect::Forbid => Effect::Forbid,
        };
        Self { id, effect, code: emit::code(&Term::truthful(term)) }
    }

    /// The policy's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The steps, one a line.
impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.code.fmt(f)
    }
}

fn asked(constraint: &ast::PrincipalOrResourceConstraint) -> Asked {
    match constraint.get_euid() {
        Some(uid) => Asked::Within(Named::of(uid)),
        None => Asked::Any,
    }
}

fn sorted<T: ToString>(ids: impl Iterator<Item = T>) -> Vec<String> {
    let mut ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    ids.sort_unstable();
    ids
}

/// An answer of compiled policies, beside which Cedar's can be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// As Cedar's authorizer has it: policies that fail do not count.
    pub decision: Decision,
    /// The ids of the policies that decided, sorted.
    pub determining_policies: Vec<String>,
    /// The ids of the policies that failed, sorted.
    pub failed: Vec<String>,
}

/// Compiles `policies` for the kind of `request`, and answers it from `entities`. For comparing with Cedar's
/// authorizer.
///
/// # Errors
/// The policies that Cedar has to evaluate, and why; none, where a value in request or entities is unknown.
pub fn answer(
    policies: &PolicySet,
    request: &Request,
    entities: &Entities,
) -> Result<Compared, Vec<(String, NotCompiled)>> {
    let table = EntityTable::new(entities).ok_or_else(Vec::new)?;
    Question::new(policies, request, entities, &table).map(|question| question.answer())
}

/// What Cedar's authorizer answers to the same.
#[must_use]
pub fn by_cedar(policies: &PolicySet, request: &Request, entities: &Entities) -> Compared {
    let response = Authorizer::new().is_authorized(request, policies, entities);
    let diagnostics = response.diagnostics();
    Compared {
        decision: response.decision(),
        determining_policies: sorted(diagnostics.reason()),
        failed: sorted(diagnostics.errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        })),
    }
}

/// A question about Cedar's entities, with the policies compiled for it.
struct Question<'t> {
    compiled: Compiled,
    principal: Named,
    resource: Named,
    context: Row,
    table: &'t EntityTable,
}

impl<'t> Question<'t> {
    /// The table is that of the entities.
    fn new(
        policies: &PolicySet,
        request: &Request,
        entities: &Entities,
        table: &'t EntityTable,
    ) -> Result<Self, Vec<(String, NotCompiled)>> {
        let unknown = Vec::new;
        let (Some(principal), Some(action), Some(resource)) =
            (request.principal(), request.action(), request.resource())
        else {
            return Err(unknown());
        };
        let named = |uid: &cedar_policy::EntityUid| Named::of(uid.as_ref());
        let (principal, resource) = (named(principal), named(resource));
        let groups: Vec<ast::EntityUID> = entities
            .ancestors(action)
            .into_iter()
            .flatten()
            .chain([action])
            .map(|uid| AsRef::<ast::EntityUID>::as_ref(uid).clone())
            .collect();
        let kind = Kind {
            principal_type: &principal.type_name,
            action: action.as_ref(),
            action_groups: &groups,
            resource_type: &resource.type_name,
        };
        let policies: &ast::PolicySet = policies.as_ref();
        let compiled = Compiled::new(policies.policies(), kind);
        if !compiled.not_compiled.is_empty() {
            let why = |(id, why): &(Arc<str>, NotCompiled)| (id.to_string(), why.clone());
            return Err(compiled.not_compiled.iter().map(why).collect());
        }
        let request: &ast::Request = request.as_ref();
        let context = request.context().and_then(fields).ok_or_else(unknown)?;
        Ok(Self { compiled, principal, resource, context, table })
    }

    fn answer(&self) -> Compared {
        let Self { compiled, principal, resource, context, table } = self;
        let answer = compiled.answer(TableFacts { table, principal, resource, context });
        let (decision, determining_policies) = compiled.decision(&answer);
        Compared { decision, determining_policies, failed: sorted(compiled.ids(&answer.failed)) }
    }
}

#[cfg(test)]
mod tests;
