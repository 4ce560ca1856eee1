//! The same plugins in Envoy and in our gateway.
//!
//! What Envoy does is kept in `gateways/envoy.golden`, for where there is no Envoy; `UPDATE_GOLDEN=1` writes it anew.
//! `guests/build` makes the plugins. Without Envoy, or without the plugins, there is nothing to compare.

#![cfg(test)]

mod support {
    pub(crate) mod gateway; // gateways as processes
    pub(crate) mod http; // a client, and messages
    pub(crate) mod upstream; // what gateways stand in front of
}

mod gateways {
    pub(crate) mod cases; // what is sent
    pub(crate) mod differences; // where ours is other than Envoy, and why
    pub(crate) mod golden; // all that came of it, in a file
    pub(crate) mod observation; // what came of it
}

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateways::cases::{FAULTS, groups};
use gateways::differences::DIFFERENCES;
use gateways::golden::{self, Told};
use gateways::observation::observe_group;
use support::gateway::{Gateway, Kind, envoy};
use support::http::{Message, Nothing, ask, ask_within};
use support::upstream::Upstream;

/// Where `guests/build` puts plugins.
fn plugins() -> Option<PathBuf> {
    let folder = std::env::var_os("CONSENTRY_PLUGINS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests"));
    let there = folder.join("probe.wasm").is_file();
    if !there {
        println!("skipped: no plugins: wasm-host/guests/build");
    }
    there.then_some(folder)
}

/// Our gateway: the example, which is built with the tests.
fn ours() -> Kind {
    let test = std::env::current_exe().unwrap();
    Kind::Ours(test.parent().unwrap().parent().unwrap().join("examples/gateway"))
}

#[test]
fn envoy_does_what_is_written() {
    let (Some(plugins), Some(envoy)) = (plugins(), envoy()) else { return println!("skipped: no envoy") };
    let now = everything(&envoy, &plugins, &Upstream::start().unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let missing = groups().into_iter().find(|group| now.iter().all(|told| told.group != group.name));
        assert!(missing.is_none(), "without all plugins, not all can be written");
        std::fs::write(GOLDEN, golden::write(&now)).unwrap();
    }
    compare(&golden::read(&std::fs::read_to_string(GOLDEN).unwrap_or_default()), &now);
}

/// Where there is a reason, it does something else: that is written in `gateways/ours.golden`, as is what it does where
/// Envoy fails.
#[test]
fn our_gateway_does_what_envoy_did_or_has_a_reason_not_to() {
    let Some(plugins) = plugins() else { return };
    let now = everything(&ours(), &plugins, &Upstream::start().unwrap());
    let named = |told: &Told| format!("{}: {}", told.group, told.case);
    let reasoned: Vec<&str> = DIFFERENCES.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let (other, same): (Vec<Told>, Vec<Told>) = now
        .into_iter()
        .partition(|told| FAULTS.contains(&told.case.as_str()) || reasoned.contains(&named(told).as_str()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(OURS, golden::write_ours(&other)).unwrap();
    }
    let envoy = golden::read(&std::fs::read_to_string(GOLDEN).unwrap());
    let idle =
        reasoned.iter().find(|case| envoy.iter().any(|told| named(told) == **case && other.contains(told)));
    assert_eq!(idle, None, "nothing is other there");
    let mut written = envoy;
    written.retain(|told| same.iter().any(|one| (&one.group, &one.case) == (&told.group, &told.case)));
    compare(&written, &same);
    compare(&golden::read(&std::fs::read_to_string(OURS).unwrap_or_default()), &other);
}

/// What Envoy did.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateways/envoy.golden");

/// What ours does where that is something else.
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateways/ours.golden");

/// All groups that there are plugins for.
fn everything(kind: &Kind, plugins: &Path, upstream: &Upstream) -> Vec<Told> {
    let mut all = Vec::new();
    for group in &groups() {
        if plugins.join(format!("{}.wasm", group.plugin)).is_file() {
            all.extend(observe_group(kind, group, plugins, upstream));
        } else {
            println!("skipped: {}: no {}.wasm", group.name, group.plugin);
        }
    }
    all
}

/// Each case, as it is written and as it is now. Groups that there is no plugin for are left out.
#[track_caller]
fn compare(written: &[Told], now: &[Told]) {
    let mut differences = String::new();
    let mut differ = |one: &Told, before: &str, after: &str| {
        let title = format!("== {}: {}", one.group, one.case);
        let _ = writeln!(differences, "{title}\n-- written\n{before}\n-- now\n{after}");
    };
    for told in now.iter().filter(|told| !written.contains(told)) {
        let before = written.iter().find(|one| (&one.group, &one.case) == (&told.group, &told.case));
        differ(told, before.map_or("nothing", |one| &one.text), &told.text);
    }
    let tried = |one: &Told| now.iter().any(|told| told.group == one.group);
    for one in written.iter().filter(|one| tried(one)) {
        if !now.iter().any(|told| (&told.group, &told.case) == (&one.group, &one.case)) {
            differ(one, &one.text, "nothing");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// What sets us apart: <https://github.com/envoyproxy/envoy/issues/14126>.
#[test]
fn a_plugin_that_never_returns_holds_envoy_up_for_everybody() {
    let (Some(plugins), Some(envoy)) = (plugins(), envoy()) else { return println!("skipped: no envoy") };
    let upstream = Upstream::start().unwrap();
    let mut gateway = Gateway::start(&envoy, &plugins.join("probe.wasm"), "", upstream.port).unwrap();
    let get =
        |case: &str| Message::new("GET / HTTP/1.1").header("host", "front.example").header("x-case", case);
    assert!(ask(gateway.port, &get("fence")).is_ok());
    let mut spinning = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    get("spin").write(&mut spinning).unwrap();
    assert_eq!(ask_within(Duration::from_secs(2), gateway.port, &get("fence")), Err(Nothing::Silence));
    assert!(gateway.runs());
}
