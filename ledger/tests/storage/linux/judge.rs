//! What a ledger must hold, given what was said so far, and whether it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use consentry::domain::Timestamp;
use consentry::ledger::{AuditEntry, Entry, Ledger as _, LedgerError, Mark, Record, hex};
use consentry_ledger::DiskLedger;

use super::disk::Image;
use super::story::{self, FOLDER};

/// What was said so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    submitted: BTreeMap<u64, char>,
    acknowledged: BTreeMap<u64, (u64, String)>,
    /// Told that the disk is full: not in the ledger, ever.
    full: BTreeSet<u64>,
    epoch: Option<String>,
    /// How many records and lines were seen, with the hash of each last record.
    seen: BTreeMap<u64, String>,
    lines: usize,
    saving: BTreeSet<u64>,
    saved: u64,
}

impl Said {
    pub(crate) fn hear(&mut self, words: &str) {
        let words: Vec<&str> = words.split(' ').collect();
        let number = || words[1].parse::<u64>().unwrap();
        match words[0] {
            "submit" => drop(self.submitted.insert(number(), words[2].chars().next().unwrap())),
            "ack" => {
                let (revision, hash) = (words[2].parse().unwrap(), words[3].to_owned());
                self.acknowledged.insert(number(), (revision, hash));
            }
            "refused" => {
                if words[2] == "ledger_full" {
                    self.full.insert(number());
                }
            }
            "opened" => {
                let epoch = words[1].to_owned();
                assert!(self.epoch.as_ref().is_none_or(|before| *before == epoch), "another ledger");
                self.epoch = Some(epoch);
            }
            "saw" => {
                self.seen.insert(number(), words[2].to_owned());
                self.lines = self.lines.max(words[3].parse().unwrap());
            }
            "saving" => drop(self.saving.insert(number())),
            "saved" => self.saved = number(),
            "unopened" | "heal" | "closed" => {}
            other => unreachable!("{other}"),
        }
    }

    /// Whether the witness was told of everything that was acknowledged.
    pub(crate) fn judge_witness(&self, head: &[u8]) -> Result<(), String> {
        let words: Vec<&str> = str::from_utf8(head).unwrap_or_default().split_ascii_whitespace().collect();
        let told = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        let revision = self.acknowledged.values().map(|(revision, _)| *revision).max();
        let lines =
            self.acknowledged.keys().filter(|number| story::has_attempt(self.submitted[number])).count();
        let expected = (revision, Some(lines as u64));
        let found = (told("records"), told("audit"));
        if found.0 >= expected.0 && found.1 >= expected.1 {
            return Ok(());
        }
        Err(format!("{expected:?} was acknowledged, and the witness says {found:?}"))
    }

    /// Whether this is what a ledger may hold by now.
    pub(crate) fn judge(&self, found: &Found) -> Result<(), String> {
        if let Some(epoch) = self.epoch.as_ref().filter(|epoch| **epoch != found.epoch) {
            return Err(format!("it was the ledger {epoch}, and is {}", found.epoch));
        }
        let records =
            found.records.iter().map(|record| self.record(record)).collect::<Result<Vec<_>, _>>()?;
        let lines = found.audit.iter().map(|line| self.line(line)).collect::<Result<Vec<_>, _>>()?;
        for (name, numbers) in [("records", &records), ("lines", &lines)] {
            if !numbers.is_sorted_by(|one, next| one < next) {
                return Err(format!("the {name} are in another order: {numbers:?}"));
            }
        }
        for (number, kind) in &self.submitted {
            let there = (records.contains(number), lines.contains(number));
            let whole = (story::has_events(*kind), story::has_attempt(*kind));
            if there != whole && there != (false, false) {
                return Err(format!("half of {number} is there"));
            }
            let is_there = there == whole;
            if self.acknowledged.contains_key(number) && !is_there {
                return Err(format!("{number} was acknowledged, and is lost"));
            }
            if self.full.contains(number) && is_there {
                return Err(format!("there was no space for {number}, and it is there"));
            }
        }
        let acknowledged = self.acknowledged.values().filter(|(revision, _)| *revision > 0);
        for (revision, hash) in acknowledged
            .map(|(revision, hash)| (revision, hash))
            .chain(self.seen.iter().filter(|(r, _)| **r > 0))
        {
            let at = usize::try_from(revision - 1).unwrap();
            if found.records.get(at).is_none_or(|record| hex(&record.hash) != *hash) {
                return Err(format!("revision {revision} was seen, and is lost"));
            }
        }
        if found.audit.len() < self.lines {
            return Err(format!("{} lines were seen, and {} are there", self.lines, found.audit.len()));
        }
        self.judge_snapshot(found.snapshot.as_deref())
    }

    fn record(&self, record: &Record) -> Result<u64, String> {
        let number = story::number_of(record).filter(|number| self.submitted.contains_key(number));
        number.ok_or_else(|| format!("nobody submitted {record:?}"))
    }

    fn line(&self, line: &AuditEntry) -> Result<u64, String> {
        let number = story::number(line.id.as_str()).unwrap_or_default();
        let found = self.submitted.get_key_value(&number);
        let (number, kind) = found.ok_or_else(|| format!("nobody submitted {line:?}"))?;
        let same = line.outcome == story::outcome(*kind) && line.command == story::body(*number, *kind);
        if same { Ok(*number) } else { Err(format!("{number} was another command than {line:?}")) }
    }

    fn judge_snapshot(&self, found: Option<&[u8]>) -> Result<(), String> {
        let number = match found {
            None => 0,
            Some(bytes) => {
                let mut saving = self.saving.iter();
                let number = saving.find(|number| story::snapshot(**number) == bytes);
                *number.ok_or("a snapshot that nobody saved")?
            }
        };
        if number >= self.saved { Ok(()) } else { Err(format!("the snapshot {} is lost", self.saved)) }
    }
}

/// What was found in a ledger, all of it proven.
#[derive(Debug)]
pub(crate) struct Found {
    epoch: String,
    records: Vec<Record>,
    audit: Vec<AuditEntry>,
    snapshot: Option<Vec<u8>>,
}

/// A process that another thread starts holds a copy of every lock, until it becomes another program.
fn open(folder: &Path) -> Result<DiskLedger, LedgerError> {
    loop {
        match DiskLedger::open(folder) {
            Err(error) if error.code == "ledger_locked" => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// Opens what a crash left, with nothing between the ledger and the disk; goes on with it, and opens it again.
/// An empty folder of that name is made in `scratch`, and removed.
pub(crate) fn recover(image: &Image, scratch: &Path, garbage: bool) -> Result<Found, String> {
    let root = tempfile::tempdir_in(scratch).unwrap();
    let folder = root.path().join(FOLDER);
    for (path, bytes) in image {
        let path = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    if garbage && folder.exists() {
        std::fs::write(folder.join("ledger.sqlite3-shm"), [0xA5; 1 << 15]).unwrap();
    }
    let failed = |doing: &'static str| move |error: LedgerError| format!("{doing}: {error}");
    let ledger = open(&folder).map_err(failed("open"))?;
    let found = Found {
        epoch: ledger.epoch().to_owned(),
        records: ledger.read(0, usize::MAX).map_err(failed("read"))?,
        audit: ledger.audit(0, usize::MAX).map_err(failed("audit"))?,
        snapshot: ledger.snapshot().map_err(failed("snapshot"))?,
    };
    let whole = |ledger: &DiskLedger, more: usize| {
        let verified = ledger.verify().map_err(failed("verify"))?;
        let expected = (found.records.len() + more, found.audit.len());
        let counted = (verified.records as usize, verified.audit_lines as usize);
        if counted == expected { Ok(()) } else { Err(format!("{counted:?} are there, not {expected:?}")) }
    };
    whole(&ledger, 0)?;
    let head = ledger.head().map_err(failed("head"))?;
    let (events, at) = (vec![story::event(0)], Timestamp::from_millis(i64::MAX / 2).max(head.time));
    let more =
        Entry { mark: Mark::unique(), expected: head.revision, after: None, at, events, attempt: None };
    let appended = ledger.append(more).wait().map_err(|error| format!("append: {error}"))?;
    drop(ledger);
    let again = open(&folder).map_err(failed("open again"))?;
    whole(&again, 1)?;
    if again.head().map_err(failed("head"))?.hash != appended.head.hash {
        return Err("what was appended afterwards is another record".to_owned());
    }
    Ok(found)
}
