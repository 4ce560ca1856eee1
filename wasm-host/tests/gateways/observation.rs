//! What a gateway did, as text that can be read and compared.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::cases::{Case, Group, RACES};
use super::golden::Told;
use crate::support::gateway::{Gateway, Kind};
use crate::support::http::{End, Header, Message, Nothing, ask, ask_within};
use crate::support::upstream::{Exchange, Upstream};

/// What came of one case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) responses: Vec<Result<Message, Nothing>>,
    /// What the upstream got, and what it answered.
    pub(crate) upstream: Vec<Exchange>,
    /// Lines that the plugin logged, in their order.
    pub(crate) log: Vec<String>,
    /// The gateway does not answer the next request as it should.
    pub(crate) gone: bool,
}

/// What came of a group: first what the plugin logged when it was started, then each case, by name.
pub(crate) fn observe_group(kind: &Kind, group: &Group, plugins: &Path, upstream: &Upstream) -> Vec<Told> {
    let plugin = plugins.join(format!("{}.wasm", group.plugin));
    let start = || Gateway::start(kind, &plugin, group.configuration, upstream.port);
    let told = |case: &str, text| Told { group: group.name.to_owned(), case: case.to_owned(), text };
    let Ok(mut gateway) = start() else { return vec![told("start", "it fails\n".to_owned())] };
    let lines = about_the_plugin(lines_so_far(&gateway).unwrap_or_default());
    let mut all = vec![told("start", lines.iter().map(|line| format!("log {line}\n")).collect())];
    for case in &group.cases {
        let mut observation = observe(&gateway, case, upstream);
        if matches!(kind, Kind::Envoy(_)) && RACES.contains(&case.name.as_str()) {
            observation.upstream.dedup_by(|(again, _), (first, _)| again == first);
        }
        all.push(told(&case.name, observation.text(case)));
        if observation.gone {
            let Ok(another) = start() else { break };
            gateway = another;
            let _again = lines_so_far(&gateway);
        }
    }
    all
}

pub(crate) fn observe(gateway: &Gateway, case: &Case, upstream: &Upstream) -> Observation {
    let _of_others = upstream.seen();
    let patience = Duration::from_millis(if case.hangs { 500 } else { 60_000 });
    let wanted = |response: &Result<Message, Nothing>| {
        case.until.is_none_or(|body| response.as_ref().is_ok_and(|response| response.body == body.as_bytes()))
    };
    let once = |request| ask_within(patience, gateway.port, request);
    let response = |request| (0..10_000).map(|_| once(request)).find(wanted).unwrap_or_else(|| once(request));
    let responses = case.requests.iter().map(response).map(|got| got.map(Message::normal)).collect();
    let lines = lines_so_far(gateway);
    let gone = lines.is_err();
    let (_about_the_plugin, log) = lines
        .unwrap_or_else(|lines| lines)
        .into_iter()
        .partition::<Vec<_>, _>(|line| line.starts_with("root: "));
    let upstream = upstream.seen().into_iter().filter(|(request, _)| request.second_word() != FENCE);
    let upstream = upstream.map(|(request, answer)| (request.normal(), answer)).collect();
    Observation { responses, upstream, log, gone }
}

const FENCE: &str = "/fence";

/// What plugins logged up to now: all that a case logs is logged before another request is seen. An error: that other
/// request was not seen.
fn lines_so_far(gateway: &Gateway) -> Result<Vec<String>, Vec<String>> {
    let fence = Message::new("GET /fence HTTP/1.1")
        .header("host", "fence.example")
        .header("x-forwarded-proto", "http")
        .header("x-case", "fence")
        .header("x-installer", "fence");
    if ask(gateway.port, &fence).is_ok_and(|response| !response.line.contains("503 Service")) {
        gateway.log_until(FENCE).map(shown)
    } else {
        Err(shown(gateway.log_so_far()))
    }
}

fn shown(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| line.strip_prefix("info ").unwrap_or(line).to_owned()).collect()
}

/// How often a plugin is started, and when it is told about itself, is up to the gateway: each line once.
fn about_the_plugin(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| line.starts_with("root: "));
    lines.sort();
    lines.dedup();
    lines
}

impl Observation {
    /// Of what went through, only what is other than it came.
    pub(crate) fn text(&self, case: &Case) -> String {
        let mut text = String::new();
        let answers: Vec<_> =
            self.upstream.iter().filter_map(|(_, answer)| answer.clone()).map(Message::normal).collect();
        let requests: Vec<_> = case.requests.iter().cloned().map(Message::normal).collect();
        for (request, response) in case.requests.iter().zip(&self.responses) {
            let _ = writeln!(text, "sent {}", request.line);
            match response {
                Ok(response) => message(&mut text, "got", response, &answers),
                Err(nothing) => {
                    let _ = writeln!(text, "got nothing: {nothing:?}");
                }
            }
        }
        for (request, _) in &self.upstream {
            message(&mut text, "upstream got", request, &requests);
        }
        for line in &self.log {
            let _ = writeln!(text, "log {line}");
        }
        if self.gone {
            text.push_str("the next request fails\n");
        }
        text
    }
}

/// As it differs from the original that it is most like, or in full.
fn message(text: &mut String, what: &str, message: &Message, originals: &[Message]) {
    let now = lines(message);
    if originals.iter().any(|original| lines(original) == now) {
        let _ = writeln!(text, "{what} {}, as it came", message.line);
        return;
    }
    let full = now.iter().map(|line| format!("    {line}\n")).collect::<Vec<_>>();
    let differences = originals.iter().map(|original| changes(&lines(original), &now));
    let shown = differences.chain([full]).min_by_key(Vec::len).unwrap_or_default();
    let _ = writeln!(text, "{what} {}", message.line);
    text.push_str(&shown.concat());
}

fn lines(message: &Message) -> Vec<String> {
    let header = |(name, value): &Header| format!("{name}: {}", value.escape_ascii());
    let body = Some(&message.body).filter(|body| !body.is_empty());
    let body = body.map(|body| format!("body {}", body.escape_ascii()));
    let trailers = message.trailers.iter().map(|trailer| format!("trailer {}", header(trailer)));
    let end = Some(message.end).filter(|end| *end != End::Whole).map(|end| format!("and then: {end:?}"));
    message.headers.iter().map(header).chain(body).chain(trailers).chain(end).collect()
}

/// The lines that went and came, with the number of those between that stayed.
fn changes(before: &[String], now: &[String]) -> Vec<String> {
    let (mut changes, mut stayed) = (Vec::new(), 0_usize);
    let (mut before, mut now) = (before, now);
    loop {
        let change = match (before, now) {
            ([a, before_rest @ ..], [b, now_rest @ ..]) if a == b => {
                (before, now, stayed) = (before_rest, now_rest, stayed + 1);
                continue;
            }
            ([a, rest @ ..], _) if now.is_empty() || common(rest, now) == common(before, now) => {
                before = rest;
                format!("    - {a}\n")
            }
            (_, [b, rest @ ..]) => {
                now = rest;
                format!("    + {b}\n")
            }
            _ => break,
        };
        if stayed > 0 {
            changes.push(format!("    ({stayed} as before)\n"));
            stayed = 0;
        }
        changes.push(change);
    }
    if stayed > 0 {
        changes.push(format!("    ({stayed} as before)\n"));
    }
    changes
}

/// How many lines both have, in the same order.
fn common(before: &[String], now: &[String]) -> usize {
    let mut counts = vec![0; now.len()];
    for a in before {
        let (mut diagonal, mut left) = (0, 0);
        for (count, b) in counts.iter_mut().zip(now) {
            let above = *count;
            *count = if a == b { diagonal + 1 } else { above.max(left) };
            (diagonal, left) = (above, *count);
        }
    }
    counts.last().copied().unwrap_or(0)
}
