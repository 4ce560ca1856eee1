use std::sync::{Arc, Mutex};
use std::time::Duration;

use consentry_wasm_host::{
    Callout, CalloutAnswer, Callouts, Cause, Connection, Exchange, FailureKind, Frame, Headers, Limits,
    NoCallout, Output, Reply, Settings, Verdict,
};

use crate::fixture::{Fixture, bare, continued, failed, granted, module, module_with, patient, responded};

fn head(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

fn request() -> Headers {
    head(&[(":method", "POST"), (":path", "/"), (":authority", "a"), (":scheme", "http")])
}

fn status(code: &str) -> Headers {
    head(&[(":status", code)])
}

fn outputs(exchange: &mut Exchange) -> Vec<Output> {
    std::iter::from_fn(|| exchange.output()).collect()
}

/// Pauses until the end of a body, then puts "<" before it.
fn holding(callback: &str, buffer: u32) -> String {
    module(&format!(
        r#"
  (data (i32.const 0) "<")
  (func (export "{callback}") (param i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
    (drop (call $set_buffer (i32.const {buffer}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
    (i32.const 0))"#
    ))
}

#[test]
fn a_body_that_is_held_back_comes_whole_and_changed() {
    let fixture = Fixture::of(&holding("proxy_on_request_body", 0), granted());
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    assert_eq!(outputs(&mut exchange), [Output::Upstream(Frame::Head(request(), false))]);
    exchange.request(Frame::Data(b"one".to_vec(), false));
    assert_eq!(outputs(&mut exchange), []);
    assert!(exchange.is_paused());
    exchange.request(Frame::Data(b"two".to_vec(), true));
    assert_eq!(outputs(&mut exchange), [Output::Upstream(Frame::Data(b"<onetwo".to_vec(), true))]);
}

#[test]
fn a_body_of_an_answer_that_is_held_back_comes_whole_and_changed() {
    let fixture = Fixture::of(&holding("proxy_on_response_body", 1), granted());
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), true));
    exchange.response(Frame::Head(status("200"), false));
    exchange.response(Frame::Data(b"one".to_vec(), false));
    exchange.response(Frame::Data(b"two".to_vec(), true));
    let client = [
        Output::Upstream(Frame::Head(request(), true)),
        Output::Client(Frame::Head(status("200"), false)),
        Output::Client(Frame::Data(b"<onetwo".to_vec(), true)),
    ];
    assert_eq!(outputs(&mut exchange), client);
}

#[test]
fn a_length_that_a_plugin_may_make_wrong_does_not_go_on() {
    let length = |output: &Output| match output {
        Output::Upstream(Frame::Head(headers, _)) | Output::Client(Frame::Head(headers, _)) => {
            Some(headers.get(b"content-length").is_some())
        }
        Output::Upstream(_) | Output::Client(_) | Output::Reset => None,
    };
    for (wat, stays) in [
        (holding("proxy_on_request_body", 0), [false, true]),
        (holding("proxy_on_response_body", 1), [true, false]),
        (module(""), [true, true]),
    ] {
        let fixture = Fixture::of(&wat, granted());
        let mut exchange = fixture.host.exchange(Connection::default());
        let mut head = request();
        head.append(b"content-length", b"3");
        exchange.request(Frame::Head(head, false));
        exchange.request(Frame::Data(b"one".to_vec(), true));
        let mut head = status("200");
        head.append(b"content-length", b"3");
        exchange.response(Frame::Head(head, false));
        exchange.response(Frame::Data(b"one".to_vec(), true));
        assert_eq!(outputs(&mut exchange).iter().filter_map(length).collect::<Vec<_>>(), stays);
    }
}

#[test]
fn what_has_gone_on_is_not_changed_any_more() {
    // Adds a request header when the answer comes, and traps unless it is told that it cannot.
    let wat = module(
        r#"
  (data (i32.const 0) "x-a")
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (if (i32.ne (i32.const 2) (call $add (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 1)))
      (then (unreachable)))
    (if (i32.ne (i32.const 2) (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
      (then (unreachable)))
    (i32.const 0))"#,
    );
    let fixture = Fixture::of(&wat, granted());
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), true));
    exchange.response(Frame::Head(status("204"), true));
    assert_eq!(outputs(&mut exchange).pop(), Some(Output::Client(Frame::Head(status("204"), true))));
}

#[test]
fn trailers_that_come_let_a_held_body_go_before_them() {
    let fixture = Fixture::of(&holding("proxy_on_request_body", 0), granted());
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    exchange.request(Frame::Data(b"one".to_vec(), false));
    exchange.request(Frame::Trailers(head(&[("sum", "1")])));
    let upstream = [
        Output::Upstream(Frame::Head(request(), false)),
        Output::Upstream(Frame::Data(b"one".to_vec(), false)),
        Output::Upstream(Frame::Trailers(head(&[("sum", "1")]))),
    ];
    assert_eq!(outputs(&mut exchange), upstream);
}

#[test]
fn a_plugin_cannot_hold_back_more_than_it_may() {
    let limits = Limits { body_bytes: 10, ..patient() };
    let fixture = Fixture::of(&holding("proxy_on_request_body", 0), Settings { limits, ..granted() });
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    exchange.request(Frame::Data(vec![0; 6], false));
    exchange.request(Frame::Data(vec![0; 6], false));
    let Some(Cause::Failed(failure)) = exchange.cause() else { panic!("{:?}", exchange.cause()) };
    assert_eq!(failure.kind, FailureKind::Body);
    let last = outputs(&mut exchange).pop();
    let Some(Output::Client(Frame::Head(headers, true))) = last else { panic!("{last:?}") };
    assert_eq!(headers.text(":status"), Some("413"));
}

#[test]
fn a_plugin_that_does_not_look_at_bodies_costs_them_nothing() {
    let limits = Limits { body_bytes: 10, ..patient() };
    let fixture = Fixture::of(&module(""), Settings { limits, ..granted() });
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    exchange.request(Frame::Data(vec![1; 1_000], true));
    assert_eq!(outputs(&mut exchange).pop(), Some(Output::Upstream(Frame::Data(vec![1; 1_000], true))));
}

/// Answers 403 with a header and a body when a request begins; counts, in `x-seen`, the answers that it sees.
const REFUSING: &str = r#"
  (data (i32.const 0) "\01\00\00\00\05\00\00\00\02\00\00\00x-why\00no\00")
  (data (i32.const 32) "refused")
  (data (i32.const 48) "x-seenyes")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $respond (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 32) (i32.const 7)
      (i32.const 0) (i32.const 21) (i32.const -1)))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 48) (i32.const 6) (i32.const 54) (i32.const 3)))
    (i32.const 0))"#;

#[test]
fn an_answer_of_a_plugin_never_reaches_the_upstream_and_passes_its_own_callbacks() {
    let fixture = Fixture::of(&module(REFUSING), granted());
    let (response, cause) = responded(fixture.get("/"));
    assert_eq!((response.status, response.body.as_slice()), (403, &b"refused"[..]));
    assert_eq!(response.headers.text("x-why"), Some("no"));
    assert_eq!(response.headers.text("x-seen"), Some("yes"));
    assert_eq!(cause, Cause::Plugin("it".to_owned()));
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    exchange.request(Frame::Data(b"late".to_vec(), true));
    exchange.response(Frame::Head(status("200"), true));
    let all = outputs(&mut exchange);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all.iter().all(|output| matches!(output, Output::Client(_))), "{all:?}");
}

#[test]
fn plugins_see_a_request_in_their_order_and_its_answer_in_the_other() {
    let adding = |letter: char| {
        module(&format!(
            r#"
  (data (i32.const 0) "x-way{letter}")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 1)))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 1)))"#
        ))
    };
    let fixture = Fixture::new();
    for letter in ['a', 'b', 'c'] {
        fixture.host.load(&letter.to_string(), adding(letter).as_bytes(), granted()).unwrap();
    }
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), true));
    exchange.response(Frame::Head(status("200"), true));
    let way = |output: &Output| match output {
        Output::Upstream(Frame::Head(headers, _)) | Output::Client(Frame::Head(headers, _)) => {
            let values = headers.iter().filter(|(name, _)| *name == b"x-way");
            values.map(|(_, value)| value[0] as char).collect::<String>()
        }
        other @ (Output::Upstream(_) | Output::Client(_) | Output::Reset) => panic!("{other:?}"),
    };
    assert_eq!(outputs(&mut exchange).iter().map(way).collect::<Vec<_>>(), ["abc", "cba"]);
}

/// Keeps what it is asked to call.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(Callout, Reply)>>>);

impl Callouts for Kept {
    fn begin(&self, call: Callout, reply: Reply) -> Result<(), NoCallout> {
        self.0.lock().unwrap().push((call, reply));
        Ok(())
    }
}

/// Calls the upstream `up`, and goes on when it has answered; answers 403 when the call failed.
const CALLING: &str = r#"
  (data (i32.const 0) "up")
  (data (i32.const 4) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00u\00")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.eqz (call $call (i32.const 0) (i32.const 2) (i32.const 4) (i32.const 61) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 100))))
  (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
    (drop (call $effective (i32.const 2)))
    (if (local.get 2)
      (then (drop (call $continue (i32.const 0))))
      (else (drop (call $respond (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const -1))))))"#;

fn calling(limits: Limits, granted_upstream: bool) -> (Fixture, Kept) {
    let kept = Kept::default();
    let fixture = Fixture::with(|builder| builder.callouts(kept.clone()));
    let upstreams = granted_upstream.then(|| "up".to_owned()).into_iter().collect();
    let effective =
        r#"(import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;
    let wat = module_with(effective, CALLING);
    fixture.load(&wat, Settings { upstreams, limits, ..granted() }).unwrap();
    (fixture, kept)
}

#[test]
fn a_request_waits_for_the_answer_that_its_plugin_waits_for() {
    for (answer, goes_on) in
        [(Some(CalloutAnswer { headers: status("200"), ..CalloutAnswer::default() }), true), (None, false)]
    {
        let (fixture, kept) = calling(patient(), true);
        let mut exchange = fixture.host.exchange(Connection::default());
        exchange.request(Frame::Head(request(), false));
        exchange.request(Frame::Data(b"body".to_vec(), true));
        assert_eq!(outputs(&mut exchange), []);
        let (call, reply) = kept.0.lock().unwrap().pop().unwrap();
        assert_eq!((call.upstream.as_str(), call.headers.text(":method")), ("up", Some("GET")));
        assert!(!exchange.wait(Duration::ZERO));
        reply.deliver(answer);
        assert!(exchange.wait(Duration::ZERO));
        let first = outputs(&mut exchange);
        if goes_on {
            let upstream = [Frame::Head(request(), false), Frame::Data(b"body".to_vec(), true)];
            assert_eq!(first, upstream.map(Output::Upstream));
        } else {
            assert!(matches!(first.as_slice(), [Output::Client(Frame::Head(..))]), "{first:?}");
        }
    }
}

#[test]
fn news_do_not_begin_the_patience_anew() {
    // Waits for an answer that never comes, and has a timer.
    let wat = module(
        r#"
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (drop (call $tick (i32.const 1))) (i32.const 1))
  (func (export "proxy_on_tick") (param i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))"#,
    );
    let limits = Limits { pause_deadline_ms: 50, ..patient() };
    let fixture = Fixture::of(&wat, Settings { limits, ..granted() });
    assert_eq!(failed(fixture.get("/")), FailureKind::Pause);
}

#[test]
fn letting_go_of_nothing_does_not_let_go_of_what_comes_later() {
    // Lets the request go on before it holds its body back.
    let wat = module(
        r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $continue (i32.const 0)))
    (drop (call $continue (i32.const 1)))
    (i32.const 0))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 1))"#,
    );
    let fixture = Fixture::of(&wat, granted());
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), false));
    exchange.request(Frame::Data(b"body".to_vec(), true));
    exchange.response(Frame::Head(status("200"), true));
    assert_eq!(outputs(&mut exchange), [Output::Upstream(Frame::Head(request(), false))]);
}

#[test]
fn nothing_follows_the_end_of_an_answer() {
    // The second refuses, with a body; the first traps when it sees that.
    let trapping = module(
        "(func (export \"proxy_on_response_headers\") (param i32 i32 i32) (result i32) (unreachable))",
    );
    let fixture = Fixture::new();
    fixture.host.load("first", trapping.as_bytes(), granted()).unwrap();
    fixture.host.load("second", module(REFUSING).as_bytes(), granted()).unwrap();
    let mut exchange = fixture.host.exchange(Connection::default());
    exchange.request(Frame::Head(request(), true));
    let all = outputs(&mut exchange);
    let [Output::Client(Frame::Head(headers, true))] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(headers.text(":status"), Some("503"));
}

#[test]
fn a_call_that_is_dropped_has_failed() {
    let (fixture, kept) = calling(patient(), true);
    let host = fixture.host.clone();
    let waiting =
        std::thread::spawn(move || host.on_request(&consentry_wasm_host::HttpHead::new("GET", "/")));
    let call = loop {
        let call = kept.0.lock().unwrap().pop();
        if let Some(call) = call {
            break call;
        }
        std::thread::yield_now();
    };
    drop(call);
    assert_eq!(responded(waiting.join().unwrap()).0.status, 403);
}

#[test]
fn a_request_does_not_wait_for_ever() {
    let (fixture, kept) = calling(Limits { pause_deadline_ms: 1, ..patient() }, true);
    assert_eq!(failed(fixture.get("/")), FailureKind::Pause);
    assert_eq!(fixture.heard.failures.lock().unwrap()[0].kind, FailureKind::Pause);
    assert_eq!(fixture.host.standing()[0].failures, 1);
    // The answer comes to nobody.
    let (_, reply) = kept.0.lock().unwrap().pop().unwrap();
    reply.deliver(None);
}

#[test]
fn an_upstream_that_is_not_granted_is_never_called() {
    let (fixture, kept) = calling(patient(), false);
    continued(fixture.get("/"));
    assert!(kept.0.lock().unwrap().is_empty());
    assert!(fixture.lines().iter().any(|line| line.contains("`up`, which it is not granted")));
}

#[test]
fn the_engine_is_asked_only_by_who_is_granted_it() {
    // Asks for Ivan, and answers 403 with the answer.
    let asking = module(
        r#"
  (data (i32.const 0) "consentry.evaluate")
  (data (i32.const 32) "{\"principal\":\"Installer::\\\"ivan\\\"\",\"action\":\"liveView\",\"resource\":\"Device::\\\"cam\\\"\"}")
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $foreign (i32.const 0) (i32.const 18) (i32.const 32) (i32.const 84) (i32.const 200) (i32.const 204))
      (then (return (i32.const 0))))
    (drop (call $respond (i32.const 403) (i32.const 0) (i32.const 0) (i32.load (i32.const 200)) (i32.load (i32.const 204))
      (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 0))"#,
    );
    let fixture = Fixture::of(&asking, bare());
    continued(fixture.get("/"));
    assert!(fixture.ivan.asked.lock().unwrap().is_empty());
    assert_eq!(fixture.lines(), ["warn it: it asks for `evaluate`, which it is not granted"]);

    let fixture = Fixture::of(&asking, granted());
    let (response, _) = responded(fixture.get("/"));
    let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(answer["decision"], "allow");
    assert_eq!(answer["determining_policies"], serde_json::json!(["ivan-may"]));
}

#[test]
fn what_is_not_granted_ends_the_request_that_uses_it() {
    for call in [
        "(call $tick (i32.const 10))",
        "(call $share (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0))",
    ] {
        let wat = module(&format!(
            "(func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) (drop {call}) (i32.const 0))"
        ));
        let fixture = Fixture::of(&wat, bare());
        assert_eq!(failed(fixture.get("/")), FailureKind::Trap);
        let failures = fixture.heard.failures.lock().unwrap();
        assert!(failures[0].message.contains("which it is not granted"), "{}", failures[0].message);
        drop(failures);
        continued(Fixture::of(&wat, granted()).get("/"));
    }
}

#[test]
fn a_plugin_is_replaced_without_a_request_noticing() {
    let saying = |word: &str| {
        module(&format!(
            r#"
  (data (i32.const 0) "x-word{word}")
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $add (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 3)))"#
        ))
    };
    let word = |exchange: &mut Exchange| {
        exchange.response(Frame::Head(status("200"), true));
        match outputs(exchange).pop() {
            Some(Output::Client(Frame::Head(headers, _))) => headers.text("x-word").unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let fixture = Fixture::of(&saying("old"), granted());
    let begin = || {
        let mut exchange = fixture.host.exchange(Connection::default());
        exchange.request(Frame::Head(request(), true));
        exchange
    };
    let (mut old, mut other) = (begin(), begin());
    assert_eq!(fixture.host.standing()[0].instances, 2);
    fixture.load(&saying("new"), granted()).unwrap();
    fixture.load("(module (unreachable))", granted()).unwrap_err();
    let mut new = begin();
    assert_eq!([word(&mut old), word(&mut new), word(&mut other)], ["old", "new", "old"]);
    drop((old, other, new));
    // Those of the old one are gone, each with its request.
    assert_eq!(fixture.host.standing()[0].instances, 1);
    assert!(fixture.host.unload("it"));
    assert!(matches!(fixture.get("/"), Verdict::Continue { .. }));
}

/// Who sends too much has failed, not the plugin.
#[test]
fn clients_that_send_too_much_do_not_take_a_plugin_from_the_others() {
    let limits = Limits { body_bytes: 4, ..patient() };
    let fixture = Fixture::of(&holding("proxy_on_request_body", 0), Settings { limits, ..granted() });
    for number in 1..=12 {
        let mut exchange = fixture.host.exchange(Connection::default());
        exchange.request(Frame::Head(request(), false));
        exchange.request(Frame::Data(b"12345".to_vec(), false));
        assert!(
            matches!(exchange.cause(), Some(Cause::Failed(failure)) if failure.kind == FailureKind::Body)
        );
        assert_eq!(fixture.heard.failures.lock().unwrap().len(), number);
    }
    continued(fixture.get("/"));
}

/// What comes after a head that is held back is not asked for: it would be kept, and be too much at some point.
#[test]
fn nothing_more_is_of_use_while_a_head_is_held_back() {
    let (fixture, kept) = calling(patient(), true);
    let mut exchange = fixture.host.exchange(Connection::default());
    assert!(exchange.takes_request() && exchange.takes_response());
    exchange.request(Frame::Head(request(), false));
    assert!(!exchange.takes_request() && exchange.takes_response());
    let (_, reply) = kept.0.lock().unwrap().pop().unwrap();
    reply.deliver(Some(CalloutAnswer { headers: status("200"), ..CalloutAnswer::default() }));
    assert_eq!(outputs(&mut exchange), [Output::Upstream(Frame::Head(request(), false))]);
    assert!(exchange.takes_request());
}
