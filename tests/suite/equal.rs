//! The engine and the reference model of `plain` side by side: random lines of scripts, restarts and sweeps, on a
//! ledger on disk. Every answer is equal.
//!
//! A failure prints the script, as short as it could be made, and its seed is kept in `equal.regressions`.

use std::collections::BTreeMap;

use consentry::Engine;
use consentry_ledger::DiskLedger;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::plain::{Fault, Plain, compared, written};
use crate::world::{MIDNIGHT, Shared, answer, moment, open};

#[path = "equal/cast.rs"]
mod cast; // who and what there is
#[path = "equal/fields.rs"]
mod fields; // what a command names
#[path = "equal/propose.rs"]
mod propose; // which step comes next

use cast::Dice;
use propose::propose;

/// What is done to both.
#[derive(Clone, PartialEq)]
pub(crate) enum Step {
    /// A line of a script.
    Line(Value),
    /// The engine is dropped, and another is opened on its ledger.
    Restart { with_snapshot: bool },
    /// What time has ended is recorded.
    Sweep(i64),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "{line}"),
            Self::Restart { with_snapshot } => write!(f, "# restart, with a snapshot: {with_snapshot}"),
            Self::Sweep(at) => write!(f, "# sweep at {}", written(*at)),
        }
    }
}

/// The model, what it answered last, and what was said lately.
#[derive(Clone)]
struct Expected {
    /// How the history begins; see [`cast::cast`].
    owned: bool,
    plain: Plain,
    answer: Value,
    said: Vec<Value>,
}

impl Expected {
    fn new(owned: bool) -> Self {
        let mut expected = Self { owned, plain: Plain::default(), answer: Value::Null, said: Vec::new() };
        for step in cast::cast(owned) {
            expected.take(&step);
        }
        expected
    }

    fn take(&mut self, step: &Step) {
        self.answer = predict(&mut self.plain, step);
        if let Step::Line(line) = step
            && line.get("id").is_some()
        {
            self.said.push(line.clone());
            if self.said.len() > 12 {
                self.said.remove(0);
            }
        }
    }
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "owned: {}", self.owned)
    }
}

fn predict(plain: &mut Plain, step: &Step) -> Value {
    match step {
        Step::Line(line) => compared(&plain.line(line)),
        Step::Restart { .. } => {
            plain.restart();
            Value::Null
        }
        Step::Sweep(at) => json!(plain.sweep(*at)),
    }
}

/// Where an engine writes.
enum Place {
    Disk(TempDir),
    Memory(Shared),
}

impl Place {
    fn opened(&self) -> Engine {
        match self {
            Self::Disk(folder) => open(DiskLedger::open(folder.path()).unwrap()),
            Self::Memory(ledger) => open(ledger.clone()),
        }
    }
}

/// The engine, and the script so far.
struct Real {
    place: Place,
    engine: Option<Engine>,
    script: Vec<Step>,
}

impl Real {
    fn at(place: Place, owned: bool) -> Self {
        let mut real = Self { engine: Some(place.opened()), place, script: Vec::new() };
        let mut plain = Plain::default();
        for step in cast::cast(owned) {
            let expected = predict(&mut plain, &step);
            real.agrees(step, &expected);
        }
        real
    }

    fn take(&mut self, step: &Step) -> Value {
        self.script.push(step.clone());
        let engine = self.engine.as_ref().unwrap();
        match step {
            Step::Line(line) => compared(&answer(engine, line)),
            Step::Restart { with_snapshot } => {
                if *with_snapshot {
                    engine.save_snapshot().unwrap();
                }
                // One engine at a time: a ledger on disk belongs to whoever opened it.
                self.engine = None;
                self.engine = Some(self.place.opened());
                Value::Null
            }
            Step::Sweep(at) => json!(engine.sweep(moment(at - MIDNIGHT)).unwrap()),
        }
    }

    fn agrees(&mut self, step: Step, expected: &Value) -> Value {
        let answer = self.take(&step);
        if answer != *expected {
            let script: Vec<String> = self.script.iter().map(|step| format!("{step:?}")).collect();
            panic!("{}\nthe engine: {answer}\nthe model:  {expected}", script.join("\n"));
        }
        answer
    }
}

struct Both;

impl ReferenceStateMachine for Expected {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        any::<bool>().prop_map(Self::new).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let state = state.clone();
        any::<u64>()
            .no_shrink()
            .prop_map(move |seed| propose(&state.plain, &state.said, &mut Dice(seed)))
            .boxed()
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.take(step);
        state
    }
}

impl StateMachineTest for Both {
    type SystemUnderTest = Real;
    type Reference = Expected;

    fn init_test(expected: &Expected) -> Real {
        Real::at(Place::Disk(TempDir::new().unwrap()), expected.owned)
    }

    fn apply(mut real: Real, expected: &Expected, step: Step) -> Real {
        real.agrees(step, &expected.answer);
        real
    }

    /// Everything is looked at, and again by an engine that knows nothing but the ledger.
    fn teardown(mut real: Real, expected: Expected) {
        let mut plain = expected.plain;
        let restart = Step::Restart { with_snapshot: false };
        let (looks, checks) = (cast::looks(&plain), cast::checks(&plain));
        for step in looks.clone().into_iter().chain(checks).chain([restart]).chain(looks) {
            let expected = predict(&mut plain, &step);
            real.agrees(step, &expected);
        }
    }
}

fn config() -> ProptestConfig {
    let cases =
        if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 40 };
    ProptestConfig {
        cases,
        // Enough to leave out one step after another.
        max_shrink_iters: 1000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn every_answer_is_the_models(sequential 1..=120 => Both);
}

// ------------------------------------------------------------------------- that the comparison can fail

/// So many histories with fixed seeds are tried at most, of so many steps.
const MANY: u64 = 150;
const LONG: usize = 150;

fn is_owned(seed: u64) -> bool {
    !seed.is_multiple_of(2)
}

/// Steps that follow from a seed, and the engine's answers; the model agrees with all.
fn recorded(seed: u64) -> Vec<(Step, Value)> {
    let (mut expected, mut real) =
        (Expected::new(is_owned(seed)), Real::at(Place::Memory(Shared::default()), is_owned(seed)));
    let mut dice = Dice(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    let mut record = Vec::new();
    let mut both = |expected: &mut Expected, step: Step| {
        expected.take(&step);
        let answer = real.agrees(step.clone(), &expected.answer);
        record.push((step, answer));
    };
    for _ in 0..LONG {
        let step = propose(&expected.plain, &expected.said, &mut dice);
        both(&mut expected, step);
    }
    let checks = cast::checks(&expected.plain).into_iter().skip(seed as usize % 3).step_by(3);
    for step in cast::looks(&expected.plain).into_iter().chain(checks) {
        both(&mut expected, step);
    }
    record
}

/// Whether a model with this fault gives itself away.
fn is_found(fault: Fault, seed: u64, record: &[(Step, Value)]) -> bool {
    let mut plain = Plain::with(fault);
    cast::cast(is_owned(seed)).iter().for_each(|step| drop(predict(&mut plain, step)));
    record.iter().any(|(step, answer)| predict(&mut plain, step) != *answer)
}

/// What a line was answered, in a word.
fn outcome(line: &Value, answer: &Value) -> (String, String) {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(command) = line.get("do") {
        let name = command.as_object().unwrap().keys().next().unwrap().clone();
        return (name, word(&answer["code"]).unwrap_or("ok".to_owned()));
    }
    if let Some(show) = line.get("show") {
        let kind = show.as_object().unwrap().keys().next().unwrap();
        let state = word(&answer["state"]).or_else(|| word(&answer["code"]));
        return (format!("show {kind}"), state.unwrap());
    }
    if line.get("list").is_some() {
        return ("list".to_owned(), "grants".to_owned());
    }
    let until = if answer["valid_until"].is_null() { "allow" } else { "allow until" };
    let denied = word(&answer["reason"]).or_else(|| word(&answer["code"]));
    ("check".to_owned(), denied.unwrap_or(until.to_owned()))
}

const REFUSALS: [&str; 12] = [
    "invalid",
    "conflict",
    "not_found",
    "already_exists",
    "not_permitted",
    "wrong_state",
    "expired",
    "live_duplicate",
    "wider_than_asked",
    "weak_password",
    "lan_not_attested",
    "unsupported_device",
];

/// How often each answer was met, by what was asked.
#[derive(Default)]
struct Met(BTreeMap<String, BTreeMap<String, usize>>);

impl Met {
    fn has(&self, what: &str, outcome: &str) -> bool {
        self.0.get(what).is_some_and(|outcomes| outcomes.contains_key(outcome))
    }

    /// What was never met, and has to be.
    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for name in cast::COMMANDS {
            let wanted = ["ok", "not_permitted"].into_iter().filter(|code| !self.has(name, code));
            missed.extend(wanted.map(|code| format!("{name}: {code}")));
        }
        let refusals = REFUSALS.iter().filter(|code| !cast::COMMANDS.iter().any(|name| self.has(name, code)));
        missed.extend(refusals.map(|code| (*code).to_owned()));
        for (what, outcomes) in cast::ANSWERS {
            let wanted = outcomes.split(' ').filter(|outcome| !self.has(what, outcome));
            missed.extend(wanted.map(|outcome| format!("{what}: {outcome}")));
        }
        missed
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (what, outcomes) in &self.0 {
            let times = outcomes.iter().map(|(outcome, times)| format!("{outcome} {times}"));
            writeln!(f, "{what}: {}", times.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

#[test]
fn every_command_and_refusal_is_met_and_every_fault_of_the_model_is_found() {
    let mut met = Met::default();
    let mut hidden = Fault::ALL.to_vec();
    for seed in 1..=MANY {
        let record = recorded(seed);
        for (step, answer) in &record {
            if let Step::Line(line) = step {
                let (what, outcome) = outcome(line, answer);
                *met.0.entry(what).or_default().entry(outcome).or_default() += 1;
            }
        }
        let (found, still) = hidden.into_iter().partition(|fault| is_found(*fault, seed, &record));
        hidden = still;
        let found: Vec<Fault> = found;
        if !found.is_empty() {
            println!("history {seed} finds {found:?}");
        }
        if hidden.is_empty() && met.missed().is_empty() {
            break;
        }
    }
    println!("{met}");
    assert!(met.missed().is_empty(), "never met: {:#?}", met.missed());
    assert!(hidden.is_empty(), "not found: {hidden:#?}");
}
