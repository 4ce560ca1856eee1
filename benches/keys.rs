//! What a check costs to whoever knows principal, action and resource by their keys.
//!
//! **Workload.** `Engine::check` with the shipped policies. Hot: 64 questions by turns in a world of 1 k live grants,
//! which stay in the processor's caches. Random: 1,048,576 questions in a world of 1 M live grants, each about a random
//! device, so that what a check looks at is far away. An installer, a member of the company who is assigned to the site,
//! asks for `liveView` on a device of a handed-over site. Allow: a live grant covers it. Deny: asked by an installer of
//! another company.
//!
//! Beside it, in the same run:
//! - **by hand**: the shipped rules for this kind of question written in Rust over the same rows of the same directory
//!   (`policy::by_hand`), the floor under whatever evaluates policies over it;
//! - **Cedar**: its `Authorizer` with all shipped policies, on the same 64 questions, with a slice of three entities, a
//!   context and a request that are built anew for each question; and with all of these built beforehand, so that nothing
//!   but the evaluation is paid for.
//!
//! All answer alike; that is seen to before anything is timed. Figures are Criterion's, and then medians of rounds by
//! turns with their quartiles, from which the ratios are. A turn on the large world is long, as the contender before it
//! has filled the caches with something else.
//!
//! **Not covered.** Looking keys up; a context from the caller; threads that check while others write (`directory`).

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::hint::black_box;
use std::time::Duration;

use cedar_policy::Decision;
use consentry::domain::Permission;
use consentry::policy::by_hand::may_use_device;
use consentry::{ActionKey, Directory, Engine, EntityKey, Timestamp, Uid};
use consentry_benches::cedar::BareCedar;
use consentry_benches::frozen::Frozen;
use consentry_benches::is_asked_for;
use consentry_benches::random::Random;
use consentry_benches::rounds::{Spread, by_turns, timed};
use consentry_benches::world::{Question, World};
use criterion::Criterion;

/// Questions that stay in the caches, and such as do not.
const HOT: usize = 64;
const RANDOM: usize = 1 << 20;

const ROUNDS: usize = 61;

struct Contender<'a> {
    name: &'static str,
    /// Checks in one turn.
    turn: usize,
    ask: Box<dyn FnMut() -> bool + 'a>,
}

/// Who asks about what.
type Keys = (EntityKey, EntityKey);

struct Place {
    world: World,
    engine: Engine,
    action: ActionKey,
}

impl Place {
    fn of(grants: usize) -> Self {
        let world = World::with_grants(grants);
        let engine = Frozen::engine(world);
        let action = engine.action("liveView").expect("the schema has it");
        Self { world, engine, action }
    }

    fn questions(&self, count: usize, allowed: bool) -> Vec<Question> {
        let mut random = Random::new(0x5eed_2026);
        (0..count).map(|_| self.world.question(&mut random, allowed)).collect()
    }

    fn keys(&self, questions: &[Question]) -> Vec<Keys> {
        let key = |kind: &str, id: &str| self.engine.key(&Uid::new(kind, id)).expect("it is registered");
        let keys =
            |question: &Question| (key("Installer", &question.installer), key("Device", &question.device));
        questions.iter().map(keys).collect()
    }

    fn by_key<'a>(&'a self, name: &'static str, turn: usize, keys: &'a [Keys]) -> Contender<'a> {
        let (mut keys, now) = (keys.iter().cycle(), self.world.now());
        let ask = move || {
            let (principal, resource) = keys.next().expect("there are questions");
            self.engine.check(*principal, &self.action, *resource, now).is_allowed()
        };
        Contender { name, turn, ask: Box::new(ask) }
    }

    fn by_hand<'a>(
        &'a self,
        name: &'static str,
        turn: usize,
        keys: &'a [Keys],
        directory: &'a Directory,
    ) -> Contender<'a> {
        let (mut keys, now) = (keys.iter().cycle(), self.world.now());
        let ask = move || {
            let (principal, resource) = keys.next().expect("there are questions");
            may_use_device(directory, (*principal, Permission::LiveView, *resource), now)
        };
        Contender { name, turn, ask: Box::new(ask) }
    }
}

fn cedar<'a>(cedar: &'a BareCedar, questions: &'a [Question], now: Timestamp) -> [Contender<'a>; 2] {
    let prepared: Vec<_> = questions.iter().map(|question| cedar.prepared(question, now)).collect();
    let (mut anew, mut at) = (questions.iter().cycle(), 0);
    let anew = move || cedar.decide(anew.next().expect("there are questions"), now) == Decision::Allow;
    let ask = move || {
        at = (at + 1) % prepared.len();
        prepared.get(at).is_some_and(|question| cedar.ask(question) == Decision::Allow)
    };
    [
        Contender { name: "cedar, slice built anew, hot", turn: 200, ask: Box::new(anew) },
        Contender { name: "cedar, all built before, hot", turn: 200, ask: Box::new(ask) },
    ]
}

/// Microseconds a check, by rounds.
fn measured(contender: &mut [Contender<'_>]) -> Vec<Vec<f64>> {
    let turns: Vec<usize> = contender.iter().map(|contender| contender.turn).collect();
    let turn = |Contender { turn, ask, .. }: &mut Contender<'_>| {
        for _ in 0..*turn {
            black_box(ask());
        }
    };
    let mut all: Vec<_> = contender.iter_mut().map(|contender| move || turn(contender)).collect();
    let seconds = by_turns(&mut all, ROUNDS, 1, |turn| timed(turn).0);
    let micros = |(seconds, turn): (Vec<f64>, usize)| {
        seconds.into_iter().map(|seconds| seconds * 1e6 / turn as f64).collect()
    };
    seconds.into_iter().zip(turns).map(micros).collect()
}

fn required(what: &str, is: f64, bound: f64, is_met: bool) {
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("  {what:<48} {is:.2} (required: {bound}, {verdict})");
}

fn report(title: &str, contenders: &[Contender<'_>], micros: &[Vec<f64>]) {
    println!("\n{title}: microseconds a check, medians [quartiles] of {ROUNDS} rounds by turns");
    for (contender, micros) in contenders.iter().zip(micros) {
        println!("  {:<32} {:.3}", contender.name, Spread::of(micros.iter().copied()));
    }
    if let [hot, _, anew, before, random, by_hand] = micros {
        let hot_micros = Spread::of(hot.iter().copied()).median();
        required("hot, microseconds", hot_micros, 0.4, hot_micros <= 0.4);
        let faster = Spread::of_ratios(anew, hot).median();
        required("cedar with a slice built anew / hot", faster, 25.0, faster >= 25.0);
        let faster = Spread::of_ratios(before, hot).median();
        required("cedar with all built before / hot", faster, 25.0, faster >= 25.0);
        let random_micros = Spread::of(random.iter().copied()).median();
        required("random among 1 M, microseconds", random_micros, 1.5, random_micros <= 1.5);
        let slower = Spread::of_ratios(random, by_hand).median();
        required("random among 1 M / by hand", slower, 3.0, slower <= 3.0);
    }
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(8));
    let (small, large) = (Place::of(1_000), Place::of(1_000_000));
    let (few, all) = (small.engine.directory(), large.engine.directory());
    let policies = BareCedar::shipped();
    for (title, allowed) in [("allow", true), ("deny", false)] {
        let hot = small.questions(HOT, allowed);
        let (near, far) = (small.keys(&hot), large.keys(&large.questions(RANDOM, allowed)));
        let [anew, before] = cedar(&policies, &hot, small.world.now());
        let mut contenders = [
            small.by_key("by key, hot", 2_000, &near),
            small.by_hand("by hand, hot", 2_000, &near, &few),
            anew,
            before,
            large.by_key("by key, random among 1 M", 10_000, &far),
            large.by_hand("by hand, random among 1 M", 10_000, &far, &all),
        ];
        for Contender { name, ask, .. } in &mut contenders {
            assert!((0..1_000).all(|_| ask() == allowed), "{name} answers otherwise");
        }
        let mut group = criterion.benchmark_group(title);
        for Contender { name, ask, .. } in &mut contenders {
            group.bench_function(*name, |bencher| bencher.iter(&mut *ask));
        }
        group.finish();
        let micros = measured(&mut contenders);
        report(title, &contenders, &micros);
    }
}
