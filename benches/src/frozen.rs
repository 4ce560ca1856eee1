//! What happened, as a ledger that can only be read: an engine on it is at hand without a disk.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::time::Duration;

use consentry::domain::{CommandId, TicketId};
use consentry::ledger::{Answered, AuditEntry, Commit, Entry, Head, Ledger, LedgerError, Record};
use consentry::{Engine, Event, Revision, Timestamp};

/// What happened, record by record.
pub trait History: Send + Sync + 'static {
    /// How many records there are.
    fn records(&self) -> usize;

    /// When the record with this number was written, from 0 on, and what it holds.
    fn happened(&self, number: usize) -> (Timestamp, Vec<Event>);
}

/// The records of a history, made when they are read.
#[derive(Debug, Clone, Copy)]
pub struct Frozen<H>(H);

impl<H: History> Frozen<H> {
    /// An engine on what `history` leads to, with the shipped policies.
    ///
    /// # Panics
    /// When it cannot have happened.
    #[must_use]
    pub fn engine(history: H) -> Engine {
        Engine::open(Self(history)).expect("the history is sound")
    }
}

impl<H: History> Ledger for Frozen<H> {
    fn epoch(&self) -> &str {
        "frozen"
    }

    fn head(&self) -> Result<Head, LedgerError> {
        let records = self.0.records();
        let revision = records as Revision;
        let time = records.checked_sub(1).map_or(Head::EMPTY.time, |last| self.0.happened(last).0);
        Ok(Head { revision, time, hash: [0; 32] })
    }

    fn append(&self, _: Entry) -> Commit {
        Commit::ready(Err(LedgerError::new("ledger_io", "this ledger is only read").into()))
    }

    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let record = |number| {
            let (at, events) = self.0.happened(number);
            Record { revision: number as Revision + 1, at, epoch: String::new(), events, hash: [0; 32] }
        };
        Ok((after..self.0.records()).take(limit).map(record).collect())
    }

    fn wait(&self, _: Revision, _: Duration) -> Result<Head, LedgerError> {
        self.head()
    }

    fn answered(&self, _: &CommandId) -> Result<Option<Answered>, LedgerError> {
        Ok(None)
    }

    fn audit(&self, _: u64, _: usize) -> Result<Vec<AuditEntry>, LedgerError> {
        Ok(Vec::new())
    }

    fn failed_completions(&self, _: &TicketId) -> Result<u64, LedgerError> {
        Ok(0)
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(None)
    }

    fn save_snapshot(&self, _: Revision, _: Vec<u8>) -> Result<(), LedgerError> {
        Ok(())
    }
}
