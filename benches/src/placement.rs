//! Where threads run: whoever writes on the first processor, those who call on the others.
//!
//! Left to itself, a kernel may wake threads that sleep often on the processor of whoever wakes them, and
//! keep the others idle; some of those made for virtual machines do so on purpose. What two processors can
//! do together is seen only when threads are told where to run.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use consentry::Ledger;
use consentry::ledger::{Commit, Entry, Layer};
use rustix::thread::{CpuSet, sched_setaffinity};

/// What a thread is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Whatever it likes, anywhere.
    Any,
    /// Writing.
    Writer,
    /// Calling.
    Caller,
}

static ON: AtomicBool = AtomicBool::new(false);

/// How many there are: asking takes a while, and once in one place a thread sees no other.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from));

thread_local! {
    static PART: Cell<Part> = const { Cell::new(Part::Any) };
}

/// Has [`place`] do something, or nothing.
pub fn placed<T>(on: bool, work: impl FnOnce() -> T) -> T {
    LazyLock::force(&PROCESSORS);
    ON.store(on, Ordering::SeqCst);
    let done = work();
    ON.store(false, Ordering::SeqCst);
    done
}

/// Moves the current thread to where its part is to run.
///
/// # Panics
/// When the kernel does not let it.
#[expect(clippy::expect_used, reason = "a thread in the wrong place would be a wrong figure")]
pub fn place(part: Part) {
    if PART.get() == part || !(ON.load(Ordering::Relaxed) || part == Part::Any) {
        return;
    }
    PART.set(part);
    let processors = *PROCESSORS;
    if processors < 2 {
        return;
    }
    let mut set = CpuSet::new();
    let here = |processor: &usize| match part {
        Part::Any => true,
        Part::Writer => *processor == 0,
        Part::Caller => *processor > 0,
    };
    (0..processors).filter(here).for_each(|processor| set.set(processor));
    sched_setaffinity(None, &set).expect("a thread may choose among its processors");
}

/// A ledger that is written in the writer's place, by whoever waits for it.
#[derive(Debug)]
pub struct Placed<L>(pub L);

impl<L: Ledger> Layer for Placed<L> {
    fn below(&self) -> &dyn Ledger {
        &self.0
    }

    fn append_below(&self, entry: Entry) -> Commit {
        let commit = self.0.append(entry);
        if !ON.load(Ordering::Relaxed) {
            return commit;
        }
        Commit::later(|| {
            place(Part::Writer);
            commit.wait()
        })
    }
}
