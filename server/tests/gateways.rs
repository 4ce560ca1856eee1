//! Real gateways in front of a real upstream, asking `consentry serve`: what passes, and what does not, while an owner
//! gives and takes. The configurations are those under `tests/gateways`, on other ports. Where a gateway is not
//! installed, its tests are skipped, and say so.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of it is tests"
)]

#[path = "../../wasm-host/tests/support/http.rs"]
#[expect(dead_code, reason = "other tests need more of HTTP")]
mod http;
#[path = "serve/server.rs"]
#[expect(dead_code, reason = "other tests need more of the server")]
mod server;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Message, ask};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use server::{Server, posted, read, repository};

/// How a gateway asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    EnvoyGrpc,
    EnvoyHttp,
    Nginx,
    Caddy,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::EnvoyGrpc => "envoy over gRPC",
            Self::EnvoyHttp => "envoy over HTTP",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        }
    }

    fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::EnvoyGrpc | Self::EnvoyHttp => "envoy",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Where Debian puts servers.
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        folders.map(|folder| folder.join(name)).find(|file| file.is_file())
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What is protected: answers whatever comes, and keeps it.
struct Upstream {
    port: u16,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Message>>>::default();
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Ok(Some(request)) = Message::read(&mut reader, false) {
                        kept.lock().unwrap().push(request);
                        let answer = Message::new("HTTP/1.1 200 OK").body("a picture");
                        if answer.write(&mut &stream).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// A gateway, what it protects, and what it asks.
struct World {
    gateway: Child,
    port: u16,
    upstream: Upstream,
    server: Server,
    /// What the gateway wrote to standard output.
    said: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

impl World {
    fn start(kind: Kind) -> Self {
        Self::with(kind, &[])
    }

    /// With more arguments for the server.
    fn with(kind: Kind, more: &[&str]) -> Self {
        let configs = repository().join("tests/gateways");
        let config = configs.join("consentry.toml");
        let anywhere = ["--listen", "127.0.0.1:0", "--set", "listen.grpc=127.0.0.1:0"];
        let (server, grpc) =
            Server::with_grpc(&[&["--config", config.to_str().unwrap()], &anywhere[..], more].concat());
        let upstream = Upstream::start();
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let on_ports = |file: &str| {
            let text = fs::read_to_string(configs.join(file)).unwrap();
            text.replace("10000", &port.to_string())
                .replace("9000", &upstream.port.to_string())
                .replace("8181", &server.port.to_string())
                .replace("8182", &grpc.to_string())
        };
        let mut command = Command::new(kind.program().unwrap());
        match kind {
            Kind::EnvoyGrpc | Kind::EnvoyHttp => {
                let file = if kind == Kind::EnvoyGrpc { "envoy/grpc.yaml" } else { "envoy/http.yaml" };
                let path = folder.path().join("envoy.yaml");
                fs::write(&path, on_ports(file)).unwrap();
                command.arg("-c").arg(path).args([
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--log-level",
                    "warning",
                ]);
            }
            Kind::Caddy => {
                let path = folder.path().join("Caddyfile");
                fs::write(&path, on_ports("Caddyfile")).unwrap();
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
            }
            Kind::Nginx => {
                let path = folder.path().join("nginx.conf");
                fs::write(&path, on_ports("nginx/nginx.conf")).unwrap();
                command.arg("-p").arg(folder.path()).arg("-c").arg(path).args(["-e", "stderr"]);
            }
        }
        let mut gateway =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = Arc::<Mutex<String>>::default();
        let (out, kept) = (gateway.stdout.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let world = Self { gateway, port, upstream, server, said, _folder: folder };
        until("the gateway listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        world
    }

    /// What the gateway answers to somebody with a token, and what of it came through.
    fn ask(&self, line: &str, who: Option<&str>, more: &[(&str, &str)]) -> (Message, Vec<Message>) {
        let mut request = Message::new(&format!("{line} HTTP/1.1")).header("host", "video.example.com");
        for (name, value) in more {
            request = request.header(name, value);
        }
        if let Some(who) = who {
            let token =
                fs::read_to_string(repository().join(format!("tests/gateways/tokens/{who}.jwt"))).unwrap();
            request = request.header("authorization", format!("Bearer {}", token.trim()));
        }
        let answer = ask(self.port, &request.header("connection", "close")).expect("an answer");
        (answer, self.upstream.seen())
    }

    fn passes(&self, line: &str, who: Option<&str>) -> Message {
        let (answer, mut seen) = self.ask(line, who, &[]);
        assert_eq!((answer.second_word(), seen.len()), ("200", 1), "{line}: {answer:?}");
        seen.remove(0)
    }

    fn refused(&self, line: &str, who: Option<&str>, status: &str, reason: &str) {
        let (answer, seen) = self.ask(line, who, &[]);
        assert!(seen.is_empty(), "{line}: {seen:?}");
        assert_eq!(answer.second_word(), status, "{line}: {answer:?}");
        let said = answer.get("x-consentry-reason").map(String::from_utf8_lossy).unwrap_or_default();
        assert_eq!(said, reason, "{line}: {answer:?}");
    }

    fn submit(&self, who: &str, command: Value) {
        let request = posted("/v1/commands", &json!({ "as": who, "do": command }).to_string());
        let (status, answer) =
            read(&self.server.ask(&request.header("authorization", "Bearer portal-token")));
        assert_eq!(status, 200, "{command}: {answer}");
    }

    /// Olga owns the villa with its camera; Ada's company looks after it, and may do nothing there yet.
    fn villa(&self) {
        let root = r#"Operator::"root""#;
        self.submit(root, json!({ "registerCompany": { "company": "acme" } }));
        let contact = json!({ "email": "olga@example.com" });
        self.submit(root, json!({ "registerEndUser": { "endUser": "olga", "contacts": [contact] } }));
        let ada = json!({ "installer": "ada", "company": "acme", "role": "admin", "permissions": ["manageDevices"] });
        self.submit(root, json!({ "registerInstaller": ada }));
        self.submit(ADA, json!({ "createSite": { "site": "villa", "company": "acme", "kind": "normal" } }));
        self.submit(
            ADA,
            json!({ "addDevice": { "device": "cam-7", "site": "villa", "supportsPasswordReset": true } }),
        );
        let invite = json!({ "invite": "inv", "site": "villa", "contact": contact, "permissions": [], "disableService": false });
        self.submit(ADA, json!({ "inviteOwner": invite }));
        self.submit(OLGA, json!({ "acceptInvite": { "invite": "inv" } }));
    }
}

const ADA: &str = r#"Installer::"ada""#;
const OLGA: &str = r#"EndUser::"olga""#;
const LIVE: &str = "GET /sites/villa/devices/cam-7/live";

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

fn what_the_owner_accepts_passes_until_it_is_withdrawn(kind: Kind) {
    let world = World::start(kind);
    world.villa();
    world.refused(LIVE, Some("ada"), "403", "no_grant");
    let wanted = json!([{ "permission": "liveView", "devices": ["cam-7"], "validity": "1h" }]);
    world.submit(
        ADA,
        json!({ "applyForPermission": { "application": "app", "site": "villa", "permissions": wanted } }),
    );
    world.refused(LIVE, Some("ada"), "403", "no_grant");
    world.submit(OLGA, json!({ "acceptApplication": { "application": "app" } }));
    let passed = world.passes(LIVE, Some("ada"));
    assert_eq!(passed.get("x-consentry-principal").map(String::from_utf8_lossy), Some(ADA.into()));
    world.passes(&format!("{LIVE}?quality=high"), Some("ada"));
    world.passes(LIVE, Some("olga"));
    world.submit(OLGA, json!({ "withdrawGrant": { "grant": "app/liveView/cam-7" } }));
    world.refused(LIVE, Some("ada"), "403", "grant_ended");
    world.passes(LIVE, Some("olga"));
}

fn what_is_not_mapped_or_asked_by_nobody_does_not_pass(kind: Kind) {
    let world = World::start(kind);
    world.villa();
    world.passes("GET /status", None);
    world.refused(LIVE, None, "401", "unauthenticated");
    world.refused("POST /sites/villa/devices/cam-7/live", Some("olga"), "403", "unmapped");
    world.refused("GET /", Some("olga"), "403", "unmapped");
    world.refused("GET /sites/villa/devices/other/live", Some("olga"), "403", "unknown_resource");
    // Gateways read some of these as other paths, and refuse some themselves: none of them passes.
    for path in [
        "/sites/villa/devices/cam-7%2Flive",
        "/sites/villa/devices/cam-7/x/..%2flive",
        "/sites/villa/devices/%2e%2e/live",
        "/sites/villa/devices/cam-7;x/live",
        "/sites/villa/devices/cam-7/live/../settings/..",
        "/sites/villa/devices/cam-7\\live",
    ] {
        let (answer, seen) = world.ask(&format!("GET {path}"), Some("ada"), &[]);
        assert!(seen.is_empty() && answer.second_word() != "200", "{path}: {answer:?}");
    }
    let (answer, seen) = world.ask(LIVE, None, &[("authorization", "Bearer not.a.token")]);
    assert!(seen.is_empty() && answer.second_word() == "401", "{answer:?}");
}

fn nobody_says_for_the_gateway_who_they_are(kind: Kind) {
    let world = World::start(kind);
    world.villa();
    let forged = [
        ("x-consentry-principal", OLGA),
        ("x-consentry-token", "gateway-token"),
        ("x-original-uri", "/status"),
        ("x-original-method", "GET"),
        ("x-forwarded-uri", "/status"),
    ];
    let (answer, seen) = world.ask(LIVE, Some("ada"), &forged);
    assert!(seen.is_empty() && answer.second_word() == "403", "{answer:?}");
    let principals = |seen: &[Message]| -> Vec<String> {
        let headers = seen.iter().flat_map(|seen| &seen.headers);
        let named =
            headers.filter(|(name, _)| name.replace('_', "-").eq_ignore_ascii_case("x-consentry-principal"));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    // Only the server says these, and says nothing in them of what is open.
    let forged = [
        ("x-consentry-principal", ADA),
        ("x-consentry-reason", "forged"),
        ("x-consentry-revision", "forged"),
        ("x-consentry-policies", "forged"),
        ("x-consentry-valid-until", "forged"),
    ];
    let (answer, seen) = world.ask("GET /status", None, &forged);
    assert_eq!((answer.second_word(), seen.len()), ("200", 1));
    assert!(principals(&seen).iter().all(String::is_empty), "{:?}", principals(&seen));
    let forged: Vec<&String> =
        seen[0].headers.iter().filter(|(_, value)| value == b"forged").map(|(name, _)| name).collect();
    assert_eq!(forged, [""; 0]);
    let (answer, seen) = world.ask(LIVE, Some("olga"), &[("x-consentry-principal", ADA)]);
    assert_eq!((answer.second_word(), seen.len()), ("200", 1));
    assert_eq!(principals(&seen), [OLGA]);
    let (_, seen) = world.ask(LIVE, Some("olga"), &[("x_consentry_principal", ADA)]);
    assert!(principals(&seen).iter().all(|principal| principal == OLGA), "{:?}", principals(&seen));
}

fn without_an_answer_nothing_passes(kind: Kind) {
    let world = World::start(kind);
    world.villa();
    world.passes(LIVE, Some("olga"));
    world.server.signal("-KILL");
    until("nobody answers", || TcpStream::connect(("127.0.0.1", world.server.port)).is_err());
    for line in [LIVE, "GET /status"] {
        let (answer, seen) = world.ask(line, Some("olga"), &[]);
        assert!(
            seen.is_empty() && ["403", "500", "502", "503"].contains(&answer.second_word()),
            "{answer:?}"
        );
    }
}

fn envoy_is_told_why_in_its_metadata(kind: Kind) {
    let world = World::start(kind);
    world.villa();
    world.refused(LIVE, Some("ada"), "403", "no_grant");
    until("it is logged", || world.said.lock().unwrap().contains("access /sites/villa/devices/cam-7/live"));
    let said = world.said.lock().unwrap().clone();
    let (_, metadata) = said.lines().find_map(|line| line.strip_prefix("access ")?.split_once(' ')).unwrap();
    let metadata: Value = serde_json::from_str(metadata).unwrap();
    let expected = [("decision", "deny"), ("reason", "no_grant"), ("principal", ADA), ("action", "liveView")];
    for (name, value) in expected {
        assert_eq!(metadata.get(name), Some(&json!(value)), "{metadata}");
    }
}

/// Says `x-seen: yes` in each request, and that it has no body; takes `x-secret` away, and answers requests with an
/// `x-stop` itself.
const PLUGIN: &str = r#"(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "x-seen") (data (i32.const 80) "yes") (data (i32.const 96) "x-secret") (data (i32.const 112) "x-stop")
  (data (i32.const 144) "content-length") (data (i32.const 160) "0")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 32768))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 0) (i32.const 64) (i32.const 6) (i32.const 80) (i32.const 3)))
    (drop (call $replace (i32.const 0) (i32.const 144) (i32.const 14) (i32.const 160) (i32.const 1)))
    (drop (call $remove (i32.const 0) (i32.const 96) (i32.const 8)))
    (i32.store (i32.const 132) (i32.const 0))
    (drop (call $get (i32.const 0) (i32.const 112) (i32.const 6) (i32.const 128) (i32.const 132)))
    (if (result i32) (i32.load (i32.const 132))
      (then
        (drop (call $respond (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 80) (i32.const 3) (i32.const 0)
          (i32.const 0) (i32.const -1)))
        (i32.const 1))
      (else (i32.const 0)))))"#;

fn what_plugins_do_to_requests_is_done(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.wat");
    fs::write(&file, PLUGIN).unwrap();
    let plugin = format!(
        "plugins=[{{ name = \"it\", file = \"{}\", settings = {{ limits = {{ deadline_ms = 10000 }} }} }}]",
        file.display()
    );
    let world = World::with(kind, &["--set", &plugin]);
    world.villa();
    let (answer, seen) = world.ask(LIVE, Some("olga"), &[("x-secret", "hush"), ("x-other", "1")]);
    assert_eq!((answer.second_word(), seen.len()), ("200", 1), "{answer:?}");
    let header = |name: &str| seen[0].get(name).map(String::from_utf8_lossy);
    assert_eq!((header("x-seen"), header("x-secret")), (Some("yes".into()), None));
    assert_eq!((header("x-other"), header("x-consentry-principal")), (Some("1".into()), Some(OLGA.into())));
    // What is left of a body that is said to be shorter would be a request of its own.
    let token = fs::read_to_string(repository().join("tests/gateways/tokens/olga.jwt")).unwrap();
    let put = Message::new("PUT /sites/villa/devices/cam-7/settings HTTP/1.1")
        .header("host", "video.example.com")
        .header("authorization", format!("Bearer {}", token.trim()))
        .header("connection", "close")
        .body("GET /status HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = ask(world.port, &put).unwrap();
    let seen = world.upstream.seen();
    assert_eq!((answer.second_word(), seen.len()), ("200", 1), "{answer:?}");
    assert_eq!((seen[0].first_word(), &seen[0].body), ("PUT", &put.body));
    let (answer, seen) = world.ask(LIVE, Some("olga"), &[("x-stop", "1")]);
    assert_eq!((answer.second_word(), answer.body.as_slice(), seen.len()), ("418", &b"yes"[..], 0));
    // A plugin lets nothing pass that policies do not.
    world.refused(LIVE, Some("ada"), "403", "no_grant");
}

type Test = fn(Kind);

fn main() {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 4] = [
        (
            "what the owner accepts passes until it is withdrawn",
            what_the_owner_accepts_passes_until_it_is_withdrawn,
        ),
        (
            "what is not mapped or asked by nobody does not pass",
            what_is_not_mapped_or_asked_by_nobody_does_not_pass,
        ),
        ("nobody says for the gateway who they are", nobody_says_for_the_gateway_who_they_are),
        ("without an answer nothing passes", without_an_answer_nothing_passes),
    ];
    let mut trials = Vec::new();
    let mut add = |kind: Kind, name: &str, test: Test| {
        let name = format!("{}: {name}", kind.name());
        let run = move || -> Result<(), Failed> {
            test(kind);
            Ok(())
        };
        trials.push(Trial::test(name, run).with_ignored_flag(kind.program().is_none()));
    };
    for kind in [Kind::EnvoyGrpc, Kind::EnvoyHttp, Kind::Nginx, Kind::Caddy] {
        tests.iter().for_each(|(name, test)| add(kind, name, *test));
    }
    add(Kind::EnvoyGrpc, "it is told why in its metadata", envoy_is_told_why_in_its_metadata);
    add(Kind::EnvoyGrpc, "what plugins do to requests is done", what_plugins_do_to_requests_is_done);
    libtest_mimic::run(&arguments, trials).exit();
}
