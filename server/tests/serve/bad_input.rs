//! What cannot be read in one way, or is too much: the right status, and a problem that says why.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Message;
use crate::server::{Server, fixture, posted, read};

const EVALUATION: &str = "/access/v1/evaluation";
const READS: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}"#;

/// A question with more after it.
fn reads(more: &str) -> String {
    format!("{READS}{more}}}")
}

/// The problem with a body, which has a status of its own.
fn problem(server: &Server, status: u16, body: &str) -> String {
    let shown: String = body.chars().take(200).collect();
    let response = server.ask(&posted(EVALUATION, body));
    assert_eq!(response.get("content-type"), Some(&b"application/problem+json"[..]), "{shown}");
    let (got, problem) = read(&response);
    assert_eq!(got, status, "{shown}: {problem}");
    assert_eq!(problem["status"], status);
    assert!(problem["type"].as_str().unwrap().starts_with("urn:consentry:problem:"));
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn of_two_members_with_one_name_nobody_knows_which_counts() {
    let server = Server::certified();
    for (more, word) in [
        (r#","subject":{"type":"user","id":"bob"}"#, "duplicate field `subject`"),
        (r#","context":{"a":1,"a":2}"#, "`a` is there twice"),
        (r#","context":{"a":{"b":[{"c":1,"\u0063":1}]}}"#, "`c` is there twice"),
    ] {
        assert!(problem(&server, 400, &reads(more)).contains(word), "{more}");
    }
    let twice = reads("").replace(r#""id":"alice""#, r#""id":"alice","id":"bob""#);
    assert!(problem(&server, 400, &twice).contains("duplicate field `id`"));
    let twice =
        reads("").replace(r#""id":"alice""#, r#""id":"alice","properties":{"role":"x","role":"admin"}"#);
    assert!(problem(&server, 400, &twice).contains("`role` is there twice"));
}

#[test]
fn names_are_of_a_length_that_names_have() {
    let server = Server::certified();
    for name in ["user", "alice", "read", "record", "record-1"] {
        let long =
            |bytes: usize| reads("").replace(&format!("\"{name}\""), &format!("\"{}\"", "x".repeat(bytes)));
        assert!(problem(&server, 400, &long(1025)).contains("more than 1024 bytes"), "{name}");
        assert_eq!(server.post_text(EVALUATION, &long(1024)).0, 200, "{name}");
    }
}

#[test]
fn what_is_deeper_than_anybody_means_is_refused() {
    let server = Server::certified();
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    problem(&server, 400, &reads(&format!(r#","context":{{"a":{}}}"#, deep(500))));
    problem(&server, 400, &deep(100_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    problem(&server, 400, &reads(&format!(r#","context":{{"a":{objects}}}"#)));
    // What nobody reads may be of any depth.
    assert_eq!(server.post_text(EVALUATION, &reads(&format!(r#","unknown":{}"#, deep(20_000)))).0, 200);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let server = Server::certified();
    for number in ["NaN", "Infinity", "-Infinity", "1e999", "01", "+1", ".5", "0x10"] {
        problem(&server, 400, &reads(&format!(r#","context":{{"a":{number}}}"#)));
    }
}

#[test]
fn text_that_is_no_unicode_is_refused() {
    let server = Server::certified();
    problem(&server, 400, &reads(r#","context":{"a":"\ud800"}"#));
    let mut request = posted(EVALUATION, "");
    request.headers.retain(|(name, _)| name != "content-length");
    request.body = [READS.as_bytes(), b",\"context\":{\"a\":\"\xff\"}}"].concat();
    let length = request.body.len().to_string();
    assert_eq!(read(&server.ask(&request.header("content-length", length))).0, 400);
}

#[test]
fn what_does_not_fit_the_schema_is_no_question() {
    let server = Server::certified();
    let hard = reads("").replace(r#""name":"read""#, r#""name":"delete","properties":{"soft":"yes"}"#);
    assert!(problem(&server, 400, &hard).contains("the context does not fit the schema"));
    let number = reads("").replace(r#""name":"read""#, r#""name":"write""#);
    let number = number.replace(r#""id":"alice""#, r#""id":"alice","properties":{"role":5}"#);
    assert!(problem(&server, 400, &number).contains("the property `role` does not fit the schema"));
    let both = reads(r#","context":{"soft":false}"#)
        .replace(r#""name":"read""#, r#""name":"delete","properties":{"soft":true}"#);
    assert!(problem(&server, 400, &both).contains("with different values"));
}

#[test]
fn a_body_has_its_limit_however_it_comes() {
    let config = fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.body_bytes=2000"]);
    let long = reads(&format!(r#","unknown":"{}""#, "x".repeat(3000)));
    assert_eq!(problem(&server, 413, &long), "the body has more than 2000 bytes");
    let chunked = Message::new(&format!("POST {EVALUATION} HTTP/1.1"))
        .header("host", "pdp")
        .header("content-type", "application/json")
        .chunked(&long);
    assert_eq!(read(&server.ask(&chunked)).0, 413);
    assert_eq!(server.post_text(EVALUATION, &reads("")).0, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let config = fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.body=300ms"]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let response = Message::read(&mut BufReader::new(stream), false).unwrap().unwrap();
    let (status, problem) = read(&response);
    assert_eq!((status, &problem["code"]), (408, &json!("timeout")));
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let config = fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.head=300ms"]);
    for begin in ["", "POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\nx"] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        let answer = Message::read(&mut BufReader::new(stream), false).unwrap();
        assert!(answer.is_none_or(|answer| answer.second_word() == "408"), "{begin}");
    }
}

#[test]
fn what_is_not_there_is_said_as_a_problem() {
    let server = Server::certified();
    let problem = |line: &str| {
        let response = server.ask(&Message::new(line).header("host", "pdp"));
        assert_eq!(response.get("content-type"), Some(&b"application/problem+json"[..]), "{line}");
        let (status, problem): (u16, Value) = read(&response);
        (status, problem["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(problem("GET /access/v1/nothing HTTP/1.1"), (404, "not_found".into()));
    assert_eq!(problem("GET /access/v1/evaluation HTTP/1.1"), (405, "method_not_allowed".into()));
    assert_eq!(problem("DELETE /healthz HTTP/1.1"), (405, "method_not_allowed".into()));
    assert_eq!(problem("GET /.well-known/authzen-configuration/else HTTP/1.1"), (404, "not_found".into()));
    assert_eq!(problem("GET //etc/passwd HTTP/1.1"), (404, "not_found".into()));
}
