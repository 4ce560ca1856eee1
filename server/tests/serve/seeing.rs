//! What can be seen of the server from outside: numbers, and the decision log.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::http::Message;
use crate::process::until;
use crate::server::{Server, fixture, permissive, posted, repository};

fn question(name: &str) -> Value {
    json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": name },
        "resource": { "type": "record", "id": "record-1" },
    })
}

fn metrics(server: &Server) -> String {
    let response = server.ask(&Message::new("GET /metrics HTTP/1.1").header("host", "pdp"));
    let form = response.get("content-type").map(String::from_utf8_lossy).unwrap();
    assert!(form.starts_with("application/openmetrics-text"), "{form}");
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// The value of the line that begins so.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).trim().parse().unwrap()
}

#[test]
fn decisions_are_counted_by_what_came_of_them() {
    let server = Server::certified();
    for _ in 0..3 {
        server.answer("/access/v1/evaluation", &question("read"));
    }
    server.answer("/access/v1/evaluation", &question("delete"));
    let evaluations = json!([{ "action": { "name": "read" } }, {}, { "action": { "name": "fly" } }]);
    let batch = json!({ "subject": question("x")["subject"], "resource": question("x")["resource"], "evaluations": evaluations });
    server.answer("/access/v1/evaluations", &batch);
    server.post("/access/v1/evaluation", &json!({}));
    let metrics = metrics(&server);
    let decisions =
        |rest: &str| value(&metrics, &format!("consentry_decisions_total{{via=\"authzen\",{rest}}}"));
    assert_eq!(decisions("action=\"read\",decision=\"allow\",reason=\"\""), 4.0);
    assert_eq!(decisions("action=\"delete\",decision=\"deny\",reason=\"not_permitted\""), 1.0);
    // Nobody makes new series by asking for what there is not.
    assert_eq!(decisions("action=\"\",decision=\"deny\",reason=\"unknown_action\""), 1.0);
    assert_eq!(decisions("action=\"\",decision=\"deny\",reason=\"invalid\""), 1.0);
    assert!(!metrics.contains("fly"));
    let mut of_nobody = question("swim");
    of_nobody["subject"]["id"] = json!("nobody");
    server.answer("/access/v1/evaluation", &of_nobody);
    assert!(!self::metrics(&server).contains("swim"));
    let requests = |status: u16| {
        value(
            &metrics,
            &format!("consentry_requests_total{{route=\"/access/v1/evaluation\",status=\"{status}\"}}"),
        )
    };
    assert_eq!((requests(200), requests(400)), (4.0, 1.0));
    assert_eq!(value(&metrics, "consentry_request_seconds_count{route=\"/access/v1/evaluation\"}"), 5.0);
    assert_eq!(value(&metrics, "consentry_revision"), 1.0);
    assert!(metrics.contains("consentry_policies{version=\""));
}

#[test]
fn grants_and_commands_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let ledger = ledger.to_str().unwrap();
    let binary = env!("CARGO_BIN_EXE_consentry");
    let steps = repository().join("docs/first-steps.jsonl");
    let run = |arguments: &[&str]| std::process::Command::new(binary).args(arguments).output().unwrap();
    assert!(run(&["replay", steps.to_str().unwrap(), "--ledger", ledger]).status.success());
    let server = Server::start(&["--ledger", ledger, "--listen", "127.0.0.1:0"]);
    let before = value(&metrics(&server), "consentry_live_grants");
    let grant = |id: &str| {
        let grant = json!({ "grant": id, "company": "acme", "permission": "configure", "device": "cam-7", "validity": "permanent" });
        server
            .post("/v1/commands", &json!({ "as": r#"EndUser::"olga""#, "do": { "grantPermission": grant } }))
    };
    assert_eq!((grant("g-1").0, grant("g-1").0), (200, 409));
    let metrics = metrics(&server);
    assert_eq!(value(&metrics, "consentry_live_grants"), before + 1.0);
    let commands = |outcome: &str| {
        value(
            &metrics,
            &format!("consentry_commands_total{{command=\"grantPermission\",outcome=\"{outcome}\"}}"),
        )
    };
    assert_eq!((commands("done"), commands("already_exists")), (1.0, 1.0));
}

fn logged(folder: &Path, set: &[&str]) -> (Server, std::path::PathBuf) {
    let file = folder.join("decisions.jsonl");
    let to = format!("decision_log.file={}", file.display());
    let config = fixture();
    let mut arguments = vec!["--config", config.to_str().unwrap(), "--set", &to];
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    (Server::start(&arguments), file)
}

fn lines(file: &Path, count: usize) -> Vec<Value> {
    let read = || -> Vec<Value> {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    until("the lines are written", || read().len() >= count);
    let lines = read();
    assert_eq!(lines.len(), count);
    lines
}

/// What to set so that alice may read, in a context of this form.
fn with_context(folder: &Path, context: &str) -> [String; 2] {
    let action = "action read appliesTo { principal: user, resource: record,";
    let policies =
        permissive(folder, &format!("entity user; entity record; {action} context: {{ {context} }} }};"));
    let entities = folder.join("entities.json");
    fs::write(
        &entities,
        r#"[{"uid":{"type":"user","id":"alice"},"attrs":{},"parents":[]},
        {"uid":{"type":"record","id":"record-1"},"attrs":{},"parents":[]}]"#,
    )
    .unwrap();
    [format!("policies.folder={}", policies.display()), format!("entities.file={}", entities.display())]
}

#[test]
fn each_decision_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = logged(folder.path(), &[]);
    let body = question("read").to_string();
    server.ask(&posted("/access/v1/evaluation", &body).header("x-request-id", "r-1"));
    server.answer("/access/v1/evaluation", &question("delete"));
    let lines = lines(&file, 2);
    let expected = json!({
        "request_id": "r-1", "via": "authzen", "caller": "anybody",
        "principal": r#"user::"alice""#, "action": "read", "resource": r#"record::"record-1""#,
        "decision": "allow", "determining_policies": ["everybody-reads"], "revision": 1,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&lines[0][name], value, "{name}");
    }
    assert!(
        lines[0]["time"].is_string()
            && lines[0]["microseconds"].is_u64()
            && lines[0]["policy_version"].is_string()
    );
    assert_eq!((&lines[1]["decision"], &lines[1]["reason"]), (&json!("deny"), &json!("not_permitted")));
}

#[test]
fn secrets_are_not_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let context = "ip?: String, session?: { apiToken: String, place: String }, Password?: String";
    let [policies, entities] = with_context(folder.path(), context);
    let mut asked = question("read");
    asked["context"] =
        json!({ "ip": "::1", "session": { "apiToken": "hush", "place": "home" }, "Password": "hush" });
    let said = |set: &[&str], folder: &Path| {
        let (server, file) = logged(folder, &[set, &[&policies, &entities]].concat());
        assert_eq!(server.answer("/access/v1/evaluation", &asked)["decision"], true);
        lines(&file, 1).remove(0)["context"].clone()
    };
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(said(&[], one.path()), json!(["Password", "ip", "session"]));
    let whole = said(&["decision_log.context=true"], other.path());
    let redacted = "[redacted]";
    assert_eq!(
        whole,
        json!({ "ip": "::1", "session": { "apiToken": redacted, "place": "home" }, "Password": redacted })
    );
}

#[test]
fn what_is_wrong_with_a_context_is_not_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let [policies, entities] = with_context(folder.path(), "password?: Long");
    let (server, file) = logged(folder.path(), &[&policies, &entities]);
    let mut asked = question("read");
    asked["context"] = json!({ "password": "hush" });
    assert_eq!(server.post("/access/v1/evaluation", &asked).0, 400);
    let answers = server.answer("/access/v1/evaluations", &json!({ "evaluations": [asked] }));
    assert_eq!(answers["evaluations"][0]["decision"], false);
    let lines = lines(&file, 1);
    assert!(lines.iter().all(|line| line["reason"] == "invalid"), "{lines:?}");
    assert!(!fs::read_to_string(&file).unwrap().contains("hush"));
}

#[test]
fn what_could_not_be_written_down_is_counted() {
    let config = fixture();
    let server =
        Server::start(&["--config", config.to_str().unwrap(), "--set", "decision_log.file=/dev/full"]);
    let mut batch = question("delete");
    batch["evaluations"] = json!(vec![json!({}); 100]);
    until("a line is lost", || {
        server.answer("/access/v1/evaluations", &batch);
        value(&metrics(&server), "consentry_decision_log_dropped_total") > 0.0
    });
    server.signal("-TERM");
    let (status, said) = server.ended();
    assert_eq!(status, Some(0));
    assert_eq!(said.matches("/dev/full").count(), 1, "{said}");
}

#[test]
fn a_share_of_the_allows_is_enough_and_no_denial_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = logged(folder.path(), &["decision_log.sample=0.1"]);
    let batch = |name: &str| {
        let mut batch = question(name);
        batch["evaluations"] = json!(vec![json!({}); 100]);
        server.answer("/access/v1/evaluations", &batch);
    };
    batch("read");
    batch("delete");
    let lines = lines(&file, 110);
    assert_eq!(lines.iter().filter(|line| line["decision"] == "allow").count(), 10);
}

#[test]
fn the_log_goes_on_in_another_file_when_it_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = logged(folder.path(), &[]);
    server.answer("/access/v1/evaluation", &question("read"));
    lines(&file, 1);
    let moved = folder.path().join("decisions.1.jsonl");
    fs::rename(&file, &moved).unwrap();
    server.signal("-HUP");
    until("the new file is there", || file.exists());
    server.answer("/access/v1/evaluation", &question("delete"));
    assert_eq!(lines(&file, 1)[0]["decision"], "deny");
    assert_eq!(lines(&moved, 1)[0]["decision"], "allow");
}

#[test]
fn what_was_decided_is_written_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (server, file) = logged(folder.path(), &[]);
    let mut batch = question("read");
    batch["evaluations"] = json!(vec![json!({}); 400]);
    server.answer("/access/v1/evaluations", &batch);
    server.signal("-TERM");
    assert_eq!(server.ended().0, Some(0));
    assert_eq!(lines(&file, 400).len(), 400);
}

#[test]
fn a_log_that_cannot_be_written_is_said_before_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |set: &str| {
        let config = fixture();
        let arguments = ["--config", config.to_str().unwrap(), "--set", set];
        let output = crate::server::command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let nowhere = folder.path().join("none/decisions.jsonl");
    assert!(refused(&format!("decision_log.file={}", nowhere.display())).contains("cannot write"));
    let file = folder.path().join("decisions.jsonl");
    let both = format!("decision_log={{ file = \"{}\", sample = 2 }}", file.display());
    assert!(refused(&both).contains("from 0 to 1"));
}
