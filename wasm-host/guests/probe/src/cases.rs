//! The cases, by what they try.

mod answers;
mod bodies;
mod calls;
mod headers;
mod state;

use std::cell::Cell;

pub use calls::answered;

use crate::{CONTINUE, Event, Side, Stream, host};

/// `what: status "value"`.
fn show(what: &str, (status, value): (u32, Vec<u8>)) {
    host::log(&format!("{what}: {status} \"{}\"", value.escape_ascii()));
}

/// `what: status`.
fn came(what: &str, status: u32) {
    host::log(&format!("{what}: {status}"));
}

fn show_pairs(what: &str, map: u32) {
    let (status, pairs) = host::pairs(map);
    let (size_status, size) = host::map_size(map);
    let size = if size_status == host::OK { size.to_string() } else { "?".to_owned() };
    host::log(&format!("{what}: {status}, {} pairs; size: {size_status}, {size} bytes", pairs.len()));
    for (name, value) in pairs {
        host::log(&format!("  {}: {}", name.escape_ascii(), value.escape_ascii()));
    }
}

pub fn run(context: u32, stream: &Stream, side: Option<Side>, event: Event) -> u32 {
    let case = stream.case.as_str();
    if case == "order" || case == "order-local" {
        return order(context, stream, side, event);
    }
    match event {
        Event::Done => calls::on_done(context, case),
        Event::Log | Event::Delete => {
            calls::on_end(context, case, event);
            CONTINUE
        }
        _ if side.is_some_and(|side| side != stream.side) => CONTINUE,
        _ => headers::run(case, stream.side, event)
            .or_else(|| bodies::run(case, stream.side, event))
            .or_else(|| answers::run(case, stream.side, event))
            .or_else(|| state::run(case, event))
            .or_else(|| calls::run(context, stream, event))
            .unwrap_or(CONTINUE),
    }
}

/// Every callback, with the ids of contexts.
fn order(context: u32, stream: &Stream, side: Option<Side>, event: Event) -> u32 {
    if let (Some(Side::Request), Event::Headers { .. }) = (side, event) {
        host::log(&format!("stream {context} of root {}", stream.root));
    }
    let side = side.map(|side| format!("{side:?} ").to_lowercase()).unwrap_or_default();
    host::log(&format!("{context}: {side}{event:?}"));
    if stream.case == "order-local" && matches!(event, Event::Headers { .. }) && side == "request " {
        came("respond", host::respond(403, "", &[], b"refused"));
        return crate::PAUSE;
    }
    u32::from(matches!(event, Event::Done))
}

thread_local! {
    static TICKS: Cell<u32> = const { Cell::new(0) };
}

pub fn start_ticks() {
    came("root: tick every 20 ms", host::tick_every(20));
}

/// Three ticks, and no more.
pub fn tick() {
    TICKS.set(TICKS.get() + 1);
    if TICKS.get() == 3 {
        host::tick_every(0);
    }
}

fn ticks() -> u32 {
    TICKS.get()
}
