//! A world as a ledger that can only be read: an engine on it is at hand without a disk.

use std::time::Duration;

use consentry::domain::{CommandId, TicketId};
use consentry::ledger::{Answered, AuditEntry, Commit, Entry, Head, Ledger, LedgerError, Record};
use consentry::{Engine, Revision};

use crate::world::World;

/// The records of a world, made when they are read.
#[derive(Debug, Clone, Copy)]
pub struct Frozen(World);

impl Frozen {
    /// The ledger that leads to `world`.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self(world)
    }

    /// An engine on `world`, with the shipped policies.
    ///
    /// # Panics
    /// When the events of the world cannot have happened.
    #[must_use]
    pub fn engine(world: World) -> Engine {
        Engine::open(Self(world)).expect("the world is sound")
    }
}

impl Ledger for Frozen {
    fn epoch(&self) -> &str {
        "frozen"
    }

    fn head(&self) -> Result<Head, LedgerError> {
        let revision = self.0.len() as Revision;
        let time = self.0.len().checked_sub(1).map_or(Head::EMPTY.time, |last| self.0.record(last).at);
        Ok(Head { revision, time, hash: [0; 32] })
    }

    fn append(&self, _: Entry) -> Commit {
        Commit::ready(Err(LedgerError::new("ledger_io", "this ledger is only read").into()))
    }

    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let record = |number| {
            let happened = self.0.record(number);
            Record {
                revision: number as Revision + 1,
                at: happened.at,
                epoch: String::new(),
                events: happened.events,
                hash: [0; 32],
            }
        };
        Ok((after..self.0.len()).take(limit).map(record).collect())
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
