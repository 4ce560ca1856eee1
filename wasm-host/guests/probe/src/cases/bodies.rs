//! Bodies: read, changed piece by piece, held back until they are whole.

use super::{came, show};
use crate::{CONTINUE, Event, PAUSE, Side, host};

/// More than any body has.
const ALL: usize = u32::MAX as usize;

pub fn run(case: &str, side: Side, event: Event) -> Option<u32> {
    let case = case.strip_prefix("body-")?;
    let buffer = side.body();
    match event {
        Event::Headers { end, .. } => Some(on_headers(case, side, end)),
        Event::Body { size, end } => {
            host::log(&format!("body {size}, end {end}"));
            on_body(case, buffer, size, end)
        }
        Event::Trailers { count } => {
            host::log(&format!("trailers {count}"));
            show("at trailers", host::buffer(buffer, 0, ALL));
            Some(CONTINUE)
        }
        _ => None,
    }
}

fn on_headers(case: &str, side: Side, end: bool) -> u32 {
    host::log(&format!("headers, end {end}"));
    let buffer = side.body();
    match case {
        "replaced" | "appended" | "prepended" | "emptied" | "cut" | "whole" | "held" | "middle" | "late" => {
            came("remove content-length", host::remove(side.headers(), "content-length"));
        }
        "early" => {
            show("get", host::buffer(buffer, 0, ALL));
            came("set", host::set_buffer(buffer, 0, ALL, b"early"));
        }
        _ => {}
    }
    if case == "held" { PAUSE } else { CONTINUE }
}

fn on_body(case: &str, buffer: u32, size: usize, end: bool) -> Option<u32> {
    let set = |what: &str, start, length, value: &[u8]| {
        came(what, host::set_buffer(buffer, start, length, value));
        show("now", host::buffer(buffer, 0, ALL));
    };
    match case {
        "read" => {
            show("all", host::buffer(buffer, 0, ALL));
            show("2 from 1", host::buffer(buffer, 1, 2));
            show("none", host::buffer(buffer, 0, 0));
            show("at the end", host::buffer(buffer, size, 1));
            show("past the end", host::buffer(buffer, size + 1, 1));
            show("far past the end", host::buffer(buffer, ALL, ALL));
            let (status, length) = host::buffer_status(buffer);
            host::log(&format!("status: {status} {length}"));
        }
        "replaced" if size > 0 => set("replace", 0, ALL, b"replaced"),
        "appended" if size > 0 => set("append", size, 0, b"+end"),
        "prepended" if size > 0 => set("prepend", 0, 0, b"start+"),
        "emptied" if size > 0 => set("empty", 0, size, b""),
        "cut" if size > 0 => set("cut", 0, 2, b""),
        "middle" if size > 0 => set("middle", 2, 1, b"X"),
        "late" if size > 0 => set("past the end", size + 5, 0, b"+late"),
        // With a length that is no longer right.
        "longer" if size > 0 => set("append", size, 0, b"+end"),
        "shorter" if size > 0 => set("cut", 0, 2, b""),
        "whole" | "held" => {
            show("so far", host::buffer(buffer, 0, ALL));
            if !end {
                return Some(PAUSE);
            }
            came("header", host::add(host::REQUEST_HEADERS, "x-whole", b"1"));
            came("header", host::add(host::RESPONSE_HEADERS, "x-whole", b"1"));
            set("replace", 0, ALL, b"whole");
        }
        "local" => return None,
        _ => {}
    }
    Some(CONTINUE)
}
