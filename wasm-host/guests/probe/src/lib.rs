//! Shows what a gateway does with each part of the proxy-wasm ABI. The request header `x-case` names what is tried;
//! what came of it is logged, and done to the request or to the response, so that two gateways can be compared.
//!
//! A case whose name begins with `response-` is tried on the response; the others, on the request.

mod cases;
mod host;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// What callbacks return.
pub const CONTINUE: u32 = 0;
pub const PAUSE: u32 = 1;

/// What the host calls the plugin for.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Headers { count: usize, end: bool },
    Body { size: usize, end: bool },
    Trailers { count: usize },
    Called { headers: usize, body: usize, trailers: usize },
    Done,
    Log,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

impl Side {
    pub fn headers(self) -> u32 {
        if self == Self::Request { host::REQUEST_HEADERS } else { host::RESPONSE_HEADERS }
    }

    pub fn body(self) -> u32 {
        if self == Self::Request { host::REQUEST_BODY } else { host::RESPONSE_BODY }
    }

    pub fn trailers(self) -> u32 {
        if self == Self::Request { host::REQUEST_TRAILERS } else { host::RESPONSE_TRAILERS }
    }

    pub fn stream(self) -> u32 {
        if self == Self::Request { host::REQUEST } else { host::RESPONSE }
    }
}

/// A request and its response.
#[derive(Clone)]
struct Stream {
    root: u32,
    case: String,
    side: Side,
}

thread_local! {
    static STREAMS: RefCell<BTreeMap<u32, Stream>> = const { RefCell::new(BTreeMap::new()) };
    static QUEUE_WAS_READY: Cell<bool> = const { Cell::new(false) };
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent == 0 {
        return host::log(&format!("root: create {context}"));
    }
    let stream = Stream { root: parent, case: String::new(), side: Side::Request };
    STREAMS.with_borrow_mut(|streams| streams.insert(context, stream));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, size: usize) -> u32 {
    let (status, text) = host::buffer(host::VM_CONFIGURATION, 0, usize::MAX);
    host::log(&format!("root: vm_start {context} size {size}: {status} {}", text.escape_ascii()));
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> u32 {
    let (status, text) = host::buffer(host::PLUGIN_CONFIGURATION, 0, usize::MAX);
    host::log(&format!("root: configure {context} size {size}: {status} {}", text.escape_ascii()));
    let names = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    if names(b"tick") {
        cases::start_ticks();
    }
    u32::from(!names(b"refuse"))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(_context: u32) {
    cases::tick();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(_context: u32, _queue: u32) {
    QUEUE_WAS_READY.set(true);
}

pub fn queue_was_ready() -> bool {
    QUEUE_WAS_READY.get()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, count: usize, end: u32) -> u32 {
    let (_, name) = host::get(host::REQUEST_HEADERS, "x-case");
    let name = String::from_utf8_lossy(&name).into_owned();
    STREAMS.with_borrow_mut(|streams| {
        if let Some(stream) = streams.get_mut(&context) {
            stream.side = if name.starts_with("response-") { Side::Response } else { Side::Request };
            stream.case = name.strip_prefix("response-").unwrap_or(&name).to_owned();
        }
    });
    run(context, Some(Side::Request), Event::Headers { count, end: end != 0 })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    run(context, Some(Side::Request), Event::Body { size, end: end != 0 })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, count: usize) -> u32 {
    run(context, Some(Side::Request), Event::Trailers { count })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, count: usize, end: u32) -> u32 {
    run(context, Some(Side::Response), Event::Headers { count, end: end != 0 })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: usize, end: u32) -> u32 {
    run(context, Some(Side::Response), Event::Body { size, end: end != 0 })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, count: usize) -> u32 {
    run(context, Some(Side::Response), Event::Trailers { count })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    context: u32,
    token: u32,
    headers: usize,
    body: usize,
    trailers: usize,
) {
    let Some(caller) = cases::answered(token) else {
        return host::log(&format!("root: nobody called, token {token}"));
    };
    let told = if caller == context { "the caller" } else { "another context" };
    host::log(&format!("an answer, told to {told}; act for the caller: {}", host::act_for(caller)));
    run(caller, None, Event::Called { headers, body, trailers });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> u32 {
    run(context, None, Event::Done)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    run(context, None, Event::Log);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    run(context, None, Event::Delete);
    STREAMS.with_borrow_mut(|streams| streams.remove(&context));
}

/// Nothing is borrowed while a case runs: the host may call the plugin from within the functions that a case calls.
fn run(context: u32, side: Option<Side>, event: Event) -> u32 {
    let Some(stream) = STREAMS.with_borrow(|streams| streams.get(&context).cloned()) else {
        host::log(&format!("root: {event:?}"));
        return 1;
    };
    cases::run(context, &stream, side, event)
}
