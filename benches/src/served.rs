//! `consentry serve` as a process of its own, and what it takes of the processor.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that listens on ports of its own.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// The port for HTTP.
    pub http: u16,
    /// The port for Envoy's `ext_authz` over gRPC.
    pub grpc: u16,
}

/// Builds the program as it is released, with `--constant`, into the target directory `target`.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn built(target: &Path) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--locked", "-p", "consentry-server", "--features", "bench"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--manifest-path", manifest, "--target-dir"]).arg(target);
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "the program cannot be built");
    target.join("release").join("consentry")
}

impl Served {
    /// Starts `program` with a configuration and further arguments.
    ///
    /// # Panics
    /// When it does not listen for HTTP and gRPC.
    #[must_use]
    pub fn start(program: &Path, config: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(config).args(arguments).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is there");
        let out = child.stdout.take();
        let mut served = Self { child, http: 0, grpc: 0 };
        for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
            let port = |kind: &str| line.strip_prefix(kind)?.rsplit(':').next()?.parse().ok();
            served.http = port("listening http ").unwrap_or(served.http);
            served.grpc = port("listening grpc ").unwrap_or(served.grpc);
            if served.http != 0 && served.grpc != 0 {
                break;
            }
        }
        assert_ne!(served.grpc, 0, "the server did not start: see above");
        served
    }

    /// What it took of the processor since it was started: in steps of a hundredth of a second, where the kernel
    /// counts in these.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    #[must_use]
    pub fn spent(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("Linux tells what a process takes");
        // The name before it can have blanks in it, in brackets.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// The body of the answer to JSON that is posted.
    ///
    /// # Panics
    /// When there is no answer of status 200.
    #[must_use]
    pub fn post(&self, path: &str, body: &str) -> String {
        let exchange = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
            let length = body.len();
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nhost: pdp\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        let answer: String = exchange().expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
