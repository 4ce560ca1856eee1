//! A story from beginning to end: real policies and a real ledger, a simulated clock.

mod summary;

use std::io;

use consentry::command::Submission;
use consentry::domain::Timestamp;
use consentry::engine::Engine;
use consentry::policy::Policies;
use consentry::view::ShowRequest;
use consentry_ledger::DiskLedger;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Failure, output::Colour, output::Output, output::about};
use crate::script::{Ask, Line, Reply, run_line};
use summary::Summary;

/// The two seeds' stories. What is said before a step is what is tried, never what comes of it.
const STORY: &str = include_str!("demo/story.jsonl");

/// One line of the story.
enum Step {
    Chapter(String),
    Line { say: Option<String>, line: Box<Line> },
}

#[derive(Serialize)]
struct Told<'a> {
    step: usize,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    say: Option<&'a str>,
    ask: Value,
    answer: &'a Reply,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle: Option<String>,
}

/// Plays the story and sums it up.
///
/// # Errors
/// When the ledger fails, or nobody takes the output.
pub(crate) fn play(policies: Policies, output: &mut Output) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let engine = Engine::builder(DiskLedger::open(folder.path())?).policies(policies).open()?;
    let mut summary = Summary::default();
    let mut count = 0;
    for text in STORY.lines() {
        let (say, line) = match parse(text)? {
            Step::Chapter(title) => {
                let title = output.paint(Colour::Bold, &title);
                output.line(&format!("\n{title}\n"))?;
                continue;
            }
            Step::Line { say, line } => (say, line),
        };
        count += 1;
        let watched = watched(&line.ask);
        let state = |engine: &Engine| -> Option<&'static str> {
            Some(engine.show(watched.as_ref()?, line.at).ok()??.state)
        };
        let before = state(&engine);
        let reply = run_line(&engine, &line)?;
        let after = state(&engine);
        let lifecycle = watched.as_ref().and_then(|watched| moved(watched, before, after));
        summary.count(&line, &reply);
        let told = Told {
            step: count,
            at: line.at,
            say: say.as_deref(),
            ask: asked(&line.ask),
            answer: &reply,
            lifecycle,
        };
        output.object(&told)?;
        tell(&told, &line, output)?;
    }
    summary.close(&engine)?;
    output.object(&summary)?;
    output.line(&format!("\n{}", summary.paragraph()))?;
    Ok(())
}

fn parse(text: &str) -> Result<Step, Failure> {
    let mut value: Value = serde_json::from_str(text)?;
    let mut take = |name: &str| value.as_object_mut().and_then(|fields| fields.remove(name));
    if let Some(chapter) = take("chapter") {
        return Ok(Step::Chapter(chapter.as_str().unwrap_or_default().to_owned()));
    }
    let say = take("say").and_then(|say| say.as_str().map(str::to_owned));
    let line = Line::parse_value(value).map_err(Failure::Malformed)?;
    Ok(Step::Line { say, line: Box::new(line) })
}

/// What a line asks for, without secrets.
fn asked(ask: &Ask) -> Value {
    let as_json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    match ask {
        Ask::Do(submission) => as_json(serde_json::to_value(submission)),
        Ask::Check(request) => serde_json::json!({ "check": as_json(serde_json::to_value(request)) }),
        Ask::Show(request) => serde_json::json!({ "show": as_json(serde_json::to_value(request)) }),
        Ask::List(request) => serde_json::json!({ "list": as_json(serde_json::to_value(request)) }),
    }
}

/// The thing whose lifecycle a command is about.
fn watched(ask: &Ask) -> Option<ShowRequest> {
    let Ask::Do(Submission { command, .. }) = ask else { return None };
    let body = serde_json::to_value(command).ok()?;
    let fields = body.get(command.name())?;
    let request = ["invite", "application", "ticket", "grant"]
        .iter()
        .find_map(|kind| Some(serde_json::json!({ *kind: fields.get(kind)? })))?;
    serde_json::from_value(request).ok()
}

fn moved(watched: &ShowRequest, before: Option<&str>, after: Option<&str>) -> Option<String> {
    let after = after?;
    Some(match before {
        None => format!("{watched} begins as {after}"),
        Some(before) if before == after => format!("{watched} stays {after}"),
        Some(before) => format!("{watched} goes from {before} to {after}"),
    })
}

fn tell(told: &Told<'_>, line: &Line, output: &mut Output) -> io::Result<()> {
    if let Some(say) = told.say {
        let say = output.paint(Colour::Yellow, say);
        output.line(&format!("  {say}"))?;
    }
    let what = match &line.ask {
        Ask::Do(Submission { principal, command, .. }) => format!("{principal}  {}", about(command)),
        Ask::Check(request) => format!("{}  {} on {}?", request.principal, request.action, request.resource),
        Ask::Show(request) => format!("look at {request}"),
        Ask::List(_) => "list the grants".to_owned(),
    };
    let at = told.at.to_string();
    let at = at.get(5..).unwrap_or(&at).replace('T', " ").replace(".000Z", "    ").replace('Z', "");
    let at = output.paint(Colour::Dim, &at);
    output.line(&format!("  {at}  {what}"))?;
    for answer in output.describe(told.answer) {
        output.line(&format!("                      {answer}"))?;
    }
    if let Some(lifecycle) = &told.lifecycle {
        let lifecycle = output.paint(Colour::Dim, &format!("      {lifecycle}"));
        output.line(&format!("                      {lifecycle}"))?;
    }
    Ok(())
}
