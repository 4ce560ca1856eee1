//! Modules of whatever content through loading, starting and a request: there is an answer, and the host serves on.
#![no_main]

use std::sync::LazyLock;

use consentry::{Engine, MemoryLedger};
use consentry_wasm_host::{Cause, FailureKind, Host, HttpHead, Limits, SandboxSettings, Settings, Verdict};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use wasm_smith::Config;

#[path = "../../wasm-host/tests/plugins/functions.rs"]
#[expect(dead_code, reason = "WASI would be imported as the other functions are")]
mod functions;

/// What modules may import, and must export.
static FORM: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let imports: String = functions::FUNCTIONS
        .iter()
        .map(|(name, parameters)| functions::import("env", name, parameters, "I"))
        .collect();
    let exports = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_context_create") (param i32 i32) unreachable)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_done") (param i32) (result i32) unreachable))"#;
    (wat::parse_str(format!("(module {imports})")).unwrap(), wat::parse_str(exports).unwrap())
});

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let sandbox = SandboxSettings { instances: 10, ..SandboxSettings::default() };
    Host::builder(Engine::open(MemoryLedger::new()).unwrap()).sandbox(sandbox).build().unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    // What is no module at all, too.
    let limits =
        Limits { deadline_ms: 20, start_deadline_ms: 20, pause_deadline_ms: 20, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    HOST.load("bytes", bytes, settings.clone()).ok();
    HOST.unload("bytes");
    let form = Config {
        available_imports: Some(FORM.0.clone()),
        exports: Some(FORM.1.clone()),
        max_memory32_bytes: 64 << 20,
        ..Config::default()
    };
    let Ok(module) = wasm_smith::Module::new(form, &mut Unstructured::new(bytes)) else { return };
    let module = module.to_bytes();
    if HOST.load("it", &module, settings).is_ok() {
        for _ in 0..2 {
            if let Verdict::Respond { cause: Cause::Failed(failure), .. } =
                HOST.on_request(&HttpHead::new("GET", "/"))
            {
                assert_ne!(failure.kind, FailureKind::Host, "{failure}");
            }
        }
        HOST.unload("it");
    }
    assert!(HOST.standing().is_empty());
    assert!(matches!(HOST.on_request(&HttpHead::new("GET", "/")), Verdict::Continue { .. }));
});
