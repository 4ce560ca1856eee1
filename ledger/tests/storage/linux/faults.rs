//! Every operation on the files fails once, in every way in which it can.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::crash::{Checker, Share, partly};
use super::process::{Fault, Life};
use super::random::Random;
use super::story::ENOSPC;
use super::trace::{Op, What};

// Linux's own numbers.
const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const EMFILE: i32 = 24;

/// The errnos of an operation, and how they come.
fn ways(op: &Op) -> Vec<(i32, &'static str)> {
    match &op.what {
        What::Write { .. } => vec![(EIO, "opskt"), (ENOSPC, "ofh")],
        What::Sync { .. } => vec![(EIO, "opk"), (ENOSPC, "o")],
        What::Cut { .. } => vec![(EIO, "opk"), (ENOSPC, "o")],
        What::Open { creates: true, .. } => vec![(EIO, "ok"), (EMFILE, "p"), (ENOSPC, "o")],
        What::Open { .. } => vec![(EIO, "o"), (EMFILE, "op")],
        What::Rename { .. } | What::Unlink | What::Mkdir => vec![(EIO, "opk"), (ENOSPC, "o")],
        What::Map => vec![(ENOMEM, "opk")],
        What::Close { .. } | What::Mark(_) => Vec::new(),
    }
}

/// All faults of all operations of a trace.
pub(crate) fn all(ops: &[Op]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for op in ops {
        let unreadable = matches!(op.what, What::Open { .. } | What::Map);
        for (errno, hows) in ways(op) {
            faults.extend(hows.chars().map(|how| Fault { which: op.which, errno, how, unreadable }));
        }
    }
    faults
}

/// What came of many runs.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    runs: AtomicUsize,
    killed: AtomicUsize,
    refused: AtomicUsize,
    unnoticed: AtomicUsize,
}

impl Counts {
    pub(crate) fn shown(&self) -> String {
        let [runs, killed, refused, unnoticed] =
            [&self.runs, &self.killed, &self.refused, &self.unnoticed].map(|count| count.load(Relaxed));
        format!("{runs} runs: {killed} killed, {refused} with refusals, {unnoticed} without a consequence")
    }

    /// Runs one history after the other, each with a fault, on all processors; says what went wrong first.
    pub(crate) fn run(
        &self,
        faults: &[Fault],
        steps: &str,
        checker: &Checker,
        scratch: &Path,
        random: usize,
        seed: u64,
    ) -> Result<(), String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(fault) = faults.get(next.fetch_add(1, Relaxed)) {
                let result = self.one(fault, steps, checker, scratch, random, seed);
                result.inspect_err(|_| next.store(faults.len(), Relaxed))?;
            }
            Ok(())
        };
        let found: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        found.into_iter().collect()
    }

    fn one(
        &self,
        fault: &Fault,
        steps: &str,
        checker: &Checker,
        scratch: &Path,
        random: usize,
        seed: u64,
    ) -> Result<(), String> {
        self.runs.fetch_add(1, Relaxed);
        let life = Life::new(scratch);
        let in_this = |error| format!("{fault:?} in `{steps}`: {error}");
        let mut run = life.live(steps, 0, Some(fault)).map_err(in_this)?;
        // From where on this run is another than one without a fault.
        let differs = if run.killed {
            self.killed.fetch_add(1, Relaxed);
            let lived = run.ops.len();
            // Another process takes up what the first one left in the system's memory.
            run = life.live("cboc", 1_000, None).map_err(in_this)?;
            lived
        } else {
            run.ops.iter().position(|op| op.which == fault.which).expect("the fault")
        };
        life.compare(&run);
        let refused = run.ops.iter().any(Op::refuses);
        let count = if refused { &self.refused } else { &self.unnoticed };
        count.fetch_add(usize::from(!"kt".contains(fault.how)), Relaxed);
        // A few moments afterwards, right after something was said.
        let words: Vec<usize> =
            (differs..run.ops.len()).filter(|at| run.ops[*at].says_something()).map(|at| at + 1).collect();
        let mut choice = Random::new(seed ^ (fault.which as u64) << 8 ^ fault.how as u64);
        let points: Vec<usize> = (0..random).map(|_| words[choice.below(words.len())]).collect();
        let share = Share { all_up_to: 0, random: 1, singles: false, after_words: true };
        partly(&run.ops, checker, share, seed, &|point| points.contains(&point)).map_err(|error| {
            let history =
                run.ops.iter().skip(differs.saturating_sub(8)).take(200).map(Op::shown).collect::<Vec<_>>();
            format!("{fault:?} in `{steps}`: {error}\n{}", history.join("\n"))
        })
    }
}
