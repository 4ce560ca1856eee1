//! Responses of the plugin's own, and other ends.

use super::came;
use crate::{CONTINUE, Event, PAUSE, Side, host};

pub fn run(case: &str, side: Side, event: Event) -> Option<u32> {
    match (case, event) {
        ("body-local", Event::Body { size, .. }) if size > 0 => {
            came("respond", host::respond(413, "", &[("x-from", b"body")], b"from the body\n"));
            Some(PAUSE)
        }
        (_, Event::Headers { .. }) => on_headers(case, side),
        _ => None,
    }
}

fn on_headers(case: &str, side: Side) -> Option<u32> {
    let respond =
        |status, body: &[u8]| came(&format!("respond {status}"), host::respond(status, "", &[], body));
    match case {
        "local" => {
            let headers: [(&str, &[u8]); 4] =
                [("x-from", b"headers"), ("X-Upper", b"1"), ("x-from", b"twice"), ("x-empty", b"")];
            came("respond", host::respond(403, "probe_refused", &headers, b"refused\n"));
        }
        "local-bare" => respond(403, b""),
        "local-typed" => {
            let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
            came("respond", host::respond(403, "", &headers, b"{}"));
        }
        "local-twice" => {
            respond(403, b"first");
            respond(404, b"second");
        }
        "local-then-continue" => {
            respond(403, b"refused");
            return Some(CONTINUE);
        }
        "local-then-headers" => {
            respond(403, b"refused");
            came("add to response", host::add(host::RESPONSE_HEADERS, "x-after", b"1"));
            came("go on", host::go_on(host::REQUEST));
        }
        "local-pseudo" => {
            let headers: [(&str, &[u8]); 3] =
                [(":status", b"200"), ("content-length", b"1"), ("x-newline", b"one\r\nx-smuggled: two")];
            came("respond", host::respond(403, "", &headers, b"refused\n"));
        }
        "local-204" => respond(204, b"no body belongs here"),
        "local-304" => respond(304, b""),
        "local-100" => respond(100, b"refused"),
        "local-600" => respond(600, b"refused"),
        "local-0" => respond(0, b"refused"),
        "close" => {
            came("close", host::close(side.stream()));
            return Some(PAUSE);
        }
        "go-on-at-once" => {
            came("go on", host::go_on(side.stream()));
            return Some(PAUSE);
        }
        "go-on-unasked" => {
            came("go on", host::go_on(side.stream()));
            return Some(CONTINUE);
        }
        "streams" => {
            came("go on downstream", host::go_on(2));
            came("go on unknown", host::go_on(99));
            came("close downstream", host::close(2));
            came("close unknown", host::close(99));
            return Some(CONTINUE);
        }
        "panic" => panic!("as asked for"),
        #[expect(clippy::empty_loop, reason = "that is what is tried")]
        "spin" => loop {},
        _ => return None,
    }
    Some(PAUSE)
}
