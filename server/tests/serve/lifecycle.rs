//! What portals and owners' apps do: the whole story over HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Message;
use crate::server::{Server, fixture, posted, read};

fn server() -> Server {
    Server::start(&["--set", "ledger.memory=true", "--set", "ledger.sweep=50ms", "--listen", "127.0.0.1:0"])
}

pub(crate) fn submit(server: &Server, who: &str, command: Value) -> (u16, Value) {
    server.post("/v1/commands", &json!({ "as": who, "do": command }))
}

pub(crate) fn done(server: &Server, who: &str, command: Value) -> Value {
    let (status, answer) = submit(server, who, command);
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    answer
}

pub(crate) const ROOT: &str = r#"Operator::"root""#;
pub(crate) const ADA: &str = r#"Installer::"ada""#;
pub(crate) const OLGA: &str = r#"EndUser::"olga""#;

/// `acme` with its admin `ada`, the villa with two cameras, and `olga` who is invited to own it.
fn invited(server: &Server) {
    done(server, ROOT, json!({ "registerCompany": { "company": "acme" } }));
    let contacts = json!([{ "email": "olga@example.com" }]);
    done(server, ROOT, json!({ "registerEndUser": { "endUser": "olga", "contacts": contacts } }));
    let ada =
        json!({ "installer": "ada", "company": "acme", "role": "admin", "permissions": ["manageDevices"] });
    done(server, ROOT, json!({ "registerInstaller": ada }));
    done(server, ADA, json!({ "createSite": { "site": "villa", "company": "acme", "kind": "normal" } }));
    for device in ["cam-7", "cam-8"] {
        done(
            server,
            ADA,
            json!({ "addDevice": { "device": device, "site": "villa", "supportsPasswordReset": true } }),
        );
    }
    let asked = json!([{ "permission": "liveView", "devices": ["cam-7"], "validity": "permanent" }]);
    let contact = json!({ "email": "olga@example.com" });
    let invite = json!({ "invite": "inv", "site": "villa", "contact": contact, "permissions": asked, "disableService": false });
    done(server, ADA, json!({ "inviteOwner": invite }));
}

pub(crate) fn owned(server: &Server) {
    invited(server);
    done(server, OLGA, json!({ "acceptInvite": { "invite": "inv" } }));
}

fn may(server: &Server, action: &str, device: &str) -> Value {
    let question = json!({
        "subject": { "type": "Installer", "id": "ada" },
        "action": { "name": action },
        "resource": { "type": "Device", "id": device },
    });
    server.answer("/access/v1/evaluation", &question)
}

#[test]
fn what_the_owner_accepts_is_allowed_until_it_is_withdrawn() {
    let server = server();
    owned(&server);
    assert_eq!(may(&server, "playback", "cam-7")["context"]["reason"], "no_grant");
    let wanted = json!([{ "permission": "playback", "devices": ["cam-7", "cam-8"], "validity": "1h" }]);
    let application = json!({ "application": "app", "site": "villa", "permissions": wanted });
    let asked = done(&server, ADA, json!({ "applyForPermission": application }));
    assert_eq!(asked["events"], json!(["permissionApplied"]));
    let (_, pending) = server.get("/v1/applications?endUser=olga&pending=true");
    assert_eq!(pending["items"][0]["application"], "app");
    assert_eq!(pending["items"][0]["permissions"], wanted);
    assert_eq!(pending["items"][0]["state"], "pending");
    let accepted = done(&server, OLGA, json!({ "acceptApplication": { "application": "app" } }));
    assert_eq!(accepted["determining_policies"], json!(["owner-accepts-application"]));
    let allowed = may(&server, "playback", "cam-7");
    assert_eq!(
        (&allowed["decision"], &allowed["context"]["revision"]),
        (&json!(true), &accepted["revision"])
    );
    assert!(allowed["context"]["valid_until"].is_string());
    let (status, grant) = server.get("/v1/grants/app/playback/cam-7");
    assert_eq!((status, &grant["state"]), (200, &json!("active")));
    assert_eq!(server.get("/v1/grants/app%2Fplayback%2Fcam-8").1["state"], "active");
    done(&server, OLGA, json!({ "withdrawGrant": { "grant": "app/playback/cam-7" } }));
    assert_eq!(may(&server, "playback", "cam-7")["context"]["reason"], "grant_ended");
    assert_eq!(may(&server, "playback", "cam-8")["decision"], true);
}

#[test]
fn a_refusal_has_the_status_of_its_code() {
    let server = server();
    owned(&server);
    let refused = |who: &str, command: Value| {
        let response = server.ask(&posted("/v1/commands", &json!({ "as": who, "do": command }).to_string()));
        assert_eq!(response.get("content-type"), Some(&b"application/problem+json"[..]));
        let (status, problem) = read(&response);
        assert_eq!((&problem["ok"], &problem["status"]), (&json!(false), &json!(status)));
        assert_eq!(problem["type"], format!("urn:consentry:problem:{}", problem["code"].as_str().unwrap()));
        (status, problem["code"].as_str().unwrap().to_owned(), problem)
    };
    let code = |who: &str, command: Value| {
        let (status, code, _) = refused(who, command);
        (status, code)
    };
    assert_eq!(
        code(OLGA, json!({ "acceptApplication": { "application": "none" } })),
        (404, "not_found".into())
    );
    assert_eq!(
        code(ROOT, json!({ "registerCompany": { "company": "acme" } })),
        (409, "already_exists".into())
    );
    assert_eq!(
        code(ADA, json!({ "registerCompany": { "company": "other" } })),
        (403, "not_permitted".into())
    );
    let (status, _, late) = refused(OLGA, json!({ "acceptInvite": { "invite": "inv" } }));
    assert_eq!((status, &late["state"]), (409, &json!("accepted")));
    let twice = json!([{ "permission": "playback", "devices": ["cam-7", "cam-7"], "validity": "1h" }]);
    let application = json!({ "application": "app", "site": "villa", "permissions": twice });
    assert_eq!(code(ADA, json!({ "applyForPermission": application })), (400, "invalid".into()));
    done(&server, ADA, json!({ "openResetTicket": { "ticket": "t", "device": "cam-7", "mode": "onSite" } }));
    let weak = json!({ "completeResetTicket": { "ticket": "t", "password": "weakweak" } });
    assert_eq!(code(OLGA, weak), (422, "weak_password".into()));
}

#[test]
fn a_password_is_told_once() {
    let server = server();
    owned(&server);
    done(&server, ADA, json!({ "openResetTicket": { "ticket": "t", "device": "cam-7", "mode": "onSite" } }));
    let lan = json!({ "device": "cam-7", "attestedBy": "platform", "observedAt": "2000-01-01T00:00:00Z", "peer": "installerClient" });
    let complete =
        json!({ "completeResetTicket": { "ticket": "t", "password": "Xk3!vbn4", "sameLan": lan } });
    let (status, stale) = submit(&server, OLGA, complete.clone());
    assert_eq!((status, &stale["code"]), (422, &json!("lan_not_attested")));
    let now = server.get("/v1/audit?limit=1000").1["items"].as_array().unwrap().last().unwrap()["at"].clone();
    let mut complete = complete;
    complete["completeResetTicket"]["sameLan"]["observedAt"] = now;
    let body = json!({ "as": OLGA, "id": "once", "do": complete });
    let response = server.ask(&posted("/v1/commands", &body.to_string()));
    assert_eq!(response.get("cache-control"), Some(&b"no-store"[..]));
    let (status, first) = read(&response);
    assert_eq!((status, &first["effect"]), (200, &json!({ "device": "cam-7", "password": "Xk3!vbn4" })));
    let (status, again) = server.post("/v1/commands", &body);
    assert_eq!((status, again.get("effect")), (200, None));
    assert_eq!(again["revision"], first["revision"]);
    let (_, audit) = server.get("/v1/audit?limit=1000");
    assert!(!audit.to_string().contains("vbn4"));
}

#[test]
fn a_command_with_an_id_happens_once() {
    let server = server();
    let body = json!({ "as": ROOT, "do": { "registerCompany": { "company": "acme" } } }).to_string();
    let with = |key: &str, body: &str| {
        read(&server.ask(&posted("/v1/commands", body).header("idempotency-key", key)))
    };
    let (status, first) = with("c-1", &body);
    assert_eq!((status, &first["command_id"]), (200, &json!("c-1")));
    assert_eq!(with("c-1", &body), (status, first));
    let (status, conflict) = with("c-1", &body.replace("acme", "other"));
    assert_eq!((status, &conflict["code"]), (409, &json!("conflict")));
    let both =
        json!({ "as": ROOT, "id": "c-2", "do": { "registerCompany": { "company": "acme" } } }).to_string();
    assert_eq!(with("c-3", &both).0, 400);
    assert_eq!(with("c 3", &body).0, 400);
    assert_eq!(with("engine/7", &body).0, 400);
}

#[test]
fn what_is_no_command_changes_nothing() {
    let server = server();
    let refused = |body: &str, word: &str| {
        let (status, problem) = server.post_text("/v1/commands", body);
        assert_eq!((status, &problem["code"]), (400, &json!("invalid")), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{body}: {problem}");
    };
    refused("", "empty");
    refused("[]", "an object");
    refused(r#"{"as":"Operator::\"root\""}"#, "missing field `do`");
    refused(r#"{"do":{"registerCompany":{"company":"acme"}}}"#, "missing field `as`");
    refused(r#"{"as":"root","do":{"registerCompany":{"company":"acme"}}}"#, "not of the form");
    refused(
        r#"{"as":"Operator::\"root\"","do":{"registerCompany":{"company":"a b"}}}"#,
        "not allowed in an id",
    );
    refused(
        r#"{"as":"Operator::\"root\"","do":{"registerCompany":{"company":"acme","x":1}}}"#,
        "unknown field `x`",
    );
    refused(r#"{"as":"Operator::\"root\"","do":{"fly":{}}}"#, "unknown variant `fly`");
    refused(
        r#"{"as":"Operator::\"root\"","at":"2026-01-01T00:00:00Z","do":{"registerCompany":{"company":"acme"}}}"#,
        "unknown field `at`",
    );
    refused(
        r#"{"as":"Operator::\"root\"","as":"Operator::\"eve\"","do":{"registerCompany":{"company":"acme"}}}"#,
        "duplicate field `as`",
    );
    let text =
        Message::new("POST /v1/commands HTTP/1.1").header("host", "pdp").header("content-type", "text/plain");
    assert_eq!(server.ask(&text.body("{}")).second_word(), "415");
    assert_eq!(server.get("/readyz").1["revision"], 0);
}

#[test]
fn a_check_has_the_form_that_it_has_everywhere() {
    let server = server();
    owned(&server);
    let check = json!({ "principal": ADA, "action": "liveView", "resource": r#"Device::"cam-7""# });
    let answer = server.answer("/v1/checks", &check);
    assert_eq!(answer["decision"], "allow");
    assert_eq!(answer["determining_policies"], json!(["installer-uses-devices-with-grant"]));
    let mut ahead = check.clone();
    ahead["at_least"] = json!(1000);
    assert_eq!(server.answer("/v1/checks", &ahead)["reason"], "stale");
    let mut own = check;
    own["context"] = json!({ "now": "2026-01-01T00:00:00Z" });
    assert_eq!(server.post("/v1/checks", &own).0, 400);
}

#[test]
fn what_is_registered_and_asked_for_can_be_looked_at() {
    let server = server();
    invited(&server);
    let (_, invites) = server.get("/v1/invites?endUser=olga");
    assert_eq!(invites["items"][0]["contact"], json!({ "email": "olga@example.com" }));
    assert_eq!(invites["next"], Value::Null);
    assert_eq!(server.get("/v1/invites?endUser=oscar").1["items"], json!([]));
    assert_eq!(server.get("/v1/invites/inv").1["state"], "pending");
    assert_eq!(server.get("/v1/sites/villa").1["state"], "notAccepted");
    done(&server, OLGA, json!({ "acceptInvite": { "invite": "inv" } }));
    let (_, villa) = server.get("/v1/sites/villa");
    assert_eq!(villa["owner"], OLGA);
    assert_eq!(villa["devices"], json!(["cam-7", "cam-8"]));
    assert_eq!(server.get("/v1/sites?owner=olga").1["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/v1/sites?company=other").1["items"], json!([]));
    assert_eq!(
        server.get("/v1/devices/cam-7").1,
        json!({ "device": "cam-7", "site": "villa", "supportsPasswordReset": true })
    );
    assert_eq!(server.get("/v1/installers?company=acme").1["items"][0]["installer"], "ada");
    assert_eq!(server.get("/v1/end-users/olga").1["contacts"], json!([{ "email": "olga@example.com" }]));
    assert_eq!(server.get("/v1/companies").1["items"], json!([{ "company": "acme" }]));
    assert_eq!(server.get("/v1/grants?company=acme&live=true").1["items"][0]["grant"], "inv/liveView/cam-7");
    done(&server, ADA, json!({ "openResetTicket": { "ticket": "t", "device": "cam-7", "mode": "offSite" } }));
    let (_, ticket) = server.get("/v1/tickets?pending=true");
    assert_eq!(
        (&ticket["items"][0]["ticket"], &ticket["items"][0]["mode"]),
        (&json!("t"), &json!("offSite"))
    );
    let (_, first) = server.get("/v1/devices?site=villa&limit=1");
    assert_eq!((&first["items"][0]["device"], &first["next"]), (&json!("cam-7"), &json!("cam-7")));
    let (_, second) = server.get("/v1/devices?site=villa&limit=1&after=cam-7");
    assert_eq!((&second["items"][0]["device"], &second["next"]), (&json!("cam-8"), &Value::Null));
    for (path, status) in [
        ("/v1/sites/none", 404),
        ("/v1/grants/none", 404),
        ("/v1/grants/a/b/c/d", 404),
        ("/v1/invites/inv%2Fliveview", 404),
        ("/v1/sites?colour=red", 400),
        ("/v1/sites?owner=a%20b", 400),
        ("/v1/grants?live=maybe", 400),
        ("/v1/devices?limit=-1", 400),
        ("/v1/devices?site=a&site=b", 400),
        ("/v1/audit?after=x", 400),
    ] {
        assert_eq!(server.get(path).0, status, "{path}");
    }
}

/// Reads events until `enough` of them came.
fn events(
    server: &Server,
    path: &str,
    last: Option<u64>,
    mut enough: impl FnMut(&[Value]) -> bool,
) -> Vec<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = Message::new(&format!("GET {path} HTTP/1.1")).header("host", "pdp");
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    request.write(&mut stream).unwrap();
    stream.flush().unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut records = Vec::new();
    while !enough(&records) {
        let line = lines.next().unwrap().unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            records.push(serde_json::from_str(data).unwrap());
        }
    }
    records
}

#[test]
fn what_happens_is_told_from_any_revision_on() {
    let server = server();
    invited(&server);
    let all = events(&server, "/v1/events?from=1", None, |records| records.len() >= 7);
    let revisions: Vec<u64> = all.iter().map(|record| record["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7]);
    assert!(all[0]["events"][0]["companyRegistered"].is_object());
    let later = events(&server, "/v1/events?from=1", Some(5), |records| records.len() >= 2);
    assert_eq!(later[0], all[5]);
    let mut told = false;
    let new = events(&server, "/v1/events", None, |records| {
        // The first line that came says that the stream is there: only then does anything happen.
        if !std::mem::replace(&mut told, true) {
            done(&server, OLGA, json!({ "rejectInvite": { "invite": "inv" } }));
        }
        !records.is_empty()
    });
    assert_eq!(new[0]["revision"], 8);
    for path in ["/v1/events?from=x", "/v1/events?since=5"] {
        assert_eq!(server.get(path).0, 400, "{path}");
    }
}

#[test]
fn what_nobody_answers_is_told_to_be_over() {
    let short =
        ["--set", "lifetimes.invite=300ms", "--set", "ledger.memory=true", "--set", "ledger.sweep=50ms"];
    let server = Server::start(&[&short[..], &["--listen", "127.0.0.1:0"]].concat());
    invited(&server);
    let told = events(&server, "/v1/events?from=8", None, |records| !records.is_empty());
    assert_eq!(told[0]["events"], json!([{ "inviteExpired": { "invite": "inv" } }]));
    let (status, late) = submit(&server, OLGA, json!({ "acceptInvite": { "invite": "inv" } }));
    assert_eq!((status, &late["code"]), (410, &json!("expired")));
}

#[test]
fn subscribers_do_not_keep_the_server_from_ending() {
    let server = server();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: pdp\r\n\r\n").unwrap();
    let mut first = String::new();
    BufReader::new(&stream).read_line(&mut first).unwrap();
    assert!(first.contains("200"), "{first}");
    server.signal("-TERM");
    let (status, said) = server.ended();
    assert!(status == Some(0) && !said.contains("did not finish"), "{said}");
}

#[test]
fn there_are_only_so_many_subscribers() {
    let server = Server::start(&[
        "--set",
        "ledger.memory=true",
        "--set",
        "limits.subscribers=1",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: pdp\r\n\r\n").unwrap();
    let mut first = String::new();
    BufReader::new(&stream).read_line(&mut first).unwrap();
    let (status, problem) = server.get("/v1/events");
    assert_eq!((status, &problem["code"]), (503, &json!("too_many_subscribers")));
}

#[test]
fn without_a_ledger_there_is_no_lifecycle() {
    let server = Server::start(&["--config", fixture().to_str().unwrap()]);
    let (status, problem) = submit(&server, ROOT, json!({ "registerCompany": { "company": "acme" } }));
    assert_eq!((status, &problem["code"]), (404, &json!("no_ledger")));
    assert_eq!(server.get("/v1/grants").1["code"], "no_ledger");
    assert_eq!(server.get("/v1/events").1["code"], "no_ledger");
}
