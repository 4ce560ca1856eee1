//! The ledger on disk: what [`consentry::ledger::Ledger`] promises, kept in a folder.
//!
//! | file             | what it holds                                                            |
//! |------------------|--------------------------------------------------------------------------|
//! | `ledger.sqlite3` | the records and the audit trail, with SQLite's `-wal` and `-shm` beside it while it is open |
//! | `head`           | the witness: what was acknowledged, outside the database                 |
//! | `snapshot`       | the last snapshot of the directory; may be deleted                       |
//! | `lock`           | nothing; who has the ledger open holds a lock on it                      |
//!
//! **Nothing acknowledged is lost in silence.** An entry is acknowledged after its commit was synced and
//! the witness was told. A ledger that holds less than the witness says, or something else, is not opened
//! and not changed: `ledger_damaged`. Whoever restores an older copy, and accepts what is lost by it,
//! deletes `head`. Copies are made while the ledger is closed, of the whole folder, or with SQLite's own
//! `.backup`.
//!
//! **One opener.** A second one is told `ledger_locked`. The folder lies on a local file system whose
//! fsync and locks are honest.
//!
//! **A full disk passes.** Appends are told `ledger_full`, leave nothing behind, and succeed again when
//! there is space. After any other failed write or fsync nothing is certain about what the disk holds:
//! appends are told `ledger_io` until the ledger is opened again, and can still be read.

mod chain;
mod database;
mod fault;
mod open;
mod readers;
mod snapshot;
mod sync;
mod tail;
mod turns;
mod witness;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consentry::directory::Revision;
use consentry::domain::{CommandId, TicketId};
use consentry::ledger::{Answered, AuditEntry, Commit, Entry, Head, Ledger, LedgerError, Record, hex};
use rusqlite::{Connection, OptionalExtension as _};

use chain::{Line, StoredRecord, key, number, stored_hash, walk};
use fault::Fault;
use open::Files;
use readers::Readers;
use snapshot::Place;
use tail::Published;
use turns::Turns;
use writer::{Prepared, Writer};

/// A ledger in a folder, open. Dropping it finishes what was handed over and releases the folder.
#[derive(Debug)]
pub struct DiskLedger {
    files: Files,
    epoch: String,
    published: Arc<Published>,
    readers: Readers,
    /// Held while a snapshot is written: two would write the same draft.
    snapshots: Mutex<()>,
    turns: Arc<Turns<Writer>>,
    /// INVARIANT: the last field, so that the folder is released when everything else is closed.
    _lock: File,
}

/// What a ledger holds, all of it proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many records.
    pub records: u64,
    /// How many lines of the audit trail.
    pub audit_lines: u64,
}

impl DiskLedger {
    /// Opens the ledger in this folder; makes the folder, and an empty ledger in it, if there is none.
    ///
    /// # Errors
    /// `ledger_locked`: it is open already. `ledger_format`: a version that this one does not know wrote
    /// it. `ledger_damaged`: it does not hold what was acknowledged, or what was written. `ledger_io`,
    /// `ledger_full`: the system refused. Nothing was changed then, but for files that were not there.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let opened = open::open(dir)?;
        let published = Arc::new(Published::new(opened.tail));
        let writer = Writer {
            files: opened.files.clone(),
            connection: opened.connection,
            epoch: opened.epoch.clone(),
            witness: opened.witness,
            published: Arc::clone(&published),
            failed: None,
            unlooked: 0,
        };
        Ok(Self {
            readers: Readers::new(opened.files.database.clone()),
            files: opened.files,
            epoch: opened.epoch,
            published,
            snapshots: Mutex::new(()),
            turns: Arc::new(Turns::new(writer)),
            _lock: opened.lock,
        })
    }

    /// Whether there is a ledger in this folder, open or not, sound or not.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        Files::in_folder(dir).database.is_file()
    }

    /// Proves everything that the ledger holds: the database's own structure, and every link of both
    /// chains. Appends go on meanwhile.
    ///
    /// # Errors
    /// When something is not what was written, or cannot be read.
    pub fn verify(&self) -> Result<Verified, LedgerError> {
        let tail = self.published.tail();
        self.look(|connection| {
            let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if found != "ok" {
                return Err(Fault::Damaged(format!("the database is damaged: {found}")));
            }
            let ends = (
                walk::<StoredRecord>(connection, &self.epoch, 0, tail.head.revision, |_| Ok(()))?,
                walk::<Line>(connection, &self.epoch, 0, tail.lines, |_| Ok(()))?,
            );
            if ends != (tail.head.hash, tail.line_hash) {
                return Err(Fault::damaged("its end was rewritten since it was opened"));
            }
            Ok(Verified { records: tail.head.revision, audit_lines: tail.lines })
        })
    }

    fn look<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, LedgerError> {
        self.readers.with(read).map_err(|fault| fault.of(&self.files.dir))
    }

    /// The place of a snapshot at `revision`; `None`: the ledger does not reach that far.
    fn place(&self, revision: Revision) -> Result<Option<Place>, LedgerError> {
        if revision > self.published.tail().head.revision {
            return Ok(None);
        }
        let hash = self.look(|connection| stored_hash::<StoredRecord>(connection, revision))?;
        Ok(hash.map(|hash| Place { epoch: self.epoch.clone(), revision, record: hex(&hash) }))
    }

    /// The links after `after` up to `end`, at most `limit`, each made into what is asked for.
    fn page<L: chain::Link, T>(
        &self,
        after: u64,
        end: u64,
        limit: usize,
        make: impl Fn(L) -> Result<T, Fault>,
    ) -> Result<Vec<T>, LedgerError> {
        let count = end.saturating_sub(after).min(limit as u64);
        let mut page = Vec::new();
        if count > 0 {
            self.look(|connection| {
                walk::<L>(connection, &self.epoch, after, count, |link| {
                    page.push(make(link)?);
                    Ok(())
                })
            })?;
        }
        Ok(page)
    }
}

impl Ledger for DiskLedger {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn head(&self) -> Result<Head, LedgerError> {
        Ok(self.published.tail().head)
    }

    fn append(&self, entry: Entry) -> Commit {
        match Prepared::new(entry).and_then(|entry| self.turns.hand_over(entry)) {
            Ok(pending) => Commit::later(move || pending.wait()),
            Err(error) => Commit::ready(Err(error.into())),
        }
    }

    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let end = self.published.tail().head.revision;
        self.page(after, end, limit, |record: StoredRecord| record.into_record(&self.epoch))
    }

    fn wait(&self, revision: Revision, timeout: Duration) -> Result<Head, LedgerError> {
        Ok(self.published.wait(revision, timeout))
    }

    fn answered(&self, id: &CommandId) -> Result<Option<Answered>, LedgerError> {
        let end = self.published.tail().lines;
        self.look(|connection| {
            let mut bound =
                connection.prepare_cached("SELECT number FROM audit WHERE command_id = ?1 AND binds = 1")?;
            let found = bound.query_row([id.as_str()], |row| number(row, 0)).optional()?;
            let mut answer = None;
            if let Some(found) = found.filter(|found| (1..=end).contains(found)) {
                walk::<Line>(connection, &self.epoch, found - 1, 1, |line| {
                    answer = Some(line.into_answer()?);
                    Ok(())
                })?;
            }
            Ok(answer)
        })
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, LedgerError> {
        self.page(after, self.published.tail().lines, limit, Line::into_entry)
    }

    fn failed_completions(&self, ticket: &TicketId) -> Result<u64, LedgerError> {
        let end = self.published.tail().lines;
        self.look(|connection| {
            let sql = "SELECT count(*) FROM audit WHERE failed_ticket = ?1 AND number <= ?2";
            let count = connection.query_row(sql, (ticket.as_str(), key(end)), |row| number(row, 0));
            Ok(count?)
        })
    }

    /// A snapshot that is damaged, or was taken of another ledger or of records that are no longer in
    /// this one, is none.
    fn snapshot(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some((place, bytes)) = snapshot::load(&self.files.dir) else { return Ok(None) };
        Ok((self.place(place.revision)? == Some(place)).then_some(bytes))
    }

    fn save_snapshot(&self, revision: Revision, bytes: Vec<u8>) -> Result<(), LedgerError> {
        let place = self.place(revision)?.ok_or_else(|| {
            let what = format!("there is no revision {revision} for a snapshot");
            Fault::Broken(what).of(&self.files.dir)
        })?;
        let _one_at_a_time = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot::save(&self.files.dir, &place, &bytes).map_err(|fault| fault.of(&self.files.dir))
    }
}

impl Drop for DiskLedger {
    fn drop(&mut self) {
        // The writer is to be the last who has the database open: only then is its log removed.
        self.readers.close();
        self.turns.close();
    }
}
