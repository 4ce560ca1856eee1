//! The command line.

use std::path::PathBuf;

use clap::Parser;
use consentry_wasm_host::{Capability, Instances, Level, Limits, OnFailure, Settings};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;

/// A reverse proxy whose requests go through plugins.
#[derive(Debug, Parser)]
#[command(name = "gateway")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Where requests go.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) upstream: String,
    /// A plugin, in the order in which requests go through them; all have the settings that follow.
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: Vec<PathBuf>,
    /// What plugins read as their configuration.
    #[arg(long, value_name = "JSON", default_value = "")]
    config: String,
    /// What the first plugin is called; the others are NAME-2, NAME-3 …
    #[arg(long, default_value = "plugin")]
    name: String,
    /// Which of the plugins in a module to run.
    #[arg(long, value_name = "ID", default_value = "")]
    root_id: String,
    /// Plugins with the same share their data and queues; left out: those of one name.
    #[arg(long, value_name = "ID")]
    vm_id: Option<String>,
    /// What plugins may do: evaluate, list, shared, ticks.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = named::<Capability>)]
    grant: Vec<Capability>,
    /// An upstream that plugins may call, by the name that they know.
    #[arg(long, value_name = "NAME=HOST:PORT", value_parser = upstream)]
    pub(crate) call_upstream: Vec<(String, String)>,
    /// The ledger that decisions are made from; left out: an empty one.
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
    /// The policies that decisions are made by; left out: those that come with Consentry.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// Whether an instance serves many requests, or every request has its own: shared, fresh.
    #[arg(long, default_value = "shared", value_parser = named::<Instances>)]
    instances: Instances,
    /// What becomes of a request that a plugin failed: closed, open.
    #[arg(long, default_value = "closed", value_parser = named::<OnFailure>)]
    on_failure: OnFailure,
    /// Milliseconds that a call into a plugin may take.
    #[arg(long, value_name = "N", default_value_t = Limits::default().deadline_ms)]
    deadline_ms: u64,
    /// Milliseconds that a request may wait for what a plugin waits for.
    #[arg(long, value_name = "N", default_value_t = Limits::default().pause_deadline_ms)]
    pause_ms: u64,
    /// Lines of plugins below this are not written.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = named::<Level>)]
    log_level: Level,
}

impl Arguments {
    /// How every plugin is run.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            configuration: self.config.clone(),
            root_id: self.root_id.clone(),
            vm_id: self.vm_id.clone(),
            granted: self.grant.iter().copied().collect(),
            upstreams: self.call_upstream.iter().map(|(name, _)| name.clone()).collect(),
            instances: self.instances,
            on_failure: self.on_failure,
            log_level: self.log_level,
            limits: Limits {
                deadline_ms: self.deadline_ms,
                pause_deadline_ms: self.pause_ms,
                ..Limits::default()
            },
            ..Settings::default()
        }
    }

    /// What the plugin at this place is called: no two are called the same.
    pub(crate) fn name_of(&self, place: usize) -> String {
        match place {
            0 => self.name.clone(),
            _ => format!("{}-{}", self.name, place + 1),
        }
    }
}

/// What configuration calls by this name.
fn named<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Error> {
    T::deserialize(name.into_deserializer())
}

fn upstream(text: &str) -> Result<(String, String), &'static str> {
    let (name, address) = text.split_once('=').ok_or("it is not NAME=HOST:PORT")?;
    Ok((name.to_owned(), address.to_owned()))
}
