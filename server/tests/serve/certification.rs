//! AuthZEN's certification scenario: each test of it is one here, under its number.

use serde_json::{Value, json};

use crate::http::Message;
use crate::server::{Server, posted, read};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SUBJECT: &str = "/access/v1/search/subject";
const RESOURCE: &str = "/access/v1/search/resource";
const ACTION: &str = "/access/v1/search/action";

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn record(id: &str) -> Value {
    json!({ "type": "record", "id": id })
}

fn action(name: &str) -> Value {
    json!({ "name": name })
}

fn with(mut entity: Value, properties: Value) -> Value {
    entity["properties"] = properties;
    entity
}

fn admin() -> Value {
    with(user("bob"), json!({ "role": "admin" }))
}

fn archived() -> Value {
    with(record("record-2"), json!({ "status": "archived" }))
}

fn active() -> Value {
    with(record("record-1"), json!({ "status": "active" }))
}

fn context() -> Value {
    json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" })
}

fn question(subject: Value, action: Value, resource: Value) -> Value {
    json!({ "subject": subject, "action": action, "resource": resource })
}

fn alice_reads() -> Value {
    question(user("alice"), action("read"), record("record-1"))
}

/// The decision; whatever is said about it is an object.
fn decision(answer: &Value) -> bool {
    assert!(answer.get("context").is_none_or(Value::is_object), "{answer}");
    answer["decision"].as_bool().unwrap_or_else(|| panic!("no decision: {answer}"))
}

fn decided(question: &Value) -> bool {
    decision(&Server::certified().answer(EVALUATION, question))
}

/// The decisions of a batch: as many as were asked for.
fn all_decided(batch: &Value) -> Vec<bool> {
    let answer = Server::certified().answer(EVALUATIONS, batch);
    assert!(answer.get("decision").is_none(), "{answer}");
    let decisions: Vec<bool> = answer["evaluations"].as_array().unwrap().iter().map(decision).collect();
    assert_eq!(decisions.len(), batch["evaluations"].as_array().unwrap().len());
    decisions
}

fn refused(path: &str, body: &Value) {
    let (status, problem) = Server::certified().post(path, body);
    assert_eq!(status, 400, "{body}: {problem}");
}

/// What a search found: entities of the type that was sought, or names.
fn results(server: &Server, path: &str, search: &Value) -> Vec<String> {
    let answer = server.answer(path, search);
    let results = answer["results"].as_array().unwrap();
    let found = |result: &Value| {
        let sought = if path == SUBJECT { "user" } else { "record" };
        if path == ACTION {
            return result["name"].as_str().unwrap().to_owned();
        }
        assert_eq!(result["type"], sought, "{result}");
        result["id"].as_str().unwrap().to_owned()
    };
    results.iter().map(found).collect()
}

fn found(path: &str, search: &Value) -> Vec<String> {
    results(&Server::certified(), path, search)
}

fn readers() -> Value {
    json!({ "subject": { "type": "user" }, "action": action("read"), "resource": record("record-1") })
}

fn readable() -> Value {
    json!({ "subject": user("alice"), "action": action("read"), "resource": { "type": "record" } })
}

fn doable() -> Value {
    json!({ "subject": user("alice"), "resource": record("record-1") })
}

fn plus(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

// ---------------------------------------------------------------- 2: evaluation

#[test]
fn c_2_2_1_alice_may_read_record_1() {
    assert!(decided(&alice_reads()));
}

#[test]
fn c_2_2_2_bob_may_not_write_record_1() {
    assert!(!decided(&question(user("bob"), action("write"), record("record-1"))));
}

#[test]
fn c_2_2_3_a_context_does_not_change_the_decision() {
    assert!(decided(&plus(alice_reads(), "context", context())));
}

#[test]
fn c_2_2_4_alice_may_not_write_what_is_archived() {
    assert!(!decided(&question(user("alice"), action("write"), archived())));
}

#[test]
fn c_2_2_5_an_admin_may_write_what_is_archived() {
    assert!(decided(&question(admin(), action("write"), archived())));
}

#[test]
fn c_2_2_6_alice_may_delete_softly() {
    let delete = with(action("delete"), json!({ "soft": true }));
    assert!(decided(&question(user("alice"), delete, record("record-1"))));
}

#[test]
fn c_2_2_7_alice_may_not_delete_for_good() {
    let delete = with(action("delete"), json!({ "soft": false }));
    assert!(!decided(&question(user("alice"), delete, record("record-1"))));
}

#[test]
fn c_2_2_8_further_properties_are_accepted() {
    let alice = with(user("alice"), json!({ "department": "Sales", "role": "manager" }));
    let reading = with(action("read"), json!({ "method": "GET" }));
    let of_bob = with(record("record-1"), json!({ "status": "active", "owner": "bob" }));
    assert!(decided(&question(alice, reading, of_bob)));
}

#[test]
fn c_2_2_9_unknown_fields_are_ignored() {
    let unknown = plus(plus(alice_reads(), "foo", json!("bar")), "futureField", json!({ "nested": true }));
    assert!(decided(&unknown));
}

#[test]
fn c_1_4_the_other_rules_of_the_fixture() {
    assert!(decided(&question(user("alice"), action("write"), record("record-1"))));
    assert!(decided(&question(user("bob"), action("read"), record("record-1"))));
}

#[test]
fn c_2_3_1_there_is_always_a_decision() {
    let server = Server::certified();
    for subject in ["alice", "bob", "nobody"] {
        for name in ["read", "write", "delete", "fly"] {
            for resource in ["record-1", "record-2", "record-3"] {
                decision(
                    &server.answer(EVALUATION, &question(user(subject), action(name), record(resource))),
                );
            }
        }
    }
}

#[test]
fn c_2_3_2_a_context_of_an_answer_is_an_object() {
    let answer = Server::certified().answer(EVALUATION, &alice_reads());
    assert_eq!(answer["context"]["determining_policies"], json!(["everybody-reads"]));
}

#[test]
fn c_2_4_1_missing_fields_are_refused() {
    for missing in ["subject", "action", "resource"] {
        let mut question = alice_reads();
        question.as_object_mut().unwrap().remove(missing);
        refused(EVALUATION, &question);
    }
}

#[test]
fn c_2_4_2_missing_parts_of_fields_are_refused() {
    for (field, part) in
        [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")]
    {
        let mut question = alice_reads();
        question[field].as_object_mut().unwrap().remove(part);
        refused(EVALUATION, &question);
    }
}

#[test]
fn c_2_4_3_another_content_type_is_refused() {
    let server = Server::certified();
    for said in
        [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/json-seq"), None]
    {
        let request = Message::new(&format!("POST {EVALUATION} HTTP/1.1")).header("host", "pdp");
        let request = said.into_iter().fold(request, |request, said| request.header("content-type", said));
        let (status, problem) = read(&server.ask(&request.body(&alice_reads().to_string())));
        assert_eq!(status, 400, "{said:?}: {problem}");
    }
    let said = "Application/JSON; charset=utf-8";
    let request = Message::new(&format!("POST {EVALUATION} HTTP/1.1")).header("host", "pdp");
    let request = request.header("content-type", said).body(&alice_reads().to_string());
    assert!(decision(&read(&server.ask(&request)).1));
}

#[test]
fn c_2_4_4_what_is_no_json_is_refused() {
    let server = Server::certified();
    for text in ["{", "subject", "{\"subject\":}", "[]", "\"x\"", "null", "7", "{} {}"] {
        assert_eq!(server.post_text(EVALUATION, text).0, 400, "{text}");
    }
}

#[test]
fn c_2_4_5_an_empty_body_is_refused() {
    let server = Server::certified();
    for text in ["", " \n"] {
        assert_eq!(server.post_text(EVALUATION, text).0, 400);
    }
}

#[test]
fn c_2_4_6_fields_of_another_type_are_refused() {
    refused(EVALUATION, &plus(alice_reads(), "subject", json!("alice")));
    refused(EVALUATION, &plus(alice_reads(), "action", json!(1)));
    refused(EVALUATION, &plus(alice_reads(), "action", json!({ "name": 123 })));
    refused(EVALUATION, &plus(alice_reads(), "resource", json!(["record", "record-1"])));
    refused(EVALUATION, &plus(alice_reads(), "context", json!("now")));
    refused(EVALUATION, &plus(alice_reads(), "subject", with(user("alice"), json!("admin"))));
}

#[test]
fn c_2_5_1_the_id_of_a_request_comes_back() {
    let server = Server::certified();
    for (path, body) in
        [(EVALUATION, alice_reads().to_string()), (EVALUATION, "{".to_owned()), ("/no", String::new())]
    {
        let response = server.ask(&posted(path, &body).header("X-Request-ID", "bfe9eb29-ab87"));
        assert_eq!(response.get("x-request-id"), Some(&b"bfe9eb29-ab87"[..]), "{path}");
    }
}

#[test]
fn c_2_5_2_a_request_needs_no_id() {
    assert!(decided(&alice_reads()));
}

#[test]
fn c_2_6_the_same_question_has_the_same_answer() {
    let server = Server::certified();
    let first = server.answer(EVALUATION, &alice_reads());
    for _ in 0..20 {
        assert_eq!(server.answer(EVALUATION, &alice_reads()), first);
    }
}

// ---------------------------------------------------------------- 3: evaluations

#[test]
fn c_3_2_1_a_batch_of_resources() {
    let evaluations = json!([{ "resource": record("record-1") }, { "resource": record("record-2") }]);
    let batch = json!({ "subject": user("alice"), "action": action("read"), "evaluations": evaluations });
    assert_eq!(all_decided(&batch).len(), 2);
}

#[test]
fn c_3_2_2_answers_stand_in_the_order_of_the_questions() {
    let evaluations = json!([{ "action": action("read") }, { "action": action("write") }]);
    let batch = json!({ "subject": user("bob"), "resource": record("record-1"), "evaluations": evaluations });
    assert_eq!(all_decided(&batch), [true, false]);
}

#[test]
fn c_3_2_3_properties_of_each_resource_count() {
    let evaluations = json!([{ "resource": active() }, { "resource": archived() }]);
    let batch = json!({ "subject": user("alice"), "action": action("write"), "evaluations": evaluations });
    assert_eq!(all_decided(&batch), [true, false]);
}

#[test]
fn c_3_2_4_properties_of_each_subject_count() {
    let evaluations = json!([{ "subject": user("alice") }, { "subject": admin() }]);
    let batch = json!({ "action": action("write"), "resource": archived(), "evaluations": evaluations });
    assert_eq!(all_decided(&batch), [false, true]);
}

#[test]
fn c_3_2_5_a_batch_needs_no_defaults() {
    let bob_writes = question(user("bob"), action("write"), record("record-1"));
    assert_eq!(all_decided(&json!({ "evaluations": [alice_reads(), bob_writes] })), [true, false]);
}

#[test]
fn c_3_2_6_a_context_is_for_all_but_those_with_their_own() {
    let own = json!({ "time": "2025-06-27T19:00-07:00", "source": "batch-override" });
    let evaluations =
        json!([{ "resource": record("record-1") }, { "resource": record("record-2"), "context": own }]);
    let batch = json!({ "subject": user("alice"), "action": action("read"), "context": context(), "evaluations": evaluations });
    assert_eq!(all_decided(&batch).len(), 2);
}

#[test]
fn c_3_2_7_defaults_are_taken_whole_or_not_at_all() {
    let batch = plus(
        question(user("alice"), action("write"), active()),
        "evaluations",
        json!([{}, { "resource": archived() }]),
    );
    assert_eq!(all_decided(&batch), [true, false]);
}

#[test]
fn c_3_3_1_there_are_as_many_answers_as_questions() {
    for count in [1, 7, 50] {
        let batch = plus(alice_reads(), "evaluations", json!(vec![json!({}); count]));
        assert_eq!(all_decided(&batch).len(), count);
    }
}

#[test]
fn c_3_3_2_the_order_is_that_of_the_request() {
    let names = ["write", "read", "read", "write", "read"];
    let evaluations: Vec<Value> = names.iter().map(|name| json!({ "action": action(name) })).collect();
    let batch = json!({ "subject": user("bob"), "resource": record("record-1"), "evaluations": evaluations });
    assert_eq!(all_decided(&batch), [false, true, true, false, true]);
}

#[test]
fn c_3_3_3_each_answer_has_a_decision() {
    let batch = plus(alice_reads(), "evaluations", json!([{}, { "action": action("fly") }]));
    assert_eq!(all_decided(&batch), [true, false]);
}

#[test]
fn c_3_3_4_there_is_no_decision_beside_the_answers() {
    let batch = plus(alice_reads(), "evaluations", json!([{}]));
    assert!(Server::certified().answer(EVALUATIONS, &batch).get("decision").is_none());
}

#[test]
fn c_3_4_1_what_is_wrong_with_one_is_its_own_affair() {
    let batch = json!({
        "subject": user("alice"), "action": action("read"),
        "options": { "evaluations_semantic": "execute_all" },
        "evaluations": [{ "resource": record("record-1") }, {}],
    });
    assert_eq!(all_decided(&batch), [true, false]);
    let answer = Server::certified().answer(EVALUATIONS, &batch);
    assert_eq!(answer["evaluations"][1]["context"]["error"]["status"], 400);
    assert_eq!(answer["evaluations"][1]["context"]["error"]["message"], "`resource` is missing");
}

#[test]
fn c_3_4_2_without_evaluations_it_is_one_question() {
    assert!(decision(&Server::certified().answer(EVALUATIONS, &alice_reads())));
}

#[test]
fn c_3_4_3_with_no_evaluations_it_is_one_question() {
    assert!(decision(
        &Server::certified().answer(EVALUATIONS, &plus(alice_reads(), "evaluations", json!([])))
    ));
}

// ---------------------------------------------------------------- 4: searches

#[test]
fn c_4_2_1_who_may_read() {
    assert_eq!(found(SUBJECT, &readers()), ["alice", "bob"]);
}

#[test]
fn c_4_2_2_who_may_read_in_a_context() {
    assert_eq!(found(SUBJECT, &plus(readers(), "context", context())), ["alice", "bob"]);
}

#[test]
fn c_4_2_3_the_id_of_a_subject_that_is_sought_is_ignored() {
    assert_eq!(found(SUBJECT, &plus(readers(), "subject", user("alice"))), ["alice", "bob"]);
}

#[test]
fn c_4_2_4_who_may_write_what_is_archived() {
    let writers = json!({ "subject": { "type": "user" }, "action": action("write"), "resource": archived() });
    assert_eq!(found(SUBJECT, &writers), ["bob"]);
}

#[test]
fn c_4_3_1_what_may_be_read() {
    assert_eq!(found(RESOURCE, &readable()), ["record-1", "record-2"]);
}

#[test]
fn c_4_3_2_what_may_be_read_in_a_context() {
    assert_eq!(found(RESOURCE, &plus(readable(), "context", context())), ["record-1", "record-2"]);
}

#[test]
fn c_4_3_3_the_id_of_a_resource_that_is_sought_is_ignored() {
    assert_eq!(found(RESOURCE, &plus(readable(), "resource", record("record-1"))), ["record-1", "record-2"]);
}

#[test]
fn c_4_3_4_what_an_admin_may_write() {
    let writable = json!({ "subject": admin(), "action": action("write"), "resource": { "type": "record" } });
    assert_eq!(found(RESOURCE, &writable), ["record-2"]);
}

#[test]
fn c_4_4_1_what_alice_may_do() {
    assert_eq!(found(ACTION, &doable()), ["read", "write"]);
}

#[test]
fn c_4_4_2_what_alice_may_do_in_a_context() {
    assert_eq!(found(ACTION, &plus(doable(), "context", context())), ["read", "write"]);
}

#[test]
fn c_4_4_3_what_an_admin_may_do_to_what_is_archived() {
    assert_eq!(found(ACTION, &json!({ "subject": admin(), "resource": archived() })), ["read", "write"]);
}

#[test]
fn c_4_5_1_a_page_has_no_more_than_its_limit() {
    let answer = Server::certified().answer(SUBJECT, &plus(readers(), "page", json!({ "limit": 1 })));
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    assert!(answer["page"]["next_token"].is_string(), "{answer}");
}

#[test]
fn c_4_5_2_a_token_leads_to_the_next_page() {
    let server = Server::certified();
    let first = server.answer(SUBJECT, &plus(readers(), "page", json!({ "limit": 1 })));
    let token = &first["page"]["next_token"];
    assert_ne!(*token, "");
    let second = server.answer(SUBJECT, &plus(readers(), "page", json!({ "token": token })));
    assert_eq!(second["results"], json!([user("bob")]));
    assert_eq!(second["page"]["next_token"], "");
}

#[test]
fn c_4_5_3_a_page_says_how_many_it_has() {
    let answer = Server::certified().answer(SUBJECT, &plus(readers(), "page", json!({ "limit": 5 })));
    assert_eq!(answer["page"], json!({ "next_token": "", "count": 2 }));
}

#[test]
fn c_4_5_4_a_page_is_given_to_those_who_ask_for_one() {
    assert!(Server::certified().answer(SUBJECT, &readers()).get("page").is_none());
}

#[test]
fn c_4_6_1_for_an_unknown_id_nothing_is_found() {
    let server = Server::certified();
    let nobody = user("nonexistent-user");
    assert!(results(&server, ACTION, &plus(doable(), "subject", nobody.clone())).is_empty());
    assert!(results(&server, RESOURCE, &plus(readable(), "subject", nobody)).is_empty());
    assert!(results(&server, SUBJECT, &plus(readers(), "resource", record("record-9"))).is_empty());
}

#[test]
fn c_4_6_2_for_an_unknown_type_nothing_is_found() {
    let server = Server::certified();
    let ship = json!({ "type": "spaceship", "id": "x" });
    assert!(
        results(&server, SUBJECT, &plus(readers(), "subject", json!({ "type": "spaceship" }))).is_empty()
    );
    assert!(
        results(&server, RESOURCE, &plus(readable(), "resource", json!({ "type": "spaceship" }))).is_empty()
    );
    assert!(results(&server, ACTION, &plus(doable(), "subject", ship.clone())).is_empty());
    assert!(results(&server, ACTION, &plus(doable(), "resource", ship)).is_empty());
}

#[test]
fn c_4_7_1_missing_fields_of_a_search_are_refused() {
    for (path, search, fields) in [
        (SUBJECT, readers(), ["subject", "action", "resource"].as_slice()),
        (RESOURCE, readable(), &["subject", "action", "resource"]),
        (ACTION, doable(), &["subject", "resource"]),
    ] {
        for field in fields {
            let mut search = search.clone();
            search.as_object_mut().unwrap().remove(*field);
            refused(path, &search);
        }
    }
}

#[test]
fn c_4_7_2_what_is_not_sought_must_have_its_id() {
    refused(SUBJECT, &plus(readers(), "resource", json!({ "type": "record" })));
    refused(RESOURCE, &plus(readable(), "subject", json!({ "type": "user" })));
    refused(ACTION, &plus(doable(), "subject", json!({ "type": "user" })));
    refused(ACTION, &plus(doable(), "resource", json!({ "type": "record" })));
}

// ---------------------------------------------------------------- 6: discovery

#[test]
fn c_6_5_what_the_decision_point_says_of_itself() {
    let server = Server::certified();
    let response =
        server.ask(&Message::new("GET /.well-known/authzen-configuration HTTP/1.1").header("host", "pdp"));
    assert_eq!(response.get("content-type"), Some(&b"application/json"[..]));
    let (status, said) = read(&response);
    assert_eq!(status, 200);
    let base = format!("https://127.0.0.1:{}", server.port);
    let endpoint = |path: &str| json!(format!("{base}{path}"));
    assert_eq!(
        said,
        json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": endpoint(EVALUATION),
            "access_evaluations_endpoint": endpoint(EVALUATIONS),
            "search_subject_endpoint": endpoint(SUBJECT),
            "search_resource_endpoint": endpoint(RESOURCE),
            "search_action_endpoint": endpoint(ACTION),
        })
    );
}
