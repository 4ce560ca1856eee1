//! Every operation on the files fails once, in every way in which it can.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::crash::{Checker, Share, partly};
use super::process::{Fault, Life, Run};
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

/// A random fault, of an operation that may be there or not.
fn any(random: &mut Random, most: usize) -> Fault {
    let (errno, how) = *random.of(&[
        (EIO, 'o'),
        (EIO, 'p'),
        (EIO, 's'),
        (EIO, 'k'),
        (EIO, 't'),
        (ENOSPC, 'o'),
        (ENOSPC, 'f'),
        (ENOSPC, 'h'),
    ]);
    Fault { which: 1 + random.below(most), errno, how, unreadable: true }
}

/// Many histories with faults in them, and what came of them.
pub(crate) struct Trials<'a> {
    pub(crate) checker: Checker,
    pub(crate) scratch: &'a Path,
    /// At how many points of a history there is a crash.
    pub(crate) crashes: usize,
    runs: AtomicUsize,
    killed: AtomicUsize,
    refused: AtomicUsize,
    unnoticed: AtomicUsize,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(scratch: &'a Path, crashes: usize) -> Self {
        let checker = Checker::new(scratch.to_owned());
        let [runs, killed, refused, unnoticed] = Default::default();
        Self { checker, scratch, crashes, runs, killed, refused, unnoticed }
    }

    pub(crate) fn shown(&self) -> String {
        let [runs, killed, refused, unnoticed] =
            [&self.runs, &self.killed, &self.refused, &self.unnoticed].map(|count| count.load(Relaxed));
        format!(
            "{runs} runs: {killed} killed, {refused} with refusals, {unnoticed} without a consequence; {}",
            self.checker.counts()
        )
    }

    /// One process, and what the disk does to it.
    fn life(&self, life: &Life, steps: &str, first: u64, fault: Option<&Fault>) -> Result<Run, String> {
        self.runs.fetch_add(1, Relaxed);
        let run = life.live(steps, first, fault).map_err(|error| format!("`{steps}`, {fault:?}: {error}"))?;
        let count = match () {
            () if run.killed => &self.killed,
            () if run.ops.iter().any(Op::refuses) => &self.refused,
            () => &self.unnoticed,
        };
        count.fetch_add(1, Relaxed);
        Ok(run)
    }

    /// A history with a fault, and crashes after it.
    pub(crate) fn one(&self, steps: &str, fault: &Fault, seed: u64) -> Result<(), String> {
        let life = Life::new(self.scratch);
        let mut run = self.life(&life, steps, 0, Some(fault))?;
        // From where on this run is another than one without a fault.
        let differs = if run.killed {
            let lived = run.ops.len();
            // Another process takes up what the first one left in the system's memory.
            run = self.life(&life, "cboc", 1_000, None)?;
            lived
        } else {
            run.ops.iter().position(|op| op.which == fault.which).expect("the fault")
        };
        life.compare(&run);
        let mut random = Random::new(seed ^ (fault.which as u64) << 8 ^ fault.how as u64);
        let telling: Vec<usize> =
            (differs..run.ops.len()).filter(|at| run.ops[*at].says_something()).collect();
        // Right after something was said at first, then anywhere.
        let point = |nth: usize| {
            1 + if nth.is_multiple_of(2) {
                *random.of(&telling)
            } else {
                differs + random.below(run.ops.len() - differs)
            }
        };
        let points: Vec<usize> = (0..self.crashes).map(point).collect();
        self.crash(&run, &points, seed).map_err(|error| format!("`{steps}`, {fault:?}: {error}"))
    }

    fn crash(&self, run: &Run, points: &[usize], seed: u64) -> Result<(), String> {
        let share = Share { all_up_to: 0, random: 1, singles: false };
        partly(&run.ops, &self.checker, share, seed, &|point| points.contains(&point)).map_err(|error| {
            let history: Vec<String> = run.ops.iter().map(Op::shown).collect();
            format!("{error}\n{}", history.join("\n"))
        })
    }

    /// A random history of several processes, each with a random fault, and crashes anywhere.
    pub(crate) fn long(&self, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let life = Life::new(self.scratch);
        let mut run = None;
        for first in [0, 1_000, 2_000] {
            let length = 5 + random.below(25);
            let steps: String = (0..length)
                .map(|_| *random.of(&['c', 'c', 'r', 's', 'l', 'b', 'b', 'n', 'k', 'o']))
                .collect();
            let fault = any(&mut random, 60 + 15 * length);
            run = Some(
                self.life(&life, &steps, first, Some(&fault))
                    .map_err(|error| format!("seed {seed}: {error}"))?,
            );
        }
        let run = run.expect("the last life");
        life.compare(&run);
        let points: Vec<usize> = (0..4 * self.crashes).map(|_| random.below(run.ops.len() + 1)).collect();
        self.crash(&run, &points, seed)
    }
}
