//! Many threads on one engine. Whoever is first wins, and everybody hears the same story. Each race is
//! run many times; both outcomes are right, a mixture is not.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::world::{
    ADA, CAM_7, DAY, IVAN, OLGA, PASSWORD, ROOT, World, apply, complete, grant, invite_olga, moment,
    open_ticket, permission, refused,
};

const ROUNDS: usize = 12;

type Racer<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

/// Runs all of it at once, and gives what each came to.
fn at_once<T: Send>(racers: Vec<Racer<'_, T>>) -> Vec<T> {
    let barrier = Barrier::new(racers.len());
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for racer in racers {
            let barrier = &barrier;
            threads.push(scope.spawn(move || {
                barrier.wait();
                racer()
            }));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// When, who, under which id, what.
type Told<'a> = (i64, &'a str, Option<&'a str>, Value);

/// Gives all these commands at once: their answers.
fn tell_at_once(world: &World, commands: &[Told<'_>]) -> Vec<Value> {
    let mut racers: Vec<Racer<'_, Value>> = Vec::new();
    for (at, who, id, command) in commands {
        racers.push(Box::new(move || match id {
            Some(id) => world.tell_as(id, *at, who, command.clone()),
            None => world.tell(*at, who, command.clone()),
        }));
    }
    at_once(racers)
}

fn is_done(answer: &Value) -> bool {
    answer["ok"] == json!(true)
}

#[test]
fn accepting_races_with_the_sweeper_and_exactly_one_wins() {
    for _ in 0..ROUNDS {
        let world = World::new();
        world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "permanent")]));
        let before = world.revision();
        let accept = || Some(world.tell(DAY - 1, OLGA, json!({"acceptInvite": {"invite": "i-1"}})));
        let sweep = || {
            world.engine.sweep(moment(DAY)).unwrap();
            None
        };
        let answers = at_once::<Option<Value>>(vec![Box::new(accept), Box::new(sweep)]);
        let accepted = answers.iter().flatten().any(is_done);
        let (state, owner) =
            (world.state(DAY, "invite", "i-1"), world.show(DAY, "site", "villa")["owner"].clone());
        let events = world.events_after(before);
        if accepted {
            assert_eq!(
                (state.as_str(), owner, events),
                ("accepted", json!(OLGA), vec!["inviteAccepted", "grantMade"])
            );
        } else {
            assert_eq!((state.as_str(), owner, events), ("expired", json!(null), vec!["inviteExpired"]));
        }
    }
}

#[test]
fn accepting_races_with_rejecting_and_the_second_hears_how_it_ended() {
    for _ in 0..ROUNDS {
        let world = World::handed_over();
        world.must(0, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "permanent")]));
        let before = world.revision();
        let answers = tell_at_once(
            &world,
            &[
                (0, OLGA, None, json!({"acceptApplication": {"application": "a-1"}})),
                (0, OLGA, None, json!({"rejectApplication": {"application": "a-1"}})),
                (0, OLGA, None, json!({"acceptApplication": {"application": "a-1"}})),
                (0, ADA, None, json!({"withdrawApplication": {"application": "a-1"}})),
            ],
        );
        let state = world.state(0, "application", "a-1");
        assert_eq!(answers.iter().filter(|answer| is_done(answer)).count(), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| !is_done(answer)) {
            assert_eq!(
                (&answer["code"], &answer["state"]),
                (&json!("wrong_state"), &json!(state)),
                "{answer}"
            );
        }
        assert_eq!(world.revision(), before + 1);
        assert_eq!(world.may(0, ADA, "liveView", CAM_7), state == "accepted");
    }
}

#[test]
fn a_command_sent_many_times_at_once_happens_once_and_all_hear_the_same() {
    for _ in 0..ROUNDS {
        let world = World::handed_over();
        let before = (world.revision(), world.engine.audit(0, usize::MAX).unwrap().len());
        let command = apply("a-1", &[permission("liveView", &["cam-7"], "1h")]);
        let same = vec![(0, ADA, Some("click"), command); 6];
        let answers = tell_at_once(&world, &same);
        assert!(answers.iter().all(|answer| *answer == answers[0] && is_done(answer)), "{answers:?}");
        let after = (world.revision(), world.engine.audit(0, usize::MAX).unwrap().len());
        assert_eq!(after, (before.0 + 1, before.1 + 1));
    }
}

#[test]
fn of_two_commands_under_one_id_at_once_one_happens_and_the_other_is_a_conflict() {
    for _ in 0..ROUNDS {
        let world = World::handed_over();
        let command = |id, validity| apply(id, &[permission("liveView", &["cam-7"], validity)]);
        let answers = tell_at_once(
            &world,
            &[
                (0, ADA, Some("click"), command("a-1", "1h")),
                (0, ADA, Some("click"), command("a-2", "permanent")),
            ],
        );
        let codes: BTreeSet<String> = answers.iter().map(|answer| answer["code"].to_string()).collect();
        assert_eq!(codes, BTreeSet::from(["null".to_owned(), "\"conflict\"".to_owned()]), "{answers:?}");
    }
}

#[test]
fn of_two_installers_who_apply_at_once_one_is_a_duplicate() {
    for _ in 0..ROUNDS {
        let world = World::handed_over();
        let both = [permission("liveView", &["cam-7", "cam-8"], "1h")];
        let answers = tell_at_once(
            &world,
            &[
                (0, ADA, None, apply("a-1", &[permission("liveView", &["cam-7"], "1h")])),
                (0, IVAN, None, apply("a-2", &both)),
            ],
        );
        let codes: BTreeSet<String> = answers.iter().map(|answer| answer["code"].to_string()).collect();
        assert_eq!(
            codes,
            BTreeSet::from(["null".to_owned(), "\"live_duplicate\"".to_owned()]),
            "{answers:?}"
        );
    }
}

#[test]
fn of_two_phones_that_set_a_password_at_once_one_gets_the_effect() {
    for _ in 0..ROUNDS {
        let world = World::handed_over();
        world.must(0, OLGA, grant("g", "liveView", "permanent"));
        world.must(0, ADA, open_ticket("t-1"));
        let answers = tell_at_once(
            &world,
            &[
                (0, OLGA, None, complete(0, "t-1", PASSWORD)),
                (0, OLGA, None, complete(0, "t-1", "Other-word9")),
                (0, OLGA, Some("c"), complete(0, "t-1", "Third-word9")),
                (0, OLGA, Some("c"), complete(0, "t-1", "Fourth-word9")),
            ],
        );
        assert_eq!(answers.iter().filter(|answer| answer.get("effect").is_some()).count(), 1, "{answers:?}");
        world.must(0, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}}));
    }
}

#[test]
fn once_a_withdrawal_is_answered_no_check_allows() {
    let world = World::handed_over();
    for round in 0..ROUNDS {
        let id = format!("g-{round}");
        world.must(0, OLGA, grant(&id, "liveView", "permanent"));
        let withdraw = || {
            let answer = world.tell(0, OLGA, json!({"withdrawGrant": {"grant": id}}));
            assert!(is_done(&answer), "{answer}");
            !world.may(0, ADA, "liveView", CAM_7)
        };
        let look = || {
            // What one check knows, the next one knows too.
            let revisions: Vec<(bool, u64)> = (0..20)
                .map(|_| world.check(0, ADA, "liveView", CAM_7))
                .map(|answer| (answer["decision"] == json!("allow"), answer["revision"].as_u64().unwrap()))
                .collect();
            let rising = revisions.windows(2).all(|pair| pair[0].1 <= pair[1].1 && (pair[0].0 || !pair[1].0));
            let whole =
                revisions.iter().all(|(allow, revision)| *allow == (*revision < world.revision()) || *allow);
            rising && whole
        };
        let kept = at_once::<bool>(vec![Box::new(withdraw), Box::new(look)]);
        assert_eq!(kept, [true, true]);
    }
}

#[test]
fn commands_of_many_threads_stand_in_one_gapless_order() {
    let world = World::new();
    let before = world.revision();
    let commands: Vec<Told<'_>> = (0..40)
        .map(|number| (number, ROOT, None, json!({"registerCompany": {"company": format!("c-{number}")}})))
        .collect();
    let answers = tell_at_once(&world, &commands);
    let revisions: BTreeSet<u64> =
        answers.iter().map(|answer| answer["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (before + 1..=before + 40).collect());
    let records = world.records_after(before);
    assert!(
        records.windows(2).all(|pair| pair[0].revision + 1 == pair[1].revision && pair[0].at <= pair[1].at)
    );
}

#[test]
fn two_engines_on_one_ledger_take_turns() {
    let world = World::handed_over();
    let other = world.opened_again();
    let apply_by = |world: &World, who: &str, id: &str| {
        world.tell(0, who, apply(id, &[permission("liveView", &["cam-7"], "1h")]))
    };
    for round in 0..ROUNDS {
        let (one, two) = (format!("a-{round}"), format!("b-{round}"));
        let answers = at_once::<Value>(vec![
            Box::new(|| apply_by(&world, ADA, &one)),
            Box::new(|| apply_by(&other, IVAN, &two)),
        ]);
        let codes: BTreeSet<String> = answers.iter().map(|answer| answer["code"].to_string()).collect();
        assert_eq!(
            codes,
            BTreeSet::from(["null".to_owned(), "\"live_duplicate\"".to_owned()]),
            "{answers:?}"
        );
        let made = if is_done(&answers[0]) { one } else { two };
        world.must(0, OLGA, json!({"rejectApplication": {"application": made}}));
        let id = format!("g-{round}");
        other.must(0, OLGA, grant(&id, "liveView", "1h"));
        world.must(0, OLGA, json!({"withdrawGrant": {"grant": id}}));
    }
    assert_eq!(world.opened_again().revision(), world.revision());
}

/// "Each line runs at the greatest `at` seen so far in this script or recorded in the ledger": also when
/// another engine recorded it, and only by a refusal.
#[test]
fn an_engine_runs_no_command_before_what_another_engine_recorded() {
    let world = World::new();
    let other = world.opened_again();
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "1h")]));
    other.must(0, ROOT, json!({"registerCompany": {"company": "third"}}));
    refused(&other.tell(DAY, IVAN, json!({"registerCompany": {"company": "fourth"}})), "not_permitted");
    let late = world.tell(DAY - 1, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    refused(&late, "expired");
    assert_eq!(world.opened_again().state(0, "invite", "i-1"), "expired");
}

/// The same, when it is recorded between the decision and its append: whatever the answer is, the
/// history can be read, and tells the same.
#[test]
fn what_another_engine_records_meanwhile_makes_no_history_that_cannot_be_read() {
    let world = World::new();
    let other = world.opened_again();
    other.must(0, ROOT, json!({"registerCompany": {"company": "third"}}));
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "1h")]));
    let engine = other.engine.clone();
    world.ledger.interrupt(move || {
        let other = World { engine, ledger: other.ledger.clone() };
        refused(&other.tell(DAY, IVAN, json!({"registerCompany": {"company": "fourth"}})), "not_permitted");
    });
    let answer = world.tell(DAY - 1, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    let state = if is_done(&answer) { "accepted" } else { "expired" };
    assert_eq!(world.state(DAY, "invite", "i-1"), state);
    assert_eq!(world.opened_again().state(DAY, "invite", "i-1"), state);
}

/// What another engine was told before is known to whoever is shown something as over by time alone.
#[test]
fn what_another_engine_accepted_is_not_shown_as_expired() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "1h")]));
    let other = world.opened_again();
    world.must(DAY - 1, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    assert_eq!(other.state(DAY, "invite", "i-1"), "accepted");
    assert_eq!(other.show(DAY, "site", "villa")["owner"], json!(OLGA));
}

#[test]
fn policies_change_between_two_answers_and_never_within_one() {
    use consentry::Policies;
    let world = World::handed_over();
    let (all, none) = (crate::world::shipped(), Policies::none().unwrap());
    let change = || {
        for policies in [&none, &all, &none, &all, &none, &all] {
            world.engine.replace_policies(policies.clone());
        }
        true
    };
    let look = || {
        (0..30).all(|_| {
            let answer = world.check(0, OLGA, "liveView", CAM_7);
            let allow = answer["decision"] == json!("allow");
            allow == (answer["determining_policies"] == json!(["owner-uses-own-devices"]))
        })
    };
    assert_eq!(at_once::<bool>(vec![Box::new(change), Box::new(look)]), [true, true]);
}
