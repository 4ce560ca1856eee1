//! Asking about the same people and things again and again: by keys, which are looked up once.
//!
//! `cargo run -p consentry --example keys`

use consentry::{Command, Engine, MemoryLedger, Principal, Submission, Timestamp, UidRef};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open(MemoryLedger::new())?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let root = Principal::Operator("root".parse()?);
    for command in [
        r#"{"registerCompany":{"company":"acme"}}"#,
        r#"{"registerInstaller":{"installer":"ada","company":"acme","role":"admin","permissions":[]}}"#,
        r#"{"createSite":{"site":"villa","company":"acme","kind":"normal"}}"#,
        r#"{"addDevice":{"device":"cam-7","site":"villa","supportsPasswordReset":true}}"#,
    ] {
        let command: Command = serde_json::from_str(command)?;
        engine.submit(&Submission::new(root.clone(), command), now)?;
    }

    // Once: for a session, a connection, a route.
    let key = |kind, id| engine.key(UidRef::new(kind, id)).ok_or("nobody of this name was ever registered");
    let (ada, camera) = (key("Installer", "ada")?, key("Device", "cam-7")?);
    let live_view = engine.action("liveView").ok_or("the schema has no such action")?;

    // At every request: a copy of some numbers, and no text.
    let ruling = engine.check(ada, &live_view, camera, now);
    println!("{:?}, until {:?}, at revision {}", ruling.decision, ruling.valid_until, ruling.revision);

    // The same for who has nothing but the names.
    let (ada, camera) = (UidRef::new("Installer", "ada"), UidRef::new("Device", "cam-7"));
    assert_eq!(engine.check_named(ada, "liveView", camera, now), ruling);
    assert!(ruling.is_allowed(), "before hand-over, the company looks after the device");
    Ok(())
}
