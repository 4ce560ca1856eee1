//! What proxy-wasm 0.2.1 has hosts give, from its specification.

/// The functions that a host must have, with the numbers of their parameters; `L` is an `i64` among them
/// (proxy-wasm 0.2.1).
pub(crate) const FUNCTIONS: [(&str, &str); 39] = [
    ("proxy_done", ""),
    ("proxy_set_effective_context", "I"),
    ("proxy_log", "III"),
    ("proxy_get_log_level", "I"),
    ("proxy_get_current_time_nanoseconds", "I"),
    ("proxy_set_tick_period_milliseconds", "I"),
    ("proxy_set_buffer_bytes", "IIIII"),
    ("proxy_get_buffer_bytes", "IIIII"),
    ("proxy_get_buffer_status", "III"),
    ("proxy_get_header_map_size", "II"),
    ("proxy_get_header_map_pairs", "III"),
    ("proxy_set_header_map_pairs", "III"),
    ("proxy_get_header_map_value", "IIIII"),
    ("proxy_add_header_map_value", "IIIII"),
    ("proxy_replace_header_map_value", "IIIII"),
    ("proxy_remove_header_map_value", "III"),
    ("proxy_continue_stream", "I"),
    ("proxy_close_stream", "I"),
    ("proxy_get_status", "III"),
    ("proxy_send_local_response", "IIIIIIII"),
    ("proxy_http_call", "IIIIIIIIII"),
    ("proxy_grpc_call", "IIIIIIIIIIII"),
    ("proxy_grpc_stream", "IIIIIIIII"),
    ("proxy_grpc_send", "IIII"),
    ("proxy_grpc_cancel", "I"),
    ("proxy_grpc_close", "I"),
    ("proxy_set_shared_data", "IIIII"),
    ("proxy_get_shared_data", "IIIII"),
    ("proxy_register_shared_queue", "III"),
    ("proxy_resolve_shared_queue", "IIIII"),
    ("proxy_enqueue_shared_queue", "III"),
    ("proxy_dequeue_shared_queue", "III"),
    ("proxy_define_metric", "IIII"),
    ("proxy_record_metric", "IL"),
    ("proxy_increment_metric", "IL"),
    ("proxy_get_metric", "II"),
    ("proxy_get_property", "IIII"),
    ("proxy_set_property", "IIII"),
    ("proxy_call_foreign_function", "IIIIII"),
];

/// WASI that plugins of proxy-wasm are given.
pub(crate) const WASI: [(&str, &str, &str); 8] = [
    ("fd_write", "IIII", "I"),
    ("clock_time_get", "ILI", "I"),
    ("random_get", "II", "I"),
    ("environ_sizes_get", "II", "I"),
    ("environ_get", "II", "I"),
    ("args_sizes_get", "II", "I"),
    ("args_get", "II", "I"),
    ("proc_exit", "I", ""),
];

/// The import of a function, in text.
pub(crate) fn import(module: &str, name: &str, parameters: &str, result: &str) -> String {
    let word = |letter: char| if letter == 'L' { "i64 " } else { "i32 " };
    let parameters: String = parameters.chars().map(word).collect();
    let result = if result.is_empty() { String::new() } else { "(result i32)".to_owned() };
    format!("(import \"{module}\" \"{name}\" (func (param {parameters}) {result}))\n")
}
