//! A small reverse proxy whose requests go through plugins: how a gateway embeds `consentry-wasm-host`.
//!
//! ```text
//! cargo run -p consentry-wasm-host --example gateway -- \
//!     --listen 127.0.0.1:8080 --upstream 127.0.0.1:9000 --plugin gatekeeper.wasm --grant evaluate
//! ```
//!
//! `gateway/relay.rs` is the heart of it: the host does no I/O, so a request is a loop that shows the host what came
//! and does what it says. `gateway/callouts.rs` makes the calls of plugins, `gateway/heads.rs` has the rules of HTTP
//! that keep two servers from reading one message as two. What it leaves to others: TLS, HTTP/2, tunnels.

#[path = "gateway/arguments.rs"]
mod arguments;
#[path = "gateway/bodies.rs"]
mod bodies;
#[path = "gateway/callouts.rs"]
mod callouts;
#[path = "gateway/heads.rs"]
mod heads;
#[path = "gateway/relay.rs"]
mod relay;
#[path = "gateway/upstream.rs"]
mod upstream;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use consentry::Engine;
use consentry::ledger::MemoryLedger;
use consentry::policy::{Policies, PolicyFile, PolicySources};
use consentry_ledger::DiskLedger;
use consentry_wasm_host::{Connection, Failure, Host, Level, Observer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle};

use arguments::Arguments;
use callouts::Upstreams;
use relay::Gateway;
use upstream::Upstream;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // Plugins run on the threads of requests, which needs a runtime that can replace them (see `relay`).
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let host = host(arguments, runtime.handle())?;
    let gateway = Arc::new(Gateway { host, upstream: Arc::new(Upstream::new(&arguments.upstream)) });
    runtime.block_on(async {
        let listener = TcpListener::bind(&arguments.listen).await?;
        println!("listening http {}", listener.local_addr()?);
        serve(&gateway, &listener).await;
        Ok(())
    })
}

/// The host with all its plugins. One that cannot be loaded keeps the gateway from starting: nothing is let through
/// that a plugin was to look at.
fn host(arguments: &Arguments, runtime: &Handle) -> Result<Host, Box<dyn Error>> {
    let host = Host::builder(engine(arguments)?)
        .observer(Console)
        .callouts(Upstreams::new(&arguments.call_upstream, runtime))
        .build()?;
    for (place, file) in arguments.plugin.iter().enumerate() {
        let name = arguments.name_of(place);
        let failed = |error: &dyn std::fmt::Display| format!("plugin {}: {error}", file.display());
        let bytes = std::fs::read(file).map_err(|error| failed(&error))?;
        host.load(&name, &bytes, arguments.settings()).map_err(|error| failed(&error))?;
    }
    Ok(host)
}

fn engine(arguments: &Arguments) -> Result<Engine, Box<dyn Error>> {
    let builder = match &arguments.ledger {
        // Opening makes one: a name that was mistyped would be an empty ledger, and refuse everybody.
        Some(folder) if !DiskLedger::exists(folder) => {
            return Err(format!("there is no ledger in `{}`", folder.display()).into());
        }
        Some(folder) => Engine::builder(DiskLedger::open(folder)?),
        None => Engine::builder(MemoryLedger::new()),
    };
    let policies = match &arguments.policies {
        Some(folder) => Policies::load(&policies(folder)?)?,
        None => Policies::shipped()?,
    };
    Ok(builder.policies(policies).open()?)
}

/// The schema and the policies that lie in `folder`.
fn policies(folder: &Path) -> std::io::Result<PolicySources> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    let mut sources = PolicySources::default();
    for path in paths {
        let read = || -> std::io::Result<PolicyFile> {
            Ok(PolicyFile { name: path.display().to_string(), text: std::fs::read_to_string(&path)? })
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("cedarschema") => sources.schema = Some(read()?),
            Some("cedar") => sources.policies.push(read()?),
            _ => {}
        }
    }
    Ok(sources)
}

/// Takes connections, for ever.
async fn serve(gateway: &Arc<Gateway>, listener: &TcpListener) {
    loop {
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly there are too many open files: others close some.
                eprintln!("error gateway: accept: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        // Without it answers wait for acknowledgements of what went before; where it fails they do.
        let _ = stream.set_nodelay(true);
        let connection =
            Connection { source: Some(source), destination: stream.local_addr().ok(), protocol: None };
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| gateway.answer(request, connection));
            // A client that went away, or was cut off, is nothing to be told.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Writes what plugins say, and how they fail, to standard error.
struct Console;

impl Observer for Console {
    fn log(&self, plugin: &str, level: Level, message: &str) {
        eprintln!("{} {plugin}: {}", level.name(), one_line(message));
    }

    fn failed(&self, failure: &Failure) {
        eprintln!("error {}: {}: {}", failure.plugin, failure.kind.name(), one_line(&failure.message));
    }
}

/// A plugin cannot write a line that looks like another's.
fn one_line(message: &str) -> String {
    message.replace('\n', "\\n").replace('\r', "\\r")
}
