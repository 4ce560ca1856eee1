//! Batches, beyond what certification asks for.

use serde_json::{Value, json};

use crate::server::{Server, posted};

const EVALUATIONS: &str = "/access/v1/evaluations";

/// Bob reads or writes `record-1`: allowed, denied.
fn batch(names: &[&str], semantic: &str) -> Value {
    let evaluations: Vec<Value> = names.iter().map(|name| json!({ "action": { "name": name } })).collect();
    json!({
        "subject": { "type": "user", "id": "bob" },
        "resource": { "type": "record", "id": "record-1" },
        "options": { "evaluations_semantic": semantic, "another": 5 },
        "evaluations": evaluations,
    })
}

fn decisions(server: &Server, batch: &Value) -> Vec<bool> {
    let answer = server.answer(EVALUATIONS, batch);
    let all = answer["evaluations"].as_array().unwrap();
    all.iter().map(|answer| answer["decision"].as_bool().unwrap()).collect()
}

#[test]
fn the_first_denial_ends_a_batch_that_says_so() {
    let server = Server::certified();
    let until_denied = |names: &[&str]| decisions(&server, &batch(names, "deny_on_first_deny"));
    assert_eq!(until_denied(&["read", "write", "read"]), [true, false]);
    assert_eq!(until_denied(&["read", "read"]), [true, true]);
    assert_eq!(until_denied(&["write", "read"]), [false]);
    let mut broken = batch(&["read", "read", "read"], "deny_on_first_deny");
    broken["evaluations"][1] = json!({ "action": "read" });
    assert_eq!(decisions(&server, &broken), [true, false]);
}

#[test]
fn the_first_permit_ends_a_batch_that_says_so() {
    let server = Server::certified();
    let until_permitted = |names: &[&str]| decisions(&server, &batch(names, "permit_on_first_permit"));
    assert_eq!(until_permitted(&["write", "read", "read"]), [false, true]);
    assert_eq!(until_permitted(&["write", "write"]), [false, false]);
}

#[test]
fn another_ending_is_refused() {
    let (status, problem) = Server::certified().post(EVALUATIONS, &batch(&["read"], "execute_some"));
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("execute_some"), "{problem}");
}

#[test]
fn each_evaluation_is_read_by_itself() {
    let server = Server::certified();
    let mut broken = batch(&["read"; 8], "execute_all");
    for (at, evaluation) in [
        (1, json!(7)),
        (2, json!({ "action": { "name": 7 } })),
        (3, json!({ "subject": { "type": "user" } })),
        (4, json!({ "context": [] })),
        (5, json!({ "unknown": { "action": 5 } })),
        (6, json!(null)),
    ] {
        broken["evaluations"][at] = evaluation;
    }
    assert_eq!(decisions(&server, &broken), [true, false, false, false, false, false, false, true]);
    let twice = batch(&["read", "read"], "execute_all").to_string().replacen(
        r#"{"action":{"name":"read"}}"#,
        r#"{"action":{"name":"read"},"action":{"name":"write"}}"#,
        1,
    );
    let (status, answer) = server.post_text(EVALUATIONS, &twice);
    assert_eq!(status, 200);
    assert_eq!(answer["evaluations"][0]["decision"], false);
    assert_eq!(answer["evaluations"][1]["decision"], true);
}

#[test]
fn what_is_wrong_with_the_defaults_is_wrong_with_the_whole() {
    let server = Server::certified();
    for (name, value) in
        [("subject", json!("bob")), ("resource", json!({ "type": "record" })), ("context", json!(5))]
    {
        let mut broken = batch(&["read"], "execute_all");
        broken[name] = value;
        assert_eq!(server.post(EVALUATIONS, &broken).0, 400, "{name}");
    }
}

#[test]
fn a_batch_has_its_limit() {
    let config = crate::server::fixture();
    let server = Server::start(&["--config", config.to_str().unwrap(), "--set", "limits.evaluations=3"]);
    assert_eq!(decisions(&server, &batch(&["read"; 3], "execute_all")).len(), 3);
    let (status, problem) = server.post(EVALUATIONS, &batch(&["read"; 4], "execute_all"));
    assert_eq!(
        (status, &problem["detail"]),
        (400, &json!("there are 4 evaluations; at most 3 go in one request"))
    );
}

#[test]
fn a_long_batch_is_answered_whole() {
    let server = Server::certified();
    let names: Vec<&str> = ["read", "write"].into_iter().cycle().take(400).collect();
    let all = decisions(&server, &batch(&names, "execute_all"));
    assert!(all.iter().zip(&names).all(|(decision, name)| *decision == (*name == "read")));
    assert_eq!(all.len(), 400);
    let response = server.ask(&posted(EVALUATIONS, &batch(&names, "execute_all").to_string()));
    assert_eq!(response.second_word(), "200");
}
