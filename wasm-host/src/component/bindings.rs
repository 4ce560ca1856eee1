//! What is made from `wit/gateway.wit`.

/// The world `plugin`.
pub(super) mod plugin {
    wasmtime::component::bindgen!({
        world: "plugin",
        path: "wit",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The world `mapping`, with the types of the other.
pub(super) mod mapping {
    wasmtime::component::bindgen!({
        world: "mapping",
        path: "wit",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "consentry:gateway/http": super::plugin::consentry::gateway::http,
            "consentry:gateway/access": super::plugin::consentry::gateway::access,
            "consentry:gateway/host": super::plugin::consentry::gateway::host,
            "consentry:gateway/headers": super::plugin::consentry::gateway::headers,
        },
    });
}
