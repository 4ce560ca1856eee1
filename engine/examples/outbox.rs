//! Hear of what happens, to send pushes and mail: `cargo run -p consentry --example outbox`

use std::thread;
use std::time::Duration;

use consentry::{Engine, MemoryLedger, Submission, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open(MemoryLedger::new())?;
    // A real outbox keeps the revision that it dealt with last, and starts again after it.
    let mut events = engine.subscribe(1);
    let outbox = thread::spawn(move || {
        while let Ok(Some(record)) = events.next_within(Duration::from_secs(1)) {
            for event in &record.events {
                println!("revision {}: {}", record.revision, event.name());
            }
        }
    });
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    for company in ["acme", "rival"] {
        let command =
            serde_json::from_value(serde_json::json!({ "registerCompany": { "company": company } }))?;
        engine.submit(&Submission::new(r#"Operator::"root""#.parse()?, command), now)?;
    }
    outbox.join().map_err(|_| "the outbox stopped")?;
    Ok(())
}
