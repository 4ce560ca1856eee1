//! Putting a question to the policies: to programs over the facts, and to Cedar.

use cedar_policy::{Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request};

use super::compiled::{
    self, Added, Answer, Compiled, Constant, EntityTable, Facts, Named, TableFacts, Value, With,
};
use super::evaluate::{AccessRequest, RequestError};
use super::facts::DirectoryFacts;
use super::load::name;
use super::slice::{EntitySource, Slice, Unknown};
use super::word::Name;
use super::{Environment, Hints, Policies, supplied};
use crate::directory::Coverage;
use crate::domain::{Timestamp, Uid};

/// Who answers checks. The answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evaluator {
    /// Compiled policies, and Cedar's evaluator for what is not compiled.
    #[default]
    Compiled,
    /// Cedar's evaluator.
    Cedar,
}

/// What Cedar answered, before reasons.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) determining_policies: Vec<String>,
    pub(super) errors: Vec<String>,
}

/// A check, and where its facts are.
pub(super) struct Check<'a> {
    pub(super) source: &'a dyn EntitySource,
    pub(super) request: &'a AccessRequest,
    pub(super) now: Timestamp,
}

/// What a source knows of a check.
pub(super) enum Known<'a> {
    Facts(QuestionFacts<'a>),
    Slice(Slice),
}

/// What compiled policies look at for one check.
pub struct QuestionFacts<'a> {
    of: Of<'a>,
    /// What grants give to the principal on the resource for the action; `None`: grants do not come into it.
    coverage: Option<Coverage>,
}

#[expect(clippy::large_enum_variant, reason = "there is one on the stack, and nearly always the large one")]
enum Of<'a> {
    Directory(DirectoryFacts<'a>),
    Table { table: &'a EntityTable, principal: Named, resource: Named },
}

impl<'a> QuestionFacts<'a> {
    pub(super) fn of_directory((facts, coverage): (DirectoryFacts<'a>, Option<Coverage>)) -> Self {
        Self { of: Of::Directory(facts), coverage }
    }

    pub(super) fn of_table(table: &'a EntityTable, principal: Named, resource: Named) -> Self {
        Self { of: Of::Table { table, principal, resource }, coverage: None }
    }

    /// What the policies say. Without a context that is written out, it holds what the engine knows.
    fn answer(
        self,
        compiled: &Compiled,
        context: Option<&[(Box<str>, Constant)]>,
        added: Option<&(Added, Added)>,
        now: Timestamp,
    ) -> Answer {
        match self.of {
            Of::Directory(facts) => {
                let facts = match context {
                    Some(context) => facts.given(context),
                    None => facts,
                };
                answer(compiled, &facts, added)
            }
            Of::Table { table, principal, resource } => {
                let own = [("now".into(), Constant::Datetime(now.millis()))];
                let (principal, resource) = (&principal, &resource);
                let context = context.unwrap_or(&own);
                answer(compiled, TableFacts { table, principal, resource, context }, added)
            }
        }
    }

    /// Whether principal and resource have an attribute of this name.
    fn have(&self, name: &str) -> (bool, bool) {
        fn have<'f, F: Facts<'f>>(facts: F, name: &str) -> (bool, bool) {
            let name = Name::new(name);
            let has = |entity| facts.attribute(&entity, &name, &mut Value::Bool(false)) == Ok(true);
            (has(facts.principal()), has(facts.resource()))
        }
        match &self.of {
            Of::Directory(facts) => have(facts, name),
            Of::Table { table, principal, resource } => {
                have(TableFacts { table, principal, resource, context: &[] }, name)
            }
        }
    }
}

fn answer<'f, F: Facts<'f>>(compiled: &'f Compiled, facts: F, added: Option<&'f (Added, Added)>) -> Answer {
    match added {
        Some((principal, resource)) => compiled.answer(With { facts, principal, resource }),
        None => compiled.answer(facts),
    }
}

impl Known<'_> {
    pub(super) fn coverage(&self) -> Option<Coverage> {
        match self {
            Known::Facts(facts) => facts.coverage,
            Known::Slice(slice) => slice.coverage,
        }
    }
}

impl<'a> Check<'a> {
    pub(super) fn known(
        &self,
        evaluator: Evaluator,
        environment: Option<&Environment>,
    ) -> Result<Known<'a>, Unknown> {
        let request = self.request;
        if evaluator == Evaluator::Compiled
            && let Some(facts) =
                self.source.facts(&request.principal, &request.action, &request.resource, self.now)
        {
            return facts.map(Known::Facts);
        }
        self.slice(environment).map(Known::Slice)
    }

    fn slice(&self, environment: Option<&Environment>) -> Result<Slice, Unknown> {
        let blind = Hints::default();
        let hints = environment.map_or(&blind, |environment| &environment.hints);
        let request = self.request;
        self.source.slice(&request.principal, &request.action, &request.resource, hints, self.now)
    }
}

impl Policies {
    /// Runs the programs; what they do not know is asked of Cedar.
    pub(super) fn run(
        &self,
        environment: &Environment,
        check: &Check<'_>,
        facts: QuestionFacts<'_>,
    ) -> Result<Verdict, RequestError> {
        let (request, coverage) = (check.request, facts.coverage);
        let is_given = !request.context.is_empty() || environment.declared.asks_for_context();
        let given = if is_given {
            let context = self.context(environment, request, coverage, check.now)?;
            match compiled::fields(context.as_ref()) {
                Some(fields) => Some(fields),
                None => return self.run_cedar(environment, &environment.policies, check),
            }
        } else {
            None
        };
        let added = if request.supplied.is_empty() {
            None
        } else {
            match self.added(environment, check, &facts)? {
                Some(added) => Some(added),
                None => return self.run_cedar(environment, &environment.policies, check),
            }
        };
        let answer = facts.answer(&environment.compiled, given.as_deref(), added.as_ref(), check.now);
        let verdict =
            self.verdict(environment, &answer, |policies| self.run_cedar(environment, policies, check))?;
        debug_assert_eq!(
            Ok(&verdict),
            self.run_cedar(environment, &environment.policies, check).as_ref(),
            "compiled policies and Cedar disagree about {request:?}"
        );
        Ok(verdict)
    }

    /// What the asker supplies of principal and resource. `None`: compiled policies do not know some of it.
    fn added(
        &self,
        environment: &Environment,
        check: &Check<'_>,
        facts: &QuestionFacts<'_>,
    ) -> Result<Option<(Added, Added)>, RequestError> {
        let AccessRequest { principal, resource, supplied: said, .. } = check.request;
        let (declared, hints, source) = (&environment.declared, &environment.hints, check.source);
        let is_open = |of: &Uid, name: &str| hints.wants(name) && !source.knows(of.type_name(), name);
        let uid = |name: &EntityTypeName, of: &Uid| {
            EntityUid::from_type_name_and_id(name.clone(), EntityId::new(of.id()))
        };
        let [one, other] = &environment.types;
        let of_principal =
            supplied::added(&uid(one, principal), &said.principal, &declared.principal, |name| {
                is_open(principal, name) && !facts.have(name).0
            })?;
        // Of one who is both, what was said of the principal is known.
        let is_said = |name: &str| {
            principal == resource && of_principal.iter().flatten().any(|(own, _)| **own == *name)
        };
        let of_resource =
            supplied::added(&uid(other, resource), &said.resource, &declared.resource, |name| {
                is_open(resource, name) && !facts.have(name).1 && !is_said(name)
            })?;
        Ok(of_principal.zip(of_resource))
    }

    /// What programs say, with what `cedar` says of the policies that are no programs. Where one failed, Cedar has the
    /// word: what failed, and how, or that it did not.
    pub(super) fn verdict<E>(
        &self,
        environment: &Environment,
        answer: &Answer,
        cedar: impl FnOnce(&PolicySet) -> Result<Verdict, E>,
    ) -> Result<Verdict, E> {
        if !answer.failed.is_empty() {
            return cedar(&environment.policies);
        }
        let (decision, determining_policies) = environment.compiled.decision(answer);
        let compiled = Verdict { decision, determining_policies, errors: Vec::new() };
        match &environment.not_compiled {
            Some(rest) => Ok(compiled.and(cedar(rest)?)),
            None => Ok(compiled),
        }
    }

    /// Asks Cedar about some of the policies.
    fn run_cedar(
        &self,
        environment: &Environment,
        policies: &PolicySet,
        check: &Check<'_>,
    ) -> Result<Verdict, RequestError> {
        match check.slice(Some(environment)) {
            Ok(slice) => self.ask_about_slice(environment, policies, check, slice),
            Err(Unknown::Facts(message)) => Ok(Verdict::failed(message)),
            Err(Unknown::Principal | Unknown::Resource) => {
                Ok(Verdict::failed("the source does not know what it knew before".to_owned()))
            }
        }
    }

    /// Asks Cedar about some of the policies, with what the asker supplies.
    pub(super) fn ask_about_slice(
        &self,
        environment: &Environment,
        policies: &PolicySet,
        check: &Check<'_>,
        mut slice: Slice,
    ) -> Result<Verdict, RequestError> {
        let Check { source, request, now } = check;
        let context = self.context(environment, request, slice.coverage, *now)?;
        if !request.supplied.is_empty() {
            let (declared, supplied, hints) = (&environment.declared, &request.supplied, &environment.hints);
            let (principal, resource) = (slice.principal.clone(), slice.resource.clone());
            slice.add(&principal, &supplied.principal, &declared.principal, hints, *source)?;
            slice.add(&resource, &supplied.resource, &declared.resource, hints, *source)?;
        }
        Ok(self.ask(environment, policies, slice, context))
    }

    /// Asks Cedar. An error of any policy turns the answer into a denial.
    pub(super) fn ask(
        &self,
        environment: &Environment,
        policies: &PolicySet,
        slice: Slice,
        context: Context,
    ) -> Verdict {
        let failed = Verdict::failed;
        let all = slice.entities.into_iter().chain(environment.action_entities.iter().cloned());
        let entities = match Entities::from_entities(all, None) {
            Ok(entities) => entities,
            Err(error) => return failed(error.to_string()),
        };
        let request =
            Request::new(slice.principal, environment.action.clone(), slice.resource, context, None);
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        self.respond(policies, &request, &entities)
    }

    pub(super) fn respond(&self, policies: &PolicySet, request: &Request, entities: &Entities) -> Verdict {
        let response = self.inner.authorizer.is_authorized(request, policies, entities);
        let mut determining_policies: Vec<String> =
            response.diagnostics().reason().map(|id| name(id).to_owned()).collect();
        determining_policies.sort();
        let mut errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
        errors.sort();
        let decision = if errors.is_empty() { response.decision() } else { Decision::Deny };
        if response.decision() != decision {
            determining_policies.clear();
        }
        Verdict { decision, determining_policies, errors }
    }
}

/// Denied: no policy is about it.
impl Default for Verdict {
    fn default() -> Self {
        Self { decision: Decision::Deny, determining_policies: Vec::new(), errors: Vec::new() }
    }
}

impl Verdict {
    /// Denied, because of an error.
    pub(super) fn failed(message: String) -> Self {
        Self { decision: Decision::Deny, determining_policies: Vec::new(), errors: vec![message] }
    }

    /// What two sets of policies say together.
    fn and(self, other: Self) -> Self {
        let is_forbidden =
            |one: &Self| one.decision == Decision::Deny && !one.determining_policies.is_empty();
        let forbidden = is_forbidden(&self) || is_forbidden(&other);
        let mut together = Self::default();
        for part in [self, other] {
            if !forbidden && part.decision == Decision::Allow {
                together.decision = Decision::Allow;
            }
            if !forbidden || is_forbidden(&part) {
                together.determining_policies.extend(part.determining_policies);
            }
            together.errors.extend(part.errors);
        }
        if !together.errors.is_empty() && together.decision == Decision::Allow {
            together.decision = Decision::Deny;
            together.determining_policies.clear();
        }
        together.determining_policies.sort_unstable();
        together
    }
}
