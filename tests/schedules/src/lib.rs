//! The engine's threads, in one interleaving after another. Every lock, every atomic and every wait of the
//! engine is a point at which shuttle may go on with another thread; a deadlock, or a wait that nobody ends,
//! fails by itself. What the threads were told has to be what [`story::Story`] tells one after the other: it is
//! linearizable, by stateright's tester.
//!
//! Run by `cargo test` in this folder; `SCHEDULES` says how many for each of the tests.
#![cfg(test)]

mod ledger;
mod story;

use std::sync::{Arc, LazyLock};

use consentry::directory::Coverage;
use consentry::domain::Permission;
use consentry::view::ShowRequest;
use consentry::{Answer, Command, Engine, Ledger as _, MemoryLedger, Policies, Submission, Timestamp};
use serde_json::{Value, json};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Mutex;
use shuttle::{Config, Runner, thread};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};

use ledger::{Fault, Slow};
use story::{Op, Ret, Story};

fn now() -> Timestamp {
    Timestamp::from_millis(1_772_323_200_000)
}

/// Of the application.
fn deadline() -> Timestamp {
    Timestamp::from_millis(now().millis() + 24 * 3_600_000)
}

static POLICIES: LazyLock<Policies> = LazyLock::new(|| Policies::shipped().unwrap());

fn submission(who: &str, command: Value) -> Submission {
    let command: Command = serde_json::from_value(command).unwrap();
    Submission::new(who.parse().unwrap(), command)
}

const ROOT: &str = r#"Operator::"root""#;
const ADA: &str = r#"Installer::"ada""#;
const OLGA: &str = r#"EndUser::"olga""#;

/// A ledger on which olga owns the villa, and ada has applied for live view.
fn begun() -> Arc<MemoryLedger> {
    let ledger = Arc::new(MemoryLedger::new());
    let engine = open(Slow::on(ledger.clone(), Fault::Nothing));
    let invite = json!({"invite": "i-1", "site": "villa", "contact": {"email": "olga@example.com"},
                        "permissions": [], "disableService": false});
    for (who, command) in [
        (ROOT, json!({"registerCompany": {"company": "acme"}})),
        (
            ROOT,
            json!({"registerInstaller": {"installer": "ada", "company": "acme", "role": "admin", "permissions": []}}),
        ),
        (ROOT, json!({"registerEndUser": {"endUser": "olga", "contacts": [{"email": "olga@example.com"}]}})),
        (ADA, json!({"createSite": {"site": "villa", "company": "acme", "kind": "normal"}})),
        (ROOT, json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}})),
        (ADA, json!({"inviteOwner": invite})),
        (OLGA, json!({"acceptInvite": {"invite": "i-1"}})),
        (ADA, apply("a-1", "liveView")),
    ] {
        let answer = engine.submit(&submission(who, command), now()).unwrap();
        assert!(answer.receipt().is_some(), "{answer:?}");
    }
    ledger
}

fn apply(id: &str, permission: &str) -> Value {
    let permissions = json!([{"permission": permission, "devices": ["cam-7"], "validity": "permanent"}]);
    json!({"applyForPermission": {"application": id, "site": "villa", "permissions": permissions}})
}

fn open(ledger: Slow) -> Engine {
    Engine::builder(ledger).policies(POLICIES.clone()).open().unwrap()
}

/// What a thread did and was told. `None`: the ledger failed, and nothing happened.
fn act(engine: &Engine, op: Op) -> Option<Ret> {
    let submission = match op {
        Op::Accept => submission(OLGA, json!({"acceptApplication": {"application": "a-1"}})),
        Op::AcceptAgain => {
            let again = submission(OLGA, json!({"acceptApplication": {"application": "a-1"}}));
            again.with_id("again".parse().unwrap())
        }
        Op::Reject => submission(OLGA, json!({"rejectApplication": {"application": "a-1"}})),
        Op::Withdraw => submission(ADA, json!({"withdrawApplication": {"application": "a-1"}})),
        Op::Apply(number) => submission(ADA, apply(&format!("b-{number}"), "playback")),
        Op::EndGrant => submission(OLGA, json!({"withdrawGrant": {"grant": "a-1/liveView/cam-7"}})),
        Op::Sweep => return engine.sweep(now()).ok().map(|_| Ret::Done),
        Op::Late => {
            // Written down or not, it is that late.
            let _ = engine.sweep(deadline());
            return Some(Ret::Done);
        }
        Op::Look => return Some(Ret::Seen(looks(engine))),
        Op::Show => {
            let request = ShowRequest::Application("a-1".parse().unwrap());
            return engine.show(&request, deadline()).ok().map(|view| Ret::Shown(view.unwrap().state));
        }
    };
    let state = |state: &str| {
        ["accepted", "rejected", "withdrawn"].into_iter().find(|known| *known == state).unwrap()
    };
    match engine.submit(&submission, now()).ok()? {
        Answer::Done(_) => Some(Ret::Done),
        Answer::Refused { refusal, .. } => {
            Some(Ret::Refused(refusal.code.name(), refusal.state.as_deref().map(state)))
        }
    }
}

/// On the directory that checks are answered on. Not by a check: Cedar measures the stack that is left, and on
/// those of shuttle's threads it finds none.
fn looks(engine: &Engine) -> bool {
    let coverage =
        engine.directory().coverage(&"acme".parse().unwrap(), Permission::LiveView, "cam-7", now());
    matches!(coverage, Coverage::Live { .. })
}

/// What happened, in the order in which it did: a thread begins something, or is told.
#[derive(Debug, Clone)]
enum Moment {
    Begins(usize, Op),
    Told(usize, Option<Ret>),
}

/// Runs these threads on as many engines as told, on one ledger, and looks at what came of it.
fn race(threads: &'static [&'static [Op]], engines: usize, fault: Fault) {
    let ledger = begun();
    let engines: Vec<Engine> = (0..engines).map(|_| open(Slow::on(ledger.clone(), fault))).collect();
    let moments = Arc::new(Mutex::new(Vec::new()));
    let racers: Vec<_> = threads
        .iter()
        .enumerate()
        .map(|(number, ops)| {
            let (engine, moments) = (engines[number % engines.len()].clone(), moments.clone());
            thread::spawn(move || {
                for op in *ops {
                    moments.lock().unwrap().push(Moment::Begins(number, *op));
                    let told = act(&engine, *op);
                    moments.lock().unwrap().push(Moment::Told(number, told));
                }
            })
        })
        .collect();
    racers.into_iter().for_each(|racer| racer.join().unwrap());
    let moments = moments.lock().unwrap().clone();
    assert!(is_a_story(&moments), "a promise is broken: no order explains {moments:?}");
    // Another engine, as after a restart, knows all that was told.
    let again = open(Slow::on(ledger.clone(), Fault::Nothing));
    let durable = ledger.head().unwrap().revision;
    let shown = engines.iter().map(|engine| engine.directory().revision()).max();
    assert!(
        shown <= Some(durable),
        "a promise is broken: revision {shown:?} is shown, {durable} is durable: {moments:?}"
    );
    let mut then = moments.clone();
    // Time that nothing was recorded at is not remembered: it is told again.
    let late = threads.iter().any(|ops| ops.contains(&Op::Late)).then_some(Op::Late);
    for op in [Op::Look].into_iter().chain(late).chain([Op::Accept]) {
        then.push(Moment::Begins(usize::MAX, op));
        then.push(Moment::Told(usize::MAX, act(&again, op)));
    }
    assert!(is_a_story(&then), "a promise is broken: after a restart no order explains {then:?}");
}

/// Whether there is an order of all that happened that the story tells, too.
fn is_a_story(moments: &[Moment]) -> bool {
    let mut tester = LinearizabilityTester::new(Story::default());
    // What the ledger failed at did not happen.
    let failed = |number: usize, from: usize| {
        let told = moments[from..].iter().find_map(|moment| match moment {
            Moment::Told(other, told) if *other == number => Some(told.is_none()),
            _ => None,
        });
        told.unwrap_or(true)
    };
    for (place, moment) in moments.iter().enumerate() {
        match moment {
            Moment::Begins(number, op) if !failed(*number, place) => {
                tester.on_invoke(*number, *op).unwrap();
            }
            Moment::Told(number, Some(ret)) => {
                tester.on_return(*number, ret.clone()).unwrap();
            }
            Moment::Begins(..) | Moment::Told(..) => {}
        }
    }
    tester.serialized_history().is_some()
}

fn schedules() -> usize {
    std::env::var("SCHEDULES").map_or(1_000, |number| number.parse().unwrap())
}

/// Tries schedules at random, and such with few but well-placed changes of thread.
fn every_schedule(threads: &'static [&'static [Op]], engines: usize, fault: Fault) {
    LazyLock::force(&POLICIES);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        Runner::new(scheduler, config).run(move || race(threads, engines, fault))
    };
    let tried =
        run(Box::new(RandomScheduler::new(schedules()))) + run(Box::new(PctScheduler::new(3, schedules())));
    println!("{threads:?} on {engines}, {fault:?}: {tried} schedules");
}

const ANSWERS: &[&[Op]] =
    &[&[Op::Accept, Op::Look], &[Op::Reject, Op::Look], &[Op::Withdraw, Op::Look], &[Op::Look, Op::Look]];
const SWEEP: &[&[Op]] =
    &[&[Op::Accept, Op::Look], &[Op::Sweep, Op::Sweep], &[Op::Look, Op::Look], &[Op::Apply(1), Op::Sweep]];
const GRANT: &[&[Op]] = &[&[Op::Accept, Op::EndGrant], &[Op::EndGrant, Op::Look], &[Op::Look, Op::Look]];
const AGAIN: &[&[Op]] = &[&[Op::AcceptAgain, Op::Reject], &[Op::AcceptAgain], &[Op::Reject, Op::AcceptAgain]];
const APPLY: &[&[Op]] = &[&[Op::Apply(1), Op::Apply(2)], &[Op::Apply(3)], &[Op::Apply(4)], &[Op::Accept]];

#[test]
fn of_conflicting_answers_one_wins_and_everybody_sees_the_same() {
    every_schedule(ANSWERS, 1, Fault::Nothing);
}

#[test]
fn an_engine_shows_nothing_that_is_lost_when_appends_fail() {
    every_schedule(ANSWERS, 1, Fault::Fails);
    every_schedule(GRANT, 1, Fault::Fails);
    every_schedule(SWEEP, 1, Fault::Fails);
}

#[test]
fn a_grant_that_is_taken_back_is_not_seen_again() {
    every_schedule(GRANT, 1, Fault::Nothing);
}

#[test]
fn a_command_sent_several_times_at_once_is_done_once() {
    every_schedule(AGAIN, 1, Fault::Nothing);
    every_schedule(AGAIN, 1, Fault::Fails);
}

#[test]
fn of_those_who_apply_for_the_same_at_once_one_is_first() {
    every_schedule(APPLY, 1, Fault::Nothing);
    every_schedule(APPLY, 1, Fault::Fails);
}

#[test]
fn what_was_seen_expired_is_never_answered() {
    const DEADLINE: &[&[Op]] =
        &[&[Op::Accept, Op::Show], &[Op::Show, Op::Show], &[Op::Late], &[Op::Reject, Op::Show]];
    every_schedule(DEADLINE, 1, Fault::Nothing);
    every_schedule(DEADLINE, 1, Fault::Fails);
}

#[test]
fn two_engines_on_one_ledger_take_turns() {
    const COMMANDS: &[&[Op]] =
        &[&[Op::Accept], &[Op::Reject], &[Op::Withdraw, Op::Apply(1)], &[Op::Apply(2)]];
    every_schedule(COMMANDS, 2, Fault::Nothing);
}

#[test]
#[should_panic(expected = "a promise is broken")]
fn a_ledger_that_lies_is_found() {
    every_schedule(ANSWERS, 1, Fault::Lies);
}
