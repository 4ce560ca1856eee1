//! Writing: what was handed over together is committed together, with one fsync.

mod append;

use std::sync::Arc;

use consentry::ledger::LedgerError;
use rusqlite::Connection;

pub(crate) use append::Prepared;
use append::Statements;

use crate::database::{self, Checkpoint, Checkpointed};
use crate::fault::Fault;
use crate::open::Files;
use crate::tail::{Published, Tail};
use crate::turns::{Answer, Pen};
use crate::witness::Witness;

/// After how many entries the length of the log is looked at: an entry takes a few pages.
const LOOK_AFTER: usize = 128;

/// From how many pages in the log on they are moved into the database.
const CHECKPOINT_AT: i64 = 8_000;

/// From how many pages on the log is to start again, lest it grow without end under steady readers.
const TRUNCATE_AT: i64 = 2 * CHECKPOINT_AT;

/// What one needs to write.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) files: Files,
    pub(crate) connection: Connection,
    pub(crate) epoch: String,
    pub(crate) witness: Witness,
    pub(crate) published: Arc<Published>,
    /// Why nothing is written any more: what the disk holds is no longer certain.
    pub(crate) failed: Option<LedgerError>,
    /// Entries since the length of the log was looked at.
    pub(crate) unlooked: usize,
}

impl Pen for Writer {
    type Entry = Prepared;

    fn commit(&mut self, entries: Vec<Prepared>) -> Vec<Answer> {
        if self.unlooked >= LOOK_AFTER {
            self.unlooked = 0;
            self.checkpoint();
        }
        let count = entries.len();
        self.unlooked += count;
        let answers = match self.failed.clone() {
            Some(error) => Err(error),
            None => self.write(entries).map_err(|fault| self.fail(fault)),
        };
        answers.unwrap_or_else(|error| vec![Err(error.into()); count])
    }

    fn close(self) {
        if self.failed.is_some() {
            return;
        }
        let done = database::checkpoint(&self.connection, Checkpoint::Truncate);
        if done.is_ok_and(|done| !done.busy) {
            // Without this the log stays, empty: nothing depends on it.
            let _tidied = database::remove_log_on_close(&self.connection);
        }
    }
}

impl Writer {
    /// Makes the entries durable, and then visible; or, with a fault, neither. Only when the witness
    /// cannot be told they are both, and the fault keeps them from being acknowledged.
    fn write(&mut self, entries: Vec<Prepared>) -> Result<Vec<Answer>, Fault> {
        let before = self.published.tail();
        let mut tail = before;
        let answers = self.transact(&mut tail, entries).inspect_err(|_| {
            if !self.connection.is_autocommit() {
                // Whether this works is seen by who looks at the connection next.
                let _undone = self.connection.execute_batch("ROLLBACK");
            }
        })?;
        if tail != before {
            self.acknowledge(tail)?;
        }
        Ok(answers)
    }

    fn transact(&self, tail: &mut Tail, entries: Vec<Prepared>) -> Result<Vec<Answer>, Fault> {
        let mut statements = Statements::begin(&self.connection, &self.epoch)?;
        let answers =
            entries.into_iter().map(|entry| statements.append(tail, entry)).collect::<Result<_, _>>()?;
        statements.commit().map_err(Fault::of_commit)?;
        Ok(answers)
    }

    fn acknowledge(&mut self, tail: Tail) -> Result<(), Fault> {
        // What is durable by then did not fail for want of space, whatever keeps the witness from being told.
        let said = self.witness.say(&tail).map_err(|fault| Fault::Broken(fault.to_string()));
        self.published.publish(tail);
        said
    }

    /// The error for a fault. After some faults nothing is written any more.
    fn fail(&mut self, fault: Fault) -> LedgerError {
        let fault = fault.examined(&self.files.dir, &self.files.log);
        let goes_on = fault.passes() && self.connection.is_autocommit();
        let error = fault.of(&self.files.dir);
        if goes_on {
            return error;
        }
        let message = format!("{}; nothing is written until it is opened again", error.message);
        self.failed.insert(LedgerError::new(error.code, message)).clone()
    }

    /// Moves what was committed into the database, from time to time.
    fn checkpoint(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let due = |found: Checkpointed| match found.logged {
            logged if logged - found.moved < CHECKPOINT_AT => None,
            logged if logged < TRUNCATE_AT => Some(Checkpoint::Passive),
            _ => Some(Checkpoint::Truncate),
        };
        let done = database::checkpoint(&self.connection, Checkpoint::Noop).and_then(|found| {
            due(found).map_or(Ok(found), |how| database::checkpoint(&self.connection, how))
        });
        if let Err(fault) = done {
            // Kept for the next append if it must not happen, and forgotten if the next may fare better.
            let _told_later = self.fail(fault);
        }
    }
}

#[cfg(test)]
#[cfg(not(feature = "shuttle"))]
mod tests;
