use std::path::{Path, PathBuf};

use consentry_wasm_host::{Capability, Cause, HttpHead, Instances, Limits, Settings, Verdict};

use crate::fixture::{Fixture, bare, continued, failed, patient, responded};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A plugin of `guests`, if it was built.
fn guest(name: &str) -> Option<Vec<u8>> {
    let read = std::fs::read(folder("../target/guests").join(name).with_extension("wasm")).ok();
    if read.is_none() {
        println!("skipped: {name} is not built: bash wasm-host/guests/build");
    }
    read
}

fn live(installer: &str) -> HttpHead {
    HttpHead::new("GET", "/sites/villa/devices/cam-7/live").header("x-installer", installer)
}

/// A host with the plugin, granted what it needs.
fn with(plugin: &[u8], granted: &[Capability], instances: Instances) -> Fixture {
    let fixture = Fixture::new();
    // A debug build compiles and runs plugins of JavaScript on busy machines, too.
    let limits = patient();
    let granted = granted.iter().copied().collect();
    fixture.host.load("it", plugin, Settings { granted, instances, limits, ..bare() }).unwrap();
    fixture
}

#[test]
fn the_gatekeepers_let_pass_what_is_allowed_and_nothing_else() {
    for name in ["rust-component", "rust-proxy-wasm"] {
        let Some(plugin) = guest(name) else { continue };
        for instances in [Instances::Shared, Instances::Fresh] {
            let fixture = with(&plugin, &[Capability::Evaluate], instances);
            for _ in 0..3 {
                let head = continued(fixture.host.on_request(&live("ivan").header("x-consentry", "forged")));
                assert_eq!(head.headers.text("x-consentry"), Some("allow"), "{name}");
                assert_eq!(
                    head.headers.iter().filter(|(name, _)| *name == b"x-consentry").count(),
                    1,
                    "{name}"
                );
                let (response, cause) = responded(fixture.host.on_request(&live("eve")));
                assert_eq!((response.status, cause), (403, Cause::Plugin("it".to_owned())), "{name}");
                assert_eq!(response.headers.text("x-consentry-reason"), Some("no_grant"), "{name}");
            }
            for other in [
                HttpHead::new("GET", "/sites/villa/devices/cam-7/live"),
                HttpHead::new("GET", "/elsewhere").header("x-installer", "ivan"),
                live("ivan").header("x-installer", "olga"),
                live("i\"van"),
                live("ivan").header("x-other", b"\xff"),
            ] {
                let passes = other.headers.get(b"x-other").is_some();
                let verdict = fixture.host.on_request(&other);
                assert_eq!(matches!(verdict, Verdict::Continue { .. }), passes, "{name}: {other:?}");
            }
            assert_eq!(fixture.host.standing()[0].failures, 0, "{name}");
        }
    }
}

#[test]
fn the_mappings_say_what_a_request_stands_for_and_the_host_asks() {
    for name in ["rust-mapping", "js-mapping"] {
        let Some(plugin) = guest(name) else { continue };
        let fixture = with(&plugin, &[], Instances::Shared);
        let Verdict::Continue { asked, .. } = fixture.host.on_request(&live("ivan")) else {
            panic!("{name}")
        };
        assert_eq!(asked[0].request.principal.to_string(), "Installer::\"ivan\"", "{name}");
        assert_eq!(asked[0].request.action, "liveView", "{name}");
        assert_eq!(asked[0].request.resource.to_string(), "Device::\"cam-7\"", "{name}");
        assert_eq!(
            responded(fixture.host.on_request(&live("eve"))).1,
            Cause::Denied("no_grant".to_owned()),
            "{name}"
        );
        assert_eq!(responded(fixture.get("/elsewhere")).1, Cause::Denied("unmapped".to_owned()), "{name}");
    }
}

#[test]
fn the_filter_in_c_marks_what_it_lets_pass() {
    let Some(plugin) = guest("c-proxy-wasm") else { return };
    let fixture = with(&plugin, &[], Instances::Shared);
    for _ in 0..1_000 {
        let head = continued(fixture.host.on_request(&live("ivan")));
        assert_eq!(head.headers.text("x-seen-by"), Some("c"));
    }
    assert_eq!(responded(fixture.get("/")).0.status, 401);
    assert_eq!(fixture.host.standing()[0].instances, 1);
}

#[test]
fn each_nasty_one_ends_as_its_file_says() {
    let mut tried = 0;
    for entry in std::fs::read_dir(folder("guests/nasty")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let expected = text.lines().find_map(|line| line.strip_prefix(";; expect: ")).unwrap();
        let fixture = Fixture::new();
        let limits = Limits { deadline_ms: 1_000, start_deadline_ms: 1_000, ..patient() };
        match fixture.load(&text, Settings { limits, ..bare() }) {
            Ok(()) => assert_eq!(failed(fixture.get("/")).name(), expected, "{text}"),
            Err(error) => assert_eq!(error.code.name(), expected, "{text}"),
        }
        tried += 1;
    }
    assert_eq!(tried, 8);
}
