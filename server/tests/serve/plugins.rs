//! Plugins in front of what is asked.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::http::Message;
use crate::identity::{Issuer, jwt, with};
use crate::lifecycle::{OLGA, done, owned};
use crate::process::until;
use crate::server::{Server, command, posted, read, repository};

/// A module of proxy-wasm that does this with the head of each request. At 64 stands `x-user`, at 80 `root`, at 96 `no`, at 112
/// `x-consentry-principal`, at 144 `x-seen`, at 160 a header as a map of one.
fn module(on_head: &str) -> String {
    format!(
        r#"(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "x-user") (data (i32.const 80) "root") (data (i32.const 96) "no")
  (data (i32.const 112) "x-consentry-principal") (data (i32.const 144) "x-seen")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 32768))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {on_head}))"#
    )
}

/// Answers itself with this status, and the body `no`.
fn answers(status: u16) -> String {
    module(&format!(
        "(drop (call $respond (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 96) (i32.const 2) (i32.const 0) \
         (i32.const 0) (i32.const -1))) (i32.const 1)"
    ))
}

/// Says who asks, that it was here, and what only the server says.
const SAYS_WHO: &str = "(drop (call $add (i32.const 0) (i32.const 64) (i32.const 6) (i32.const 80) (i32.const 4)))
    (drop (call $add (i32.const 0) (i32.const 144) (i32.const 6) (i32.const 96) (i32.const 2)))
    (drop (call $add (i32.const 0) (i32.const 112) (i32.const 21) (i32.const 80) (i32.const 4))) (i32.const 0)";

const MAPPING: &str = "[[principal]]\nis = 'Operator::\"{identity.sub}\"'\n\
    [[route]]\npath = \"/sites/{site}\"\naction = \"manageSite\"\nresource = 'Site::\"{site}\"'\n\
    [[route]]\npath = \"/open\"\nopen = true\n";

fn server(folder: &Path, plugin: &str, more: &str) -> Server {
    fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
    fs::write(folder.join("plugin.wat"), plugin).unwrap();
    let config = folder.join("consentry.toml");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\n[policies]\npoll = \"20ms\"\n[ledger]\nmemory = true\n\
         [gateway]\nmapping = \"mapping.toml\"\n[identity.headers]\nsub = \"x-user\"\n\
         [[plugins]]\nname = \"it\"\nfile = \"plugin.wat\"\n\
         [plugins.settings]\nconfiguration = \"hush\"\nlimits = {{ deadline_ms = 10000 }}\n{more}"
    );
    fs::write(&config, text).unwrap();
    Server::start(&["--config", config.to_str().unwrap()])
}

fn asked(server: &Server, path: &str, headers: &[(&str, &str)]) -> Message {
    let mut request = Message::new(&format!("GET /gateway/envoy{path} HTTP/1.1")).header("host", "pdp");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    server.ask(&request)
}

fn header(answer: &Message, name: &str) -> String {
    answer.get(name).map(String::from_utf8_lossy).unwrap_or_default().into_owned()
}

fn question() -> String {
    json!({
        "subject": { "type": "Operator", "id": "root" },
        "action": { "name": "manageSite" },
        "resource": { "type": "Site", "id": "villa" },
    })
    .to_string()
}

#[test]
fn what_a_plugin_answers_lets_nothing_pass() {
    let folder = tempfile::tempdir().unwrap();
    for (status, told) in [(418, "418"), (200, "403"), (503, "503")] {
        let server = server(folder.path(), &answers(status), "");
        let answer = asked(&server, "/open", &[]);
        assert_eq!((answer.second_word(), answer.body.as_slice()), (told, &b"no"[..]), "{status}");
        assert_eq!(
            (header(&answer, "x-consentry-decision"), header(&answer, "x-consentry-reason")),
            ("deny".into(), "plugin".into())
        );
        // Whoever asks by AuthZEN could take a 2xx with the right body for a decision.
        let answer = server.ask(&posted("/access/v1/evaluation", &question()));
        assert_eq!((answer.second_word(), answer.body.as_slice()), (told, &b"no"[..]));
        assert_eq!(server.get("/healthz").0, 200);
    }
}

#[test]
fn what_a_plugin_changes_is_what_the_mapping_sees() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &module(SAYS_WHO), "");
    assert_eq!(header(&asked(&server, "/sites/none", &[]), "x-consentry-reason"), "unknown_resource");
    // Two say who asks: nobody does.
    assert_eq!(
        header(&asked(&server, "/sites/none", &[("x-user", "eve")]), "x-consentry-reason"),
        "unauthenticated"
    );
    let passed = asked(&server, "/open", &[]);
    assert_eq!(
        (passed.second_word(), header(&passed, "x-seen"), header(&passed, "x-user")),
        ("200", "no".into(), "root".into())
    );
    assert_eq!(header(&passed, "x-consentry-principal"), "", "that is said by the server alone");
}

#[test]
fn a_plugin_that_fails_lets_nothing_pass() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &module("(unreachable)"), "");
    let answer = asked(&server, "/open", &[]);
    assert_eq!(
        (answer.second_word(), header(&answer, "x-consentry-reason")),
        ("503", "plugin_failed".into())
    );
    let (status, problem) = read(&server.ask(&posted("/access/v1/evaluation", &question())));
    assert_eq!((status, &problem["code"]), (503, &json!("plugin_failed")));
}

#[test]
fn a_plugin_that_changes_counts_from_then_on_and_a_bad_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &answers(418), "");
    let status = || asked(&server, "/open", &[]).second_word().to_owned();
    assert_eq!(status(), "418");
    fs::write(folder.path().join("plugin.wat"), "(module").unwrap();
    until("it is refused", || server.get("/readyz").1["refused"]["plugins"].is_object());
    assert_eq!(status(), "418");
    fs::write(folder.path().join("plugin.wat"), module("(i32.const 0)")).unwrap();
    until("the new plugin counts", || status() == "200");
    assert!(!server.said.contains("hush"), "what plugins alone shall read is not printed");
}

#[test]
fn what_cannot_be_run_is_said_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |plugins: &str, file: &str| {
        fs::write(folder.path().join("plugin.wat"), file).unwrap();
        let config = folder.path().join("consentry.toml");
        fs::write(&config, format!("[listen]\nhttp = \"127.0.0.1:0\"\n[ledger]\nmemory = true\n{plugins}"))
            .unwrap();
        let config = config.to_str().unwrap();
        let [said, checked] =
            [&["--config", config][..], &["--config", config, "--check"]].map(|arguments| {
                let output = command(arguments).output().unwrap();
                assert_eq!(output.status.code(), Some(2), "{plugins}");
                String::from_utf8(output.stderr).unwrap()
            });
        assert_eq!(said, checked);
        said
    };
    let plugin = |more: &str| format!("[[plugins]]\nname = \"it\"\nfile = \"plugin.wat\"\n{more}");
    let good = module("(i32.const 0)");
    assert!(refused(&plugin(""), "(module").contains("the plugin `it`"));
    assert!(refused(&plugin("[plugins.settings]\ngrantd = []\n"), &good).contains("grantd"));
    assert!(refused(&plugin("[plugins.settings]\nupstreams = [\"x\"]\n"), &good).contains("no upstream"));
    assert!(refused(&plugin("").replace("plugin.wat", "none.wat"), &good).contains("none.wat"));
    assert!(refused(&(plugin("") + &plugin("")), &good).contains("another one of this name"));
}

/// The component that maps requests, if it was built: `wasm-host/guests/build`.
fn mapping_component() -> Option<String> {
    let component = repository().join("target/guests/rust-mapping.wasm");
    if !component.is_file() {
        eprintln!("skipped: no {}", component.display());
        return None;
    }
    Some(component.to_str()?.to_owned())
}

#[test]
fn a_mapping_plugin_comes_before_the_mapping_file() {
    let Some(component) = mapping_component() else { return };
    let plugin = format!(
        "plugins=[{{ name = \"who\", file = \"{component}\", settings = {{ limits = {{ deadline_ms = 10000 }} }} }}]",
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mapping.toml"), MAPPING).unwrap();
    let mapping = format!("gateway.mapping={}", folder.path().join("mapping.toml").display());
    let server = Server::start(&[
        "--listen",
        "127.0.0.1:0",
        "--set",
        "ledger.memory=true",
        "--set",
        &mapping,
        "--set",
        &plugin,
        "--set",
        "identity.headers.sub=x-user",
    ]);
    owned(&server);
    let live = "/sites/villa/devices/cam-7/live";
    let ada = [("x-installer", "ada")];
    let passed = asked(&server, live, &ada);
    assert_eq!(
        (passed.second_word(), header(&passed, "x-consentry-principal")),
        ("200", r#"Installer::"ada""#.into())
    );
    done(&server, OLGA, json!({ "withdrawGrant": { "grant": "inv/liveView/cam-7" } }));
    let denied = asked(&server, live, &ada);
    assert_eq!((denied.second_word(), header(&denied, "x-consentry-reason")), ("403", "grant_ended".into()));
    let problem: Value = serde_json::from_slice(&denied.body).unwrap();
    assert_eq!(problem["code"], "grant_ended");
    // What it takes for nothing, the file says.
    assert_eq!(asked(&server, "/open", &ada).second_word(), "200");
    assert_eq!(header(&asked(&server, live, &[]), "x-consentry-reason"), "unmapped");
    assert_eq!(
        header(&asked(&server, "/sites/villa", &[("x-user", "root")]), "x-consentry-reason"),
        "not_permitted"
    );
}

/// Each sees what those before left of the request; one that takes a request for nothing ends nothing.
#[test]
fn requests_go_through_all_plugins_in_turn() {
    let Some(component) = mapping_component() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("says.wat"), module(SAYS_WHO)).unwrap();
    fs::write(folder.path().join("guard.wat"), answers(418)).unwrap();
    fs::write(folder.path().join("mapping.toml"), MAPPING).unwrap();
    let plugin = |name: &str, file: &str| {
        format!(
            "[[plugins]]\nname = \"{name}\"\nfile = \"{file}\"\n[plugins.settings]\nlimits = {{ deadline_ms = 10000 }}\n"
        )
    };
    let start = |plugins: &[String]| {
        let config = folder.path().join("consentry.toml");
        let text = format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\n[ledger]\nmemory = true\n[gateway]\nmapping = \"mapping.toml\"\n\
             [identity.headers]\nsub = \"x-user\"\n{}",
            plugins.concat()
        );
        fs::write(&config, text).unwrap();
        Server::start(&["--config", config.to_str().unwrap()])
    };
    let (says, maps) = (plugin("says", "says.wat"), plugin("maps", &component));
    let two = start(&[says.clone(), maps.clone()]);
    let passed = asked(&two, "/open", &[]);
    assert_eq!((passed.second_word(), header(&passed, "x-seen")), ("200", "no".into()));
    assert_eq!(header(&asked(&two, "/sites/none", &[]), "x-consentry-reason"), "unknown_resource");
    drop(two);
    let three = start(&[says, maps, plugin("guard", "guard.wat")]);
    let answer = asked(&three, "/open", &[]);
    assert_eq!((answer.second_word(), header(&answer, "x-consentry-reason")), ("418", "plugin".into()));
}

/// Where tokens are verified, a plugin says what is asked, and never who asks.
#[test]
fn a_plugin_does_not_say_that_another_one_asks_than_the_token_does() {
    let Some(component) = mapping_component() else { return };
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    fs::write(folder.path().join("jwks.json"), json!({ "keys": [issuer.jwk()] }).to_string()).unwrap();
    fs::write(folder.path().join("mapping.toml"), "[[principal]]\nis = 'Installer::\"{identity.sub}\"'\n")
        .unwrap();
    let config = folder.path().join("consentry.toml");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\n[ledger]\nmemory = true\n[gateway]\nmapping = \"mapping.toml\"\n{}\
         [[plugins]]\nname = \"maps\"\nfile = \"{component}\"\n[plugins.settings]\nlimits = {{ deadline_ms = 10000 }}\n",
        jwt("jwks.json", "")
    );
    fs::write(&config, text).unwrap();
    let server = Server::start(&["--config", config.to_str().unwrap()]);
    owned(&server);
    let token = |sub: &str| format!("Bearer {}", issuer.token(&with("sub", json!(sub))));
    let (ada, eve) = (token("ada"), token("eve"));
    let told = |headers: &[(&str, &str)]| {
        let answer = asked(&server, "/sites/villa/devices/cam-7/live", headers);
        (answer.second_word().to_owned(), header(&answer, "x-consentry-reason"))
    };
    let answer = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(told(&[("authorization", &ada), ("x-installer", "ada")]), answer("200", ""));
    assert_eq!(told(&[("authorization", &eve), ("x-installer", "ada")]), answer("403", "no_principal"));
    assert_eq!(told(&[("x-installer", "ada")]), answer("401", "unauthenticated"));
    assert_eq!(
        told(&[("authorization", "Bearer x"), ("x-installer", "ada")]),
        answer("401", "unauthenticated")
    );
}
