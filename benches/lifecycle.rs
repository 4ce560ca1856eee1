//! What one transition costs.
//!
//! **Workload.** Each of the four machines by itself, no directory, no ledger: an event that moves the
//! state, one that comes too late, and one that has no place in the state. State, event and moment are
//! hidden from the compiler. For information, the two pure halves of a whole command on a world of
//! 9,000 grants: `decide` and `Directory::apply` of an `acceptApplication` for nine grants, with an
//! authorizer that always agrees, on a directory of which a clone is kept, as the engine does.
//!
//! **Not covered.** Policies (see `evaluate`) and the ledger (see `commands`).

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::hint::black_box;

use consentry::decide::{Authorization, Authorizer, Decided, Question, decide};
use consentry::directory::Directory;
use consentry::lifecycle::grant::{GrantEvent, GrantState};
use consentry::lifecycle::invite::{InviteEvent, InviteState};
use consentry::lifecycle::permission_application::{ApplicationEvent, ApplicationState};
use consentry::lifecycle::reset_ticket::{TicketEvent, TicketState};
use consentry::{Command, Lifetimes, Principal, Submission, Timestamp};
use consentry_benches::is_asked_for;
use consentry_benches::world::{World, id, owner};
use criterion::{BatchSize, Criterion};

/// Agrees to everything.
struct Yes;

impl Authorizer for Yes {
    fn authorize(&self, _: &Directory, _: &Question<'_>, _: Timestamp) -> Authorization {
        Authorization { allowed: true, determining_policies: Vec::new(), errors: Vec::new() }
    }
}

fn transitions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transition");
    let deadline = Timestamp::from_millis(2);
    let (early, late) = (Timestamp::from_millis(1), deadline);
    macro_rules! machine {
        ($name:literal, $pending:expr, $over:expr, $event:expr) => {
            for (what, state, at) in
                [("moves", $pending, early), ("too late", $pending, late), ("refused", $over, early)]
            {
                group.bench_function(concat!($name, ", ").to_owned() + what, |bencher| {
                    bencher.iter(|| black_box(state).step(black_box($event), black_box(at)));
                });
            }
        };
    }
    machine!("invite", InviteState::Pending { deadline }, InviteState::Rejected, InviteEvent::Accept);
    machine!(
        "permission application",
        ApplicationState::Pending { deadline },
        ApplicationState::Withdrawn,
        ApplicationEvent::Accept
    );
    machine!("reset ticket", TicketState::Pending { deadline }, TicketState::Completed, TicketEvent::Submit);
    machine!(
        "grant",
        GrantState::Active { until: Some(deadline) },
        GrantState::Revoked,
        GrantEvent::Withdraw
    );
    group.finish();
}

/// A world in which the last application still waits, and the command by which its owner accepts it.
fn before_acceptance() -> (Directory, Submission, Timestamp) {
    let world = World::with_grants(9_000);
    let mut directory = Directory::default();
    // The very last record is the acceptance.
    for happened in (0..world.len() - 1).map(|number| world.record(number)) {
        let revision = directory.revision() + 1;
        directory.apply(revision, happened.at, &happened.events).expect("the world is sound");
    }
    let last = world.sites() - 1;
    let application = id(&format!("application-{last:07}"));
    let submission = Submission::new(
        Principal::EndUser(id(&owner(last))),
        Command::AcceptApplication { application, permissions: None },
    );
    (directory, submission, world.now())
}

fn commands(criterion: &mut Criterion) {
    let (directory, submission, now) = before_acceptance();
    let lifetimes = Lifetimes::default();
    let decided = || decide(&directory, black_box(&submission), &Yes, &lifetimes, now);
    let Decided::Accepted { events, .. } = decided() else { unreachable!("nothing is in its way") };
    let mut group = criterion.benchmark_group("acceptApplication, nine grants");
    group.bench_function("decide", |bencher| bencher.iter(decided));
    group.bench_function("apply", |bencher| {
        let next = |mut directory: Directory| {
            directory.apply(directory.revision() + 1, now, black_box(&events)).expect("it was decided");
            directory
        };
        bencher.iter_batched(|| directory.clone(), next, BatchSize::SmallInput);
    });
    group.finish();
}

fn main() {
    if !is_asked_for() {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    transitions(&mut criterion);
    commands(&mut criterion);
}
