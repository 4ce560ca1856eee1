//! The functions of the host as they are: statuses are numbers, and nothing is decided here.
//!
//! The SDK ends the plugin on statuses that it does not expect; the probe is there to show them.

/// `OK` of the ABI.
pub const OK: u32 = 0;

/// Header maps.
pub const REQUEST_HEADERS: u32 = 0;
pub const REQUEST_TRAILERS: u32 = 1;
pub const RESPONSE_HEADERS: u32 = 2;
pub const RESPONSE_TRAILERS: u32 = 3;
pub const CALL_HEADERS: u32 = 6;
pub const CALL_TRAILERS: u32 = 7;

/// Buffers.
pub const REQUEST_BODY: u32 = 0;
pub const RESPONSE_BODY: u32 = 1;
pub const CALL_BODY: u32 = 4;
pub const VM_CONFIGURATION: u32 = 6;
pub const PLUGIN_CONFIGURATION: u32 = 7;

/// Streams.
pub const REQUEST: u32 = 0;
pub const RESPONSE: u32 = 1;

/// Name and value.
type Pair = (Vec<u8>, Vec<u8>);

pub mod raw {
    type Out = *mut *mut u8;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub fn proxy_get_log_level(level: *mut u32) -> u32;
        pub fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            most: usize,
            out: Out,
            size: *mut usize,
        ) -> u32;
        pub fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_get_buffer_status(buffer: u32, length: *mut usize, flags: *mut u32) -> u32;
        pub fn proxy_get_header_map_size(map: u32, size: *mut usize) -> u32;
        pub fn proxy_get_header_map_pairs(map: u32, out: Out, size: *mut usize) -> u32;
        pub fn proxy_set_header_map_pairs(map: u32, pairs: *const u8, size: usize) -> u32;
        pub fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            out: Out,
            size: *mut usize,
        ) -> u32;
        pub fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            size: usize,
        ) -> u32;
        pub fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            size: usize,
        ) -> u32;
        pub fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
        pub fn proxy_get_property(path: *const u8, path_size: usize, out: Out, size: *mut usize) -> u32;
        pub fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            out: Out,
            size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            size: usize,
            cas: u32,
        ) -> u32;
        pub fn proxy_register_shared_queue(name: *const u8, name_size: usize, queue: *mut u32) -> u32;
        pub fn proxy_resolve_shared_queue(
            vm: *const u8,
            vm_size: usize,
            name: *const u8,
            name_size: usize,
            queue: *mut u32,
        ) -> u32;
        pub fn proxy_dequeue_shared_queue(queue: u32, out: Out, size: *mut usize) -> u32;
        pub fn proxy_enqueue_shared_queue(queue: u32, value: *const u8, size: usize) -> u32;
        pub fn proxy_continue_stream(stream: u32) -> u32;
        pub fn proxy_close_stream(stream: u32) -> u32;
        pub fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub fn proxy_http_call(
            upstream: *const u8,
            upstream_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        pub fn proxy_set_effective_context(context: u32) -> u32;
        pub fn proxy_done() -> u32;
        pub fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            arguments: *const u8,
            arguments_size: usize,
            out: Out,
            size: *mut usize,
        ) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, size: usize, metric: *mut u32) -> u32;
        pub fn proxy_record_metric(metric: u32, value: u64) -> u32;
        pub fn proxy_increment_metric(metric: u32, by: i64) -> u32;
        pub fn proxy_get_metric(metric: u32, value: *mut u64) -> u32;
    }
}

/// Where the host puts what it hands over: the exact size is what it asked for, so that it can be freed.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
}

/// What a function of the host hands over, with its status.
fn taken(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Vec<u8>) {
    let (mut place, mut size) = (std::ptr::null_mut(), 0);
    let status = call(&raw mut place, &raw mut size);
    if place.is_null() || status != OK {
        return (status, Vec::new());
    }
    // SAFETY: the host had `size` bytes at `place` from `proxy_on_memory_allocate`, and gave them away.
    (status, unsafe { Vec::from_raw_parts(place, size, size) })
}

pub fn log(text: &str) {
    // SAFETY: here and below, pointers and sizes are those of slices that outlive the call.
    unsafe { raw::proxy_log(2, text.as_ptr(), text.len()) };
}

pub fn log_level() -> (u32, u32) {
    let mut level = u32::MAX;
    (unsafe { raw::proxy_get_log_level(&raw mut level) }, level)
}

pub fn now() -> (u32, u64) {
    let mut time = 0;
    (unsafe { raw::proxy_get_current_time_nanoseconds(&raw mut time) }, time)
}

pub fn tick_every(milliseconds: u32) -> u32 {
    unsafe { raw::proxy_set_tick_period_milliseconds(milliseconds) }
}

pub fn buffer(buffer: u32, start: usize, most: usize) -> (u32, Vec<u8>) {
    taken(|out, size| unsafe { raw::proxy_get_buffer_bytes(buffer, start, most, out, size) })
}

pub fn set_buffer(buffer: u32, start: usize, size: usize, value: &[u8]) -> u32 {
    unsafe { raw::proxy_set_buffer_bytes(buffer, start, size, value.as_ptr(), value.len()) }
}

pub fn buffer_status(buffer: u32) -> (u32, usize) {
    let (mut length, mut flags) = (0, 0);
    (unsafe { raw::proxy_get_buffer_status(buffer, &raw mut length, &raw mut flags) }, length)
}

pub fn map_size(map: u32) -> (u32, usize) {
    let mut size = usize::MAX;
    (unsafe { raw::proxy_get_header_map_size(map, &raw mut size) }, size)
}

pub fn pairs(map: u32) -> (u32, Vec<Pair>) {
    let (status, bytes) = taken(|out, size| unsafe { raw::proxy_get_header_map_pairs(map, out, size) });
    (status, unpacked(&bytes).unwrap_or_default())
}

pub fn set_pairs(map: u32, pairs: &[(&str, &[u8])]) -> u32 {
    let bytes = packed(pairs);
    unsafe { raw::proxy_set_header_map_pairs(map, bytes.as_ptr(), bytes.len()) }
}

pub fn get(map: u32, name: &str) -> (u32, Vec<u8>) {
    taken(|out, size| unsafe { raw::proxy_get_header_map_value(map, name.as_ptr(), name.len(), out, size) })
}

pub fn add(map: u32, name: &str, value: &[u8]) -> u32 {
    unsafe { raw::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

pub fn replace(map: u32, name: &str, value: &[u8]) -> u32 {
    unsafe {
        raw::proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    }
}

pub fn remove(map: u32, name: &str) -> u32 {
    unsafe { raw::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) }
}

/// `path` has points where the ABI has bytes of value 0.
pub fn property(path: &str) -> (u32, Vec<u8>) {
    let path = path.replace('.', "\0");
    taken(|out, size| unsafe { raw::proxy_get_property(path.as_ptr(), path.len(), out, size) })
}

pub fn set_property(path: &str, value: &[u8]) -> u32 {
    let path = path.replace('.', "\0");
    unsafe { raw::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) }
}

/// Status, value and the number to compare with.
pub fn shared(key: &str) -> (u32, Vec<u8>, u32) {
    let mut cas = 0;
    let (status, value) = taken(|out, size| unsafe {
        raw::proxy_get_shared_data(key.as_ptr(), key.len(), out, size, &raw mut cas)
    });
    (status, value, cas)
}

pub fn set_shared(key: &str, value: &[u8], cas: u32) -> u32 {
    unsafe { raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}

pub fn register_queue(name: &str) -> (u32, u32) {
    let mut queue = 0;
    (unsafe { raw::proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut queue) }, queue)
}

pub fn resolve_queue(vm: &str, name: &str) -> (u32, u32) {
    let mut queue = 0;
    let status = unsafe {
        raw::proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), name.as_ptr(), name.len(), &raw mut queue)
    };
    (status, queue)
}

pub fn dequeue(queue: u32) -> (u32, Vec<u8>) {
    taken(|out, size| unsafe { raw::proxy_dequeue_shared_queue(queue, out, size) })
}

pub fn enqueue(queue: u32, value: &[u8]) -> u32 {
    unsafe { raw::proxy_enqueue_shared_queue(queue, value.as_ptr(), value.len()) }
}

pub fn go_on(stream: u32) -> u32 {
    unsafe { raw::proxy_continue_stream(stream) }
}

pub fn close(stream: u32) -> u32 {
    unsafe { raw::proxy_close_stream(stream) }
}

pub fn respond(status: u32, details: &str, headers: &[(&str, &[u8])], body: &[u8]) -> u32 {
    let headers = packed(headers);
    unsafe {
        raw::proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    }
}

pub fn http_call(
    upstream: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
    trailers: &[(&str, &[u8])],
    timeout: u32,
) -> (u32, u32) {
    let (headers, trailers, mut token) = (packed(headers), packed(trailers), 0);
    let status = unsafe {
        raw::proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout,
            &raw mut token,
        )
    };
    (status, token)
}

pub fn act_for(context: u32) -> u32 {
    unsafe { raw::proxy_set_effective_context(context) }
}

pub fn done() -> u32 {
    unsafe { raw::proxy_done() }
}

pub fn foreign(name: &str, arguments: &[u8]) -> (u32, Vec<u8>) {
    taken(|out, size| unsafe {
        raw::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            out,
            size,
        )
    })
}

pub fn define_metric(kind: u32, name: &str) -> (u32, u32) {
    let mut metric = 0;
    (unsafe { raw::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut metric) }, metric)
}

pub fn record(metric: u32, value: u64) -> u32 {
    unsafe { raw::proxy_record_metric(metric, value) }
}

pub fn increment(metric: u32, by: i64) -> u32 {
    unsafe { raw::proxy_increment_metric(metric, by) }
}

pub fn metric(metric: u32) -> (u32, u64) {
    let mut value = 0;
    (unsafe { raw::proxy_get_metric(metric, &raw mut value) }, value)
}

/// Names and values as the ABI has them: how many, the sizes of all, then each with a 0 after it.
fn packed(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let word = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let sizes = pairs.iter().flat_map(|(name, value)| [word(name.len()), word(value.len())]);
    let texts = pairs.iter().flat_map(|(name, value)| [name.as_bytes(), b"\0", value, b"\0"]);
    [word(pairs.len())].into_iter().chain(sizes).flatten().chain(texts.flatten().copied()).collect()
}

fn unpacked(bytes: &[u8]) -> Option<Vec<Pair>> {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let count = word(0)?;
    let mut at = 4 + 8 * count;
    let mut text = |size: usize| {
        let text = bytes.get(at..at + size)?.to_vec();
        at += size + 1;
        Some(text)
    };
    (0..count).map(|i| Some((text(word(4 + 8 * i)?)?, text(word(8 + 8 * i)?)?))).collect()
}
