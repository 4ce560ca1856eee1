//! Who writes. There is one pen, and whoever waits for an entry while nobody holds it takes it: what is
//! in the queue by then is committed together, with one fsync, and the pen goes to the next who waits.
//!
//! A caller alone writes its own entry, without another thread to wake and to wait for. Of many, one
//! writes while the others are told their answers and decide what to hand over next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Thread, current, park};

use consentry::ledger::{AppendError, Appended, Entry, LedgerError};

use crate::writer::{Prepared, Writer};

/// How many entries share a commit at most.
const BATCH: usize = 512;

/// How many entries may wait. Whoever brings one more writes first.
const QUEUE: usize = 2 * BATCH;

pub(crate) type Answer = Result<Appended, AppendError>;

/// The queue and the pen.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    put_down: Condvar,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Job>,
    pen: Pen,
}

#[derive(Debug)]
enum Pen {
    Free(Box<Writer>),
    Taken,
    /// Nothing is written any more: the ledger was closed, or somebody panicked with the pen in hand.
    Gone,
}

/// An entry in the queue, and the seat of whoever brought it.
#[derive(Debug)]
struct Job {
    entry: Prepared,
    seat: Arc<Seat>,
}

/// Where an answer is waited for.
#[derive(Debug, Default)]
struct Seat {
    answer: Mutex<Option<Answer>>,
    /// Who waits; empty while nobody does. From then on, whoever it is takes the pen when woken.
    waits: OnceLock<Thread>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Option<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, answer: Answer) {
        *self.lock() = Some(answer);
        if let Some(thread) = self.waits.get() {
            thread.unpark();
        }
    }
}

/// An entry that was handed over.
#[derive(Debug)]
pub(crate) struct Pending {
    turns: Arc<Turns>,
    seat: Arc<Seat>,
}

impl Pending {
    /// Waits until the entry is durable, and writes it when nobody else does.
    pub(crate) fn wait(self) -> Answer {
        // INVARIANT: the seat names its thread before the answer is looked for, so that whoever answers
        // after that look wakes it.
        let _already = self.seat.waits.set(current());
        loop {
            if let Some(answer) = self.seat.lock().take() {
                return answer;
            }
            let mut state = self.turns.lock();
            // With an empty queue, this entry was written, and its answer is on its way.
            let pen = if state.queue.is_empty() { None } else { state.take_pen() };
            match pen {
                Some(writer) => drop(self.turns.write(writer, state)),
                None => {
                    drop(state);
                    park();
                }
            }
        }
    }
}

/// Why there is no answer.
fn stopped() -> LedgerError {
    LedgerError::new("ledger_io", "the ledger stopped before it answered")
}

impl Turns {
    pub(crate) fn new(writer: Writer) -> Self {
        let state = State { queue: VecDeque::new(), pen: Pen::Free(Box::new(writer)) };
        Self { state: Mutex::new(state), put_down: Condvar::new() }
    }

    /// INVARIANT: nothing panics while it holds the lock, so that a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until_put_down<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.put_down.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry into the queue.
    pub(crate) fn hand_over(self: &Arc<Self>, entry: Entry) -> Result<Pending, LedgerError> {
        let entry = Prepared::new(entry)?;
        let seat = Arc::new(Seat::default());
        let pending = Pending { turns: self.clone(), seat: seat.clone() };
        let mut state = self.lock();
        while state.queue.len() >= QUEUE {
            state = match state.take_pen() {
                Some(writer) => self.write(writer, state),
                None => self.until_put_down(state),
            };
        }
        if matches!(state.pen, Pen::Gone) {
            return Err(stopped());
        }
        state.queue.push_back(Job { entry, seat });
        Ok(pending)
    }

    /// Writes what is in the queue, and gives the pen to the next. The answers are told after that: who
    /// is next need not wait for it.
    fn write<'a>(
        &'a self,
        mut writer: Box<Writer>,
        mut state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        let batch = state.queue.len().min(BATCH);
        let (entries, seats) = state.queue.drain(..batch).map(|job| (job.entry, job.seat)).unzip();
        drop(state);
        let mut turn = Turn { turns: self, seats };
        let answers = writer.commit(entries);
        let seats = std::mem::take(&mut turn.seats);
        let next = {
            let mut state = self.lock();
            state.pen = Pen::Free(writer);
            state.queue.iter().find_map(|job| job.seat.waits.get().cloned())
        };
        self.put_down.notify_all();
        if let Some(next) = next {
            next.unpark();
        }
        seats.iter().zip(answers).for_each(|(seat, answer)| seat.tell(answer));
        self.lock()
    }

    /// Writes what was handed over, and lets nobody write any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        loop {
            state = match state.take_pen() {
                None if matches!(state.pen, Pen::Gone) => return,
                None => self.until_put_down(state),
                Some(writer) if state.queue.is_empty() => {
                    state.pen = Pen::Gone;
                    drop(state);
                    return writer.close();
                }
                Some(writer) => self.write(writer, state),
            };
        }
    }
}

impl State {
    fn take_pen(&mut self) -> Option<Box<Writer>> {
        match std::mem::replace(&mut self.pen, Pen::Taken) {
            Pen::Free(writer) => Some(writer),
            taken @ (Pen::Taken | Pen::Gone) => {
                self.pen = taken;
                None
            }
        }
    }
}

/// A turn at writing. One that ends before it has answered, as by a panic, tells everybody that nothing
/// is written any more.
struct Turn<'a> {
    turns: &'a Turns,
    /// Who is to be told; empty once the turn is over.
    seats: Vec<Arc<Seat>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.seats.is_empty() {
            return;
        }
        let waiting = {
            let mut state = self.turns.lock();
            state.pen = Pen::Gone;
            std::mem::take(&mut state.queue)
        };
        self.turns.put_down.notify_all();
        let waiting = waiting.into_iter().map(|job| job.seat);
        self.seats.drain(..).chain(waiting).for_each(|seat| seat.tell(Err(stopped().into())));
    }
}

#[cfg(test)]
mod tests {
    use consentry::domain::Timestamp;
    use consentry::event::Event;
    use consentry::ledger::{Ledger as _, Mark};
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
        let pen = ledger.turns.lock().take_pen();
        let turn = Turn { turns: &ledger.turns, seats: vec![Arc::default()] };
        let (before, after) = (ledger.append(registered(0)), ledger.append(registered(1)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| before.wait());
            drop(turn);
            assert_eq!(waiting.join().unwrap(), Err(stopped().into()));
        });
        assert_eq!(after.wait(), Err(stopped().into()));
        assert_eq!(ledger.append(registered(0)).wait(), Err(stopped().into()));
        assert_eq!(ledger.head().unwrap().revision, 0);
        drop(pen);
    }

    #[test]
    fn the_pen_goes_from_hand_to_hand_until_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::open(dir.path()).unwrap();
        let writer = ledger.turns.lock().take_pen().unwrap();
        let commits: Vec<_> = (0..100).map(|expected| ledger.append(registered(expected))).collect();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = commits.into_iter().map(|commit| scope.spawn(|| commit.wait())).collect();
            drop(ledger.turns.write(writer, ledger.turns.lock()));
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
