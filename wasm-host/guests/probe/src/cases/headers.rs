//! Headers and trailers: read, added to, replaced, removed, all set.

use super::{came, show, show_pairs};
use crate::{CONTINUE, Event, Side, host};

pub fn run(case: &str, side: Side, event: Event) -> Option<u32> {
    match (case, event) {
        ("trailers", _) => trailers(side, event),
        (_, Event::Headers { count, end }) => return on_headers(case, side, count, end),
        _ => return None,
    }
    Some(CONTINUE)
}

fn on_headers(case: &str, side: Side, count: usize, end: bool) -> Option<u32> {
    let map = side.headers();
    let add = |name, value: &[u8]| came(&format!("add {name:?}"), host::add(map, name, value));
    let replace = |name, value: &[u8]| came(&format!("replace {name:?}"), host::replace(map, name, value));
    let remove = |name| came(&format!("remove {name:?}"), host::remove(map, name));
    match case {
        "get" => {
            host::log(&format!("{count} headers, end {end}"));
            show_pairs("all", map);
            let names = ["x-one", "X-One", "x-two", "x-mixed", "x-empty", "x-none", "", "host", "cookie"];
            for name in names.into_iter().chain([":method", ":path", ":authority", ":scheme", ":status"]) {
                show(&format!("get {name:?}"), host::get(map, name));
            }
        }
        "add" => {
            add("x-one", b"again");
            add("x-two", b"third");
            add("x-new", b"new");
            add("X-Upper", b"Upper");
            add("x-none", b"");
            show("get x-one", host::get(map, "x-one"));
            show("get x-upper", host::get(map, "x-upper"));
        }
        "replace" => {
            replace("x-one", b"other");
            replace("x-two", b"only");
            replace("X-Mixed", b"other");
            replace("x-empty", b"");
            replace("x-none", b"made");
            show_pairs("all", map);
        }
        "remove" => {
            remove("x-one");
            remove("x-two");
            remove("X-MIXED");
            remove("x-none");
            remove("");
            show_pairs("all", map);
        }
        "other-side" => {
            show("request :path", host::get(host::REQUEST_HEADERS, ":path"));
            show("response :status", host::get(host::RESPONSE_HEADERS, ":status"));
            came("add to request", host::add(host::REQUEST_HEADERS, "x-late", b"1"));
            came("add to response", host::add(host::RESPONSE_HEADERS, "x-early", b"1"));
        }
        "maps" => {
            for map in [1, 3, 4, 5, 6, 7, 8, 99] {
                show_pairs(&format!("map {map}"), map);
                show(&format!("map {map} get"), host::get(map, "x-one"));
                came(&format!("map {map} add"), host::add(map, "x-one", b"1"));
                came(&format!("map {map} replace"), host::replace(map, "x-one", b"1"));
                came(&format!("map {map} remove"), host::remove(map, "x-one"));
                came(&format!("map {map} set"), host::set_pairs(map, &[("x-one", b"1")]));
            }
        }
        _ => return set_all(case, side).or_else(|| change_one(case, side.headers())),
    }
    Some(CONTINUE)
}

fn set_all(case: &str, side: Side) -> Option<u32> {
    let map = side.headers();
    match case {
        "set-all" => {
            let status: [(&str, &[u8]); 1] = [(":status", b"203")];
            let request: [(&str, &[u8]); 5] = [
                (":method", b"PUT"),
                (":path", b"/set"),
                (":authority", b"set.example"),
                (":scheme", b"http"),
                ("x-forwarded-proto", b"http"),
            ];
            let own: [(&str, &[u8]); 4] =
                [("x-b", b"first"), ("X-A", b"second"), ("x-b", b"third"), ("x-empty", b"")];
            let first = if side == Side::Request { &request[..] } else { &status[..] };
            came("set", host::set_pairs(map, &[first, &own].concat()));
            show_pairs("all", map);
        }
        "set-none" => {
            came("set", host::set_pairs(map, &[]));
            show_pairs("all", map);
        }
        "set-without-pseudo" => {
            came("set", host::set_pairs(map, &[("x-only", b"this")]));
            show_pairs("all", map);
        }
        _ => return None,
    }
    Some(CONTINUE)
}

fn change_one(case: &str, map: u32) -> Option<u32> {
    let add = |name, value: &[u8]| came(&format!("add {name:?}"), host::add(map, name, value));
    let replace = |name, value: &[u8]| came(&format!("replace {name:?}"), host::replace(map, name, value));
    let remove = |name| came(&format!("remove {name:?}"), host::remove(map, name));
    match case {
        "path" => replace(":path", b"/changed?by=probe"),
        "path-added" => add(":path", b"/second"),
        "path-removed" => remove(":path"),
        "path-empty" => replace(":path", b""),
        "method" => replace(":method", b"DELETE"),
        "method-removed" => remove(":method"),
        "authority" => replace(":authority", b"other.example"),
        "authority-removed" => remove(":authority"),
        "host" => replace("host", b"host.example"),
        "scheme" => replace(":scheme", b"https"),
        "status" => replace(":status", b"207"),
        "status-odd" => replace(":status", b"abc"),
        "status-removed" => remove(":status"),
        "length-removed" => remove("content-length"),
        "value-with-newline" => {
            add("x-newline", b"one\r\nx-smuggled: two");
            show_pairs("all", map);
        }
        "value-with-nul" => {
            add("x-nul", b"one\0two");
            show_pairs("all", map);
        }
        "value-not-utf8" => {
            show("get x-bytes", host::get(map, "x-bytes"));
            add("x-bytes-too", b"\xff\xfe");
        }
        "value-spaces" => add("x-spaces", b"  both ends  "),
        "name-odd" => add("x odd:name", b"1"),
        "name-empty" => add("", b"1"),
        "name-pseudo" => add(":unknown", b"1"),
        _ => return None,
    }
    Some(CONTINUE)
}

fn trailers(side: Side, event: Event) {
    let map = side.trailers();
    host::log(&format!("{event:?}"));
    if let Event::Headers { .. } | Event::Body { .. } = event {
        return show("too early", host::get(map, "x-trailer"));
    }
    if let Event::Trailers { .. } = event {
        show_pairs("all", map);
        show("get x-trailer", host::get(map, "x-trailer"));
        came("add", host::add(map, "x-added", b"1"));
        came("replace", host::replace(map, "x-trailer", b"other"));
        came("remove", host::remove(map, "x-gone"));
        came("headers, too late", host::add(side.headers(), "x-late", b"1"));
    }
}
