//! Who decides. Whoever brings a command while nobody decides, decides everything that waits by then;
//! the others sleep until their answers are durable, and are woken once.
//!
//! What was decided together is written together. While that is written, the next decides what came
//! meanwhile, and what comes until it can be written itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Thread, current, park, yield_now};

use serde_json::Value;

use super::EngineError;
use crate::command::Submission;
use crate::decide::Effect;
use crate::domain::{CommandId, Timestamp};
use crate::ledger::{AppendError, Hash, LedgerError, Outcome};
use crate::refusal::Refusal;

/// How many commands are decided together at most.
const BATCH: usize = 256;

/// How often others are let run, without any of them bringing a command, before a batch is written.
const PATIENCE: usize = 64;

/// How often at most, those who are still being told included.
const LONGEST: usize = 16 * 1024;

/// A command on its way to a decision.
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) body: Value,
    pub(super) digest: Hash,
    /// Why it is refused whatever is decided: its id is not its own.
    pub(super) clash: Option<Refusal>,
    pub(super) now: Timestamp,
}

/// A command that was decided and handed to the ledger, and what came of it.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) effect: Option<Effect>,
    pub(super) written: Result<Option<CommandId>, AppendError>,
}

pub(super) type Told = Result<Settled, EngineError>;

/// Where a caller waits.
struct Seat {
    thread: Thread,
    told: Mutex<Option<Told>>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, told: Told) {
        *self.lock() = Some(told);
        self.thread.unpark();
    }
}

/// The commands that nobody has begun to decide.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Held while a batch is written.
    writing: Mutex<()>,
    /// How many commands were written together the last time,
    last: AtomicUsize,
    /// and how many of their callers are still to be told.
    untold: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// INVARIANT: who is in here waits, and will decide when woken while nobody else does.
    waiting: VecDeque<(Job, Arc<Seat>)>,
    deciding: bool,
}

impl Queue {
    /// INVARIANT: nothing panics while it holds the lock, so that a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what came of a command. The caller that finds nobody deciding has `conduct` deal with
    /// all that wait, its own command among them.
    pub(super) fn through(&self, job: Job, conduct: impl Fn(Vec<Job>, &mut Turn<'_>) -> Vec<Told>) -> Told {
        let seat = Arc::new(Seat { thread: current(), told: Mutex::new(None) });
        self.lock().waiting.push_back((job, seat.clone()));
        loop {
            if let Some(told) = seat.lock().take() {
                return told;
            }
            let Some(jobs) = self.take(&seat) else {
                park();
                continue;
            };
            let (jobs, seats) = jobs.into_iter().unzip();
            let mut turn = Turn { queue: self, seats, deciding: true, writing: None, untold: 0, wanted: 0 };
            let all = conduct(jobs, &mut turn);
            turn.tell(all);
        }
    }

    /// What waits, if nobody decides. INVARIANT: the taker's own is among it, if it waits at all: whoever
    /// is at work is not in the queue, and need not be woken.
    fn take(&self, taker: &Arc<Seat>) -> Option<Vec<(Job, Arc<Seat>)>> {
        let mut state = self.lock();
        if state.deciding || state.waiting.is_empty() {
            return None;
        }
        state.deciding = true;
        let batch = state.waiting.len().min(BATCH);
        let own = state.waiting.iter().position(|(_, seat)| Arc::ptr_eq(seat, taker));
        if let Some(own) = own.filter(|own| *own >= batch) {
            state.waiting.swap(own, batch - 1);
        }
        Some(state.waiting.drain(..batch).collect())
    }
}

/// A turn at deciding, and then at writing. However it ends, the next one has theirs, and nobody is left
/// without an answer.
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    seats: Vec<Arc<Seat>>,
    deciding: bool,
    writing: Option<MutexGuard<'a, ()>>,
    /// How many of the seats the queue counts as still to be told.
    untold: usize,
    /// How many commands are worth waiting for.
    wanted: usize,
}

impl Turn<'_> {
    /// Waits until what was decided before is written.
    pub(super) fn wait_to_write(&mut self) {
        self.writing = Some(self.queue.writing.lock().unwrap_or_else(PoisonError::into_inner));
        // Who is not told yet cannot be among these; who was told may be.
        let coming = self.seats.len() + self.queue.untold.load(Ordering::Relaxed);
        self.wanted = coming.max(self.queue.last.load(Ordering::Relaxed));
    }

    /// What came meanwhile. Whoever is just told their answers is likely to come again, and one fsync for
    /// all is better than two: they are given a chance to run. `None`: it is time to write.
    pub(super) fn late(&mut self) -> Option<Vec<Job>> {
        let mut fruitless = 0;
        for _ in 0..LONGEST {
            let (jobs, seats): (Vec<_>, Vec<_>) = {
                let mut state = self.queue.lock();
                let more = state.waiting.len().min(BATCH.saturating_sub(self.seats.len()));
                state.waiting.drain(..more).unzip()
            };
            self.seats.extend(seats);
            if !jobs.is_empty() {
                return Some(jobs);
            }
            fruitless += usize::from(self.queue.untold.load(Ordering::Relaxed) == 0);
            if fruitless > PATIENCE || self.seats.len() >= self.wanted.min(BATCH) {
                break;
            }
            yield_now();
        }
        None
    }

    /// Everything is written: the next may write.
    pub(super) fn written(&mut self) {
        self.untold = self.seats.len();
        self.queue.untold.fetch_add(self.untold, Ordering::Relaxed);
        self.queue.last.store(self.seats.len(), Ordering::Relaxed);
        self.writing = None;
    }

    /// Everything is decided: the next may decide.
    pub(super) fn let_next_decide(&mut self) {
        self.deciding = false;
        let next = {
            let mut state = self.queue.lock();
            state.deciding = false;
            state.waiting.front().map(|(_, seat)| seat.clone())
        };
        if let Some(next) = next {
            next.thread.unpark();
        }
    }

    fn tell(mut self, all: Vec<Told>) {
        for (seat, told) in self.seats.drain(..all.len()).zip(all) {
            if self.untold > 0 {
                self.untold -= 1;
                self.queue.untold.fetch_sub(1, Ordering::Relaxed);
            }
            seat.tell(told);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.queue.untold.fetch_sub(self.untold, Ordering::Relaxed);
        if self.deciding {
            self.let_next_decide();
        }
        for seat in self.seats.drain(..) {
            let error = LedgerError::new("ledger_io", "the engine stopped before it answered");
            seat.tell(Err(error.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::command::Command;

    fn job(number: u8) -> Job {
        let command = Command::RegisterCompany { company: format!("c-{number}").parse().unwrap() };
        let submission = Submission::new(r#"Operator::"root""#.parse().unwrap(), command);
        let (body, digest) = (submission.body(), submission.digest());
        Job { submission, body, digest, clash: None, now: Timestamp::MIN }
    }

    fn done() -> Told {
        let outcome = Outcome::Done { revision: 1, events: Vec::new(), determining_policies: Vec::new() };
        Ok(Settled { outcome, effect: None, written: Ok(None) })
    }

    /// Has the first caller be at its deciding while so many others come.
    fn crowd(others: u8, conduct: impl Fn(Vec<Job>, &mut Turn<'_>) -> Vec<Told> + Sync) -> Vec<bool> {
        let queue = Queue::default();
        let (begun, go) = (Barrier::new(2), Barrier::new(2));
        let first = |jobs, turn: &mut Turn<'_>| {
            begun.wait();
            go.wait();
            conduct(jobs, turn)
        };
        let came = |others| {
            while queue.lock().waiting.len() < others {
                yield_now()
            }
        };
        thread::scope(|scope| {
            let leader = scope.spawn(|| queue.through(job(0), first).is_ok());
            begun.wait();
            let rest: Vec<_> = (1..=others)
                .map(|number| {
                    let (queue, conduct) = (&queue, &conduct);
                    scope.spawn(move || queue.through(job(number), conduct).is_ok())
                })
                .collect();
            came(usize::from(others));
            go.wait();
            let all = std::iter::once(leader).chain(rest);
            all.map(|caller| caller.join().unwrap_or(false)).collect()
        })
    }

    #[test]
    fn what_came_while_others_were_decided_is_decided_together() {
        let batches = Mutex::new(Vec::new());
        let answered = crowd(20, |jobs, turn| {
            batches.lock().unwrap().push(jobs.len());
            turn.let_next_decide();
            jobs.iter().map(|_| done()).collect()
        });
        assert_eq!(answered, [true; 21]);
        assert_eq!(*batches.lock().unwrap(), [1, 20]);
    }

    #[test]
    fn what_comes_until_it_can_be_written_joins_in() {
        let answered = crowd(20, |mut jobs, turn| {
            turn.wait_to_write();
            while let Some(late) = turn.late() {
                jobs.extend(late);
            }
            turn.let_next_decide();
            turn.written();
            assert_eq!(jobs.len(), 21);
            jobs.iter().map(|_| done()).collect()
        });
        assert_eq!(answered, [true; 21]);
    }

    #[test]
    fn whoever_is_at_work_is_not_in_the_queue() {
        let queue = Queue::default();
        let seat = || Arc::new(Seat { thread: current(), told: Mutex::new(None) });
        let seats: Vec<_> = (0..BATCH + 10).map(|_| seat()).collect();
        queue.lock().waiting.extend(seats.iter().map(|seat| (job(0), seat.clone())));
        let taker = seats.last().unwrap();
        let batch = queue.take(taker).unwrap();
        assert_eq!(batch.len(), BATCH);
        assert!(batch.iter().any(|(_, seat)| Arc::ptr_eq(seat, taker)));
        assert_eq!(queue.lock().waiting.len(), 10);
    }

    #[test]
    fn one_who_panics_leaves_nobody_waiting() {
        let answered = crowd(20, |jobs, _| {
            assert_ne!(jobs.len(), 1, "the first one fails");
            jobs.iter().map(|_| done()).collect()
        });
        assert_eq!(answered.iter().filter(|answered| **answered).count(), 20);
        let answered = crowd(3, |_, turn| {
            while turn.late().is_some() {}
            unreachable!("all fail together")
        });
        assert_eq!(answered, [false; 4]);
    }
}
