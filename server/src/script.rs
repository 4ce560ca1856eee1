//! Scripts: commands, checks and looks, one JSON object a line, and their answers.

use std::io::{self, BufRead, Write};

use consentry::command::{Command, Submission};
use consentry::domain::{CommandId, Password, Principal, Timestamp};
use consentry::engine::{Answer, Engine, EngineError};
use consentry::policy::{AccessRequest, Evaluation};
use consentry::refusal::Refusal;
use consentry::view::{GrantFilter, GrantLine, ShowRequest, View};
use serde::{Deserialize, Serialize};

use crate::folder::what;

/// Lines longer than this are no lines of a script, in bytes.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// One line of a script.
#[derive(Debug, Clone)]
pub struct Line {
    /// The moment at which it runs.
    pub at: Timestamp,
    /// What it asks for.
    pub ask: Ask,
}

/// What a line asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A command.
    Do(Submission),
    /// A check.
    Check(AccessRequest),
    /// Where a thing stands.
    Show(ShowRequest),
    /// Which things there are.
    List(ListRequest),
}

/// Which things to list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListRequest {
    /// Grants.
    Grants(GrantFilter),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at: Timestamp,
    #[serde(rename = "as")]
    principal: Option<Principal>,
    id: Option<CommandId>,
    #[serde(rename = "do")]
    command: Option<Command>,
    check: Option<AccessRequest>,
    show: Option<ShowRequest>,
    list: Option<ListRequest>,
}

/// Why a script stopped.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A line that is none.
    #[error("line {line}: {message}")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The engine failed.
    #[error("line {line}: {error}")]
    Engine {
        /// The line's number.
        line: usize,
        /// Why.
        error: EngineError,
    },
    /// The script cannot be read, or its answers cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::check(
            serde_json::from_str(text)
                .map_err(|error| format!("column {}: {}", error.column(), what(&error)))?,
        )
    }

    /// Reads one line that was put together.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse_value(value: serde_json::Value) -> Result<Self, String> {
        Self::check(serde_json::from_value(value).map_err(|error| error.to_string())?)
    }

    fn check(written: Written) -> Result<Self, String> {
        let Written { at, principal, id, command, check, show, list } = written;
        if id.as_ref().is_some_and(|id| !id.is_chosen()) {
            return Err("`id` holds `/`, which is kept for ids that the engine makes".into());
        }
        let is_command = command.is_some();
        if !is_command && (principal.is_some() || id.is_some()) {
            return Err("`as` and `id` go with `do`".into());
        }
        let mut asks = Vec::new();
        if let Some(command) = command {
            let principal = principal.ok_or("missing field `as`")?;
            asks.push(Ask::Do(Submission { principal, command, id }));
        }
        asks.extend(check.map(Ask::Check));
        asks.extend(show.map(Ask::Show));
        asks.extend(list.map(Ask::List));
        match (asks.pop(), asks.is_empty()) {
            (Some(ask), true) => Ok(Self { at, ask }),
            (Some(_), false) => Err("only one of `do`, `check`, `show` and `list` goes in a line".into()),
            (None, _) => Err("missing field `do`, `check`, `show` or `list`".into()),
        }
    }
}

/// What a line was answered.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// A command happened.
    Done {
        /// `true`.
        ok: bool,
        /// The names of its events.
        events: Vec<String>,
        /// The revision at which they stand.
        revision: u64,
        /// What the submitter has to do in the world, once.
        #[serde(skip_serializing_if = "Option::is_none")]
        effect: Option<EffectReply>,
        /// The policies that permitted it.
        #[serde(skip)]
        determining_policies: Vec<String>,
    },
    /// A command was refused, or a line made no sense.
    Refused {
        /// `false`.
        ok: bool,
        /// Why.
        #[serde(flatten)]
        refusal: Refusal,
    },
    /// A check's answer.
    Checked(Evaluation),
    /// Where a thing stands.
    Shown(View),
    /// Which grants there are.
    Listed {
        /// They, sorted by id.
        grants: Vec<GrantLine>,
    },
}

/// A new password for a device, for whoever sets it there.
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize)]
pub struct EffectReply {
    /// The device.
    pub device: String,
    /// The password.
    #[serde(serialize_with = "reveal")]
    pub password: Password,
}

impl From<consentry::Effect> for EffectReply {
    fn from(effect: consentry::Effect) -> Self {
        Self { device: effect.device.to_string(), password: effect.password }
    }
}

fn reveal<S: serde::Serializer>(password: &Password, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(password.reveal())
}

impl Reply {
    fn refused(refusal: Refusal) -> Self {
        Self::Refused { ok: false, refusal }
    }

    /// Whether it is a yes: done, allowed, shown, listed.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Shown(_) | Self::Listed { .. } => true,
            Self::Refused { .. } => false,
            Self::Checked(evaluation) => evaluation.is_allowed(),
        }
    }
}

/// Runs one line on `engine`.
///
/// # Errors
/// When the engine fails.
pub fn run_line(engine: &Engine, line: &Line) -> Result<Reply, EngineError> {
    let at = line.at;
    Ok(match &line.ask {
        Ask::Do(submission) => match engine.submit(submission, at)? {
            Answer::Done(receipt) => Reply::Done {
                ok: true,
                events: receipt.events,
                revision: receipt.revision,
                effect: receipt.effect.map(EffectReply::from),
                determining_policies: receipt.determining_policies,
            },
            Answer::Refused { refusal, .. } => Reply::refused(refusal),
        },
        Ask::Check(request) => match engine.evaluate(request, at) {
            Ok(evaluation) => Reply::Checked(evaluation),
            Err(error) => Reply::refused(Refusal::invalid(error.to_string())),
        },
        Ask::Show(request) => match engine.show(request, at)? {
            Some(view) => Reply::Shown(view),
            None => Reply::refused(Refusal::not_found(format!("there is no {request}"))),
        },
        Ask::List(ListRequest::Grants(filter)) => Reply::Listed { grants: engine.list_grants(filter, at)? },
    })
}

#[derive(Serialize)]
struct Numbered<'a> {
    line: usize,
    #[serde(flatten)]
    reply: &'a Reply,
}

/// Runs a whole script, and writes the answer to each line before it reads the next. A line of white
/// space is none.
///
/// # Errors
/// At the first line that is malformed; those before it have been run and answered.
pub fn run(engine: &Engine, script: impl BufRead, mut answers: impl Write) -> Result<(), ScriptError> {
    let mut script = script;
    for line in 1.. {
        let malformed = |message: String| ScriptError::Malformed { line, message };
        let mut bytes = Vec::new();
        if io::Read::take(&mut script, LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| malformed(error.to_string()))?;
        if text.trim().is_empty() {
            continue;
        }
        let parsed = Line::parse(text).map_err(malformed)?;
        let reply = run_line(engine, &parsed).map_err(|error| ScriptError::Engine { line, error })?;
        let json = serde_json::to_string(&Numbered { line, reply: &reply }).map_err(io::Error::from)?;
        writeln!(answers, "{json}")?;
        answers.flush()?;
    }
    Ok(())
}
