//! What is sent to gateways, in groups: each group has a gateway of its own, and its cases come in this order.

use crate::support::http::Message;

pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// A plugin of `guests/`.
    pub(crate) plugin: &'static str,
    pub(crate) configuration: &'static str,
    pub(crate) cases: Vec<Case>,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) requests: Vec<Message>,
    /// Sent again until the answer has this body.
    pub(crate) until: Option<&'static str>,
    /// Nobody answers: silence is half a second then.
    pub(crate) hangs: bool,
}

/// Said by clients, because Envoy adds it to requests without it, and routes none that lost it.
const PROTO: &str = "x-forwarded-proto";

/// A request with headers of every sort.
fn request(line: &str, case: &str) -> Message {
    Message::new(&format!("{line} HTTP/1.1"))
        .header("host", "front.example")
        .header(PROTO, "http")
        .header("x-case", case)
        .header("x-one", "1")
        .header("x-two", "a")
        .header("x-two", "b")
        .header("X-Mixed", "M")
        .header("x-empty", "")
        .header("x-bytes", b"\xe4\xff")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
}

fn case(name: &str, requests: Vec<Message>) -> Case {
    Case { name: name.to_owned(), requests, until: None, hangs: HANGING.contains(&name) }
}

/// Where Envoy does what no gateway should: they are written down, and nobody else is measured by them.
pub(crate) const FAULTS: [&str; 21] = [
    // Nobody is answered from then on.
    "panic",
    "response-panic",
    // The request is sent twice, if the first answer does not end it before; the response comes apart; the process ends.
    "go-on-unasked",
    "response-go-on-unasked",
    "response-local-twice",
    // It waits for ever for what was granted at once.
    "response-go-on-at-once",
    // The body and its length differ, and what is left over is taken for the next message.
    "body-longer",
    "body-shorter",
    "response-body-longer",
    "response-body-shorter",
    // Headers that are none, or two.
    "name-empty",
    "path-added",
    "response-value-with-newline",
    "response-value-with-nul",
    "response-name-odd",
    "response-name-empty",
    "local-pseudo",
    // Statuses that are none, or have no body.
    "local-0",
    "local-100",
    "local-204",
    "local-600",
];

/// Where it depends on who is first whether Envoy's upstream gets the same request once or twice.
pub(crate) const RACES: [&str; 1] = ["go-on-unasked"];

/// What a plugin stopped, and let nobody go on; and what is shorter than it says.
const HANGING: [&str; 4] =
    ["body-held", "response-body-held", "response-go-on-at-once", "response-body-shorter"];

fn gets(cases: &str) -> Vec<Case> {
    cases.split_whitespace().map(|name| case(name, vec![request("GET /path?query=1", name)])).collect()
}

fn until(name: &str, body: &'static str) -> Case {
    Case { until: Some(body), ..case(name, vec![request("GET /", name)]) }
}

fn state() -> Vec<Case> {
    let mut cases = gets("properties response-properties property-set shared queue");
    cases.push(until("queue-ready", "ready"));
    cases.extend(gets("metrics time levels buffers pointers"));
    cases
}

/// Each with a body of known length, and in chunks; for the response, asked for.
fn bodies(cases: &str) -> Vec<Case> {
    let of = |name: &str| {
        let sized = request("POST /sized", name).body("hello body");
        let chunked = request("POST /chunked", name).chunked("hello body");
        case(name, vec![sized, chunked])
    };
    cases.split_whitespace().map(of).collect()
}

pub(crate) fn groups() -> Vec<Group> {
    let probe = |name, cases| Group { name, plugin: "probe", configuration: "", cases };
    vec![
        probe("order", order()),
        probe(
            "request headers",
            gets(
                "get add replace remove set-all set-none set-without-pseudo path path-added path-removed path-empty \
                 method method-removed authority authority-removed host scheme status value-with-newline \
                 value-with-nul value-not-utf8 value-spaces name-odd name-empty name-pseudo other-side maps",
            ),
        ),
        probe(
            "response headers",
            gets(
                "response-get response-add response-replace response-remove response-set-all response-set-none \
                 response-set-without-pseudo response-status response-status-odd response-status-removed \
                 response-length-removed response-path response-value-with-newline response-value-with-nul \
                 response-value-not-utf8 response-value-spaces response-name-odd response-name-empty \
                 response-name-pseudo response-other-side response-maps",
            ),
        ),
        probe(
            "answers",
            gets(
                "local local-bare local-typed local-twice local-then-continue local-then-headers local-pseudo \
                 local-204 local-304 local-100 local-600 local-0 response-local response-local-bare \
                 response-local-typed response-local-twice response-local-then-continue close response-close \
                 go-on-at-once response-go-on-at-once go-on-unasked response-go-on-unasked streams",
            ),
        ),
        probe(
            "bodies",
            bodies(
                "body-read body-replaced body-appended body-prepended body-emptied body-cut body-middle body-late \
                 body-longer body-shorter body-whole body-held body-early body-local response-body-read \
                 response-body-replaced response-body-appended response-body-prepended response-body-emptied \
                 response-body-cut response-body-middle response-body-late response-body-longer \
                 response-body-shorter response-body-whole response-body-held response-body-early \
                 response-body-local",
            ),
        ),
        probe("no bodies", gets("body-read body-early body-whole body-held response-body-read")),
        probe("trailers", trailers()),
        probe("state", state()),
        probe(
            "calls",
            gets(
                "call call-refused call-full call-to-nobody call-to-the-dead call-too-slow call-without-path \
                 call-without-headers response-call response-call-refused foreign contexts done-later finish",
            ),
        ),
        Group {
            name: "ticks",
            plugin: "probe",
            configuration: r#"{"tick":true}"#,
            cases: vec![until("ticks", "3")],
        },
        Group {
            name: "a refused configuration",
            plugin: "probe",
            configuration: "refuse",
            cases: Vec::new(),
        },
        probe("panic", gets("panic")),
        probe("panic with the response", gets("response-panic")),
        Group { name: "C", plugin: "c-proxy-wasm", configuration: "", cases: c() },
        Group { name: "Rust", plugin: "rust-proxy-wasm", configuration: "", cases: rust() },
        Group {
            name: "Rust, another header",
            plugin: "rust-proxy-wasm",
            configuration: r#"{"header":"x-user"}"#,
            cases: vec![
                case("the usual header", vec![live("x-installer", "ivan")]),
                case("the one that is named", vec![live("x-user", "ivan")]),
            ],
        },
        Group {
            name: "Rust, a bad configuration",
            plugin: "rust-proxy-wasm",
            configuration: r#"{"haeder":"x-user"}"#,
            cases: Vec::new(),
        },
    ]
}

fn order() -> Vec<Case> {
    let head = Message { line: "HEAD /path HTTP/1.1".to_owned(), ..request("GET /path", "order") };
    let trailers = || announced("order").chunked("hello body").trailer("x-trailer", "1");
    vec![
        case("without bodies", vec![request("GET /204", "order"), request("GET /none", "order"), head]),
        case("a body comes back", vec![request("GET /path", "order"), request("GET /chunked", "order")]),
        case("a body is sent", vec![request("POST /path", "order").body("hello body")]),
        case("a body of no length", vec![request("POST /none", "order").body("")]),
        case("in chunks", vec![request("POST /chunked", "order").chunked("hello body")]),
        case("with trailers", vec![trailers()]),
        case("a response of its own", vec![request("GET /path", "order-local")]),
        case(
            "a response of its own to a body",
            vec![request("POST /path", "order-local").body("hello body")],
        ),
    ]
}

/// Some gateways send only trailers that are announced, to whom takes them.
fn announced(case: &str) -> Message {
    request("POST /trailers", case)
        .header("te", "trailers")
        .header("trailer", "x-trailer, x-gone, x-mixed, x-added")
}

fn trailers() -> Vec<Case> {
    let request = |name| {
        announced(name)
            .chunked("hello body")
            .trailer("x-trailer", "1")
            .trailer("x-gone", "1")
            .trailer("X-Mixed", "M")
    };
    ["trailers", "response-trailers", "body-read", "body-whole", "response-body-read", "response-body-whole"]
        .map(|name| case(name, vec![request(name)]))
        .into()
}

fn live(header: &str, value: impl AsRef<[u8]>) -> Message {
    Message::new("GET /sites/villa/devices/cam-7/live HTTP/1.1")
        .header("host", "front.example")
        .header(PROTO, "http")
        .header(header, value)
}

fn c() -> Vec<Case> {
    vec![
        case("who asks is said", vec![live("x-installer", "ivan")]),
        case("nobody asks", vec![live("x-other", "ivan"), live("x-installer", "")]),
        case("a mark that the client sent", vec![live("x-installer", "ivan").header("x-seen-by", "client")]),
    ]
}

fn rust() -> Vec<Case> {
    let to = |path: &str| Message { line: format!("GET {path} HTTP/1.1"), ..live("x-installer", "ivan") };
    vec![
        case("live", vec![live("x-installer", "ivan")]),
        case("a query", vec![to("/sites/villa/devices/cam-7/playback?from=1")]),
        case(
            "nothing that is mapped",
            [
                "/",
                "/sites/villa/devices/cam-7",
                "/sites/villa/devices/cam-7/delete",
                "/sites/villa/devices/cam-7/live/",
                "/sites/villa/devices/../live",
                "/sites/villa/devices/cam%2d7/live",
                "/sites//devices/cam-7/live",
                "/sites/villa/devices/cam\"7/live",
            ]
            .map(to)
            .into(),
        ),
        case(
            "nobody asks, or not one",
            vec![
                live("x-other", "ivan"),
                live("x-installer", ""),
                live("x-installer", "ivan").header("x-installer", "ada"),
                live("x-installer", "\"ivan\""),
                live("x-installer", b"\xe4\xff"),
            ],
        ),
    ]
}
