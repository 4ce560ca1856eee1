//! What a check costs, and what it costs in a larger world.
//!
//! **Workload.** `Engine::evaluate` with the shipped policies in worlds of 1 k, 100 k and 1 M live
//! grants. An installer, a member of the company who is assigned to the site, asks for `liveView` on a
//! device of a handed-over site. Allow: a live grant covers it, every other one without end, the rest
//! for 8 hours. Deny: the same device, asked by an installer of another company; there is no grant.
//! Requests are made beforehand (fixed seed) and cycle over 65,536 random devices, so that neither the
//! processor's caches nor the branch predictor see the same one soon again.
//!
//! Beside it, the same questions asked of Cedar's `Authorizer` directly: all shipped policies in one
//! set, parsed once; a slice of the three entities installer, device and site, the context and the
//! request built anew for each question, from facts that the caller has at hand (no look-up is paid).
//! `cedar, 2 policies` leaves all policies out but those two that can match: what no program that
//! asks Cedar can go below. Both answer as the engine does; that is seen to before anything is timed.
//!
//! **Figures.** Criterion's for each, one after the other. Then the ratios, which are to be trusted more:
//! the same loops by turns, in rounds, a ratio for each round, and their median with quartiles.
//!
//! **Not covered.** The transport in front of the engine, and reading a request from JSON; a context from
//! the caller; threads that check while others write; policies beside the shipped ones.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use cedar_policy::Decision;
use consentry::{AccessRequest, Engine, Uid};
use consentry_benches::cedar::BareCedar;
use consentry_benches::frozen::Frozen;
use consentry_benches::is_asked_for;
use consentry_benches::random::Random;
use consentry_benches::rounds::{Spread, by_turns, timed};
use consentry_benches::world::{Question, World};
use criterion::Criterion;

/// Grants in each world.
const SIZES: [(usize, &str); 3] = [(1_000, "1 k"), (100_000, "100 k"), (1_000_000, "1 M")];

/// Questions that are asked by turns.
const QUESTIONS: usize = 1 << 16;

/// Rounds in which the contenders take turns, and questions in one turn.
const ROUNDS: usize = 61;
const TURN: usize = 400;

/// The policies that can match an installer's `liveView` on a device.
const MATCHING: [&str; 2] = ["installer-uses-devices-before-hand-over", "installer-uses-devices-with-grant"];

/// Something that answers one question after the other, and the first again after the last.
struct Contender {
    name: String,
    ask: Box<dyn FnMut() -> Decision>,
}

impl Contender {
    fn new<Q: 'static>(
        name: String,
        questions: impl Iterator<Item = Q>,
        answer: impl Fn(&Q) -> Decision + 'static,
    ) -> Self {
        let mut questions: VecDeque<Q> = questions.collect();
        let ask = move || {
            questions.rotate_left(1);
            answer(questions.front().expect("there are questions"))
        };
        Self { name, ask: Box::new(ask) }
    }

    fn engine(name: &str, engine: &Engine, world: World, allowed: bool) -> Self {
        let request = |question: Question| {
            let (installer, device) = (&question.installer, &question.device);
            AccessRequest::new(Uid::new("Installer", installer), "liveView", Uid::new("Device", device))
        };
        let (engine, now) = (engine.clone(), world.now());
        Self::new(format!("engine, {name} grants"), questions(world, allowed).map(request), move |request| {
            engine.evaluate(request, now).expect("it is a question").decision
        })
    }

    fn cedar(cedar: &Rc<BareCedar>, world: World, allowed: bool) -> Self {
        let (cedar, now) = (Rc::clone(cedar), world.now());
        let name = format!("cedar, {} policies", cedar.policy_count());
        Self::new(name, questions(world, allowed), move |question| cedar.decide(question, now))
    }
}

/// The questions about a world: the same ones in every run.
fn questions(world: World, allowed: bool) -> impl Iterator<Item = Question> {
    let mut random = Random::new(0x5eed_2026);
    (0..QUESTIONS).map(move |_| world.question(&mut random, allowed))
}

/// Sees that all answer alike: `expected` to each of a thousand questions.
fn agree(contenders: &mut [Contender], expected: Decision) {
    for Contender { name, ask } in contenders {
        assert!((0..1_000).all(|_| ask() == expected), "{name} answers otherwise");
    }
}

/// Measures all by turns: seconds for each contender, by rounds.
fn measured(contenders: &mut [Contender]) -> Vec<Vec<f64>> {
    let call = |contender: &mut Contender| {
        black_box((contender.ask)());
    };
    let mut all: Vec<_> = contenders.iter_mut().map(|contender| move || call(contender)).collect();
    by_turns(&mut all, ROUNDS, TURN, |turn| timed(turn).0)
}

/// Prints what was measured, and how the largest world compares with the smallest and with Cedar.
fn report(title: &str, contenders: &[Contender], seconds: &[Vec<f64>]) {
    println!("\n{title}: medians [quartiles] of {ROUNDS} rounds of {TURN} checks each, by turns");
    for (contender, seconds) in contenders.iter().zip(seconds) {
        let micros = Spread::of(seconds.iter().map(|seconds| seconds * 1e6 / TURN as f64));
        println!("  {:<24} {micros:.1} µs", contender.name);
    }
    if let [small, _, large, cedar, least] = seconds {
        for (what, below, required) in [
            // What is left of a check is looking things up: memory that is far away counts, the policies hardly.
            ("1 M ÷ 1 k grants", small, None),
            ("1 M ÷ cedar", cedar, Some(0.125)),
            ("1 M ÷ cedar, least", least, None),
        ] {
            let ratios = Spread::of_ratios(large, below);
            let verdict = required.map_or_else(String::new, |required| {
                let verdict = if ratios.median() <= required { "met" } else { "MISSED" };
                format!(" (required: at most {required}, {verdict})")
            });
            println!("  {what:<24} {ratios}{verdict}");
        }
    }
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(8));
    let engines = SIZES.map(|(grants, name)| {
        let world = World::with_grants(grants);
        (name, world, Frozen::engine(world))
    });
    let cedars = [BareCedar::shipped(), BareCedar::only(&MATCHING)].map(Rc::new);
    for (title, allowed, expected) in [("allow", true, Decision::Allow), ("deny", false, Decision::Deny)] {
        let mut contenders: Vec<Contender> = engines
            .iter()
            .map(|(name, world, engine)| Contender::engine(name, engine, *world, allowed))
            .collect();
        let world = World::with_grants(1_000_000);
        contenders.extend(cedars.iter().map(|cedar| Contender::cedar(cedar, world, allowed)));
        agree(&mut contenders, expected);
        let mut group = criterion.benchmark_group(title);
        for Contender { name, ask } in &mut contenders {
            group.bench_function(name.as_str(), |bencher| bencher.iter(&mut *ask));
        }
        group.finish();
        let seconds = measured(&mut contenders);
        report(title, &contenders, &seconds);
    }
}
