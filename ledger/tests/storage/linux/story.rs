//! What the process under test does: commands one after the other, and what it says about them.
//!
//! It says everything as words in the trace, between the operations on the files: what it is about to hand over,
//! what was acknowledged, what was refused, what it saw.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use consentry::domain::{CommandId, Timestamp};
use consentry::event::Event;
use consentry::ledger::{AppendError, Attempt, Entry, Ledger as _, LedgerError, Mark, Outcome, Record, hex};
use consentry::refusal::{Refusal, RefusalCode};
use consentry_ledger::DiskLedger;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::{from_value, json};

/// The ledger's folder below the root. That it lies deeper than the root is on purpose.
pub(crate) const FOLDER: &str = "site/ledger";

/// Linux's number for a full disk.
pub(crate) const ENOSPC: i32 = 28;

pub(crate) fn company(number: u64) -> String {
    format!("company-{number}")
}

pub(crate) fn id(number: u64) -> CommandId {
    format!("command-{number}").parse().unwrap()
}

/// The number of an entry, from the name that has it at its end.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// The number of the entry that a record was made of; `None`: it is not one of these.
pub(crate) fn number_of(record: &Record) -> Option<u64> {
    let value = serde_json::to_value(record.events.first()?).ok()?;
    let found = number(value["companyRegistered"]["company"].as_str()?)?;
    (record.events == [event(found)]).then_some(found)
}

pub(crate) fn event(number: u64) -> Event {
    from_value(json!({ "companyRegistered": { "company": company(number) } })).unwrap()
}

/// What an entry is, as a letter.
pub(crate) fn has_events(kind: char) -> bool {
    kind != 'r'
}

pub(crate) fn has_attempt(kind: char) -> bool {
    kind != 's'
}

/// A command as it stands in the audit trail. A large one takes several pages.
pub(crate) fn body(number: u64, kind: char) -> serde_json::Value {
    let company = company(number).repeat(if kind == 'l' { 1_000 } else { 1 });
    json!({ "registerCompany": { "company": company } })
}

pub(crate) fn outcome(kind: char) -> Outcome {
    if has_events(kind) {
        let (events, determining_policies) = (vec!["companyRegistered".to_owned()], Vec::new());
        return Outcome::Done { revision: 0, events, determining_policies };
    }
    let message = "there is one".to_owned();
    let code = RefusalCode::AlreadyExists;
    Outcome::Refused(Refusal { code, message, determining_policies: Vec::new(), state: None })
}

/// The entry with this number: a (c)ommand, a (l)arge one, a (r)efusal, a (s)weep.
fn entry(number: u64, kind: char, expected: u64) -> Entry {
    let attempt = has_attempt(kind).then(|| Attempt {
        id: Some(id(number)),
        binds: true,
        digest: [7; 32],
        principal: r#"Operator::"olga""#.parse().unwrap(),
        body: json!({ "do": body(number, kind) }).to_string(),
        outcome: outcome(kind).into(),
    });
    let events = if has_events(kind) { vec![event(number)] } else { Vec::new() };
    let at = Timestamp::from_millis(i64::try_from(number).unwrap());
    Entry { mark: Mark::unique(), expected, after: None, at, events, attempt }
}

pub(crate) fn snapshot(number: u64) -> Vec<u8> {
    format!("snapshot {number} ").repeat(100).into_bytes()
}

/// The process. Its steps: those kinds of entries; (b) three at once; (B) so many large ones at once that the writer
/// has a long log to move; (n) a snapshot; (k) somebody outside moves the log into the database; (o) the ledger is
/// closed and opened again. (P), the first, has the database be one of small pages, so that a log of many is not long.
pub(crate) struct Story {
    folder: PathBuf,
    marks: File,
    next: u64,
    acknowledged: BTreeSet<u64>,
    /// The errno of the fault that there may be.
    fault: i32,
    /// Whether the fault is one that may keep a reader from opening the database.
    unreadable: bool,
}

impl Story {
    pub(crate) fn tell(root: &Path, steps: &str, first: u64, fault: i32, unreadable: bool) {
        let marks =
            File::options().write(true).create(true).truncate(false).open(root.join("marks")).unwrap();
        let acknowledged = BTreeSet::new();
        let mut story =
            Self { folder: root.join(FOLDER), marks, next: first, acknowledged, fault, unreadable };
        let (small, steps) = steps.strip_prefix('P').map_or((false, steps), |steps| (true, steps));
        if small {
            story.prepare();
        }
        let mut ledger = story.open();
        for step in steps.chars() {
            match step {
                'B' => ledger = story.submit(ledger, &['l'; 400]),
                'b' => ledger = story.submit(ledger, &['c', 's', 'c']),
                'n' => story.save(&ledger),
                'k' => story.move_log(),
                'o' => {
                    drop(ledger);
                    ledger = story.open();
                }
                kind => ledger = story.submit(ledger, &[kind]),
            }
        }
        story.see(&ledger);
        drop(ledger);
        story.say("closed");
    }

    /// Makes a database with pages of 512 bytes, and nothing in it.
    fn prepare(&self) {
        std::fs::create_dir_all(&self.folder).unwrap();
        for made in self.folder.ancestors().skip(1).take(2) {
            File::open(made).and_then(|folder| folder.sync_all()).unwrap();
        }
        let database = Connection::open(self.folder.join("ledger.sqlite3")).unwrap();
        database.execute_batch("PRAGMA page_size = 512; VACUUM; PRAGMA journal_mode = WAL").unwrap();
    }

    fn say(&mut self, words: &str) {
        self.marks.write_all(words.as_bytes()).unwrap();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whatever the fault, what the ledger says of it is true.
    fn expect_honest(&self, error: &LedgerError) {
        assert!(["ledger_full", "ledger_io"].contains(&error.code), "{}: {error}", error.code);
        assert!(error.code == "ledger_io" || self.fault == ENOSPC, "errno {}: {error}", self.fault);
    }

    /// Opens the ledger, at the latest when the fault is over.
    fn open(&mut self) -> DiskLedger {
        let mut last = None;
        for attempt in 0..4 {
            if attempt == 2 {
                self.say("heal");
            }
            match DiskLedger::open(&self.folder) {
                Ok(ledger) => {
                    self.say(&format!("opened {}", ledger.epoch()));
                    self.see(&ledger);
                    return ledger;
                }
                Err(error) => {
                    self.say(&format!("unopened {}", error.code));
                    self.expect_honest(&error);
                    last = Some(error);
                }
            }
        }
        panic!("it is not opened though nothing fails any more: {last:?}");
    }

    /// Reads everything. What is seen is there for ever.
    fn see(&mut self, ledger: &DiskLedger) {
        let head = ledger.head().unwrap();
        let (records, audit) = match (ledger.read(0, usize::MAX), ledger.audit(0, usize::MAX)) {
            (Ok(records), Ok(audit)) => (records, audit),
            (records, audit) => {
                assert!(self.unreadable, "it cannot be read: {records:?} {audit:?}");
                return;
            }
        };
        assert_eq!(records.last().map_or(0, |record| record.revision), head.revision);
        let there = records
            .iter()
            .filter_map(number_of)
            .chain(audit.iter().filter_map(|line| number(line.id.as_str())));
        let there: BTreeSet<u64> = there.collect();
        let lost: Vec<_> = self.acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "{lost:?} were acknowledged, and are not seen");
        self.say(&format!("saw {} {} {}", head.revision, hex(&head.hash), audit.len()));
    }

    /// Hands entries over together, again and again until they are acknowledged.
    fn submit(&mut self, mut ledger: DiskLedger, kinds: &[char]) -> DiskLedger {
        for attempt in 0..8 {
            let refused = self.try_once(&ledger, kinds);
            let Some(code) = refused else { return ledger };
            self.see(&ledger);
            if code == "ledger_io" {
                // Nothing is certain any more, and nothing is written until the ledger is opened again.
                assert_eq!(self.try_once(&ledger, &['c']), Some("ledger_io"));
                self.see(&ledger);
                self.say("heal");
                drop(ledger);
                ledger = self.open();
            } else if attempt == 1 {
                self.say("heal");
            } else {
                assert!(attempt < 2, "it is full though there is space again");
            }
        }
        panic!("nothing is acknowledged though nothing fails any more");
    }

    /// `None`: all of them were acknowledged; else none of them was, and why.
    fn try_once(&mut self, ledger: &DiskLedger, kinds: &[char]) -> Option<&'static str> {
        let mut expected = ledger.head().unwrap().revision;
        let mut commits = Vec::new();
        for kind in kinds {
            let number = self.number();
            self.say(&format!("submit {number} {kind}"));
            commits.push((number, ledger.append(entry(number, *kind, expected))));
            expected += u64::from(has_events(*kind));
        }
        let count = commits.len();
        let mut refused = Vec::new();
        for (number, commit) in commits {
            match commit.wait() {
                Ok(appended) => {
                    let head = appended.head;
                    self.say(&format!("ack {number} {} {}", head.revision, hex(&head.hash)));
                    self.acknowledged.insert(number);
                }
                Err(AppendError::Ledger(error)) => {
                    self.say(&format!("refused {number} {}", error.code));
                    self.expect_honest(&error);
                    refused.push(error.code);
                }
                Err(conflict @ AppendError::Conflict(_)) => panic!("{number}: {conflict}"),
            }
        }
        assert!(refused.is_empty() || refused.len() == count, "one commit was answered in two ways");
        refused.first().copied()
    }

    fn save(&mut self, ledger: &DiskLedger) {
        let number = self.number();
        let revision = ledger.head().unwrap().revision;
        self.say(&format!("saving {number}"));
        match ledger.save_snapshot(revision, snapshot(number)) {
            Ok(()) => self.say(&format!("saved {number}")),
            Err(error) => self.expect_honest(&error),
        }
    }

    /// As the writer does once the log is long; it may fail.
    fn move_log(&self) {
        let Ok(connection) = Connection::open(self.folder.join("ledger.sqlite3")) else { return };
        let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        kept.unwrap();
        let _moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
}
