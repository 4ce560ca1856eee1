//! Crashes at every point of a trace: what is found afterwards is what may be found.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Image, SECTOR};
use super::judge::{Found, Said, recover};
use super::random::Random;
use super::story::FOLDER;
use super::trace::{Op, What};

/// Into how many parts the points of a trace are divided.
const PARTS: usize = 8;

/// How many images to try where there are many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// All that may be found, when it is no more than so many.
    pub(crate) all_up_to: usize,
    /// So many at random, otherwise.
    pub(crate) random: usize,
    /// And each unit alone there, and alone missing.
    pub(crate) singles: bool,
}

/// Opens images, each only once.
pub(crate) struct Checker {
    scratch: PathBuf,
    known: Mutex<HashMap<u64, Arc<Result<Found, String>>>>,
    pub(crate) tried: AtomicUsize,
    pub(crate) opened: AtomicUsize,
}

impl Checker {
    pub(crate) fn new(scratch: PathBuf) -> Self {
        Self { scratch, known: Mutex::default(), tried: 0.into(), opened: 0.into() }
    }

    pub(crate) fn counts(&self) -> String {
        format!("{} images, {} of them different", self.tried.load(Relaxed), self.opened.load(Relaxed))
    }

    pub(crate) fn check(&self, image: &Image, said: &Said) -> Result<(), String> {
        self.tried.fetch_add(1, Relaxed);
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        let key = hasher.finish();
        let known = self.known.lock().unwrap().get(&key).cloned();
        let found = known.unwrap_or_else(|| {
            self.opened.fetch_add(1, Relaxed);
            let found = Arc::new(recover(image, &self.scratch, key.is_multiple_of(2)));
            self.known.lock().unwrap().insert(key, found.clone());
            found
        });
        found.as_ref().as_ref().map_err(String::clone).and_then(|found| said.judge(found))
    }
}

/// Does something for each of these, on all processors, until it goes wrong.
pub(crate) fn each<T: Sync>(
    many: &[T],
    work: impl Fn(&T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(one) = many.get(next.fetch_add(1, Relaxed)) {
            work(one).inspect_err(|_| next.store(many.len(), Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>().into_iter().collect()
    })
}

/// Tries crashes at every point of a trace. An error names a point at which what is found is not what may be found.
pub(crate) fn everywhere(ops: &[Op], checker: &Checker, share: Share, seed: u64) -> Result<(), String> {
    // Every worker goes through the trace for itself, a part of the points at a time.
    let parts: Vec<usize> = (0..PARTS).collect();
    each(&parts, |part| partly(ops, checker, share, seed, &|point| point % PARTS == *part))
}

/// The same, at those points that are `chosen`.
pub(crate) fn partly(
    ops: &[Op],
    checker: &Checker,
    share: Share,
    seed: u64,
    chosen: &dyn Fn(usize) -> bool,
) -> Result<(), String> {
    let (mut disk, mut said) = (Disk::new(), Said::default());
    for point in 0..=ops.len() {
        let before = point.checked_sub(1).map(|before| &ops[before]);
        if let Some(op) = before {
            if let What::Mark(words) = &op.what {
                said.hear(words);
            }
            disk.apply(op);
            if op.says("ack") {
                let witness = disk.read(&format!("/{FOLDER}/head"));
                said.judge_witness(witness).map_err(|error| format!("after {}: {error}", op.shown()))?;
            }
        }
        let telling = before.is_none_or(|op| op.says_something() || op.does_something());
        if telling && chosen(point) {
            let mut random = Random::new(seed ^ point as u64);
            at_point(&disk, ops.get(point), checker, &said, share, &mut random).map_err(|error| {
                let after = before.map_or_else(|| "nothing".to_owned(), Op::shown);
                format!("seed {seed}, crash at point {point}, after {after}: {error}")
            })?;
        }
    }
    Ok(())
}

fn at_point(
    disk: &Disk,
    next: Option<&Op>,
    checker: &Checker,
    said: &Said,
    share: Share,
    random: &mut Random,
) -> Result<(), String> {
    checker.check(&disk.now(), said).map_err(|error| format!("killed: {error}"))?;
    if let Some(op @ Op { what: What::Write { bytes, .. }, failed: false, .. }) = next {
        for sectors in 1..=bytes.len() / SECTOR {
            if let Some(image) = disk.torn(op, sectors) {
                let torn = |error| format!("killed after {sectors} sectors of {}: {error}", op.shown());
                checker.check(&image, said).map_err(torn)?;
            }
        }
    }
    let units = disk.units();
    let check = |versions: &[usize], fill: u8| {
        let mut told = versions.iter().copied();
        let image = disk.lose_power(|_| told.next().unwrap(), fill);
        checker
            .check(&image, said)
            .map_err(|error| format!("power lost with {versions:?} of {units:?}, fill {fill}: {error}"))
    };
    let most: Vec<usize> = units.iter().map(|unit| unit - 1).collect();
    let all = units.iter().try_fold(1_usize, |all, unit| all.checked_mul(*unit));
    if let Some(all) = all.filter(|all| *all <= share.all_up_to) {
        return (0..all).try_for_each(|mut rest| {
            let digit = |unit: &usize| {
                let digit = rest % unit;
                rest /= unit;
                digit
            };
            check(&units.iter().map(digit).collect::<Vec<_>>(), 0)
        });
    }
    let none = vec![0; units.len()];
    check(&none, 0)?;
    check(&most, 0)?;
    for unit in (0..units.len()).filter(|_| share.singles) {
        for (base, version) in [(&none, most[unit]), (&most, 0)] {
            let mut versions = base.clone();
            versions[unit] = version;
            check(&versions, 0)?;
        }
    }
    for _ in 0..share.random {
        // Of few units, of about half of them, or of most.
        let latest = [2, 10, 18][random.below(3)];
        let version = |unit: &usize| match random.below(20) {
            roll if roll < latest => unit - 1,
            roll if roll < 19 => 0,
            _ => random.below(*unit),
        };
        let versions: Vec<usize> = units.iter().map(version).collect();
        check(&versions, [0, 0xA5][random.below(2)])?;
    }
    Ok(())
}
