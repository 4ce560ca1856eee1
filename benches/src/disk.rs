//! A world on a real ledger.

use std::collections::VecDeque;

use consentry::Revision;
use consentry::domain::Principal;
use consentry::event::Event;
use consentry::ledger::{Attempt, Commit, Entry, Ledger, Mark, Outcome};
use serde_json::json;

use crate::world::{Happened, World, id};

/// Appends under way at once: enough that the ledger can write many together.
const UNDER_WAY: usize = 1_024;

/// Appends all records of a world to an empty ledger, each with a line of the audit trail, as the
/// commands would have done by which it came to be as it is.
///
/// # Panics
/// When the ledger does not take one.
pub fn fill(ledger: &dyn Ledger, world: World) {
    let mut under_way: VecDeque<Commit> = VecDeque::with_capacity(UNDER_WAY);
    let settle = |commit: Commit| drop(commit.wait().expect("an empty ledger takes everything"));
    for number in 0..world.len() {
        if under_way.len() == UNDER_WAY {
            under_way.pop_front().into_iter().for_each(settle);
        }
        under_way.push_back(ledger.append(entry(number as Revision, world.record(number))));
    }
    under_way.into_iter().for_each(settle);
}

fn entry(expected: Revision, Happened { at, events }: Happened) -> Entry {
    let principal = Principal::Operator(id("platform"));
    // What a command says is about as long as its first event.
    let body = json!({ "as": principal, "do": events.first() });
    let outcome = Outcome::Done {
        revision: expected + 1,
        events: events.iter().map(Event::name).map(str::to_owned).collect(),
        determining_policies: vec!["operator-keeps-directory".to_owned()],
    };
    let attempt = Attempt {
        id: None,
        binds: true,
        digest: [0; 32],
        principal,
        body: body.to_string(),
        outcome: outcome.into(),
    };
    Entry { mark: Mark::unique(), expected, after: None, at, events, attempt: Some(attempt) }
}
