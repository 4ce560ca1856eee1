//! What a grant costs in memory.
//!
//! **Workload.** A directory of 1 M live grants is folded from its events in four stages, and the
//! resident set (`/proc/self/status`) is read after each: companies and people; sites and devices, with
//! the invites by which they were handed over; the grants; the applications from which the grants came,
//! which stay in the directory as a record of who asked for what. Ids are as long as real ones: a derived
//! grant id such as `application-0012345/liveView/cam-0037035` has 41 characters.
//!
//! **Not covered.** What the allocator keeps after long use; the versions of the directory that readers
//! hold for the length of a check; policies and the ledger's own buffers. Events are made one site at a
//! time, so that what they take beside the directory is small.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use consentry::Directory;
use consentry_benches::is_asked_for;
use consentry_benches::machine::resident;
use consentry_benches::world::{Happened, World};

const GRANTS: usize = 1_000_000;

/// What a grant may cost.
const REQUIRED: f64 = 150.0;

fn fold(directory: &mut Directory, records: impl Iterator<Item = Happened>) {
    for Happened { at, events } in records {
        directory.apply(directory.revision() + 1, at, &events).expect("the world is sound");
    }
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let world = World::with_grants(GRANTS);
    let (sites, companies) = (world.sites(), world.companies());
    let mut directory = Directory::default();
    let mut last = resident();
    println!("before anything: {:.1} MB resident", last as f64 / 1e6);
    let mut stage = |what: &str, records: &mut dyn Iterator<Item = Happened>| {
        fold(&mut directory, records);
        let now = resident();
        let grown = now.saturating_sub(last);
        last = now;
        println!("{what:<64} {:>7.1} MB {:>6.1} bytes a grant", grown as f64 / 1e6, per_grant(grown));
        per_grant(grown)
    };
    let people = (0..companies).map(|number| world.company(number));
    let mut people = people.chain((0..sites).map(|site| world.account(site)));
    let before = stage(&format!("{companies} companies with their installers, {sites} owners"), &mut people)
        + stage(
            &format!("{sites} sites, {} devices, {sites} invites", sites * consentry_benches::world::DEVICES),
            &mut (0..sites).map(|site| world.place(site)),
        );
    let grants = stage(&format!("{GRANTS} grants"), &mut (0..sites).map(|site| world.given(site)));
    let asked = stage(&format!("{sites} applications"), &mut (0..sites).map(|site| world.asked(site)));
    assert_eq!(directory.grant_count(), GRANTS, "every grant is there");
    println!();
    println!(
        "a grant, itself:                                    {grants:.0} bytes (required: at most {REQUIRED})"
    );
    println!("a grant, with its share of its application:         {:.0} bytes", grants + asked);
    println!("a grant, with its share of everything:              {:.0} bytes", before + grants + asked);
    println!("the requirement is {}", if grants <= REQUIRED { "met" } else { "MISSED" });
}

fn per_grant(bytes: u64) -> f64 {
    bytes as f64 / GRANTS as f64
}
