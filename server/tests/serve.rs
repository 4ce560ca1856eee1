//! `consentry serve`, as a process, over HTTP.

#[path = "../../wasm-host/tests/support/http.rs"]
#[expect(dead_code, reason = "gateways need more of HTTP than callers do")]
mod http;
#[path = "serve/server.rs"]
mod server;

#[path = "serve/bad_input.rs"]
mod bad_input;
#[path = "serve/batches.rs"]
mod batches;
#[path = "serve/certification.rs"]
mod certification;
#[path = "serve/pages.rs"]
mod pages;
#[path = "serve/process.rs"]
mod process;
