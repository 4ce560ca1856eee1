//! The one thread that writes. What waits in the queue is committed together, with one fsync.

mod append;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use consentry::ledger::{AppendError, Appended, LedgerError};
use rusqlite::{Connection, TransactionBehavior};

pub(crate) use append::Prepared;
use append::Statements;

use crate::database::{self, Checkpoint, Checkpointed};
use crate::fault::Fault;
use crate::open::Files;
use crate::tail::{Published, Tail};
use crate::witness::Witness;

/// How many entries share a commit at most.
const BATCH: usize = 512;

/// How many entries may wait. Beyond that, callers wait to hand theirs over.
pub(crate) const QUEUE: usize = 2 * BATCH;

/// After how many entries the length of the log is looked at: an entry takes a few pages.
const LOOK_AFTER: usize = 128;

/// From how many pages in the log on they are moved into the database.
const CHECKPOINT_AT: i64 = 1_000;

/// From how many pages on the log is to start again, lest it grow without end under steady readers.
const TRUNCATE_AT: i64 = 16 * CHECKPOINT_AT;

pub(crate) type Answer = Result<Appended, AppendError>;

/// An entry in the queue, and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) entry: Prepared,
    pub(crate) answer: SyncSender<Answer>,
}

/// What the thread owns.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) files: Files,
    pub(crate) connection: Connection,
    pub(crate) epoch: String,
    pub(crate) witness: Witness,
    pub(crate) published: Arc<Published>,
    /// Why nothing is written any more: what the disk holds is no longer certain.
    pub(crate) failed: Option<LedgerError>,
}

impl Writer {
    /// Works until nobody can hand anything over, then closes the database.
    pub(crate) fn run(mut self, queue: &Receiver<Job>) {
        let mut unlooked = 0;
        while let Ok(first) = queue.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).take(BATCH).collect();
            unlooked += jobs.len();
            self.commit(jobs.into_iter());
            if unlooked >= LOOK_AFTER {
                unlooked = 0;
                self.checkpoint();
            }
        }
        self.close();
    }

    /// Commits entries in their order, and answers each.
    pub(crate) fn commit(&mut self, jobs: impl Iterator<Item = Job>) {
        let (entries, waiting): (Vec<_>, Vec<_>) = jobs.map(|job| (job.entry, job.answer)).unzip();
        let answers = match self.failed.clone() {
            Some(error) => Err(error),
            None => self.write(entries).map_err(|fault| self.fail(fault)),
        };
        match answers {
            // Whoever no longer waits needs no answer.
            Ok(answers) => waiting.iter().zip(answers).for_each(|(to, answer)| drop(to.send(answer))),
            Err(error) => waiting.iter().for_each(|to| drop(to.send(Err(error.clone().into())))),
        }
    }

    /// Makes the entries durable, and then visible; or, with a fault, neither. Only when the witness
    /// cannot be told they are both, and the fault keeps them from being acknowledged.
    fn write(&mut self, entries: Vec<Prepared>) -> Result<Vec<Answer>, Fault> {
        let before = self.published.tail();
        let mut tail = before;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut statements = Statements::prepare(&transaction, &self.epoch)?;
        let answers: Result<Vec<Answer>, rusqlite::Error> =
            entries.into_iter().map(|entry| statements.append(&mut tail, entry)).collect();
        drop(statements);
        let answers = answers?;
        transaction.commit()?;
        if tail != before {
            self.acknowledge(tail)?;
        }
        Ok(answers)
    }

    fn acknowledge(&mut self, tail: Tail) -> Result<(), Fault> {
        let said = self.witness.say(&tail);
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

#[cfg(test)]
mod tests;
