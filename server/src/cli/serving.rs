//! `consentry serve`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::output::Output;
use crate::serve::config::{Override, merged};
use crate::serve::{self, Start};

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen for HTTP here; port 0 takes any that is free [listen.http; 127.0.0.1:8181, if there
    /// is no HTTPS either]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Ask the policies in this folder, not those that come with consentry [policies.folder]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// Keep the ledger in this folder [ledger.folder; consentry-ledger, beside the
    /// configuration or else here, if left out]
    #[arg(long, value_name = "DIR")]
    ledger: Option<String>,
    /// Answer from the entities in this file, and keep no ledger [entities.file]
    #[arg(long, value_name = "FILE")]
    entities: Option<String>,
    /// Set anything else that can be configured: limits.evaluations=50
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Only check configuration and policies, and end
    #[arg(long)]
    check: bool,
    /// Listen on a network although nothing says who may ask: whoever reaches the port gets answers
    #[arg(long)]
    dangerously_serve_without_authentication: bool,
    /// Deny whatever is asked, without asking anything
    #[cfg(feature = "bench")]
    #[arg(long)]
    constant: bool,
}

/// Serves, until the process is told to end.
pub(super) fn run(serving: &Serving, output: &mut Output) -> Result<(), Failure> {
    output.flush()?;
    let mut overrides: Vec<Override> = std::env::vars_os()
        .filter_map(|(name, value)| Override::variable(name.to_str()?, value.to_str()?))
        .collect();
    overrides.sort_by(|one, other| one.from.cmp(&other.from));
    let flags = [
        ("--listen", "listen.http", &serving.listen),
        ("--policies", "policies.folder", &serving.policies),
        ("--ledger", "ledger.folder", &serving.ledger),
        ("--entities", "entities.file", &serving.entities),
    ];
    for set in &serving.set {
        overrides.push(Override::typed(set).map_err(serve::ServeError::from)?);
    }
    for (flag, path, value) in flags {
        overrides.extend(value.iter().map(|value| Override::new(flag, path, value)));
    }
    let config = merged(serving.config.as_deref(), &overrides).map_err(serve::ServeError::from)?;
    let start = Start {
        config,
        check: serving.check,
        unauthenticated: serving.dangerously_serve_without_authentication,
        json: output.is_json(),
        #[cfg(feature = "bench")]
        constant: serving.constant,
    };
    Ok(serve::serve(&start)?)
}
