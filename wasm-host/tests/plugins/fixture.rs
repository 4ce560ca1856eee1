//! A host with an authority that allows Ivan alone, and an observer that remembers.

use std::sync::{Arc, Mutex};

use consentry::policy::{AccessRequest, Evaluation, RequestError};
use consentry::{DenyReason, Timestamp, Uid};
use consentry_wasm_host::{
    Authority, Builder, Capability, Cause, Failure, FailureKind, Host, HttpHead, Level, Limits, LoadError,
    Observer, Response, Settings, Verdict,
};

/// Allows Ivan everything, and nobody else anything.
#[derive(Clone, Default)]
pub(crate) struct Ivan {
    pub(crate) asked: Arc<Mutex<Vec<AccessRequest>>>,
}

impl Authority for Ivan {
    fn evaluate(&self, request: &AccessRequest) -> Result<Evaluation, RequestError> {
        self.asked.lock().unwrap().push(request.clone());
        let allowed = request.principal == Uid::new("Installer", "ivan");
        let json = serde_json::json!({ "decision": if allowed { "allow" } else { "deny" } });
        Ok(Evaluation {
            decision: serde_json::from_value(json["decision"].clone()).unwrap(),
            determining_policies: if allowed { vec!["ivan-may".to_owned()] } else { Vec::new() },
            errors: Vec::new(),
            valid_until: allowed.then(|| Timestamp::from_millis(1_000)),
            revision: 7,
            reason: (!allowed).then_some(DenyReason::NoGrant),
            policy_version: "v".into(),
        })
    }

    fn list(&self, principal: &Uid, _: &Uid) -> Vec<(String, Option<Timestamp>)> {
        if *principal == Uid::new("Installer", "ivan") {
            vec![("liveView".to_owned(), None)]
        } else {
            Vec::new()
        }
    }
}

/// What plugins said, and how they failed.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    pub(crate) failures: Arc<Mutex<Vec<Failure>>>,
}

impl Observer for Heard {
    fn log(&self, plugin: &str, level: Level, message: &str) {
        self.lines.lock().unwrap().push(format!("{} {plugin}: {message}", level.name()));
    }

    fn failed(&self, failure: &Failure) {
        self.failures.lock().unwrap().push(failure.clone());
    }
}

pub(crate) struct Fixture {
    pub(crate) host: Arc<Host>,
    pub(crate) heard: Heard,
    pub(crate) ivan: Ivan,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(set_up: impl FnOnce(Builder) -> Builder) -> Self {
        let (ivan, heard) = (Ivan::default(), Heard::default());
        let builder = Host::builder(ivan.clone()).observer(heard.clone());
        let host = Arc::new(set_up(builder).build().unwrap());
        Self { host, heard, ivan }
    }

    /// A host with one plugin, `it`.
    pub(crate) fn of(wat: &str, settings: Settings) -> Self {
        let fixture = Self::new();
        fixture.host.load("it", wat.as_bytes(), settings).unwrap();
        fixture
    }

    pub(crate) fn load(&self, wat: &str, settings: Settings) -> Result<(), LoadError> {
        self.host.load("it", wat.as_bytes(), settings)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lines.lock().unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Verdict {
        self.host.on_request(&HttpHead::new("GET", path))
    }
}

/// Deadlines that nothing misses by chance, on whatever machine this runs.
pub(crate) fn patient() -> Limits {
    Limits { deadline_ms: 10_000, start_deadline_ms: 30_000, pause_deadline_ms: 30_000, ..Limits::default() }
}

/// Nothing is granted.
pub(crate) fn bare() -> Settings {
    Settings { limits: patient(), ..Settings::default() }
}

/// All that can be granted.
pub(crate) fn granted() -> Settings {
    Settings { granted: Capability::ALL.into_iter().collect(), ..bare() }
}

pub(crate) fn continued(verdict: Verdict) -> HttpHead {
    match verdict {
        Verdict::Continue { head, .. } => head,
        Verdict::Respond { response, cause, .. } => panic!("{response:?} {cause:?}"),
    }
}

pub(crate) fn responded(verdict: Verdict) -> (Response, Cause) {
    match verdict {
        Verdict::Respond { response, cause, .. } => (response, cause),
        Verdict::Continue { head, .. } => panic!("{head:?}"),
    }
}

/// How a plugin failed a request, which was answered 503.
pub(crate) fn failed(verdict: Verdict) -> FailureKind {
    match responded(verdict) {
        (response, Cause::Failed(failure)) => {
            assert_eq!(response.status, 503);
            failure.kind
        }
        (response, cause) => panic!("{response:?} {cause:?}"),
    }
}

/// A module of proxy-wasm with an allocator that starts anew with each request, and `body` in it.
pub(crate) fn module(body: &str) -> String {
    module_with("", body)
}

/// As [`module`], with further imports: they come first in a module.
pub(crate) fn module_with(imports: &str, body: &str) -> String {
    format!(
        r#"(module
  {imports}
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 32768))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (local.get $size)))
    (local.get $at))
{body}
)"#
    )
}
