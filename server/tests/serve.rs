//! `consentry serve`, as a process, over HTTP.

#![cfg(test)]

#[path = "../../wasm-host/tests/support/http.rs"]
#[expect(dead_code, reason = "gateways need more of HTTP than callers do")]
mod http;
#[path = "serve/server.rs"]
mod server;

#[path = "serve/access_requests.rs"]
mod access_requests;
#[path = "serve/bad_input.rs"]
mod bad_input;
#[path = "serve/batches.rs"]
mod batches;
#[path = "serve/callbacks.rs"]
mod callbacks;
#[path = "serve/callers.rs"]
mod callers;
#[path = "serve/certification.rs"]
mod certification;
#[path = "serve/grpc.rs"]
mod grpc;
#[path = "serve/identity.rs"]
mod identity;
#[path = "serve/lifecycle.rs"]
mod lifecycle;
#[path = "serve/openapi.rs"]
mod openapi;
#[path = "serve/pages.rs"]
mod pages;
#[path = "serve/plugins.rs"]
mod plugins;
#[path = "serve/process.rs"]
mod process;
#[path = "serve/seeing.rs"]
mod seeing;
