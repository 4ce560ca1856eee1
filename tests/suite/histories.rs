//! Threads that the system places as it likes, on one ledger on disk: what they are told is what a few lines
//! of plain Rust tell one after the other (stateright's tester of linearizability). Accepting, rejecting,
//! withdrawing and sweeping at the deadline; two installers who apply at once; ids used twice; checks by Cedar.
//!
//! `HISTORIES` says how many; each failure prints its history.

use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};
use std::thread;

use consentry::{Engine, Ledger as _};
use consentry_ledger::DiskLedger;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};

use crate::world::{ADA, DAY, IVAN, OLGA, ROOT, answer, invite_olga, moment, open, permission, time};

const THREADS: usize = 4;

/// What a thread does, about the one application and its device.
#[derive(Debug, Clone, PartialEq)]
enum Op {
    Accept,
    Reject,
    Withdraw,
    /// Accepts or rejects under an id that others use, too.
    Under(u8, bool),
    /// One of the installers applies for playback, by an application of its own.
    Apply(u8, &'static str),
    /// The owner takes the grant back that the acceptance makes.
    EndGrant,
    /// The deadline has come, and it is swept.
    Sweep,
    /// Whether the installer may look: a check.
    Look,
    /// How the application is shown.
    Show,
}

#[derive(Debug, Clone, PartialEq)]
enum Ret {
    Done,
    Refused(String, Option<String>),
    Seen(String),
}

fn refused(code: &str) -> Ret {
    Ret::Refused(code.to_owned(), None)
}

/// What it means, one after the other.
#[derive(Debug, Clone, Default)]
struct Story {
    /// The deadline has passed.
    late: bool,
    ended: Option<&'static str>,
    withdrawn: bool,
    ids: BTreeMap<u8, (bool, Ret)>,
    /// The application for playback that waits, by whether it was made after the deadline of the first.
    applied: Option<bool>,
}

impl Story {
    fn state(&self) -> &'static str {
        self.ended.unwrap_or(if self.late { "expired" } else { "pending" })
    }

    fn answer(&mut self, to: &'static str) -> Ret {
        match self.state() {
            "pending" => {
                self.ended = Some(to);
                Ret::Done
            }
            "expired" => refused("expired"),
            state => Ret::Refused("wrong_state".to_owned(), Some(state.to_owned())),
        }
    }
}

impl SequentialSpec for Story {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Accept => self.answer("accepted"),
            Op::Reject => self.answer("rejected"),
            Op::Withdraw => self.answer("withdrawn"),
            Op::Under(id, accepts) => match self.ids.get(id).cloned() {
                Some((same, ret)) if same == *accepts => ret,
                Some(_) => refused("conflict"),
                None => {
                    let ret = self.answer(if *accepts { "accepted" } else { "rejected" });
                    self.ids.insert(*id, (*accepts, ret.clone()));
                    ret
                }
            },
            Op::Apply(..) if self.applied.is_some_and(|late| late == self.late) => refused("live_duplicate"),
            Op::Apply(..) => {
                self.applied = Some(self.late);
                Ret::Done
            }
            Op::EndGrant if self.ended != Some("accepted") => refused("not_found"),
            Op::EndGrant if self.withdrawn => {
                Ret::Refused("wrong_state".to_owned(), Some("withdrawn".to_owned()))
            }
            Op::EndGrant => {
                self.withdrawn = true;
                Ret::Done
            }
            Op::Sweep => {
                self.late = true;
                Ret::Done
            }
            Op::Look => Ret::Seen((self.ended == Some("accepted") && !self.withdrawn).to_string()),
            Op::Show => Ret::Seen(self.state().to_owned()),
        }
    }
}

/// One of many on the same ledger: its things have its number in their ids, its time is its own.
#[derive(Clone, Copy)]
struct Round {
    number: i64,
}

impl Round {
    fn begins(self) -> i64 {
        self.number * 3 * DAY
    }

    fn tell(self, engine: &Engine, id: Option<String>, who: &str, command: &Value) -> Ret {
        let mut line = json!({"at": time(self.begins()), "as": who, "do": command});
        if let Some(id) = id {
            line["id"] = json!(id);
        }
        let told = answer(engine, &line);
        if told["ok"] == true {
            return Ret::Done;
        }
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        let code = text("code").unwrap();
        let state = text("state").filter(|_| code == "wrong_state");
        Ret::Refused(code, state)
    }

    fn apply(self, engine: &Engine, id: &str, who: &str, what: &str) -> Ret {
        let permissions = [permission(what, &[&format!("cam-{}", self.number)], "permanent")];
        let command = json!({"application": id, "site": "villa", "permissions": permissions});
        self.tell(engine, None, who, &json!({"applyForPermission": command}))
    }

    fn prepare(self, engine: &Engine) {
        let device =
            json!({"device": format!("cam-{}", self.number), "site": "villa", "supportsPasswordReset": true});
        assert_eq!(self.tell(engine, None, ROOT, &json!({"addDevice": device})), Ret::Done);
        assert_eq!(self.apply(engine, &format!("a-{}", self.number), ADA, "liveView"), Ret::Done);
    }

    fn act(self, engine: &Engine, op: &Op) -> Ret {
        let number = self.number;
        let application = json!({"application": format!("a-{number}")});
        let answer_with = |accepts: bool| {
            let name = if accepts { "acceptApplication" } else { "rejectApplication" };
            json!({ name: application })
        };
        match op {
            Op::Accept => self.tell(engine, None, OLGA, &answer_with(true)),
            Op::Reject => self.tell(engine, None, OLGA, &answer_with(false)),
            Op::Withdraw => self.tell(engine, None, ADA, &json!({"withdrawApplication": application})),
            Op::Under(id, accepts) => {
                self.tell(engine, Some(format!("id-{number}-{id}")), OLGA, &answer_with(*accepts))
            }
            Op::Apply(id, who) => self.apply(engine, &format!("b-{number}-{id}"), who, "playback"),
            Op::EndGrant => {
                let grant = format!("a-{number}/liveView/cam-{number}");
                self.tell(engine, None, OLGA, &json!({"withdrawGrant": {"grant": grant}}))
            }
            Op::Sweep => {
                engine.sweep(moment(self.begins() + DAY)).unwrap();
                Ret::Done
            }
            Op::Look => {
                let check = json!({"principal": ADA, "action": "liveView",
                                   "resource": format!("Device::\"cam-{number}\"")});
                let told = answer(engine, &json!({"at": time(self.begins()), "check": check}));
                Ret::Seen((told["decision"] == "allow").to_string())
            }
            Op::Show => {
                let told = answer(engine, &json!({"at": time(self.begins()), "show": application}));
                Ret::Seen(told["state"].as_str().unwrap().to_owned())
            }
        }
    }
}

/// What happened, in the order in which it did.
#[derive(Debug, Clone)]
enum Moment {
    Begins(usize, Op),
    Told(usize, Ret),
}

fn is_a_story(moments: &[Moment]) -> bool {
    let mut tester = LinearizabilityTester::new(Story::default());
    for moment in moments {
        match moment.clone() {
            Moment::Begins(thread, op) => drop(tester.on_invoke(thread, op).unwrap()),
            Moment::Told(thread, ret) => drop(tester.on_return(thread, ret).unwrap()),
        }
    }
    tester.serialized_history().is_some()
}

/// Lets threads do what they are told, all at once.
fn race(engine: &Engine, round: Round, programs: &[Vec<Op>]) -> Vec<Moment> {
    let (moments, barrier) = (Mutex::new(Vec::new()), Barrier::new(programs.len()));
    let note = |moment| moments.lock().unwrap().push(moment);
    thread::scope(|scope| {
        for (number, ops) in programs.iter().enumerate() {
            let (note, barrier) = (&note, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for op in ops {
                    note(Moment::Begins(number, op.clone()));
                    let ret = round.act(engine, op);
                    note(Moment::Told(number, ret));
                }
            });
        }
    });
    moments.into_inner().unwrap()
}

/// What four threads do. The ids of applications are their own.
fn programs() -> impl Strategy<Value = Vec<Vec<Op>>> {
    let op = prop_oneof![
        3 => Just(Op::Accept),
        2 => Just(Op::Reject),
        2 => Just(Op::Withdraw),
        3 => (0..2_u8, any::<bool>()).prop_map(|(id, accepts)| Op::Under(id, accepts)),
        2 => prop_oneof![Just(ADA), Just(IVAN)].prop_map(|who| Op::Apply(0, who)),
        2 => Just(Op::EndGrant),
        1 => Just(Op::Sweep),
        3 => Just(Op::Look),
        2 => Just(Op::Show),
    ];
    prop::collection::vec(prop::collection::vec(op, 1..=4), THREADS).prop_map(|mut programs| {
        let mut next = 0;
        for op in programs.iter_mut().flatten() {
            if let Op::Apply(id, _) = op {
                *id = next;
                next += 1;
            }
        }
        programs
    })
}

fn begun(engine: &Engine) {
    let round = Round { number: 0 };
    for (who, command) in [
        (ROOT, json!({"registerCompany": {"company": "acme"}})),
        (
            ROOT,
            json!({"registerInstaller": {"installer": "ada", "company": "acme", "role": "admin", "permissions": []}}),
        ),
        (
            ROOT,
            json!({"registerInstaller": {"installer": "ivan", "company": "acme", "role": "member",
                                         "permissions": ["manageAllSites", "manageDevices"]}}),
        ),
        (ROOT, json!({"registerEndUser": {"endUser": "olga", "contacts": [{"email": "olga@example.com"}]}})),
        (ADA, json!({"createSite": {"site": "villa", "company": "acme", "kind": "normal"}})),
        (ADA, invite_olga("i-1", "villa", &[])),
        (OLGA, json!({"acceptInvite": {"invite": "i-1"}})),
    ] {
        assert_eq!(round.tell(engine, None, who, &command), Ret::Done, "{command}");
    }
}

#[test]
fn what_threads_are_told_on_one_ledger_is_one_story() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(DiskLedger::open(folder.path()).unwrap());
    begun(&engine);
    let histories = std::env::var("HISTORIES").map_or(100, |number| number.parse().unwrap());
    let mut runner = TestRunner::default();
    let mut ends = BTreeMap::new();
    for number in 1..=histories {
        let round = Round { number };
        round.prepare(&engine);
        let programs = programs().new_tree(&mut runner).unwrap().current();
        let mut moments = race(&engine, round, &programs);
        assert!(is_a_story(&moments), "no order explains {moments:#?}");
        for op in [Op::Show, Op::Look, Op::Sweep, Op::Show] {
            let ret = round.act(&engine, &op);
            moments.extend([Moment::Begins(THREADS, op), Moment::Told(THREADS, ret)]);
        }
        assert!(is_a_story(&moments), "no order explains what came of it: {moments:#?}");
        ends.insert(number, round.act(&engine, &Op::Show));
    }
    drop(engine);
    let ledger = DiskLedger::open(folder.path()).unwrap();
    ledger.verify().unwrap();
    let revision = ledger.head().unwrap().revision;
    let again = open(ledger);
    assert_eq!(again.directory().revision(), revision);
    for (number, end) in ends {
        assert_eq!(Round { number }.act(&again, &Op::Show), end, "a-{number}");
    }
    println!("{histories} histories of {THREADS} threads");
}

#[test]
fn a_history_that_is_no_story_is_found() {
    let told = |moments: &[(usize, Op, Ret)]| {
        let begins = moments.iter().map(|(thread, op, _)| Moment::Begins(*thread, op.clone()));
        let told = moments.iter().map(|(thread, _, ret)| Moment::Told(*thread, ret.clone()));
        is_a_story(&begins.chain(told).collect::<Vec<_>>())
    };
    let seen = |text: &str| Ret::Seen(text.to_owned());
    assert!(told(&[(0, Op::Accept, Ret::Done), (1, Op::Look, seen("true"))]));
    assert!(!told(&[(0, Op::Accept, Ret::Done), (1, Op::Reject, Ret::Done)]), "two ends");
    assert!(!told(&[(0, Op::Reject, Ret::Done), (1, Op::Look, seen("true"))]), "a grant from nothing");
    assert!(!told(&[(0, Op::Apply(0, ADA), Ret::Done), (1, Op::Apply(1, IVAN), Ret::Done)]), "two live ones");
    let twice = [(0, Op::Under(1, true), Ret::Done), (1, Op::Under(1, false), Ret::Done)];
    assert!(!told(&twice), "one id for two commands");
    let late = [(0, Op::Sweep, Ret::Done), (1, Op::Accept, Ret::Done), (2, Op::Show, seen("expired"))];
    assert!(!told(&late), "accepted, and seen expired");
}
