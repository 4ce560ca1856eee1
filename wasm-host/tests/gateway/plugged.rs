use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::thread;

use crate::plugins::{Texts, asks, holds, module, on, when_path_is};
use crate::wire::{Gateway, Message, Upstream, ask, connect, get, nobody, serving};

#[test]
fn plugins_change_what_goes_and_what_comes_back() {
    let mut texts = Texts::default();
    let request = texts.field("add", 0, "x-added", "1")
        + &texts.field("replace", 0, ":path", "/changed?")
        + &texts.field("replace", 0, ":authority", "inner");
    let response =
        texts.field("replace", 2, "x-from", "plugin") + &texts.field("replace", 2, ":status", "201");
    let plugin =
        module(&(texts.data() + &on("request_headers", &request) + &on("response_headers", &response)));
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin, &plugin], &[]);
    let answer = get(gateway.address, "/");
    assert_eq!((answer.status(), answer.get("x-from")), (201, Some("plugin")));
    assert_eq!(answer.body, b"hello");
    let seen = upstream.next();
    assert_eq!(seen.line, "GET /changed? HTTP/1.1");
    assert_eq!(seen.get("host"), Some("inner"));
    assert_eq!(seen.headers.iter().filter(|(name, _)| name == "x-added").count(), 2);
}

#[test]
fn what_a_plugin_refuses_never_reaches_the_upstream() {
    let mut texts = Texts::default();
    let refuse = texts.respond(403, "no\n");
    let (upstream, plugin) = (Upstream::hello(), when_path_is('n', &texts, &refuse));
    let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
    let answer = get(gateway.address, "/no");
    assert_eq!((answer.status(), &answer.body[..]), (403, &b"no\n"[..]));
    let post = [&b"POST /no HTTP/1.1\r\nhost: here\r\ncontent-length: 3000000\r\n\r\n"[..], &[0; 3_000_000]]
        .concat();
    assert_eq!(ask(gateway.address, post).unwrap().status(), 403);
    assert!(upstream.saw_nothing());
    assert_eq!(get(gateway.address, "/yes").status(), 200);
    assert_eq!(upstream.next().line, "GET /yes HTTP/1.1");
}

#[test]
fn a_body_that_a_plugin_holds_back_comes_whole_and_changed() {
    // Until its end; then "<" comes before it, and its length is no longer told.
    let mut texts = Texts::default();
    let (name, before) = (texts.put("content-length"), texts.put("<"));
    let forget = format!("(drop (call $remove (i32.const 0) {name}))");
    let body = format!(
        "(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
         (drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) {before}))"
    );
    let plugin = module(&(texts.data() + &on("request_headers", &forget) + &on("request_body", &body)));
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &[]);
    let request = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 6\r\n\r\nonetwo";
    assert_eq!(ask(gateway.address, request).unwrap().status(), 200);
    assert_eq!(upstream.next().body, b"<onetwo");
    let head = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 3000000\r\n\r\n";
    let answer = ask(gateway.address, [&head[..], &[0; 3_000_000]].concat()).unwrap();
    assert_eq!(answer.status(), 413);
}

#[test]
fn a_plugin_that_spins_costs_its_own_request_its_deadline() {
    let plugin = when_path_is('s', &Texts::default(), "(loop $again (br $again))");
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &["--deadline-ms", "1000"]);
    assert_eq!(get(gateway.address, "/spin").status(), 503);
    gateway.wait_for("error plugin: deadline: ");
    assert_eq!(get(gateway.address, "/other").status(), 200);
}

/// More of them than there are threads for requests.
#[test]
fn others_are_served_while_a_plugin_spins() {
    let mut texts = Texts::default();
    let spin = texts.log("it spins") + "(loop $again (br $again))";
    let plugin = when_path_is('s', &texts, &spin);
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &["--deadline-ms", "60000"]);
    let spinning: Vec<_> = (0..thread::available_parallelism().unwrap().get() + 2)
        .map(|_| {
            let mut stream = connect(gateway.address);
            stream.write_all(b"GET /spin HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    gateway.wait_for_many(spinning.len(), "it spins");
    for _ in 0..20 {
        assert_eq!(get(gateway.address, "/other").status(), 200);
    }
    for mut stream in spinning {
        let nothing = stream.read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn what_fails_open_goes_on_without_its_plugin() {
    let plugin = when_path_is('t', &Texts::default(), "unreachable");
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&plugin], &["--on-failure", "open", "--name", "broken"]);
    assert_eq!(get(gateway.address, "/trap").status(), 200);
    gateway.wait_for("error broken: trap: ");
}

#[test]
fn a_plugin_that_asks_an_upstream_holds_the_request_until_it_answers() {
    let (upstream, called) = (Upstream::hello(), Upstream::hello());
    let plugin = asks("judge");
    let judge = format!("judge={}", called.address);
    let gateway = Gateway::new(upstream.address, &[&plugin], &["--call-upstream", &judge]);
    // More of a body than may be held back: it is the client that waits, as long as the plugin does.
    let body = vec![7; 3_000_000];
    let head = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 3000000\r\n\r\n";
    let answer = ask(gateway.address, [&head[..], &body].concat()).unwrap();
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(called.next().get("host"), Some("called"));
    let seen = upstream.next();
    assert_eq!(seen.get("x-asked"), Some("judge"));
    assert!(seen.body == body);
}

#[test]
fn a_call_that_fails_is_told_to_the_plugin() {
    let upstream = Upstream::hello();
    let judge = format!("judge={}", nobody());
    let gateway = Gateway::new(upstream.address, &[&asks("judge")], &["--call-upstream", &judge]);
    let answer = get(gateway.address, "/");
    assert_eq!((answer.status(), &answer.body[..]), (503, &b"nobody to ask\n"[..]));
    assert!(upstream.saw_nothing());
    let large = Upstream::new(|_| {
        [&b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n"[..], &[0; 2_000_000]].concat()
    });
    let judge = format!("judge={}", large.address);
    let gateway = Gateway::new(upstream.address, &[&asks("judge")], &["--call-upstream", &judge]);
    assert_eq!(get(gateway.address, "/").status(), 503);
}

#[test]
fn a_stream_that_a_plugin_closes_is_cut_off() {
    let plugin = module(&on("response_body", "(drop (call $close (i32.const 1)))"));
    let gateway = Gateway::new(Upstream::hello().address, &[&plugin], &[]);
    let answer = ask(gateway.address, "GET / HTTP/1.1\r\nhost: here\r\n\r\n");
    assert!(answer.is_none_or(|answer| !answer.whole));
    let plugin = module(&on("request_headers", "(drop (call $close (i32.const 0)))"));
    let gateway = Gateway::new(Upstream::hello().address, &[&plugin], &[]);
    assert!(ask(gateway.address, "GET / HTTP/1.1\r\nhost: here\r\n\r\n").is_none());
}

#[test]
fn a_request_waits_for_a_plugin_only_so_long() {
    let upstream = Upstream::hello();
    let waits = module(&on("request_headers", "(return (i32.const 1))"));
    let gateway = Gateway::new(upstream.address, &[&waits], &["--pause-ms", "100"]);
    assert_eq!(get(gateway.address, "/").status(), 503);
    gateway.wait_for("error plugin: pause: ");
    assert!(upstream.saw_nothing());
}

#[test]
fn a_call_that_nobody_answers_ends_when_the_plugin_said() {
    let silent = serving(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let (judge, upstream) = (format!("judge={silent}"), Upstream::hello());
    let arguments = ["--call-upstream", &judge, "--pause-ms", "60000"];
    let asks = asks("judge").replace("60000", "50");
    let gateway = Gateway::new(upstream.address, &[&asks], &arguments);
    let answer = get(gateway.address, "/");
    assert_eq!((answer.status(), &answer.body[..]), (503, &b"nobody to ask\n"[..]));
    gateway.wait_for("error gateway: call judge: ");
    assert!(upstream.saw_nothing());
}

/// A plugin that waits for the rest of a body is not to blame for who sends it.
#[test]
fn time_does_not_run_against_plugins_while_clients_are_slow() {
    let upstream = Upstream::hello();
    let gateway = Gateway::new(upstream.address, &[&holds()], &["--pause-ms", "1"]);
    let mut slow = connect(gateway.address);
    slow.write_all(b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 6\r\n\r\none").unwrap();
    for _ in 0..100 {
        assert_eq!(get(gateway.address, "/").status(), 200);
        upstream.next();
    }
    slow.write_all(b"two").unwrap();
    assert_eq!(Message::read(&mut BufReader::new(slow), false).unwrap().status(), 200);
    assert_eq!(upstream.next().body, b"onetwo");
}
