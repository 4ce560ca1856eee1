//! Who decides. Whoever brings a command while nobody decides, decides everything that waits by then;
//! the others sleep until their answers are durable, and are woken once.
//!
//! What was decided together is written together. While that is written, the next decides what came
//! meanwhile, and waits with it until it can be written: one batch is written, one is decided, one
//! gathers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Thread, current, park};

use serde_json::Value;

use super::EngineError;
use crate::command::Submission;
use crate::decide::Effect;
use crate::domain::{CommandId, Timestamp};
use crate::ledger::{AppendError, Hash, LedgerError, Outcome};
use crate::refusal::Refusal;

/// How many commands are decided together at most.
const BATCH: usize = 256;

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
            let Some(jobs) = self.take() else {
                park();
                continue;
            };
            let (jobs, seats) = jobs.into_iter().unzip();
            let mut turn = Turn { queue: self, seats, deciding: true, writing: None };
            let all = conduct(jobs, &mut turn);
            turn.tell(all);
        }
    }

    /// What waits, if nobody decides.
    fn take(&self) -> Option<Vec<(Job, Arc<Seat>)>> {
        let mut state = self.lock();
        if state.deciding {
            return None;
        }
        state.deciding = true;
        let batch = state.waiting.len().min(BATCH);
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
}

impl Turn<'_> {
    /// Everything is decided: waits until what was decided before is written, and lets the next decide.
    pub(super) fn decided(&mut self) {
        self.writing = Some(self.queue.writing.lock().unwrap_or_else(PoisonError::into_inner));
        self.let_next_decide();
    }

    /// Everything is written: the next may write.
    pub(super) fn written(&mut self) {
        self.writing = None;
    }

    fn let_next_decide(&mut self) {
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
        self.seats.drain(..all.len()).zip(all).for_each(|(seat, told)| seat.tell(told));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.deciding {
            self.let_next_decide();
        }
        for seat in self.seats.drain(..) {
            let error = LedgerError::new("ledger_io", "the engine stopped before it answered");
            seat.tell(Err(error.into()));
        }
    }
}
