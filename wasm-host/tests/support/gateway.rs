//! Gateways as processes: Envoy, and ours.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::http::{Message, ask};

/// Which gateway, by its program.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Envoy(PathBuf),
    /// Takes `--listen ADDRESS --upstream ADDRESS --plugin FILE --config JSON`; prints `listening http ADDRESS` on
    /// stdout, and what plugins log as `LEVEL plugin: message` on stderr.
    Ours(PathBuf),
}

/// Envoy where `$ENVOY` says, or on the path.
pub(crate) fn envoy() -> Option<Kind> {
    if let Some(program) = std::env::var_os("ENVOY") {
        return Some(Kind::Envoy(program.into()));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|file| file.is_file())
        .map(Kind::Envoy)
}

/// A running gateway; ends with its value.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) port: u16,
    lines: Receiver<String>,
    kind: Kind,
    /// Holds the configuration of Envoy.
    folder: PathBuf,
}

/// How long anything may take that does not take long.
const PATIENCE: Duration = Duration::from_secs(30);

impl Gateway {
    /// An error says what it printed instead of starting.
    pub(crate) fn start(
        kind: &Kind,
        plugin: &Path,
        configuration: &str,
        upstream: u16,
    ) -> Result<Self, String> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateway-{}-{number}", std::process::id()));
        let mut command = match kind {
            Kind::Envoy(program) => envoy_command(program, &folder, plugin, configuration, upstream)?,
            Kind::Ours(program) => {
                let mut command = Command::new(program);
                command.args(["--listen", "127.0.0.1:0", "--upstream", &format!("127.0.0.1:{upstream}")]);
                command.arg("--plugin").arg(plugin).args(["--config", configuration]);
                // Missed by what spins, and by nothing else, on whatever machine this runs.
                command.args(["--deadline-ms", "2000"]);
                // Named as in Envoy, and granted what Envoy grants: not the engine, which Envoy does not have.
                command.args(["--root-id", "root", "--vm-id", "probe", "--grant", "shared,ticks"]);
                for (name, port) in [("upstream", upstream), ("dead", 1)] {
                    command.args(["--call-upstream", &format!("{name}=127.0.0.1:{port}")]);
                }
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (sender, lines) = mpsc::channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        for stream in streams.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let _nobody_reads = sender.send(String::from_utf8_lossy(&line).into_owned());
                }
            });
        }
        // So that the channel ends with the process.
        drop(sender);
        let mut gateway = Self { child, port: 0, lines, kind: kind.clone(), folder };
        gateway.wait_until_it_listens()?;
        Ok(gateway)
    }

    /// Reads what it prints until its port is known. The lines of plugins are left for `log`.
    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let (mut printed, mut admin) = (Vec::new(), 0);
        let port_of = |line: &str| line.rsplit(':').next().and_then(|port| port.trim().parse::<u16>().ok());
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { return Err(printed.join("\n")) };
            if line.contains("admin address: ") {
                admin = port_of(&line).unwrap_or(0);
            }
            let ready = line.contains("starting main dispatch loop");
            if let Some(address) = line.strip_prefix("listening http ") {
                self.port = port_of(address).ok_or(line)?;
                break;
            }
            printed.push(line);
            if ready {
                let listeners = ask(admin, &Message::new("GET /listeners HTTP/1.1").header("host", "admin"))
                    .map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
                    .unwrap_or_default();
                self.port = port_of(listeners.trim()).ok_or_else(|| printed.join("\n"))?;
                break;
            }
        }
        // What was logged meanwhile comes first again.
        let (sender, mut lines) = mpsc::channel();
        std::mem::swap(&mut self.lines, &mut lines);
        thread::spawn(move || {
            for line in printed.into_iter().chain(lines) {
                let _nobody_reads = sender.send(line);
            }
        });
        Ok(())
    }

    /// What plugins logged, as `LEVEL message`, up to and without the first line that has `last` in it. An error has
    /// what there was until it ended, or took too long.
    pub(crate) fn log_until(&self, last: &str) -> Result<Vec<String>, Vec<String>> {
        let mut log = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if logged(&self.kind, &line).is_some_and(|line| line.contains(last)) => {
                    return Ok(log);
                }
                Ok(line) => log.extend(logged(&self.kind, &line)),
                Err(_) => return Err(log),
            }
        }
    }

    /// What is there without waiting.
    pub(crate) fn log_so_far(&self) -> Vec<String> {
        self.lines.try_iter().filter_map(|line| logged(&self.kind, &line)).collect()
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Gateway {
    /// At once: Envoy does not end by itself while a plugin does not.
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
        let _not_there = std::fs::remove_dir_all(&self.folder);
    }
}

/// `LEVEL message`, if a plugin logged that.
fn logged(kind: &Kind, line: &str) -> Option<String> {
    match kind {
        Kind::Envoy(_) => {
            // `[moment][thread][LEVEL][wasm] [place] wasm log NAME ROOT VM: message`
            let (head, rest) = line.split_once(" wasm log ")?;
            let level = head.split(['[', ']']).filter(|part| !part.is_empty()).nth(2)?;
            let (_names, message) = rest.split_once(": ").or_else(|| rest.split_once(":"))?;
            Some(format!("{} {message}", if level == "warning" { "warn" } else { level }))
        }
        Kind::Ours(_) => {
            // What the host says of a plugin, nobody says in Envoy.
            let (level, message) =
                line.split_once(" plugin: ").filter(|(_, said)| !said.starts_with("it "))?;
            Some(format!("{} {message}", level.to_lowercase()))
        }
    }
}

fn envoy_command(
    program: &Path,
    folder: &Path,
    plugin: &Path,
    configuration: &str,
    upstream: u16,
) -> Result<Command, String> {
    let filter = include_str!("../gateways/envoy.filter.yaml")
        .replace("@PLUGIN@", &plugin.display().to_string())
        .replace("@CONFIGURATION@", &configuration.replace('\'', "''"));
    let text = include_str!("../gateways/envoy.yaml")
        .replace("@FILTER@", filter.trim_end())
        .replace("@UPSTREAM_PORT@", &upstream.to_string());
    let file = folder.join("envoy.yaml");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, text))
        .map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file).args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]);
    command.args(["--component-log-level", "wasm:info,main:info,admin:info"]);
    Ok(command)
}
