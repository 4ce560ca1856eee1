//! Who does what for whom. A job is decided, then written, then answered; the callers are the only threads
//! there are, and each stage is in the hands of one who is awake.
//!
//! One decides at a time: a caller that finds nobody deciding decides its own job and what others bring
//! meanwhile, and then sleeps until its answer is durable. One writes at a time: all that is decided by
//! then, with one fsync. While they write, those who were answered before come again and are decided. A
//! writer that finds as good a lot ready goes on with it at once, and leaves it to one of those whose jobs
//! are durable now to wake the others. It waits for no decision to end: a decider may be kept from its
//! processor for longer than a lot takes to write.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::sync::thread::{Thread, current, park};
use crate::sync::{Mutex, MutexGuard};

/// How many lots a caller writes for others, after the one with its own job, before it takes its answer.
const ERRANDS: usize = 16;

/// A lot is worth its fsync from this part on of the one before it: those who may bring more are not told yet.
const SHARE: usize = 2;

/// In how many steps such a lot grows by another, for who writes while somebody decides.
const STEPS: usize = 4;

/// What is done with a job.
pub(super) trait Work: Sized {
    /// What a caller brings.
    type Job;
    /// A job that is decided, and is to be written.
    type Decided;
    /// Where decisions have led to.
    type Reached;
    /// A lot that was written, and is to be shown.
    type Written;
    /// What a caller is told.
    type Told;

    /// Decides a job, after all that were decided before.
    fn decide(&self, job: Self::Job) -> Self::Decided;

    /// Where decisions have led to. Nothing is decided meanwhile. It does not panic, and takes no time to
    /// speak of: the queue is held.
    fn reached(&self) -> Self::Reached;

    /// Makes a lot durable.
    fn write(&self, lot: Vec<Self::Decided>, reached: Self::Reached) -> Self::Written;

    /// Shows what is durable. The answer is what everybody in the lot is told, in its order, and what may be
    /// dropped once they are.
    fn settle(&self, written: Self::Written) -> (Vec<Self::Told>, impl Sized);

    /// What those are told whom a panic left without an answer. What they brought may be written, or not.
    fn stopped() -> Self::Told;
}

/// Where a caller waits.
struct Seat<W: Work> {
    thread: Thread,
    news: Mutex<Option<News<W>>>,
}

/// What a caller is woken for.
enum News<W: Work> {
    Told(W::Told),
    /// To tell everybody in this lot, themselves among them.
    Written(Option<W::Written>, Seats<W>),
}

type Seats<W> = Vec<Arc<Seat<W>>>;

impl<W: Work> Seat<W> {
    fn lock(&self) -> MutexGuard<'_, Option<News<W>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The jobs under way.
pub(super) struct Queue<W: Work>(Mutex<State<W>>);

struct State<W: Work> {
    /// INVARIANT: while jobs wait, somebody decides, or one who waits was woken to.
    waiting: VecDeque<(W::Job, Arc<Seat<W>>)>,
    /// Who decides.
    decider: Option<Arc<Seat<W>>>,
    /// INVARIANT: while it is not empty, somebody writes or decides, or one who waits was woken to.
    decided: Lot<W>,
    writing: bool,
    /// How many are worth an fsync of their own, after what is being written.
    enough: usize,
    /// Where the first so many of the decided lead to, once they are enough: they can be written though
    /// somebody decides.
    ready: Option<(usize, W::Reached)>,
}

struct Lot<W: Work> {
    decided: Vec<W::Decided>,
    seats: Seats<W>,
}

impl<W: Work> Default for Lot<W> {
    fn default() -> Self {
        Self { decided: Vec::new(), seats: Vec::new() }
    }
}

impl<W: Work> Default for Queue<W> {
    fn default() -> Self {
        let (waiting, decided) = (VecDeque::new(), Lot::default());
        Self(Mutex::new(State { waiting, decider: None, decided, writing: false, enough: 0, ready: None }))
    }
}

impl<W: Work> Queue<W> {
    /// INVARIANT: nothing panics while it holds the lock, so that a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what came of a job. Meanwhile its caller does what there is to do.
    ///
    /// INVARIANT: a caller leaves only once it was told, so that whoever is woken, or asked to tell others, is
    /// there.
    pub(super) fn through(&self, job: W::Job, work: &W) -> W::Told {
        let seat = Arc::new(Seat { thread: current(), news: Mutex::new(None) });
        self.lock().waiting.push_back((job, seat.clone()));
        let caller = Caller { queue: self, work, seat: &seat };
        loop {
            let news = seat.lock().take();
            match news {
                Some(News::Told(told)) => return told,
                Some(News::Written(written, seats)) => caller.tell(written, seats),
                None => {
                    let duty = self.lock().duty(work, &seat);
                    match duty {
                        Some(Duty::Decide(job, seat)) => caller.decide(job, seat),
                        Some(Duty::Write(lot, reached)) => caller.write(lot, reached),
                        None => park(),
                    }
                }
            }
        }
    }
}

/// What there is to do.
enum Duty<W: Work> {
    Decide(W::Job, Arc<Seat<W>>),
    Write(Lot<W>, W::Reached),
}

impl<W: Work> State<W> {
    /// What there is to do and nobody does.
    fn duty(&mut self, work: &W, caller: &Arc<Seat<W>>) -> Option<Duty<W>> {
        if self.decider.is_some() {
            return None;
        }
        if let Some((job, seat)) = self.waiting.pop_front() {
            self.decider = Some(caller.clone());
            return Some(Duty::Decide(job, seat));
        }
        if self.writing || self.decided.seats.is_empty() {
            return None;
        }
        self.writing = true;
        let (lot, reached) = self.lot(work);
        Some(Duty::Write(lot, reached))
    }

    /// Adds what its caller has just decided. What is returned is to be dropped.
    fn push(&mut self, decided: W::Decided, seat: Arc<Seat<W>>, work: &W) -> impl Sized + use<W> {
        self.decided.decided.push(decided);
        self.decided.seats.push(seat);
        let (count, before) = (self.decided.seats.len(), self.ready.as_ref().map_or(0, |(count, _)| *count));
        // Not at each, as it is not for nothing: what is decided next must leave it as it is.
        let is_due = self.writing && count >= self.enough && count - before >= self.enough.div_ceil(STEPS);
        is_due.then(|| self.ready.replace((count, work.reached())))
    }

    /// What is decided, for who writes. INVARIANT: nobody is at a decision.
    fn lot(&mut self, work: &W) -> (Lot<W>, W::Reached) {
        self.take_lot(usize::MAX, work.reached())
    }

    fn take_lot(&mut self, count: usize, reached: W::Reached) -> (Lot<W>, W::Reached) {
        let count = count.min(self.decided.seats.len());
        let Lot { decided, seats } = &mut self.decided;
        let later = Lot { decided: decided.split_off(count), seats: seats.split_off(count) };
        self.ready = None;
        self.enough = count.div_ceil(SHARE);
        (std::mem::replace(&mut self.decided, later), reached)
    }

    /// What the writer goes on with, if it is at least so much.
    fn next_lot(&mut self, work: &W, goes_on: bool, least: usize) -> Option<(Lot<W>, W::Reached)> {
        if !goes_on || self.decided.seats.len() < least {
            return None;
        }
        if self.decider.is_none() {
            return Some(self.lot(work));
        }
        let (count, reached) = self.ready.take()?;
        Some(self.take_lot(count, reached))
    }

    /// Whether a seat is that of somebody who neither writes, as `writer` does, nor decides.
    fn sleeps(&self, seat: &Arc<Seat<W>>, writer: &Arc<Seat<W>>) -> bool {
        !Arc::ptr_eq(seat, writer) && !self.decider.as_ref().is_some_and(|decider| Arc::ptr_eq(seat, decider))
    }

    /// Somebody who waits and is to be woken, as there is something to do that nobody does.
    fn idle(&self) -> Option<Thread> {
        if self.decider.is_some() {
            return None;
        }
        let decider = self.waiting.front().map(|(_, seat)| seat);
        let writer = self.decided.seats.first().filter(|_| !self.writing);
        decider.or(writer).map(|seat| seat.thread.clone())
    }
}

/// Frees the hands of who decides or writes, and has somebody else take over what there is to do.
fn rest<W: Work>(mut state: MutexGuard<'_, State<W>>, free: impl FnOnce(&mut State<W>)) {
    free(&mut state);
    let idle = state.idle();
    drop(state);
    if let Some(idle) = idle {
        idle.unpark();
    }
}

/// A caller, while it is awake.
struct Caller<'a, W: Work> {
    queue: &'a Queue<W>,
    work: &'a W,
    seat: &'a Arc<Seat<W>>,
}

impl<W: Work> Caller<'_, W> {
    /// Decides a job, and what others bring meanwhile; then writes, if nobody else does.
    fn decide(&self, mut job: W::Job, mut seat: Arc<Seat<W>>) {
        loop {
            let decided = caught(|| self.work.decide(job));
            if decided.is_none() {
                self.send(&seat, News::Told(W::stopped()));
            }
            let mut state = self.queue.lock();
            let before = decided.map(|decided| state.push(decided, seat, self.work));
            if !state.writing && !state.decided.seats.is_empty() {
                state.writing = true;
                let (lot, reached) = state.lot(self.work);
                rest(state, |state| state.decider = None);
                return self.write(lot, reached);
            }
            let next = state.waiting.pop_front();
            if next.is_none() {
                state.decider = None;
            }
            drop(state);
            // It takes time, for which nobody is to be kept from the queue.
            drop(before);
            match next {
                Some(next) => (job, seat) = next,
                None => return,
            }
        }
    }

    /// Writes a lot, and those that are ready by then.
    fn write(&self, mut lot: Lot<W>, mut reached: W::Reached) {
        for errand in 0.. {
            let Lot { decided, seats } = lot;
            let written = caught(|| self.work.write(decided, reached));
            match self.next(written, seats, errand < ERRANDS) {
                Some(next) => (lot, reached) = next,
                None => return,
            }
        }
    }

    /// Tells everybody whose lot was written, or has one of them do it, and says what to write next.
    fn next(
        &self,
        written: Option<W::Written>,
        seats: Seats<W>,
        goes_on: bool,
    ) -> Option<(Lot<W>, W::Reached)> {
        // A small lot is not worth an fsync while those who may bring more are not told yet.
        let least = seats.len().div_ceil(SHARE);
        let (other, next) = {
            let mut state = self.queue.lock();
            let other = seats.iter().find(|seat| state.sleeps(seat, self.seat)).cloned();
            let next = state.next_lot(self.work, goes_on && other.is_some(), least);
            (other, next)
        };
        match other {
            Some(other) if next.is_some() => self.send(&other, News::Written(written, seats)),
            _ => self.tell(written, seats),
        }
        next.or_else(|| {
            let mut state = self.queue.lock();
            let next = state.next_lot(self.work, goes_on, 1);
            if next.is_none() {
                rest(state, |state| state.writing = false);
            }
            next
        })
    }

    /// Shows what was written, and tells everybody who waits for it.
    fn tell(&self, written: Option<W::Written>, seats: Seats<W>) {
        let settled = written.and_then(|written| caught(|| self.work.settle(written)));
        let (told, left) = settled.unzip();
        let told = told.into_iter().flatten().chain(std::iter::repeat_with(W::stopped));
        seats.iter().zip(told).for_each(|(seat, told)| self.send(seat, News::Told(told)));
        // It may take time, which nobody has to wait for.
        drop(left);
    }

    fn send(&self, seat: &Arc<Seat<W>>, news: News<W>) {
        *seat.lock() = Some(news);
        if !Arc::ptr_eq(seat, self.seat) {
            seat.thread.unpark();
        }
    }
}

/// What came of a stage; `None`: it panicked. The panic goes no further: whoever it hits may be at work for
/// others, or have been asked to tell others, and nobody is to be left waiting.
fn caught<T>(stage: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(stage)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// Jobs are numbers, and so are their answers. What is written is noted.
    #[derive(Default)]
    struct Numbers {
        decided: AtomicUsize,
        lots: Mutex<Vec<Vec<u32>>>,
        /// Who writes a lot waits here first, if there is something to wait for.
        gate: Mutex<Option<Receiver<()>>>,
        /// A number that is decided only once there is nothing to wait for any more.
        slow: Option<(u32, Mutex<Receiver<()>>)>,
        /// Numbers at which a stage panics.
        fails_to_decide: Option<u32>,
        fails_to_write: Option<u32>,
        fails_to_settle: Option<u32>,
    }

    impl Work for Numbers {
        type Job = u32;
        type Decided = u32;
        type Reached = usize;
        type Written = Vec<u32>;
        type Told = Result<u32, ()>;

        fn decide(&self, job: u32) -> u32 {
            assert_ne!(Some(job), self.fails_to_decide);
            if let Some((_, gate)) = self.slow.as_ref().filter(|(number, _)| *number == job) {
                let _open = gate.lock().unwrap().recv();
            }
            self.decided.fetch_add(1, Ordering::SeqCst);
            job
        }

        fn reached(&self) -> usize {
            self.decided.load(Ordering::SeqCst)
        }

        fn write(&self, lot: Vec<u32>, reached: usize) -> Vec<u32> {
            let written = {
                let mut lots = self.lots.lock().unwrap();
                lots.push(lot.clone());
                lots.iter().flatten().count()
            };
            assert_eq!(written, reached, "a lot is all that was decided by then");
            assert!(self.fails_to_write.is_none_or(|number| !lot.contains(&number)));
            if let Some(gate) = &*self.gate.lock().unwrap() {
                let _open = gate.recv();
            }
            lot
        }

        fn settle(&self, written: Vec<u32>) -> (Vec<Result<u32, ()>>, impl Sized) {
            assert!(self.fails_to_settle.is_none_or(|number| !written.contains(&number)));
            (written.into_iter().map(Ok).collect(), ())
        }

        fn stopped() -> Result<u32, ()> {
            Err(())
        }
    }

    impl Numbers {
        fn gated() -> (Self, Sender<()>) {
            let (open, gate) = channel();
            (Self { gate: Mutex::new(Some(gate)), ..Self::default() }, open)
        }

        fn until(&self, decided: usize) {
            while self.decided.load(Ordering::SeqCst) < decided {
                thread::yield_now();
            }
        }

        fn sizes(&self) -> Vec<usize> {
            self.lots.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    /// Waits until so many are decided and not yet written.
    fn ready(queue: &Queue<Numbers>, count: usize) {
        while queue.lock().decided.seats.len() < count {
            thread::yield_now();
        }
    }

    /// Has one caller write while so many others come, and lets it go on once they are decided. The answers.
    fn crowd(work: &Numbers, open: Option<Sender<()>>, others: u32) -> Vec<Result<u32, ()>> {
        let queue = Queue::default();
        thread::scope(|scope| {
            let queue = &queue;
            let first = scope.spawn(move || queue.through(0, work));
            if open.is_some() {
                work.until(1);
            }
            let rest: Vec<_> =
                (1..=others).map(|job| scope.spawn(move || queue.through(job, work))).collect();
            if open.is_some() {
                ready(queue, others as usize);
            }
            drop(open);
            std::iter::once(first).chain(rest).map(|caller| caller.join().unwrap()).collect()
        })
    }

    #[test]
    fn each_is_told_its_own_answer() {
        let work = Numbers::default();
        let queue = Queue::default();
        thread::scope(|scope| {
            for caller in 0..16 {
                let (queue, work) = (&queue, &work);
                scope.spawn(move || {
                    for job in (0..200).map(|number| caller * 1_000 + number) {
                        assert_eq!(queue.through(job, work), Ok(job));
                    }
                });
            }
        });
        assert_eq!(work.sizes().iter().sum::<usize>(), 3_200);
        let state = queue.lock();
        assert!(state.decider.is_none() && !state.writing && state.waiting.is_empty());
    }

    #[test]
    fn what_comes_while_others_are_written_is_written_together() {
        let (work, open) = Numbers::gated();
        assert_eq!(crowd(&work, Some(open), 20), (0..=20).map(Ok).collect::<Vec<_>>());
        assert_eq!(work.sizes(), [1, 20]);
    }

    #[test]
    fn what_is_decided_is_written_though_another_decision_takes_long() {
        let (work, written) = Numbers::gated();
        let (decided, gate) = channel();
        let work = Numbers { slow: Some((100, Mutex::new(gate))), ..work };
        let queue = Queue::default();
        thread::scope(|scope| {
            let (queue, work) = (&queue, &work);
            let caller = |job| scope.spawn(move || queue.through(job, work));
            let first = caller(0);
            work.until(1);
            let others: Vec<_> = (1..=20).map(caller).collect();
            ready(queue, 20);
            let slow = caller(100);
            while queue.lock().decider.is_none() {
                thread::yield_now();
            }
            drop(written);
            for (job, told) in (0..).zip(std::iter::once(first).chain(others)) {
                assert_eq!(told.join().unwrap(), Ok(job));
            }
            drop(decided);
            assert_eq!(slow.join().unwrap(), Ok(100));
        });
        assert_eq!(work.sizes(), [1, 20, 1]);
    }

    #[test]
    fn one_alone_does_everything_itself() {
        let (work, queue) = (Numbers::default(), Queue::default());
        assert_eq!((1..=3).map(|job| queue.through(job, &work)).collect::<Vec<_>>(), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(work.sizes(), [1, 1, 1]);
    }

    #[test]
    fn a_panic_at_a_decision_is_told_to_nobody_else() {
        let work = Numbers { fails_to_decide: Some(7), ..Numbers::default() };
        let answers = crowd(&work, None, 20);
        assert_eq!(answers, (0..=20).map(|job| if job == 7 { Err(()) } else { Ok(job) }).collect::<Vec<_>>());
        assert_eq!(work.sizes().iter().sum::<usize>(), 20);
    }

    #[test]
    fn a_panic_while_telling_costs_nobody_else_their_writing() {
        let (work, open) = Numbers::gated();
        let work = Numbers { fails_to_settle: Some(0), ..work };
        let answers = crowd(&work, Some(open), 20);
        assert_eq!(answers, std::iter::once(Err(())).chain((1..=20).map(Ok)).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_while_writing_or_telling_is_told_to_the_lot_and_to_nobody_else() {
        for work in [
            Numbers { fails_to_write: Some(7), ..Numbers::default() },
            Numbers { fails_to_settle: Some(7), ..Numbers::default() },
        ] {
            let answers = crowd(&work, None, 20);
            let lots = work.lots.lock().unwrap().clone();
            let stopped = lots.iter().find(|lot| lot.contains(&7)).unwrap();
            for (job, answer) in (0..).zip(answers) {
                assert_eq!(answer, if stopped.contains(&job) { Err(()) } else { Ok(job) });
            }
            assert_eq!(lots.iter().flatten().count(), 21, "what is decided is written");
        }
    }
}
