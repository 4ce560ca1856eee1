//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Authorization for access that has to be asked for.
#[derive(Debug, Parser)]
#[command(
    name = "consentry",
    version,
    about = "Authorization for access that has to be asked for.",
    long_about = "Authorization for access that has to be asked for.\n\n\
        Installers ask owners: to take a site over, for live view, playback or configuration, for a new \
        password. Owners answer; what nobody answers expires after 24 hours. Policies in Cedar say who \
        may do what, lifecycles say when, and a ledger remembers all of it.",
    after_help = "Exit status: 0 done or allowed, 1 refused or denied, 2 bad use, bad input or something broken.\n\n\
        Examples:\n  \
        consentry demo\n  \
        consentry replay story.jsonl --ledger ./ledger\n  \
        consentry check --ledger ./ledger 'Installer::\"ivan\"' liveView 'Device::\"cam-7\"'\n  \
        consentry policy test --policies ./policies"
)]
pub(crate) struct Arguments {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which policies are asked.
#[derive(Debug, Args)]
pub(crate) struct PolicyFolder {
    /// Ask the policies in this folder, not those that come with consentry
    #[arg(id = "policies", long = "policies", value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Which ledger is used.
#[derive(Debug, Args)]
pub(crate) struct LedgerFolder {
    /// The folder of the ledger
    #[arg(id = "ledger", long = "ledger", value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Play a story from beginning to end: hand-over, application, reset ticket
    #[command(
        after_help = "The clock is simulated, policies and ledger are real; the ledger is thrown away.\n\n\
        Examples:\n  consentry demo\n  consentry demo --policies ./my-policies\n  consentry demo --json | jq .answer"
    )]
    Demo {
        #[command(flatten)]
        policies: PolicyFolder,
    },
    /// Answer gateways and portals over HTTP: a decision point that speaks AuthZEN
    #[cfg(feature = "serve")]
    #[command(
        after_help = "Prints the configuration that it uses, then `listening http ADDRESS:PORT`; what happens later goes \
        to standard error. SIGTERM or Ctrl-C end it, after the requests that it has begun to answer. Policies are read \
        again when their files change, and on SIGHUP; what cannot be used is refused, and the policies before it go on \
        answering.\n\n\
        Values come from the file, then from variables of the environment (CONSENTRY__LIMITS__EVALUATIONS=50), then \
        from what is typed here: the last one counts.\n\n\
        Examples:\n  consentry serve\n  consentry serve --config consentry.toml --listen 127.0.0.1:0\n  \
        curl -H 'content-type: application/json' http://127.0.0.1:8181/access/v1/evaluation -d \\\n    \
        '{\"subject\":{\"type\":\"Installer\",\"id\":\"ivan\"},\"action\":{\"name\":\"liveView\"},\
        \"resource\":{\"type\":\"Device\",\"id\":\"cam-7\"}}'"
    )]
    Serve(super::serving::Serving),
    /// Make a token for a caller of the server
    #[cfg(feature = "serve")]
    #[command(
        after_help = "The server is told its digest only, so that whoever reads the configuration cannot call.\n\n\
        Example:\n  consentry token --json | jq -r .token"
    )]
    Token,
    /// Run a script: commands, checks and looks, one JSON object a line
    #[command(
        after_help = "Prints one JSON object for each line, once it is durable. Each line runs at the greatest \
        `at` so far.\n\nA line is one of\n  \
        {\"at\":TIME,\"as\":PRINCIPAL,\"do\":{COMMAND}}   a command; with \"id\":ID it can be repeated safely\n  \
        {\"at\":TIME,\"check\":{\"principal\":…,\"action\":…,\"resource\":…}}\n  \
        {\"at\":TIME,\"show\":{\"invite\"|\"application\"|\"ticket\"|\"grant\"|\"site\":ID}}\n  \
        {\"at\":TIME,\"list\":{\"grants\":{\"company\"?,\"device\"?,\"owner\"?,\"live\"?}}}\n\n\
        Exit status 0 when every line ran, whatever was refused; 2 at the first line that is malformed.\n\n\
        Examples:\n  consentry replay story.jsonl\n  consentry replay - --ledger ./ledger < story.jsonl"
    )]
    Replay {
        /// The script; `-` is standard input
        file: PathBuf,
        /// Keep the ledger in this folder; without it, it is thrown away
        #[arg(long, value_name = "DIR")]
        ledger: Option<PathBuf>,
        #[command(flatten)]
        policies: PolicyFolder,
    },
    /// Give one command
    #[command(after_help = "Examples:\n  \
        consentry submit --ledger ./ledger --as 'Operator::\"root\"' '{\"registerCompany\":{\"company\":\"acme\"}}'\n  \
        consentry submit --ledger ./ledger --as 'EndUser::\"olga\"' - < complete.json   (keeps a password out of the \
        list of processes)")]
    Submit {
        #[command(flatten)]
        ledger: LedgerFolder,
        #[command(flatten)]
        policies: PolicyFolder,
        /// Who acts: Installer::"ivan", EndUser::"olga", Operator::"root"
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: String,
        /// The command's id, by which repeating it is told from doing it twice
        #[arg(long)]
        id: Option<String>,
        /// The moment at which it runs; now, if left out. Never before what the ledger has reached: one far
        /// ahead takes all later commands with it
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// The command as JSON: {"NAME":{FIELDS}}; `-` reads it from standard input
        command: String,
    },
    /// Ask whether a principal may do something now
    #[command(after_help = "Examples:\n  \
        consentry check --ledger ./ledger 'Installer::\"ivan\"' liveView 'Device::\"cam-7\"'\n  \
        consentry check --ledger ./ledger 'EndUser::\"olga\"' manageSite 'Site::\"villa\"' --at 2026-03-01T12:00:00Z")]
    Check {
        #[command(flatten)]
        ledger: LedgerFolder,
        #[command(flatten)]
        policies: PolicyFolder,
        #[command(flatten)]
        question: Question,
        /// The moment at which it is asked; now, if left out. Never before what the ledger has reached
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Show where a thing stands
    #[command(after_help = "Example:\n  consentry show --ledger ./ledger invite invite-1")]
    Show {
        #[command(flatten)]
        ledger: LedgerFolder,
        /// What kind of thing
        kind: Kind,
        /// Its id
        id: String,
        /// The moment at which to look; now, if left out. Never before what the ledger has reached
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// List grants
    #[command(after_help = "Example:\n  consentry list --ledger ./ledger grants --company acme --live true")]
    List {
        #[command(flatten)]
        ledger: LedgerFolder,
        #[command(flatten)]
        filter: Filter,
        /// The moment at which to look; now, if left out. Never before what the ledger has reached
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Print the audit trail: who asked for what, when, and what they were answered by which policies
    #[command(after_help = "Example:\n  consentry log --ledger ./ledger --after 100 --json")]
    Log {
        #[command(flatten)]
        ledger: LedgerFolder,
        /// Leave out the lines up to this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// Print at most so many lines
        #[arg(long, value_name = "COUNT")]
        limit: Option<usize>,
    },
    /// Look after a ledger
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Check, test and prove policies
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Try and time plugins of gateways
    #[cfg(feature = "plugins")]
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Print the lifecycles, as the machines themselves have them
    Lifecycle {
        #[command(subcommand)]
        command: LifecycleCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Read the whole ledger and check that nothing in it was changed
    #[command(
        after_help = "Every record and every line of the audit trail is proven to follow from the one before it, \
        up to what the file `head` says was acknowledged. Without that file a shortened end cannot be told, and \
        opening the ledger writes a new one.\n\nExample:\n  consentry ledger verify --ledger ./ledger"
    )]
    Verify {
        #[command(flatten)]
        ledger: LedgerFolder,
    },
    /// Keep a snapshot, from which the ledger opens faster
    #[command(
        after_help = "One is kept by itself every 50,000 revisions, and less often when more things than that are known.\n\n\
        Example:\n  consentry ledger snapshot --ledger ./ledger"
    )]
    Snapshot {
        #[command(flatten)]
        ledger: LedgerFolder,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Parse and validate the policies; what is wrong is shown with file, line and column
    #[command(
        after_help = "With --compiled it also says which policies are not compiled but left to Cedar's evaluator, \
        which is slower, and why: see docs/compiled-policies.md. They answer the same.\n\n\
        Examples:\n  consentry policy check --policies ./policies\n  consentry policy check --policies ./policies --compiled"
    )]
    Check {
        #[command(flatten)]
        policies: PolicyFolder,
        /// Say which policies are not compiled, and why
        #[arg(long)]
        compiled: bool,
    },
    /// Run the cases of the policies (`cases/*.json`)
    #[command(
        after_help = "Exit status 1 when a case fails.\n\nExample:\n  consentry policy test --policies ./policies"
    )]
    Test {
        #[command(flatten)]
        policies: PolicyFolder,
        /// Run only the cases with this in their name
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Prove what must hold for every request, or show a request that refutes it
    #[command(
        after_help = "Cases show single requests; a proof speaks of all of them: every principal, resource, \
        attribute and moment that the schema has room for. It needs the solver cvc5 (Debian: `apt-get install \
        cvc5`), on PATH or named by the variable CVC5.\n\n\
        What refutes a claim is told with the people and things of the cases; with --json it is a case, too, for \
        `cases/*.json`.\n\n\
        Exit status: 0 when every claim holds, 1 when one is refuted, 2 when there is no solver or it cannot tell.\n\n\
        Examples:\n  consentry policy prove\n  consentry policy prove --policies ./policies --only grant"
    )]
    Prove {
        #[command(flatten)]
        policies: PolicyFolder,
        /// Prove only the claims with this in their name
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
}

#[cfg(feature = "plugins")]
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Say what a plugin is and what it needs, and run it on a request
    #[command(
        after_help = "A plugin is a module of proxy-wasm 0.2.1, as Envoy runs it, or a component of the worlds \
        in wasm-host/wit/gateway.wit; as text (.wat), too. It is run as if it were granted what it needs, except \
        for calls to upstreams: there are none here. What it asks is answered by the policies, on the ledger; \
        without a ledger nobody is known, and everything is denied.\n\n\
        Exit status: 0 when the request would go on to the upstream, 1 when it is answered here: by the plugin, \
        by a denial, or because the plugin failed (`deadline`: it was cut off); 2 when it is no plugin, or cannot be started.\n\n\
        Examples:\n  consentry plugin check filter.wasm\n  \
        consentry plugin check filter.wasm --ledger ./ledger --header 'x-installer: ivan' \\\n    \
        --request 'GET /sites/villa/devices/cam-7/live'"
    )]
    Check(PluginRun),
    /// Time a plugin: compiling it, starting it, and requests through it
    #[command(
        after_help = "Times are of the clock on the wall, for one request after another on one thread; the \
        machine should have nothing else to do, and the program be built with --release.\n\n\
        Example:\n  consentry plugin bench filter.wasm --header 'x-installer: ivan' --requests 100000"
    )]
    Bench {
        #[command(flatten)]
        run: PluginRun,
        /// Requests in a round; there are ten rounds
        #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
        requests: u32,
    },
}

/// A plugin, and a request for it.
#[cfg(feature = "plugins")]
#[derive(Debug, Args)]
pub(crate) struct PluginRun {
    /// The plugin: a module or component, in bytes or as text
    pub(crate) file: PathBuf,
    /// The request: its method and path
    #[arg(long, value_name = "'GET /path'", default_value = "GET /")]
    pub(crate) request: String,
    /// A header of the request; as often as there are any
    #[arg(long = "header", value_name = "'NAME: VALUE'")]
    pub(crate) headers: Vec<String>,
    /// What the plugin reads as its configuration
    #[arg(long, value_name = "JSON", default_value = "")]
    pub(crate) config: String,
    #[command(flatten)]
    pub(crate) policies: PolicyFolder,
    /// Answer from the ledger in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) ledger: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LifecycleCommand {
    /// Every state and every event, and what they lead to
    Table {
        /// Only this lifecycle
        lifecycle: Option<LifecycleName>,
    },
    /// State diagrams in Mermaid's language
    Diagram {
        /// Only this lifecycle
        lifecycle: Option<LifecycleName>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LifecycleName {
    Invite,
    PermissionApplication,
    ResetTicket,
    Grant,
}

impl LifecycleName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::PermissionApplication => "permission application",
            Self::ResetTicket => "reset ticket",
            Self::Grant => "grant",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Invite,
    Application,
    Ticket,
    Grant,
    Site,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Application => "application",
            Self::Ticket => "ticket",
            Self::Grant => "grant",
            Self::Site => "site",
        }
    }
}

/// A check.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Who wants to act: Installer::"ivan"
    pub(crate) principal: String,
    /// What: liveView, playback, configure, manageSite, disableService
    pub(crate) action: String,
    /// On what: Device::"cam-7", Site::"villa"
    pub(crate) resource: String,
    /// What else is known, as a JSON object that fits the schema
    #[arg(long, value_name = "JSON")]
    pub(crate) context: Option<String>,
    /// Deny, as stale, unless the answer knows this revision
    #[arg(long, value_name = "REVISION")]
    pub(crate) at_least: Option<u64>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    Grants,
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// What to list
    #[arg(value_name = "WHAT")]
    pub(crate) _what: Listed,
    /// Held by this company
    #[arg(long)]
    pub(crate) company: Option<String>,
    /// For this device
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Given by this owner: the id alone, `olga`
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// Live, or not
    #[arg(long, value_name = "BOOL")]
    pub(crate) live: Option<bool>,
}
