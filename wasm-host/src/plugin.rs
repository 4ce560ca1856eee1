//! A plugin in one configuration: its started instances, and what happens when they fail.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::{Failure, FailureKind, Fault, LoadCode, LoadError};
use crate::instance::Program;
use crate::settings::{Capability, Instances, Settings};
use crate::slot::{Slot, lock};

/// Told what plugins say and how they fail.
pub trait Observer: Send + Sync {
    /// A plugin wrote a line.
    fn log(&self, plugin: &str, level: crate::Level, message: &str);

    /// A plugin failed. What it cost is in the failure.
    fn failed(&self, failure: &Failure);
}

/// A plugin as it was loaded: until it is replaced, and no request has it any more.
pub(crate) struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) program: Box<dyn Program>,
    idle: Mutex<Idle>,
    /// Instances that are kept though nothing needs them. One that has a timer, or reads a queue, does its part without
    /// requests.
    kept: usize,
    places: Arc<AtomicUsize>,
    faults: Arc<Faults>,
    retired: AtomicBool,
}

/// Started instances without a request.
#[derive(Default)]
struct Idle {
    /// With the count of requests at which it was left. The last that was used is the first to be used again, so that
    /// the first here is the one that was not needed for longest.
    slots: Vec<(u64, Arc<Slot>)>,
    /// Requests that have left an instance.
    requests: u64,
}

/// Requests after which an instance that none of them needed is given back.
const NEEDED_WITHIN: u64 = 10_000;

impl Idle {
    /// Keeps an instance. The answer is one beyond the `kept` that has not been needed.
    fn put(&mut self, slot: Arc<Slot>, kept: usize) -> Option<Arc<Slot>> {
        self.requests = self.requests.saturating_add(1);
        self.slots.push((self.requests, slot));
        let (left, first) = self.slots.first()?;
        let spare = self.slots.len() > kept && left.saturating_add(NEEDED_WITHIN) < self.requests;
        (spare && first.is_done()).then(|| self.slots.remove(0).1)
    }

    /// An instance that can serve. One that is busy with its timer is left for another.
    fn take(&mut self) -> Option<Arc<Slot>> {
        let mut place = self.slots.len();
        while let Some(before) = place.checked_sub(1) {
            place = before;
            match self.slots.get(place).and_then(|(_, slot)| slot.is_ready()) {
                Some(true) => return Some(self.slots.remove(place).1),
                Some(false) => drop(self.slots.remove(place)),
                None => {}
            }
        }
        None
    }
}

/// Starts that fail in a row after which none is tried for a moment. (A request that fails is no reason to wait: else
/// whoever can send one that does keeps everybody else out.)
const IN_A_ROW: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often a plugin failed.
struct Faults {
    name: Arc<str>,
    observer: Arc<dyn Observer>,
    all: AtomicU64,
    in_a_row: Mutex<InARow>,
    /// Whether `in_a_row` is not zero: all that a start which went well has to look at.
    any: AtomicBool,
}

#[derive(Default)]
struct InARow {
    count: u32,
    until: Option<Instant>,
}

impl Faults {
    fn record(&self, fault: &Fault) {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.observer.failed(&self.failure(fault));
    }

    fn did_not_start(&self) {
        let mut row = lock(&self.in_a_row);
        row.count = row.count.saturating_add(1);
        if row.count >= IN_A_ROW {
            let doubled = FIRST_PAUSE.saturating_mul(1 << (row.count - IN_A_ROW).min(10));
            row.until = clock::tick().checked_add(doubled.min(LONGEST_PAUSE));
        }
        self.any.store(true, Ordering::Release);
    }

    fn failure(&self, fault: &Fault) -> Failure {
        Failure { plugin: self.name.to_string(), kind: fault.kind, message: fault.message.clone() }
    }

    fn did_start(&self) {
        if self.any.load(Ordering::Acquire) {
            *lock(&self.in_a_row) = InARow::default();
            self.any.store(false, Ordering::Release);
        }
    }

    /// While it lasts nothing is tried; the first after it is tried, and a failure makes it twice as long.
    fn is_left_alone(&self) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let until = lock(&self.in_a_row).until;
        until.is_some_and(|until| clock::tick() < until)
    }
}

impl Plugin {
    /// Starts the first instances: a plugin that cannot be started is not one.
    pub(crate) fn open(
        name: Arc<str>,
        settings: Arc<Settings>,
        program: Box<dyn Program>,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Self>, LoadError> {
        let faults = Arc::new(Faults {
            name: name.clone(),
            observer,
            all: AtomicU64::new(0),
            in_a_row: Mutex::default(),
            any: AtomicBool::new(false),
        });
        let started = match settings.instances {
            Instances::Shared => settings.started.max(1),
            Instances::Fresh => 1,
        };
        let alone = [Capability::Ticks, Capability::Shared].iter().any(|part| settings.grants(*part));
        let plugin = Self {
            name,
            kept: if alone { usize::MAX } else { started },
            settings,
            program,
            idle: Mutex::default(),
            places: Arc::default(),
            faults,
            retired: AtomicBool::new(false),
        };
        for _ in 0..started {
            let slot = plugin.start()?;
            plugin.check_in(slot);
        }
        Ok(Arc::new(plugin))
    }

    fn start(&self) -> Result<Arc<Slot>, LoadError> {
        let limit = self.settings.limits.instances;
        let one_more = |places: usize| (places < limit).then_some(places + 1);
        if self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            let message = format!("all {limit} instances are in use");
            return Err(LoadError::new(LoadCode::Exhausted, message));
        }
        let faults = self.faults.clone();
        let slot = Arc::new(Slot::new(self.places.clone(), Box::new(move |fault| faults.record(fault))));
        let instance = self.program.start(Arc::downgrade(&slot))?;
        slot.fill(instance);
        self.faults.did_start();
        Ok(slot)
    }

    /// An instance for one request.
    pub(crate) fn check_out(&self) -> Result<Arc<Slot>, Failure> {
        if self.settings.instances == Instances::Shared
            && let Some(slot) = lock(&self.idle).take()
        {
            return Ok(slot);
        }
        if self.faults.is_left_alone() {
            let fault = Fault::new(FailureKind::BackingOff, "its start failed too often in a row");
            return Err(self.faults.failure(&fault));
        }
        self.start().map_err(|error| {
            let kind = if error.code == LoadCode::Exhausted {
                FailureKind::Exhausted
            } else if error.code == LoadCode::StartDeadline {
                FailureKind::Deadline
            } else {
                FailureKind::Start
            };
            let fault = Fault::new(kind, error.message);
            if kind != FailureKind::Exhausted {
                self.faults.did_not_start();
                self.faults.record(&fault);
            }
            self.faults.failure(&fault)
        })
    }

    /// Takes an instance back whose request has ended well.
    pub(crate) fn check_in(&self, slot: Arc<Slot>) {
        slot.listen(None);
        if self.settings.instances == Instances::Shared && !self.retired.load(Ordering::Acquire) {
            // Dropped when nothing is locked any more.
            let _unneeded = lock(&self.idle).put(slot, self.kept);
            // It may have been retired in between; then whoever did that, or this, finds the slot.
            if self.retired.load(Ordering::Acquire) {
                self.clear();
            }
        }
    }

    fn clear(&self) {
        let idle = std::mem::take(&mut lock(&self.idle).slots);
        drop(idle);
    }

    pub(crate) fn failure(&self, fault: &Fault) -> Failure {
        self.faults.failure(fault)
    }

    /// Writes what the host has to say about the plugin.
    pub(crate) fn note(&self, message: &str) {
        self.faults.observer.log(&self.name, crate::Level::Warn, message);
    }

    /// As [`Plugin::failure`], for a fault that its slot was not told of.
    pub(crate) fn failed(&self, fault: &Fault) -> Failure {
        self.faults.record(fault);
        self.faults.failure(fault)
    }

    /// It is replaced: no instance is kept for another request.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.clear();
    }

    /// Instances that there are, and failures so far.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.places.load(Ordering::Acquire), self.faults.all.load(Ordering::Relaxed))
    }
}
