//! What a grant and its withdrawal cost in a large directory, and what those who check meanwhile notice of it.
//!
//! **Workload.** A directory with 1 M live grants. Writing: on random devices, a grant is made (`liveView`, for an hour)
//! and another one of those that were made before is withdrawn, each folded in by `Directory::apply` as a record of its
//! own; after each the directory is published: cloned, put where readers find it, and the version before dropped, so that
//! nothing of a version can be changed in place. Beside it, without publishing: what replaying a ledger costs.
//!
//! Reading: one thread checks by key, random questions (as in `keys`), while another one publishes 1,000 versions a
//! second, one grant or withdrawal each; and the same with a writer that does nothing. Each check is timed by itself; the
//! two take turns of a second. Percentiles are over all rounds.
//!
//! **Not covered.** Deciding a command and making it durable (`commands`); more readers than there are processors.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use consentry::domain::{Permission, Scope};
use consentry::{ActionKey, Directory, EntityKey, Event, Policies, Timestamp, Uid};
use consentry_benches::frozen::Frozen;
use consentry_benches::is_asked_for;
use consentry_benches::random::Random;
use consentry_benches::rounds::{Spread, timed};
use consentry_benches::world::{World, company_of, device, id, site};

const GRANTS: usize = 1_000_000;

/// Rounds of writing, and changes in each.
const ROUNDS: usize = 31;
const CHANGES: usize = 2_000;

/// Seconds of reading, half of them beside a writer.
const SECONDS: usize = 20;
const WRITES_A_SECOND: u32 = 1_000;

/// Readers' questions.
const QUESTIONS: usize = 1 << 18;

/// Makes grants, and takes them back.
struct Writer {
    world: World,
    random: Random,
    made: usize,
    withdrawn: usize,
}

impl Writer {
    fn new(world: World) -> Self {
        Self { world, random: Random::new(0x5eed_2027), made: 0, withdrawn: 0 }
    }

    fn made(&mut self) -> Event {
        let place = self.random.below(GRANTS / 9);
        let number = self.made;
        self.made += 1;
        Event::GrantMade {
            grant: id(&format!("gift-{number:08}")),
            company: id(&company_of(place)),
            site: id(&site(place)),
            permission: Permission::LiveView,
            scope: Scope::Device(id(&device(place, self.random.below(3)))),
            until: Some(Timestamp::from_millis(self.world.now().millis() + 3_600_000)),
        }
    }

    fn withdrawn(&mut self) -> Event {
        let number = self.withdrawn;
        self.withdrawn += 1;
        Event::GrantWithdrawn { grant: id(&format!("gift-{number:08}")) }
    }

    fn apply(&self, directory: &mut Directory, event: &Event) {
        let (revision, now) = (directory.revision() + 1, self.world.now());
        directory.apply(revision, now, std::slice::from_ref(event)).expect("it can happen");
    }
}

/// Microseconds of a change: folded in, and published if that is wanted.
fn changes(
    writer: &Writer,
    directory: &mut Directory,
    published: Option<&ArcSwap<Directory>>,
    events: &[Event],
) -> f64 {
    let (took, ()) = timed(|| {
        for event in events {
            writer.apply(directory, event);
            if let Some(published) = published {
                published.store(directory.clone().into());
            }
        }
    });
    took.as_secs_f64() * 1e6 / events.len() as f64
}

fn writing(writer: &mut Writer, directory: &mut Directory) {
    let published = ArcSwap::from_pointee(directory.clone());
    let names =
        ["a grant, published", "a withdrawal, published", "a grant, replayed", "a withdrawal, replayed"];
    let mut micros: [Vec<f64>; 4] = std::array::from_fn(|_| Vec::new());
    // There are always enough to be withdrawn that were made long ago.
    for _ in 0..10 * CHANGES {
        let event = writer.made();
        writer.apply(directory, &event);
    }
    for _ in 0..ROUNDS {
        for (at, micros) in micros.iter_mut().enumerate() {
            let events: Vec<Event> =
                (0..CHANGES).map(|_| if at % 2 == 0 { writer.made() } else { writer.withdrawn() }).collect();
            // While nobody else has it, it is changed in place.
            published.store(if at < 2 { directory.clone() } else { Directory::default() }.into());
            micros.push(changes(writer, directory, (at < 2).then_some(&published), &events));
        }
    }
    println!(
        "\nmicroseconds a change among {GRANTS} grants, medians [quartiles] of {ROUNDS} rounds of {CHANGES}"
    );
    for (name, micros) in names.into_iter().zip(&micros) {
        let spread = Spread::of(micros.iter().copied());
        let verdict = if spread.median() <= 5.0 { "met" } else { "MISSED" };
        println!("  {name:<28} {spread} (required: at most 5, {verdict})");
    }
}

/// Nanoseconds of each check within a second, while somebody else writes, or does not.
fn reading(
    policies: &Policies,
    (action, keys): (&ActionKey, &[(EntityKey, EntityKey)]),
    published: &ArcSwap<Directory>,
    writer: Option<(&mut Writer, &mut Directory)>,
    now: Timestamp,
) -> Vec<u64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some((writer, directory)) = writer {
            let over = &over;
            scope.spawn(move || {
                let (start, pause) = (instant(), Duration::from_secs(1) / WRITES_A_SECOND);
                for number in 1.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let event = if number % 2 == 0 { writer.made() } else { writer.withdrawn() };
                    writer.apply(directory, &event);
                    published.store(directory.clone().into());
                    thread::sleep((pause * number).saturating_sub(start.elapsed()));
                }
            });
        }
        let (start, mut all) = (instant(), Vec::with_capacity(1 << 21));
        let mut questions = keys.iter().cycle();
        while start.elapsed() < Duration::from_secs(1) {
            let (principal, resource) = questions.next().expect("there are questions");
            let (took, ruling) =
                timed(|| policies.check(&published.load(), (*principal, action, *resource), now));
            assert!(ruling.is_allowed(), "nobody takes back what the world came with");
            all.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
        over.store(true, Ordering::Relaxed);
        all
    })
}

#[expect(clippy::disallowed_methods, reason = "measuring time is what a benchmark is for")]
fn instant() -> Instant {
    Instant::now()
}

fn percentile(sorted: &[u64], share: f64) -> u64 {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(0)
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let world = World::with_grants(GRANTS);
    let mut directory = Directory::clone(&Frozen::engine(world).directory());
    let mut writer = Writer::new(world);
    writing(&mut writer, &mut directory);

    let policies = Policies::shipped().expect("they are sound");
    let action = policies.action("liveView").expect("the schema has it");
    let mut random = Random::new(0x5eed_2026);
    let key = |kind: &str, id: &str| directory.key(&Uid::new(kind, id)).expect("it is registered");
    let keys: Vec<_> = (0..QUESTIONS)
        .map(|_| world.question(&mut random, true))
        .map(|question| (key("Installer", &question.installer), key("Device", &question.device)))
        .collect();
    let published = ArcSwap::from_pointee(directory.clone());
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..SECONDS / 2 {
        for (all, writes) in all.iter_mut().zip([false, true]) {
            let with = writes.then_some((&mut writer, &mut directory));
            all.extend(reading(&policies, (&action, &keys), &published, with, world.now()));
        }
    }
    println!("\nnanoseconds a check among {GRANTS} grants, each timed by itself");
    println!("  {:<28} {:>9} {:>7} {:>7} {:>7} {:>9}", "", "checks", "p50", "p99", "p99.9", "p99.99");
    for (name, all) in ["nobody writes", "1,000 changes a second"].into_iter().zip(&mut all) {
        all.sort_unstable();
        let [p50, p99, p999, p9999] = [0.5, 0.99, 0.999, 0.9999].map(|share| percentile(all, share));
        println!("  {name:<28} {:>9} {p50:>7} {p99:>7} {p999:>7} {p9999:>9}", all.len());
    }
}
