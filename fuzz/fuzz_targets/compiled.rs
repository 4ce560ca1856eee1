//! Policies, entities and a context that somebody made up: compiled policies answer as Cedar's authorizer does.
//!
//! The input has four parts, with lines of `---` between them: policies, entities as JSON, a context as JSON, and the
//! request's principal, action and resource, one a line.
#![no_main]

use cedar_policy::{Context, Entities, PolicySet, Request};
use consentry::policy::compiled;
use libfuzzer_sys::fuzz_target;

/// What takes Cedar more stack than there is says nothing about compiling.
const LONGEST: usize = 4_000;

fuzz_target!(|text: &str| {
    if text.len() <= LONGEST {
        let _ = compare(text);
    }
});

fn compare(text: &str) -> Option<()> {
    let mut parts = text.split("\n---\n");
    let policies: PolicySet = parts.next()?.parse().ok()?;
    let entities = Entities::from_json_str(parts.next()?, None).ok()?;
    let context = Context::from_json_str(parts.next()?, None).ok()?;
    let mut uids = parts.next()?.lines().map(str::parse);
    let (principal, action, resource) = (uids.next()?.ok()?, uids.next()?.ok()?, uids.next()?.ok()?);
    let request = Request::new(principal, action, resource, context, None).ok()?;
    let answer = compiled::answer(&policies, &request, &entities).ok()?;
    assert_eq!(answer, compiled::by_cedar(&policies, &request, &entities));
    Some(())
}
