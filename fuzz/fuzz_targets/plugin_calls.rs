//! Host functions, called with whatever pointers, lengths and bytes: the host stays whole, the plugin's memory is all that
//! is touched, and what comes out is a request.
//!
//! A plugin in text calls one function after the other, as the body of its request says: a byte for the function, and
//! twelve words for its arguments. Maps of header fields are read from the same bytes.
#![no_main]

use std::fmt::Write as _;
use std::sync::LazyLock;

use consentry::{Engine, MemoryLedger};
use consentry_wasm_host::{
    Capability, Cause, Connection, FailureKind, Frame, Headers, Host, HttpHead, Limits, Output, Settings,
    Verdict,
};
use libfuzzer_sys::fuzz_target;

#[path = "../../wasm-host/tests/plugins/functions.rs"]
#[expect(dead_code, reason = "WASI is called as the other functions are")]
mod functions;

use functions::{FUNCTIONS, import};

/// Bytes of a call in the body.
const RECORD: usize = 49;

/// Calls function `$which` with arguments that stand at `$at`.
fn dispatch() -> String {
    let labels: String = (0..FUNCTIONS.len()).map(|index| format!("$f{index} ")).collect();
    let mut text = "(func $do (param $which i32) (param $at i32)\n".to_owned();
    let open: String = (0..FUNCTIONS.len()).rev().map(|index| format!("(block $f{index} ")).collect();
    let _ = write!(text, "(block $out {open} (br_table {labels} $out (local.get $which)))");
    for (index, (name, parameters)) in FUNCTIONS.iter().enumerate() {
        let mut arguments = String::new();
        for (place, letter) in parameters.chars().enumerate() {
            let load = if letter == 'L' { "i64.load" } else { "i32.load" };
            let _ = write!(arguments, "({load} offset={} (local.get $at)) ", place * 4);
        }
        let _ = write!(text, "(drop (call ${name} {arguments})) (br $out)");
        if index + 1 < FUNCTIONS.len() {
            text.push(')');
        }
    }
    text + "))"
}

static PLUGIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let imports: String = FUNCTIONS
        .iter()
        .map(|(name, parameters)| {
            import("env", name, parameters, "I").replace("(func (param", &format!("(func ${name} (param"))
        })
        .collect();
    let wat = format!(
        r#"(module {imports}
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (local.get 0)))
    (local.get $at))
  {}
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (local $at i32) (local $end i32)
    (global.set $next (i32.const 65536))
    (drop (call $proxy_get_buffer_bytes (i32.const 0) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
    (local.set $at (i32.load (i32.const 0)))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 4))))
    (block $done (loop $next_call
      (br_if $done (i32.gt_u (i32.add (local.get $at) (i32.const {RECORD})) (local.get $end)))
      (call $do (i32.rem_u (i32.load8_u (local.get $at)) (i32.const 39)) (i32.add (local.get $at) (i32.const 1)))
      (local.set $at (i32.add (local.get $at) (i32.const {RECORD})))
      (br $next_call)))
    (i32.const 0)))"#,
        dispatch()
    );
    wat::parse_str(wat).unwrap()
});

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let host = Host::builder(Engine::open(MemoryLedger::new()).unwrap()).build().unwrap();
    // As much as can be shared, logged and counted is little, so that its ends are reached.
    let limits = Limits {
        deadline_ms: 10_000,
        memory_bytes: 1 << 17,
        log_bytes: 100,
        map_pairs: 10,
        map_bytes: 1_000,
        body_bytes: 4_096,
        result_bytes: 100,
        shared_bytes: 1_000,
        metrics: 3,
        ..Limits::default()
    };
    let granted = Capability::ALL.into_iter().filter(|capability| *capability != Capability::Ticks).collect();
    let upstreams = ["up".to_owned()].into();
    host.load("it", &PLUGIN, Settings { limits, granted, upstreams, ..Settings::default() }).unwrap();
    host
});

fn is_whole(headers: &Headers) -> bool {
    headers.iter().all(|(name, value)| Headers::is_field(name, value))
}

fuzz_target!(|bytes: &[u8]| {
    let mut exchange = HOST.exchange(Connection::default());
    exchange.request(Frame::Head(HttpHead::new("POST", "/").header("a", "b").headers, false));
    exchange.request(Frame::Data(bytes.get(..4_000).unwrap_or(bytes).to_vec(), true));
    while let Some(output) = exchange.output() {
        match output {
            Output::Upstream(Frame::Head(headers, _) | Frame::Trailers(headers))
            | Output::Client(Frame::Head(headers, _) | Frame::Trailers(headers)) => {
                assert!(is_whole(&headers))
            }
            Output::Upstream(Frame::Data(body, _)) | Output::Client(Frame::Data(body, _)) => {
                assert!(body.len() <= 4_096);
            }
            Output::Reset => {}
        }
    }
    if let Some(Cause::Failed(failure)) = exchange.cause() {
        assert_ne!(failure.kind, FailureKind::Host, "{failure}");
    }
    drop(exchange);
    assert!(matches!(HOST.on_request(&HttpHead::new("GET", "/")), Verdict::Continue { .. }));
});
