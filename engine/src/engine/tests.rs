use std::sync::Arc;
use std::thread;

use super::queue::Work;
use super::writer::{Job, Order, Task};
use super::*;
use crate::command::Submission;
use crate::domain::Principal;
use crate::ledger::{Commit, Entry, Layer, MemoryLedger};
use crate::refusal::RefusalCode;

fn root() -> Principal {
    r#"Operator::"root""#.parse().unwrap()
}

fn submission(principal: &str, command: &str) -> Submission {
    Submission::new(principal.parse().unwrap(), serde_json::from_str(command).unwrap())
}

fn register(company: &str) -> Submission {
    submission(r#"Operator::"root""#, &format!(r#"{{"registerCompany":{{"company":"{company}"}}}}"#))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A ledger that others hold too, and that can be told to fail.
#[derive(Clone, Default)]
struct Shared {
    ledger: Arc<MemoryLedger>,
    full: Arc<std::sync::atomic::AtomicBool>,
    /// Appends are done when they are waited for, and every second one panics.
    late: Option<Arc<AtomicU64>>,
}

impl Layer for Shared {
    fn below(&self) -> &dyn Ledger {
        &*self.ledger
    }

    fn append_below(&self, entry: Entry) -> Commit {
        if self.full.load(Ordering::SeqCst) {
            return Commit::ready(Err(LedgerError::new("ledger_full", "no space is left").into()));
        }
        let Some(late) = &self.late else { return self.ledger.append(entry) };
        assert_eq!(late.fetch_add(1, Ordering::SeqCst) % 2, 0, "every second append panics");
        let ledger = self.ledger.clone();
        Commit::later(move || ledger.append(entry).wait())
    }
}

#[test]
fn a_command_that_was_answered_is_known_to_the_next_check() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    let receipt = engine.submit(&register("acme"), at(1)).unwrap().receipt().cloned().unwrap();
    assert_eq!(
        (receipt.revision, receipt.events.as_slice()),
        (1, ["companyRegistered".to_owned()].as_slice())
    );
    assert_eq!(receipt.determining_policies, ["operator-keeps-directory"]);
    assert_eq!(engine.directory().revision(), 1);
}

#[test]
fn what_is_permitted_is_what_each_single_check_allows() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    let story = [
        (r#"Operator::"root""#, r#"{"registerCompany":{"company":"acme"}}"#),
        (
            r#"Operator::"root""#,
            r#"{"registerInstaller":{"installer":"ada","company":"acme","role":"admin","permissions":[]}}"#,
        ),
        (r#"Installer::"ada""#, r#"{"createSite":{"site":"villa","company":"acme","kind":"normal"}}"#),
        (
            r#"Installer::"ada""#,
            r#"{"addDevice":{"device":"cam","site":"villa","supportsPasswordReset":false}}"#,
        ),
    ];
    for (principal, command) in story {
        assert!(engine.submit(&submission(principal, command), at(1)).unwrap().receipt().is_some());
    }
    let (ada, camera) = (Uid::new("Installer", "ada"), Uid::new("Device", "cam"));
    let permitted = engine.permitted(&ada, &camera, at(2));
    let names: Vec<&str> = permitted.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(names, ["configure", "liveView", "playback"]);
    for (action, until) in permitted {
        let request = AccessRequest::new(ada.clone(), &action, camera.clone());
        let evaluation = engine.evaluate(&request, at(2)).unwrap();
        assert!(evaluation.is_allowed());
        assert_eq!(evaluation.valid_until, until);
    }
    assert_eq!(engine.permitted(&Uid::new("Installer", "eve"), &camera, at(2)), []);
    assert_eq!(engine.permitted(&ada, &Uid::new("Device", "none"), at(2)), []);
    assert_eq!(engine.permitted(&Uid::new("No", "body"), &Uid::new("Thing", "x"), at(2)), []);
}

#[test]
fn ids_that_the_engine_makes_are_unlike_those_that_callers_choose() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    let ids: Vec<String> = ["a", "b"]
        .iter()
        .map(|company| {
            engine.submit(&register(company), at(1)).unwrap().receipt().unwrap().command_id.to_string()
        })
        .collect();
    assert_eq!(ids, ["engine/1", "engine/2"]);
}

#[test]
fn a_caller_cannot_use_an_id_that_the_engine_makes() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    engine.submit(&register("acme"), at(1)).unwrap();
    for number in [1, 2] {
        let forged = register("acme").with_id(CommandId::engine_made(number));
        let answer = engine.submit(&forged, at(1)).unwrap();
        assert_eq!(answer.refusal().unwrap().code, RefusalCode::Invalid);
    }
}

#[test]
fn a_failed_append_changes_nothing_and_the_next_one_goes_on() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    engine.submit(&register("acme"), at(1)).unwrap();
    ledger.full.store(true, Ordering::SeqCst);
    let failed = register("lost").with_id("lost-1".parse().unwrap());
    assert_eq!(engine.submit(&failed, at(2)).unwrap_err().code(), "ledger_full");
    assert!(!engine.directory().has_company("lost"));
    ledger.full.store(false, Ordering::SeqCst);
    let receipt = engine.submit(&failed, at(3)).unwrap().receipt().cloned().unwrap();
    assert_eq!(receipt.revision, 2);
}

/// The job of registering a company.
fn job(company: &str) -> Job {
    let submission = register(company);
    let (body, digest) = (submission.body(), submission.digest());
    Job { task: Task::Command(Order { submission, body, digest, clash: None }), now: at(1) }
}

#[test]
fn a_sweep_behind_a_failed_append_shows_nothing_of_it() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    ledger.full.store(true, Ordering::SeqCst);
    let failed = (vec![Work::decide(&engine, job("lost"))], engine.reached());
    let sweep = Work::decide(&engine, Job { task: Task::Sweep, now: at(1) });
    let sweep = (vec![sweep], engine.reached());
    let written = [failed, sweep].map(|(lot, reached)| Work::write(&engine, lot, reached));
    for written in written.into_iter().rev() {
        let _told = Work::settle(&engine, written);
        assert!(!engine.directory().has_company("lost"));
    }
    ledger.full.store(false, Ordering::SeqCst);
    assert_eq!(engine.submit(&register("acme"), at(2)).unwrap().receipt().unwrap().revision, 1);
}

#[test]
fn what_is_told_is_shown_even_after_a_panic_at_the_next_decision() {
    let ledger = Shared { late: Some(Arc::default()), ..Shared::default() };
    let engine = Engine::open(ledger).unwrap();
    let one = Work::decide(&engine, job("one"));
    let panics = std::panic::AssertUnwindSafe(|| Work::decide(&engine, job("two")).is_ok());
    assert!(std::panic::catch_unwind(panics).is_err());
    let written = Work::write(&engine, vec![one], engine.reached());
    let (told, _) = Work::settle(&engine, written);
    assert!(told.iter().all(Result::is_ok));
    assert!(engine.directory().has_company("one"));
}

#[test]
fn a_command_that_was_answered_gets_its_answer_from_a_full_ledger_too() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    let command = register("acme").with_id("one".parse().unwrap());
    let first = engine.submit(&command, at(1)).unwrap();
    ledger.full.store(true, Ordering::SeqCst);
    let again = engine.submit(&command, at(2)).unwrap();
    assert_eq!(again.receipt().unwrap().revision, first.receipt().unwrap().revision);
    let other = register("other").with_id("one".parse().unwrap());
    assert_eq!(engine.submit(&other, at(3)).unwrap_err().code(), "ledger_full");
}

#[test]
fn repeated_commands_among_others_change_nothing_and_hold_nobody_up() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    let named = |name: String| register(&name).with_id(name.parse().unwrap());
    for number in 0..50 {
        engine.submit(&named(format!("old-{number}")), at(1)).unwrap();
    }
    thread::scope(|scope| {
        for caller in 0..8 {
            let (engine, named) = (&engine, &named);
            scope.spawn(move || {
                for number in 0..50 {
                    let old = engine.submit(&named(format!("old-{number}")), at(2)).unwrap();
                    assert_eq!(old.receipt().unwrap().revision, number + 1);
                    let new = engine.submit(&named(format!("new-{caller}-{number}")), at(2)).unwrap();
                    assert!(new.receipt().unwrap().revision > 50);
                }
            });
        }
    });
    assert_eq!(engine.directory().revision(), 50 + 8 * 50);
    assert_eq!(engine.audit(0, usize::MAX).unwrap().len(), 50 + 8 * 50);
}

#[test]
fn what_another_engine_wrote_is_caught_up_with_before_deciding() {
    let ledger = Shared::default();
    let (one, other) = (Engine::open(ledger.clone()).unwrap(), Engine::open(ledger).unwrap());
    one.submit(&register("acme"), at(1)).unwrap();
    let refusal = other.submit(&register("acme"), at(2)).unwrap().refusal().cloned().unwrap();
    assert_eq!(refusal.code, RefusalCode::AlreadyExists);
    assert_eq!(other.submit(&register("rival"), at(2)).unwrap().receipt().unwrap().revision, 2);
}

#[test]
fn time_never_runs_backwards() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    engine.submit(&register("acme"), at(1_000)).unwrap();
    // A check latches the time too.
    let request = AccessRequest::new(root().uid(), "manageSite", root().uid());
    engine.evaluate(&request, at(5_000)).unwrap();
    engine.submit(&register("rival"), at(2_000)).unwrap();
    let times: Vec<i64> = engine.audit(0, 9).unwrap().iter().map(|entry| entry.at.millis()).collect();
    assert_eq!(times, [1_000, 5_000]);
    // Refusals count: the ledger remembers when they were.
    engine.submit(&register("acme"), at(9_000)).unwrap();
    drop(engine);
    let engine = Engine::open(ledger).unwrap();
    engine.submit(&register("third"), at(1)).unwrap();
    assert_eq!(engine.audit(3, 1).unwrap()[0].at, at(9_000));
}

#[test]
fn a_subscription_misses_nothing_and_starts_anywhere() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    for company in 0..600 {
        engine.submit(&register(&format!("c{company}")), at(1)).unwrap();
    }
    let drain = |from| {
        let mut subscription = engine.subscribe(from);
        let mut revisions = Vec::new();
        while let Some(record) = subscription.next_within(Wait::ZERO).unwrap() {
            revisions.push(record.revision);
        }
        revisions
    };
    assert_eq!(drain(1), (1..=600).collect::<Vec<_>>());
    assert_eq!(drain(0), drain(1));
    assert_eq!(drain(600), [600]);
    assert!(drain(601).is_empty());
    // One that waits is woken.
    let mut waiting = engine.subscribe(601);
    let writer = engine.clone();
    let woken = thread::spawn(move || waiting.next_within(Wait::from_secs(60)).unwrap());
    writer.submit(&register("late"), at(1)).unwrap();
    assert_eq!(woken.join().unwrap().unwrap().revision, 601);
}

#[test]
fn a_snapshot_and_the_events_after_it_lead_where_all_events_lead() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    for script in [
        r#"{"registerCompany":{"company":"acme"}}"#,
        r#"{"registerInstaller":{"installer":"ivan","company":"acme","role":"admin","permissions":[]}}"#,
        r#"{"registerEndUser":{"endUser":"olga","contacts":[{"email":"o@x.org"}]}}"#,
        r#"{"createSite":{"site":"villa","company":"acme","kind":"rental"}}"#,
        r#"{"addDevice":{"device":"cam","site":"villa","supportsPasswordReset":true}}"#,
    ] {
        assert!(
            engine.submit(&submission(r#"Operator::"root""#, script), at(1)).unwrap().receipt().is_some()
        );
    }
    let ivan = |script: &str| engine.submit(&submission(r#"Installer::"ivan""#, script), at(2)).unwrap();
    let olga = |script: &str| engine.submit(&submission(r#"EndUser::"olga""#, script), at(3)).unwrap();
    ivan(
        r#"{"inviteOwner":{"invite":"i","site":"villa","contact":{"email":"o@x.org"},"disableService":true,
        "permissions":[{"permission":"liveView","devices":["cam"],"validity":"1h"},
                       {"permission":"manageSite","validity":"permanent"},
                       {"permission":"playback","devices":["cam"],"validity":"permanent"}]}}"#,
    );
    olga(r#"{"acceptInvite":{"invite":"i"}}"#);
    olga(r#"{"withdrawGrant":{"grant":"i/playback/cam"}}"#);
    ivan(r#"{"openResetTicket":{"ticket":"t","device":"cam","mode":"onSite"}}"#);
    ivan(
        r#"{"applyForPermission":{"application":"a","site":"villa",
        "permissions":[{"permission":"configure","devices":["cam"],"validity":"1h"}]}}"#,
    );
    engine.save_snapshot().unwrap();
    let restored = Directory::from_bytes(&ledger.snapshot().unwrap().unwrap()).unwrap();
    assert_eq!(restored.to_bytes().unwrap().len(), engine.directory().to_bytes().unwrap().len());
    olga(r#"{"acceptApplication":{"application":"a"}}"#);
    let reopened = Engine::open(ledger.clone()).unwrap();
    let day = at(86_400_010);
    for (engine, count) in [(&engine, 0), (&reopened, 0)] {
        assert_eq!(count, 0);
        let acme = "acme".parse().unwrap();
        let directory = engine.directory();
        let coverage = |name: &str, resource: &str| {
            directory.coverage(&acme, crate::domain::Permission::named(name).unwrap(), resource, at(5))
        };
        use crate::directory::Coverage::{Live, Never, Over};
        assert_eq!(coverage("liveView", "cam"), Live { until: Some(at(3_600_003)) });
        assert_eq!(coverage("playback", "cam"), Over);
        assert_eq!(coverage("manageSite", "villa"), Live { until: None });
        assert_eq!(coverage("configure", "cam"), Live { until: Some(at(3_600_003)) });
        assert_eq!(coverage("manageSite", "elsewhere"), Never);
        assert_eq!(directory.overdue(day).len(), 3, "the ticket and two grants");
        assert_eq!(directory.overdue(at(5)).len(), 0);
    }
    assert_eq!(reopened.sweep(day).unwrap(), 3);
    assert_eq!(reopened.sweep(day).unwrap(), 0);
}

#[test]
fn a_snapshot_keeps_what_was_given_on_a_site_that_is_gone() {
    use crate::directory::Coverage;
    use crate::domain::{Permission, Scope, SiteKind};
    use crate::event::Event;
    let id = "villa";
    let (site, device, company) = (id.parse().unwrap(), "cam".parse().unwrap(), "acme".parse().unwrap());
    let place = || {
        let (site, company, kind) = (id.parse().unwrap(), "acme".parse().unwrap(), SiteKind::Normal);
        let device = "cam".parse().unwrap();
        [
            Event::SiteCreated { site, company, kind },
            Event::DeviceAdded { device, site: id.parse().unwrap(), supports_password_reset: true },
        ]
    };
    let grant = || "given".parse().unwrap();
    let history = [
        vec![Event::CompanyRegistered { company: "acme".parse().unwrap() }],
        place().to_vec(),
        vec![Event::SiteTransferred { site, to: "olga".parse().unwrap() }],
        vec![Event::GrantMade {
            grant: grant(),
            company: "acme".parse().unwrap(),
            site: id.parse().unwrap(),
            permission: Permission::LiveView,
            scope: Scope::Device("cam".parse().unwrap()),
            until: None,
        }],
        vec![
            Event::GrantRevoked { grant: grant() },
            Event::DeviceRemoved { device },
            Event::SiteDeleted { site: id.parse().unwrap() },
        ],
    ];
    let mut directory = Directory::default();
    for (revision, events) in (1..).zip(history) {
        directory.apply(revision, at(1), &events).unwrap();
    }
    let mut restored = Directory::from_bytes(&directory.to_bytes().unwrap()).unwrap();
    for directory in [&mut directory, &mut restored] {
        assert!(directory.site(id).is_none());
        directory.apply(6, at(2), &place()).unwrap();
        let given = directory.grant("given").unwrap();
        assert_eq!((given.site().as_str(), given.state().name()), (id, "revoked"));
        assert_eq!(given.device().unwrap().as_str(), "cam");
        // Another device of the same id is not what it was for.
        assert_eq!(directory.coverage(&company, Permission::LiveView, "cam", at(5)), Coverage::Never);
    }
}

#[test]
fn a_damaged_snapshot_is_left_aside() {
    let ledger = Shared::default();
    let engine = Engine::open(ledger.clone()).unwrap();
    engine.submit(&register("acme"), at(1)).unwrap();
    engine.save_snapshot().unwrap();
    let mut bytes = ledger.snapshot().unwrap().unwrap();
    bytes[3] ^= 1;
    assert!(Directory::from_bytes(&bytes).is_err());
    ledger.save_snapshot(1, bytes).unwrap();
    assert!(Engine::open(ledger).unwrap().directory().has_company("acme"));
}

#[test]
fn many_threads_are_one_sequence() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let engine = engine.clone();
            thread::spawn(move || {
                (0..25)
                    .map(|n| {
                        let id = format!("same-{n}").parse().unwrap();
                        let shared = engine.submit(&register(&format!("s{n}")).with_id(id), at(1)).unwrap();
                        engine.submit(&register(&format!("c{thread}-{n}")), at(1)).unwrap();
                        shared.receipt().unwrap().revision
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let revisions: Vec<Vec<Revision>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(revisions.iter().all(|own| *own == revisions[0]), "one id, one answer");
    assert_eq!(engine.directory().revision(), 8 * 25 + 25);
}

#[test]
fn other_policies_count_from_the_next_answer_on() {
    let engine = Engine::open(MemoryLedger::new()).unwrap();
    engine.replace_policies(Policies::none().unwrap());
    let refusal = engine.submit(&register("acme"), at(1)).unwrap().refusal().cloned().unwrap();
    assert_eq!(refusal.code, RefusalCode::NotPermitted);
}
