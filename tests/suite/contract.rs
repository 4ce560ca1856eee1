//! The contract of commands, checks and scripts, a sentence a test: form, order of refusals,
//! idempotency, time, checks.

use consentry::Directory;
use consentry::command::{Command, Submission};
use serde_json::{Value, json};

use crate::world::{
    ADA, CAM_7, DAY, HOUR, IVAN, MINUTE, OLGA, PASSWORD, PAUL, RITA, ROOT, THEO, VILLA, World, allowed,
    apply, complete, denied, done, fresh, grant, invite_olga, moment, open_ticket, permission, refused,
    replay, time, wrong_state,
};

/// The script at the end of the contract, and its answers, word for word.
const SCRIPT: &str = r#"{"at":"2026-03-01T00:00:00.000Z","as":"Operator::\"root\"","do":{"registerCompany":{"company":"acme"}}}
{"at":"2026-03-01T00:00:00.000Z","as":"Operator::\"root\"","do":{"createSite":{"site":"villa","company":"acme","kind":"normal"}}}
{"at":"2026-03-01T00:00:00.000Z","as":"Installer::\"ivan\"","do":{"deleteSite":{"site":"villa"}}}
{"at":"2026-03-01T00:01:00.000Z","show":{"site":"villa"}}
{"at":"2026-03-01T00:01:00.000Z","check":{"principal":"Installer::\"ivan\"","action":"manageSite","resource":"Site::\"villa\""}}
{"at":"2026-03-01T00:01:00.000Z","list":{"grants":{"company":"acme"}}}
"#;
const ANSWERS: &str = r#"{"line":1,"ok":true,"events":["companyRegistered"],"revision":1}
{"line":2,"ok":true,"events":["siteCreated"],"revision":2}
{"line":3,"ok":false,"code":"not_permitted"}
{"line":4,"state":"notInvited","owner":null}
{"line":5,"decision":"deny","errors":[],"valid_until":null,"revision":2,"reason":"unknown_principal"}
{"line":6,"grants":[]}
"#;

#[test]
fn the_contracts_own_script_gets_the_contracts_own_answers() {
    let engine = fresh();
    let (mut answers, stopped) = replay(&engine, SCRIPT);
    assert_eq!(stopped, None);
    for answer in &mut answers {
        let fields = answer.as_object_mut().unwrap();
        fields.remove("determining_policies");
        fields.remove("message");
    }
    let expected: Vec<Value> = ANSWERS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers, expected);
}

// ------------------------------------------------------------------------------------------- form

/// Runs a good line, `bad`, and another good line: the first is answered, the script stops at line 2.
#[track_caller]
fn malformed(bad: &str) {
    let good = |company| {
        format!(
            r#"{{"at":"{}","as":"Operator::\"root\"","do":{{"registerCompany":{{"company":"{company}"}}}}}}"#,
            time(0)
        )
    };
    let engine = fresh();
    let (answers, stopped) = replay(&engine, &format!("{}\n{bad}\n{}\n", good("one"), good("two")));
    assert_eq!(answers.len(), 1, "{bad}: {answers:?}");
    done(&answers[0], &["companyRegistered"]);
    let message = stopped.unwrap_or_else(|| panic!("it was taken: {bad}"));
    assert!(message.contains("line 2"), "`{message}` does not name the line: {bad}");
    assert_eq!(engine.directory().revision(), 1, "something after line 1 ran: {bad}");
    assert_eq!(engine.audit(0, 9).unwrap().len(), 1, "something after line 1 ran: {bad}");
}

#[track_caller]
fn malformed_command(command: &Value) {
    malformed(&json!({"at": time(0), "as": ROOT, "do": command}).to_string());
}

#[test]
fn bad_json_stops_the_script() {
    for bad in ["{", "[]", "null", "7", "\"at\"", "hello", "{}{}", "{\"at\":", "{'at':1}", "\u{0}"] {
        malformed(bad);
    }
    malformed(&format!(r#"{{"at":"{}","show":{{"site":"villa"}}}} trailing"#, time(0)));
    malformed(&format!(r#"{{"at":"{0}","at":"{0}","show":{{"site":"villa"}}}}"#, time(0)));
}

#[test]
fn a_line_is_one_command_or_check_or_look() {
    let show = json!({"site": "villa"});
    let check = json!({"principal": ADA, "action": "liveView", "resource": CAM_7});
    let command = json!({"registerCompany": {"company": "acme"}});
    for bad in [
        json!({"at": time(0)}),
        json!({"at": time(0), "as": ROOT}),
        json!({"at": time(0), "do": command}),
        json!({"at": time(0), "as": ROOT, "show": show}),
        json!({"at": time(0), "id": "c", "check": check}),
        json!({"at": time(0), "show": show, "check": check}),
        json!({"at": time(0), "as": ROOT, "do": command, "show": show}),
        json!({"at": time(0), "as": ROOT, "do": {}}),
        json!({"at": time(0), "as": ROOT, "do": {"registerCompany": {"company": "a"}, "removeInstaller": {"installer": "i"}}}),
        json!({"at": time(0), "show": {}}),
        json!({"at": time(0), "show": {"site": "villa", "invite": "i"}}),
        json!({"at": time(0), "list": {}}),
    ] {
        malformed(&bad.to_string());
    }
}

#[test]
fn unknown_and_missing_fields_and_commands_stop_the_script() {
    for bad in [
        json!({"at": time(0), "show": {"site": "villa"}, "colour": "red"}),
        json!({"show": {"site": "villa"}}),
        json!({"at": time(0), "show": {"device": "cam-7"}}),
        json!({"at": time(0), "list": {"invites": {}}}),
        json!({"at": time(0), "list": {"grants": {"site": "villa"}}}),
        json!({"at": time(0), "check": {"principal": ADA, "action": "liveView"}}),
        json!({"at": time(0), "check": {"principal": ADA, "action": "liveView", "resource": CAM_7, "why": 1}}),
    ] {
        malformed(&bad.to_string());
    }
    for bad in [
        json!({"dance": {}}),
        json!({"registerCompany": {}}),
        json!({"registerCompany": {"company": "acme", "colour": "red"}}),
        json!({"RegisterCompany": {"company": "acme"}}),
        json!({"registerInstaller": {"installer": "i", "company": "acme", "role": "member"}}),
        json!({"addDevice": {"device": "d", "site": "s"}}),
        json!({"inviteOwner": {"invite": "i", "site": "s", "contact": {"email": "a@b"}, "permissions": []}}),
        json!({"inviteOwner": {"invite": "i", "site": "s", "contact": {}, "permissions": [], "disableService": false}}),
        json!({"inviteOwner": {"invite": "i", "site": "s", "contact": {"fax": "1"}, "permissions": [], "disableService": false}}),
        json!({"inviteOwner": {"invite": "i", "site": "s", "contact": {"email": "a@b", "phone": "1"}, "permissions": [], "disableService": false}}),
        json!({"applyForPermission": {"application": "a", "site": "s", "permissions": [{"permission": "liveView", "validity": "1h"}]}}),
        json!({"applyForPermission": {"application": "a", "site": "s", "permissions": [{"permission": "liveView", "devices": ["d"]}]}}),
        json!({"grantPermission": {"grant": "g", "company": "c", "permission": "liveView", "validity": "1h"}}),
        json!({"completeResetTicket": {"ticket": "t"}}),
        json!({"completeResetTicket": {"ticket": "t", "password": PASSWORD, "sameLan": {"device": "d", "attestedBy": "platform"}}}),
    ] {
        malformed_command(&bad);
    }
}

#[test]
fn wrong_types_stop_the_script() {
    for bad in [
        json!({"at": 0, "show": {"site": "villa"}}),
        json!({"at": time(0), "show": {"site": 7}}),
        json!({"at": time(0), "list": {"grants": {"live": "yes"}}}),
        json!({"at": time(0), "check": {"principal": ADA, "action": 1, "resource": CAM_7}}),
        json!({"at": time(0), "check": {"principal": ADA, "action": "liveView", "resource": CAM_7, "context": []}}),
        json!({"at": time(0), "as": ROOT, "id": 7, "do": {"registerCompany": {"company": "acme"}}}),
        json!({"at": time(0), "as": ROOT, "do": "registerCompany"}),
    ] {
        malformed(&bad.to_string());
    }
    for bad in [
        json!({"registerCompany": {"company": 7}}),
        json!({"registerEndUser": {"endUser": "e", "contacts": {"email": "a@b"}}}),
        json!({"registerEndUser": {"endUser": "e", "contacts": [{"phone": 39}]}}),
        json!({"addDevice": {"device": "d", "site": "s", "supportsPasswordReset": "yes"}}),
        json!({"completeResetTicket": {"ticket": "t", "password": 12_345_678}}),
    ] {
        malformed_command(&bad);
    }
}

#[test]
fn values_outside_their_lists_stop_the_script() {
    for bad in [
        json!({"createSite": {"site": "s", "company": "c", "kind": "castle"}}),
        json!({"registerInstaller": {"installer": "i", "company": "c", "role": "boss", "permissions": []}}),
        json!({"registerInstaller": {"installer": "i", "company": "c", "role": "member", "permissions": ["manageMoon"]}}),
        json!({"openResetTicket": {"ticket": "t", "device": "d", "mode": "remote"}}),
        json!({"confirmReset": {"ticket": "t", "outcome": "maybe"}}),
        json!({"grantPermission": {"grant": "g", "company": "c", "permission": "disableService", "site": "s", "validity": "1h"}}),
        json!({"grantPermission": {"grant": "g", "company": "c", "permission": "liveView", "device": "d", "validity": "3h"}}),
        json!({"grantPermission": {"grant": "g", "company": "c", "permission": "liveView", "device": "d", "validity": "1H"}}),
        json!({"completeResetTicket": {"ticket": "t", "password": PASSWORD, "sameLan": {
            "device": "d", "attestedBy": "platform", "observedAt": time(0), "peer": "neighbour"}}}),
    ] {
        malformed_command(&bad);
    }
}

#[test]
fn principals_are_an_installer_end_user_or_operator_in_cedars_form() {
    for principal in [
        "root",
        "Operator::root",
        "Operator:\"root\"",
        "Device::\"cam-7\"",
        "Company::\"acme\"",
        "Operator::\"\"",
        "",
    ] {
        let command = json!({"registerCompany": {"company": "acme"}});
        malformed(&json!({"at": time(0), "as": principal, "do": command}).to_string());
    }
    for uid in ["cam-7", "Device::cam-7", "Device::\"\"", "Device::\"a b\"", "::\"cam-7\""] {
        malformed(
            &json!({"at": time(0), "check": {"principal": ADA, "action": "liveView", "resource": uid}})
                .to_string(),
        );
        malformed(
            &json!({"at": time(0), "check": {"principal": uid, "action": "liveView", "resource": CAM_7}})
                .to_string(),
        );
    }
}

#[test]
fn ids_have_1_to_128_characters_of_the_allowed_ones() {
    let world = World::empty();
    let longest = "a".repeat(128);
    for id in ["a", "A-z.0_9@:+", longest.as_str()] {
        world.must(0, ROOT, json!({"registerCompany": {"company": id}}));
    }
    let too_long = "a".repeat(129);
    for id in ["", too_long.as_str(), "a b", "a/b", "è", "a\"b", "a\\b", "a\n", "a\u{0}", "a,b", "#"] {
        malformed_command(&json!({"registerCompany": {"company": id}}));
        let command = json!({"registerCompany": {"company": "acme"}});
        malformed(&json!({"at": time(0), "as": ROOT, "id": id, "do": command}).to_string());
        malformed(&json!({"at": time(0), "show": {"site": id}}).to_string());
    }
}

#[test]
fn chosen_ids_hold_no_slash_and_fields_that_name_a_grant_take_derived_ones_too() {
    malformed_command(&json!({"grantPermission": {"grant": "a/liveView/d", "company": "c",
        "permission": "liveView", "device": "d", "validity": "1h"}}));
    let world = World::new();
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "permanent")]);
    world.must(0, OLGA, grant("g", "playback", "permanent"));
    for id in ["to-villa/liveView/cam-7", "g"] {
        assert_eq!(world.state(0, "grant", id), "active");
        done(&world.tell(0, OLGA, json!({"withdrawGrant": {"grant": id}})), &["grantWithdrawn"]);
        wrong_state(&world.tell(0, ADA, json!({"releaseGrant": {"grant": id}})), "withdrawn");
    }
}

#[test]
fn derived_grant_ids_may_be_longer_than_chosen_ids() {
    let world = World::handed_over();
    let (application, device) = ("a".repeat(128), "d".repeat(128));
    world.must(
        0,
        ROOT,
        json!({"addDevice": {"device": device, "site": "villa", "supportsPasswordReset": true}}),
    );
    world.must(0, ADA, apply(&application, &[permission("liveView", &[&device], "1h")]));
    world.must(0, OLGA, json!({"acceptApplication": {"application": application}}));
    let id = format!("{application}/liveView/{device}");
    assert_eq!(world.state(0, "grant", &id), "active");
    world.must(0, OLGA, json!({"withdrawGrant": {"grant": id}}));
}

#[test]
fn a_slash_in_the_id_of_anything_but_a_grant_is_a_bad_id_in_a_check_too() {
    for (principal, resource) in
        [(ADA, r#"Device::"cam/7""#), (ADA, r#"Site::"a/b""#), (r#"Installer::"a/b""#, CAM_7)]
    {
        let check = json!({"principal": principal, "action": "liveView", "resource": resource});
        malformed(&json!({"at": time(0), "check": check}).to_string());
    }
}

#[test]
fn times_are_rfc_3339_in_utc() {
    for bad in [
        "2026-03-01",
        "2026-03-01T00:00:00",
        "2026-03-01T00:00:00+01:00",
        "2026-02-30T00:00:00Z",
        "2026-03-01T25:00:00Z",
        "1772323200000",
        "yesterday",
        "",
        "10000-01-01T00:00:00Z",
    ] {
        malformed(&json!({"at": bad, "show": {"site": "villa"}}).to_string());
    }
}

#[test]
fn times_are_printed_with_three_decimals_and_z() {
    let world = World::handed_over();
    let line = |at: &str, id: &str| {
        let command = json!({"grantPermission": {"grant": id, "company": "acme", "permission": "liveView",
                                                 "device": "cam-7", "validity": "1h"}});
        world.line(&json!({"at": at, "as": OLGA, "do": command}));
        world.show(0, "grant", id)["until"].clone()
    };
    assert_eq!(line("2026-03-01T00:00:00Z", "g-1"), json!("2026-03-01T01:00:00.000Z"));
    assert_eq!(line("2026-03-01T00:00:00.5Z", "g-2"), json!("2026-03-01T01:00:00.500Z"));
    assert_eq!(line("2026-03-01T00:00:01.123Z", "g-3"), json!("2026-03-01T01:00:01.123Z"));
}

#[test]
fn a_script_goes_on_whatever_is_refused() {
    let engine = fresh();
    let line = |command: Value| json!({"at": time(0), "as": PAUL, "do": command}).to_string() + "\n";
    let script = [
        line(json!({"registerCompany": {"company": "acme"}})),
        line(json!({"deleteSite": {"site": "nowhere"}})),
        line(json!({"acceptApplication": {"application": "a", "permissions": []}})),
    ];
    let (answers, stopped) = replay(&engine, &script.concat());
    assert_eq!(stopped, None);
    let codes: Vec<&Value> = answers.iter().map(|answer| &answer["code"]).collect();
    assert_eq!(codes, ["not_permitted", "not_found", "invalid"]);
    assert_eq!(answers[2]["line"], json!(3));
}

#[test]
fn every_kind_of_answer_has_its_form() {
    let world = World::new();
    world.hand_over(
        0,
        "villa",
        &[permission("liveView", &["cam-7"], "1h"), permission("manageSite", &[], "permanent")],
    );
    let keys = |answer: &Value| {
        let mut keys: Vec<String> = answer.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    let ok = world.tell(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    assert_eq!(keys(&ok), "events ok revision");
    let refusal = world.tell(0, PAUL, json!({"acceptApplication": {"application": "a-1"}}));
    assert_eq!(keys(&refusal), "code determining_policies message ok");
    let check = world.check(0, ADA, "liveView", CAM_7);
    assert_eq!(keys(&check), "decision determining_policies errors reason revision valid_until");
    let list = world.line(&json!({"at": time(0), "list": {"grants": {}}}));
    assert_eq!(
        list,
        json!({"grants": [
            {"grant": "to-villa/liveView/cam-7", "company": "acme", "permission": "liveView",
             "device": "cam-7", "state": "active", "until": time(HOUR)},
            {"grant": "to-villa/manageSite", "company": "acme", "permission": "manageSite",
             "site": "villa", "state": "active", "until": null},
        ]})
    );
    for (kind, id, end) in [
        ("invite", "to-villa", "deadline"),
        ("application", "a-1", "deadline"),
        ("grant", "to-villa/liveView/cam-7", "until"),
        ("site", "villa", "owner"),
    ] {
        let view = world.show(0, kind, id);
        assert!(view["state"].is_string() && view[end].is_string(), "{view}");
    }
    assert_eq!(world.show(0, "site", "villa")["owner"], json!(OLGA));
    assert_eq!(world.show(0, "site", "flat")["owner"], json!(null));
}

#[test]
fn lists_are_sorted_by_id_and_narrowed_by_every_filter() {
    let world = World::handed_over();
    for (id, permission, validity) in [
        ("g-2", "liveView", "1h"),
        ("g-10", "playback", "permanent"),
        ("G", "configure", "2h"),
        ("a.b", "liveView", "8h"),
    ] {
        world.must(0, OLGA, grant(id, permission, validity));
    }
    assert_eq!(world.grants(0, json!({})), ["G", "a.b", "g-10", "g-2"]);
    world.must(0, OLGA, json!({"withdrawGrant": {"grant": "a.b"}}));
    assert_eq!(world.grants(HOUR, json!({"live": true})), ["G", "g-10"]);
    assert_eq!(world.grants(HOUR, json!({"live": false})), ["a.b", "g-2"]);
    assert_eq!(world.grants(HOUR, json!({"company": "acme", "live": true})), ["G", "g-10"]);
    assert!(world.grants(HOUR, json!({"company": "rival"})).is_empty());
    assert!(world.grants(HOUR, json!({"device": "cam-8"})).is_empty());
    assert_eq!(world.grants(HOUR, json!({"device": "cam-7"})).len(), 4);
    assert_eq!(world.grants(HOUR, json!({"owner": "olga"})).len(), 4);
    assert!(world.grants(HOUR, json!({"owner": "paul"})).is_empty());
}

// ------------------------------------------------------------------------------------------- time

/// A world in which `i-1` waits until `DAY`; then `line` runs an hour later, and the clock goes back.
#[track_caller]
fn moves_time(line: impl Fn(&World)) {
    let world = World::new();
    world.tell_as("used", 0, ADA, invite_olga("i-1", "villa", &[]));
    line(&world);
    assert_eq!(world.state(HOUR, "invite", "i-1"), "expired", "the clock went back");
    refused(&world.tell(HOUR, OLGA, json!({"acceptInvite": {"invite": "i-1"}})), "expired");
}

#[test]
fn no_line_runs_before_the_latest_command() {
    moves_time(|world| drop(world.must(DAY + HOUR, ROOT, json!({"registerCompany": {"company": "third"}}))));
    moves_time(|world| drop(world.tell(DAY + HOUR, PAUL, json!({"registerCompany": {"company": "third"}}))));
    moves_time(|world| {
        drop(world.tell(
            DAY + HOUR,
            OLGA,
            json!({"acceptInvite": {"invite": "i-1", "permissions": [
        permission("liveView", &["cam-7", "cam-7"], "1h")]}}),
        ))
    });
    moves_time(|world| drop(world.tell_as("used", DAY + HOUR, ADA, invite_olga("i-2", "villa", &[]))));
}

#[test]
fn no_line_runs_before_the_latest_repeated_command() {
    moves_time(|world| drop(world.tell_as("used", DAY + HOUR, ADA, invite_olga("i-1", "villa", &[]))));
}

#[test]
fn no_line_runs_before_the_latest_check_or_look() {
    moves_time(|world| drop(world.check(DAY + HOUR, OLGA, "liveView", CAM_7)));
    moves_time(|world| drop(world.check(DAY + HOUR, r#"EndUser::"nobody""#, "liveView", CAM_7)));
    moves_time(|world| {
        drop(world.line(&json!({"at": time(DAY + HOUR), "check": {
        "principal": ADA, "action": "liveView", "resource": CAM_7, "context": {"now": time(0)}}})))
    });
    moves_time(|world| drop(world.show(DAY + HOUR, "site", "villa")));
    moves_time(|world| drop(world.show(DAY + HOUR, "site", "nowhere")));
    moves_time(|world| drop(world.grants(DAY + HOUR, json!({}))));
}

#[test]
fn no_line_runs_before_what_the_ledger_records() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    refused(&world.tell(DAY, PAUL, json!({"rejectInvite": {"invite": "i-1"}})), "not_permitted");
    let again = world.opened_again();
    assert_eq!(again.state(HOUR, "invite", "i-1"), "expired");
    refused(&again.tell(HOUR, OLGA, json!({"acceptInvite": {"invite": "i-1"}})), "expired");
}

#[test]
fn what_begins_after_the_clock_went_back_begins_at_the_latest_moment() {
    let world = World::new();
    world.check(DAY, OLGA, "liveView", CAM_7);
    world.must(HOUR, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "1h")]));
    assert_eq!(world.show(0, "invite", "i-1")["deadline"], json!(time(2 * DAY)));
    world.must(HOUR, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    assert_eq!(world.show(0, "grant", "i-1/liveView/cam-7")["until"], json!(time(DAY + HOUR)));
}

#[test]
fn show_of_what_is_over_says_so_whether_or_not_anything_was_submitted_since() {
    let world = World::new();
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "1h")]);
    world.must(0, ADA, invite_olga("i-flat", "flat", &[]));
    world.must(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    let before = world.revision();
    assert_eq!(world.state(HOUR - 1, "grant", "to-villa/liveView/cam-7"), "active");
    assert_eq!(world.state(HOUR, "grant", "to-villa/liveView/cam-7"), "ended");
    for (kind, id) in [("invite", "i-flat"), ("application", "a-1"), ("ticket", "t-1")] {
        assert_eq!(world.state(DAY - 1, kind, id), "pending");
    }
    for (kind, id) in [("invite", "i-flat"), ("application", "a-1"), ("ticket", "t-1")] {
        assert_eq!(world.state(DAY, kind, id), "expired");
    }
    assert_eq!(world.revision(), before, "looking writes nothing");
}

// ------------------------------------------------------------------------------- order of refusals

#[test]
fn malformed_comes_before_a_used_command_id() {
    let world = World::empty();
    world.tell_as("used", 0, ROOT, json!({"registerCompany": {"company": "acme"}}));
    let line = json!({"at": time(0), "as": ROOT, "id": "used", "do": {"registerCompany": {"company": ""}}});
    let (answers, stopped) = replay(&world.engine, &line.to_string());
    assert!(answers.is_empty() && stopped.unwrap().contains("line 1"));
}

#[test]
fn a_used_command_id_comes_before_everything_else() {
    let world = World::new();
    world.tell_as("used", 0, ROOT, json!({"registerCompany": {"company": "third"}}));
    for command in [
        json!({"deleteSite": {"site": "nowhere"}}),
        json!({"registerCompany": {"company": "acme"}}),
        json!({"removeInstaller": {"installer": "ivan"}}),
    ] {
        refused(&world.tell_as("used", 0, PAUL, command), "conflict");
    }
}

#[test]
fn a_used_command_id_comes_before_what_is_senseless() {
    let world = World::handed_over();
    world.tell_as("used", 0, ROOT, json!({"registerCompany": {"company": "third"}}));
    refused(&world.tell_as("used", 0, ADA, apply("a-1", &[])), "conflict");
}

#[test]
fn not_found_comes_before_already_exists() {
    let world = World::new();
    let ivan = json!({"registerInstaller": {"installer": "ivan", "company": "nobody", "role": "member", "permissions": []}});
    refused(&world.tell(0, ROOT, ivan), "not_found");
    let cam = json!({"addDevice": {"device": "cam-7", "site": "nowhere", "supportsPasswordReset": true}});
    refused(&world.tell(0, ROOT, cam), "not_found");
    refused(
        &world.tell(0, ROOT, json!({"createSite": {"site": "villa", "company": "nobody", "kind": "normal"}})),
        "not_found",
    );
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    refused(&world.tell(0, ADA, invite_olga("i-1", "nowhere", &[])), "not_found");
    refused(
        &world.tell(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-404"], "1h")])),
        "not_found",
    );
}

#[test]
fn not_found_and_already_exists_come_before_not_permitted() {
    let world = World::new();
    let nobody = r#"EndUser::"nobody""#;
    for command in [
        json!({"deleteSite": {"site": "nowhere"}}),
        json!({"removeDevice": {"device": "nothing"}}),
        json!({"acceptInvite": {"invite": "none"}}),
        json!({"acceptApplication": {"application": "none"}}),
        json!({"withdrawGrant": {"grant": "none"}}),
        json!({"confirmReset": {"ticket": "none", "outcome": "done"}}),
        json!({"transferSite": {"site": "villa", "to": "nobody"}}),
    ] {
        refused(&world.tell(0, nobody, command), "not_found");
    }
    for command in [
        json!({"registerCompany": {"company": "acme"}}),
        json!({"registerEndUser": {"endUser": "olga", "contacts": []}}),
        json!({"createSite": {"site": "villa", "company": "acme", "kind": "normal"}}),
        json!({"addDevice": {"device": "cam-7", "site": "flat", "supportsPasswordReset": true}}),
    ] {
        refused(&world.tell(0, nobody, command), "already_exists");
    }
}

#[test]
fn not_permitted_comes_before_state_and_guards() {
    let world = World::handed_over();
    world.must(0, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "1h")]));
    let wider = json!({"acceptApplication": {"application": "a-1", "permissions": [permission("liveView", &["cam-7"], "8h")]}});
    refused(&world.tell(0, PAUL, wider.clone()), "not_permitted");
    refused(&world.tell(0, OLGA, wider), "wider_than_asked");
    refused(&world.tell(0, RITA, apply("a-2", &[permission("liveView", &["cam-7"], "1h")])), "not_permitted");
    refused(&world.tell(0, PAUL, json!({"acceptInvite": {"invite": "to-villa"}})), "not_permitted");
    wrong_state(&world.tell(0, OLGA, json!({"acceptInvite": {"invite": "to-villa"}})), "accepted");
    let before = world.revision();
    refused(&world.tell(DAY, PAUL, json!({"acceptApplication": {"application": "a-1"}})), "not_permitted");
    assert_eq!(world.revision(), before, "who may not try does not bring the expiry to light");
    refused(&world.tell(DAY, OLGA, json!({"acceptApplication": {"application": "a-1"}})), "expired");
}

#[test]
fn unregistered_principals_are_not_permitted() {
    let world = World::handed_over();
    for who in [r#"Installer::"nobody""#, r#"EndUser::"nobody""#] {
        refused(&world.tell(0, who, json!({"registerCompany": {"company": "third"}})), "not_permitted");
        refused(
            &world.tell(0, who, json!({"transferSite": {"site": "villa", "to": "paul"}})),
            "not_permitted",
        );
        refused(
            &world.tell(0, who, apply("a-1", &[permission("liveView", &["cam-7"], "1h")])),
            "not_permitted",
        );
    }
    world.must(0, r#"Operator::"whoever-the-edge-let-in""#, json!({"registerCompany": {"company": "third"}}));
}

// ----------------------------------------------------------------------------------- the refusals

#[test]
fn invalid_is_what_is_well_formed_and_senseless() {
    let world = World::handed_over();
    world.must(0, ADA, apply("a-0", &[permission("liveView", &["cam-7"], "1h")]));
    let site_wide =
        |devices: Value| json!({"permission": "manageSite", "devices": devices, "validity": "1h"});
    for (what, permissions) in [
        ("the same permission and device twice", json!([permission("liveView", &["cam-7", "cam-7"], "1h")])),
        (
            "the same in two entries",
            json!([permission("liveView", &["cam-7"], "1h"), permission("liveView", &["cam-7"], "2h")]),
        ),
        (
            "manageSite twice",
            json!([permission("manageSite", &[], "1h"), permission("manageSite", &[], "2h")]),
        ),
        ("empty devices", json!([{"permission": "liveView", "devices": [], "validity": "1h"}])),
        ("devices with manageSite", json!([site_wide(json!(["cam-7"]))])),
        ("empty devices with manageSite", json!([site_wide(json!([]))])),
        ("a device of another site", json!([permission("liveView", &["cam-9"], "1h")])),
    ] {
        let application = json!({"application": "a-1", "site": "villa", "permissions": permissions});
        let answer = world.tell(0, ADA, json!({"applyForPermission": application}));
        assert_eq!(answer["code"], json!("invalid"), "{what} in an application: {answer}");
        let on_barn = json!({"invite": "i-1", "site": "flat", "contact": {"email": "x@example.com"},
                             "disableService": false, "permissions": permissions});
        if what != "a device of another site" {
            let answer = world.tell(0, ADA, json!({"inviteOwner": on_barn}));
            assert_eq!(answer["code"], json!("invalid"), "{what} in an invite: {answer}");
            let accept = json!({"application": "a-0", "permissions": permissions});
            let answer = world.tell(0, OLGA, json!({"acceptApplication": accept}));
            assert_eq!(answer["code"], json!("invalid"), "{what} in an acceptance: {answer}");
        }
    }
    let elsewhere = invite_olga("i-1", "flat", &[permission("liveView", &["cam-7"], "1h")]);
    refused(&world.tell(0, ADA, elsewhere), "invalid");
    refused(&world.tell(0, ADA, apply("a-1", &[])), "invalid");
    refused(
        &world.tell(0, OLGA, json!({"acceptApplication": {"application": "a-0", "permissions": []}})),
        "invalid",
    );
    let to_rival = json!({"grantPermission": {"grant": "g", "company": "rival", "permission": "liveView",
                                              "device": "cam-7", "validity": "1h"}});
    refused(&world.tell(0, OLGA, to_rival), "invalid");
    for (permission, on, id) in [("manageSite", "device", "cam-7"), ("liveView", "site", "villa")] {
        let command =
            json!({"grant": "g", "company": "acme", "permission": permission, on: id, "validity": "1h"});
        refused(&world.tell(0, OLGA, json!({"grantPermission": command})), "invalid");
    }
    assert_eq!(world.state(0, "application", "a-0"), "pending");
}

#[test]
fn an_invite_may_ask_for_nothing_and_be_accepted_with_nothing() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    world.must(0, OLGA, json!({"acceptInvite": {"invite": "i-1", "permissions": []}}));
}

#[test]
fn expired_is_said_the_first_time_and_ever_after_and_recorded_once() {
    let world = World::new();
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "permanent")]);
    world.must(0, ADA, invite_olga("i-1", "flat", &[]));
    world.must(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    for (who, command, event) in [
        (OLGA, json!({"acceptInvite": {"invite": "i-1"}}), Some("inviteExpired")),
        (OLGA, json!({"rejectInvite": {"invite": "i-1"}}), None),
        (ADA, json!({"withdrawInvite": {"invite": "i-1"}}), None),
        (OLGA, json!({"rejectApplication": {"application": "a-1"}}), Some("applicationExpired")),
        (OLGA, json!({"acceptApplication": {"application": "a-1"}}), None),
        (ADA, json!({"withdrawApplication": {"application": "a-1"}}), None),
        (ADA, json!({"withdrawResetTicket": {"ticket": "t-1"}}), Some("resetTicketExpired")),
        (OLGA, json!({"rejectResetTicket": {"ticket": "t-1"}}), None),
        (OLGA, complete(DAY, "t-1", PASSWORD), None),
        (OLGA, complete(DAY, "t-1", "weak"), None),
    ] {
        let before = world.revision();
        refused(&world.tell(DAY, who, command.clone()), "expired");
        let events = world.events_after(before);
        assert_eq!(events, event.into_iter().collect::<Vec<_>>(), "{command}");
    }
}

#[test]
fn every_other_refusal_raises_no_revision_and_changes_nothing() {
    let world = World::handed_over();
    world.must(0, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "1h")]));
    let (before, directory) = (world.revision(), world.engine.directory().to_bytes().unwrap());
    refused(&world.tell(0, ADA, apply("a-2", &[])), "invalid");
    refused(&world.tell(0, ADA, json!({"deleteSite": {"site": "nowhere"}})), "not_found");
    refused(&world.tell(0, ROOT, json!({"registerCompany": {"company": "acme"}})), "already_exists");
    refused(&world.tell(0, PAUL, json!({"acceptApplication": {"application": "a-1"}})), "not_permitted");
    wrong_state(&world.tell(0, ADA, json!({"withdrawInvite": {"invite": "to-villa"}})), "accepted");
    refused(
        &world.tell(0, IVAN, apply("a-2", &[permission("liveView", &["cam-7"], "2h")])),
        "live_duplicate",
    );
    assert_eq!(world.revision(), before);
    assert_eq!(world.engine.directory().to_bytes().unwrap(), directory);
}

#[test]
fn refusals_stand_in_the_audit_trail_with_their_command_id() {
    let world = World::new();
    let before = world.engine.audit(0, usize::MAX).unwrap().len();
    world.tell_as("late-night", MINUTE, PAUL, json!({"deleteSite": {"site": "villa"}}));
    world.tell(2 * MINUTE, PAUL, json!({"deleteSite": {"site": "nowhere"}}));
    world.tell_as("late-night", 3 * MINUTE, ADA, json!({"deleteSite": {"site": "villa"}}));
    let audit = serde_json::to_value(world.engine.audit(before as u64, 9).unwrap()).unwrap();
    let codes: Vec<&Value> =
        audit.as_array().unwrap().iter().map(|line| &line["outcome"]["refused"]["code"]).collect();
    assert_eq!(codes, ["not_permitted", "not_found", "conflict"]);
    assert_eq!(audit[0]["id"], json!("late-night"));
    assert_eq!(audit[0]["as"], json!(PAUL));
    assert_eq!(audit[0]["do"], json!({"deleteSite": {"site": "villa"}}));
    assert_eq!(audit[0]["at"], json!(time(MINUTE)));
    assert_eq!(audit[2]["id"], json!("late-night"));
}

#[test]
fn wrong_state_names_the_state() {
    let world = World::handed_over();
    for (id, end, state) in [
        ("a-1", json!({"withdrawApplication": {"application": "a-1"}}), "withdrawn"),
        ("a-2", json!({"rejectApplication": {"application": "a-2"}}), "rejected"),
        ("a-3", json!({"acceptApplication": {"application": "a-3"}}), "accepted"),
    ] {
        world.must(0, ADA, apply(id, &[permission("liveView", &["cam-7"], "1h")]));
        let who = if state == "withdrawn" { ADA } else { OLGA };
        world.must(0, who, end);
        wrong_state(&world.tell(0, OLGA, json!({"acceptApplication": {"application": id}})), state);
        wrong_state(&world.tell(0, OLGA, json!({"rejectApplication": {"application": id}})), state);
        wrong_state(&world.tell(0, ADA, json!({"withdrawApplication": {"application": id}})), state);
    }
    wrong_state(&world.tell(HOUR, ADA, json!({"releaseGrant": {"grant": "a-3/liveView/cam-7"}})), "ended");
    world.must(HOUR, OLGA, grant("g", "liveView", "1h"));
    world.must(HOUR, ADA, open_ticket("t-1"));
    wrong_state(
        &world.tell(HOUR, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}})),
        "pending",
    );
}

#[test]
fn one_live_application_a_company_permission_and_device_or_site() {
    let world = World::handed_over();
    world.must(
        0,
        ADA,
        apply("a-1", &[permission("liveView", &["cam-7"], "1h"), permission("manageSite", &[], "1h")]),
    );
    for permissions in
        [[permission("liveView", &["cam-8", "cam-7"], "8h")], [permission("manageSite", &[], "permanent")]]
    {
        refused(&world.tell(0, IVAN, apply("a-2", &permissions)), "live_duplicate");
    }
    world.must(
        0,
        IVAN,
        apply("a-2", &[permission("liveView", &["cam-8"], "1h"), permission("playback", &["cam-7"], "1h")]),
    );
    world.must(0, OLGA, json!({"rejectApplication": {"application": "a-1"}}));
    world.must(0, IVAN, apply("a-3", &[permission("liveView", &["cam-7"], "1h")]));
    done(
        &world.tell(DAY, ADA, apply("a-4", &[permission("liveView", &["cam-7", "cam-8"], "1h")])),
        &["applicationExpired", "applicationExpired", "permissionApplied"],
    );
}

#[test]
fn one_live_ticket_a_device_and_tickets_never_supersede() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "permanent"));
    world.must(0, ADA, open_ticket("t-1"));
    refused(&world.tell(0, IVAN, open_ticket("t-2")), "live_duplicate");
    world.must(0, OLGA, complete(0, "t-1", PASSWORD));
    refused(&world.tell(2 * DAY, IVAN, open_ticket("t-2")), "live_duplicate");
    world.must(2 * DAY, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}}));
    world.must(2 * DAY, IVAN, open_ticket("t-2"));
    done(&world.tell(3 * DAY, ADA, open_ticket("t-3")), &["resetTicketExpired", "resetTicketOpened"]);
}

#[test]
fn invites_supersede() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    done(&world.tell(0, IVAN, invite_olga("i-2", "villa", &[])), &["inviteSuperseded", "ownerInvited"]);
    assert_eq!(world.state(0, "invite", "i-1"), "superseded");
    done(&world.tell(DAY, ADA, invite_olga("i-3", "villa", &[])), &["inviteExpired", "ownerInvited"]);
    assert_eq!(world.state(DAY, "invite", "i-2"), "expired");
}

// ------------------------------------------------------------------------------------ idempotency

#[test]
fn the_same_id_and_body_gets_the_first_answer_and_happens_once() {
    let world = World::handed_over();
    let command = apply("a-1", &[permission("liveView", &["cam-7"], "1h")]);
    let first = world.tell_as("c-1", 0, ADA, command.clone());
    world.must(0, OLGA, json!({"rejectApplication": {"application": "a-1"}}));
    let (revision, audit) = (world.revision(), world.engine.audit(0, usize::MAX).unwrap().len());
    assert_eq!(world.tell_as("c-1", 2 * DAY, ADA, command), first, "`at` is not part of the body");
    assert_eq!(world.revision(), revision);
    assert_eq!(world.engine.audit(0, usize::MAX).unwrap().len(), audit);
}

#[test]
fn the_same_id_and_body_gets_the_first_refusal_though_it_would_be_done_now() {
    let world = World::new();
    let command = apply("a-1", &[permission("liveView", &["cam-7"], "1h")]);
    let first = world.tell_as("c-1", 0, ADA, command.clone());
    refused(&first, "not_permitted");
    let late = world.tell_as("c-2", 0, OLGA, json!({"acceptInvite": {"invite": "to-villa"}}));
    refused(&late, "not_found");
    let senseless = world.tell_as("c-3", 0, ADA, apply("a-1", &[]));
    refused(&senseless, "invalid");
    world.hand_over(0, "villa", &[]);
    assert_eq!(world.tell_as("c-1", 1, ADA, command), first);
    assert_eq!(world.tell_as("c-2", 1, OLGA, json!({"acceptInvite": {"invite": "to-villa"}})), late);
    assert_eq!(world.tell_as("c-3", 1, ADA, apply("a-1", &[])), senseless);
}

#[test]
fn the_same_id_and_another_body_is_a_conflict_and_takes_nothing_from_the_first() {
    let world = World::handed_over();
    let command = |validity| apply("a-1", &[permission("liveView", &["cam-7"], validity)]);
    let first = world.tell_as("c-1", 0, ADA, command("1h"));
    refused(&world.tell_as("c-1", 0, ADA, command("2h")), "conflict");
    refused(&world.tell_as("c-1", 0, IVAN, command("1h")), "conflict");
    refused(&world.tell_as("c-1", 0, ADA, command("2h")), "conflict");
    assert_eq!(world.tell_as("c-1", 0, ADA, command("1h")), first);
}

#[test]
fn a_password_is_not_part_of_the_body_and_the_effect_is_given_once() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "permanent"));
    world.must(0, ADA, open_ticket("t-1"));
    let first = world.tell_as("c-1", 0, OLGA, complete(0, "t-1", PASSWORD));
    done(&first, &["resetSubmitted"]);
    assert_eq!(first["effect"], json!({"device": "cam-7", "password": PASSWORD}));
    for password in [PASSWORD, "Another-word9", "weak"] {
        let again = world.tell_as("c-1", 0, OLGA, complete(0, "t-1", password));
        done(&again, &["resetSubmitted"]);
        assert_eq!(again["revision"], first["revision"]);
        assert_eq!(again.get("effect"), None, "a replay gives no effect");
    }
    refused(&world.tell_as("c-1", 0, OLGA, complete(1, "t-1", PASSWORD)), "conflict");
}

#[test]
fn no_password_is_ever_written() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "permanent"));
    world.must(0, ADA, open_ticket("t-1"));
    refused(&world.tell(0, OLGA, complete(0, "t-1", "weakhunter")), "weak_password");
    refused(&world.tell(0, PAUL, complete(0, "t-1", "Not-hunter1")), "not_permitted");
    refused(&world.tell(0, OLGA, complete(1, "t-1", "Later-hunter1")), "lan_not_attested");
    let answer = world.must(0, OLGA, complete(0, "t-1", "Good-hunter1"));
    assert_eq!(answer["effect"]["password"], json!("Good-hunter1"));
    assert!(!world.everything_written().contains("hunter"));
    assert!(!world.show(0, "ticket", "t-1").to_string().contains("hunter"));
}

#[test]
fn without_an_id_the_same_command_is_another_command() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    refused(&world.tell(0, ADA, invite_olga("i-1", "villa", &[])), "already_exists");
}

#[test]
fn ids_that_the_engine_makes_are_unique_and_no_script_can_take_one() {
    let world = World::new();
    let audit = serde_json::to_value(world.engine.audit(0, usize::MAX).unwrap()).unwrap();
    let ids: std::collections::BTreeSet<String> =
        audit.as_array().unwrap().iter().map(|line| line["id"].to_string()).collect();
    assert_eq!(ids.len(), audit.as_array().unwrap().len());
    for id in ids {
        let id: Value = serde_json::from_str(&id).unwrap();
        let command = json!({"registerCompany": {"company": "third"}});
        malformed(&json!({"at": time(0), "as": ROOT, "id": id, "do": command}).to_string());
    }
}

#[test]
fn ids_that_the_engine_makes_are_unique_whatever_ids_a_program_chooses() {
    let engine = fresh();
    let register = |company: &str| {
        let command: Command =
            serde_json::from_value(json!({"registerCompany": {"company": company}})).unwrap();
        Submission::new(ROOT.parse().unwrap(), command)
    };
    // What the engine would call its third command, taken by a program if it is let to.
    if let Ok(id) = "engine/3".parse() {
        engine.submit(&register("one").with_id(id), moment(0)).unwrap();
    }
    for company in ["two", "three", "four"] {
        engine.submit(&register(company), moment(0)).unwrap();
    }
    let mut ids: Vec<String> = engine.audit(0, 9).unwrap().iter().map(|line| line.id.to_string()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "two commands have one id: {ids:?}");
}

// ----------------------------------------------------------------------------------------- checks

#[test]
fn a_denial_says_why() {
    let world = World::new();
    denied(&world.check(0, THEO, "liveView", CAM_7), "no_grant");
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "1h")]);
    denied(&world.check(0, ADA, "playback", CAM_7), "no_grant");
    denied(&world.check(0, ADA, "liveView", r#"Device::"cam-8""#), "no_grant");
    denied(&world.check(0, RITA, "liveView", CAM_7), "no_grant");
    denied(&world.check(0, THEO, "liveView", CAM_7), "not_permitted");
    denied(&world.check(HOUR, ADA, "liveView", CAM_7), "grant_ended");
    denied(&world.check(HOUR, PAUL, "liveView", CAM_7), "not_permitted");
    denied(&world.check(HOUR, ROOT, "liveView", CAM_7), "not_permitted");
    denied(&world.check(HOUR, ADA, "disableService", VILLA), "not_permitted");
    denied(&world.check(HOUR, r#"Installer::"nobody""#, "liveView", CAM_7), "unknown_principal");
    denied(&world.check(HOUR, r#"EndUser::"ada""#, "liveView", CAM_7), "unknown_principal");
    denied(&world.check(HOUR, ADA, "liveView", r#"Device::"nothing""#), "unknown_resource");
    denied(&world.check(HOUR, ADA, "fly", CAM_7), "unknown_action");
    let ahead =
        json!({"principal": OLGA, "action": "liveView", "resource": CAM_7, "at_least": world.revision() + 1});
    denied(&world.line(&json!({"at": time(HOUR), "check": ahead})), "stale");
}

#[test]
fn grants_that_were_released_withdrawn_or_revoked_have_ended() {
    let world = World::new();
    world.hand_over(
        0,
        "villa",
        &[
            permission("liveView", &["cam-7"], "permanent"),
            permission("playback", &["cam-7"], "permanent"),
            permission("configure", &["cam-7"], "permanent"),
        ],
    );
    world.must(0, ADA, json!({"releaseGrant": {"grant": "to-villa/liveView/cam-7"}}));
    world.must(0, OLGA, json!({"withdrawGrant": {"grant": "to-villa/playback/cam-7"}}));
    denied(&world.check(0, ADA, "liveView", CAM_7), "grant_ended");
    denied(&world.check(0, ADA, "playback", CAM_7), "grant_ended");
    allowed(&world.check(0, ADA, "configure", CAM_7), None);
    world.must(0, OLGA, json!({"transferSite": {"site": "villa", "to": "paul"}}));
    denied(&world.check(0, ADA, "configure", CAM_7), "grant_ended");
}

#[test]
fn now_and_grant_in_a_context_are_the_engines_own_and_other_keys_must_be_in_the_schema() {
    let world = World::handed_over();
    for context in [
        json!({"now": time(0)}),
        json!({"grant": {"permission": "liveView"}}),
        json!({"grant": null}),
        json!({"mood": "good"}),
        json!({"now": time(0), "mood": "good"}),
    ] {
        let check = json!({"principal": OLGA, "action": "liveView", "resource": CAM_7, "context": context});
        refused(&world.line(&json!({"at": time(0), "check": check})), "invalid");
    }
    let check = json!({"principal": OLGA, "action": "liveView", "resource": CAM_7, "context": {}});
    allowed(&world.line(&json!({"at": time(0), "check": check})), None);
}

#[test]
fn valid_until_is_the_end_of_the_chain_of_grants_from_now_on() {
    let world = World::handed_over();
    allowed(&world.check(0, OLGA, "liveView", CAM_7), None);
    world.must(0, OLGA, grant("one", "liveView", "1h"));
    allowed(&world.check(0, ADA, "liveView", CAM_7), Some(HOUR));
    world.must(HOUR - 1, OLGA, grant("two", "liveView", "1h"));
    allowed(&world.check(HOUR - 1, ADA, "liveView", CAM_7), Some(2 * HOUR - 1));
    world.must(HOUR - 1, OLGA, grant("eight", "liveView", "8h"));
    allowed(&world.check(HOUR, ADA, "liveView", CAM_7), Some(9 * HOUR - 1));
    world.must(HOUR, ADA, json!({"releaseGrant": {"grant": "eight"}}));
    allowed(&world.check(HOUR, ADA, "liveView", CAM_7), Some(2 * HOUR - 1));
    world.must(HOUR, OLGA, grant("always", "liveView", "permanent"));
    allowed(&world.check(HOUR, ADA, "liveView", CAM_7), None);
    world.must(HOUR, OLGA, json!({"withdrawGrant": {"grant": "always"}}));
    allowed(&world.check(HOUR, ADA, "liveView", CAM_7), Some(2 * HOUR - 1));
    denied(&world.check(2 * HOUR - 1, ADA, "liveView", CAM_7), "grant_ended");
}

#[test]
fn an_answer_names_the_revision_that_it_knows_and_may_be_asked_to_know_one() {
    let world = World::handed_over();
    let receipt = world.must(0, OLGA, grant("g", "liveView", "1h"));
    let known =
        json!({"principal": ADA, "action": "liveView", "resource": CAM_7, "at_least": receipt["revision"]});
    let answer = world.line(&json!({"at": time(0), "check": known}));
    allowed(&answer, Some(HOUR));
    assert_eq!(answer["revision"], receipt["revision"]);
}

#[test]
fn policies_that_decide_are_named_sorted() {
    let world = World::handed_over();
    let owner = world.check(0, OLGA, "liveView", CAM_7);
    assert_eq!(owner["determining_policies"], json!(["owner-uses-own-devices"]));
    assert_eq!(world.check(0, PAUL, "liveView", CAM_7)["determining_policies"], json!([]));
    let accepted = world.tell(0, OLGA, json!({"acceptInvite": {"invite": "to-villa"}}));
    assert_eq!(accepted["determining_policies"], json!(["invitee-accepts-invite"]), "it permitted the try");
}

// -------------------------------------------------------------------------------- restart, in memory

#[test]
fn a_new_engine_on_the_same_ledger_answers_the_same() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "8h"));
    world.must(0, ADA, open_ticket("t-1"));
    let first = world.tell_as("c-1", MINUTE, OLGA, complete(MINUTE, "t-1", PASSWORD));
    for snapshot in [false, true] {
        if snapshot {
            world.engine.save_snapshot().unwrap();
        }
        let again = world.opened_again();
        assert_eq!(again.revision(), world.revision());
        assert_eq!(again.check(MINUTE, ADA, "liveView", CAM_7), world.check(MINUTE, ADA, "liveView", CAM_7));
        assert_eq!(again.state(MINUTE, "ticket", "t-1"), "applying");
        let repeated = again.tell_as("c-1", MINUTE, OLGA, complete(MINUTE, "t-1", PASSWORD));
        assert_eq!((&repeated["revision"], repeated.get("effect")), (&first["revision"], None));
        wrong_state(&again.tell(MINUTE, OLGA, complete(MINUTE, "t-1", PASSWORD)), "applying");
    }
    world.must(MINUTE, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}}));
}

#[test]
fn a_snapshot_can_be_read_after_a_device_went_whose_grants_time_had_ended() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    world.must(2 * HOUR, OLGA, json!({"removeDevice": {"device": "cam-7"}}));
    let bytes = world.engine.directory().to_bytes().unwrap();
    let read = Directory::from_bytes(&bytes).map(|directory| directory.revision());
    assert_eq!(read, Ok(world.revision()));
}

#[test]
fn a_device_that_was_added_again_inherits_nothing_from_a_snapshot_either() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    world.must(2 * HOUR, OLGA, json!({"removeDevice": {"device": "cam-7"}}));
    let added = json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}});
    world.must(2 * HOUR, ROOT, added);
    denied(&world.check(2 * HOUR, ADA, "liveView", CAM_7), "no_grant");
    world.engine.save_snapshot().unwrap();
    denied(&world.opened_again().check(2 * HOUR, ADA, "liveView", CAM_7), "no_grant");
}
