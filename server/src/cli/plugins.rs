//! `consentry plugin`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consentry::engine::Engine;
use consentry::ledger::MemoryLedger;
use consentry::policy::AccessRequest;
use consentry_wasm_host::{
    Asked, Cause, Failure as PluginFailure, Host, HttpHead, Inspection, Instances, Level, LoadCode,
    LoadError, Observer, Response, Settings, Verdict,
};
use serde_json::{Value, json};

use super::arguments::{PluginCommand, PluginRun};
use super::output::{Colour, Output};
use super::{Ended, Failure};
use crate::clock;

pub(super) fn run(command: &PluginCommand, output: &mut Output) -> Result<Ended, Failure> {
    match command {
        PluginCommand::Check(run) => check(run, output),
        PluginCommand::Bench { run, requests } => bench(run, *requests, output),
    }
}

/// A host with the plugin's bytes at hand, and what it says.
struct Bench {
    host: Host,
    heard: Heard,
    bytes: Vec<u8>,
    name: String,
    head: HttpHead,
}

impl Bench {
    fn new(run: &PluginRun) -> Result<Self, Failure> {
        let head = head(run)?;
        let read = |error| Failure::Read { path: run.file.clone(), error };
        let bytes = std::fs::read(&run.file).map_err(read)?;
        let policies = super::load_policies(run.policies.folder.as_deref())?;
        let engine = match &run.ledger {
            Some(folder) => super::open_existing(folder, policies)?,
            None => Engine::builder(MemoryLedger::new()).policies(policies).open()?,
        };
        let heard = Heard::default();
        let host = Host::builder(engine).observer(heard.clone()).build();
        let host = host.map_err(|error| broken(run, error))?;
        let name = run.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { host, heard, bytes, name, head })
    }

    fn settings(run: &PluginRun, inspection: &Inspection) -> Settings {
        Settings {
            configuration: run.config.clone(),
            granted: inspection.needs.iter().copied().collect(),
            log_level: Level::Trace,
            ..Settings::default()
        }
    }
}

fn broken(run: &PluginRun, error: LoadError) -> Failure {
    Failure::Plugin { path: run.file.clone(), error }
}

/// The request that is asked for.
fn head(run: &PluginRun) -> Result<HttpHead, Failure> {
    let malformed = |what: &str| Failure::Malformed(what.to_owned());
    let (method, path) = run
        .request
        .split_once(' ')
        .filter(|(method, path)| !method.is_empty() && path.starts_with('/') && !path.contains(' '))
        .ok_or_else(|| malformed("a request is a method and a path, as in --request 'GET /path'"))?;
    let mut head = HttpHead::new(method, path);
    for header in &run.headers {
        let (name, value) = header
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, value)| consentry_wasm_host::Headers::is_field(name.as_bytes(), value.as_bytes()))
            .ok_or_else(|| malformed("a header is a name and a value, as in --header 'x-installer: ivan'"))?;
        // As a gateway shows it.
        if name.eq_ignore_ascii_case("host") {
            head.headers.set(b":authority", value.as_bytes());
        } else {
            head = head.header(name, value);
        }
    }
    Ok(head)
}

fn check(run: &PluginRun, output: &mut Output) -> Result<Ended, Failure> {
    let bench = Bench::new(run)?;
    let inspection = bench.host.inspect(&bench.bytes).map_err(|error| broken(run, error))?;
    let needs: Vec<&str> = inspection.needs.iter().map(|need| need.name()).collect();
    output.object(&json!({
        "plugin": bench.name,
        "abi": inspection.abi.name(),
        "bytes": bench.bytes.len(),
        "sha256": inspection.hash,
        "imports": inspection.imports,
        "needs": needs,
        "calls_upstreams": inspection.calls_upstreams,
    }))?;
    let name = output.paint(Colour::Bold, &bench.name);
    output.line(&format!("{name}: {}, {} bytes", inspection.abi.name(), bench.bytes.len()))?;
    output.line(&format!("sha256   {}", inspection.hash))?;
    output.line(&format!("imports  {}", plain(&listed(&inspection.imports))))?;
    output.line(&format!(
        "needs    {}",
        if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") }
    ))?;
    if inspection.calls_upstreams {
        output.line("         and calls upstreams, if it is granted any by name")?;
    }
    let settings = Bench::settings(run, &inspection);
    if let Err(error) = bench.host.load(&bench.name, &bench.bytes, settings) {
        lines(&bench.heard, output)?;
        if error.code == LoadCode::StartDeadline {
            return failed(output, error.code.name(), &error.message);
        }
        return Err(broken(run, error));
    }
    lines(&bench.heard, output)?;
    output.line(&format!("request  {}", run.request))?;
    let verdict = bench.host.on_request(&bench.head);
    lines(&bench.heard, output)?;
    tell(&bench.head, verdict, output)
}

/// A few names on one line, or how many there are of them.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [first, second, rest @ ..] if rest.len() > 2 => {
            format!("{first}, {second} and {} more (all of them with --json)", rest.len())
        }
        few => few.join(", "),
    }
}

/// What a plugin says: its further lines below the first, so that none can be taken for one of ours; without what
/// would move a terminal's cursor.
fn indented(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n         ")
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn lines(heard: &Heard, output: &mut Output) -> Result<(), Failure> {
    for (level, line) in heard.take() {
        output.object(&json!({ "level": level.name(), "line": line }))?;
        output.line(&format!("{:<8} {}", level.name(), indented(&line)))?;
    }
    Ok(())
}

fn tell(before: &HttpHead, verdict: Verdict, output: &mut Output) -> Result<Ended, Failure> {
    match verdict {
        Verdict::Continue { head: after, asked } => {
            stood_for(&asked, output)?;
            let changes = changes(before, &after);
            output.object(&json!({ "verdict": "continue", "changes": changes }))?;
            let word = output.paint(Colour::Green, "continue");
            output.line(&format!("verdict  {word}"))?;
            for change in changes {
                output.line(&format!("         {change}"))?;
            }
            Ok(Ended::Yes)
        }
        Verdict::Respond { cause: Cause::Failed(failure), .. } => {
            failed(output, failure.kind.name(), &failure.message)
        }
        Verdict::Respond { response, cause, asked } => {
            stood_for(&asked, output)?;
            let why = match &cause {
                Cause::Plugin(_) => "by the plugin".to_owned(),
                Cause::Denied(reason) => format!("denied: {reason}"),
                Cause::Failed(failure) => failure.to_string(),
            };
            output.object(&respond(&response, &cause))?;
            let word = output.paint(Colour::Yellow, "respond");
            output.line(&format!("verdict  {word} {}  {why}", response.status))?;
            for (name, value) in response.headers.iter() {
                output.line(&format!("         {}: {}", name.escape_ascii(), value.escape_ascii()))?;
            }
            if !response.body.is_empty() {
                output.line(&format!(
                    "         {}",
                    indented(String::from_utf8_lossy(&response.body).trim_end())
                ))?;
            }
            Ok(Ended::No)
        }
    }
}

/// What the request stands for, as the plugin says, and the answer to that.
fn stood_for(asked: &[Asked], output: &mut Output) -> Result<(), Failure> {
    for Asked { request, evaluation, .. } in asked {
        output.object(&json!({
            "stands_for": request,
            "evaluation": evaluation.as_ref().ok(),
            "malformed": evaluation.as_ref().err(),
        }))?;
        let (decision, because) = match evaluation {
            Ok(evaluation) if evaluation.is_allowed() => {
                ("ALLOW", evaluation.determining_policies.join(", "))
            }
            Ok(evaluation) => ("DENY", evaluation.reason.map_or("", |reason| reason.name()).to_owned()),
            Err(why) => ("DENY", format!("it is no question: {}", plain(why))),
        };
        let AccessRequest { principal, action, resource, .. } = request;
        output.line(&format!("stands   for {principal} {action} {resource}: {decision}  {because}"))?;
    }
    Ok(())
}

fn failed(output: &mut Output, kind: &str, message: &str) -> Result<Ended, Failure> {
    output.object(&json!({ "verdict": "failed", "kind": kind, "message": message }))?;
    let word = output.paint(Colour::Red, "failed");
    output.line(&format!("verdict  {word}  {kind}: {message}"))?;
    Ok(Ended::No)
}

fn respond(response: &Response, cause: &Cause) -> Value {
    let headers: Vec<[String; 2]> = response
        .headers
        .iter()
        .map(|(name, value)| [name, value].map(|text| String::from_utf8_lossy(text).into_owned()))
        .collect();
    let reason = match cause {
        Cause::Denied(reason) => Some(reason.as_str()),
        Cause::Plugin(_) | Cause::Failed(_) => None,
    };
    json!({
        "verdict": "respond",
        "status": response.status,
        "headers": headers,
        "body": String::from_utf8_lossy(&response.body),
        "reason": reason,
    })
}

/// What was taken away from the headers, and what was added to them.
fn changes(before: &HttpHead, after: &HttpHead) -> Vec<String> {
    let fields = |head: &HttpHead| -> Vec<String> {
        let field =
            |(name, value): (&[u8], &[u8])| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
        head.headers.iter().map(field).collect()
    };
    let (before, after) = (fields(before), fields(after));
    let gone = before.iter().filter(|field| !after.contains(field)).map(|field| format!("- {field}"));
    let come = after.iter().filter(|field| !before.contains(field)).map(|field| format!("+ {field}"));
    gone.chain(come).collect()
}

const ROUNDS: u32 = 10;

fn bench(run: &PluginRun, requests: u32, output: &mut Output) -> Result<Ended, Failure> {
    let bench = Bench::new(run)?;
    let requests = requests.max(1);
    let start = clock::started();
    let inspection = bench.host.inspect(&bench.bytes).map_err(|error| broken(run, error))?;
    let compiled = start.elapsed();
    let settings = Settings { log_level: Level::Critical, ..Bench::settings(run, &inspection) };
    let mut figures = vec![("compile", compiled)];
    for (name, instances, requests) in [
        ("request, started instance", Instances::Shared, requests),
        ("request, fresh instance", Instances::Fresh, (requests / 10).max(1)),
    ] {
        let settings = Settings { instances, ..settings.clone() };
        bench.host.load(&bench.name, &bench.bytes, settings).map_err(|error| broken(run, error))?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let start = clock::started();
            for _ in 0..requests {
                if let Verdict::Respond { cause: Cause::Failed(failure), .. } =
                    bench.host.on_request(&bench.head)
                {
                    return failed(output, failure.kind.name(), &failure.message);
                }
            }
            rounds.push(start.elapsed() / requests);
        }
        rounds.sort_unstable();
        figures.extend(rounds.get(rounds.len() / 2).map(|median| (name, *median)));
    }
    for (name, time) in figures {
        output.object(&json!({ "what": name, "microseconds": micros(time) }))?;
        output.line(&format!("{name:<26} {:>12.2} us", micros(time)))?;
    }
    if cfg!(debug_assertions) {
        output.line("this is a debug build: build with --release for figures that mean something")?;
    }
    Ok(Ended::Yes)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What the plugin says.
#[derive(Clone, Default)]
struct Heard {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Heard {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Heard {
    fn log(&self, _: &str, level: Level, message: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((level, message.to_owned()));
    }

    fn failed(&self, _: &PluginFailure) {}
}
