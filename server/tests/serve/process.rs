//! The process: how it starts, changes its policies, and ends.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Message;
use crate::server::{Server, command, fixture, read, repository};

fn refused(arguments: &[&str]) -> (i32, String) {
    let output = command(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Asks until the answer is the one that is waited for.
pub(crate) fn until(what: &str, mut ask: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if ask() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

fn copied(folder: &Path) -> String {
    let policies = folder.join("policies");
    fs::create_dir(&policies).unwrap();
    for name in ["schema.cedarschema", "records.cedar"] {
        fs::copy(repository().join("tests/gateways/authzen/policies").join(name), policies.join(name))
            .unwrap();
    }
    policies.to_str().unwrap().to_owned()
}

fn alice_reads() -> Value {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" },
    })
}

fn allowed(server: &Server) -> bool {
    server.answer("/access/v1/evaluation", &alice_reads())["decision"].as_bool().unwrap()
}

#[test]
fn it_says_which_configuration_it_uses() {
    let config = fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.evaluations=77"]);
    let said: toml::Table = server.said.parse().unwrap();
    assert_eq!(said["limits"]["evaluations"].as_integer(), Some(77));
    assert!(said["entities"]["file"].as_str().unwrap().ends_with("tests/gateways/authzen/entities.json"));
    assert_eq!(server.get("/healthz"), (200, json!({ "status": "ok" })));
    let (status, ready) = server.get("/readyz");
    assert_eq!((status, &ready["status"], &ready["policies"]["count"]), (200, &json!("ready"), &json!(4)));
}

#[test]
fn the_environment_configures_and_flags_win() {
    let config = fixture();
    let mut with_environment =
        command(&["--config", config.to_str().unwrap(), "--check", "--set", "limits.searches=9"]);
    with_environment.env("CONSENTRY__LIMITS__SEARCHES", "8").env("CONSENTRY__LIMITS__SEARCH_PAGE", "8");
    let output = with_environment.output().unwrap();
    let said: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let limit = |name: &str| said["limits"][name].as_integer().unwrap();
    assert_eq!((limit("searches"), limit("search_page")), (9, 8));
    assert!(output.status.success());
}

#[test]
fn what_cannot_be_served_is_said_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("consentry.toml");
    let policies = copied(folder.path());
    fs::write(&config, "[listen]\nhtpp = \"127.0.0.1:0\"\n").unwrap();
    let (status, said) = refused(&["--config", config.to_str().unwrap()]);
    assert!(status == 2 && said.starts_with("error[config_invalid]: ") && said.contains("line 2"), "{said}");
    let (status, said) = refused(&["--policies", &policies, "--check"]);
    assert!(status == 2 && said.contains("the schema lacks the actions"), "{said}");
    let nowhere = folder.path().join("nowhere.json");
    let (status, said) = refused(&["--policies", &policies, "--entities", nowhere.to_str().unwrap()]);
    assert!(status == 2 && said.contains("nowhere.json"), "{said}");
    fs::write(&nowhere, r#"[{"uid":{"type":"user","id":"x"},"attrs":{"role":5},"parents":[]}]"#).unwrap();
    let (status, said) = refused(&["--policies", &policies, "--entities", nowhere.to_str().unwrap()]);
    assert!(status == 2 && said.starts_with("error[entities_invalid]: "), "{said}");
    fs::write(Path::new(&policies).join("more.cedar"), "permit (").unwrap();
    let (status, said) = refused(&["--policies", &policies, "--entities", nowhere.to_str().unwrap()]);
    assert!(
        status == 2 && said.starts_with("error[policy_invalid]: ") && said.contains("more.cedar:1:"),
        "{said}"
    );
    let server = Server::certified();
    let taken = format!("127.0.0.1:{}", server.port);
    let (status, said) = refused(&["--config", fixture().to_str().unwrap(), "--listen", &taken]);
    assert!(status == 2 && said.starts_with("error[listen]: ") && said.contains(&taken), "{said}");
}

#[test]
fn it_answers_nobody_on_a_network_unless_told_so_by_name() {
    let config = fixture();
    let everywhere = ["--config", config.to_str().unwrap(), "--listen", "0.0.0.0:0"];
    let (status, said) = refused(&everywhere);
    assert!(status == 2 && said.starts_with("error[unauthenticated]: "), "{said}");
    assert!(said.contains("--dangerously-serve-without-authentication"), "{said}");
    let told = [&everywhere[..], &["--dangerously-serve-without-authentication"]].concat();
    assert!(allowed(&Server::start(&told)));
}

#[test]
fn a_check_touches_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let (status, said) = refused(&["--check", "--ledger", ledger.to_str().unwrap()]);
    assert_eq!((status, said.as_str()), (0, ""));
    assert!(!ledger.exists());
}

#[test]
fn policies_that_change_answer_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let policies = copied(folder.path());
    let config = fixture();
    let server = Server::start(&[
        "--config",
        config.to_str().unwrap(),
        "--policies",
        &policies,
        "--set",
        "policies.poll=20ms",
    ]);
    assert!(allowed(&server));
    let before = server.get("/readyz").1;
    let file = Path::new(&policies).join("closed.cedar");
    fs::write(&file, r#"@id("closed") forbid (principal, action, resource);"#).unwrap();
    until("the new policy denies", || !allowed(&server));
    let answer = server.answer("/access/v1/evaluation", &alice_reads());
    assert_eq!(answer["context"]["determining_policies"], json!(["closed"]));
    assert_eq!(answer["context"]["reason"], "forbidden");
    let after = server.get("/readyz").1;
    assert_ne!(after["policies"]["version"], before["policies"]["version"]);
    fs::write(&file, "forbid (principal, act").unwrap();
    until("what is wrong is told", || !server.get("/readyz").1["refused"]["policies"].is_null());
    let (status, ready) = server.get("/readyz");
    assert_eq!((status, &ready["refused"]["policies"]["code"]), (200, &json!("policy_invalid")));
    assert!(ready["refused"]["policies"]["message"].as_str().unwrap().contains("closed.cedar:1:"), "{ready}");
    assert_eq!(ready["policies"]["version"], after["policies"]["version"]);
    assert!(!allowed(&server), "the policies before go on answering");
    fs::remove_file(&file).unwrap();
    until("it is open again", || allowed(&server));
    until("nothing is refused", || server.get("/readyz").1["refused"] == json!({}));
    server.signal("-TERM");
    let (_, said) = server.ended();
    assert!(
        said.contains("policies: refused, what was before goes on being used")
            && said.contains("closed.cedar:1:"),
        "{said}"
    );
}

#[test]
fn a_signal_reads_policies_and_entities_anew() {
    let folder = tempfile::tempdir().unwrap();
    let policies = copied(folder.path());
    let entities = folder.path().join("entities.json");
    fs::copy(repository().join("tests/gateways/authzen/entities.json"), &entities).unwrap();
    let server = Server::start(&[
        "--policies",
        &policies,
        "--entities",
        entities.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--set",
        "policies.poll=0s",
    ]);
    assert!(allowed(&server));
    let text = fs::read_to_string(&entities).unwrap();
    fs::write(&entities, text.replace("\"alice\"", "\"alicia\"")).unwrap();
    assert!(allowed(&server));
    server.signal("-HUP");
    until("alice is gone", || !allowed(&server));
    let answer = server.answer("/access/v1/evaluation", &alice_reads());
    assert_eq!(answer["context"]["reason"], "unknown_principal");
    assert_eq!(answer["context"]["revision"], 2);
}

#[test]
fn what_was_begun_is_finished_before_the_end() {
    let server = Server::certified();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let body = alice_reads().to_string();
    let (begin, rest) = body.split_at(20);
    let length = body.len();
    let head = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{begin}").as_bytes()).unwrap();
    // So that the server has read the head before it is told to end.
    assert!(allowed(&server));
    server.signal("-TERM");
    until("nobody else gets in", || TcpStream::connect(("127.0.0.1", server.port)).is_err());
    stream.write_all(rest.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let (status, answer) = read(&Message::read(&mut reader, false).unwrap().unwrap());
    assert_eq!((status, &answer["decision"]), (200, &json!(true)));
    let mut nothing = Vec::new();
    reader.read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty());
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn an_end_waits_only_so_long() {
    let config = fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.shutdown=200ms"]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(b"POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{").unwrap();
    assert!(allowed(&server));
    server.signal("-INT");
    let (status, said) = server.ended();
    assert!(status == Some(0) && said.contains("some requests did not finish within 200ms"), "{said}");
}

/// The ledger is the server's own while it runs, and whole afterwards.
#[test]
fn by_default_it_answers_from_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let ledger = ledger.to_str().unwrap();
    let steps = repository().join("docs/first-steps.jsonl");
    let binary = env!("CARGO_BIN_EXE_consentry");
    let run = |arguments: &[&str]| std::process::Command::new(binary).args(arguments).output().unwrap();
    assert!(run(&["replay", steps.to_str().unwrap(), "--ledger", ledger]).status.success());
    let server = Server::start(&["--ledger", ledger, "--listen", "127.0.0.1:0"]);
    let question = |principal: &str, action: &str| {
        let (kind, id) = principal.split_once(' ').unwrap();
        server.answer(
            "/access/v1/evaluation",
            &json!({
                "subject": { "type": kind, "id": id },
                "action": { "name": action },
                "resource": { "type": "Device", "id": "cam-7" },
            }),
        )
    };
    assert_eq!(
        question("EndUser olga", "liveView")["context"]["determining_policies"],
        json!(["owner-uses-own-devices"])
    );
    let denied = question("Installer ivan", "liveView");
    assert_eq!((&denied["decision"], &denied["context"]["reason"]), (&json!(false), &json!("grant_ended")));
    let other = run(&["check", "--ledger", ledger, r#"EndUser::"olga""#, "liveView", r#"Device::"cam-7""#]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("ledger_locked"));
    server.signal("-TERM");
    assert_eq!(server.ended().0, Some(0));
    let verified = run(&["ledger", "verify", "--ledger", ledger]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn for_programs_everything_is_said_as_json() {
    let config = fixture();
    let output = command(&["--config", config.to_str().unwrap(), "--check", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["config"]["listen"]["http"], "127.0.0.1:0");
}
