//! What the host gives to plugins: the 39 functions of proxy-wasm 0.2.1, and what WASI they need.

mod calls;
mod fields;
mod plain;
mod sharing;
mod wasi;

use wasmtime::{Caller, ExternType, Linker, Module, Val};

use super::state::State;
use crate::error::{LoadCode, LoadError};

/// Where the functions of proxy-wasm are.
const ENV: &str = "env";
/// Where those of WASI are, under their new name and their old one.
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
/// `ENOSYS`: WASI that is not here.
const NOT_HERE: i32 = 52;

/// All functions for `module`. WASI that plugins do not need is there, and fails.
pub(super) fn link(module: &Module) -> Result<Linker<State>, LoadError> {
    let failed = |error: &wasmtime::Error| LoadError::new(LoadCode::Sandbox, error.to_string());
    let mut linker = Linker::new(module.engine());
    all(&mut linker).map_err(|error| failed(&error))?;
    let mut unknown = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let wasi = WASI.contains(&from);
        let known = from == ENV && NAMES.contains(&name) || wasi && wasi::NAMES.contains(&name);
        match import.ty() {
            ExternType::Func(_) if known => {}
            ExternType::Func(function) if wasi => {
                linker.func_new(from, name, function, not_here).map_err(|error| failed(&error))?;
            }
            ExternType::Func(_)
            | ExternType::Global(_)
            | ExternType::Table(_)
            | ExternType::Memory(_)
            | ExternType::Tag(_) => unknown.push(format!("`{from}.{name}`")),
        }
    }
    if unknown.is_empty() {
        return Ok(linker);
    }
    let message = format!("it imports what gateways do not have: {}", unknown.join(", "));
    Err(LoadError::new(LoadCode::UnknownImport, message))
}

/// WASI that plugins do not need is there, and says that it is not.
fn not_here(_: Caller<'_, State>, _: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
    if let Some(result) = results.first_mut() {
        *result = Val::I32(NOT_HERE);
    }
    Ok(())
}

fn all(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    plain::link(linker)?;
    fields::link(linker)?;
    sharing::link(linker)?;
    calls::link(linker)?;
    WASI.into_iter().try_for_each(|module| wasi::link(linker, module))
}

/// The functions of proxy-wasm 0.2.1.
pub(crate) const NAMES: [&str; 39] = [
    "proxy_log",
    "proxy_get_log_level",
    "proxy_get_current_time_nanoseconds",
    "proxy_set_tick_period_milliseconds",
    "proxy_done",
    "proxy_set_effective_context",
    "proxy_get_buffer_bytes",
    "proxy_set_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_get_header_map_size",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_continue_stream",
    "proxy_close_stream",
    "proxy_get_status",
    "proxy_send_local_response",
    "proxy_http_call",
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_set_shared_data",
    "proxy_get_shared_data",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_dequeue_shared_queue",
    "proxy_define_metric",
    "proxy_record_metric",
    "proxy_increment_metric",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_call_foreign_function",
];
