//! Calls: out to an upstream, for another context, to functions that only some hosts have.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::{came, show, show_pairs};
use crate::{CONTINUE, Event, PAUSE, Stream, host};

thread_local! {
    /// The stream that was not done when it was asked.
    static WAITING: Cell<u32> = const { Cell::new(0) };
    /// The streams that called, by the tokens of their calls.
    static CALLERS: RefCell<BTreeMap<u32, u32>> = const { RefCell::new(BTreeMap::new()) };
}

pub fn run(context: u32, stream: &Stream, event: Event) -> Option<u32> {
    let case = stream.case.as_str();
    match event {
        Event::Headers { .. } if case.starts_with("call") => Some(call(context, case)),
        Event::Headers { .. } => other(context, case, stream.root),
        Event::Called { headers, body, trailers } => {
            host::log(&format!("called: {headers} headers, body {body}, {trailers} trailers"));
            show("status", host::get(host::CALL_HEADERS, ":status"));
            show("x-one", host::get(host::CALL_HEADERS, "x-one"));
            show("body", host::buffer(host::CALL_BODY, 0, usize::MAX));
            show("trailer", host::get(host::CALL_TRAILERS, "x-trailer"));
            if case == "call-refused" {
                came("respond", host::respond(403, "", &[], b"the call said no"));
            } else {
                came("add", host::add(stream.side.headers(), "x-called", b"1"));
                came("go on", host::go_on(stream.side.stream()));
            }
            None
        }
        _ => None,
    }
}

/// Whose call is answered: the host says it to the root.
pub fn answered(token: u32) -> Option<u32> {
    CALLERS.with_borrow_mut(|callers| callers.remove(&token))
}

fn call(context: u32, case: &str) -> u32 {
    let to = |path: &'static [u8]| -> [(&str, &[u8]); 4] {
        [(":method", b"GET"), (":path", path), (":authority", b"upstream"), ("x-one", b"1")]
    };
    let ask = |upstream, path, timeout| host::http_call(upstream, &to(path), b"", &[], timeout);
    let (status, token) = match case {
        "call" | "call-refused" => ask("upstream", b"/called", 60_000),
        "call-full" => {
            let headers: [(&str, &[u8]); 3] =
                [(":method", b"POST"), (":path", b"/trailers"), (":authority", b"upstream")];
            host::http_call("upstream", &headers, b"asked", &[("x-asked", b"1")], 60_000)
        }
        "call-to-nobody" => ask("unknown", b"/called", 60_000),
        "call-to-the-dead" => ask("dead", b"/called", 60_000),
        "call-too-slow" => ask("upstream", b"/never", 100),
        "call-without-path" => {
            host::http_call("upstream", &[(":method", b"GET"), (":authority", b"upstream")], b"", &[], 60_000)
        }
        "call-without-headers" => host::http_call("upstream", &[], b"", &[], 60_000),
        _ => return CONTINUE,
    };
    came("call", status);
    if status != host::OK {
        return CONTINUE;
    }
    CALLERS.with_borrow_mut(|callers| callers.insert(token, context));
    PAUSE
}

fn other(context: u32, case: &str, root: u32) -> Option<u32> {
    match case {
        "foreign" => {
            show("unknown", host::foreign("probe.unknown", b"arguments"));
            show("without a name", host::foreign("", b""));
        }
        "contexts" => {
            came("act for the root", host::act_for(root));
            show("its request", host::get(host::REQUEST_HEADERS, ":path"));
            show_pairs("all", host::REQUEST_HEADERS);
            came("act for nobody", host::act_for(9_999));
            came("act for 0", host::act_for(0));
            came("act for itself", host::act_for(context));
            show("its request", host::get(host::REQUEST_HEADERS, ":path"));
            came("done, unasked", host::done());
        }
        "finish" => {
            came("act for what waits", host::act_for(WAITING.get()));
            came("done", host::done());
            came("act for itself", host::act_for(context));
        }
        // The last line of what came before.
        "fence" => show("fence", host::get(host::REQUEST_HEADERS, ":path")),
        "pointers" => pointers(),
        "buffers" => {
            for buffer in [0, 1, 2, 3, 4, 5, 6, 7, 8, 99] {
                show(&format!("buffer {buffer}"), host::buffer(buffer, 0, 100));
                came(&format!("buffer {buffer} set"), host::set_buffer(buffer, 0, 0, b"1"));
                came(&format!("buffer {buffer} status"), host::buffer_status(buffer).0);
            }
        }
        _ => return None,
    }
    Some(CONTINUE)
}

/// Places outside of the plugin's memory.
fn pointers() {
    let (far, name) = (0xffff_ff00_usize, ":path");
    let (mut place, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host checks what it is given, which is what is tried.
    unsafe {
        came("log", host::raw::proxy_log(2, far as *const u8, 5));
        came("log beyond", host::raw::proxy_log(2, name.as_ptr(), far));
        let map = host::REQUEST_HEADERS;
        let (out, out_size) = (&raw mut place, &raw mut size);
        came("get", host::raw::proxy_get_header_map_value(map, far as *const u8, 5, out, out_size));
        let nowhere = far as *mut *mut u8;
        came(
            "get to nowhere",
            host::raw::proxy_get_header_map_value(map, name.as_ptr(), 5, nowhere, out_size),
        );
        came("add", host::raw::proxy_add_header_map_value(map, name.as_ptr(), 5, far as *const u8, 5));
        came("set pairs", host::raw::proxy_set_header_map_pairs(map, far as *const u8, 5));
        came("set pairs that are none", host::raw::proxy_set_header_map_pairs(map, b"\xff\xff".as_ptr(), 2));
        came("time", host::raw::proxy_get_current_time_nanoseconds(far as *mut u64));
    }
}

pub fn on_done(context: u32, case: &str) -> u32 {
    if case == "done-later" {
        host::log("not done yet");
        WAITING.set(context);
        return 0;
    }
    1
}

pub fn on_end(context: u32, case: &str, event: Event) {
    if case == "done-later" {
        host::log(&format!("{event:?}, the waiting one {}", context == WAITING.get()));
    }
}
