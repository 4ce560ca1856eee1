use std::thread;
use std::time::Duration;

use consentry_wasm_host::{
    Capability, Connection, FailureKind, Frame, Headers, HttpHead, Instances, Limits, LoadCode, OnFailure,
    Output, SandboxSettings, Settings,
};

use crate::fixture::{Fixture, bare, continued, failed, granted, module, module_with, patient};

/// Does `body` when the path of a request begins with `/bad`, and nothing otherwise.
fn on_bad(body: &str) -> String {
    module(&format!(
        r#"
  (data (i32.const 0) ":path")
  (func $spin (loop $again (br $again)))
  (func $deep (param i64) (result i64)
    (i64.add (i64.const 1) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
    (global.set $next (i32.const 32768))
    (if (i32.eq (i32.load (i32.load (i32.const 16))) (i32.const 0x6461622f)) (then {body}))
    (i32.const 0))"#
    ))
}

/// A deadline that no request misses by chance, on whatever machine this runs.
fn short() -> Settings {
    Settings { limits: Limits { deadline_ms: 1_000, ..patient() }, ..granted() }
}

/// Whatever it was: other requests go on, with another instance.
fn goes_on(fixture: &Fixture) {
    for _ in 0..20 {
        continued(fixture.get("/good"));
    }
}

#[test]
fn a_plugin_that_spins_costs_its_request_its_deadline_and_nothing_else() {
    let fixture = Fixture::of(&on_bad("(call $spin)"), short());
    let spinning: Vec<_> = (0..2)
        .map(|_| {
            let host = fixture.host.clone();
            thread::spawn(move || host.on_request(&consentry_wasm_host::HttpHead::new("GET", "/bad")))
        })
        .collect();
    for _ in 0..1_000 {
        continued(fixture.get("/good"));
    }
    for request in spinning {
        assert_eq!(failed(request.join().unwrap()), FailureKind::Deadline);
    }
    goes_on(&fixture);
    assert_eq!(fixture.host.standing()[0].failures, 2);
}

#[test]
fn a_trap_costs_one_request() {
    let fixture = Fixture::of(&on_bad("(unreachable)"), short());
    for _ in 0..50 {
        assert_eq!(failed(fixture.get("/bad")), FailureKind::Trap);
        goes_on(&fixture);
    }
    let failures = fixture.heard.failures.lock().unwrap();
    assert!(failures[0].message.contains("unreachable"), "{}", failures[0].message);
}

#[test]
fn a_call_without_end_runs_out_of_stack() {
    let fixture = Fixture::of(&on_bad("(drop (call $deep (i64.const 0)))"), short());
    assert_eq!(failed(fixture.get("/bad")), FailureKind::Stack);
    goes_on(&fixture);
}

#[test]
fn memory_ends_at_its_limit() {
    let grow =
        "(if (i32.ne (memory.grow (i32.const 1000)) (i32.const -1)) (then (call $spin))) (unreachable)";
    let fixture = Fixture::of(&on_bad(grow), short());
    assert_eq!(failed(fixture.get("/bad")), FailureKind::Memory);
    goes_on(&fixture);
}

#[test]
fn requests_that_fail_keep_nobody_else_out() {
    let fixture = Fixture::of(&on_bad("(unreachable)"), short());
    for _ in 0..30 {
        assert_eq!(failed(fixture.get("/bad")), FailureKind::Trap);
    }
    continued(fixture.get("/good"));
}

#[test]
fn a_plugin_that_does_not_start_any_more_is_left_alone_for_a_moment() {
    // A request spoils what is shared, and traps; whoever starts after that refuses.
    let wat = module_with(
        r#"(import "env" "proxy_get_shared_data" (func $shared (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"
  (data (i32.const 0) "k")
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (i32.ne (i32.const 0) (call $shared (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 20) (i32.const 24))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $share (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0)))
    (unreachable))"#,
    );
    let fixture = Fixture::of(&wat, short());
    let kinds: Vec<_> = (0..13).map(|_| failed(fixture.get("/"))).collect();
    assert_eq!(kinds[0], FailureKind::Trap);
    assert_eq!(&kinds[1..11], &[FailureKind::Start; 10]);
    assert_eq!(&kinds[11..], &[FailureKind::BackingOff; 2]);
}

#[test]
fn a_request_goes_on_without_an_open_plugin_that_fails() {
    let fixture = Fixture::of(&on_bad("(unreachable)"), Settings { on_failure: OnFailure::Open, ..short() });
    let head = continued(fixture.get("/bad"));
    assert_eq!(head.headers.text(":path"), Some("/bad"));
    assert_eq!(fixture.heard.failures.lock().unwrap().len(), 1);
}

#[test]
fn an_allocator_that_lies_gains_nothing() {
    for body in ["(i32.const 0)", "(i32.const -1)", "(i32.const 65535)", "(unreachable)", "(call $add_in_it)"]
    {
        let wat = r#"(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) ":pathabc")
  (func (export "proxy_abi_version_0_2_1"))
  (func $add_in_it (result i32)
    (call $add (i32.const 0) (i32.const 5) (i32.const 1) (i32.const 6) (i32.const 1)))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) BODY)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.eqz (call $get (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 20)))
      (then (unreachable)))
    (i32.const 0)))"#;
        let fixture = Fixture::of(&wat.replace("BODY", body), short());
        let verdict = fixture.get("/path");
        match body {
            "(unreachable)" => assert_eq!(failed(verdict), FailureKind::Trap),
            // 10, INTERNAL_FAILURE, is an address too: what was to be written fits there, and nothing was added.
            "(call $add_in_it)" => assert_eq!(failed(verdict), FailureKind::Trap),
            _ => assert_eq!(continued(verdict).headers.len(), 4, "{body}"),
        }
    }
}

#[test]
fn no_bytes_of_a_request_are_seen_by_the_next_instance() {
    // It writes over a page of its memory, and traps if it finds it written already.
    let dirty = module(
        r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $at i32)
    (loop $next
      (if (i32.load (local.get $at)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 65536))))
    (memory.fill (i32.const 0) (i32.const 0xaa) (i32.const 65536))
    (i32.const 0))"#,
    );
    let fresh = Fixture::of(&dirty, Settings { instances: Instances::Fresh, ..short() });
    for _ in 0..200 {
        continued(fresh.get("/"));
    }
    let shared = Fixture::of(&dirty, short());
    continued(shared.get("/"));
    assert_eq!(failed(shared.get("/")), FailureKind::Trap, "this test can see what is left behind");
}

#[test]
fn without_room_for_an_instance_a_request_is_refused_and_the_next_is_not() {
    let limits = Limits { instances: 2, ..patient() };
    let fixture = Fixture::of(&on_bad(""), Settings { limits, ..granted() });
    let connection = consentry_wasm_host::Connection::default();
    let hold = || {
        let mut exchange = fixture.host.exchange(connection);
        let head = consentry_wasm_host::HttpHead::new("GET", "/").headers;
        exchange.request(consentry_wasm_host::Frame::Head(head, true));
        exchange
    };
    let held = [hold(), hold()];
    assert_eq!(failed(fixture.get("/")), FailureKind::Exhausted);
    drop(held);
    continued(fixture.get("/"));
}

#[test]
fn a_pool_that_is_used_up_leaves_the_other_plugins_alone() {
    let sandbox = SandboxSettings { instances: 3, ..SandboxSettings::default() };
    let fixture = Fixture::with(|builder| builder.sandbox(sandbox));
    fixture.load(&on_bad(""), granted()).unwrap();
    fixture.host.load("other", on_bad("").as_bytes(), granted()).unwrap();
    let exchanges: Vec<_> = (0..2)
        .map(|_| {
            let mut exchange = fixture.host.exchange(consentry_wasm_host::Connection::default());
            let head = consentry_wasm_host::HttpHead::new("GET", "/").headers;
            exchange.request(consentry_wasm_host::Frame::Head(head, true));
            exchange
        })
        .collect();
    assert_eq!(failed(fixture.get("/")), FailureKind::Exhausted);
    drop(exchanges);
    continued(fixture.get("/"));
}

#[test]
fn all_of_a_start_has_one_deadline() {
    // Each of its two callbacks takes 600 ms.
    let wat = r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func $now (result i64) (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 0))) (i64.load (i32.const 0)))
  (func $wait
    (local $until i64)
    (local.set $until (i64.add (call $now) (i64.const 600000000)))
    (loop $again (br_if $again (i64.lt_u (call $now) (local.get $until)))))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $wait) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $wait) (i32.const 1)))"#;
    let limits = Limits { start_deadline_ms: 1_000, ..patient() };
    let error = Fixture::new().load(wat, Settings { limits, ..granted() }).unwrap_err();
    assert_eq!(error.code, LoadCode::StartDeadline, "{error}");
    Fixture::new().load(wat, granted()).unwrap();
}

#[test]
fn an_instance_with_a_timer_or_a_queue_is_kept() {
    for granted in [Capability::Ticks, Capability::Shared] {
        let settings = Settings { granted: [granted].into(), ..bare() };
        let fixture = Fixture::of(&on_bad(""), settings);
        let begin = |_| {
            let mut exchange = fixture.host.exchange(Connection::default());
            exchange.request(Frame::Head(HttpHead::new("GET", "/").headers, true));
            exchange
        };
        drop((0..3).map(begin).collect::<Vec<_>>());
        for _ in 0..10_100 {
            continued(fixture.get("/"));
        }
        assert_eq!(fixture.host.standing()[0].instances, 3);
    }
}

#[test]
fn instances_that_are_not_needed_any_more_are_given_back() {
    let fixture = Fixture::of(&on_bad(""), Settings { started: 2, ..bare() });
    let instances = || fixture.host.standing()[0].instances;
    let begin = |_| {
        let mut exchange = fixture.host.exchange(Connection::default());
        exchange.request(Frame::Head(HttpHead::new("GET", "/").headers, true));
        exchange
    };
    drop((0..20).map(begin).collect::<Vec<_>>());
    assert_eq!(instances(), 20);
    for _ in 0..9_900 {
        continued(fixture.get("/"));
    }
    assert_eq!(instances(), 20);
    for _ in 0..200 {
        continued(fixture.get("/"));
    }
    assert_eq!(instances(), 2, "those that were asked for stay");
}

#[test]
fn what_fails_at_its_start_is_not_loaded_and_what_was_there_stays() {
    let start = |body: &str| {
        format!("(module (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")) {body})")
    };
    let fixture = Fixture::of(&on_bad(""), short());
    for (body, code) in [
        ("(func $s unreachable) (start $s)", LoadCode::Start),
        ("(func $s (loop $l (br $l))) (start $s)", LoadCode::StartDeadline),
        ("(func (export \"_initialize\") unreachable)", LoadCode::Start),
        ("(func (export \"_start\") (loop $l (br $l)))", LoadCode::StartDeadline),
        (
            "(func (export \"proxy_on_vm_start\") (param i32 i32) (result i32) (i32.const 0))",
            LoadCode::Configuration,
        ),
        (
            "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) (i32.const 0))",
            LoadCode::Configuration,
        ),
        ("(func (export \"proxy_on_configure\") (param i32 i32) (result i32) unreachable)", LoadCode::Start),
        ("(memory 100000)", LoadCode::Malformed),
        ("(table 20001 funcref)", LoadCode::Start),
    ] {
        let start_deadline_ms = if code == LoadCode::StartDeadline { 1_000 } else { 30_000 };
        let limits = Limits { start_deadline_ms, ..patient() };
        let error = fixture.load(&start(body), Settings { limits, ..granted() }).unwrap_err();
        assert_eq!(error.code, code, "{body}: {error}");
        goes_on(&fixture);
    }
}

#[test]
fn a_plugin_that_never_has_done_with_its_requests_does_not_keep_them_all() {
    let wat = module("(func (export \"proxy_on_done\") (param i32) (result i32) (i32.const 0))");
    let fixture = Fixture::of(&wat, short());
    for _ in 0..500 {
        continued(fixture.get("/"));
    }
    // Each time that an instance had too many of them, it was dropped.
    assert_eq!(fixture.host.standing()[0].failures, 4);
}

#[test]
fn names_of_metrics_have_an_end() {
    let wat = module_with(
        r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))"#,
        r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.ne (i32.const 10) (call $define (i32.const 0) (i32.const 64) (i32.const 201) (i32.const 0))) (then (unreachable)))
    (if (call $define (i32.const 0) (i32.const 64) (i32.const 200) (i32.const 0)) (then (unreachable)))
    (i32.const 0))"#,
    );
    continued(Fixture::of(&wat, short()).get("/"));
}

#[test]
fn a_timer_that_takes_longer_than_its_period_holds_no_request() {
    let wat = module(
        r#"
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (drop (call $tick (i32.const 1))) (i32.const 1))
  (func (export "proxy_on_tick") (param i32)
    (local $times i32)
    (loop $again
      (local.set $times (i32.add (local.get $times) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $times) (i32.const 10000000)))))"#,
    );
    let fixture = Fixture::of(&wat, short());
    for _ in 0..100 {
        continued(fixture.get("/"));
    }
}

#[test]
fn a_timer_that_fails_costs_a_request_of_which_nothing_is_held_no_more_than_its_plugin() {
    // It sees the request, and fails before the answer comes.
    let wat = module(
        r#"
  (global $seen (mut i32) (i32.const 0))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (drop (call $tick (i32.const 1))) (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (global.set $seen (i32.const 1)) (i32.const 0))
  (func (export "proxy_on_tick") (param i32) (if (global.get $seen) (then (unreachable))))"#,
    );
    for (on_failure, status) in [(OnFailure::Open, "200"), (OnFailure::Closed, "503")] {
        let fixture = Fixture::of(&wat, Settings { on_failure, ..granted() });
        let mut exchange = fixture.host.exchange(Connection::default());
        exchange.request(Frame::Head(HttpHead::new("GET", "/").headers, true));
        assert!(matches!(exchange.output(), Some(Output::Upstream(Frame::Head(_, true)))));
        while fixture.host.standing()[0].failures == 0 {
            exchange.wait(Duration::from_millis(10));
        }
        exchange.wait(Duration::ZERO);
        exchange.response(Frame::Head(Headers::from_iter([(":status", "200")]), true));
        match exchange.output() {
            Some(Output::Client(Frame::Head(head, true))) => assert_eq!(head.text(":status"), Some(status)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_ends_once_however_often_its_plugin_says_that_it_is_done() {
    let wat = module_with(
        r#"(import "env" "proxy_done" (func $done (result i32)))"#,
        r#"
  (data (i32.const 0) "gone")
  (func (export "proxy_on_done") (param i32) (result i32) (drop (call $done)) (i32.const 1))
  (func (export "proxy_on_log") (param i32) (drop (call $done)))
  (func (export "proxy_on_delete") (param i32) (drop (call $log (i32.const 2) (i32.const 0) (i32.const 4))))"#,
    );
    let fixture = Fixture::of(&wat, granted());
    for _ in 0..2 {
        continued(fixture.get("/"));
        assert_eq!(fixture.lines(), ["info it: gone"]);
    }
}

#[test]
fn a_property_with_an_endless_path_is_not_there() {
    let wat = module_with(
        r#"(import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))"#,
        r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (memory.grow (i32.const 400)))
    (if (i32.ne (i32.const 1) (call $property (i32.const 65536) (i32.const 26000000) (i32.const 0) (i32.const 4)))
      (then (unreachable)))
    (i32.const 0))"#,
    );
    continued(Fixture::of(&wat, short()).get("/"));
}

#[test]
fn a_question_that_is_too_large_is_not_even_read() {
    let wat = module(
        r#"
  (data (i32.const 0) "consentry.evaluate")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (memory.grow (i32.const 10)))
    (if (i32.ne (i32.const 2) (call $foreign (i32.const 0) (i32.const 18) (i32.const 65536) (i32.const 65537) (i32.const 200) (i32.const 204)))
      (then (unreachable)))
    (i32.const 0))"#,
    );
    let fixture = Fixture::of(&wat, short());
    continued(fixture.get("/"));
    assert_eq!(fixture.lines(), ["warn it: its question is too large"]);
}
