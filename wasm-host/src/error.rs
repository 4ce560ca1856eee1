//! What can go wrong: with a plugin that is to be loaded, and with a request that a plugin serves.

use std::fmt;

/// Why a plugin was not loaded. The one that was there before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// What kind of reason.
    pub code: LoadCode,
    /// For people.
    pub message: String,
}

impl LoadError {
    pub(crate) fn new(code: LoadCode, message: impl Into<String>) -> Self {
        Self { code, message: plain(&message.into()) }
    }
}

/// A text that has names from a plugin in it, on one line, without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    let text = crate::surroundings::shortened(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The kinds of reasons why a plugin was not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadCode {
    /// Neither a module nor a component, in bytes or in text.
    Malformed,
    /// Larger than plugins may be.
    TooLarge,
    /// It took too long to compile.
    CompileDeadline,
    /// Plugins that took too long are still being compiled.
    CompileBusy,
    /// A module or component for something else than gateways.
    UnknownAbi,
    /// It imports what no gateway has.
    UnknownImport,
    /// A function has not the type that it must have.
    WrongSignature,
    /// It needs what it is not granted.
    NotGranted,
    /// It failed when it was started.
    Start,
    /// It was still starting at its deadline.
    StartDeadline,
    /// It does not like its configuration.
    Configuration,
    /// There is no room for an instance of it.
    Exhausted,
    /// The sandbox itself could not be made.
    Sandbox,
}

impl LoadCode {
    /// As programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "plugin_malformed",
            Self::TooLarge => "plugin_too_large",
            Self::CompileDeadline => "plugin_compile_deadline",
            Self::CompileBusy => "plugin_compile_busy",
            Self::UnknownAbi => "plugin_unknown_abi",
            Self::UnknownImport => "plugin_unknown_import",
            Self::WrongSignature => "plugin_wrong_signature",
            Self::NotGranted => "plugin_not_granted",
            Self::Start => "plugin_start",
            Self::StartDeadline => "plugin_start_deadline",
            Self::Configuration => "plugin_configuration",
            Self::Exhausted => "plugin_exhausted",
            Self::Sandbox => "sandbox",
        }
    }
}

/// That a plugin failed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The plugin's name.
    pub plugin: String,
    /// How.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}: {}: {}", self.plugin, self.kind.name(), self.message)
    }
}

/// How a plugin can fail a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It was cut off at its deadline.
    Deadline,
    /// It trapped.
    Trap,
    /// It trapped after it was refused more memory.
    Memory,
    /// It called itself too deep.
    Stack,
    /// It answered what is no answer.
    Answer,
    /// It held more of a body back than it may.
    Body,
    /// It made the request wait for too long.
    Pause,
    /// It could not be started.
    Start,
    /// There is no room for one more instance.
    Exhausted,
    /// Its start failed too often in a row, and is not tried again for a moment.
    BackingOff,
    /// The host itself failed while serving it.
    Host,
}

impl FailureKind {
    /// As programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Trap => "trap",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Answer => "answer",
            Self::Body => "body",
            Self::Pause => "pause",
            Self::Start => "start",
            Self::Exhausted => "exhausted",
            Self::BackingOff => "backing_off",
            Self::Host => "host",
        }
    }
}

/// How a call into a plugin failed. Its instance is not used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: plain(&message.into()) }
    }

    /// What it is called when the plugin was being started.
    pub(crate) fn at_start(self) -> LoadError {
        let (code, message) = if self.kind == FailureKind::Deadline {
            (LoadCode::StartDeadline, "cut off at its deadline while it started".to_owned())
        } else if self.kind == FailureKind::Exhausted {
            (LoadCode::Exhausted, self.message)
        } else if self.kind == FailureKind::Memory {
            (LoadCode::Start, format!("out of memory while it started: {}", self.message))
        } else {
            (LoadCode::Start, format!("while it started: {}", self.message))
        };
        LoadError::new(code, message)
    }
}
