//! Who may ask: tokens, certificates, roles, rates.

use std::fs;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::http::{Message, ask};
use crate::process::until;
use crate::server::{Server, posted, read, repository};

/// A token, and its digest.
pub(crate) fn token() -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_consentry")).args(["token", "--json"]).output().unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    (made["token"].as_str().unwrap().to_owned(), made["token_sha256"].as_str().unwrap().to_owned())
}

pub(crate) fn caller(name: &str, role: &str, more: &str) -> String {
    format!("[[callers]]\nname = \"{name}\"\nrole = \"{role}\"\n{more}\n")
}

/// A server on a ledger in memory, configured in `folder`.
fn server(folder: &Path, config: &str) -> Server {
    let path = folder.join("consentry.toml");
    fs::write(&path, config).unwrap();
    Server::start(&["--config", path.to_str().unwrap(), "--set", "ledger.memory=true"])
}

const LOOPBACK: &str = "[listen]\nhttp = \"127.0.0.1:0\"\n";

fn question() -> Value {
    json!({
        "subject": { "type": "Installer", "id": "ivan" },
        "action": { "name": "liveView" },
        "resource": { "type": "Device", "id": "cam-7" },
    })
}

fn command(who: &str) -> Value {
    json!({ "as": who, "do": { "registerCompany": { "company": "acme" } } })
}

fn authorized(request: Message, token: &str) -> Message {
    request.header("authorization", format!("Bearer {token}"))
}

#[test]
fn a_caller_is_known_by_its_token_and_asks_for_what_its_role_includes() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = [token(), token(), token()];
    let roles = ["evaluate", "lifecycle", "admin"];
    let callers: String = roles
        .iter()
        .zip(&tokens)
        .map(|(role, (_, digest))| caller(role, role, &format!("token_sha256 = \"{digest}\"")))
        .collect();
    let server = server(folder.path(), &format!("{LOOPBACK}{callers}"));
    let status = |request: Message| read(&server.ask(&request)).0;
    let get = |path: &str| Message::new(&format!("GET {path} HTTP/1.1")).header("host", "pdp");
    let asked = |token: &str| {
        let evaluation = posted("/access/v1/evaluation", &question().to_string());
        let installer = posted("/v1/commands", &command(r#"Installer::"ivan""#).to_string());
        let operator = posted("/v1/commands", &command(r#"Operator::"root""#).to_string());
        [evaluation, get("/v1/grants"), installer, operator, get("/v1/audit")]
            .map(|request| status(authorized(request, token)))
    };
    assert_eq!(asked(&tokens[0].0), [200, 403, 403, 403, 403]);
    // Ivan is nobody: it is the policies that refuse the command.
    assert_eq!(asked(&tokens[1].0), [200, 200, 403, 403, 403]);
    assert_eq!(asked(&tokens[2].0), [200, 200, 403, 200, 200]);
    assert_eq!(asked("ct_somebodyelse"), [401; 5]);
    let metrics = server.ask(&authorized(get("/metrics"), &tokens[2].0));
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("consentry_turned_away_total{code=\"unauthenticated\"} 5"), "{metrics}");
    for open in ["/healthz", "/readyz", "/.well-known/authzen-configuration", "/v1/openapi.json"] {
        assert_eq!(status(get(open)), 200, "{open}");
    }
}

#[test]
fn who_is_not_known_is_told_how_to_say_it() {
    let folder = tempfile::tempdir().unwrap();
    let (token, digest) = token();
    let config = caller("gateway", "evaluate", &format!("token_sha256 = \"{digest}\""));
    let server = server(folder.path(), &format!("{LOOPBACK}{config}"));
    let evaluation = || posted("/access/v1/evaluation", &question().to_string());
    let refused = |request: Message, challenge: &str| {
        let response = server.ask(&request);
        assert_eq!(response.second_word(), "401");
        assert_eq!(response.get("www-authenticate").map(String::from_utf8_lossy), Some(challenge.into()));
        assert_eq!(response.get("content-type"), Some(&b"application/problem+json"[..]));
    };
    refused(evaluation(), r#"Bearer realm="consentry""#);
    let invalid = r#"Bearer realm="consentry", error="invalid_token""#;
    refused(evaluation().header("authorization", format!("Basic {token}")), invalid);
    refused(evaluation().header("authorization", "Bearer"), invalid);
    refused(evaluation().header("authorization", format!("Bearer {digest}")), invalid);
    refused(authorized(authorized(evaluation(), &token), &token), invalid);
    assert_eq!(
        server.ask(&evaluation().header("authorization", format!("bearer {token}"))).second_word(),
        "200"
    );
    assert!(!server.said.contains(&token));
}

#[test]
fn a_caller_asks_no_more_often_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let ((often, often_digest), (seldom, seldom_digest)) = (token(), token());
    let callers = caller("often", "evaluate", &format!("token_sha256 = \"{often_digest}\""))
        + &caller("seldom", "evaluate", &format!("token_sha256 = \"{seldom_digest}\"\nrate = 2"));
    let server = server(folder.path(), &format!("{LOOPBACK}{callers}"));
    let ask = |token: &str| {
        server.ask(&authorized(posted("/access/v1/evaluation", &question().to_string()), token))
    };
    let answers: Vec<Message> = (0..40).map(|_| ask(&seldom)).collect();
    assert_eq!(answers[0].second_word(), "200");
    let refused = answers.iter().find(|answer| answer.second_word() == "429").unwrap();
    assert_eq!(refused.get("retry-after"), Some(&b"1"[..]));
    assert!((0..40).all(|_| ask(&often).second_word() == "200"));
}

#[test]
fn callers_that_could_be_nobody_or_two_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: &str| {
        let path = folder.path().join("consentry.toml");
        fs::write(&path, config).unwrap();
        let output =
            crate::server::command(&["--config", path.to_str().unwrap(), "--check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let (_, digest) = token();
    let digest = format!("token_sha256 = \"{digest}\"");
    assert!(refused(&caller("x", "evaluate", "")).contains("`x` has neither"));
    assert!(refused(&caller("x", "evaluate", "token_sha256 = \"abc\"")).contains("64 hexadecimal digits"));
    assert!(refused(&caller("x", "owner", &digest)).contains("owner"));
    assert!(refused(&caller("x", "evaluate", "token = \"secret\"")).contains("token"));
    assert!(
        refused(&[caller("x", "admin", &digest), caller("y", "admin", &digest)].concat())
            .contains("`y` has the token")
    );
    assert!(refused(&caller("x", "evaluate", &format!("{digest}\nrate = 0"))).contains("rate"));
}

#[test]
fn with_callers_it_may_listen_on_any_network() {
    let folder = tempfile::tempdir().unwrap();
    let (token, digest) = token();
    let config = caller("gateway", "evaluate", &format!("token_sha256 = \"{digest}\""));
    let server = server(folder.path(), &format!("[listen]\nhttp = \"0.0.0.0:0\"\n{config}"));
    assert_eq!(server.ask(&posted("/access/v1/evaluation", &question().to_string())).second_word(), "401");
    let known = authorized(posted("/access/v1/evaluation", &question().to_string()), &token);
    assert_eq!(server.ask(&known).second_word(), "200");
}

// ---------------------------------------------------------------- TLS

/// Who signs everybody's certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for these names.
    fn signed(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// For a server on loopback, written into `folder`.
    fn server(&self, folder: &Path) {
        let (certificate, key) = self.signed(vec![SanType::IpAddress([127, 0, 0, 1].into())]);
        fs::write(folder.join("server.pem"), certificate).unwrap();
        fs::write(folder.join("server.key"), key).unwrap();
        fs::write(folder.join("clients.pem"), self.0.pem()).unwrap();
    }

    /// Asks over TLS, as whom the certificate names.
    fn ask(&self, port: u16, request: &Message, own: Option<&(String, String)>) -> std::io::Result<Message> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
        request.write(&mut stream)?;
        Message::read(&mut BufReader::new(stream), false)?.ok_or_else(|| std::io::Error::other("nothing"))
    }
}

const TLS: &str =
    "[listen]\nhttps = \"127.0.0.1:0\"\n[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";

#[test]
fn a_certificate_says_who_calls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.server(folder.path());
    let callers = caller("envoy", "evaluate", "certificate = \"spiffe://acme/envoy\"")
        + &caller("portal", "lifecycle", "certificate = \"portal.acme.test\"");
    let server = server(folder.path(), &format!("{TLS}client_ca = \"clients.pem\"\n{callers}"));
    let uri = |uri: &str| authority.signed(vec![SanType::URI(uri.try_into().unwrap())]);
    let dns = |name: &str| authority.signed(vec![SanType::DnsName(name.try_into().unwrap())]);
    let status = |own: Option<&(String, String)>, path: &str| {
        let request = if path.starts_with("/v1") {
            Message::new(&format!("GET {path} HTTP/1.1")).header("host", "pdp")
        } else {
            posted(path, &question().to_string())
        };
        authority.ask(server.port, &request, own).unwrap().second_word().to_owned()
    };
    assert_eq!(status(Some(&uri("spiffe://acme/envoy")), "/access/v1/evaluation"), "200");
    assert_eq!(status(Some(&uri("spiffe://acme/envoy")), "/v1/grants"), "403");
    assert_eq!(status(Some(&dns("portal.acme.test")), "/v1/grants"), "200");
    for nobody in [uri("spiffe://acme/other"), dns("acme.test"), dns("envoy")] {
        assert_eq!(status(Some(&nobody), "/access/v1/evaluation"), "401");
    }
    assert_eq!(status(None, "/access/v1/evaluation"), "401");
    let stranger = Authority::new().signed(vec![SanType::URI("spiffe://acme/envoy".try_into().unwrap())]);
    let request = posted("/access/v1/evaluation", &question().to_string());
    assert!(authority.ask(server.port, &request, Some(&stranger)).is_err());
    let plain = ask(server.port, &request);
    assert!(!plain.is_ok_and(|answer| answer.line.starts_with("HTTP/")), "without TLS");
}

#[test]
fn a_certificate_that_changes_is_shown_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    first.server(folder.path());
    let poll = "[policies]\npoll = \"20ms\"\n";
    let server = server(folder.path(), &format!("{TLS}{poll}"));
    let request = Message::new("GET /healthz HTTP/1.1").header("host", "pdp");
    assert!(first.ask(server.port, &request, None).is_ok());
    fs::write(folder.path().join("server.pem"), "no certificate").unwrap();
    server.signal("-HUP");
    assert!(first.ask(server.port, &request, None).is_ok());
    second.server(folder.path());
    until("the new certificate is shown", || second.ask(server.port, &request, None).is_ok());
    assert!(first.ask(server.port, &request, None).is_err());
}

#[test]
fn keys_and_certificates_that_are_none_are_said_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consentry.toml");
    fs::write(&path, TLS).unwrap();
    let refused = || {
        let output =
            crate::server::command(&["--config", path.to_str().unwrap(), "--check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused().contains("server.pem"));
    Authority::new().server(folder.path());
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(folder.path().join("server.key"), other).unwrap();
    assert!(refused().contains("server.pem"), "a key of another certificate");
    fs::write(folder.path().join("server.key"), "nothing").unwrap();
    assert!(refused().contains("server.key"));
}

#[test]
fn what_is_in_files_is_told_to_callers_who_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (token, digest) = token();
    let known = caller("ops", "evaluate", &format!("token_sha256 = \"{digest}\""));
    fs::create_dir(folder.path().join("policies")).unwrap();
    for entry in fs::read_dir(repository().join("policies")).unwrap().flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), folder.path().join("policies").join(entry.file_name())).unwrap();
        }
    }
    let policies = "[policies]\nfolder = \"policies\"\npoll = \"20ms\"\n";
    let server = server(folder.path(), &format!("{LOOPBACK}{policies}{known}"));
    fs::write(folder.path().join("policies/more.cedar"), "a secret").unwrap();
    let refused = |request: Message| {
        let (status, ready) = read(&server.ask(&request));
        assert_eq!(status, 200);
        ready["refused"]["policies"].clone()
    };
    let ready = || Message::new("GET /readyz HTTP/1.1").header("host", "pdp");
    until("it is refused", || refused(ready()).is_object());
    let stranger = refused(ready());
    assert_eq!((&stranger["code"], stranger.get("message")), (&json!("policy_invalid"), None));
    assert_eq!(refused(authorized(ready(), "ct_other")).get("message"), None);
    assert!(refused(authorized(ready(), &token))["message"].as_str().unwrap().contains("more.cedar"));
}
