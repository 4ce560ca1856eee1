use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::plugins::looks_on;
use crate::wire::{Gateway, Message, PATIENCE, Upstream, ask, connect, get, nobody, serving};

/// Bytes that are nowhere the same for long.
fn large() -> Vec<u8> {
    (0..5_000_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(5 << 20)
        .collect()
}

fn names(message: &Message) -> Vec<&str> {
    message.headers.iter().map(|(name, _)| name.as_str()).collect()
}

/// Sends back what it was sent.
fn echo() -> Upstream {
    Upstream::new(|request| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    })
}

#[test]
fn a_request_and_its_answer_go_through_without_what_is_of_the_connection() {
    let upstream = Upstream::new(|_| {
        b"HTTP/1.1 203 Fine\r\ncontent-length: 2\r\nx-one: 1\r\nkeep-alive: timeout=5\r\nconnection: x-hop\r\nx-hop: 1\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nok"
            .to_vec()
    });
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let answer = ask(
        gateway.address,
        b"PUT /a%20b?c=d HTTP/1.1\r\nHost: front.example:81\r\nX-One: \xe4\r\nconnection: keep-alive, X-Hop\r\nx-hop: 1\r\nkeep-alive: 3\r\nproxy-connection: x\r\nte: gzip\r\nupgrade: h2c\r\ncookie: a\r\ncontent-length: 2\r\n\r\nhi",
    )
    .unwrap();
    assert_eq!((answer.status(), &answer.body[..]), (203, &b"ok"[..]));
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    assert!(["keep-alive", "x-hop"].iter().all(|name| answer.get(name).is_none()), "{answer:?}");
    let seen = upstream.next();
    assert_eq!(seen.line, "PUT /a%20b?c=d HTTP/1.1");
    assert_eq!(seen.get("host"), Some("front.example:81"));
    assert_eq!(names(&seen), ["host", "x-one", "cookie", "content-length"]);
    assert_eq!((seen.get("x-one"), &seen.body[..]), (Some("\u{e4}"), &b"hi"[..]));
}

#[test]
fn large_bodies_go_through_plugins_unchanged() {
    let (upstream, plugin) = (echo(), looks_on());
    let gateway = Gateway::new(upstream.address, &[&plugin, &plugin], &[]);
    let large = large();
    let head = format!("POST /sized HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n", large.len());
    let answer = ask(gateway.address, [head.as_bytes(), &large].concat()).unwrap();
    assert!(answer.status() == 200 && answer.body == large);
    assert!(upstream.next().body == large);

    let mut request = b"POST /chunked HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in large.chunks(70_000) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend([chunk, b"\r\n"].concat());
    }
    request.extend(b"0\r\n\r\n");
    let answer = ask(gateway.address, request).unwrap();
    assert!(answer.status() == 200 && answer.body == large);
    let seen = upstream.next();
    assert!(seen.body == large && seen.get("content-length").is_none());
}

#[test]
fn a_get_with_a_body_keeps_it() {
    let upstream = echo();
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let request = "GET / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(ask(gateway.address, request).unwrap().body, b"hi");
}

/// Neither side says more before the other has what was said: who would collect bodies would wait for ever.
#[test]
fn what_came_of_a_body_goes_on_before_the_rest_came() {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let upstream = serving(move |stream| {
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        while line != "one\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        (&stream).write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n").unwrap();
        told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        (&stream).write_all(b"0\r\n\r\n").unwrap();
    });
    let plugin = looks_on();
    let gateway = Gateway::new(upstream, &[&plugin], &[]);
    let stream = connect(gateway.address);
    let request = b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n5\r\none\r\n\r\n";
    (&stream).write_all(request).unwrap();
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    while line != "yes\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "closed");
    }
    tell.send(()).unwrap();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "yes\r\n0\r\n");
}

#[test]
fn trailers_go_through_where_they_are_announced() {
    let upstream = Upstream::new(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nok\r\n0\r\nx-end: 1\r\n\r\n".to_vec()
    });
    let gateway = Gateway::new(upstream.address, &[&looks_on()], &[]);
    let answer = ask(
        gateway.address,
        "POST / HTTP/1.1\r\nhost: here\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 2\r\n\r\n",
    )
    .unwrap();
    assert_eq!((answer.body, answer.trailers), (b"ok".to_vec(), vec![("x-end".to_owned(), "1".to_owned())]));
    let seen = upstream.next();
    assert_eq!(seen.get("te"), Some("trailers"));
    assert_eq!((seen.body, seen.trailers), (b"hi".to_vec(), vec![("x-sum".to_owned(), "2".to_owned())]));
}

#[test]
fn the_answer_to_head_tells_a_length_and_has_no_body() {
    let upstream = Upstream::new(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".to_vec());
    let gateway = Gateway::new(upstream.address, &[&looks_on()], &[]);
    for _ in 0..2 {
        let answer = ask(gateway.address, "HEAD / HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
        assert_eq!((answer.status(), answer.get("content-length")), (200, Some("7")));
    }
}

#[test]
fn an_upstream_that_is_down_is_a_502() {
    let gateway = Gateway::new(nobody(), &[&looks_on()], &[]);
    assert_eq!(get(gateway.address, "/").status(), 502);
    let post = "POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(ask(gateway.address, post).unwrap().status(), 502);
    let silent = serving(drop);
    let gateway = Gateway::new(silent, &[], &[]);
    assert_eq!(get(gateway.address, "/").status(), 502);
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let upstream = serving(|mut stream| {
        Message::read(&mut BufReader::new(stream.try_clone().unwrap()), false).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n").unwrap();
    });
    let gateway = Gateway::new(upstream, &[], &[]);
    let answer = ask(gateway.address, "GET / HTTP/1.1\r\nhost: here\r\n\r\n");
    assert!(answer.is_none_or(|answer| !answer.whole));
}

/// What a client sent of a body before it went is no request: the upstream must not act on it.
#[test]
fn a_request_that_breaks_off_is_not_taken_for_whole() {
    let (tell, told) = mpsc::channel();
    let upstream = serving(move |stream| {
        let mut reader = BufReader::new(stream);
        let mut all = Vec::new();
        while !all.ends_with(b"one\r\n") {
            assert!(reader.read_until(b'\n', &mut all).unwrap() > 0);
        }
        tell.send(Vec::new()).unwrap();
        // It may be an error that says that this is the end.
        drop(reader.read_to_end(&mut all));
        tell.send(all).unwrap();
    });
    let gateway = Gateway::new(upstream, &[&looks_on()], &[]);
    for _ in 0..30 {
        let mut stream = connect(gateway.address);
        let head = b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
        stream.write_all(head).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        drop(stream);
        let all = told.recv_timeout(PATIENCE).unwrap();
        assert!(all.ends_with(b"3\r\none\r\n"), "{}", all.escape_ascii());
    }
}

#[test]
fn a_client_that_goes_away_ends_its_request() {
    let (tell, told) = mpsc::channel();
    let upstream = serving(move |stream| {
        let mut reader = BufReader::new(stream);
        tell.send(Message::read(&mut reader, false).is_some()).unwrap();
        // Nothing is answered; what comes now is the end.
        tell.send(reader.read_to_end(&mut Vec::new()).is_ok()).unwrap();
    });
    let ends = crate::plugins::module(&{
        let mut texts = crate::plugins::Texts::default();
        let log = texts.log("it ends");
        format!("{}(func (export \"proxy_on_log\") (param i32) {log})", texts.data())
    });
    let gateway = Gateway::new(upstream, &[&ends], &[]);
    let mut stream = connect(gateway.address);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    assert!(told.recv_timeout(PATIENCE).unwrap());
    drop(stream);
    told.recv_timeout(PATIENCE).unwrap();
    gateway.wait_for("info plugin: it ends");
}

#[test]
fn connections_to_the_upstream_are_used_again() {
    let connections = Arc::new(Mutex::new(0));
    let count = connections.clone();
    let upstream = serving(move |stream| {
        *count.lock().unwrap() += 1;
        let mut reader = BufReader::new(stream);
        while Message::read(&mut reader, false).is_some() {
            reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let gateway = Gateway::new(upstream, &[], &[]);
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/").status(), 200);
    }
    // Now and then one is not free again before the next request comes.
    assert!(*connections.lock().unwrap() < 25);
}

#[test]
fn who_asks_whether_to_go_on_is_told_by_the_gateway() {
    let upstream = echo();
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let mut stream = connect(gateway.address);
    let head = b"POST / HTTP/1.1\r\nhost: here\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert_eq!(Message::read(&mut reader, true).unwrap().status(), 100);
    stream.write_all(b"hi").unwrap();
    assert_eq!(Message::read(&mut reader, false).unwrap().body, b"hi");
    assert_eq!(names(&upstream.next()), ["host", "content-length"]);
}

#[test]
fn connections_do_not_become_tunnels() {
    let upstream = Upstream::new(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_vec()
    });
    let gateway = Gateway::new(upstream.address, &[], &[]);
    let request = "GET / HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    assert_eq!(ask(gateway.address, request).unwrap().status(), 502);
    assert_eq!(names(&upstream.next()), ["host"]);
}
