//! Plugins in the text format of WebAssembly.

use std::fmt::Write as _;

/// A module of proxy-wasm with `body` in it. Memory from 4096 on is given out, and never taken back.
pub(crate) fn module(body: &str) -> String {
    format!(
        r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $act_for (param i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $next (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.set $next (i32.add (global.get $next) (local.get $size)))
    (i32.sub (global.get $next) (local.get $size)))
  ;; Whether the path goes on with this letter after "/".
  (data (i32.const 4000) ":path")
  (func $path_is (param $letter i32) (result i32)
    (drop (call $get (i32.const 0) (i32.const 4000) (i32.const 5) (i32.const 4008) (i32.const 4012)))
    (i32.eq (i32.load8_u offset=1 (i32.load (i32.const 4008))) (local.get $letter)))
{body}
)"#
    )
}

/// A callback that does `body` and says `Continue`.
pub(crate) fn on(callback: &str, body: &str) -> String {
    let parameters = if callback.ends_with("trailers") { "i32 i32" } else { "i32 i32 i32" };
    format!(
        "(func (export \"proxy_on_{callback}\") (param {parameters}) (result i32)\n{body} (i32.const 0))\n"
    )
}

/// The texts of a plugin, one after the other in its memory.
#[derive(Default)]
pub(crate) struct Texts(Vec<u8>);

impl Texts {
    /// Where the text is, and how long.
    pub(crate) fn put(&mut self, text: impl AsRef<[u8]>) -> String {
        let at = self.0.len();
        self.0.extend_from_slice(text.as_ref());
        format!("(i32.const {at}) (i32.const {})", text.as_ref().len())
    }

    /// Calls a function that takes a map, a name and a value.
    pub(crate) fn field(&mut self, function: &str, map: u32, name: &str, value: &str) -> String {
        let (name, value) = (self.put(name), self.put(value));
        format!("(drop (call ${function} (i32.const {map}) {name} {value}))\n")
    }

    /// Answers in place of the upstream.
    pub(crate) fn respond(&mut self, status: u16, body: &str) -> String {
        self.respond_with(status, &[], body)
    }

    pub(crate) fn respond_with(&mut self, status: u16, fields: &[(&str, &str)], body: &str) -> String {
        let (body, fields) = (self.put(body), self.put(pairs(fields)));
        format!(
            "(drop (call $respond (i32.const {status}) (i32.const 0) (i32.const 0) {body} {fields} (i32.const -1)))\n"
        )
    }

    pub(crate) fn log(&mut self, message: &str) -> String {
        format!("(drop (call $log (i32.const 2) {}))\n", self.put(message))
    }

    /// Calls `GET /` of an upstream.
    pub(crate) fn call(&mut self, upstream: &str) -> String {
        let (upstream, none) = (self.put(upstream), self.put(""));
        let fields = self.put(pairs(&[(":method", "GET"), (":path", "/"), (":authority", "called")]));
        format!("(drop (call $call {upstream} {fields} {none} {none} (i32.const 60000) (i32.const 4016)))\n")
    }

    /// The data that all of it is in.
    pub(crate) fn data(&self) -> String {
        let escaped = self.0.iter().fold(String::new(), |mut text, byte| {
            write!(text, "\\{byte:02x}").unwrap();
            text
        });
        format!("(data (i32.const 0) \"{escaped}\")\n")
    }
}

/// Fields as proxy-wasm has them in bytes.
fn pairs(fields: &[(&str, &str)]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut bytes = number(fields.len()).to_vec();
    for (name, value) in fields {
        bytes.extend([number(name.len()), number(value.len())].concat());
    }
    for (name, value) in fields {
        bytes.extend(format!("{name}\0{value}\0").into_bytes());
    }
    bytes
}

/// Looks at all bodies, and changes nothing.
pub(crate) fn looks_on() -> String {
    module(&["request_body", "response_body"].map(|callback| on(callback, "")).concat())
}

/// Does `body` when a path begins with `/` and this letter.
pub(crate) fn when_path_is(letter: char, texts: &Texts, body: &str) -> String {
    let body = format!("(if (call $path_is (i32.const {})) (then {body}))", u32::from(letter));
    module(&(texts.data() + &on("request_headers", &body)))
}

/// Holds the head of every request back until an upstream that it calls has answered; if it does not, 503.
pub(crate) fn asks(upstream: &str) -> String {
    let mut texts = Texts::default();
    let (call, refuse) = (texts.call(upstream), texts.respond(503, "nobody to ask\n"));
    let mark = texts.field("add", 0, "x-asked", upstream);
    module(&format!(
        r#"{}
  (global $context (mut i32) (i32.const 0))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (global.set $context (local.get 0))
    {call}
    (i32.const 1))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (drop (call $act_for (global.get $context)))
    (if (i32.eqz (local.get 2)) (then {refuse} (return)))
    {mark}
    (drop (call $continue (i32.const 0))))"#,
        texts.data()
    ))
}

/// Holds the body of every request back until its end.
pub(crate) fn holds() -> String {
    module(&on("request_body", "(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))"))
}
