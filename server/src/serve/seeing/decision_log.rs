//! The decision log: each decision as a line of JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use consentry::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Asker, Decided, Metrics};
use crate::clock;
use crate::serve::ServeError;
use crate::serve::config::{ConfigError, DecisionLogConfig};

/// Writes decisions down, on a thread of its own.
pub(crate) struct DecisionLog {
    lines: SyncSender<String>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: Counter,
    /// Of a million allows, so many are written down; of denials, all.
    sample: u64,
    allows: AtomicU64,
    context: bool,
    redact: Vec<String>,
}

/// What the writer is told beside lines, so that nobody waits for it who tells it.
#[derive(Default)]
struct Shared {
    /// Bytes of lines that wait.
    waiting: AtomicUsize,
    reopen: AtomicBool,
    end: AtomicBool,
}

/// Lines that wait for the disk. Beyond that, decisions go on and lines are lost, and counted.
const WAITING: usize = 65_536;
/// And bytes of them.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What takes the place of a secret.
const REDACTED: &str = "[redacted]";

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    via: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    determining_policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<&'a str>,
    microseconds: u64,
}

impl DecisionLog {
    pub(crate) fn open(config: &DecisionLogConfig, metrics: &Metrics) -> Result<Self, ServeError> {
        let path = config.file.clone();
        let file = opened(&path)
            .map_err(|error| ConfigError(format!("cannot write {}: {error}", path.display())))?;
        let (lines, waiting) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let (told, dropped) = (shared.clone(), metrics.dropped());
        let writer = std::thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || write(&path, file, &waiting, (&told, &dropped)))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be from 0 to 1"
        )]
        let sample = (config.sample * 1e6).round() as u64;
        Ok(Self {
            lines,
            shared,
            writer: Mutex::new(Some(writer)),
            dropped: metrics.dropped(),
            sample,
            allows: AtomicU64::new(0),
            context: config.context,
            redact: config.redact.iter().map(|name| name.to_ascii_lowercase()).collect(),
        })
    }

    /// Writes to the file that is there by its name now: another one may have taken its place.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Waits, but not for longer than `patience`, until all is written down that was decided. Blocks.
    pub(crate) fn close(&self, patience: Duration) {
        self.shared.end.store(true, Ordering::Release);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        let begun = clock::started();
        while !writer.is_finished() && clock::started().saturating_duration_since(begun) < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !writer.is_finished() {
            tracing::error!("the last decisions could not be written down in time");
        }
    }

    pub(super) fn decided(&self, asker: &Asker, decided: &Decided<'_>) {
        if decided.allowed && !self.is_taken() {
            return;
        }
        let evaluation = decided.evaluation;
        let question = decided.question;
        let line = Line {
            time: clock::now(),
            request_id: asker
                .request_id
                .as_ref()
                .map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
            via: asker.via.name(),
            caller: asker.caller.as_ref().map(|caller| caller.name.as_str()),
            principal: question.map(|question| question.principal.to_string()),
            action: question.map(|question| question.action.as_str()),
            resource: question.map(|question| question.resource.to_string()),
            context: question
                .filter(|question| !question.context.is_empty())
                .map(|question| self.said(&question.context)),
            decision: if decided.allowed { "allow" } else { "deny" },
            reason: decided.reason,
            detail: decided.detail,
            determining_policies: evaluation.map_or(&[], |evaluation| &evaluation.determining_policies),
            errors: evaluation.map_or(&[], |evaluation| &evaluation.errors),
            valid_until: evaluation.and_then(|evaluation| evaluation.valid_until),
            revision: evaluation.map(|evaluation| evaluation.revision),
            policy_version: evaluation.map(|evaluation| &*evaluation.policy_version),
            microseconds: u64::try_from(
                clock::started().saturating_duration_since(asker.started).as_micros(),
            )
            .unwrap_or(u64::MAX),
        };
        let Ok(mut text) = serde_json::to_string(&line) else { return };
        text.push('\n');
        let bytes = text.len();
        let waiting = self.shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        if waiting.saturating_add(bytes) > WAITING_BYTES || self.lines.try_send(text).is_err() {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Whether this allow is one of those that are written down: they are spread evenly.
    fn is_taken(&self) -> bool {
        let number = self.allows.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        (number + 1) * self.sample / 1_000_000 > number * self.sample / 1_000_000
    }

    /// The context as it may be written down: its names, or its values without secrets.
    fn said(&self, context: &Map<String, Value>) -> Value {
        if self.context {
            return self.redacted(context);
        }
        let mut names: Vec<&String> = context.keys().collect();
        names.sort_unstable();
        names.into_iter().cloned().collect()
    }

    fn redacted(&self, members: &Map<String, Value>) -> Value {
        let is_secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            self.redact.iter().any(|secret| name.contains(secret.as_str()))
        };
        let each = |(name, value): (&String, &Value)| {
            let value = match value {
                _ if is_secret(name) => Value::from(REDACTED),
                Value::Object(members) => self.redacted(members),
                Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_object().map_or_else(|| item.clone(), |item| self.redacted(item)))
                    .collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
            };
            (name.clone(), value)
        };
        Value::Object(members.iter().map(each).collect())
    }
}

fn opened(path: &Path) -> io::Result<BufWriter<Box<dyn Write + Send>>> {
    if path == Path::new("-") {
        return Ok(BufWriter::new(Box::new(io::stdout())));
    }
    let file: File = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(BufWriter::new(Box::new(file)))
}

/// Writes lines until it is told to end, or nobody sends any more. They are handed to the system whenever none waits.
fn write(
    path: &Path,
    mut out: BufWriter<Box<dyn Write + Send>>,
    lines: &Receiver<String>,
    (told, dropped): (&Shared, &Counter),
) {
    let mut lost = false;
    loop {
        let ends = told.end.load(Ordering::Acquire);
        let patience = if ends { Duration::ZERO } else { Duration::from_millis(100) };
        let line = lines.recv_timeout(patience);
        let reopened = match told.reopen.swap(false, Ordering::AcqRel) {
            true => {
                let flushed = out.flush();
                let new = opened(path).inspect_err(|_| told.reopen.store(true, Ordering::Release));
                new.map(|new| out = new).and(flushed)
            }
            false => Ok(()),
        };
        let written = match &line {
            Ok(line) => {
                told.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                out.write_all(line.as_bytes()).inspect_err(|_| {
                    dropped.inc();
                })
            }
            Err(_) => out.flush(),
        };
        match reopened.and(written) {
            Ok(()) => lost = false,
            Err(error) if !lost => {
                lost = true;
                tracing::error!("decisions are not written down: {}: {error}", path.display());
            }
            Err(_) => {}
        }
        match line {
            Err(RecvTimeoutError::Timeout) if ends => break,
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
    let _ = out.flush();
}
