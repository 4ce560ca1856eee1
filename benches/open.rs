//! How long it takes to open a long ledger, with a snapshot and without one.
//!
//! **Workload.** A ledger on disk of about 1 M events (one record for each command, 19 events in 10
//! records for each site, with the audit trail) that lead to about 470 k live grants. It is made once, in
//! the target folder, and kept: `cargo bench -p consentry-benches --bench open -- delete` removes it.
//! Then, by turns: open the ledger; load the shipped policies; have an engine read the ledger, from the
//! beginning or from a snapshot of its very last record. Without a snapshot it is also told what
//! reading the records takes by itself: their hashes are checked and their events parsed.
//!
//! The first loading of policies in the process is told apart: nothing is in the caches yet.
//!
//! **Not covered.** A disk that was not read before: all files are in the page cache. Records after the
//! snapshot: each costs what it costs without one.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its ledger has nothing to measure")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consentry::ledger::Ledger;
use consentry::{Engine, Policies};
use consentry_benches::disk::fill;
use consentry_benches::is_asked_for;
use consentry_benches::machine::file_system;
use consentry_benches::rounds::{Spread, timed};
use consentry_benches::world::World;
use consentry_ledger::DiskLedger;

const EVENTS: usize = 1_000_000;

const ROUNDS: usize = 5;

/// Records that are read at once, as the engine does.
const PAGE: usize = 4_096;

/// Where the ledger is kept, and what says that it is whole.
struct Place {
    ledger: PathBuf,
    whole: PathBuf,
}

/// What opening took.
struct Opened {
    ledger: Duration,
    policies: Duration,
    engine: Duration,
}

impl Place {
    fn ledger(&self) -> DiskLedger {
        DiskLedger::open(&self.ledger).expect("the ledger is sound")
    }

    fn delete(&self) {
        for path in [&self.whole, &self.ledger] {
            let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            if let Err(error) = gone {
                println!("{}: {error}", path.display());
            }
        }
    }

    /// Makes the ledger, unless it was made before.
    fn make(&self) {
        if self.whole.exists() {
            return;
        }
        if self.ledger.exists() {
            fs::remove_dir_all(&self.ledger).expect("an unfinished ledger can be removed");
        }
        let world = World::with_events(EVENTS);
        let (took, ()) = timed(|| fill(&self.ledger(), world));
        println!("made in {:.0} s: {} records", took.as_secs_f64(), world.len());
        fs::write(&self.whole, "").expect("the target folder can be written to");
    }

    fn open(&self) -> Opened {
        let (ledger_took, ledger) = timed(|| self.ledger());
        let (policies_took, policies) = timed(Policies::shipped);
        let builder = Engine::builder(ledger).policies(policies.expect("shipped policies are sound"));
        let (engine_took, engine) = timed(|| builder.open());
        drop(engine.expect("the ledger is sound"));
        Opened { ledger: ledger_took, policies: policies_took, engine: engine_took }
    }

    /// Reads all records, and does nothing with them.
    fn read(&self) -> Duration {
        let ledger = self.ledger();
        let (took, events) = timed(|| {
            let (mut after, mut events) = (0, 0);
            loop {
                let page = ledger.read(after, PAGE).expect("the ledger is sound");
                let Some(last) = page.last() else { return events };
                after = last.revision;
                events += page.iter().map(|record| record.events.len()).sum::<usize>();
            }
        });
        println!("{events} events were read");
        took
    }
}

fn megabytes(path: &Path) -> f64 {
    fs::metadata(path).map_or(f64::NAN, |data| data.len() as f64 / 1e6)
}

fn say(what: &str, opened: &[Opened]) {
    let spread = |part: fn(&Opened) -> Duration| {
        Spread::of(opened.iter().map(|times| part(times).as_secs_f64() * 1e3))
    };
    println!("{what}: medians [quartiles] of {ROUNDS} rounds, in milliseconds");
    println!("  the ledger  {:.0}", spread(|times| times.ledger));
    println!("  the engine  {:.0}", spread(|times| times.engine));
    println!("  everything  {:.0}", spread(|times| times.ledger + times.policies + times.engine));
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = Place { ledger: target.join("million"), whole: target.join("million.whole") };
    if std::env::args().any(|argument| argument == "delete") {
        return place.delete();
    }
    let (first, policies) = timed(Policies::shipped);
    drop(policies);
    println!("shipped policies, the first time in the process: {:.1} ms", first.as_secs_f64() * 1e3);
    place.make();
    let (snapshot, aside) = (place.ledger.join("snapshot"), place.ledger.with_extension("snapshot"));
    let engine = Engine::open(place.ledger()).expect("the ledger is sound");
    let (saved, result) = timed(|| engine.save_snapshot());
    result.expect("there is space for a snapshot");
    drop(engine);
    println!(
        "on {}: the database has {:.0} MB, the snapshot {:.0} MB, saved in {:.0} ms",
        file_system(&place.ledger),
        megabytes(&place.ledger.join("ledger.sqlite3")),
        megabytes(&snapshot),
        saved.as_secs_f64() * 1e3
    );
    let (mut with, mut without, mut reading) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with.push(place.open());
        fs::rename(&snapshot, &aside).expect("the snapshot is there");
        without.push(place.open());
        reading.push(place.read().as_secs_f64() * 1e3);
        fs::rename(&aside, &snapshot).expect("the snapshot was put aside");
    }
    say("without a snapshot", &without);
    println!("  of it reading, checking and parsing the records  {:.0}", Spread::of(reading));
    say("with a snapshot", &with);
    let loads = with.iter().chain(&without).map(|times| times.policies.as_secs_f64() * 1e3);
    println!("shipped policies, later: {:.1} ms", Spread::of(loads));
}
