//! Callbacks: whoever asked for access is told how it ended.

use std::fs;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use ring::hmac;
use serde_json::{Value, json};

use crate::access_requests::{REQUESTS, URL, asked, pending, refused, request};
use crate::callers::{caller, token};
use crate::http::Message;
use crate::lifecycle::{OLGA, done, owned};
use crate::process::until;
use crate::server::{Server, command, posted, read};

const KEY: &[u8] = b"a key that both of them know";

/// Whoever wants to be told: the port, and what it was told. It answers with these statuses, then with 204.
fn receiver(statuses: &'static [&'static str]) -> (u16, Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, telling) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map(Result::unwrap).enumerate() {
            let message = Message::read(&mut BufReader::new(&stream), false).unwrap().unwrap();
            let status = statuses.get(number).unwrap_or(&"204 No Content");
            let answer = Message::new(&format!("HTTP/1.1 {status}")).header("connection", "close").body("");
            answer.write(&mut &stream).unwrap();
            if told.send(message).is_err() {
                return;
            }
        }
    });
    (port, telling)
}

/// A configuration in which `portal` may be told below `http://127.0.0.1:PORT/done/`; and its token.
fn configured(folder: &Path, port: u16) -> String {
    let (token, digest) = token();
    fs::write(folder.join("callback.key"), KEY).unwrap();
    let callback =
        format!("callback = {{ urls = [\"http://127.0.0.1:{port}/done/\"], key = \"callback.key\" }}");
    let portal = caller("portal", "admin", &format!("token_sha256 = \"{digest}\"\n{callback}"));
    let config = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\n[authzen]\npublic_url = \"{URL}\"\n[access_requests]\n\
         [ledger]\nsweep = \"50ms\"\n{portal}"
    );
    fs::write(folder.join("consentry.toml"), config).unwrap();
    token
}

fn started(folder: &Path, token: &str) -> Server {
    Server::start(&["--config", folder.join("consentry.toml").to_str().unwrap()]).with_token(token)
}

fn villa(folder: &Path, token: &str) -> Server {
    let server = started(folder, token);
    owned(&server);
    server
}

fn with_callback(server: &Server, device: &str, endpoint: &str, more: &Value) -> Value {
    let mut request = request(server, "playback", device);
    request["callback"] = json!({ "endpoint": endpoint });
    request["callback"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}/done/access?portal=1")
}

fn answer(server: &Server, command: &str) {
    done(server, OLGA, json!({ command: { "application": pending(server)[0]["application"] } }));
}

/// What was told, if it was signed.
fn body(told: &Message) -> Value {
    let signature = String::from_utf8_lossy(told.get("x-consentry-signature").unwrap()).into_owned();
    let digits = signature.strip_prefix("sha256=").unwrap();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &told.body, &bytes).unwrap();
    serde_json::from_slice(&told.body).unwrap()
}

#[test]
fn who_asked_is_told_how_it_ended_signed_and_with_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let (port, told) = receiver(&[]);
    let server = villa(folder.path(), &configured(folder.path(), port));
    let request = with_callback(&server, "cam-7", &endpoint(port), &json!({ "state": "s/1" }));
    let task = asked(&server, &request);
    answer(&server, "acceptApplication");
    let message = told.recv().unwrap();
    assert_eq!((message.first_word(), message.second_word()), ("POST", "/done/access?portal=1"));
    assert_eq!(message.get("content-type"), Some(&b"application/json"[..]));
    let body = body(&message);
    assert_eq!(body["state"], "s/1");
    assert_eq!(body["task"]["id"], task["task"]["id"]);
    assert_eq!(body["task"]["status"], "approved");
    assert_eq!(body["task"]["status_endpoint"], task["task"]["status_endpoint"]);
    assert_eq!(body.get("result"), None);
}

#[test]
fn it_is_told_only_of_the_ends_it_wants_to_know() {
    let folder = tempfile::tempdir().unwrap();
    let (port, told) = receiver(&[]);
    let server = villa(folder.path(), &configured(folder.path(), port));
    let approved = json!({ "events": ["approved"], "state": "unwanted" });
    asked(&server, &with_callback(&server, "cam-7", &endpoint(port), &approved));
    answer(&server, "rejectApplication");
    let either = json!({ "events": ["approved", "denied"], "state": "wanted" });
    asked(&server, &with_callback(&server, "cam-8", &endpoint(port), &either));
    answer(&server, "rejectApplication");
    let body = body(&told.recv().unwrap());
    assert_eq!((&body["state"], &body["task"]["status"]), (&json!("wanted"), &json!("denied")));
    // Both were looked at: the first one is not waited for any more.
    let file = folder.path().join("consentry-ledger/callbacks.jsonl");
    until("nobody waits", || fs::read_to_string(&file).unwrap().matches("\"done\"").count() == 2);
    assert!(told.try_recv().is_err());
}

#[test]
fn it_is_told_again_until_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (port, told) = receiver(&["500 Oops", "302 Found"]);
    let server = villa(folder.path(), &configured(folder.path(), port));
    asked(&server, &with_callback(&server, "cam-7", &endpoint(port), &json!({})));
    answer(&server, "acceptApplication");
    let all: Vec<Value> = (0..3).map(|_| body(&told.recv().unwrap())).collect();
    assert!(all.iter().all(|body| *body == all[0]));
    let file = folder.path().join("consentry-ledger/callbacks.jsonl");
    until("it is taken", || fs::read_to_string(&file).unwrap().contains("\"done\""));
}

#[test]
fn whoever_waits_is_told_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (port, told) = receiver(&[]);
    let token = configured(folder.path(), port);
    let server = villa(folder.path(), &token);
    let request = with_callback(&server, "cam-7", &endpoint(port), &json!({ "state": "after" }));
    asked(&server, &request);
    server.signal("-KILL");
    server.ended();
    // The end of what was being written when it stopped.
    let file = folder.path().join("consentry-ledger/callbacks.jsonl");
    let mut cut_off = fs::read(&file).unwrap();
    cut_off.extend("{\"wait\":{\"task\":\"\u{f6}".as_bytes());
    cut_off.pop();
    fs::write(&file, cut_off).unwrap();
    let server = started(folder.path(), &token);
    assert!(told.try_recv().is_err());
    answer(&server, "rejectApplication");
    assert_eq!(body(&told.recv().unwrap())["task"]["status"], "denied");
    until("it is taken", || fs::read_to_string(&file).unwrap().contains("\"done\""));
    server.signal("-TERM");
    server.ended();
    let _server = started(folder.path(), &token);
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn only_where_it_is_registered_is_a_caller_told() {
    let folder = tempfile::tempdir().unwrap();
    let (port, told) = receiver(&[]);
    let server = villa(folder.path(), &configured(folder.path(), port));
    let elsewhere = [
        format!("http://127.0.0.1:{port}/other"),
        format!("http://127.0.0.1:{port}/done/../other"),
        format!("http://127.0.0.1:{port}/done/%2e%2e/other"),
        format!("http://127.0.0.1:{port}/done"),
        format!("https://127.0.0.1:{port}/done/x"),
        format!("http://127.0.0.1:{port}@example.com/done/x"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        String::new(),
    ];
    for endpoint in elsewhere {
        let request = with_callback(&server, "cam-7", &endpoint, &json!({}));
        let why = (400, "urn:consentry:problem:callback_not_allowed".to_owned());
        assert_eq!(refused(&server, &request), why, "{endpoint}");
    }
    assert_eq!(pending(&server), Vec::<Value>::new());
    for events in [json!("approved"), json!(["aproved"])] {
        let wrong = with_callback(&server, "cam-7", &endpoint(port), &json!({ "events": events }));
        let (status, _) = read(&server.ask(&posted(REQUESTS, &wrong.to_string())));
        assert_eq!(status, 400, "{events}");
    }
    assert!(told.try_recv().is_err());
}

#[test]
fn a_callback_that_could_not_be_told_safely_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), 1);
    let path = folder.path().join("consentry.toml");
    let good = fs::read_to_string(&path).unwrap();
    let said = |config: &str| {
        fs::write(&path, config).unwrap();
        let output = command(&["--config", path.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let no_url = said(&good.replace("http://127.0.0.1:1/done/", "127.0.0.1:1/done/"));
    assert!(no_url.contains("no URL with a path"), "{no_url}");
    let no_key = said(&good.replace("callback.key", "none.key"));
    assert!(no_key.contains("cannot be read"), "{no_key}");
    fs::write(folder.path().join("callback.key"), "short").unwrap();
    let short = said(&good);
    assert!(short.contains("less than 16 bytes"), "{short}");
}
