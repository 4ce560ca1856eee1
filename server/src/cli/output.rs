//! Where answers go.

use std::io::{self, IsTerminal as _, StdoutLock, Write};

use consentry::command::Command;
use consentry::ledger::{AuditEntry, Outcome};
use consentry::policy::{DenyReason, Evaluation, PolicyError};
use consentry::refusal::{Refusal, RefusalCode};
use consentry::view::{Details, GrantLine, View};
use serde::Serialize;

use crate::script::Reply;

/// Standard output, in one of two forms.
pub(crate) struct Output {
    writer: io::BufWriter<StdoutLock<'static>>,
    json: bool,
    colours: bool,
}

/// A colour, where there is a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Green,
    Red,
    Yellow,
    Dim,
    Bold,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { writer: io::BufWriter::new(io::stdout().lock()), json, colours }
    }

    /// Whether programs read what is written.
    #[cfg(feature = "serve")]
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.writer
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// `text` in a colour, or as it is where there is no terminal.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Dim => "2",
            Colour::Bold => "1",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Writes a line for people; nothing in JSON.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(self.writer, "{text}") }
    }

    /// Writes a line of JSON; nothing for people.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.json { writeln!(self.writer, "{}", serde_json::to_string(value)?) } else { Ok(()) }
    }

    /// Writes the answer to one line of a script in either form.
    pub(crate) fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        self.object(reply)?;
        for line in self.describe(reply) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// An answer for people: first what, then by what.
    pub(crate) fn describe(&self, reply: &Reply) -> Vec<String> {
        match reply {
            Reply::Done { events, revision, effect, determining_policies, .. } => {
                let mut lines = vec![format!(
                    "{}  {} {}",
                    self.paint(Colour::Green, "done"),
                    events.join(", "),
                    self.paint(Colour::Dim, &format!("(revision {revision})")),
                )];
                if let Some(effect) = effect {
                    lines.push(format!("      now set the new password on device `{}`", effect.device));
                }
                lines.push(self.by("permitted by", determining_policies));
                lines
            }
            Reply::Refused { refusal, .. } => self.refused(refusal),
            Reply::Checked(evaluation) => self.checked(evaluation),
            Reply::Shown(view) => vec![shown(view)],
            Reply::Listed { grants } => listed(grants),
        }
    }

    fn by(&self, how: &str, policies: &[String]) -> String {
        let names = if policies.is_empty() { "no policy".to_owned() } else { policies.join(", ") };
        self.paint(Colour::Dim, &format!("      {how} {names}"))
    }

    fn refused(&self, refusal: &Refusal) -> Vec<String> {
        let head =
            format!("{}  {}: {}", self.paint(Colour::Red, "refused"), refusal.code.name(), refusal.message);
        let by = match refusal.code {
            RefusalCode::NotPermitted if refusal.determining_policies.is_empty() => {
                "      by policy: none permits it".to_owned()
            }
            RefusalCode::NotPermitted => {
                format!("      forbidden by {}", refusal.determining_policies.join(", "))
            }
            RefusalCode::WrongState | RefusalCode::Expired => "      by its lifecycle".to_owned(),
            RefusalCode::Invalid
            | RefusalCode::Conflict
            | RefusalCode::NotFound
            | RefusalCode::AlreadyExists => "      before any policy was asked".to_owned(),
            RefusalCode::LiveDuplicate
            | RefusalCode::WiderThanAsked
            | RefusalCode::WeakPassword
            | RefusalCode::LanNotAttested
            | RefusalCode::UnsupportedDevice => "      by a guard of its lifecycle".to_owned(),
        };
        vec![head, self.paint(Colour::Dim, &by)]
    }

    fn checked(&self, evaluation: &Evaluation) -> Vec<String> {
        if evaluation.is_allowed() {
            let until = match evaluation.valid_until {
                Some(until) => format!("until {until}"),
                None => "without end, while nothing changes".to_owned(),
            };
            let head = format!("{}  {until}", self.paint(Colour::Green, "ALLOW"));
            return vec![head, self.by("because of", &evaluation.determining_policies)];
        }
        let reason = evaluation.reason.map_or("not_permitted", DenyReason::name);
        let mut lines = vec![format!("{}  {reason}", self.paint(Colour::Red, "DENY"))];
        lines.push(match (evaluation.reason, evaluation.determining_policies.as_slice()) {
            (
                Some(
                    DenyReason::UnknownPrincipal
                    | DenyReason::UnknownResource
                    | DenyReason::UnknownAction
                    | DenyReason::Stale,
                ),
                _,
            ) => self.paint(Colour::Dim, "      before any policy was asked"),
            (_, []) => self.paint(Colour::Dim, "      by policy: none permits it"),
            (_, forbids) => self.by("forbidden by", forbids),
        });
        lines.extend(evaluation.errors.iter().map(|error| format!("      {error}")));
        lines
    }

    /// One line of the audit trail for people.
    pub(crate) fn audit(&self, entry: &AuditEntry) -> String {
        let name = entry.command.as_object().and_then(|command| command.keys().next());
        let name = name.map_or("?", String::as_str);
        let (answer, by) = match &entry.outcome {
            Outcome::Done { revision, events, determining_policies } => {
                let text = format!("done at revision {revision}: {}", events.join(", "));
                (self.paint(Colour::Green, &text), determining_policies)
            }
            Outcome::Refused(refusal) => {
                let text = format!("refused, {}: {}", refusal.code.name(), refusal.message);
                (self.paint(Colour::Red, &text), &refusal.determining_policies)
            }
        };
        let by = if by.is_empty() {
            String::new()
        } else {
            self.paint(Colour::Dim, &format!("  [{}]", by.join(", ")))
        };
        let subject = entry.command.get(name).map(subject).unwrap_or_default();
        format!("{:>6}  {}  {}  {name}{subject}  {answer}{by}", entry.number, entry.at, entry.principal)
    }
}

/// The first ids of a command's fields, enough to know what it is about.
fn subject(fields: &serde_json::Value) -> String {
    let named =
        ["invite", "application", "ticket", "grant", "device", "site", "installer", "endUser", "company"];
    let id = named.iter().find_map(|name| fields.get(name)?.as_str());
    id.map(|id| format!(" {id}")).unwrap_or_default()
}

/// One thing that is wrong with policies, for programs.
pub(crate) fn placed(error: &PolicyError) -> serde_json::Value {
    let (line, column) = error.place.unzip();
    serde_json::json!({
        "file": error.file, "line": line, "column": column, "message": error.message, "help": error.help,
    })
}

/// What a command is about, for people.
pub(crate) fn about(command: &Command) -> String {
    let json = serde_json::to_value(command).unwrap_or_default();
    let name = command.name();
    let said = json.get(name).map(|fields| format!("{}{}", subject(fields), particulars(fields)));
    format!("{name}{}", said.unwrap_or_default())
}

/// What is asked for or given, to whom, for how long.
fn particulars(fields: &serde_json::Value) -> String {
    let text =
        |of: &serde_json::Value, name: &str| of.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let permission = |of: &serde_json::Value| {
        let devices = of.get("devices").and_then(|devices| devices.as_array());
        let devices =
            devices.map(|all| all.iter().filter_map(|id| id.as_str()).collect::<Vec<_>>().join(", "));
        let on = devices.or_else(|| text(of, "device")).map(|on| format!(" on {on}")).unwrap_or_default();
        let validity = match text(of, "validity")?.as_str() {
            "permanent" => "for good".to_owned(),
            hours => format!("for {hours}"),
        };
        Some(format!("{}{on} {validity}", text(of, "permission")?))
    };
    let asked = fields.get("permissions").and_then(|permissions| permissions.as_array());
    let mut all: Vec<String> = asked.into_iter().flatten().filter_map(permission).collect();
    all.extend(permission(fields));
    let to = if fields.get("site").is_some() { text(fields, "installer") } else { None };
    let to = to.or_else(|| text(fields, "to")).or_else(|| permission(fields).and(text(fields, "company")));
    let contact = ["email", "phone"].iter().find_map(|kind| text(fields.get("contact")?, kind));
    let mut said = String::new();
    if let Some(to) = to.or(contact) {
        said.push_str(&format!(", to {to}"));
    }
    if let (Some(device), Some(mode)) = (text(fields, "device"), text(fields, "mode")) {
        said.push_str(&format!(", for {device}, {mode}"));
    }
    if !all.is_empty() {
        said.push_str(&format!(": {}", all.join("; ")));
    }
    said
}

fn shown(view: &View) -> String {
    let mut text = view.state.to_owned();
    match &view.details {
        Details::Site { owner } => {
            text.push_str(
                &owner.as_ref().map_or(", no owner".to_owned(), |owner| format!(", owned by {owner}")),
            );
        }
        Details::Asked { deadline, site, company, asker, .. } => {
            text.push_str(&format!(", deadline {deadline}, on site {site}, asked by {asker} of {company}"));
        }
        Details::Grant { until, company, permission, site, device } => {
            let on = device.as_ref().map_or(format!("site {site}"), |device| format!("device {device}"));
            let until = until.map_or("without end".to_owned(), |until| format!("until {until}"));
            text.push_str(&format!(", {} on {on} for {company}, {until}", permission.name()));
        }
    }
    if let Some(count) = view.failed_completions.filter(|count| *count > 0) {
        text.push_str(&format!(", {count} failed completions"));
    }
    text
}

fn listed(grants: &[GrantLine]) -> Vec<String> {
    if grants.is_empty() {
        return vec!["no grants".to_owned()];
    }
    let line = |grant: &GrantLine| {
        let on = match (&grant.device, &grant.site) {
            (Some(device), _) => format!("device {device}"),
            (None, Some(site)) => format!("site {site}"),
            (None, None) => String::new(),
        };
        let until = grant.until.map_or("without end".to_owned(), |until| format!("until {until}"));
        format!(
            "{}  {}  {} on {on} for {}, {until}",
            grant.grant,
            grant.state,
            grant.permission.name(),
            grant.company
        )
    };
    grants.iter().map(line).collect()
}
