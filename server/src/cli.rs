//! The command line.

mod arguments;
mod looking;
pub(crate) mod output;
#[cfg(feature = "plugins")]
mod plugins;
mod policies;
mod proving;
#[cfg(feature = "serve")]
mod serving;
#[cfg(feature = "serve")]
mod token;

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use consentry::engine::{Engine, EngineError};
use consentry::ledger::{LedgerError, MemoryLedger};
use consentry::policy::{Policies, PolicyErrors};
use consentry_ledger::DiskLedger;
use consentry_prover::ProveError;

use crate::folder::{self, FolderError};
use crate::script::{self, ScriptError};
use arguments::{Arguments, Command, LedgerCommand};
use output::Output;

/// How a command ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done, allowed.
    Yes,
    /// Refused, denied.
    No,
    /// Answered that it was no question.
    Bad,
}

/// Why a command failed: bad use, bad input, or something broken. Exit status 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Policies(#[from] PolicyErrors),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[cfg(feature = "plugins")]
    #[error("{}: {error}", path.display())]
    Plugin { path: PathBuf, error: consentry_wasm_host::LoadError },
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Serve(#[from] crate::serve::ServeError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Malformed(String),
    #[error("there is no ledger in `{}`", .0.display())]
    NoLedger(PathBuf),
    #[error("cannot read `{}`: {}", path.display(), error)]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Failure {
    /// A stable code.
    fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) | Self::Script(ScriptError::Engine { error, .. }) => error.code(),
            Self::Ledger(error) => error.code,
            Self::Policies(_) => "policy_invalid",
            Self::Prove(error) => error.code(),
            #[cfg(feature = "plugins")]
            Self::Plugin { error, .. } => error.code.name(),
            #[cfg(feature = "serve")]
            Self::Serve(error) => error.code(),
            Self::Folder(FolderError::Case { .. } | FolderError::Names { .. }) => "case_invalid",
            Self::Malformed(_) | Self::Script(ScriptError::Malformed { .. }) => "malformed",
            Self::NoLedger(_) => "ledger_missing",
            Self::Folder(FolderError::Read { .. })
            | Self::Read { .. }
            | Self::Script(ScriptError::Io(_))
            | Self::Io(_)
            | Self::Json(_) => "io",
        }
    }

    /// What to tell on standard error: a line for each thing that is wrong.
    fn tell(&self, json: bool) -> String {
        let code = self.code();
        if json {
            let mut object = serde_json::json!({ "ok": false, "code": code, "message": self.to_string() });
            if let (Self::Policies(PolicyErrors(errors)), Some(object)) = (self, object.as_object_mut()) {
                object.insert("errors".to_owned(), errors.iter().map(output::placed).collect());
            }
            return object.to_string();
        }
        if let Self::Policies(PolicyErrors(errors)) = self {
            return errors
                .iter()
                .map(|error| format!("error[{code}]: {error}"))
                .collect::<Vec<_>>()
                .join("\n");
        }
        format!("error[{code}]: {self}")
    }

    /// Whether nobody is left to read the answers: that is for them to know.
    fn is_broken_pipe(&self) -> bool {
        let (Self::Io(error) | Self::Script(ScriptError::Io(error))) = self else { return false };
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line. Exit status 0: done or allowed; 1: refused or denied; 2: bad use, bad input,
/// or something broken.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let mut output = Output::new(arguments.json);
    let changes = matches!(arguments.command, Command::Replay { .. } | Command::Submit { .. });
    match dispatch(arguments.command, &mut output).and_then(|ended| Ok(output.flush().map(|()| ended)?)) {
        Ok(Ended::Yes) => ExitCode::SUCCESS,
        Ok(Ended::No) => ExitCode::from(1),
        Ok(Ended::Bad) => ExitCode::from(2),
        Err(failure) if failure.is_broken_pipe() && !changes => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = output.flush();
            let _ = writeln!(io::stderr(), "{}", failure.tell(arguments.json));
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command, output: &mut Output) -> Result<Ended, Failure> {
    match command {
        Command::Demo { policies } => {
            let policies = load_policies(policies.folder.as_deref())?;
            crate::demo::play(policies, output)?;
            Ok(Ended::Yes)
        }
        #[cfg(feature = "serve")]
        Command::Serve(serving) => serving::run(&serving, output).map(|()| Ended::Yes),
        #[cfg(feature = "serve")]
        Command::Token => token::run(output).map(|()| Ended::Yes),
        Command::Replay { file, ledger, policies } => {
            let policies = load_policies(policies.folder.as_deref())?;
            match ledger {
                Some(ledger) => replay(&open(&ledger, policies)?, &file, output)?,
                None => {
                    replay(&Engine::builder(MemoryLedger::new()).policies(policies).open()?, &file, output)?
                }
            }
            Ok(Ended::Yes)
        }
        Command::Submit { ledger, policies, principal, id, at, command } => {
            let line = looking::command_line(&principal, id.as_deref(), at.as_deref(), &command)?;
            let policies = load_policies(policies.folder.as_deref())?;
            let ledger = DiskLedger::open(&ledger.folder)?;
            looking::compare_times(&ledger, &line, true)?;
            looking::run(&Engine::builder(ledger).policies(policies).open()?, &line, output)
        }
        Command::Check { ledger, policies, question, at } => {
            let line = looking::check_line(&question, at.as_deref())?;
            look(&ledger.folder, load_policies(policies.folder.as_deref())?, &line, output)
        }
        Command::Show { ledger, kind, id, at } => {
            let line = looking::show_line(kind.name(), &id, at.as_deref())?;
            look(&ledger.folder, Policies::shipped()?, &line, output)
        }
        Command::List { ledger, filter, at } => {
            let line = looking::list_line(&filter, at.as_deref())?;
            look(&ledger.folder, Policies::shipped()?, &line, output)
        }
        Command::Log { ledger, after, limit } => {
            let engine = open_existing(&ledger.folder, Policies::shipped()?)?;
            looking::log(&engine, after, limit, output)?;
            Ok(Ended::Yes)
        }
        Command::Ledger { command: LedgerCommand::Verify { ledger } } => {
            looking::verify(&existing(&ledger.folder)?, output)?;
            Ok(Ended::Yes)
        }
        Command::Ledger { command: LedgerCommand::Snapshot { ledger } } => {
            let engine = open_existing(&ledger.folder, Policies::shipped()?)?;
            engine.save_snapshot()?;
            let revision = engine.directory().revision();
            output.object(&serde_json::json!({ "revision": revision }))?;
            output.line(&format!("snapshot at revision {revision}"))?;
            Ok(Ended::Yes)
        }
        Command::Policy { command } => policies::run(&command, output),
        #[cfg(feature = "plugins")]
        Command::Plugin { command } => plugins::run(&command, output),
        Command::Lifecycle { command } => looking::lifecycle(&command, output).map(|()| Ended::Yes),
    }
}

/// The policies of a folder, or those that come with Consentry.
fn load_policies(folder: Option<&Path>) -> Result<Policies, Failure> {
    Ok(match folder {
        Some(folder) => Policies::load(&folder::read(folder)?)?,
        None => Policies::shipped()?,
    })
}

fn open(folder: &Path, policies: Policies) -> Result<Engine, Failure> {
    Ok(Engine::builder(DiskLedger::open(folder)?).policies(policies).open()?)
}

/// The ledger in `folder`; looking at one does not make one.
fn existing(folder: &Path) -> Result<DiskLedger, Failure> {
    if !DiskLedger::exists(folder) {
        return Err(Failure::NoLedger(folder.to_owned()));
    }
    Ok(DiskLedger::open(folder)?)
}

fn open_existing(folder: &Path, policies: Policies) -> Result<Engine, Failure> {
    Ok(Engine::builder(existing(folder)?).policies(policies).open()?)
}

/// Answers a line that changes nothing.
fn look(
    folder: &Path,
    policies: Policies,
    line: &script::Line,
    output: &mut Output,
) -> Result<Ended, Failure> {
    let ledger = existing(folder)?;
    looking::compare_times(&ledger, line, false)?;
    looking::run(&Engine::builder(ledger).policies(policies).open()?, line, output)
}

fn replay(engine: &Engine, file: &Path, output: &mut Output) -> Result<(), Failure> {
    if file == Path::new("-") {
        script::run(engine, io::stdin().lock(), output.writer())?;
        return Ok(());
    }
    let script = std::fs::File::open(file).map_err(|error| Failure::Read { path: file.to_owned(), error })?;
    script::run(engine, BufReader::new(script), output.writer())?;
    Ok(())
}
