//! A policy file beside the shipped ones: it is refused with its place, or checks are answered with it.
#![no_main]

use std::sync::LazyLock;

use consentry::policy::PolicyFile;
use consentry::{AccessRequest, Directory, Policies, PolicySources, Timestamp};
use libfuzzer_sys::fuzz_target;

static SHIPPED: LazyLock<PolicySources> = LazyLock::new(|| {
    let mut sources = PolicySources::shipped();
    // Enough to decide something, and soon loaded.
    sources.policies.truncate(1);
    sources
});

fuzz_target!(|text: &str| {
    let mut sources = SHIPPED.clone();
    sources.policies.push(PolicyFile { name: "added.cedar".to_owned(), text: text.to_owned() });
    match Policies::load(&sources) {
        Ok(policies) => {
            let (who, what) = (r#"EndUser::"olga""#, r#"Device::"cam-7""#);
            let request = AccessRequest::new(who.parse().unwrap(), "liveView", what.parse().unwrap());
            let now = Timestamp::from_millis(1);
            let answer = policies.evaluate(&Directory::default(), 0, &request, now).unwrap();
            assert!(!answer.is_allowed(), "nobody is known, and somebody may");
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
