use std::path::Path;

use consentry::domain::Timestamp;
use consentry::event::Event;
use consentry::ledger::{AppendError, Attempt, Entry, Ledger as _, Mark, Outcome};
use serde_json::{from_value, json};

use super::*;
use crate::DiskLedger;
use crate::open::open;

fn writer(dir: &Path) -> (Writer, std::fs::File) {
    let opened = open(dir).unwrap();
    let writer = Writer {
        files: opened.files,
        connection: opened.connection,
        epoch: opened.epoch,
        witness: opened.witness,
        published: Arc::new(Published::new(opened.tail)),
        failed: None,
        unlooked: 0,
    };
    (writer, opened.lock)
}

fn registered(expected: u64, company: &str, id: Option<&str>) -> Entry {
    let event: Event = from_value(json!({ "companyRegistered": { "company": company } })).unwrap();
    let attempt = id.map(|id| Attempt {
        id: Some(id.parse().unwrap()),
        binds: true,
        digest: [7; 32],
        principal: r#"Operator::"olga""#.parse().unwrap(),
        body: json!({ "do": { "registerCompany": { "company": company } } }).to_string(),
        outcome: Arc::new(Outcome::Done {
            revision: expected + 1,
            events: Vec::new(),
            determining_policies: Vec::new(),
        }),
    });
    let at = Timestamp::from_millis(1);
    Entry { mark: Mark::unique(), expected, after: None, at, events: vec![event], attempt }
}

/// Commits the entries together and gives their answers.
fn commit(writer: &mut Writer, entries: Vec<Entry>) -> Vec<Answer> {
    writer.commit(entries.into_iter().map(|entry| Prepared::new(entry).unwrap()).collect())
}

fn code(answer: &Answer) -> &str {
    match answer {
        Err(AppendError::Ledger(error)) => error.code,
        Err(AppendError::Conflict(_)) => "conflict",
        Ok(_) => "ok",
    }
}

fn codes(answers: &[Answer]) -> Vec<&str> {
    answers.iter().map(code).collect()
}

fn limit_pages(writer: &Writer, pages: i64) {
    let set = writer.connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0));
    let _pages: i64 = set.unwrap();
}

#[test]
fn a_conflict_in_a_batch_is_that_entrys_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _lock) = writer(dir.path());
    let entries = vec![
        registered(0, "a", Some("one")),
        registered(0, "b", Some("two")),
        registered(1, "c", Some("one")),
        registered(1, "d", Some("three")),
        registered(2, "e", None),
    ];
    let answers = commit(&mut writer, entries);
    assert_eq!(codes(&answers), ["ok", "conflict", "conflict", "ok", "ok"]);
    assert_eq!(answers.get(1).unwrap(), &Err(AppendError::Conflict(1)));
    let tail = writer.published.tail();
    assert_eq!((tail.head.revision, tail.lines), (3, 2));
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, lock) = writer(dir.path());
    assert_eq!(codes(&commit(&mut writer, vec![registered(0, "first", Some("first"))])), ["ok"]);
    limit_pages(&writer, 1);
    let (mut revision, mut full) = (1, 0);
    // Entries go into pages that are there already until one needs another page.
    while full == 0 && revision < 1_000 {
        let company = "c".repeat(100);
        let batch = vec![registered(revision, &company, None), registered(revision + 1, &company, None)];
        let before = writer.published.tail();
        match codes(&commit(&mut writer, batch)).as_slice() {
            ["ok", "ok"] => revision += 2,
            ["ledger_full", "ledger_full"] => {
                assert_eq!(writer.published.tail(), before);
                full += 1;
            }
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(full, 1, "the limit was never met");
    limit_pages(&writer, 1_000_000);
    assert_eq!(codes(&commit(&mut writer, vec![registered(revision, "last", Some("last"))])), ["ok"]);
    let head = writer.published.tail().head;
    drop((writer, lock));

    let ledger = DiskLedger::open(dir.path()).unwrap();
    assert_eq!(ledger.head(), Ok(head));
    assert_eq!(ledger.verify().unwrap().records, revision + 1);
}

#[test]
fn after_a_failed_commit_of_unknown_outcome_nothing_is_written_until_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, lock) = writer(dir.path());
    assert_eq!(codes(&commit(&mut writer, vec![registered(0, "first", None)])), ["ok"]);
    writer.connection.pragma_update(None, "query_only", true).unwrap();
    assert_eq!(codes(&commit(&mut writer, vec![registered(1, "second", None)])), ["ledger_io"]);
    writer.connection.pragma_update(None, "query_only", false).unwrap();
    assert_eq!(codes(&commit(&mut writer, vec![registered(1, "second", None)])), ["ledger_io"]);
    drop((writer, lock));

    let ledger = DiskLedger::open(dir.path()).unwrap();
    assert_eq!(ledger.head().unwrap().revision, 1);
    assert_eq!(ledger.append(registered(1, "second", None)).wait().unwrap().head.revision, 2);
}

#[test]
fn what_the_witness_could_not_be_told_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, lock) = writer(dir.path());
    writer.witness.break_off();
    assert_eq!(codes(&commit(&mut writer, vec![registered(0, "first", None)])), ["ledger_io"]);
    // It is durable all the same, and the caller learns so by reading.
    assert_eq!(writer.published.tail().head.revision, 1);
    assert_eq!(codes(&commit(&mut writer, vec![registered(1, "second", None)])), ["ledger_io"]);
    drop((writer, lock));
    assert_eq!(DiskLedger::open(dir.path()).unwrap().head().unwrap().revision, 1);
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_durable_is_not_told_to_have_failed_for_want_of_space() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _lock) = writer(dir.path());
    writer.witness.fill_up();
    assert_eq!(codes(&commit(&mut writer, vec![registered(0, "first", None)])), ["ledger_io"]);
    assert_eq!(codes(&commit(&mut writer, vec![registered(1, "second", None)])), ["ledger_io"]);
}
