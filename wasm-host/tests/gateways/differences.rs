//! Where our gateway does something else than Envoy, and why. What it does is in `ours.golden`.

/// A reason, and the cases that it explains, as `group: case`.
pub(crate) const DIFFERENCES: [(&str, &[&str]); 13] = [
    (
        "The specification has `proxy_on_log` after `proxy_on_done`; Envoy has it before.",
        &[
            "order: without bodies",
            "order: a body comes back",
            "order: a body is sent",
            "order: a body of no length",
            "order: a response of its own",
            "order: a response of its own to a body",
        ],
    ),
    (
        "The same; and `transfer-encoding` can be looked at.",
        &["order: in chunks", "order: with trailers", "trailers: trailers"],
    ),
    (
        "A plugin that waits after `proxy_on_done` has its context until it calls `proxy_done`, as the specification has it; \
         in Envoy the context is gone at once.",
        &["calls: done-later", "calls: finish"],
    ),
    (
        "What is not there is NOT_FOUND or empty, not BAD_ARGUMENT: SDKs panic on that, and a plugin need not end because it \
         looked.",
        &[
            "request headers: other-side",
            "request headers: maps",
            "response headers: response-maps",
            "trailers: response-trailers",
            "calls: contexts",
        ],
    ),
    (
        "What has gone on can still be looked at in later callbacks, though not be changed.",
        &["response headers: response-other-side", "state: response-properties"],
    ),
    (
        "A name or value that would end a header and begin another is refused when it is added; Envoy takes it, and answers \
         503 when it is sent. Fields that are none are refused; Envoy takes them for no fields at all.",
        &[
            "request headers: value-with-newline",
            "request headers: value-with-nul",
            "request headers: name-odd",
            "state: pointers",
        ],
    ),
    (
        "A request or answer that a plugin made unsendable is answered 500 by the example gateway, without a body; one \
         without `:authority` is sent with an empty host.",
        &[
            "request headers: set-none",
            "request headers: set-without-pseudo",
            "request headers: path-removed",
            "request headers: path-empty",
            "request headers: method-removed",
            "request headers: authority-removed",
            "response headers: response-set-none",
            "response headers: response-set-without-pseudo",
            "response headers: response-status-odd",
            "response headers: response-status-removed",
        ],
    ),
    ("There are no streams of TCP, nor their buffers.", &["answers: streams", "state: buffers"]),
    (
        "A body can be changed anywhere in it, as the specification has it; Envoy refuses the middle.",
        &["bodies: body-middle", "bodies: response-body-middle"],
    ),
    (
        "A connection that has to be cut is cut before anything of the answer is sent, if nothing was sent yet.",
        &["bodies: response-body-local"],
    ),
    (
        "Properties that a gateway does not tell are not there; paths of more than one word can be set and read.",
        &["state: properties", "state: property-set"],
    ),
    (
        "A number to compare with cannot fit a key that is not there. A metric of a name and kind is one metric; of an unknown \
         one NOT_FOUND is told, as the specification has it.",
        &["state: shared", "state: metrics"],
    ),
    (
        "Envoy adds a header to what upstreams answer. A call that failed has no headers, as the specification has it; Envoy \
         makes an answer up.",
        &[
            "calls: call",
            "calls: call-refused",
            "calls: call-full",
            "calls: call-to-the-dead",
            "calls: call-too-slow",
            "calls: response-call",
            "calls: response-call-refused",
        ],
    ),
];
