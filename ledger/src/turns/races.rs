//! Those who take turns, in one interleaving after another. Every lock is a point at which shuttle may go on with
//! another thread; somebody who waits for ever is a deadlock, and fails by itself. `SCHEDULES` says how many.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use consentry::domain::Timestamp;
use consentry::ledger::Head;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, thread};

use super::*;

/// What was written, in order, and whether it is closed. Not one of shuttle's locks: it is the disk.
type Disk = Arc<std::sync::Mutex<(Vec<u64>, bool)>>;

/// Writes numbers; panics at a certain one.
struct Paper {
    disk: Disk,
    panics_at: Option<u64>,
}

impl Pen for Paper {
    type Entry = u64;

    fn commit(&mut self, entries: Vec<u64>) -> Vec<Answer> {
        assert!(entries.len() <= BATCH);
        thread::yield_now();
        if entries.iter().any(|entry| Some(*entry) == self.panics_at) {
            // As a panic, without a word.
            resume_unwind(Box::new("with the pen in hand"));
        }
        let written = |entry| {
            let mut disk = self.disk.lock().unwrap();
            assert!(!disk.1, "written after it was closed");
            disk.0.push(entry);
            let head = Head { revision: disk.0.len() as u64, ..Head::EMPTY };
            Ok(Appended { head, at: Timestamp::MIN, command_id: None })
        };
        entries.into_iter().map(written).collect()
    }

    fn close(self) {
        thread::yield_now();
        self.disk.lock().unwrap().1 = true;
    }
}

fn schedules() -> usize {
    std::env::var("SCHEDULES").map_or(1_000, |number| number.parse().unwrap())
}

/// Tries schedules at random, and such with few but well-placed changes of thread.
fn every_schedule(race: fn()) {
    let run = |scheduler: Box<dyn Scheduler + Send>| Runner::new(scheduler, Config::new()).run(race);
    let tried =
        run(Box::new(RandomScheduler::new(schedules()))) + run(Box::new(PctScheduler::new(3, schedules())));
    println!("{tried} schedules");
}

fn turns(panics_at: Option<u64>) -> (Arc<Turns<Paper>>, Disk) {
    let disk = Disk::default();
    (Arc::new(Turns::new(Paper { disk: disk.clone(), panics_at })), disk)
}

/// What each was told; `None`: that there is no answer.
type Told = BTreeMap<u64, Option<u64>>;

/// Hands these over, one after the other, and then waits for each, the last one first if `backwards`.
fn caller(turns: &Arc<Turns<Paper>>, entries: &[u64], backwards: bool) -> Told {
    let mut pending: Vec<_> = entries
        .iter()
        .map(|entry| (*entry, catch_unwind(AssertUnwindSafe(|| turns.hand_over(*entry)))))
        .collect();
    if backwards {
        pending.reverse();
    }
    let wait = |pending: std::thread::Result<Result<Pending<Paper>, LedgerError>>| {
        let answer = catch_unwind(AssertUnwindSafe(|| pending.ok()?.ok()?.wait().ok()));
        answer.ok().flatten().map(|appended| appended.head.revision)
    };
    pending.into_iter().map(|(entry, pending)| (entry, wait(pending))).collect()
}

/// Whoever was told that an entry was written finds it there; nothing is there twice; who hands over one after
/// the other finds them in that order.
fn is_true(told: &Told, disk: &Disk) {
    let (written, _) = disk.lock().unwrap().clone();
    for (entry, place) in told {
        match place {
            Some(place) => assert_eq!(written.get(*place as usize - 1), Some(entry), "{told:?} {written:?}"),
            None => assert!(!written.contains(entry), "{entry} was written: {told:?} {written:?}"),
        }
    }
    for of in 0..10 {
        let own: Vec<u64> = written.iter().copied().filter(|entry| entry / 10 == of).collect();
        assert!(own.is_sorted_by(|one, next| one < next), "{written:?}");
    }
}

fn all_of(callers: Vec<thread::JoinHandle<Told>>) -> Told {
    callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
}

fn spawn(turns: &Arc<Turns<Paper>>, entries: &'static [u64], backwards: bool) -> thread::JoinHandle<Told> {
    let turns = turns.clone();
    thread::spawn(move || caller(&turns, entries, backwards))
}

#[test]
fn whatever_is_handed_over_is_written_once_and_told_to_whom_it_belongs() {
    every_schedule(|| {
        let (turns, disk) = turns(None);
        let callers = vec![
            spawn(&turns, &[10, 11, 12], true),
            spawn(&turns, &[20, 21], false),
            spawn(&turns, &[30, 31], true),
        ];
        let told = all_of(callers);
        assert_eq!(told.len(), 7);
        assert!(told.values().all(Option::is_some), "{told:?}");
        is_true(&told, &disk);
        assert_eq!(disk.lock().unwrap().0.len(), 7);
    });
}

#[test]
fn a_full_queue_is_written_and_nobody_waits_for_ever() {
    every_schedule(|| {
        let (turns, disk) = turns(None);
        let callers =
            vec![spawn(&turns, &[10, 11, 12, 13, 14, 15], true), spawn(&turns, &[20, 21, 22, 23, 24], true)];
        let told = all_of(callers);
        assert!(told.values().all(Option::is_some), "{told:?}");
        is_true(&told, &disk);
        assert_eq!(disk.lock().unwrap().0.len(), 11);
    });
}

#[test]
fn what_nobody_waits_for_is_in_nobodys_way_and_written_at_the_end() {
    every_schedule(|| {
        let (turns, disk) = turns(None);
        let careless = {
            let turns = turns.clone();
            thread::spawn(move || [10, 11].map(|entry| drop(turns.hand_over(entry).unwrap())))
        };
        let told = all_of(vec![spawn(&turns, &[20, 21], true)]);
        careless.join().unwrap();
        turns.close();
        assert!(told.values().all(Option::is_some), "{told:?}");
        is_true(&told, &disk);
        let mut written = disk.lock().unwrap().0.clone();
        written.sort_unstable();
        assert_eq!(written, [10, 11, 20, 21]);
    });
}

#[test]
fn closing_writes_what_was_handed_over_and_tells_everybody_else_that_nothing_was() {
    every_schedule(|| {
        let (turns, disk) = turns(None);
        let before = turns.hand_over(90).unwrap();
        let callers = vec![spawn(&turns, &[10, 11], true), spawn(&turns, &[20], false)];
        let closing = {
            let turns = turns.clone();
            thread::spawn(move || turns.close())
        };
        assert!(before.wait().is_ok());
        let told = all_of(callers);
        closing.join().unwrap();
        is_true(&told, &disk);
        assert!(disk.lock().unwrap().1);
        assert!(turns.hand_over(91).unwrap().wait().is_err());
    });
}

#[test]
fn after_a_panic_everybody_is_told_that_there_is_no_answer() {
    every_schedule(|| {
        let (turns, disk) = turns(Some(20));
        let callers = vec![
            spawn(&turns, &[10, 11], true),
            spawn(&turns, &[20, 21], false),
            spawn(&turns, &[30, 31], false),
        ];
        let told = all_of(callers);
        assert_eq!(told[&20], None);
        is_true(&told, &disk);
        turns.close();
        assert!(!disk.lock().unwrap().1, "it is left as it is");
    });
}
