//! A script, as `consentry replay` reads it: it is played up to the line that cannot be read, and what was
//! played is what a second engine on the same ledger finds.
#![no_main]

use std::sync::{Arc, LazyLock};

use consentry::ledger::{Commit, Entry, Layer};
use consentry::{Engine, Ledger, MemoryLedger, Policies};
use consentry_server::script;
use libfuzzer_sys::fuzz_target;

static POLICIES: LazyLock<Policies> = LazyLock::new(|| Policies::shipped().unwrap());

#[derive(Clone)]
struct Shared(Arc<MemoryLedger>);

impl Layer for Shared {
    fn below(&self) -> &dyn Ledger {
        &*self.0
    }

    fn append_below(&self, entry: Entry) -> Commit {
        self.0.append(entry)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let ledger = Shared(Arc::default());
    let open = || Engine::builder(ledger.clone()).policies(POLICIES.clone()).open().unwrap();
    let engine = open();
    let mut answers = Vec::new();
    let _stopped = script::run(&engine, bytes, &mut answers);
    let answers = String::from_utf8(answers).unwrap();
    answers.lines().for_each(|answer| drop(serde_json::from_str::<serde_json::Value>(answer).unwrap()));
    let (played, found) = (engine.directory(), open().directory());
    assert_eq!(played.revision(), found.revision());
    assert_eq!(played.grant_count(), found.grant_count());
});
