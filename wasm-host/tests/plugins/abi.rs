use consentry_wasm_host::{LoadCode, MetricValue, Settings};

use crate::fixture::{Fixture, bare, continued, granted, module, module_with};
use crate::functions::{FUNCTIONS, WASI, import};

fn importing(imports: &str) -> String {
    format!("(module {imports} (memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\")))")
}

#[test]
fn all_functions_of_proxy_wasm_are_there_with_the_types_of_its_specification() {
    let mut imports: String =
        FUNCTIONS.iter().map(|(name, parameters)| import("env", name, parameters, "I")).collect();
    for (name, parameters, result) in WASI {
        imports += &import("wasi_snapshot_preview1", name, parameters, result);
        imports += &import("wasi_unstable", name, parameters, result);
    }
    Fixture::new().load(&importing(&imports), bare()).unwrap();
    // Each of them with a parameter more is refused: the one above can fail.
    for (name, parameters) in FUNCTIONS {
        let more = import("env", name, &format!("{parameters}I"), "I");
        let error = Fixture::new().load(&importing(&more), bare()).unwrap_err();
        assert_eq!(error.code, LoadCode::WrongSignature, "{name}: {error}");
    }
}

#[test]
fn a_plugin_reads_its_two_configurations_and_refuses_what_it_does_not_like() {
    let wat = module(
        r#"
  (func $is (param $buffer i32) (param $letter i32) (result i32)
    (drop (call $buffer (local.get $buffer) (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 4)))
    (if (i32.ne (i32.load (i32.const 4)) (i32.const 1)) (then (return (i32.const 0))))
    (i32.eq (i32.load8_u (i32.load (i32.const 0))) (local.get $letter)))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $is (i32.const 6) (i32.const 118)))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $is (i32.const 7) (i32.const 112)))"#,
    );
    let with = |machine: &str, plugin: &str| {
        let settings =
            Settings { vm_configuration: machine.to_owned(), configuration: plugin.to_owned(), ..bare() };
        Fixture::new().load(&wat, settings).map_err(|error| error.code)
    };
    assert_eq!(with("v", "p"), Ok(()));
    assert_eq!(with("x", "p"), Err(LoadCode::Configuration));
    assert_eq!(with("v", "x"), Err(LoadCode::Configuration));
    assert_eq!(with("", ""), Err(LoadCode::Configuration));
}

/// Counts ticks and news of its queue, which a tick puts something into; then it stops its timer.
const WORKING: &str = r#"
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $count (param i32 i64) (result i32)))
  (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
  (import "env" "proxy_enqueue_shared_queue" (func $put (param i32 i32 i32) (result i32)))
  (import "env" "proxy_dequeue_shared_queue" (func $take (param i32 i32 i32) (result i32)))
"#;

#[test]
fn a_plugin_works_without_a_request_when_it_may() {
    let body = r#"
  (data (i32.const 0) "ticksnewsqueue")
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 64)))
    (drop (call $define (i32.const 0) (i32.const 5) (i32.const 4) (i32.const 68)))
    (drop (call $register (i32.const 9) (i32.const 5) (i32.const 72)))
    (drop (call $tick (i32.const 1)))
    (i32.const 1))
  (func (export "proxy_on_tick") (param i32)
    (drop (call $count (i32.load (i32.const 64)) (i64.const 1)))
    (drop (call $put (i32.load (i32.const 72)) (i32.const 0) (i32.const 5)))
    (drop (call $tick (i32.const 0))))
  (func (export "proxy_on_queue_ready") (param i32 i32)
    (if (i32.eqz (call $take (local.get 1) (i32.const 80) (i32.const 84)))
      (then (drop (call $count (i32.load (i32.const 68)) (i64.extend_i32_u (i32.load (i32.const 84))))))))"#;
    let fixture = Fixture::of(&module_with(WORKING, body), granted());
    let counted = || -> Vec<(String, MetricValue)> {
        fixture.host.metrics("it").into_iter().map(|metric| (metric.name, metric.value)).collect()
    };
    // One tick, and the five bytes that it put into the queue.
    let expected =
        [("ticks", 1), ("news", 5)].map(|(name, count)| (name.to_owned(), MetricValue::Counter(count)));
    while counted() != expected {
        assert!(fixture.heard.failures.lock().unwrap().is_empty());
        std::thread::yield_now();
    }
    continued(fixture.get("/"));
}

#[test]
fn what_a_plugin_says_has_an_end() {
    let saying = |times: u32| {
        module(&format!(
            r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $times i32)
    (loop $again
      (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1000)))
      (local.set $times (i32.add (local.get $times) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $times) (i32.const {times}))))
    (i32.const 0))"#
        ))
    };
    let fixture = Fixture::of(&saying(100), granted());
    continued(fixture.get("/"));
    let lines = fixture.lines();
    // 16 KiB, and a line that there was more.
    assert_eq!(lines.len(), 16);
    assert!(lines[15].contains("says more than it may"), "{}", lines[15]);
    continued(fixture.get("/"));
    assert_eq!(fixture.lines().len(), 16, "each call may say as much");
}
