//! Who writes. There is one pen, and whoever waits for an entry waits for it: what is in the queue by then
//! is committed together, with one fsync, and those whose entries were among it find their answers.
//!
//! A caller alone writes its own entry, without another thread to wake and to wait for.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use consentry::ledger::{AppendError, Appended, LedgerError};

use crate::sync::{Mutex, MutexGuard};

/// How many entries share a commit at most.
const BATCH: usize = if cfg!(feature = "shuttle") { 2 } else { 512 };

/// How many entries may wait. Whoever brings one more writes first.
const QUEUE: usize = 2 * BATCH;

pub(crate) type Answer = Result<Appended, AppendError>;

/// Where an answer is found; empty until the entry is written.
type Seat = Arc<Mutex<Option<Answer>>>;

/// What is written with.
pub(crate) trait Pen {
    type Entry: std::fmt::Debug;

    /// Commits entries in their order, and answers each.
    fn commit(&mut self, entries: Vec<Self::Entry>) -> Vec<Answer>;

    fn close(self);
}

/// The queue and the pen.
#[derive(Debug)]
pub(crate) struct Turns<P: Pen> {
    queue: Mutex<VecDeque<(P::Entry, Seat)>>,
    /// `None` once the ledger is closed. Poisoned when somebody panicked with it in hand: nothing is
    /// written any more then.
    pen: Mutex<Option<P>>,
}

/// An entry that was handed over.
#[derive(Debug)]
pub(crate) struct Pending<P: Pen> {
    turns: Arc<Turns<P>>,
    seat: Seat,
}

impl<P: Pen> Pending<P> {
    /// Waits until the entry is durable, and writes it when nobody else has.
    pub(crate) fn wait(self) -> Answer {
        loop {
            // INVARIANT: while nobody holds the pen, an entry is in the queue or has its answer.
            let pen = self.turns.pen.lock();
            if let Some(answer) = unpoisoned(&self.seat).take() {
                return answer;
            }
            self.turns.write(&mut *pen.map_err(|_| stopped())?)?;
        }
    }
}

/// INVARIANT: nothing panics while it holds a lock that is taken by this, so that a poisoned one is whole.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there is no answer.
fn stopped() -> LedgerError {
    LedgerError::new("ledger_io", "the ledger stopped before it answered")
}

impl<P: Pen> Turns<P> {
    pub(crate) fn new(pen: P) -> Self {
        Self { queue: Mutex::default(), pen: Mutex::new(Some(pen)) }
    }

    /// Puts an entry into the queue.
    pub(crate) fn hand_over(self: &Arc<Self>, entry: P::Entry) -> Result<Pending<P>, LedgerError> {
        let seat = Seat::default();
        let mut queue = unpoisoned(&self.queue);
        while queue.len() >= QUEUE {
            drop(queue);
            self.write(&mut *self.pen.lock().map_err(|_| stopped())?)?;
            queue = unpoisoned(&self.queue);
        }
        queue.push_back((entry, seat.clone()));
        Ok(Pending { turns: self.clone(), seat })
    }

    /// Writes what is in the queue.
    fn write(&self, pen: &mut Option<P>) -> Result<(), LedgerError> {
        let pen = pen.as_mut().ok_or_else(stopped)?;
        let (entries, seats): (Vec<_>, Vec<_>) = {
            let mut queue = unpoisoned(&self.queue);
            let batch = queue.len().min(BATCH);
            queue.drain(..batch).unzip()
        };
        let answers = pen.commit(entries);
        seats.iter().zip(answers).for_each(|(seat, answer)| *unpoisoned(seat) = Some(answer));
        Ok(())
    }

    /// Writes what was handed over, and lets nobody write any more.
    pub(crate) fn close(&self) {
        // After a panic the database is left as it is, as by a crash.
        let Ok(mut pen) = self.pen.lock() else { return };
        while !unpoisoned(&self.queue).is_empty() && self.write(&mut pen).is_ok() {}
        if let Some(pen) = pen.take() {
            pen.close();
        }
    }
}

#[cfg(test)]
#[cfg(feature = "shuttle")]
mod races;

#[cfg(test)]
#[cfg(not(feature = "shuttle"))]
mod tests {
    use consentry::domain::Timestamp;
    use consentry::event::Event;
    use consentry::ledger::{Entry, Ledger as _, Mark};
    use serde_json::{from_value, json};

    use super::*;
    use crate::DiskLedger;

    fn registered(expected: u64) -> Entry {
        let event: Event = from_value(json!({ "companyRegistered": { "company": "acme" } })).unwrap();
        let at = Timestamp::from_millis(1);
        Entry { mark: Mark::unique(), expected, after: None, at, events: vec![event], attempt: None }
    }

    #[test]
    fn a_writer_that_panics_leaves_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::open(dir.path()).unwrap();
        let (before, after) = (ledger.append(registered(0)), ledger.append(registered(1)));
        std::thread::scope(|scope| {
            let pen = ledger.turns.pen.lock().unwrap();
            let waiting = scope.spawn(|| before.wait());
            let panics = std::panic::AssertUnwindSafe(|| {
                let _pen = pen;
                panic!("with the pen in hand");
            });
            assert!(std::panic::catch_unwind(panics).is_err());
            assert_eq!(waiting.join().unwrap(), Err(stopped().into()));
        });
        assert_eq!(after.wait(), Err(stopped().into()));
        assert_eq!(ledger.append(registered(0)).wait(), Err(stopped().into()));
        assert_eq!(ledger.head().unwrap().revision, 0);
    }

    #[test]
    fn the_pen_goes_from_hand_to_hand_until_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::open(dir.path()).unwrap();
        let pen = ledger.turns.pen.lock().unwrap();
        let commits: Vec<_> = (0..100).map(|expected| ledger.append(registered(expected))).collect();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = commits.into_iter().map(|commit| scope.spawn(|| commit.wait())).collect();
            drop(pen);
            waiting.into_iter().for_each(|thread| drop(thread.join().unwrap().unwrap()));
        });
        assert_eq!(ledger.head().unwrap().revision, 100);
    }

    #[test]
    fn a_full_queue_is_written_by_whoever_brings_one_more() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::open(dir.path()).unwrap();
        let most = QUEUE as u64 + 1;
        let commits: Vec<_> = (0..most).map(|expected| ledger.append(registered(expected))).collect();
        assert_eq!(ledger.head().unwrap().revision, BATCH as u64);
        commits.into_iter().for_each(|commit| drop(commit.wait().unwrap()));
        assert_eq!(ledger.head().unwrap().revision, most);
    }

    #[test]
    fn what_nobody_waited_for_is_written_when_the_ledger_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::open(dir.path()).unwrap();
        drop(ledger.append(registered(0)));
        let later = ledger.append(registered(1));
        drop(ledger);
        assert_eq!(later.wait().unwrap().head.revision, 2);
        assert_eq!(DiskLedger::open(dir.path()).unwrap().head().unwrap().revision, 2);
    }
}
