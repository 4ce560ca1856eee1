//! Replace the policies of a running engine: `cargo run -p consentry --example reload_policies`

use consentry::policy::PolicyFile;
use consentry::{Engine, MemoryLedger, Policies, PolicySources, Submission, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open(MemoryLedger::new())?;
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let register = |company: &str| -> Result<(), Box<dyn std::error::Error>> {
        let command =
            serde_json::from_value(serde_json::json!({ "registerCompany": { "company": company } }))?;
        let answer = engine.submit(&Submission::new(r#"Operator::"root""#.parse()?, command), now)?;
        match answer.refusal() {
            Some(refusal) => println!("{company}: {refusal}, by {:?}", refusal.determining_policies),
            None => println!("{company}: done"),
        }
        Ok(())
    };

    register("acme")?;
    let mut sources = PolicySources::shipped();
    let text = r#"@id("closed") forbid (principal, action == Action::"registerCompany", resource);"#;
    sources.policies.push(PolicyFile { name: "closed.cedar".into(), text: text.into() });
    engine.replace_policies(Policies::load(&sources)?);
    register("latecomer")?;
    Ok(())
}
