//! What can be said of a plugin without running it.

use std::fmt::Write as _;

use wasmtime::Engine;

use crate::compile::{Compiled, Hash};
use crate::component;
use crate::proxy;
use crate::settings::Capability;

/// What a plugin is, and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// SHA-256 of the file, in hexadecimal digits.
    pub hash: String,
    /// What it was made for.
    pub abi: Abi,
    /// What it imports, as `module.function` or `interface.function`, in its own order.
    pub imports: Vec<String>,
    /// What it would have to be granted to use all that it imports.
    pub needs: Vec<Capability>,
    /// Whether it imports the call to upstreams, which are granted by their names.
    pub calls_upstreams: bool,
}

/// What a plugin was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// proxy-wasm 0.2.1, or 0.2.0.
    ProxyWasm,
    /// A component of the world `consentry:gateway/plugin`.
    Plugin,
    /// A component of the world `consentry:gateway/mapping`.
    Mapping,
    /// Something else. It cannot be loaded.
    Unknown,
}

impl Abi {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProxyWasm => "proxy-wasm 0.2",
            Self::Plugin => "component consentry:gateway/plugin@0.1.0",
            Self::Mapping => "component consentry:gateway/mapping@0.1.0",
            Self::Unknown => "unknown",
        }
    }
}

impl Inspection {
    pub(crate) fn new(hash: &Hash, compiled: &Compiled, engine: &Engine) -> Self {
        let hash = hash.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        match compiled {
            Compiled::Core(module) => {
                let imports: Vec<String> =
                    module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect();
                let asks =
                    |name: &str| imports.iter().any(|import| import.strip_prefix("env.") == Some(name));
                let mut needs = Vec::new();
                if asks("proxy_call_foreign_function") {
                    needs.extend([Capability::Evaluate, Capability::List]);
                }
                if asks("proxy_set_shared_data") || asks("proxy_register_shared_queue") {
                    needs.push(Capability::Shared);
                }
                if asks("proxy_set_tick_period_milliseconds") {
                    needs.push(Capability::Ticks);
                }
                let calls_upstreams = asks("proxy_http_call");
                let abi = if proxy::version(module).is_some() { Abi::ProxyWasm } else { Abi::Unknown };
                Self { hash, abi, imports, needs, calls_upstreams }
            }
            Compiled::Component(found) => {
                let abi = match component::kind(found, engine) {
                    Some(component::Kind::Plugin) => Abi::Plugin,
                    Some(component::Kind::Mapping) => Abi::Mapping,
                    None => Abi::Unknown,
                };
                let imports = component::imports(found, engine);
                let needs = component::needed(&imports);
                let imports =
                    imports.into_iter().map(|(interface, function)| format!("{interface}.{function}"));
                Self { hash, abi, imports: imports.collect(), needs, calls_upstreams: false }
            }
        }
    }
}
