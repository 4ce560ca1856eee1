//! A server of its own for each test, on a port of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::http::{Message, ask};

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// What it printed before it listened.
    pub(crate) said: String,
    token: Option<String>,
}

/// The certification scenario's fixture, by configuration alone.
pub(crate) fn fixture() -> PathBuf {
    repository().join("tests/gateways/authzen/consentry.toml")
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Policies in a folder of their own, with this schema, that permit all of it.
pub(crate) fn permissive(folder: &Path, schema: &str) -> PathBuf {
    let policies = folder.join("policies");
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("schema.cedarschema"), schema).unwrap();
    fs::write(policies.join("all.cedar"), r#"@id("all") permit (principal, action, resource);"#).unwrap();
    policies
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.arg("serve").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spoken_to(arguments).0
    }

    /// One that is configured to listen for gRPC, too, and its port for that.
    pub(crate) fn with_grpc(arguments: &[&str]) -> (Self, u16) {
        let (server, mut out) = Self::spoken_to(arguments);
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening grpc ").unwrap();
        (server, address.rsplit(':').next().unwrap().parse().unwrap())
    }

    /// One that listens for HTTP, and what it is about to print.
    fn spoken_to(arguments: &[&str]) -> (Self, BufReader<ChildStdout>) {
        let mut child = command(arguments).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let mut why = String::new();
                child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("it did not start: {why}");
            }
            let http = line.trim().strip_prefix("listening http ");
            if let Some(address) = http.or_else(|| line.trim().strip_prefix("listening https ")) {
                break address.rsplit(':').next().unwrap().parse().unwrap();
            }
            said.push_str(&line);
        };
        (Self { child, port, said, token: None }, out)
    }

    /// The certification scenario's fixture.
    pub(crate) fn certified() -> Self {
        Self::start(&["--config", fixture().to_str().unwrap()])
    }

    /// Whatever is asked from now on comes with this token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn ask(&self, request: &Message) -> Message {
        let bearer = self.token.iter().map(|token| format!("Bearer {token}"));
        let request = bearer.fold(request.clone(), |request, bearer| request.header("authorization", bearer));
        ask(self.port, &request).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        read(&self.ask(&Message::new(&format!("GET {path} HTTP/1.1")).header("host", "pdp")))
    }

    /// Posts JSON, and reads the answer, which must be some.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_text(path, &body.to_string())
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> (u16, Value) {
        read(&self.ask(&posted(path, body)))
    }

    /// The answer to a request that must be well-formed.
    pub(crate) fn answer(&self, path: &str, body: &Value) -> Value {
        let response = self.ask(&posted(path, &body.to_string()));
        assert_eq!(response.get("content-type"), Some(&b"application/json"[..]));
        let (status, answer) = read(&response);
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for its end, and gives what it wrote to standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn posted(path: &str, body: &str) -> Message {
    Message::new(&format!("POST {path} HTTP/1.1"))
        .header("host", "pdp")
        .header("content-type", "application/json")
        .body(body)
}

/// Status and body.
pub(crate) fn read(response: &Message) -> (u16, Value) {
    let text = String::from_utf8_lossy(&response.body);
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (response.second_word().parse().unwrap(), body)
}
