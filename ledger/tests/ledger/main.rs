//! The promises of the ledger on disk, one module for each kind.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it, as a test may")]

/// What is written together, in which order, and by how many at once.
mod appending;
/// It says what the ledger in memory says.
mod conformance;
/// Nothing acknowledged is lost in silence, whatever happens to the files.
mod damage;
/// Who may open it, and what is there again afterwards.
mod opening;
/// A snapshot is the one that was saved, of this ledger, or none.
mod snapshots;

use std::path::Path;

use consentry::domain::Timestamp;
use consentry::event::Event;
use consentry::ledger::{Attempt, AuditEntry, Entry, Head, Ledger, Mark, Outcome, Record};
use consentry::refusal::{Refusal, RefusalCode};
use consentry_ledger::DiskLedger;
use serde_json::{Value, from_value, json};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn registered(company: &str) -> Event {
    from_value(json!({ "companyRegistered": { "company": company } })).unwrap()
}

/// A sweep's entry.
fn sweep(expected: u64, company: &str) -> Entry {
    let events = vec![registered(company)];
    Entry { mark: Mark::unique(), expected, after: None, at: at(0), events, attempt: None }
}

fn attempt(id: Option<&str>, body: Value, outcome: Outcome) -> Attempt {
    Attempt {
        id: id.map(|id| id.parse().unwrap()),
        binds: true,
        digest: [7; 32],
        principal: r#"Operator::"olga""#.parse().unwrap(),
        body: body.to_string(),
        outcome: outcome.into(),
    }
}

/// A command that happened.
fn done(expected: u64, id: Option<&str>, company: &str) -> Entry {
    let body = json!({ "do": { "registerCompany": { "company": company } } });
    let outcome = Outcome::Done {
        revision: expected + 1,
        events: vec!["companyRegistered".to_owned()],
        determining_policies: vec!["operators".to_owned()],
    };
    Entry { attempt: Some(attempt(id, body, outcome)), ..sweep(expected, company) }
}

/// A try to complete a ticket that was refused.
fn refused(expected: u64, id: Option<&str>, code: RefusalCode, ticket: &str) -> Entry {
    let body = json!({ "do": { "completeResetTicket": { "ticket": ticket } } });
    let refusal = Refusal {
        code,
        message: "no".to_owned(),
        determining_policies: Vec::new(),
        state: Some("open".to_owned()),
    };
    let attempt = attempt(id, body, Outcome::Refused(refusal));
    Entry { events: Vec::new(), attempt: Some(attempt), ..sweep(expected, "none") }
}

/// A ledger in `dir` with `count` records, each appended and acknowledged alone, and as many audit lines.
fn filled(dir: &Path, count: u64) -> DiskLedger {
    let ledger = DiskLedger::open(dir).unwrap();
    for expected in 0..count {
        let (id, company) = (format!("command-{expected}"), format!("company-{expected}"));
        ledger.append(done(expected, Some(&id), &company)).wait().unwrap();
    }
    ledger
}

/// Everything that a ledger says.
#[derive(Debug, PartialEq)]
struct Said {
    epoch: String,
    head: Head,
    records: Vec<Record>,
    audit: Vec<AuditEntry>,
}

fn said(ledger: &dyn Ledger) -> Said {
    Said {
        epoch: ledger.epoch().to_owned(),
        head: ledger.head().unwrap(),
        records: ledger.read(0, usize::MAX).unwrap(),
        audit: ledger.audit(0, usize::MAX).unwrap(),
    }
}

/// Copies the files of a ledger that is open, as a process that is killed leaves them.
fn crashed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["ledger.sqlite3", "ledger.sqlite3-wal", "head", "snapshot"] {
        if dir.join(name).exists() {
            std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    copy
}

fn code(dir: &Path) -> &'static str {
    DiskLedger::open(dir).map_or_else(|error| error.code, |_| "ok")
}
