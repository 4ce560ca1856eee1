//! Who decides. Whoever brings a command while nobody decides, decides everything that waits by then;
//! the others sleep until their answers are durable, and are woken once.
//!
//! What was decided together is written together. While it is written, the next decides what comes
//! meanwhile: two halves of the callers take turns at deciding and at writing. Where writing takes so long
//! that the next would only wait for it, all go together instead, so that one fsync is for all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Thread, current, park, park_timeout};
use std::time::Duration;

use super::EngineError;
use crate::command::Submission;
use crate::decide::Effect;
use crate::domain::{CommandId, Timestamp};
use crate::ledger::{AppendError, Hash, LedgerError, Outcome};
use crate::refusal::Refusal;

/// How many commands are decided together at most.
const BATCH: usize = 256;

/// How many commands are worth waking somebody who waits for more of them.
const LOT: usize = 8;

/// How long somebody who could write waits for another command.
const PATIENCE: Duration = Duration::from_micros(100);

/// For how long, for each caller there is, somebody waits until they can write while there is nothing to
/// decide: longer is slow. It is about what going by halves can save.
const SLOW: Duration = Duration::from_micros(16);

/// How many times all go together before two halves are tried again.
const TOGETHER: usize = 32;

/// A command on its way to a decision.
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) body: Arc<str>,
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
    /// How many callers there are, those included who were told and have not gone yet.
    present: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// INVARIANT: who is in here waits, and will decide when woken while nobody else does.
    waiting: VecDeque<(Job, Arc<Seat>)>,
    decider: Option<Decider>,
    /// Whether somebody has the right to write.
    writing: bool,
    /// How many commands were written together the last time.
    last: usize,
    /// How many batches in a row waited long to be written.
    slow: usize,
    /// How many batches are still to be everybody's.
    together: usize,
}

/// A caller, as long as it is there.
struct Present<'a>(&'a Queue);

impl<'a> Present<'a> {
    fn of(queue: &'a Queue) -> Self {
        queue.present.fetch_add(1, Ordering::Relaxed);
        Self(queue)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who decides.
struct Decider {
    thread: Thread,
    /// For how many commands they are to be woken; `None`: they are awake.
    sleeps_until: Option<usize>,
}

impl State {
    /// The decider, if they sleep, and for how many commands they are to be woken.
    fn sleeper(&self) -> Option<(&Thread, usize)> {
        let decider = self.decider.as_ref()?;
        Some((&decider.thread, decider.sleeps_until?))
    }

    /// How many commands of `present` callers are to be written together.
    fn enough(&self, present: usize) -> usize {
        let enough = if self.together > 0 { present.max(self.last) } else { present.div_ceil(2) };
        enough.min(BATCH)
    }
}

impl Queue {
    /// INVARIANT: nothing panics while it holds the lock, so that a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what came of a command. The caller that finds nobody deciding has `conduct` deal with
    /// all that wait, its own command among them.
    pub(super) fn through(&self, job: Job, conduct: impl Fn(Vec<Job>, Turn<'_>)) -> Told {
        let _present = Present::of(self);
        let seat = Arc::new(Seat { thread: current(), told: Mutex::new(None) });
        let sleeper = {
            let mut state = self.lock();
            state.waiting.push_back((job, seat.clone()));
            let enough = state.sleeper().filter(|(_, until)| state.waiting.len() >= *until);
            enough.map(|(decider, _)| decider.clone())
        };
        if let Some(decider) = sleeper {
            decider.unpark();
        }
        loop {
            if let Some(told) = seat.lock().take() {
                return told;
            }
            let Some(jobs) = self.take(&seat) else {
                park();
                continue;
            };
            let (jobs, seats) = jobs.into_iter().unzip();
            conduct(jobs, Turn { queue: self, seats, deciding: true, writing: false, slow: false });
        }
    }

    /// What waits, if nobody decides. INVARIANT: the taker's own is among it, if it waits at all: whoever
    /// is at work is not in the queue, and need not be woken.
    fn take(&self, taker: &Arc<Seat>) -> Option<Vec<(Job, Arc<Seat>)>> {
        let mut state = self.lock();
        if state.decider.is_some() || state.waiting.is_empty() {
            return None;
        }
        state.decider = Some(Decider { thread: current(), sleeps_until: None });
        let batch = state.waiting.len().min(BATCH);
        let own = state.waiting.iter().position(|(_, seat)| Arc::ptr_eq(seat, taker));
        let own = own.filter(|own| *own >= batch).and_then(|own| state.waiting.remove(own));
        let others = batch - usize::from(own.is_some());
        Some(state.waiting.drain(..others).chain(own).collect())
    }
}

/// A turn at deciding, and then at writing. However it ends, the next one has theirs, and nobody is left
/// without an answer.
pub(super) struct Turn<'a> {
    queue: &'a Queue,
    seats: Vec<Arc<Seat>>,
    deciding: bool,
    writing: bool,
    /// Whether it waited long to write.
    slow: bool,
}

impl Turn<'_> {
    /// What came meanwhile, to be decided as well; `None`: it is time to write, and nobody else does.
    pub(super) fn late(&mut self) -> Option<Vec<Job>> {
        let mut state = self.queue.lock();
        let mut patient = true;
        loop {
            if !state.writing {
                (state.writing, self.writing) = (true, true);
            }
            let room =
                if self.writing { state.enough(self.queue.present.load(Ordering::Relaxed)) } else { BATCH };
            let more = room.saturating_sub(self.seats.len());
            let waiting = state.waiting.len();
            if waiting >= more.min(LOT) || !patient {
                if more > 0 && waiting > 0 {
                    let (jobs, seats): (Vec<_>, Vec<_>) = state.waiting.drain(..waiting.min(more)).unzip();
                    self.seats.extend(seats);
                    return Some(jobs);
                }
                if self.writing {
                    return None;
                }
            }
            let until = if more > 0 { more.min(LOT) } else { usize::MAX };
            state = self.sleep(state, until);
            if state.waiting.len() == waiting && (self.writing || state.writing) {
                self.slow |= !self.writing;
                patient = false;
            }
        }
    }

    /// Sleeps until so many commands wait, or somebody has written, or patience is at its end.
    fn sleep<'a>(&self, mut state: MutexGuard<'a, State>, until: usize) -> MutexGuard<'a, State>
    where
        Self: 'a,
    {
        fn say(state: &mut State, until: Option<usize>) {
            if let Some(decider) = &mut state.decider {
                decider.sleeps_until = until;
            }
        }
        let queue = self.queue;
        say(&mut state, Some(until));
        drop(state);
        let present = u32::try_from(queue.present.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        park_timeout(if self.writing { PATIENCE } else { SLOW.saturating_mul(present) });
        let mut state = queue.lock();
        say(&mut state, None);
        state
    }

    /// Everything is written: the next may write.
    pub(super) fn written(&mut self) {
        self.writing = false;
        let sleeper = {
            let mut state = self.queue.lock();
            state.writing = false;
            state.last = self.seats.len();
            state.together = state.together.saturating_sub(1);
            state.slow = if self.slow { state.slow + 1 } else { 0 };
            if state.slow > 1 {
                state.together = TOGETHER;
            }
            state.sleeper().map(|(decider, _)| decider.clone())
        };
        if let Some(next) = sleeper {
            next.unpark();
        }
    }

    /// Everything is decided: the next may decide.
    pub(super) fn let_next_decide(&mut self) {
        self.deciding = false;
        let next = {
            let mut state = self.queue.lock();
            state.decider = None;
            state.waiting.front().map(|(_, seat)| seat.clone())
        };
        if let Some(next) = next {
            next.thread.unpark();
        }
    }

    /// Answers everybody.
    pub(super) fn tell(mut self, all: Vec<Told>) {
        for (seat, told) in self.seats.drain(..all.len()).zip(all) {
            seat.tell(told);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.writing {
            self.written();
        }
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
    use std::thread::{self, yield_now};

    use super::*;
    use crate::command::Command;

    fn job(number: u8) -> Job {
        let command = Command::RegisterCompany { company: format!("c-{number}").parse().unwrap() };
        let submission = Submission::new(r#"Operator::"root""#.parse().unwrap(), command);
        let (body, digest) = (submission.body().into(), submission.digest());
        Job { submission, body, digest, clash: None, now: Timestamp::MIN }
    }

    fn done() -> Told {
        let outcome = Outcome::Done { revision: 1, events: Vec::new(), determining_policies: Vec::new() };
        Ok(Settled { outcome, effect: None, written: Ok(None) })
    }

    /// Has the first caller be at its deciding while so many others come.
    fn crowd(others: u8, conduct: impl Fn(Vec<Job>, Turn<'_>) + Sync) -> Vec<bool> {
        let queue = Queue::default();
        let (begun, go) = (Barrier::new(2), Barrier::new(2));
        let first = |jobs, turn: Turn<'_>| {
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
        let answered = crowd(20, |jobs, mut turn| {
            batches.lock().unwrap().push(jobs.len());
            turn.let_next_decide();
            turn.tell(jobs.iter().map(|_| done()).collect());
        });
        assert_eq!(answered, [true; 21]);
        assert_eq!(*batches.lock().unwrap(), [1, 20]);
    }

    /// Decides and writes as the engine does; the sizes of the batches go into `batches`.
    fn whole(mut jobs: Vec<Job>, mut turn: Turn<'_>, batches: &Mutex<Vec<usize>>) {
        while let Some(late) = turn.late() {
            jobs.extend(late);
        }
        turn.let_next_decide();
        batches.lock().unwrap().push(jobs.len());
        turn.written();
        turn.tell(jobs.iter().map(|_| done()).collect());
    }

    #[test]
    fn half_of_those_who_are_there_are_written_together() {
        let batches = Mutex::new(Vec::new());
        let answered = crowd(20, |jobs, turn| whole(jobs, turn, &batches));
        assert_eq!(answered, [true; 21]);
        let batches = batches.into_inner().unwrap();
        assert_eq!((batches.first(), batches.iter().sum()), (Some(&11), 21), "{batches:?}");
    }

    #[test]
    fn what_comes_while_another_writes_joins_in() {
        let (queue, decided, batches) = (Queue::default(), AtomicUsize::new(0), Mutex::new(Vec::new()));
        queue.lock().writing = true;
        let conduct = |mut jobs: Vec<Job>, mut turn: Turn<'_>| {
            decided.fetch_add(jobs.len(), Ordering::Relaxed);
            while let Some(late) = turn.late() {
                decided.fetch_add(late.len(), Ordering::Relaxed);
                jobs.extend(late);
            }
            whole(jobs, turn, &batches);
        };
        thread::scope(|scope| {
            for number in 0..20 {
                let (queue, conduct) = (&queue, &conduct);
                scope.spawn(move || queue.through(job(number), conduct).is_ok());
            }
            while decided.load(Ordering::Relaxed) < 20 {
                yield_now();
            }
            let mut state = queue.lock();
            state.writing = false;
            state.decider.as_ref().unwrap().thread.unpark();
        });
        assert_eq!(*batches.lock().unwrap(), [20]);
    }

    #[test]
    fn where_writing_is_slow_all_go_together() {
        let queue = Queue::default();
        let turn = |slow| {
            let seats =
                (0..64).map(|_| Arc::new(Seat { thread: current(), told: Mutex::new(None) })).collect();
            Turn { queue: &queue, seats, deciding: false, writing: true, slow }.written();
            queue.lock().enough(64)
        };
        assert_eq!([turn(true), turn(false), turn(true), turn(true)], [32, 32, 32, 64]);
        assert_eq!(queue.lock().enough(1), 64, "those who come again are waited for");
        assert_eq!(queue.lock().enough(1_000), BATCH);
        let halves_again = (0..TOGETHER).find(|_| turn(false) == 32);
        assert_eq!(halves_again, Some(TOGETHER - 1));
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
        let answered = crowd(20, |jobs, turn| {
            assert_ne!(jobs.len(), 1, "the first one fails");
            turn.tell(jobs.iter().map(|_| done()).collect());
        });
        assert_eq!(answered.iter().filter(|answered| **answered).count(), 20);
        let answered = crowd(3, |_, mut turn| {
            while turn.late().is_some() {}
            unreachable!("whoever is to write fails")
        });
        assert_eq!(answered, [false; 4]);
    }
}
