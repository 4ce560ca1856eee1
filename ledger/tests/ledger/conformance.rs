use consentry::domain::CommandId;
use consentry::ledger::{Answered, AppendError, Appended, Entry, Head, Ledger, Mark, MemoryLedger, Record};
use consentry::refusal::RefusalCode::{LanNotAttested, NotPermitted, WeakPassword};
use consentry_ledger::DiskLedger;

use super::{at, done, refused, registered, sweep};

/// Heads without hashes: these cover the epoch, which no two ledgers share.
fn place(head: Head) -> (u64, i64) {
    (head.revision, head.time.millis())
}

type Seen = Result<((u64, i64), i64, Option<CommandId>), AppendError>;

fn seen(result: Result<Appended, AppendError>) -> Seen {
    result.map(|done| (place(done.head), done.at.millis(), done.command_id))
}

fn later(entry: Entry, millis: i64) -> Entry {
    Entry { at: at(millis), ..entry }
}

fn unbound(mut entry: Entry) -> Entry {
    entry.attempt.as_mut().unwrap().binds = false;
    entry
}

fn script() -> Vec<Entry> {
    let second = Mark::unique();
    let two = Entry { events: vec![registered("c"), registered("d")], after: Some(second), ..sweep(2, "x") };
    vec![
        later(done(0, Some("one"), "a"), 1_000),
        // Behind the head: a conflict.
        done(0, Some("two"), "b"),
        // Ahead of it as well.
        done(9, Some("two"), "b"),
        // Behind the head's time: another state was decided on.
        later(done(1, Some("two"), "b"), 500),
        // On an entry that never was: the same.
        later(Entry { after: Some(Mark::unique()), ..done(1, Some("two"), "b") }, 1_000),
        later(Entry { mark: second, ..done(1, Some("two"), "b") }, 1_500),
        later(two, 2_000),
        // A refusal has a time and no revision.
        later(refused(3, Some("three"), WeakPassword, "ticket-1"), 3_000),
        refused(3, None, LanNotAttested, "ticket-1"),
        refused(3, None, WeakPassword, "ticket-2"),
        refused(3, None, NotPermitted, "ticket-1"),
        // The id is another's: the command is written, and the id stays what it was.
        unbound(refused(3, Some("one"), NotPermitted, "ticket-1")),
        later(done(3, None, "e"), 3_000),
        later(sweep(4, "f"), 4_000),
    ]
}

#[test]
fn the_ledger_on_disk_says_what_the_one_in_memory_says() {
    let dir = tempfile::tempdir().unwrap();
    let memory = MemoryLedger::new();
    let disk = DiskLedger::open(dir.path()).unwrap();
    for (number, entry) in script().into_iter().enumerate() {
        let expected = seen(memory.append(entry.clone()).wait());
        assert_eq!(seen(disk.append(entry).wait()), expected, "entry {number}");
        assert_eq!(place(disk.head().unwrap()), place(memory.head().unwrap()), "entry {number}");
    }
    agree(&memory, &disk);
    drop(disk);
    agree(&memory, &DiskLedger::open(dir.path()).unwrap());
}

fn agree(memory: &dyn Ledger, disk: &dyn Ledger) {
    assert_eq!(place(disk.head().unwrap()), place(memory.head().unwrap()));
    let contents = |records: Vec<Record>| -> Vec<_> {
        records.into_iter().map(|record| (record.revision, record.at, record.events)).collect()
    };
    for after in 0..7 {
        for limit in [0, 1, 2, usize::MAX] {
            assert_eq!(
                contents(disk.read(after, limit).unwrap()),
                contents(memory.read(after, limit).unwrap())
            );
            assert_eq!(disk.audit(after, limit).unwrap(), memory.audit(after, limit).unwrap());
        }
    }
    for after in [100, u64::MAX] {
        assert_eq!(disk.read(after, 1).unwrap(), []);
        assert_eq!(disk.audit(after, 1).unwrap(), []);
    }
    let number = memory.audit(0, usize::MAX).unwrap().len();
    let made = (1..=number as u64).map(CommandId::engine_made);
    for id in ["one", "two", "three", "four"].map(|id| id.parse().unwrap()).into_iter().chain(made) {
        assert_eq!(disk.answered(&id).unwrap(), memory.answered(&id).unwrap(), "{id}");
    }
    for ticket in ["ticket-1", "ticket-2", "ticket-3"].map(|ticket| ticket.parse().unwrap()) {
        assert_eq!(
            disk.failed_completions(&ticket).unwrap(),
            memory.failed_completions(&ticket).unwrap(),
            "{ticket}"
        );
    }
}

#[test]
fn each_record_follows_from_the_one_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskLedger::open(dir.path()).unwrap();
    for entry in script() {
        let _conflict_or_not = disk.append(entry).wait();
    }
    let mut previous = [0; 32];
    for record in disk.read(0, usize::MAX).unwrap() {
        let payload = serde_json::to_string(&record.events).unwrap();
        assert_eq!(record.epoch, disk.epoch());
        previous = consentry::ledger::seal(&previous, disk.epoch(), record.revision, record.at, &payload);
        assert_eq!(record.hash, previous);
    }
    assert_eq!(disk.head().unwrap().hash, previous);
}

#[test]
fn a_command_keeps_the_digest_and_the_answer_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskLedger::open(dir.path()).unwrap();
    let entry = done(0, Some("one"), "a");
    let outcome = entry.attempt.as_ref().unwrap().outcome.clone();
    disk.append(entry).wait().unwrap();
    let answered = disk.answered(&"one".parse().unwrap()).unwrap();
    assert_eq!(answered, Some(Answered { digest: [7; 32], outcome: (*outcome).clone() }));
}
