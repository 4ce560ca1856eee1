//! The command line, as somebody types it: what it prints, and how it ends.
#![cfg(test)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn consentry(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read its input closes it early; that is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A copy of the shipped policies with one more.
fn policies_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    for entry in std::fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(folder.path().join("own.cedar"), text).unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const ROOT: &str = r#"Operator::"root""#;
const REGISTER: &str = r#"{"registerCompany":{"company":"acme"}}"#;

#[test]
fn the_demo_plays_the_story_and_sums_it_up() {
    let ran = consentry(&["demo"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    for part in [
        "A site is handed over",
        "An installer asks for access",
        "A password is lost",
        "DENY  no_grant",
        "ALLOW  until 2026-03-01T15:30:00.000Z",
        "DENY  grant_ended",
        "refused  weak_password",
        "refused  lan_not_attested",
        "goes from applying to completed",
        "refused  expired",
        "In 34 hours and 0 minutes of simulated time",
        "because of installer-uses-devices-with-grant",
    ] {
        assert!(ran.out.contains(part), "{part}");
    }
    assert!(
        !ran.out.contains("Sunny-day") && !ran.out.contains('\u{1b}'),
        "no password, and no colours in a pipe"
    );
}

#[test]
fn the_demo_in_json_tells_the_same() {
    let ran = consentry(&["demo", "--json"], "");
    let steps = ran.json();
    let summary = steps.last().unwrap();
    let count = |answer: &dyn Fn(&Value) -> bool| steps.iter().filter(|step| answer(&step["answer"])).count();
    assert_eq!(count(&|answer| answer["ok"] == true), summary["done"].as_u64().unwrap() as usize);
    assert_eq!(count(&|answer| answer["decision"] == "allow"), summary["allowed"].as_u64().unwrap() as usize);
    let refused: u64 =
        summary["refused"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(count(&|answer| answer["ok"] == false), refused as usize);
}

#[test]
fn a_forbid_changes_exactly_the_steps_of_the_story_that_it_touches() {
    let folder = policies_with(r#"@id("blind") forbid (principal, action == Action::"liveView", resource);"#);
    let shipped = consentry(&["demo", "--json"], "").json();
    let blind = consentry(&["demo", "--json", "--policies", text(folder.path())], "").json();
    assert_eq!(shipped.len(), blind.len());
    let steps = shipped.len() - 1;
    let mut changed = 0;
    for (before, after) in shipped.iter().zip(&blind).take(steps) {
        if before["ask"]["check"]["action"] == "liveView" {
            assert_eq!(after["answer"]["decision"], "deny");
            assert_eq!(after["answer"]["reason"], "forbidden");
            assert_eq!(after["answer"]["determining_policies"][0], "blind");
            changed += 1;
        } else {
            assert_eq!(before["answer"], after["answer"]);
        }
    }
    assert!(changed >= 4);
    assert_ne!(shipped[steps]["allowed"], blind[steps]["allowed"], "the summary is computed");
}

#[test]
fn without_policies_the_story_is_all_refusals() {
    let empty = tempfile::tempdir().unwrap();
    let steps = consentry(&["demo", "--json", "--policies", text(empty.path())], "").json();
    assert!(steps.iter().all(|step| step["answer"]["ok"] != true && step["answer"]["decision"] != "allow"));
    assert_eq!(steps.last().unwrap()["done"], 0);
}

#[test]
fn one_of_three_exit_statuses_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = text(folder.path());
    let submit = ["submit", "--ledger", ledger, "--as", ROOT, REGISTER];
    assert_eq!(consentry(&submit, "").code, 0);
    assert_eq!(consentry(&submit, "").code, 1, "it is there already");
    assert_eq!(consentry(&["submit", "--ledger", ledger, "--as", "root", REGISTER], "").code, 2);
    assert_eq!(consentry(&["submit", "--ledger", ledger, "--as", ROOT, "{"], "").code, 2);
    assert_eq!(consentry(&["check", "--ledger", ledger, ROOT, "liveView", r#"Device::"x""#], "").code, 1);
    assert_eq!(consentry(&["show", "--ledger", ledger, "site", "villa"], "").code, 1);
    assert_eq!(consentry(&["list", "--ledger", ledger, "grants"], "").code, 0);
    assert_eq!(consentry(&["dance"], "").code, 2);
    assert_eq!(consentry(&["--help"], "").code, 0);
}

#[test]
fn a_command_survives_its_process_and_is_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = text(folder.path());
    let submit = ["submit", "--json", "--ledger", ledger, "--as", ROOT, "--id", "c-1", "-"];
    let first = consentry(&submit, REGISTER).json();
    assert_eq!(first[0]["revision"], 1);
    assert_eq!(consentry(&submit, REGISTER).json(), first, "the same answer again");
    let other = consentry(&submit, r#"{"registerCompany":{"company":"rival"}}"#);
    assert_eq!((other.code, other.json()[0]["code"].as_str()), (1, Some("conflict")));
    let log = consentry(&["log", "--json", "--ledger", ledger], "").json();
    assert_eq!(log.len(), 2);
    assert_eq!(log[0]["outcome"]["done"]["determining_policies"][0], "operator-keeps-directory");
    let people = consentry(&["log", "--ledger", ledger], "").out;
    assert!(people.contains("registerCompany acme") && people.contains("conflict"), "{people}");
}

#[test]
fn looking_at_a_ledger_does_not_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for arguments in [
        vec!["check", "--ledger", text(&nowhere), ROOT, "liveView", r#"Device::"x""#],
        vec!["show", "--ledger", text(&nowhere), "site", "x"],
        vec!["list", "--ledger", text(&nowhere), "grants"],
        vec!["log", "--ledger", text(&nowhere)],
        vec!["ledger", "verify", "--ledger", text(&nowhere)],
    ] {
        let ran = consentry(&arguments, "");
        assert_eq!(ran.code, 2);
        assert!(ran.err.starts_with("error[ledger_missing]"), "{}", ran.err);
    }
    assert!(!nowhere.exists());
}

#[test]
fn two_processes_cannot_write_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let open = consentry_ledger::DiskLedger::open(folder.path()).unwrap();
    let submit = ["submit", "--ledger", text(folder.path()), "--as", ROOT, REGISTER];
    let ran = consentry(&submit, "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.starts_with("error[ledger_locked]"), "{}", ran.err);
    drop(open);
    assert_eq!(consentry(&submit, "").code, 0);
}

#[test]
fn a_script_stops_at_its_first_malformed_line() {
    let good = r#"{"at":"2026-03-01T00:00:00Z","as":"Operator::\"root\"","do":{"registerCompany":{"company":"acme"}}}"#;
    for bad in [
        "{",
        "{}",
        r#"{"at":"2026-03-01T00:00:00Z"}"#,
        r#"{"at":"noon","show":{"site":"a"}}"#,
        "[1]",
        "\u{fe}",
    ] {
        let ran = consentry(&["replay", "-"], &format!("{good}\n{bad}\n{good}\n"));
        assert_eq!(ran.code, 2, "{bad}");
        assert_eq!(ran.json().len(), 1, "the line before was answered");
        assert!(ran.err.contains("line 2"), "{}", ran.err);
    }
}

#[test]
fn a_script_goes_on_where_its_ledger_stands() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = text(folder.path());
    let line = |at: &str, company: &str| {
        format!(
            "{{\"at\":\"{at}\",\"as\":\"Operator::\\\"root\\\"\",\"do\":{{\"registerCompany\":{{\"company\":\"{company}\"}}}}}}\n"
        )
    };
    consentry(&["replay", "-", "--ledger", ledger], &line("2026-03-05T00:00:00Z", "acme"));
    let ran = consentry(&["replay", "-", "--ledger", ledger], &line("2026-03-01T00:00:00Z", "rival"));
    assert_eq!(ran.json()[0]["revision"], 2);
    let log = consentry(&["log", "--json", "--ledger", ledger], "").json();
    assert_eq!(log[1]["at"], "2026-03-05T00:00:00.000Z", "time does not run backwards");
}

#[test]
fn what_is_wrong_with_a_policy_folder_is_said_and_nothing_runs() {
    let folder =
        policies_with("@id(\"own\")\npermit (principal, action, resource) when { principal.colour };");
    let path = text(folder.path());
    for arguments in [vec!["policy", "check"], vec!["policy", "test"], vec!["demo"], vec!["replay", "-"]] {
        let ran = consentry(&[arguments.as_slice(), &["--policies", path]].concat(), "");
        assert_eq!(ran.code, 2);
        assert!(
            ran.err.starts_with("error[policy_invalid]") && ran.err.contains("own.cedar:2:"),
            "{}",
            ran.err
        );
        assert!(ran.out.is_empty());
    }
}

#[test]
fn the_cases_of_the_policies_pass_and_a_wrong_one_fails() {
    let ran = consentry(&["policy", "test"], "");
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.ends_with("0 failed\n"), "{}", ran.out);

    let folder = policies_with(r#"@id("own") forbid (principal, action == Action::"liveView", resource);"#);
    let cases = folder.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    std::fs::write(
        cases.join("cast.json"),
        r#"[{"uid":{"type":"Operator","id":"root"},"attrs":{},"parents":[]}]"#,
    )
    .unwrap();
    let case = r#"[{"name":"an operator registers a company","request":{"principal":"Operator::\"root\"",
        "action":"Action::\"registerCompany\"","resource":"Company::\"x\""},"decision":"deny","reason":[]}]"#;
    std::fs::write(cases.join("own.json"), case).unwrap();
    let ran = consentry(&["policy", "test", "--policies", text(folder.path())], "");
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.contains("an operator registers a company") && ran.out.contains("got allow"),
        "{}",
        ran.out
    );
    std::fs::write(cases.join("own.json"), "[{\n\"nam\":1}]").unwrap();
    let ran = consentry(&["policy", "test", "--policies", text(folder.path())], "");
    assert!(ran.code == 2 && ran.err.contains("own.json:2:"), "{}", ran.err);
}

#[test]
fn lifecycles_print_themselves() {
    let table = consentry(&["lifecycle", "table"], "").out;
    assert!(
        ["invite", "permission application", "reset ticket", "grant"].iter().all(|name| table.contains(name))
    );
    let diagram = consentry(&["lifecycle", "diagram", "grant"], "").out;
    assert!(diagram.starts_with("stateDiagram-v2") && diagram.contains("active --> withdrawn"), "{diagram}");
    let rows = consentry(&["lifecycle", "table", "invite", "--json"], "").json();
    assert_eq!(rows[0]["initial"], "pending");
}

#[test]
fn every_command_explains_itself() {
    for command in
        ["demo", "replay", "submit", "check", "show", "list", "log", "ledger", "policy", "lifecycle"]
    {
        let ran = consentry(&[command, "--help"], "");
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("Usage: consentry"), "{command}");
    }
    for command in ["demo", "replay", "submit", "check", "show", "list", "log"] {
        assert!(consentry(&[command, "--help"], "").out.contains("Example"), "{command}");
    }
}

#[test]
fn a_password_is_told_to_the_submitter_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = text(folder.path());
    let story = include_str!("../src/demo/story.jsonl");
    let script: String = story
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("chapter").is_none())
        .map(|mut line| {
            line.as_object_mut().unwrap().remove("say");
            format!("{line}\n")
        })
        .collect();
    let ran = consentry(&["replay", "-", "--ledger", ledger], &script);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.matches("Sunny-day-26").count(), 1, "in the one effect");
    for arguments in [vec!["log", "--json"], vec!["log"], vec!["show", "ticket", "ticket-1"]] {
        let ran = consentry(&[arguments.as_slice(), &["--ledger", ledger]].concat(), "");
        assert!(!ran.out.contains("Sunny-day"));
    }
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"Sunny-day"), "no file of the ledger holds it");
    }
    let wrong = r#"{"completeResetTicket":{"ticket":"t","password":["Sunny-day-28"]}}"#;
    let ran = consentry(&["submit", "--ledger", ledger, "--as", r#"EndUser::"olga""#, "-"], wrong);
    assert!(ran.code == 2 && !ran.err.contains("Sunny"), "{}", ran.err);
}

#[test]
fn nobody_reading_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_checks_at_the_head_of_the_readme_answer_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ledger = text(folder.path());
    let ran = consentry(&["replay", text(&root.join("docs/first-steps.jsonl")), "--ledger", ledger], "");
    assert_eq!(ran.json().iter().filter(|answer| answer["ok"] == true).count(), 10, "{}", ran.out);
    for (at, code) in [("2026-03-01T15:29:59.999Z", 0), ("2026-03-01T15:30:00Z", 1)] {
        let question = [r#"Installer::"ivan""#, "liveView", r#"Device::"cam-7""#];
        let [principal, action, resource] = question;
        let typed =
            format!("$ consentry check --ledger ./ledger '{principal}' {action} '{resource}' --at {at}\n");
        let ran =
            consentry(&[["check", "--ledger", ledger].as_slice(), &question, &["--at", at]].concat(), "");
        assert_eq!(ran.code, code);
        assert!(readme.contains(&format!("{typed}{}", ran.out)), "{typed}{}", ran.out);
    }
}

#[test]
fn a_time_that_cannot_be_or_takes_all_others_with_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let submit = |command: &str, at: &str| {
        consentry(&["submit", "--ledger", text(folder.path()), "--as", ROOT, command, "--at", at], "")
    };
    assert_eq!(submit(REGISTER, "2026-03-01T09:00:00Z").err, "");
    let ran = submit(r#"{"registerCompany":{"company":"b"}}"#, "2262-03-01T09:00:00Z");
    assert!(
        ran.code == 0 && ran.err.starts_with("warning: 2262-03-01T09:00:00.000Z is ahead"),
        "{}",
        ran.err
    );
    let ran = submit(r#"{"registerCompany":{"company":"c"}}"#, "2026-03-01T09:00:00Z");
    assert!(ran.err.starts_with("note: this ledger has reached 2262-03-01T09:00:00.000Z"), "{}", ran.err);
}

#[test]
fn what_failed_is_told_in_json_too() {
    let folder = policies_with("@id(\"a\")\npermit (principal, action, resource)\nwhen { principal == };\n");
    let ran = consentry(&["policy", "check", "--json", "--policies", text(folder.path())], "");
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &error["code"]), (2, &Value::from("policy_invalid")));
    assert_eq!((&error["errors"][0]["line"], &error["errors"][0]["column"]), (&3.into(), &21.into()));
    let ledger = tempfile::tempdir().unwrap();
    consentry(&["submit", "--ledger", text(ledger.path()), "--as", ROOT, REGISTER], "");
    let ran = consentry(&["ledger", "snapshot", "--json", "--ledger", text(ledger.path())], "");
    assert_eq!(ran.json()[0]["revision"], 1);
    let question = ["check", ROOT, "manageSite", r#"Site::"x""#, "--context", r#"{"now":1}"#];
    let ran = consentry(&[question.as_slice(), &["--ledger", text(ledger.path())]].concat(), "");
    assert_eq!(ran.code, 2, "{}", ran.out);
}

#[test]
fn a_field_that_stands_twice_is_told_and_nothing_happens() {
    let ledger = tempfile::tempdir().unwrap();
    let twice = r#"{"registerCompany":{"company":"b","company":"c"}}"#;
    let ran = consentry(&["submit", "--ledger", text(ledger.path()), "--as", ROOT, twice], "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("duplicate field `company` at line 1 column"), "{}", ran.err);
}

#[test]
fn cases_that_can_pass_by_mistake_are_told() {
    let folder = policies_with(
        "@id(\"none\")\nforbid (principal is EndUser, action == Action::\"liveView\", resource is Site);\n",
    );
    let ran = consentry(&["policy", "check", "--policies", text(folder.path())], "");
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("warning: ") && ran.out.contains("own.cedar:"), "{}", ran.out);
    let cases = folder.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    std::fs::write(cases.join(".#lock.json"), "no case").unwrap();
    let case = |name: &str| {
        format!(
            r#"{{"name":"{name}","request":{{"principal":"Installer::\"ivn\"","action":"Action::\"manageSite\"",
            "resource":"Site::\"villa\""}},"decision":"deny","reason":[]}}"#
        )
    };
    let run = |text_of_cases: String| {
        std::fs::write(cases.join("own.json"), text_of_cases).unwrap();
        consentry(&["policy", "test", "--policies", text(folder.path())], "")
    };
    let ran = run(format!("[{}]", case("nobody")));
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(r#"there is no `Installer::"ivn"` in the cast"#), "{}", ran.out);
    let ran = run(format!("[{},{}]", case("same"), case("same")));
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("error[case_invalid]") && ran.err.contains("`same`"), "{}", ran.err);
    assert_eq!(run(format!("[{}]", case(" "))).code, 2);
}

/// A module of proxy-wasm that does `body` with each request.
fn plugin(folder: &Path, body: &str) -> String {
    let file = folder.join("gate.wat");
    let text = format!(
        r#"(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $respond (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-seenyes")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body} (i32.const 0)))"#
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

const ADD: &str = "(drop (call $add (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 3)))";

#[test]
fn a_plugin_is_tried_on_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = plugin(folder.path(), ADD);
    let ran =
        consentry(&["plugin", "check", &file, "--request", "GET /a?b", "--header", "x-installer: ivan"], "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for line in [
        "gate: proxy-wasm 0.2, ",
        "needs    nothing",
        "request  GET /a?b",
        "verdict  continue",
        "+ x-seen: yes",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let lines = consentry(&["--json", "plugin", "check", &file], "").json();
    assert_eq!(lines[0]["needs"], serde_json::json!([]));
    assert_eq!(lines[1], serde_json::json!({ "verdict": "continue", "changes": ["+ x-seen: yes"] }));

    let respond = "(drop (call $respond (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 3) \
        (i32.const 0) (i32.const 0) (i32.const -1)))";
    let ran = consentry(&["plugin", "check", &plugin(folder.path(), respond)], "");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("verdict  respond 401  by the plugin"), "{}", ran.out);
}

#[test]
fn a_plugin_that_fails_is_told_from_one_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    for (body, word) in [("(loop $again (br $again))", "deadline"), ("(unreachable)", "trap")] {
        let ran = consentry(&["plugin", "check", &plugin(folder.path(), body)], "");
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.out.contains(&format!("verdict  failed  {word}: ")), "{}", ran.out);
        let lines = consentry(&["--json", "plugin", "check", &plugin(folder.path(), body)], "").json();
        assert_eq!(lines[1]["kind"], word);
    }
    // Its start, too.
    let start = "(i32.const 0)) (func $start (loop $again (br $again))) (start $start) (func (result i32)";
    let ran = consentry(&["plugin", "check", &plugin(folder.path(), start)], "");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("deadline"), "{}", ran.out);
}

#[test]
fn what_is_no_plugin_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.wasm");
    for (bytes, code) in [
        (&b"\0asm\x01"[..], "plugin_malformed"),
        (b"(module)", "plugin_unknown_abi"),
        (b"hello", "plugin_malformed"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        for command in ["check", "bench"] {
            let ran = consentry(&["plugin", command, text(&file)], "");
            assert_eq!(ran.code, 2);
            assert!(ran.err.starts_with(&format!("error[{code}]: ")), "{}", ran.err);
        }
    }
    let ran = consentry(&["plugin", "check", "nowhere.wasm"], "");
    assert_eq!((ran.code, ran.err.starts_with("error[io]: ")), (2, true), "{}", ran.err);
    for wrong in [["--request", "/a"], ["--request", "GET a"], ["--header", "x"], ["--header", "a b: c"]] {
        let ran = consentry(&["plugin", "check", text(&file), wrong[0], wrong[1]], "");
        assert_eq!((ran.code, ran.err.starts_with("error[malformed]: ")), (2, true), "{}", ran.err);
    }
}

#[test]
fn a_plugin_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let file = plugin(folder.path(), ADD);
    let lines = consentry(&["--json", "plugin", "bench", &file, "--requests", "10"], "").json();
    let what: Vec<&str> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["compile", "request, started instance", "request, fresh instance"]);
    assert!(lines.iter().all(|line| line["microseconds"].as_f64().unwrap() > 0.0));
}
