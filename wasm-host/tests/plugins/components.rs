use std::sync::LazyLock;

use consentry::Uid;
use consentry_wasm_host::{Cause, FailureKind, HttpHead, Instances, Limits, LoadCode, Settings};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::fixture::{Fixture, bare, continued, failed, granted, patient, responded};

static WIT: LazyLock<(Resolve, wit_parser::PackageId)> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/wit")).unwrap();
    (resolve, package)
});

/// A component of a world, made from a module in text.
fn component(world: &str, wat: &str) -> Vec<u8> {
    let (resolve, package) = &*WIT;
    let mut module = wat::parse_str(wat).unwrap();
    let world = resolve.select_world(&[*package], Some(world)).unwrap();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A component of the world `mapping` with an allocator, and `body` as what it does: the address of its answer.
fn mapping(imports: &str, body: &str) -> Vec<u8> {
    component(
        "mapping",
        &format!(
            r#"(module
  {imports}
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 32768))
  (data (i32.const 512) "InstallerivanDeviceliveViewcamolga")
  (func $spin (loop $again (br $again)))
  (func $deep (param i64) (result i64)
    (i64.add (i64.const 1) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  (func $pair (param $at i32) (param $text i32) (param $size i32)
    (i32.store (local.get $at) (local.get $text))
    (i32.store offset=4 (local.get $at) (local.get $size)))
  (func $some (param $id i32)
    (i32.store (i32.const 64) (i32.const 1))
    (call $pair (i32.const 72) (i32.const 512) (i32.const 9))
    (call $pair (i32.const 80) (local.get $id) (i32.const 4))
    (call $pair (i32.const 88) (i32.const 531) (i32.const 8))
    (call $pair (i32.const 96) (i32.const 525) (i32.const 6))
    (call $pair (i32.const 104) (i32.const 539) (i32.const 3)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "access-request-of")
    (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (global.set $next (i32.const 32768))
    {body}
    (i32.const 64)))"#
        ),
    )
}

fn fixture(bytes: &[u8], settings: Settings) -> Fixture {
    let fixture = Fixture::new();
    fixture.host.load("it", bytes, settings).unwrap();
    fixture
}

#[test]
fn what_a_request_stands_for_is_asked_and_only_what_is_allowed_goes_on() {
    let ivan = fixture(&mapping("", "(call $some (i32.const 521))"), bare());
    continued(ivan.get("/"));
    let asked = ivan.ivan.asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked.principal, Uid::new("Installer", "ivan"));
    assert_eq!((asked.action.as_str(), asked.resource), ("liveView", Uid::new("Device", "cam")));

    let olga = fixture(&mapping("", "(call $some (i32.const 542))"), bare());
    let (response, cause) = responded(olga.get("/"));
    assert_eq!((response.status, cause), (403, Cause::Denied("no_grant".to_owned())));
    assert_eq!(response.headers.text("x-consentry-reason"), Some("no_grant"));
    assert_eq!(response.body, b"{\"decision\":\"deny\",\"reason\":\"no_grant\"}\n");
}

#[test]
fn a_request_that_stands_for_nothing_does_not_go_on() {
    let fixture = fixture(&mapping("", ""), bare());
    let (response, cause) = responded(fixture.get("/"));
    assert_eq!((response.status, cause), (403, Cause::Denied("unmapped".to_owned())));
}

#[test]
fn a_component_is_given_the_headers_that_it_asks_for() {
    // Asks for `X-Id`, and says that its only value is who asks; of two, and of none, it makes nothing.
    let imports = r#"(import "consentry:gateway/headers@0.1.0" "get" (func $get (param i32 i32 i32)))
  (data (i32.const 600) "X-Id:path")"#;
    let only = |name: &str| {
        format!(
            "(call $get {name} (i32.const 200))
             (if (i32.ne (i32.load offset=4 (i32.const 200)) (i32.const 1)) (then (return (i32.const 1000))))
             (call $some (i32.load (i32.load (i32.const 200))))"
        )
    };
    let fixture = fixture(&mapping(imports, &only("(i32.const 600) (i32.const 4)")), bare());
    let ask = |heads: HttpHead| fixture.host.on_request(&heads);
    continued(ask(HttpHead::new("GET", "/").header("other", "1").header("x-id", "ivan")));
    let (response, _) = responded(ask(HttpHead::new("GET", "/").header("x-id", "olga")));
    assert_eq!(response.headers.text("x-consentry-reason"), Some("no_grant"));
    for head in
        [HttpHead::new("GET", "/"), HttpHead::new("GET", "/").header("x-id", "ivan").header("X-ID", "ivan")]
    {
        assert_eq!(responded(ask(head)).1, Cause::Denied("unmapped".to_owned()));
    }
    // What a request begins with is no header.
    let imports = r#"(import "consentry:gateway/headers@0.1.0" "all" (func $all (param i32)))"#;
    let alone = "(call $all (i32.const 200))
        (if (i32.ne (i32.load offset=4 (i32.const 200)) (i32.const 1)) (then (return (i32.const 1000))))
        (call $some (i32.load offset=8 (i32.load (i32.const 200))))";
    let all = self::fixture(&mapping(imports, alone), bare());
    continued(all.host.on_request(&HttpHead::new("GET", "/").header("x-id", "ivan")));
    let imports = r#"(import "consentry:gateway/headers@0.1.0" "get" (func $get (param i32 i32 i32)))
  (data (i32.const 600) "X-Id:path")"#;
    let pseudo = self::fixture(&mapping(imports, &only("(i32.const 604) (i32.const 5)")), bare());
    assert_eq!(responded(pseudo.get("ivan")).1, Cause::Denied("unmapped".to_owned()));
}

#[test]
fn whatever_a_component_does_it_costs_its_own_request_at_most() {
    let limits = Limits { deadline_ms: 1_000, ..patient() };
    for instances in [Instances::Shared, Instances::Fresh] {
        for (body, kind) in [
            ("(call $spin)", FailureKind::Deadline),
            ("(unreachable)", FailureKind::Trap),
            ("(drop (call $deep (i64.const 0)))", FailureKind::Stack),
            (
                "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then (unreachable)))",
                FailureKind::Memory,
            ),
            // Its answer points outside its memory.
            ("(call $some (i32.const -4))", FailureKind::Trap),
            // Neither some nor none.
            ("(i32.store8 (i32.const 64) (i32.const 7))", FailureKind::Trap),
        ] {
            let settings = Settings { instances, limits: limits.clone(), ..bare() };
            let fixture = fixture(&mapping("", body), settings);
            for _ in 0..2 {
                assert_eq!(failed(fixture.get("/")), kind, "{body}");
            }
        }
    }
}

#[test]
fn a_component_is_not_linked_to_what_it_is_not_granted() {
    // The world `plugin`, whose start asks for nothing: that it imports `evaluate` is enough.
    let plugin = component(
        "plugin",
        r#"(module
  (import "consentry:gateway/authorization@0.1.0" "evaluate"
    (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "configure") (result i32) (i32.const 64))
  (func (export "on-request") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 128)))"#,
    );
    let fixture = Fixture::new();
    let error = fixture.host.load("it", &plugin, bare()).unwrap_err();
    assert_eq!(error.code, LoadCode::NotGranted);
    assert_eq!(error.message, "it needs `evaluate`, which it is not granted");
    fixture.host.load("it", &plugin, granted()).unwrap();
    // It answers `proceed`, without changes and without standing for anything.
    continued(fixture.get("/"));
}
