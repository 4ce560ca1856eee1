//! Access that is denied is asked for, and answered: the Access Request and Approval Profile.

use std::os::unix::fs::PermissionsExt as _;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::http::Message;
use crate::lifecycle::{ADA, OLGA, ROOT, done, owned, submit};
use crate::server::{Server, command, posted, read};

const EVALUATION: &str = "/access/v1/evaluation";
pub(crate) const REQUESTS: &str = "/access/v1/requests";
pub(crate) const URL: &str = "https://pdp.example.com";

fn server(set: &[&str]) -> Server {
    let url = format!("authzen.public_url={URL}");
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--set", &url, "--set", "access_requests.offer=10m"];
    if !set.iter().any(|set| set.starts_with("ledger")) {
        arguments.extend(["--set", "ledger.memory=true"]);
    }
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    Server::start(&arguments)
}

/// Olga owns the villa; Ada's company looks after it, and may do nothing there but what it asks for.
fn villa(set: &[&str]) -> Server {
    let server = server(set);
    owned(&server);
    done(&server, OLGA, json!({ "withdrawGrant": { "grant": "inv/liveView/cam-7" } }));
    server
}

pub(crate) fn question(action: &str, device: &str) -> Value {
    json!({
        "subject": { "type": "Installer", "id": "ada" },
        "action": { "name": action },
        "resource": { "type": "Device", "id": device },
    })
}

/// The context of a denial.
fn denied(server: &Server, question: &Value) -> Value {
    let answer = server.answer(EVALUATION, question);
    assert_eq!(answer["decision"], false, "{answer}");
    answer["context"].clone()
}

fn denial(context: &Value) -> Value {
    json!({
        "evaluation_id": context["evaluation_id"],
        "evaluated_at": context["evaluated_at"],
        "expires_at": context["access_request"]["expires_at"],
        "reason": context["reason"],
        "binding_token": context["access_request"]["binding_token"],
        "template": context["access_request"]["template"],
    })
}

/// A request for what was denied.
pub(crate) fn request(server: &Server, action: &str, device: &str) -> Value {
    let question = question(action, device);
    let mut request = question.clone();
    request["denial"] = denial(&denied(server, &question));
    request["context"] = json!({ "business_justification": "the door does not close" });
    request
}

pub(crate) fn asked(server: &Server, request: &Value) -> Value {
    let response = server.ask(&posted(REQUESTS, &request.to_string()));
    let (status, answer) = read(&response);
    assert_eq!(status, 202, "{answer}");
    let location = response.get("location").map(String::from_utf8_lossy);
    assert_eq!(location.as_deref(), answer["task"]["status_endpoint"].as_str());
    assert_eq!(response.get("retry-after"), Some(&b"5"[..]));
    answer
}

/// Why a request was not taken: status, and the profile's name for it.
pub(crate) fn refused(server: &Server, request: &Value) -> (u16, String) {
    let response = server.ask(&posted(REQUESTS, &request.to_string()));
    assert_eq!(response.get("content-type"), Some(&b"application/problem+json"[..]), "{request}");
    let (status, problem) = read(&response);
    let name = problem["type"].as_str().unwrap().to_owned();
    let name =
        name.strip_prefix("urn:openid:authzen:access-request:error:").map(str::to_owned).unwrap_or(name);
    (status, name)
}

fn path(task: &Value) -> String {
    let endpoint = task["task"]["status_endpoint"].as_str().unwrap();
    endpoint.strip_prefix(URL).unwrap().to_owned()
}

pub(crate) fn status(server: &Server, task: &Value) -> Value {
    let (status, answer) = server.get(&path(task));
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The applications that wait for Olga's answer.
pub(crate) fn pending(server: &Server) -> Vec<Value> {
    server.get("/v1/applications?endUser=olga&pending=true").1["items"].as_array().unwrap().clone()
}

fn with_approval(action: &str, device: &str, approval: &Value) -> Value {
    let mut question = question(action, device);
    question["context"] = json!({ "approval": approval, "time": "2026-01-01T00:00:00Z" });
    question
}

#[test]
fn what_is_denied_is_asked_for_accepted_and_asked_again() {
    let server = villa(&[]);
    let context = denied(&server, &question("liveView", "cam-7"));
    assert_eq!(context["reason"], "grant_ended");
    let offer = &context["access_request"];
    assert_eq!(offer["endpoint"], format!("{URL}{REQUESTS}"));
    assert!(offer["expires_at"].is_string() && offer["display"]["title"].is_string());
    let mut request = request(&server, "liveView", "cam-7");
    request["requested_access"] = json!({ "requested_until": "2999-01-01T00:00:00Z" });
    let task = asked(&server, &request);
    assert_eq!(task["task"]["status"], "pending");
    assert_eq!(task.get("result"), None);
    let waiting = pending(&server);
    assert_eq!(waiting[0]["remark"], "the door does not close");
    assert_eq!(
        waiting[0]["permissions"],
        json!([{ "permission": "liveView", "devices": ["cam-7"], "validity": "8h" }])
    );
    assert_eq!(status(&server, &task)["task"], task["task"]);
    done(&server, OLGA, json!({ "acceptApplication": { "application": waiting[0]["application"] } }));
    let approved = status(&server, &task);
    assert_eq!(approved["task"]["status"], "approved");
    assert_eq!(approved["task"].get("links"), None);
    let approval = &approved["result"]["approval"];
    assert_eq!(approved["result"]["mode"], "reevaluate");
    assert_eq!(status(&server, &task)["result"]["approval"]["id"], approval["id"]);
    let again = server.answer(EVALUATION, &with_approval("liveView", "cam-7", approval));
    assert_eq!(again["decision"], true);
    assert_eq!(
        again["context"]["approval"],
        json!({ "id": approval["id"], "approved_until": approval["approved_until"] })
    );
    assert_eq!(again["context"]["valid_until"], approval["approved_until"]);
    let grant = format!("{}/liveView/cam-7", waiting[0]["application"].as_str().unwrap());
    done(&server, OLGA, json!({ "withdrawGrant": { "grant": grant } }));
    let context = denied(&server, &with_approval("liveView", "cam-7", approval));
    assert_eq!(
        (&context["reason"], &context["next_action"]),
        (&json!("approval_expired"), &json!("request"))
    );
    assert!(context["access_request"]["binding_token"].is_string());
    assert_eq!(status(&server, &task)["task"]["status"], "approved", "what is over stays as it ended");
}

#[test]
fn a_task_ends_as_its_application_does() {
    let server = villa(&[]);
    let ended = |by: &dyn Fn(&Value)| {
        let task = asked(&server, &request(&server, "liveView", "cam-7"));
        by(&pending(&server)[0]["application"]);
        let answer = status(&server, &task);
        assert_eq!(answer.get("result"), None);
        answer["task"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        ended(&|id| drop(done(&server, OLGA, json!({ "rejectApplication": { "application": id } })))),
        "denied"
    );
    assert_eq!(
        ended(&|id| drop(done(&server, ADA, json!({ "withdrawApplication": { "application": id } })))),
        "cancelled"
    );
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    done(&server, OLGA, json!({ "removeDevice": { "device": "cam-7" } }));
    assert_eq!(status(&server, &task)["task"]["status"], "cancelled");
    let server = villa(&["lifetimes.permission_application=1s"]);
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    crate::process::until("nobody answered", || status(&server, &task)["task"]["status"] == "expired");
}

#[test]
fn whoever_asked_can_take_it_back() {
    let server = villa(&[]);
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    let cancel = task["task"]["links"]["cancel"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
    let (status, answer) =
        server.post(&cancel, &json!({ "reason": "not_needed", "comment": "found the key" }));
    assert_eq!((status, &answer["task"]["status"]), (200, &json!("cancelled")));
    let (status, problem) = server.post(&cancel, &json!({}));
    let name = "urn:openid:authzen:access-request:error:invalid_task_state";
    assert_eq!((status, &problem["type"]), (409, &json!(name)));
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    let delete = Message::new(&format!("DELETE {}/cancel HTTP/1.1", path(&task))).header("host", "pdp");
    assert_eq!(read(&server.ask(&delete)).1["task"]["status"], "cancelled");
    let unknown = "urn:openid:authzen:access-request:error:unknown_task";
    for id in ["none", "arq_aaaa.0", "arq_..%2f.0"] {
        for (status, problem) in [
            server.get(&format!("{REQUESTS}/{id}")),
            server.post(&format!("{REQUESTS}/{id}/cancel"), &json!({})),
        ] {
            assert_eq!((status, &problem["type"]), (404, &json!(unknown)), "{id}");
        }
    }
}

#[test]
fn several_things_are_asked_for_at_once_and_answered_one_by_one() {
    let server = villa(&[]);
    let item = |action: &str, device: &str| {
        let question = question(action, device);
        json!({ "resource": question["resource"], "action": question["action"], "denial": denial(&denied(&server, &question)) })
    };
    let mut first = item("liveView", "cam-8");
    first["requested_access"] = json!({ "requested_until": "2999-01-01T00:00:00Z" });
    let items = json!([first, item("liveView", "cam-7"), item("playback", "cam-7")]);
    let bundle = json!({ "subject": question("x", "x")["subject"], "items": items });
    let task = asked(&server, &bundle);
    let shown: Vec<(&Value, &Value)> = task["task"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["resource"]["id"], &item["action"]["name"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("cam-8"), &json!("liveView")),
            (&json!("cam-7"), &json!("liveView")),
            (&json!("cam-7"), &json!("playback"))
        ]
    );
    let waiting = pending(&server);
    assert_eq!(waiting.len(), 1, "one site, one owner, one question");
    let given = json!([
        { "permission": "playback", "devices": ["cam-7"], "validity": "1h" },
        { "permission": "liveView", "devices": ["cam-8"], "validity": "2h" },
    ]);
    done(
        &server,
        OLGA,
        json!({ "acceptApplication": { "application": waiting[0]["application"], "permissions": given } }),
    );
    let answer = status(&server, &task);
    assert_eq!(answer["task"]["status"], "partial");
    assert_eq!(answer.get("result"), None);
    let items = answer["task"]["items"].as_array().unwrap();
    let statuses: Vec<&str> = items.iter().map(|item| item["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["approved", "denied", "approved"]);
    let approval = |place: usize| &items[place]["result"]["approval"];
    assert_eq!(server.answer(EVALUATION, &with_approval("playback", "cam-7", approval(2)))["decision"], true);
    // One item's approval is for that item.
    let other = server.answer(EVALUATION, &with_approval("liveView", "cam-7", approval(2)));
    assert_eq!((&other["decision"], &other["context"]["reason"]), (&json!(false), &json!("out_of_scope")));
    assert_eq!(other["context"]["next_action"], "request");
    let allowed = server.answer(EVALUATION, &with_approval("liveView", "cam-8", approval(2)));
    assert_eq!((&allowed["decision"], allowed["context"].get("approval")), (&json!(true), None));
}

#[test]
fn what_goes_to_two_owners_is_asked_of_both() {
    let server = villa(&[]);
    done(
        &server,
        ROOT,
        json!({ "registerEndUser": { "endUser": "oscar", "contacts": [{ "email": "oscar@example.com" }] } }),
    );
    done(&server, ADA, json!({ "createSite": { "site": "hut", "company": "acme", "kind": "normal" } }));
    done(
        &server,
        ADA,
        json!({ "addDevice": { "device": "cam-9", "site": "hut", "supportsPasswordReset": false } }),
    );
    let invite = json!({ "invite": "hut-inv", "site": "hut", "contact": { "email": "oscar@example.com" }, "permissions": [], "disableService": false });
    done(&server, ADA, json!({ "inviteOwner": invite }));
    done(&server, r#"EndUser::"oscar""#, json!({ "acceptInvite": { "invite": "hut-inv" } }));
    let item = |action: &str, device: &str| {
        let question = question(action, device);
        json!({ "resource": question["resource"], "action": question["action"], "denial": denial(&denied(&server, &question)) })
    };
    let items = json!([item("liveView", "cam-7"), item("liveView", "cam-9"), item("playback", "cam-7")]);
    let task = asked(&server, &json!({ "subject": question("x", "x")["subject"], "items": items }));
    let statuses = || -> Vec<String> {
        let answer = status(&server, &task);
        let items = answer["task"]["items"].as_array().unwrap().clone();
        let all = items.iter().map(|item| item["status"].as_str().unwrap().to_owned());
        all.chain([answer["task"]["status"].as_str().unwrap().to_owned()]).collect()
    };
    let of_oscar =
        server.get("/v1/applications?endUser=oscar&pending=true").1["items"][0]["application"].clone();
    done(&server, r#"EndUser::"oscar""#, json!({ "rejectApplication": { "application": of_oscar } }));
    assert_eq!(statuses(), ["pending", "denied", "pending", "pending"]);
    let (status, answer) = server.post(&format!("{}/cancel", path(&task)), &json!({}));
    assert_eq!((status, &answer["task"]["status"]), (200, &json!("partial")));
    assert_eq!(statuses(), ["cancelled", "denied", "cancelled", "partial"]);
}

#[test]
fn a_request_is_bound_to_what_was_denied() {
    let server = villa(&[]);
    let good = request(&server, "liveView", "cam-7");
    let with = |name: &str, value: Value| {
        let mut request = good.clone();
        request[name] = value;
        request
    };
    let in_denial = |name: &str, value: Value| {
        let mut request = good.clone();
        request["denial"][name] = value;
        request
    };
    let binding = (400, "invalid_denial_binding".to_owned());
    let token = good["denial"]["binding_token"].as_str().unwrap();
    for at in [3, token.len() / 2, token.len() - 5] {
        let mut changed = token.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(refused(&server, &in_denial("binding_token", json!(changed))), binding, "{at}");
    }
    for other in [
        with("subject", json!({ "type": "Installer", "id": "eve" })),
        with("subject", json!({ "type": "Installer", "id": "ada", "properties": { "role": "admin" } })),
        with("resource", json!({ "type": "Device", "id": "cam-8" })),
        with("action", json!({ "name": "configure" })),
        in_denial("binding_token", json!("")),
        in_denial("binding_token", json!("a.b.c")),
        in_denial("binding_token", Value::Null),
        in_denial("evaluation_id", json!("eval_other")),
        in_denial("expires_at", json!("2999-01-01T00:00:00.000Z")),
    ] {
        assert_eq!(refused(&server, &other), binding, "{other}");
    }
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("denial");
    assert_eq!(refused(&server, &without), binding);
    // The token of an approval is no token of a denial, and that of another decision point none of this one.
    let elsewhere = self::server(&["authzen.public_url=https://other.example.com"]);
    owned(&elsewhere);
    done(&elsewhere, OLGA, json!({ "withdrawGrant": { "grant": "inv/liveView/cam-7" } }));
    assert_eq!(refused(&server, &request(&elsewhere, "liveView", "cam-7")), binding);
    assert!(pending(&server).is_empty());
    asked(&server, &good);
}

#[test]
fn a_denial_is_used_once_and_not_for_long() {
    let server = villa(&[]);
    let good = request(&server, "liveView", "cam-7");
    let task = asked(&server, &good);
    server.post(&format!("{}/cancel", path(&task)), &json!({}));
    assert_eq!(refused(&server, &good), (400, "invalid_denial_binding".into()));
    let short = villa(&["access_requests.offer=1ms"]);
    let late = request(&short, "liveView", "cam-7");
    crate::process::until("it is too late", || refused(&short, &late) == (410, "expired_denial".into()));
}

#[test]
fn the_same_key_and_body_are_the_same_request() {
    let server = villa(&[]);
    let good = request(&server, "liveView", "cam-7");
    let with =
        |key: &str, body: &str| read(&server.ask(&posted(REQUESTS, body).header("idempotency-key", key)));
    let (status, first) = with("key 1 / of any form", &good.to_string());
    assert_eq!(status, 202, "{first}");
    // In another order of members, it is the same.
    let mut members: Vec<(String, Value)> = good.as_object().unwrap().clone().into_iter().collect();
    members.reverse();
    let reversed: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let (status, again) = with("key 1 / of any form", &format!("{{{}}}", reversed.join(",")));
    assert_eq!((status, &again["task"]["id"]), (202, &first["task"]["id"]));
    let mut other = good.clone();
    other["context"]["business_justification"] = json!("another one");
    let fresh = request(&server, "playback", "cam-8");
    let item = json!({ "resource": fresh["resource"], "action": fresh["action"], "denial": fresh["denial"] });
    let bundle = json!({ "subject": fresh["subject"], "items": [item] });
    for other in [other, fresh, bundle] {
        let (status, problem) = with("key 1 / of any form", &other.to_string());
        let name = "urn:openid:authzen:access-request:error:duplicate_request";
        assert_eq!((status, &problem["type"]), (409, &json!(name)), "{problem}");
    }
    assert_eq!(with("", &good.to_string()).0, 400);
    assert_eq!(pending(&server).len(), 1);
}

/// Whoever did not hear the answer to the first attempt hears that to the second, however late.
#[test]
fn a_request_that_was_taken_is_taken_again_when_its_denial_is_long_ago() {
    let server = villa(&["access_requests.offer=2s"]);
    let good = request(&server, "liveView", "cam-7").to_string();
    let with = |key: &str| read(&server.ask(&posted(REQUESTS, &good).header("idempotency-key", key)));
    let (status, first) = with("one");
    assert_eq!(status, 202, "{first}");
    crate::process::until("the denial is too old", || with("two").0 == 410);
    let (status, again) = with("one");
    assert_eq!((status, &again["task"]["id"]), (202, &first["task"]["id"]));
    assert_eq!(pending(&server).len(), 1);
}

#[test]
fn a_denial_is_bound_by_a_short_token_whatever_was_said() {
    let server = villa(&[]);
    let mut question = question("liveView", "cam-7");
    question["subject"]["properties"] = json!({ "notes": "x".repeat(100_000) });
    question["context"] = json!({ "time": "2026-01-01T00:00:00Z", "notes": "x".repeat(100_000) });
    let context = denied(&server, &question);
    let token = context["access_request"]["binding_token"].as_str().unwrap();
    assert!(token.len() < 2000, "{}", token.len());
    let mut request = question.clone();
    request["denial"] = denial(&context);
    let mut other = request.clone();
    other["subject"]["properties"]["notes"] = json!("y");
    assert_eq!(refused(&server, &other), (400, "invalid_denial_binding".into()));
    asked(&server, &request);
}

#[test]
fn only_what_an_owner_could_answer_can_be_asked_for() {
    let server = villa(&[]);
    let offered = |question: &Value| denied(&server, question)["access_request"].is_object();
    assert!(offered(&question("liveView", "cam-7")));
    assert!(!offered(&question("fly", "cam-7")));
    assert!(!offered(&question("liveView", "none")));
    let mut stranger = question("liveView", "cam-7");
    stranger["subject"] = json!({ "type": "EndUser", "id": "olga" });
    stranger["resource"] = json!({ "type": "Site", "id": "villa" });
    stranger["action"] = json!({ "name": "disableService" });
    assert!(!offered(&stranger));
    let intern = json!({ "installer": "ian", "company": "acme", "role": "member", "permissions": [] });
    done(&server, ROOT, json!({ "registerInstaller": intern }));
    let mut of_ian = question("liveView", "cam-7");
    of_ian["subject"]["id"] = json!("ian");
    assert!(!offered(&of_ian), "whoever may not ask is not told to");
    let mut site = question("manageSite", "x");
    site["resource"] = json!({ "type": "Site", "id": "villa" });
    assert!(offered(&site));
    asked(&server, &request(&server, "liveView", "cam-7"));
    assert!(!offered(&question("liveView", "cam-7")), "it is asked for already");
    let batch = json!({ "evaluations": [question("playback", "cam-7"), question("liveView", "cam-8")] });
    let answers = server.answer("/access/v1/evaluations", &batch);
    let tokens: Vec<&Value> = answers["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| &answer["context"]["access_request"]["binding_token"])
        .collect();
    assert!(tokens[0].is_string() && tokens[1].is_string() && tokens[0] != tokens[1]);
}

#[test]
fn bad_requests_for_access_are_refused() {
    let server = villa(&[]);
    let good = request(&server, "liveView", "cam-7");
    let with = |name: &str, value: Value| {
        let mut request = good.clone();
        request[name] = value;
        refused(&server, &request)
    };
    let invalid = (400, "urn:consentry:problem:invalid".to_owned());
    assert_eq!(with("items", json!([])), invalid);
    assert_eq!(with("resource", Value::Null), invalid);
    assert_eq!(with("action", json!("liveView")), invalid);
    assert_eq!(with("requested_access", json!({ "requested_until": "tomorrow" })), invalid);
    let soon = good["denial"]["evaluated_at"].clone();
    let not_requestable = (400, "not_requestable".to_owned());
    assert_eq!(with("requested_access", json!({ "requested_until": soon })), not_requestable);
    assert_eq!(with("subject", json!({ "type": "EndUser", "id": "olga" })), not_requestable);
    let callback = json!({ "endpoint": "https://pep.example.com/done" });
    assert_eq!(with("callback", callback), (400, "urn:consentry:problem:callback_not_allowed".into()));
    let many = json!({ "subject": good["subject"], "items": vec![json!({ "resource": good["resource"], "action": good["action"] }); 17] });
    assert_eq!(refused(&server, &many), invalid);
    assert_eq!(server.post_text(REQUESTS, "{").0, 400);
    let without = Server::start(&["--set", "ledger.memory=true", "--listen", "127.0.0.1:0"]);
    assert_eq!(without.post(REQUESTS, &good).0, 404);
    assert_eq!(without.get("/access/v1/jwks").0, 404);
    assert_eq!(submit(&server, ADA, json!({ "releaseGrant": { "grant": "none" } })).0, 404);
}

#[test]
fn an_approval_that_was_made_up_denies_whatever_else_would_allow() {
    let server = villa(&[]);
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    done(
        &server,
        OLGA,
        json!({ "acceptApplication": { "application": pending(&server)[0]["application"] } }),
    );
    let approval = status(&server, &task)["result"]["approval"].clone();
    assert_eq!(server.answer(EVALUATION, &question("liveView", "cam-7"))["decision"], true);
    let with = |name: &str, value: Value| {
        let mut approval = approval.clone();
        approval[name] = value;
        denied(&server, &with_approval("liveView", "cam-7", &approval))
    };
    let state = approval["state"].as_str().unwrap();
    let token = denied(&server, &question("playback", "cam-7"))["access_request"]["binding_token"].clone();
    for context in [
        with("id", json!("apr_other")),
        with("id", Value::Null),
        with("state", json!(format!("{}A", state))),
        with("state", token),
        with("state", Value::Null),
        denied(&server, &with_approval("liveView", "cam-7", &json!("yes"))),
        denied(&server, &with_approval("liveView", "cam-7", &Value::Null)),
    ] {
        assert_eq!(
            (&context["reason"], &context["next_action"]),
            (&json!("approval_unverifiable"), &json!("none"))
        );
        assert_eq!(context.get("access_request"), None);
    }
}

/// Bytes of base64 as tokens have it.
fn bytes(text: &str) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = |letter: u8| LETTERS.iter().position(|own| *own == letter).unwrap() as u32;
    let mut bytes = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let bits = chunk.iter().fold(0, |bits, letter| bits << 6 | value(*letter)) << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}

#[test]
fn others_can_verify_what_was_signed() {
    let server = villa(&[]);
    let token = request(&server, "liveView", "cam-7")["denial"]["binding_token"].as_str().unwrap().to_owned();
    let (_, metadata) = server.get("/.well-known/authzen-configuration");
    assert_eq!(metadata["access_request_endpoint"], format!("{URL}{REQUESTS}"));
    assert_eq!(metadata["capabilities"], json!(["urn:openid:authzen:capability:access-request"]));
    let keys = server.get(metadata["jwks_uri"].as_str().unwrap().strip_prefix(URL).unwrap()).1;
    let (message, made) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&bytes(header)).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let point = [vec![4], bytes(key["x"].as_str().unwrap()), bytes(key["y"].as_str().unwrap())].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message.as_bytes(), &bytes(made)).unwrap();
    let claims: Value = serde_json::from_slice(&bytes(claims)).unwrap();
    for (name, value) in [
        ("iss", json!(URL)),
        ("aud", json!(URL)),
        ("subject", json!({ "type": "Installer", "id": "ada" })),
        ("action", json!({ "name": "liveView" })),
        ("binding_context_members", json!([])),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["exp"].is_i64() && claims["jti"].is_string() && !key.to_string().contains("\"d\""));
}

#[test]
fn a_task_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let set = format!("ledger.folder={}", ledger.display());
    let server = villa(&[&set]);
    let task = asked(&server, &request(&server, "liveView", "cam-7"));
    server.signal("-KILL");
    server.ended();
    let server = self::server(&[&set]);
    assert_eq!(status(&server, &task)["task"], task["task"]);
    done(
        &server,
        OLGA,
        json!({ "acceptApplication": { "application": pending(&server)[0]["application"] } }),
    );
    let approval = status(&server, &task)["result"]["approval"].clone();
    server.signal("-TERM");
    server.ended();
    let server = self::server(&[&set]);
    let again = server.answer(EVALUATION, &with_approval("liveView", "cam-7", &approval));
    assert_eq!((&again["decision"], &again["context"]["approval"]["id"]), (&json!(true), &approval["id"]));
    let key = std::fs::metadata(ledger.join("access-requests.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    server.signal("-TERM");
    server.ended();
    std::fs::write(ledger.join("access-requests.key"), "no key").unwrap();
    let set = format!("ledger.folder={}", ledger.display());
    let output = command(&["--set", &set, "--set", "access_requests.offer=1m", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("access-requests.key"));
}
