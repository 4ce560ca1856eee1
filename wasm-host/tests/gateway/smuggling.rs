use std::io::{BufReader, Read as _, Write as _};

use crate::plugins::{Texts, module, on};
use crate::wire::{Gateway, Message, Upstream, ask, connect, get};

#[test]
fn a_request_tells_its_length_in_one_way_only() {
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let both = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(ask(gateway.address, both).unwrap().status(), 200);
    let seen = upstream.next();
    assert_eq!((seen.get("content-length"), seen.get("transfer-encoding")), (None, Some("chunked")));
    assert_eq!(seen.body, b"hi");
    for framing in ["content-length: 2\r\ncontent-length: 3", "content-length: +2", "transfer-encoding: x"] {
        let request = format!("POST / HTTP/1.1\r\nhost: here\r\n{framing}\r\n\r\nhi");
        assert_eq!(ask(gateway.address, request).unwrap().status(), 400, "{framing}");
    }
    assert!(upstream.saw_nothing());
}

#[test]
fn an_answer_tells_its_length_in_one_way_only() {
    let upstream = Upstream::new(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            .to_vec()
    });
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let answer = get(gateway.address, "/");
    assert_eq!((answer.get("content-length"), answer.get("transfer-encoding")), (None, Some("chunked")));
    assert!(answer.whole && answer.body == b"ok");
}

#[test]
fn a_request_is_for_one_host() {
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[], &[]);
    for hosts in ["x-none: 1", "host: a\r\nhost: b", "host: a\r\nHost: a"] {
        let request = format!("GET / HTTP/1.1\r\n{hosts}\r\n\r\n");
        assert_eq!(ask(gateway.address, request).unwrap().status(), 400, "{hosts}");
    }
    assert_eq!(ask(gateway.address, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n").unwrap().status(), 400);
    assert!(upstream.saw_nothing());
    let absolute = "GET http://there/path HTTP/1.1\r\nhost: here\r\n\r\n";
    assert_eq!(ask(gateway.address, absolute).unwrap().status(), 200);
    let seen = upstream.next();
    assert_eq!((&*seen.line, seen.get("host")), ("GET /path HTTP/1.1", Some("there")));
    assert_eq!(seen.headers.iter().filter(|(name, _)| name == "host").count(), 1);
}

/// What a plugin says of a length, or of the connection, does not change where a message ends.
#[test]
fn a_plugin_cannot_have_one_request_read_as_two() {
    let mut texts = Texts::default();
    let lies = texts.field("replace", 0, "content-length", "40")
        + &texts.field("add", 0, "transfer-encoding", "chunked")
        + &texts.field("add", 0, "connection", "close, x-one")
        + &texts.field("add", 0, "host", "other");
    let plugin = module(&(texts.data() + &on("request_headers", &lies)));
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
    let mut stream = connect(gateway.address);
    for path in ["/1", "/2"] {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nx-one: 1\r\n\r\n").unwrap();
        let answer = Message::read(&mut BufReader::new(stream.try_clone().unwrap()), false).unwrap();
        assert_eq!((answer.status(), &answer.body[..]), (200, &b"hello"[..]));
        let seen = upstream.next();
        assert_eq!(seen.line, format!("GET {path} HTTP/1.1"));
        let names: Vec<_> = seen.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!((names, seen.get("host")), (vec!["host", "x-one"], Some("here")));
    }
}

#[test]
fn a_body_that_is_not_as_long_as_promised_is_cut_off() {
    let post = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi";
    for length in ["1", "40"] {
        let mut texts = Texts::default();
        let promise = texts.field("replace", 0, "content-length", length);
        let plugin = module(&(texts.data() + &on("request_headers", &promise)));
        let upstream = Upstream::hello();
        let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
        assert_eq!(ask(gateway.address, post).unwrap().status(), 500);
        assert!(upstream.saw_nothing());
        let mut texts = Texts::default();
        let promise = texts.field("replace", 2, "content-length", length);
        let plugin = module(&(texts.data() + &on("response_headers", &promise)));
        let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
        let answer = ask(gateway.address, post);
        assert!(answer.is_none_or(|answer| !answer.whole), "{length}");
    }
}

#[test]
fn a_body_that_a_plugin_makes_longer_goes_on_whole() {
    let mut texts = Texts::default();
    let more = texts.put("more ");
    let longer = |buffer: u32| {
        let set = format!("(call $set_buffer (i32.const {buffer}) (i32.const 0) (i32.const 0) {more})");
        format!("(if (i32.eqz (local.get 2)) (then (drop {set})))")
    };
    let bodies = on("request_body", &longer(0)) + &on("response_body", &longer(1));
    let plugin = module(&(texts.data() + &bodies));
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
    let post = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi";
    let answer = ask(gateway.address, post).unwrap();
    assert!(answer.whole && answer.body == b"more hello", "{answer:?}");
    assert_eq!(upstream.next().body, b"more hi");
}

#[test]
fn what_plugins_make_unusable_is_answered_and_not_sent() {
    for (name, value) in [
        (":path", "other/"),
        (":path", "?x"),
        (":method", "CONNECT"),
        ("content-length", "x"),
        ("content-length", "1, 2"),
    ] {
        let mut texts = Texts::default();
        let change = texts.field("replace", 0, name, value);
        let plugin = module(&(texts.data() + &on("request_headers", &change)));
        let upstream = Upstream::hello();
        let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
        assert_eq!(get(gateway.address, "/").status(), 500, "{name}");
        assert!(upstream.saw_nothing());
    }
    for (name, value) in [(":status", "x"), (":status", "101"), ("content-length", "x")] {
        let mut texts = Texts::default();
        let change = texts.field("replace", 2, name, value);
        let plugin = module(&(texts.data() + &on("response_headers", &change)));
        let gateway = Gateway::new(Upstream::hello().address, &[&plugin], &[]);
        assert_eq!(get(gateway.address, "/").status(), 502, "{name}");
    }
}

#[test]
fn an_answer_of_a_plugin_is_as_long_as_it_is() {
    for (name, value) in [("content-length", "1"), ("content-length", "99"), ("transfer-encoding", "chunked")]
    {
        let mut texts = Texts::default();
        let respond = texts.respond_with(403, &[(name, value), ("x-own", "1")], "refused");
        let callbacks = on("request_headers", &respond) + &on("response_body", "");
        let plugin = module(&(texts.data() + &callbacks));
        let gateway = Gateway::new(Upstream::hello().address, &[&plugin], &[]);
        let answer = get(gateway.address, "/");
        assert_eq!((answer.status(), &answer.body[..]), (403, &b"refused"[..]));
        assert_eq!((answer.get("content-length"), answer.get("transfer-encoding")), (Some("7"), None));
        assert_eq!(answer.get("x-own"), Some("1"));
    }
}

#[test]
fn an_answer_that_has_no_body_gets_none_from_a_plugin() {
    for status in [204, 304] {
        let mut texts = Texts::default();
        let respond = texts.respond(status, "refused");
        let own = module(&(texts.data() + &on("request_headers", &respond)));
        let mut texts = Texts::default();
        let change = texts.field("replace", 2, ":status", &status.to_string());
        let changed = module(&(texts.data() + &on("response_headers", &change)));
        for plugin in [own, changed] {
            let gateway = Gateway::new(Upstream::hello().address, &[&plugin], &[]);
            let mut stream = connect(gateway.address);
            stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
            assert!(status == 304 || !answer.contains("content-length"), "{answer}");
        }
    }
}

#[test]
fn a_plugin_cannot_give_a_request_two_lengths() {
    let mut texts = Texts::default();
    let second = texts.field("add", 0, "content-length", "30");
    let plugin = module(&(texts.data() + &on("request_headers", &second)));
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
    let post = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(ask(gateway.address, post).unwrap().status(), 500);
    assert!(upstream.saw_nothing());
}
