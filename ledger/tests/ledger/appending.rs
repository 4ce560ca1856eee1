use std::time::Duration;

use consentry::event::Event;
use consentry::ledger::{AppendError, Commit, Entry, Ledger as _};
use consentry_ledger::DiskLedger;

use super::{at, done, registered, sweep};

#[test]
fn many_appends_under_way_are_taken_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    let under_way: Vec<Commit> =
        (0..300).map(|expected| ledger.append(sweep(expected, &format!("c{expected}")))).collect();
    for (commit, revision) in under_way.into_iter().zip(1..) {
        assert_eq!(commit.wait().unwrap().head.revision, revision);
    }
    let companies: Vec<Event> =
        ledger.read(0, 300).unwrap().into_iter().flat_map(|record| record.events).collect();
    let expected: Vec<Event> = (0..300).map(|n| registered(&format!("c{n}"))).collect();
    assert_eq!(companies, expected);
}

#[test]
fn threads_that_append_at_once_lose_nothing() {
    const THREADS: usize = 8;
    const EACH: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ledger = &ledger;
            scope.spawn(move || {
                for nth in 0..EACH {
                    let name = format!("{thread}-{nth}");
                    let mut expected = ledger.head().unwrap().revision;
                    while let Err(error) = ledger.append(done(expected, Some(&name), &name)).wait() {
                        let AppendError::Conflict(head) = error else { unreachable!("{error}") };
                        assert!(head > expected);
                        expected = head;
                    }
                    assert!(ledger.answered(&name.parse().unwrap()).unwrap().is_some());
                }
            });
        }
    });
    let total = THREADS * EACH;
    let records = ledger.read(0, usize::MAX).unwrap();
    assert!(records.iter().map(|record| record.revision).eq(1..=total as u64));
    let mut found: Vec<String> =
        records.iter().map(|record| serde_json::to_string(&record.events).unwrap()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), total);
    assert_eq!(ledger.verify().unwrap().audit_lines, total as u64);
}

#[test]
fn a_command_id_binds_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    ledger.append(done(0, Some("one"), "a")).wait().unwrap();
    // The head is the expected one: what stands in the way is the id, whose answer is there to be read.
    let again = ledger.append(done(1, Some("one"), "b")).wait();
    assert_eq!(again, Err(AppendError::Conflict(1)));
    assert!(ledger.answered(&"one".parse().unwrap()).unwrap().is_some());
    assert_eq!(ledger.head().unwrap().revision, 1);
    assert_eq!(ledger.audit(0, 9).unwrap().len(), 1);
}

#[test]
fn an_entry_without_anything_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    let before = ledger.append(sweep(0, "a")).wait().unwrap().head;
    let nothing = Entry { events: Vec::new(), at: at(9_000), ..sweep(1, "x") };
    let appended = ledger.append(nothing).wait().unwrap();
    assert_eq!((appended.head, appended.at), (before, at(9_000)));
    assert_eq!(ledger.head(), Ok(before));
}

#[test]
fn who_waits_for_a_revision_is_woken_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    let head = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ledger.wait(2, Duration::from_secs(600)).unwrap());
        ledger.append(sweep(0, "a")).wait().unwrap();
        ledger.append(sweep(1, "b")).wait().unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(head.revision, 2);
    assert_eq!(ledger.wait(3, Duration::ZERO).unwrap().revision, 2);
}

#[test]
fn what_was_handed_over_is_written_before_the_ledger_closes() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    let under_way: Vec<Commit> = (0..100).map(|expected| ledger.append(sweep(expected, "c"))).collect();
    drop(ledger);
    assert!(under_way.into_iter().all(|commit| commit.wait().is_ok()));
    assert_eq!(DiskLedger::open(dir.path()).unwrap().head().unwrap().revision, 100);
}
