//! The example gateway, as a process between a client and an upstream: what goes through it, and what does not.

#![cfg(test)]

/// Plugins for it.
#[path = "gateway/plugins.rs"]
mod plugins;

/// What is said on the wire.
#[path = "gateway/wire.rs"]
mod wire;

/// What goes through, and how.
#[path = "gateway/passing.rs"]
mod passing;

/// What plugins do to it.
#[path = "gateway/plugged.rs"]
mod plugged;

/// What must not get through.
#[path = "gateway/smuggling.rs"]
mod smuggling;
