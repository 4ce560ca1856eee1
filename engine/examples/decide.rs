//! Ask whether somebody may do something: `cargo run -p consentry --example decide`

use consentry::{AccessRequest, Engine, MemoryLedger, Submission, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open(MemoryLedger::new())?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;

    for command in [
        r#"{"registerCompany":{"company":"acme"}}"#,
        r#"{"registerInstaller":{"installer":"ada","company":"acme","role":"admin","permissions":[]}}"#,
        r#"{"createSite":{"site":"villa","company":"acme","kind":"normal"}}"#,
        r#"{"addDevice":{"device":"cam-7","site":"villa","supportsPasswordReset":true}}"#,
    ] {
        let root = r#"Operator::"root""#.parse()?;
        engine.submit(&Submission::new(root, serde_json::from_str(command)?), now)?;
    }

    for who in [r#"Installer::"ada""#, r#"Installer::"mallory""#] {
        let request = AccessRequest::new(who.parse()?, "liveView", r#"Device::"cam-7""#.parse()?);
        let answer = engine.evaluate(&request, now)?;
        println!("{who}: {}", serde_json::to_string(&answer)?);
    }
    Ok(())
}
