//! How a plugin is run: what it may do, and what it may cost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How one plugin is run. Read from configuration as it stands here; what is left out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the plugin reads as its configuration: any text, mostly JSON.
    pub configuration: String,
    /// proxy-wasm: what it reads as the configuration of its machine.
    pub vm_configuration: String,
    /// proxy-wasm: which of the plugins in a module it is.
    pub root_id: String,
    /// proxy-wasm: plugins with the same share their data and queues; left out: those of this name alone.
    pub vm_id: Option<String>,
    /// What it may do beyond looking at its own requests and answering them. Default: nothing.
    pub granted: BTreeSet<Capability>,
    /// The upstreams that it may call. Default: none.
    pub upstreams: BTreeSet<String>,
    /// How instances are given to requests.
    pub instances: Instances,
    /// Instances that are started when the plugin is loaded, before a request needs them; at least one. Where each
    /// request has its own, the one shows that the plugin can be started.
    pub started: usize,
    /// What becomes of a request that the plugin failed.
    pub on_failure: OnFailure,
    /// Lines below this are not written.
    pub log_level: Level,
    /// What it may cost.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            configuration: String::new(),
            vm_configuration: String::new(),
            root_id: String::new(),
            vm_id: None,
            granted: BTreeSet::new(),
            upstreams: BTreeSet::new(),
            instances: Instances::Shared,
            started: 1,
            on_failure: OnFailure::Closed,
            log_level: Level::Info,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    pub(crate) fn grants(&self, capability: Capability) -> bool {
        self.granted.contains(&capability)
    }
}

/// What a plugin may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// To ask whether a principal may do something.
    Evaluate,
    /// To ask what a principal may do.
    List,
    /// To keep data and queues that its other instances, and plugins with the same `vm_id`, see.
    Shared,
    /// To be called now and then without a request.
    Ticks,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Evaluate, Self::List, Self::Shared, Self::Ticks];

    /// As configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::List => "list",
            Self::Shared => "shared",
            Self::Ticks => "ticks",
        }
    }
}

/// How instances of a plugin are given to requests. An instance never has two requests at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instances {
    /// A started instance, which has served requests before and will again: some microseconds. What a plugin keeps
    /// in its memory is there for requests after it, until the instance fails or is not needed any more.
    Shared,
    /// An instance of its own for every request, started for it and dropped after it: nothing is left of a request.
    Fresh,
}

/// What becomes of a request that a plugin failed: it trapped, took too long, could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is answered 503.
    Closed,
    /// It goes on as if there were no such plugin. For plugins that decide nothing.
    Open,
}

/// How much a line in the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// For who wants to know.
    Info,
    /// Something that should not be.
    Warn,
    /// Something failed.
    Error,
    /// The plugin cannot go on.
    Critical,
}

impl Level {
    /// As configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What a plugin may cost. Times are of the clock on the wall: a busy machine shortens them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Milliseconds that a call into the plugin may take, to the next one above.
    pub deadline_ms: u64,
    /// Milliseconds that starting and configuring an instance may take.
    pub start_deadline_ms: u64,
    /// Milliseconds that a request may wait for something that the plugin waits for.
    pub pause_deadline_ms: u64,
    /// Bytes of memory of an instance, all its memories together.
    pub memory_bytes: usize,
    /// Elements of the tables of an instance, all together.
    pub table_elements: usize,
    /// Instances at one time.
    pub instances: usize,
    /// Bytes that one call may log; what is beyond them is dropped, and that is said.
    pub log_bytes: usize,
    /// Fields of a map of headers that a plugin sets.
    pub map_pairs: usize,
    /// Bytes of such a map.
    pub map_bytes: usize,
    /// Bytes of a body that is held back, or that a plugin makes.
    pub body_bytes: usize,
    /// Bytes of what a plugin asks, and of what the host answers.
    pub result_bytes: usize,
    /// Bytes of names and values that plugins with one `vm_id` share, queues among them.
    pub shared_bytes: usize,
    /// Counters, gauges and histograms.
    pub metrics: usize,
    /// Calls to upstreams under way, of one instance.
    pub calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline_ms: 50,
            start_deadline_ms: 2_000,
            pause_deadline_ms: 5_000,
            memory_bytes: 32 << 20,
            table_elements: 20_000,
            instances: 1_000,
            log_bytes: 16 << 10,
            map_pairs: 1_024,
            map_bytes: 1 << 20,
            body_bytes: 1 << 20,
            result_bytes: 64 << 10,
            shared_bytes: 1 << 20,
            metrics: 1_000,
            calls: 16,
        }
    }
}

impl Limits {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn start_deadline(&self) -> Duration {
        Duration::from_millis(self.start_deadline_ms)
    }

    pub(crate) fn pause_deadline(&self) -> Duration {
        Duration::from_millis(self.pause_deadline_ms)
    }
}
