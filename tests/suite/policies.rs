//! Policies decide who. What happens to the answers of every script with none of them, with one
//! `forbid` and with one `permit` more; which policies are refused, and where they are wrong; and the
//! cases that stand beside the policies.
//!
//! The answers of a script depend on those before them. So the script runs once, on the shipped
//! policies, and at every line the changed policies are asked about the very state that the line found,
//! by the engine's own pure halves (`evaluate` and `decide`). A line whose command id was used before is
//! left out: its answer is the ledger's, and no policy is asked.

use std::fs;
use std::path::{Path, PathBuf};

use consentry::decide::{Decided, Lifetimes, decide};
use consentry::policy::{PolicyFile, PolicySources};
use consentry::{Directory, Engine, Policies, Timestamp};
use consentry_server::folder;
use consentry_server::script::{Ask, Line, run_line};
use serde_json::{Value, json};

use crate::scripts::scripts;
use crate::world::{
    ADA, CAM_7, IVAN, OLGA, PAUL, ROOT, VILLA, World, allowed, apply, fresh, grant, permission, refused,
    shipped, wrong_state,
};

fn policy_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.to_owned(), text: text.to_owned() }
}

/// The shipped policies and this one.
fn with(text: &str) -> Policies {
    let mut sources = PolicySources::shipped();
    sources.policies.push(file("added.cedar", text));
    Policies::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

// ------------------------------------------------------------------------------- one policy changed

/// What policies answer to a line on a state: without message and revision, which policies do not make.
fn asked(policies: &Policies, directory: &Directory, line: &Line, now: Timestamp) -> Option<Value> {
    match &line.ask {
        Ask::Check(request) => Some(match policies.evaluate(directory, 0, request, now) {
            Ok(evaluation) => serde_json::to_value(evaluation).unwrap(),
            Err(_) => json!({"code": "invalid"}),
        }),
        Ask::Do(submission) => {
            Some(match decide(directory, submission, policies, &Lifetimes::default(), now) {
                Decided::Accepted { events, determining_policies, .. } => {
                    let events: Vec<&str> = events.iter().map(|event| event.name()).collect();
                    json!({"events": events, "determining_policies": determining_policies})
                }
                Decided::Refused { refusal, .. } => {
                    json!({"code": refusal.code, "determining_policies": refusal.determining_policies})
                }
            })
        }
        Ask::Show(_) | Ask::List(_) => None,
    }
}

/// One line of a script: what the shipped policies answer on its state, and what others do.
struct Both {
    place: String,
    line: Line,
    json: Value,
    principal_is_known: bool,
    shipped: Value,
    changed: Value,
}

/// Runs every script on the shipped policies, and asks `changed` at every command and check.
fn at_every_line(changed: &Policies) -> Vec<Both> {
    let own = shipped();
    let mut all = Vec::new();
    for script in scripts() {
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        let engine = fresh();
        let mut now = Timestamp::MIN;
        for (index, text) in fs::read_to_string(&script).unwrap().lines().enumerate() {
            let line = Line::parse(text).unwrap();
            now = now.max(line.at);
            let directory = engine.directory();
            let used = match &line.ask {
                Ask::Do(submission) => is_used(&engine, submission.id.as_ref().map(|id| id.as_str())),
                Ask::Check(_) | Ask::Show(_) | Ask::List(_) => false,
            };
            let answers = (asked(&own, &directory, &line, now), asked(changed, &directory, &line, now));
            if let (Some(shipped), Some(changed), false) = (answers.0, answers.1, used) {
                let json: Value = serde_json::from_str(text).unwrap();
                all.push(Both {
                    place: format!("{name}:{}", index + 1),
                    principal_is_known: is_known(&directory, &json),
                    json,
                    line: line.clone(),
                    shipped,
                    changed,
                });
            }
            run_line(&engine, &line).unwrap();
        }
    }
    all
}

fn is_used(engine: &Engine, id: Option<&str>) -> bool {
    let audit = engine.audit(0, usize::MAX).unwrap();
    id.is_some_and(|id| audit.iter().any(|line| line.id.as_str() == id))
}

fn is_known(directory: &Directory, line: &Value) -> bool {
    let principal = line["as"].as_str().or(line["check"]["principal"].as_str()).unwrap();
    let (kind, id) = principal.split_once("::").unwrap();
    let id = id.trim_matches('"');
    match kind {
        "Installer" => directory.installer(id).is_some(),
        "EndUser" => directory.end_user(id).is_some(),
        _ => true,
    }
}

impl Both {
    fn is_command(&self, name: &str) -> bool {
        self.json["do"].get(name).is_some()
    }

    fn is_check(&self, action: &str) -> bool {
        self.json["check"]["action"] == json!(action)
    }

    fn is_by(&self, kind: &str) -> bool {
        let principal = self.json["as"].as_str().or(self.json["check"]["principal"].as_str());
        principal.unwrap().starts_with(&format!("{kind}::")) && self.principal_is_known
    }

    /// Whether policies come into the answer: nothing that ranks before them stood in the way.
    fn reaches_policies(&self) -> bool {
        if matches!(self.line.ask, Ask::Check(_)) {
            let reason = self.shipped["reason"].as_str().unwrap_or("none");
            return !reason.starts_with("unknown_")
                && reason != "stale"
                && self.shipped.get("code").is_none();
        }
        let before = ["invalid", "not_found", "already_exists"];
        let code = self.shipped["code"].as_str().unwrap_or("none");
        !before.contains(&code) || self.shipped["determining_policies"] != json!([])
    }

    /// Whether the resource of a check is of this type and there.
    fn is_on(&self, kind: &str) -> bool {
        self.json["check"]["resource"].as_str().is_some_and(|uid| uid.starts_with(&format!("{kind}::")))
    }
}

/// Every answer that is not touched is the same as before; says how many were.
fn exactly(answers: &[Both], touched: impl Fn(&Both) -> bool) -> Vec<&Both> {
    for both in answers.iter().filter(|both| !touched(both)) {
        assert_eq!(both.changed, both.shipped, "{} is touched", both.place);
    }
    let touched: Vec<&Both> = answers.iter().filter(|both| touched(both)).collect();
    assert!(!touched.is_empty(), "no script has a line for this");
    touched
}

/// With no policies every check is denied, and every command is `not_permitted`, except what ranks
/// before that: a line that makes no sense, names what is not there or makes what is there already gets
/// the answer that it always gets. Nobody decided, so nobody is named.
#[test]
fn without_policies_every_check_is_denied_and_every_command_not_permitted() {
    let none = Policies::none().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let from_empty_folder = Policies::load(&folder::read(empty.path()).unwrap()).unwrap();
    for policies in [none, from_empty_folder] {
        assert!(policies.ids().is_empty());
        for both in at_every_line(&policies) {
            let (place, changed) = (&both.place, &both.changed);
            if !both.reaches_policies() {
                assert_eq!(*changed, both.shipped, "{place}");
                continue;
            }
            assert_eq!(changed["determining_policies"], json!([]), "{place}");
            if matches!(both.line.ask, Ask::Check(_)) {
                assert_eq!(
                    (&changed["decision"], &changed["valid_until"]),
                    (&json!("deny"), &json!(null)),
                    "{place}"
                );
                assert_ne!(changed["reason"], json!("forbidden"), "{place}");
                assert_eq!(changed["errors"], json!([]), "{place}");
            } else {
                assert_eq!(changed["code"], json!("not_permitted"), "{place}");
            }
        }
    }
}

#[test]
fn a_forbid_of_an_access_changes_the_checks_of_it_and_nothing_else() {
    let changed =
        with(r#"@id("nobody-watches") forbid (principal, action == Action::"liveView", resource);"#);
    let answers = at_every_line(&changed);
    let touched = exactly(&answers, |both| {
        both.is_check("liveView") && both.is_on("Device") && both.reaches_policies()
    });
    assert!(touched.iter().any(|both| both.shipped["decision"] == json!("allow")));
    for both in touched {
        let expected = json!({"decision": "deny", "determining_policies": ["nobody-watches"], "errors": [],
                              "valid_until": null, "revision": 0, "reason": "forbidden"});
        assert_eq!(both.changed, expected, "{}", both.place);
    }
}

#[test]
fn a_forbid_of_a_command_changes_the_answers_to_it_and_nothing_else() {
    let changed =
        with(r#"@id("nobody-accepts") forbid (principal, action == Action::"acceptInvite", resource);"#);
    let answers = at_every_line(&changed);
    let touched = exactly(&answers, |both| {
        both.is_command("acceptInvite") && both.is_by("EndUser") && both.reaches_policies()
    });
    assert!(touched.iter().any(|both| both.shipped.get("events").is_some()));
    for both in touched {
        let expected = json!({"code": "not_permitted", "determining_policies": ["nobody-accepts"]});
        assert_eq!(both.changed, expected, "{}", both.place);
    }
}

#[test]
fn a_permit_of_an_access_changes_the_checks_that_it_permits_and_nothing_else() {
    let changed = with(
        r#"@id("operators-watch") permit (principal is Operator, action == Action::"liveView", resource);"#,
    );
    let answers = at_every_line(&changed);
    let touched = exactly(&answers, |both| {
        both.is_check("liveView") && both.is_on("Device") && both.is_by("Operator") && both.reaches_policies()
    });
    for both in touched {
        let expected = json!({"decision": "allow", "determining_policies": ["operators-watch"], "errors": [],
                              "valid_until": null, "revision": 0, "reason": null});
        assert_eq!(both.changed, expected, "{}", both.place);
    }
}

#[test]
fn a_permit_of_a_command_changes_the_answers_that_it_permits_and_nothing_else() {
    let changed = with(
        r#"@id("end-users-build") permit (principal is EndUser, action == Action::"createSite", resource);"#,
    );
    let answers = at_every_line(&changed);
    let touched = exactly(&answers, |both| {
        both.is_command("createSite") && both.is_by("EndUser") && both.reaches_policies()
    });
    for both in touched {
        let expected = json!({"events": ["siteCreated"], "determining_policies": ["end-users-build"]});
        assert_eq!(both.changed, expected, "{}", both.place);
    }
}

#[test]
fn a_permit_of_what_was_permitted_is_named_beside_the_others() {
    let changed = with(r#"@id("also") permit (principal is EndUser, action, resource);"#);
    for both in at_every_line(&changed).iter().filter(|both| both.is_by("EndUser") && both.reaches_policies())
    {
        let mut expected: Vec<String> =
            serde_json::from_value(both.shipped["determining_policies"].clone()).unwrap();
        expected.insert(0, "also".to_owned());
        let checked_on_nothing =
            matches!(both.line.ask, Ask::Check(_)) && both.changed["decision"] == json!("deny");
        if !checked_on_nothing {
            assert_eq!(both.changed["determining_policies"], json!(expected), "{}", both.place);
        }
    }
}

#[test]
fn policies_that_are_replaced_count_from_the_next_answer_on() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    world.engine.replace_policies(with(
        r#"@id("nobody-watches") forbid (principal, action == Action::"liveView", resource);
           @id("nobody-takes-back") forbid (principal, action == Action::"withdrawGrant", resource);
           @id("anybody-hands-on") permit (principal is EndUser, action == Action::"transferSite", resource);"#,
    ));
    let check = world.check(0, OLGA, "liveView", CAM_7);
    assert_eq!(
        (&check["reason"], &check["determining_policies"]),
        (&json!("forbidden"), &json!(["nobody-watches"]))
    );
    let refusal = world.tell(0, OLGA, json!({"withdrawGrant": {"grant": "g"}}));
    refused(&refusal, "not_permitted");
    assert_eq!(refusal["determining_policies"], json!(["nobody-takes-back"]));
    world.must(0, PAUL, json!({"transferSite": {"site": "villa", "to": "paul"}}));
    world.engine.replace_policies(shipped());
    allowed(&world.check(0, PAUL, "liveView", CAM_7), None);
    refused(&world.tell(0, OLGA, json!({"transferSite": {"site": "villa", "to": "olga"}})), "not_permitted");
}

#[test]
fn a_permit_that_lets_a_try_through_is_named_when_the_state_refuses_it() {
    let world = World::handed_over();
    world.engine.replace_policies(with(
        r#"@id("operators-answer") permit (principal is Operator, action == Action::"rejectInvite", resource);"#,
    ));
    let answer = world.tell(0, ROOT, json!({"rejectInvite": {"invite": "to-villa"}}));
    wrong_state(&answer, "accepted");
    assert_eq!(answer["determining_policies"], json!(["operators-answer"]));
}

#[test]
fn a_policy_may_look_at_the_sites_of_principals_and_askers() {
    let world = World::handed_over();
    let forbid = |text: &str| world.engine.replace_policies(with(text));
    world.must(0, OLGA, grant("g", "liveView", "1h"));

    // ivan is assigned to the villa, ada is not; the question is about a device of it.
    forbid(
        r#"@id("not-from-the-villa") forbid (principal in Site::"villa", action == Action::"liveView", resource);"#,
    );
    assert!(world.may(0, ADA, "liveView", CAM_7));
    assert!(!world.may(0, IVAN, "liveView", CAM_7));
    // And about something else altogether.
    forbid(
        r#"@id("not-from-the-villa") forbid (principal in Site::"villa", action == Action::"createSite", resource);"#,
    );
    let create = |site: &str| json!({"createSite": {"site": site, "company": "acme", "kind": "normal"}});
    refused(&world.tell(0, IVAN, create("shed")), "not_permitted");
    world.must(0, ADA, create("shed"));
    // And about the asker of what waits for its answer.
    world.engine.replace_policies(shipped());
    world.must(0, IVAN, apply("a-ivan", &[permission("liveView", &["cam-7"], "1h")]));
    world.must(0, ADA, apply("a-ada", &[permission("playback", &["cam-7"], "1h")]));
    forbid(
        r#"@id("only-admins-ask") forbid (principal, action == Action::"acceptApplication", resource)
           when { resource has asker && resource.asker in resource.site };"#,
    );
    refused(&world.tell(0, OLGA, json!({"acceptApplication": {"application": "a-ivan"}})), "not_permitted");
    world.must(0, OLGA, json!({"acceptApplication": {"application": "a-ada"}}));
}

/// "An installer is `in` their company and `in` every site that is assigned to them", says the schema.
#[test]
fn a_policy_may_look_at_the_sites_of_the_installer_that_a_command_names() {
    let world = World::new();
    world.engine.replace_policies(with(
        r#"@id("those-assigned-stay") forbid (principal, action == Action::"unassignSite", resource)
           when { context.installer in resource };"#,
    ));
    let answer = world.tell(0, ADA, json!({"unassignSite": {"site": "villa", "installer": "ivan"}}));
    refused(&answer, "not_permitted");
    assert_eq!(answer["determining_policies"], json!(["those-assigned-stay"]));
}

/// Policies that look at everything that the schema says is there, two steps far, and never match. One
/// thing that is not there would be an error, and an error denies.
const LOOKING: &str = r#"
@id("at-installers") forbid (principal is Installer, action, resource)
when { principal.company == Company::"?" || principal.role == "?" || principal.permissions.contains("?") ||
       principal.contacts.contains("?") || principal in Site::"?" };

@id("at-end-users") forbid (principal is EndUser, action, resource)
when { principal.contacts.contains("?") };

@id("at-devices") forbid (principal, action, resource is Device)
when { resource.site.company == Company::"?" || resource.site.kind == "?" || resource.supportsPasswordReset == (1 == 2) && false ||
       (resource.site has owner && resource.site.owner == EndUser::"?") ||
       (resource.site.disableServiceAccepted && resource.site.kind == "?") };

@id("at-sites") forbid (principal, action, resource is Site)
when { resource.company == Company::"?" || resource.kind == "?" || (resource.disableServiceAccepted && false) ||
       (resource has owner && resource.owner.contacts.contains("?")) };

@id("at-invites") forbid (principal, action, resource is Invite)
when { resource.site.company == Company::"?" || resource.site.kind == "?" || resource.company == Company::"?" ||
       resource.contact == "?" || resource.askerContacts.contains("?") ||
       (resource.site has owner && resource.site.owner == EndUser::"?") ||
       (resource has asker && (resource.asker.company == Company::"?" || resource.asker.role == "?" ||
                               resource.asker.permissions.contains("?") || resource.asker.contacts.contains("?"))) };

@id("at-applications") forbid (principal, action, resource is PermissionApplication)
when { resource.site.company == Company::"?" || resource.site.kind == "?" || resource.company == Company::"?" ||
       resource.askerContacts.contains("?") || (resource.site has owner && resource.site.owner == EndUser::"?") ||
       (resource has asker && (resource.asker.company == Company::"?" || resource.asker.role == "?" ||
                               resource.asker.permissions.contains("?") || resource.asker.contacts.contains("?"))) };

@id("at-tickets") forbid (principal, action, resource is ResetTicket)
when { resource.site.company == Company::"?" || resource.site.kind == "?" || resource.company == Company::"?" ||
       resource.mode == "?" || resource.askerContacts.contains("?") || resource.device.site == Site::"?" ||
       (resource.device.supportsPasswordReset && false) ||
       (resource.site has owner && resource.site.owner == EndUser::"?") ||
       (resource has asker && (resource.asker.company == Company::"?" || resource.asker.role == "?" ||
                               resource.asker.permissions.contains("?") || resource.asker.contacts.contains("?"))) };

@id("at-grants") forbid (principal, action, resource is Grant)
when { resource.site.company == Company::"?" || resource.site.kind == "?" || resource.company == Company::"?" ||
       resource.permission == "?" || (resource.site has owner && resource.site.owner == EndUser::"?") };

@id("at-coverage") forbid (principal, action in [Action::"liveView", Action::"manageSite"], resource)
when { context has grant && (context.grant.permission == "?" ||
       (context.grant has until && context.grant.until == datetime("1970-01-01"))) };

@id("at-assigned") forbid (principal, action in [Action::"assignSite", Action::"unassignSite"], resource)
when { context.installer.company == Company::"?" || context.installer.role == "?" ||
       context.installer.permissions.contains("?") || context.installer.contacts.contains("?") };

@id("at-heirs") forbid (principal, action == Action::"transferSite", resource)
when { context.to.contacts.contains("?") };

@id("at-what-is-asked") forbid (principal, action in [Action::"inviteOwner", Action::"applyForPermission"], resource)
when { context.permissions.contains("?") || context.devices.contains(Device::"?") };

@id("at-what-is-invited-to") forbid (principal, action == Action::"inviteOwner", resource)
when { context.contact == "?" || (context.disableService && false) };

@id("at-what-is-accepted") forbid (principal, action in [Action::"acceptInvite", Action::"acceptApplication"], resource)
when { context.permissions.contains("?") };

@id("at-what-is-given") forbid (principal, action == Action::"grantPermission", resource)
when { context.company == Company::"?" || context.permission == "?" };

@id("at-what-is-held") forbid (principal, action in [Action::"openResetTicket", Action::"addDevice"], resource)
when { context.grants.contains("?") };

@id("at-roles-kinds-and-modes") forbid (principal, action == Action::"registerInstaller", resource)
when { context.role == "?" };
@id("at-kinds") forbid (principal, action == Action::"createSite", resource) when { context.kind == "?" };
@id("at-modes") forbid (principal, action == Action::"openResetTicket", resource) when { context.mode == "?" };
"#;

#[test]
fn everything_that_the_schema_promises_is_within_reach_of_a_policy() {
    for both in at_every_line(&with(LOOKING)) {
        assert_eq!(both.changed, both.shipped, "{}", both.place);
    }
}

#[test]
fn a_site_is_found_wherever_a_policy_names_it() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    let head = r#"@id("not-from-the-villa") forbid (principal, action == Action::"liveView", resource)"#;
    for condition in [
        r#"principal in Site::"villa""#,
        r#"principal in [Site::"flat", Site::"villa"]"#,
        r#"principal is Installer in Site::"villa""#,
        r#"!(principal in Site::"flat") && (principal in Site::"villa" || principal in Site::"barn")"#,
    ] {
        world.engine.replace_policies(with(&format!("{head} when {{ {condition} }};")));
        assert!(!world.may(0, IVAN, "liveView", CAM_7), "{condition}");
        assert!(world.may(0, ADA, "liveView", CAM_7), "{condition}");
    }
    // Also when the question is about another site.
    world.engine.replace_policies(with(&format!("{head} when {{ principal in Site::\"villa\" }};")));
    world.must(0, ROOT, json!({"assignSite": {"site": "flat", "installer": "ivan"}}));
    let cam_9 = r#"Device::"cam-9""#;
    assert!(world.may(0, ADA, "liveView", cam_9));
    assert!(!world.may(0, IVAN, "liveView", cam_9), "ivan is in the villa wherever the camera is");
}

#[test]
fn an_allow_by_a_policy_that_looks_at_the_time_does_not_promise_any() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    world.engine.replace_policies(with(
        r#"@id("not-at-night") forbid (principal, action == Action::"liveView", resource)
           when { context.now >= datetime("2026-03-01T00:30:00Z") };"#,
    ));
    let answer = world.check(0, OLGA, "liveView", CAM_7);
    assert_eq!(answer["decision"], json!("allow"));
    let until = answer["valid_until"].as_str().expect("it may be another answer in half an hour");
    assert!(until <= "2026-03-01T00:30:00.000Z", "{until}");
    allowed(&world.check(0, OLGA, "playback", CAM_7), None);
    assert_eq!(world.check(30 * 60_000, OLGA, "liveView", CAM_7)["reason"], json!("forbidden"));
    assert!(world.may(0, OLGA, "manageSite", VILLA));
}

// ------------------------------------------------------------------------------- folders and cases

#[test]
fn what_ships_is_what_is_in_the_folder() {
    let folder = Policies::load(&folder::read(&policy_folder()).unwrap()).unwrap();
    assert_eq!(folder.ids(), shipped().ids());
    assert_eq!(folder.version(), shipped().version());
}

#[test]
fn a_folder_without_a_schema_takes_the_shipped_one() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("inner")).unwrap();
    fs::write(
        home.path().join("one.cedar"),
        r#"@id("one") permit (principal, action == Action::"liveView", resource);"#,
    )
    .unwrap();
    fs::write(
        home.path().join("inner/two.cedar"),
        r#"@id("two") forbid (principal is Operator, action, resource);"#,
    )
    .unwrap();
    fs::write(home.path().join("notes.txt"), "permit all").unwrap();
    let policies = Policies::load(&folder::read(home.path()).unwrap()).unwrap();
    assert_eq!(policies.ids(), ["one", "two"]);
}

#[test]
fn every_case_beside_the_policies_holds() {
    let cases = folder::read_cases(&policy_folder()).unwrap();
    let policies = shipped();
    let mut count = 0;
    let mut failed = Vec::new();
    for (file, cases_of_file) in &cases.files {
        for case in cases_of_file {
            count += 1;
            if let Err(error) = policies.run_case(&cases.cast, case) {
                failed.push(format!("{file}: {}: {error}", case.name));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count} cases fail:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_policy_decides_a_case() {
    let cases = folder::read_cases(&policy_folder()).unwrap();
    let named: Vec<&String> =
        cases.files.iter().flat_map(|(_, cases)| cases).flat_map(|case| &case.reason).collect();
    let policies = shipped();
    let without: Vec<&String> = policies.ids().iter().filter(|id| !named.contains(id)).collect();
    assert!(without.is_empty() || cases.files.is_empty(), "no case for {without:?}");
}

// ------------------------------------------------------------------------------ policies that are refused

/// Everything that is wrong with a folder of these files beside the shipped schema, one error a line.
fn wrong(files: &[(&str, &str)]) -> String {
    let policies = files.iter().map(|(name, text)| file(name, text)).collect();
    Policies::load(&PolicySources { schema: None, policies }).expect_err("it was taken").to_string()
}

const GOOD: &str =
    "@id(\"good\")\npermit (principal is EndUser, action == Action::\"liveView\", resource is Device);\n";

#[test]
fn a_syntax_error_has_file_line_and_column() {
    insta::assert_snapshot!(
        wrong(&[("one.cedar", "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal == };\n")]),
        @"one.cedar:3:21: unexpected token `}`"
    );
}

#[test]
fn a_type_error_has_file_line_and_column() {
    insta::assert_snapshot!(
        wrong(&[("good.cedar", GOOD), ("two.cedar", "@id(\"b\")\npermit (principal is EndUser, action == Action::\"liveView\", resource is Device)\nwhen { resource.site.kind == 7 };\n")]),
        @"two.cedar:3:8: the types Long and String are not compatible (help: for policy `b`, both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible)"
    );
}

#[test]
fn an_unknown_attribute_has_file_line_and_column() {
    insta::assert_snapshot!(
        wrong(&[("three.cedar", "@id(\"c\")\npermit (principal is EndUser, action == Action::\"liveView\", resource is Device)\nwhen { resource.owner == principal };\n")]),
        @"three.cedar:3:8: for policy `c`, attribute `owner` on entity type `Device` not found (help: did you mean `site`?)"
    );
}

#[test]
fn an_unknown_key_of_the_context_has_file_line_and_column() {
    insta::assert_snapshot!(
        wrong(&[("ten.cedar", "@id(\"g\")\npermit (principal is EndUser, action == Action::\"liveView\", resource is Device)\nwhen { context.mood == \"good\" };\n")]),
        @r#"ten.cedar:3:8: for policy `g`, attribute `mood` in context for Action::"liveView" not found (help: did you mean `now`?)"#
    );
}

#[test]
fn an_unknown_action_or_entity_type_is_told() {
    insta::assert_snapshot!(
        wrong(&[("four.cedar", "@id(\"d\")\npermit (principal is EndUser, action == Action::\"liveview\", resource is Gadget);\n")]),
        @r#"
    four.cedar:2:41: for policy `d`, unrecognized action `Action::"liveview"` (help: did you mean `Action::"liveView"`?)
    four.cedar:2:73: for policy `d`, unrecognized entity type `Gadget` (help: did you mean `Grant`?)
    "#
    );
}

#[test]
fn a_policy_without_an_id_is_told_by_its_file_and_beginning() {
    insta::assert_snapshot!(wrong(&[("five.cedar", "permit (principal is Operator, action, resource);\n")]), @r#"five.cedar:1:1: the policy that begins `permit (principal is Operator, action, resource);` has no @id("…")"#);
}

#[test]
fn an_id_that_is_used_twice_is_told_with_both_files() {
    insta::assert_snapshot!(wrong(&[("good.cedar", GOOD), ("six.cedar", GOOD)]), @"six.cedar:1:1: there is a policy `good` in good.cedar already");
    insta::assert_snapshot!(wrong(&[("seven.cedar", &GOOD.repeat(2))]), @"seven.cedar:3:1: there is a policy `good` in seven.cedar already");
}

#[test]
fn a_template_is_told() {
    insta::assert_snapshot!(
        wrong(&[("eight.cedar", "@id(\"e\")\npermit (principal == ?principal, action, resource);\n")]),
        @"eight.cedar:1:1: `e` has slots: nothing fills them here"
    );
}

#[test]
fn a_policy_that_looks_further_than_a_slice_reaches_is_told() {
    insta::assert_snapshot!(
        wrong(&[("nine.cedar", "@id(\"f\")\npermit (principal is EndUser, action == Action::\"liveView\", resource is Device)\nwhen { resource.site has owner && resource.site.owner.contacts.contains(\"x\") };\n")]),
        @"nine.cedar:3:35: for policy `f`, this policy requires level 3, which exceeds the maximum allowed level (2)"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let errors = wrong(&[
        ("one.cedar", "permit (principal action, resource);"),
        ("two.cedar", "forbid (principal, action, resource);"),
    ]);
    assert!(errors.contains("one.cedar") && errors.contains("two.cedar"), "{errors}");
}

#[test]
fn a_schema_that_is_none_or_lacks_a_command_is_told() {
    let with_schema = |text: &str| {
        let sources = PolicySources { schema: Some(file("schema.cedarschema", text)), policies: Vec::new() };
        Policies::load(&sources).expect_err("it was taken").to_string()
    };
    insta::assert_snapshot!(with_schema("entity Site {\n  owner: Nobody,\n};\nentity"), @"schema.cedarschema:4:7: error parsing schema: unexpected end of input");
    let shipped = PolicySources::shipped().schema.unwrap().text;
    let without = shipped.replace("action deleteSite appliesTo", "action razeSite appliesTo");
    insta::assert_snapshot!(with_schema(&without), @"schema.cedarschema: the schema lacks the actions deleteSite");
}

#[test]
fn policies_that_are_refused_leave_the_old_ones_in_place() {
    let world = World::handed_over();
    let version = world.engine.policies().version().to_owned();
    assert!(
        Policies::load(&PolicySources { schema: None, policies: vec![file("bad.cedar", "permit")] }).is_err()
    );
    assert_eq!(world.engine.policies().version(), version);
    assert!(world.may(0, OLGA, "liveView", CAM_7));
}
