//! What a check costs beside other engines: one process, one workload, one oracle.
//!
//! **Workload.** 1 k to 1 M grants, every fourth of them over; 20,000 questions: half of them about a live grant of the
//! asker's company, 20 % about one that is over, 15 % about an action that nobody was given, 15 % by an installer of
//! another company ([`workload`] has the details). A question comes as strings, type and id of principal and resource and
//! the action, with the moment that is `now`; what an engine makes of them to be asked is a part of what is timed. Answers
//! are right when they are what plain arithmetic says, and nothing is timed before all contenders have answered all
//! questions so.
//!
//! **Contenders.** Each has its facts in the form that is natural to it. The first three and the last decide by the policies
//! that come with Consentry; the others have one rule that gives the same answers to these questions:
//! - `consentry`: `Engine::check_named` with the policies that come with it;
//! - `consentry, with policies`: `Engine::evaluate`, whose answer names the policies that decided, which no other's does;
//! - `consentry, by key`: `Engine::check`, keys looked up before, which no other contender has;
//! - `regorus RVM`: Rego as bytecode over one document (`regorus.rs`);
//! - `cedar-policy`: over one set of entities with tags, one policy for each action; one policy for all of them; and that with a
//!   key that the caller puts together (`cedar.rs`);
//! - `cedar-policy, shipped policies`: over one set of entities as the schema has them, with the caller's own map of grants
//!   (`shipped.rs`): the same rules on both sides.
//!
//! **Figures.** Medians with quartiles over rounds in which all take turns with 1,000 questions each, in an order that is
//! drawn anew for every round; ratios are taken in each round. A turn is long, as the one before it has filled the caches
//! with something else. Questions are about random devices: at more grants, what they are about is less often in the
//! caches, which is most of what they cost more.
//!
//! **Not covered.** The network; reading a request from JSON; attributes in the context; updates, and checks meanwhile;
//! several threads; memory.

#![forbid(unsafe_code)]

mod cedar;
mod consentry;
#[path = "../../src/frozen.rs"]
mod frozen;
mod measure;
mod plot;
#[path = "../../src/random.rs"]
mod random;
mod regorus;
mod shipped;
#[path = "../../src/spread.rs"]
mod spread;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::{Contender, by_turns};
use plot::{Line, short};
use spread::Spread;
use workload::{QUESTIONS, Workload};

const HELP: &str = "\
Measures what a check costs in Consentry, in regorus (its bytecode machine) and in cedar-policy: on the same facts, the same
questions, by turns, after all have answered every question rightly.

Usage: consentry-compare [--quick] [--plot FILE]

  --quick      few rounds, up to 100 k grants
  --plot FILE  writes a plot of the medians to FILE, as SVG
  --help       says this

Exit status: 0 when everything was measured, 1 when a contender answered wrongly or FILE cannot be written, 2 when the
arguments are wrong. A ratio that misses its bound is said to, and is no failure.";

/// Numbers of grants, all of them multiples of 8.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Where the bounds hold.
const BOUNDED: usize = 100_000;

/// How many times the cost of `consentry` these have, at the least.
const BOUNDS: [(&str, f64); 4] = [(REGORUS, 3.0), (CEDAR, 8.0), (CEDAR_ONE, 8.0), (CEDAR_SHIPPED, 8.0)];

/// So many contenders are Consentry's.
const OURS: usize = 3;

const CONSENTRY: &str = "consentry";
const REGORUS: &str = "regorus RVM";
const CEDAR: &str = "cedar-policy";
const CEDAR_ONE: &str = "cedar-policy, one policy";
const CEDAR_SHIPPED: &str = "cedar-policy, shipped policies";

/// Rounds, and with `--quick`; questions in a turn.
const ROUNDS: usize = 41;
const QUICK: usize = 15;
const TURN: usize = 1_000;

/// What is to be done.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    plot: Option<PathBuf>,
    help: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--help" => options.help = true,
                "--plot" => match arguments.next() {
                    Some(file) if !file.starts_with("--") => options.plot = Some(file.into()),
                    _ => return Err("`--plot` needs the name of a file".to_owned()),
                },
                other => return Err(format!("unknown argument `{other}`; `--help` lists all")),
            }
        }
        Ok(options)
    }

    fn rounds(&self) -> usize {
        if self.quick { QUICK } else { ROUNDS }
    }

    fn sizes(&self) -> impl Iterator<Item = usize> {
        let most = if self.quick { BOUNDED } else { usize::MAX };
        SIZES.into_iter().filter(move |grants| *grants <= most)
    }
}

/// Median, quartiles and ratios of one size.
fn report(grants: usize, names: &[&'static str], micros: &[Vec<f64>]) {
    for (name, micros) in names.iter().zip(micros) {
        println!("  {name:<30} {:.2}", Spread::of(micros.iter().copied()));
    }
    let Some(ours) = micros.first() else { return };
    for (name, theirs) in names.iter().zip(micros).skip(OURS) {
        let ratio = Spread::of_ratios(theirs, ours);
        let bound = BOUNDS.iter().find(|(bounded, _)| grants == BOUNDED && bounded == name);
        let verdict = bound.map(|(_, bound)| {
            let verdict = if ratio.median() >= *bound { "met" } else { "MISSED" };
            format!(" (required: at least {bound}, {verdict})")
        });
        let what = format!("{name} / {CONSENTRY}");
        println!("  {what:<42} {ratio:.2}{}", verdict.unwrap_or_default());
    }
}

/// Microseconds a check at this size: medians by contender. An error: who answered wrongly, and how often.
fn measured(grants: usize, rounds: usize) -> Result<Vec<(&'static str, f64)>, String> {
    let workload = Workload::with_grants(grants);
    let queries = workload.queries();
    let engine = consentry::engine(workload);
    let rego = regorus::Facts::of(workload);
    let entities = cedar::Facts::of(workload);
    let same_rules = shipped::Facts::of(workload);
    let mut contenders = vec![
        Contender::new(CONSENTRY, consentry::from_strings(&engine)),
        Contender::new("consentry, with policies", consentry::with_policies(&engine)),
        Contender::new("consentry, by key", consentry::by_key(&engine, &queries)),
        Contender::new(REGORUS, rego.answers()),
        Contender::new(CEDAR, entities.policy_for_each_action()),
        Contender::new(CEDAR_ONE, entities.all_in_cedar()),
        Contender::new("cedar-policy, caller's key", entities.callers_key()),
        Contender::new(CEDAR_SHIPPED, same_rules.answers()),
    ];
    for contender in &mut contenders {
        match contender.mismatches(&queries) {
            0 => {}
            wrong => return Err(format!("{}: {wrong} mismatches of {QUESTIONS}", contender.name)),
        }
    }
    let allowed = queries.iter().filter(|query| query.is_allowed).count();
    println!("\n{} grants: {QUESTIONS} questions, {allowed} to be allowed", short(grants as f64));
    println!(
        "  {} contenders, 0 mismatches; {} instructions in the RVM",
        contenders.len(),
        rego.instructions()
    );
    let micros = by_turns(&mut contenders, &queries, rounds, TURN);
    let names: Vec<&'static str> = contenders.iter().map(|contender| contender.name).collect();
    report(grants, &names, &micros);
    Ok(names.into_iter().zip(micros.into_iter().map(|micros| Spread::of(micros).median())).collect())
}

/// Adds what was measured at one size to the lines.
fn extend(lines: &mut Vec<Line>, grants: usize, medians: Vec<(&'static str, f64)>) {
    for (name, micros) in medians {
        let point = (grants as f64, micros);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: name.to_owned(), points: vec![point] }),
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let rounds = options.rounds();
    println!(
        "Microseconds a check, medians [quartiles] of {rounds} rounds by turns, {TURN} questions a turn"
    );
    let mut lines = Vec::new();
    for grants in options.sizes() {
        extend(&mut lines, grants, measured(grants, rounds)?);
    }
    let Some(file) = &options.plot else { return Ok(()) };
    let plot = plot::svg("Microseconds a check, by the number of grants", &lines);
    std::fs::write(file, plot).map_err(|error| format!("{}: {error}", file.display()))
}

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)) {
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Ok(options) if options.help => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(options) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}
