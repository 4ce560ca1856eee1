//! Plugins of all kinds in the host, the nasty ones first. Those here are written in the text format of WebAssembly, so
//! that they need no toolchain.

#![cfg(test)]
#[path = "plugins/fixture.rs"]
mod fixture;

#[path = "plugins/functions.rs"]
mod functions;

/// The plugins that are shipped.
#[path = "plugins/guests.rs"]
mod guests;

/// Whatever a plugin does, it costs its own request at most.
#[path = "plugins/nasty.rs"]
mod nasty;

/// Files that are no plugins, or not for here.
#[path = "plugins/loading.rs"]
mod loading;

/// The functions of proxy-wasm, and what works without a request.
#[path = "plugins/abi.rs"]
mod abi;

/// Components, made from modules in text.
#[path = "plugins/components.rs"]
mod components;

/// What proxy-wasm plugins see and change of requests and answers.
#[path = "plugins/streams.rs"]
mod streams;
