//! Commands, checks and looks, one at a time: each is a line of a script.

use std::io::Read as _;

use consentry::command::Command;
use consentry::domain::Duration;
use consentry::engine::Engine;
use consentry::ledger::Ledger as _;
use consentry::lifecycle::table::{Table, tables};
use consentry_ledger::DiskLedger;
use serde_json::{Map, Value, json};

use super::arguments::{Filter, LifecycleCommand, LifecycleName, Question};
use super::output::Output;
use super::{Ended, Failure};
use crate::clock;
use crate::script::{Ask, Line, Reply, run_line};

/// Lines of the audit trail that are read at once.
const PAGE: usize = 1000;

fn line(at: Option<&str>, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Result<Line, Failure> {
    let at = at.map_or_else(|| clock::now().to_string(), str::to_owned);
    let mut whole: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    whole.insert("at".to_owned(), Value::String(at));
    Line::parse_value(Value::Object(whole)).map_err(Failure::Malformed)
}

fn parse(what: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Malformed(format!("{what} is not JSON: {error}")))
}

pub(super) fn command_line(
    principal: &str,
    id: Option<&str>,
    at: Option<&str>,
    command: &str,
) -> Result<Line, Failure> {
    let mut text = command.to_owned();
    if command == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    // As a value it could not be told that a field stands there twice.
    let whole: Result<Command, _> = serde_json::from_str(&text);
    whole.map_err(|error| Failure::Malformed(format!("the command: {error}")))?;
    let mut fields = vec![("as", json!(principal)), ("do", parse("the command", &text)?)];
    fields.extend(id.map(|id| ("id", json!(id))));
    line(at, fields)
}

pub(super) fn check_line(question: &Question, at: Option<&str>) -> Result<Line, Failure> {
    let Question { principal, action, resource, context, at_least } = question;
    let mut check = Map::new();
    for (name, text) in [("principal", principal), ("action", action), ("resource", resource)] {
        check.insert(name.to_owned(), json!(text));
    }
    if let Some(context) = context {
        check.insert("context".to_owned(), parse("the context", context)?);
    }
    check.extend(at_least.map(|revision| ("at_least".to_owned(), json!(revision))));
    line(at, [("check", Value::Object(check))])
}

/// Says so when a line cannot run at its own moment, or takes all later ones with it.
pub(super) fn compare_times(ledger: &DiskLedger, line: &Line, changes: bool) -> Result<(), Failure> {
    let (latest, now, at) = (ledger.head()?.time, clock::now(), line.at);
    if at < latest {
        eprintln!("note: this ledger has reached {latest}; that counts, not {at}");
    } else if changes && at > now.after(Duration::from_hours(24)) {
        eprintln!(
            "warning: {at} is ahead of this machine's clock; this ledger's time never goes back from it"
        );
    }
    Ok(())
}

pub(super) fn show_line(kind: &str, id: &str, at: Option<&str>) -> Result<Line, Failure> {
    line(at, [("show", json!({ kind: id }))])
}

pub(super) fn list_line(filter: &Filter, at: Option<&str>) -> Result<Line, Failure> {
    let mut fields = Map::new();
    let named = [("company", &filter.company), ("device", &filter.device), ("owner", &filter.owner)];
    for (name, value) in named {
        fields.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
    }
    fields.extend(filter.live.map(|live| ("live".to_owned(), json!(live))));
    line(at, [("list", json!({ "grants": fields }))])
}

pub(super) fn run(engine: &Engine, line: &Line, output: &mut Output) -> Result<Ended, Failure> {
    let reply = run_line(engine, line)?;
    output.reply(&reply)?;
    Ok(match (&line.ask, &reply) {
        (Ask::Check(_), Reply::Refused { .. }) => Ended::Bad,
        _ if reply.is_yes() => Ended::Yes,
        _ => Ended::No,
    })
}

pub(super) fn log(
    engine: &Engine,
    after: u64,
    limit: Option<usize>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (mut after, mut left) = (after, limit.unwrap_or(usize::MAX));
    while left > 0 {
        let page = engine.audit(after, left.min(PAGE))?;
        let Some(last) = page.last() else { break };
        after = last.number;
        left -= page.len();
        for entry in &page {
            output.object(entry)?;
            let text = output.audit(entry);
            output.line(&text)?;
        }
    }
    Ok(())
}

pub(super) fn verify(ledger: &DiskLedger, output: &mut Output) -> Result<(), Failure> {
    let verified = ledger.verify()?;
    output.object(&json!({ "records": verified.records, "audit_lines": verified.audit_lines }))?;
    output.line(&format!(
        "{} records and {} lines of the audit trail are as they were written",
        verified.records, verified.audit_lines
    ))?;
    Ok(())
}

pub(super) fn lifecycle(command: &LifecycleCommand, output: &mut Output) -> Result<(), Failure> {
    let chosen = |name: Option<LifecycleName>| -> Vec<Table> {
        tables().into_iter().filter(|table| name.is_none_or(|name| name.name() == table.lifecycle)).collect()
    };
    match command {
        LifecycleCommand::Table { lifecycle } => {
            for table in chosen(*lifecycle) {
                output.object(&table)?;
                output.line(&table.text())?;
            }
            if lifecycle.is_none() {
                output.line("→ moves there   × refused   ⌛ its time was over first   a | b: before the deadline | from it on")?;
            }
        }
        LifecycleCommand::Diagram { lifecycle } => {
            for table in chosen(*lifecycle) {
                output.object(&json!({ "lifecycle": table.lifecycle, "mermaid": table.mermaid() }))?;
                output.line(&table.mermaid())?;
            }
        }
    }
    Ok(())
}
