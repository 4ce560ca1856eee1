//! Compiled policies beside Cedar's authorizer, on generated schemas, policies, entities and requests: the same decision,
//! the same determining policies, the same policies that failed.
//!
//! Of two families of policies one is written by the types of the schema, so that nearly all of it passes validation, and
//! the other without much regard to them. Some entities and contexts of both do not fit the schema.
//!
//! `PROPTEST_CASES=200000 cargo test --release -p consentry --lib compiled::tests::generated_policies` asks more than a
//! million questions of each family instead of 2,400: a case is several.

mod expression;
mod facts;
mod faults;
mod index_faults;
mod model;
mod policy;
mod questions;
mod values;

use std::collections::BTreeSet;
use std::fmt;

use cedar_policy::{PolicyId, Schema, ValidationMode, Validator};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;

use super::*;
use facts::{Asking, Maker};
use model::{Model, Tape};
use policy::Written;

const REQUESTS: usize = 6;

/// How policies are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Family {
    /// So that they pass validation.
    Typed,
    /// With expressions that are of any type.
    Wild,
}

struct Case {
    schema: String,
    policies: Vec<Written>,
    entities: Json,
    requests: Vec<Asking>,
}

/// What to reproduce the case with.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n--- schema\n{}--- policies", self.schema)?;
        for Written { text, links } in &self.policies {
            writeln!(f, "{text}")?;
            for link in links {
                writeln!(f, "  linked: {link:?}")?;
            }
        }
        writeln!(f, "--- entities\n{:#}\n--- requests", self.entities)?;
        for Asking { principal, action, resource, context } in &self.requests {
            writeln!(f, "{principal} {action} {resource} {context}")?;
        }
        Ok(())
    }
}

fn cases(family: Family) -> impl Strategy<Value = Case> {
    let tape = |length| prop::collection::vec(any::<u16>(), 0..length);
    (tape(500), tape(1_500), tape(800)).prop_map(move |(schema, policies, facts)| {
        let model = Model::generate(&mut Tape::new(&schema));
        let mut tape = Tape::new(&policies);
        let wild = if family == Family::Wild { [8, 4, 15, 30][tape.below(4)] } else { 0 };
        let count = 1 + tape.below(12);
        let policies = (0..count).map(|_| policy::generate(&model, &mut tape, wild)).collect();
        let mut tape = Tape::new(&facts);
        let wrong = [0, 0, 5, 15][tape.below(4)];
        let mut maker = Maker { model: &model, tape: &mut tape, wrong };
        // The requests first: they are what the facts should be about when the tape is short.
        let requests = (0..REQUESTS).map(|_| maker.asking()).collect();
        let entities = maker.entities();
        Case { schema: model.schema(), policies, entities, requests }
    })
}

/// The first cases of a family, the same ones every time.
fn first(family: Family) -> impl Iterator<Item = Case> {
    let mut runner = TestRunner::deterministic();
    let strategy = cases(family);
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current())
}

impl Case {
    fn entities(&self) -> Entities {
        Entities::from_json_value(self.entities.clone(), None).unwrap()
    }
}

/// Holds every answer beside Cedar's. How many questions were compiled.
fn compare(case: &Case) -> Result<usize, TestCaseError> {
    let mut compiled = 0;
    let policies = policy::policy_set(&case.policies);
    let entities = case.entities();
    let table = EntityTable::new(&entities).unwrap();
    for asking in &case.requests {
        let request = asking.request();
        match Question::new(&policies, &request, &entities, &table) {
            Ok(question) => {
                compiled += 1;
                let cedar = by_cedar(&policies, &request, &entities);
                prop_assert_eq!(question.answer(), cedar, "{:?}", asking);
            }
            Err(reasons) => {
                prop_assert!(!reasons.is_empty(), "no value is unknown");
                for (id, why) in reasons {
                    match why {
                        NotCompiled::Nested => prop_assert!(false, "{} is not nested that deep", id),
                        NotCompiled::Unknown(part) => prop_assert!(false, "{} holds no `{}`", id, part),
                        NotCompiled::Call(_) | NotCompiled::Action => {}
                    }
                }
            }
        }
    }
    Ok(compiled)
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

/// Runs a test where Cedar's evaluator, which tells an error when little of the stack is left, has enough of it.
fn on_a_large_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 20).spawn_scoped(scope, test).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn answers_as_cedar_does(family: Family) {
    on_a_large_stack(|| {
        let mut runner = TestRunner::new(config(400));
        let result = runner.run(&cases(family), |case| compare(&case).map(drop));
        result.unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn generated_policies_answer_as_cedar_does() {
    answers_as_cedar_does(Family::Typed);
}

#[test]
fn generated_policies_that_no_schema_fits_answer_as_cedar_does() {
    answers_as_cedar_does(Family::Wild);
}

#[test]
fn generated_policies_pass_validation_and_are_compiled() {
    let (mut policies, mut invalid) = (0, 0);
    let (mut questions, mut compiled) = (0, 0);
    on_a_large_stack(|| {
        for case in first(Family::Typed).take(100) {
            questions += case.requests.len();
            compiled += compare(&case).unwrap();
            let (schema, _) = Schema::from_cedarschema_str(&case.schema).unwrap();
            let set = policy::policy_set(&case.policies);
            let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
            let failed: BTreeSet<&PolicyId> =
                result.validation_errors().map(|error| error.policy_id()).collect();
            policies += case.policies.len();
            invalid += failed.len();
        }
    });
    assert!(invalid * 100 <= policies, "{invalid} of {policies} policies are not valid");
    assert!(compiled * 100 >= questions * 99, "{compiled} of {questions} questions are compiled");
}

/// Calls `each` with the questions of the first cases, by turns of both families, and what Cedar answers; as long as
/// `each` wants more.
fn first_questions(count: usize, mut each: impl FnMut(&PolicySet, &mut Question<'_>, Compared) -> bool) {
    let (mut typed, mut wild) = (first(Family::Typed), first(Family::Wild));
    let cases = std::iter::repeat_with(|| [typed.next().unwrap(), wild.next().unwrap()]).flatten();
    let mut questions = 0;
    for case in cases {
        let policies = policy::policy_set(&case.policies);
        let entities = case.entities();
        let table = EntityTable::new(&entities).unwrap();
        for asking in &case.requests {
            let request = asking.request();
            let Ok(mut question) = Question::new(&policies, &request, &entities, &table) else { continue };
            questions += 1;
            let goes_on = each(&policies, &mut question, by_cedar(&policies, &request, &entities));
            if !goes_on || questions == count {
                return;
            }
        }
    }
}

#[test]
fn generated_questions_are_of_every_kind_and_run_every_step() {
    const QUESTIONS: usize = 2_000;
    let (mut allowed, mut denied, mut forbidden, mut failed) = (0, 0, 0, 0);
    let kinds = faults::kinds();
    let mut emitted = vec![0; kinds.len()];
    let mut run = vec![0; kinds.len()];
    on_a_large_stack(|| {
        first_questions(QUESTIONS, |_, question, cedar| {
            match cedar.decision {
                Decision::Allow => allowed += 1,
                Decision::Deny if cedar.determining_policies.is_empty() => denied += 1,
                Decision::Deny => forbidden += 1,
            }
            failed += usize::from(!cedar.failed.is_empty());
            let Question { compiled, principal, resource, context, table } = &*question;
            let facts = TableFacts { table, principal, resource, context };
            for (at, kind) in kinds.iter().enumerate() {
                let fault = faults::not_reached(*kind);
                for program in &compiled.programs {
                    let Some(code) = fault.code(&program.code) else { continue };
                    let mut machine = Machine::new(facts);
                    emitted[at] += 1;
                    run[at] += usize::from(
                        machine.is_satisfied(&program.code) != Machine::new(facts).is_satisfied(&code),
                    );
                }
            }
            true
        });
    });
    for (count, what) in
        [(allowed, "allowed"), (denied, "denied"), (forbidden, "forbidden"), (failed, "with a failed policy")]
    {
        assert!(count * 10 >= QUESTIONS, "{count} of {QUESTIONS} are {what}");
    }
    for ((kind, emitted), run) in kinds.iter().zip(emitted).zip(run) {
        // Where the rest of the program fails anyway, this does not see that a step was run.
        assert!(emitted >= 40 && run >= 8, "{kind:?} is in {emitted} programs, and run in {run}");
    }
}

#[test]
fn every_fault_of_a_compiler_shows_in_a_generated_case() {
    let mut faults = faults::faults();
    let mut index_faults = index_faults::FAULTS.to_vec();
    on_a_large_stack(|| {
        let mut questions = 0;
        first_questions(4_000, |policies, question, cedar| {
            questions += 1;
            let found = |name: &str| println!("{name}: found by question {questions}");
            faults.retain(|fault| {
                let survives = fault.put_into(question, |faulty| faulty.answer() == cedar);
                if !survives {
                    found(&fault.name);
                }
                survives
            });
            index_faults.retain(|(name, fault)| {
                let index = index_faults::index(*fault, question, policies);
                let right = std::mem::replace(&mut question.compiled.index, index);
                let survives = question.answer() == cedar;
                question.compiled.index = right;
                if !survives {
                    found(name);
                }
                survives
            });
            !(faults.is_empty() && index_faults.is_empty())
        });
    });
    let faults = faults.iter().map(|fault| &*fault.name);
    let survivors: Vec<&str> = faults.chain(index_faults.iter().map(|(name, _)| *name)).collect();
    assert!(survivors.is_empty(), "no generated case shows {survivors:#?}");
}
