/// Crashes at every point of a trace.
mod crash;
/// What a disk holds when the power fails.
mod disk;
/// Every operation fails.
mod faults;
/// What a ledger must hold.
mod judge;
/// The process, and the shim below it.
mod process;
/// Numbers that look random.
mod random;
/// What the process does.
mod story;
/// What the shim saw.
mod trace;

use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;

use crash::{Checker, Share, each, everywhere};
use faults::Trials;
use process::{Life, scratch};
use random::Random;
use trace::{Op, What};

/// Everything once: the first opening, each kind of entry, a batch, a snapshot, a log that is moved into the database
/// and begins again, a reopening.
const SMALL: &str = "crsbnckclccoclnbc";

/// The same, shorter: there are many ways to fail.
const FAULTED: &str = "crbnkcoc";

/// A number from the environment, or what it is unless told otherwise.
fn told(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |told| told.parse().unwrap())
}

#[test]
fn every_crash_of_a_small_history_loses_nothing() {
    let scratch = scratch();
    let life = Life::new(scratch.path());
    let run = life.live(SMALL, 0, None).unwrap();
    life.compare(&run);
    let checker = Checker::new(scratch.path().to_owned());
    let random = told("STORAGE_CASES", 2) as usize;
    let share = Share { all_up_to: 16 * random, random, singles: true };
    let found = everywhere(&run.ops, &checker, share, 1);
    println!("{} operations, {}", run.ops.len(), checker.counts());
    found.unwrap_or_else(|error| panic!("{error}"));
}

/// The trace of a ledger that does something else than the one there is.
type Change = fn(&mut Vec<Op>);

fn without_sync_of(ops: &mut Vec<Op>, of: impl Fn(&str) -> bool) {
    let before = ops.len();
    ops.retain(|op| !(matches!(op.what, What::Sync { .. }) && of(&op.path)));
    assert!(ops.len() < before);
}

/// Puts each operation that is `early` before the last one before it that is `late`.
fn swap(ops: &mut [Op], early: impl Fn(&Op) -> bool, late: impl Fn(&Op) -> bool) {
    for at in 0..ops.len() {
        if early(&ops[at])
            && let Some(before) = ops[..at].iter().rposition(&late)
            && !ops[before..at].iter().any(|op| matches!(op.what, What::Open { .. }))
        {
            ops[before..=at].rotate_right(1);
        }
    }
}

const CHANGES: [(&str, Change); 11] = [
    ("the log is not synced", |ops| without_sync_of(ops, |path| path.ends_with("-wal"))),
    ("the database is not synced", |ops| without_sync_of(ops, |path| path.ends_with(".sqlite3"))),
    ("a database that is written to later is not synced", |ops| {
        let opened = ops.iter().position(|op| matches!(op.what, What::Mark(_))).unwrap();
        let mut later = ops.split_off(opened);
        without_sync_of(&mut later, |path| path.ends_with(".sqlite3"));
        ops.append(&mut later);
    }),
    ("the first witness is not synced", |ops| without_sync_of(ops, |path| path.ends_with("head.new"))),
    ("a snapshot is not synced", |ops| without_sync_of(ops, |path| path.ends_with("snapshot.new"))),
    ("the folder is not synced", |ops| without_sync_of(ops, |path| path == "/site/ledger")),
    ("the folder's folder is not synced", |ops| without_sync_of(ops, |path| path == "/site")),
    ("the folder that was there is not synced", |ops| without_sync_of(ops, str::is_empty)),
    ("it is acknowledged before it is synced", |ops| {
        let say = |op: &Op| matches!(op.what, What::Write { .. }) && op.path.contains("/head");
        let ack = |op: &Op| say(op) || op.says("ack");
        let sync = |op: &Op| matches!(op.what, What::Sync { .. }) && op.path.ends_with("-wal");
        swap(ops, ack, sync);
    }),
    ("the witness is not told", |ops| {
        ops.retain(|op| {
            !(matches!(&op.what, What::Write { at: 0, bytes, .. } if bytes.len() == 311)
                && op.path == "/site/ledger/head")
        });
    }),
    ("the witness is told before it is synced", |ops| {
        let say = |op: &Op| matches!(op.what, What::Write { .. }) && op.path.contains("/head");
        let sync = |op: &Op| matches!(op.what, What::Sync { .. }) && op.path.ends_with("-wal");
        swap(ops, say, sync);
    }),
];

#[test]
fn a_ledger_that_leaves_out_a_sync_or_says_too_much_is_found() {
    let scratch = scratch();
    let life = Life::new(scratch.path());
    let run = life.live(SMALL, 0, None).unwrap();
    let checker = Checker::new(scratch.path().to_owned());
    let share = Share { all_up_to: 8, random: 2, singles: false };
    let mut missed = Vec::new();
    for (name, change) in CHANGES {
        let mut ops = run.ops.clone();
        change(&mut ops);
        match everywhere(&ops, &checker, share, 1) {
            Ok(()) => missed.push(name),
            Err(error) => println!("{name}: {}", error.chars().take(600).collect::<String>()),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn whatever_fails_what_is_said_of_it_is_true() {
    let scratch = scratch();
    let life = Life::new(scratch.path());
    let faults = faults::all(&life.live(FAULTED, 0, None).unwrap().ops);
    let seed = told("STORAGE_SEED", u64::from(std::process::id()));
    let trials = Trials::new(scratch.path(), told("STORAGE_CASES", 1) as usize);
    let found = each(&faults, |fault| trials.one(FAULTED, fault, seed));
    println!("seed {seed}, {}", trials.shown());
    found.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
}

/// Seeds of histories that went wrong once, one a line; tried first, whenever.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storage/regressions");

#[test]
fn long_histories_of_faults_and_crashes_lose_nothing() {
    let scratch = scratch();
    let kept = std::fs::read_to_string(REGRESSIONS).unwrap_or_default();
    let kept: Vec<u64> = kept.lines().map(|seed| seed.parse().unwrap()).collect();
    let first = told("STORAGE_SEED", u64::from(std::process::id()) << 20);
    let seeds = kept.iter().copied().chain(first..first + told("STORAGE_HISTORIES", 25));
    let trials = Trials::new(scratch.path(), told("STORAGE_CASES", 1) as usize);
    let wrong = Mutex::new(None);
    let found = each(&seeds.collect::<Vec<_>>(), |seed| {
        trials.long(*seed).inspect_err(|_| *wrong.lock().unwrap() = Some(*seed))
    });
    println!("seeds from {first}, {}", trials.shown());
    if let Some(seed) = wrong.into_inner().unwrap().filter(|seed| !kept.contains(seed)) {
        let mut file = File::options().append(true).create(true).open(REGRESSIONS).unwrap();
        writeln!(file, "{seed}").unwrap();
    }
    found.unwrap_or_else(|error| panic!("{error}"));
}

/// So many entries in small pages that the writer moves the log into the database by itself, and begins it again.
const LONG: &str = "PBcbnc";

#[test]
fn a_long_log_is_moved_and_begun_again_whatever_fails() {
    let scratch = scratch();
    let life = Life::new(scratch.path());
    let run = life.live(LONG, 0, None).unwrap();
    life.compare(&run);
    let acknowledged = run.ops.iter().position(|op| op.says("ack")).unwrap();
    let last = run.ops.iter().rposition(|op| op.says("submit")).unwrap();
    let mut moving = run.ops[acknowledged..last].iter().filter(|op| op.path.ends_with(".sqlite3"));
    assert!(moving.any(|op| matches!(op.what, What::Sync { .. })), "the writer did not move the log");
    // Nearly all of the operations write a page; few of these, and all others, of the first long commit and later.
    let seed = told("STORAGE_SEED", u64::from(std::process::id()));
    let mut random = Random::new(seed);
    let rare =
        |op: &Op| !matches!(&op.what, What::Write { bytes, .. } if bytes.len() == 512 || bytes.len() == 24);
    let first = run.ops.iter().position(|op| op.says("submit")).unwrap();
    let some: Vec<Op> =
        run.ops[first..].iter().filter(|op| rare(op) || random.below(1_000) == 0).cloned().collect();
    let mut faults = faults::all(&some);
    let all = faults.len();
    let share = told("STORAGE_LONG", 2) as usize;
    while faults.len() > share {
        faults.swap_remove(random.below(faults.len()));
    }
    let trials = Trials::new(scratch.path(), 1);
    let found = each(&faults, |fault| trials.one(LONG, fault, seed));
    println!(
        "seed {seed}, {} operations, {} of {all} faults, {}",
        run.ops.len(),
        faults.len(),
        trials.shown()
    );
    found.unwrap_or_else(|error| panic!("seed {seed}: {}", error.chars().take(3_000).collect::<String>()));
}
