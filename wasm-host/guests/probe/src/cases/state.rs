//! What outlives a callback: properties, shared data, queues, metrics; time, and the log.

use super::{came, show, ticks};
use crate::{CONTINUE, Event, host};

pub fn run(case: &str, event: Event) -> Option<u32> {
    let Event::Headers { .. } = event else { return None };
    match case {
        "properties" => properties(),
        "property-set" => {
            came("set in one word", host::set_property("note", b"kept"));
            show("get", host::property("note"));
            show("with the prefix", host::property("wasm.note"));
            came("set in one word, again", host::set_property("note", b""));
            show("get", host::property("note"));
            came("set", host::set_property("probe.note", b"kept"));
            show("get", host::property("probe.note"));
            show("with the prefix", host::property("wasm.probe.note"));
            came("set again", host::set_property("probe.note", b""));
            show("get", host::property("probe.note"));
            came("set what the host has", host::set_property("request.path", b"/set"));
            show("get", host::property("request.path"));
            came("set without a name", host::set_property("", b"1"));
        }
        "shared" => shared(),
        "queue" => queue(),
        "queue-ready" => {
            let text: &[u8] = if crate::queue_was_ready() { b"ready" } else { b"not yet" };
            host::respond(200, "", &[], text);
            return Some(crate::PAUSE);
        }
        "metrics" => metrics(),
        "time" => {
            let ((first, early), (second, late)) = (host::now(), host::now());
            let (after_2020, before_2100) = (1_577_836_800_000_000_000, 4_102_444_800_000_000_000);
            let fits = (after_2020..before_2100).contains(&early) && early <= late;
            host::log(&format!("{first} {second} fits {fits}"));
        }
        "levels" => {
            for level in [0, 1, 2, 3, 4, 5, 6, 99] {
                let text = format!("level {level}");
                // SAFETY: pointer and size are those of a string that outlives the call.
                came(&text, unsafe { host::raw::proxy_log(level, text.as_ptr(), text.len()) });
            }
            let (status, level) = host::log_level();
            host::log(&format!("level is: {status} {level}"));
        }
        "ticks" => {
            let text = ticks().to_string();
            host::respond(200, "", &[], text.as_bytes());
            return Some(crate::PAUSE);
        }
        _ => return None,
    }
    Some(CONTINUE)
}

fn properties() {
    let known = [
        "plugin_name",
        "plugin_root_id",
        "plugin_vm_id",
        "request.path",
        "request.url_path",
        "request.query",
        "request.host",
        "request.scheme",
        "request.method",
        "request.protocol",
        "request.headers.x-one",
        "request.headers.x-two",
        "request.headers.x-none",
        "request.total_size",
        "request.size",
        "request.id",
        "request.useragent",
        "response.code",
        "response.code_details",
        "response.headers.x-one",
        "connection.mtls",
        "connection.requested_server_name",
        "connection.tls_version",
        "cluster_name",
        "route_name",
        "listener_direction",
        "xds.cluster_name",
        "xds.route_name",
    ];
    for path in known {
        show(path, host::property(path));
    }
    // With ports or moments in them: only whether they are there, and of which kind.
    for path in ["source.address", "destination.address", "upstream.address"] {
        let (status, value) = host::property(path);
        host::log(&format!("{path}: {status}, loopback {}", value.starts_with(b"127.0.0.1:")));
    }
    for path in ["source.port", "destination.port", "request.time", "request.duration", "connection.id"] {
        let (status, value) = host::property(path);
        host::log(&format!("{path}: {status}, {} bytes", value.len()));
    }
    for path in ["unknown", "request", "request.unknown", "", "node", "source"] {
        let (status, value) = host::property(path);
        host::log(&format!("{path:?}: {status}, empty {}", value.is_empty()));
    }
}

/// A number to compare with is the host's own matter; how it moves is not.
fn shared() {
    let get = |what: &str| {
        let (status, value, cas) = host::shared("probe");
        host::log(&format!("{what}: {status} \"{}\" cas above 0 {}", value.escape_ascii(), cas > 0));
        cas
    };
    get("unknown");
    came("set, cas 7, unknown", host::set_shared("other", b"?", 7));
    came("set", host::set_shared("probe", b"one", 0));
    let first = get("get");
    came("set, wrong cas", host::set_shared("probe", b"wrong", first + 1));
    get("get");
    came("set, right cas", host::set_shared("probe", b"two", first));
    let second = get("get");
    host::log(&format!("cas moved {}", second != first));
    came("set, old cas", host::set_shared("probe", b"old", first));
    came("set to nothing", host::set_shared("probe", b"", 0));
    get("get");
    came("set without a key", host::set_shared("", b"1", 0));
    show("get without a key", {
        let (status, value, _) = host::shared("");
        (status, value)
    });
}

fn queue() {
    let (status, queue) = host::register_queue("probe");
    came("register", status);
    let (status, again) = host::register_queue("probe");
    host::log(&format!("register again: {status}, the same {}", again == queue));
    let (status, found) = host::resolve_queue("probe", "probe");
    host::log(&format!("resolve: {status}, the same {}", found == queue));
    came("resolve unknown queue", host::resolve_queue("probe", "none").0);
    came("resolve unknown vm", host::resolve_queue("none", "probe").0);
    show("dequeue empty", host::dequeue(queue));
    came("enqueue", host::enqueue(queue, b"one"));
    came("enqueue", host::enqueue(queue, b""));
    came("enqueue", host::enqueue(queue, b"three"));
    for _ in 0..4 {
        show("dequeue", host::dequeue(queue));
    }
    show("dequeue unknown", host::dequeue(queue + 1000));
    came("enqueue unknown", host::enqueue(queue + 1000, b"?"));
}

fn metrics() {
    let value = |what: &str, id| {
        let (status, value) = host::metric(id);
        host::log(&format!("{what}: {status} {value}"));
    };
    for (kind, name) in [(0, "probe_counter"), (1, "probe_gauge"), (2, "probe_histogram")] {
        let (status, id) = host::define_metric(kind, name);
        came(&format!("define {name}"), status);
        value("get", id);
        came("increment by 5", host::increment(id, 5));
        value("get", id);
        came("increment by -2", host::increment(id, -2));
        value("get", id);
        came("increment by 0", host::increment(id, 0));
        came("record 40", host::record(id, 40));
        value("get", id);
        let (status, again) = host::define_metric(kind, name);
        host::log(&format!("define again: {status}, the same {}", again == id));
    }
    came("define of no kind", host::define_metric(3, "probe_none").0);
    came("define without a name", host::define_metric(0, "").0);
    // A host may have the kind in the number.
    for unknown in 4_000_000..4_000_004 {
        value("get unknown", unknown);
        came("increment unknown", host::increment(unknown, 1));
        came("record unknown", host::record(unknown, 1));
    }
}
