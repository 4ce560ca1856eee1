//! `consentry policy prove`: every claim holds of the shipped policies, and is refuted by a folder in which
//! it is broken. Without a solver these tests are skipped, and say so.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of it is tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

/// What every claim is called that the program knows.
fn claims() -> Vec<&'static str> {
    consentry_prover::proofs().iter().map(|proof| proof.name).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder in which a claim is broken.
fn broken(claim: &str) -> PathBuf {
    root().join("prover/refuted").join(claim)
}

fn consentry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry")).args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expect(holds: bool, output: &Output, what: &str) -> Result<(), Failed> {
    if holds {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{what}; {}\n{out}{err}", output.status).into())
}

/// With the shipped policies: exit status 0.
fn holds(claim: &str) -> Result<(), Failed> {
    let proved = consentry(&["policy", "prove", "--json", "--only", claim]);
    expect(proved.status.code() == Some(0), &proved, "it is refuted")?;
    let lines = lines(&proved);
    expect(lines.len() == 1 && lines[0]["holds"] == true, &proved, "it does not say so")?;
    expect(lines[0]["questions"].as_u64() > Some(0), &proved, "nothing was asked")
}

/// With the broken policies: exit status 1, and a case that these policies fail and the shipped ones pass.
fn is_refuted(claim: &str) -> Result<(), Failed> {
    let folder = broken(claim);
    let folder = folder.to_str().unwrap();
    let refuted = consentry(&["policy", "prove", "--json", "--policies", folder, "--only", claim]);
    expect(refuted.status.code() == Some(1), &refuted, "it is not refuted")?;
    let lines = lines(&refuted);
    expect(lines.len() == 1 && lines[0]["holds"] == false, &refuted, "it does not say so")?;
    let case = &lines[0]["counterexample"]["case"];
    for (policies, passes) in [(folder, false), (root().join("policies").to_str().unwrap(), true)] {
        let copy = with_case(Path::new(policies), case);
        let tested = consentry(&["policy", "test", "--policies", copy.path().to_str().unwrap()]);
        let expected = if passes { 0 } else { 1 };
        expect(
            tested.status.code() == Some(expected),
            &tested,
            &format!("as a case, of {policies}: {case}"),
        )?;
    }
    let told = consentry(&["policy", "prove", "--policies", folder, "--only", claim]);
    let text = String::from_utf8_lossy(&told.stdout);
    let cast = ["ivan", "olga"].iter().any(|name| text.contains(&format!("but {}", by_type(name))));
    expect(cast && text.contains("0 claims hold, 1 refuted"), &told, "it is not told with the cast")
}

fn by_type(name: &str) -> String {
    let entity_type = if name == "olga" { "EndUser" } else { "Installer" };
    format!("{entity_type}::\"{name}\"")
}

/// A folder with the same policies, and no cases.
fn copy_of(policies: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(policies).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// The policies of a folder with this case as their only one.
fn with_case(policies: &Path, case: &Value) -> tempfile::TempDir {
    let copy = copy_of(policies);
    let cases = copy.path().join("cases");
    fs::create_dir(&cases).unwrap();
    fs::copy(root().join("policies/cases/cast.json"), cases.join("cast.json")).unwrap();
    fs::write(cases.join("refuting.json"), Value::Array(vec![case.clone()]).to_string()).unwrap();
    copy
}

/// Every folder is named after a claim; that every claim has one is seen when it is to be refuted.
fn every_folder_breaks_a_claim() -> Result<(), Failed> {
    for entry in fs::read_dir(root().join("prover/refuted")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !claims().contains(&name.as_str()) {
            return Err(format!("there is no claim `{name}`").into());
        }
    }
    Ok(())
}

/// What refutes one claim refutes the whole: exit status 1, whatever holds beside it.
fn one_refuted_claim_among_others_is_enough() -> Result<(), Failed> {
    let folder = broken("no-policy-errors");
    let proved = consentry(&["policy", "prove", "--json", "--policies", folder.to_str().unwrap()]);
    expect(proved.status.code() == Some(1), &proved, "the exit status")?;
    let refuted: Vec<Value> = lines(&proved).into_iter().filter(|line| line["holds"] == false).collect();
    expect(lines(&proved).len() == claims().len() && refuted.len() == 1, &proved, "what is refuted")
}

/// The shipped policies with one more file, for what is told when a claim is refuted.
fn with_policy(text: &str) -> tempfile::TempDir {
    let copy = copy_of(&root().join("policies"));
    fs::write(copy.path().join("more.cedar"), text).unwrap();
    copy
}

/// A claim that something is not allowed is not refuted by an error, whatever else fails.
fn what_is_allowed_is_told_from_what_runs_into_an_error() -> Result<(), Failed> {
    let policies = with_policy(
        r#"@id("broken") forbid (principal is Installer, action == Action::"liveView", resource)
        when { 9223372036854775807 + 1 == 0 };
        @id("too-much") permit (principal is Installer, action == Action::"liveView", resource);"#,
    );
    let folder = policies.path().to_str().unwrap();
    let told = consentry(&["policy", "prove", "--policies", folder, "--only", "installer-needs-grant"]);
    let text = String::from_utf8_lossy(&told.stdout);
    expect(text.contains("would be allowed by too-much, were it not for an error"), &told, "by whom")
}

/// A case is read as it was written, whatever the names in it are.
fn a_name_with_a_quote_is_told_as_cedar_reads_it() -> Result<(), Failed> {
    let policies = with_policy(
        r#"@id("too-much") permit (principal == EndUser::"o'brien \"b\"", action == Action::"liveView", resource);"#,
    );
    let folder = policies.path().to_str().unwrap();
    let refuted = consentry(&["policy", "prove", "--json", "--policies", folder, "--only", "access"]);
    expect(refuted.status.code() == Some(1), &refuted, "it is not refuted")?;
    let copy = with_case(policies.path(), &lines(&refuted)[0]["counterexample"]["case"]);
    let tested = consentry(&["policy", "test", "--policies", copy.path().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&tested.stdout);
    expect(text.contains("got allow by too-much"), &tested, "the case is not asked")
}

/// A text that must not be the cast's costs nobody their name.
fn a_text_that_policies_rule_out_is_told_with_the_cast() -> Result<(), Failed> {
    let policies = with_policy(
        r#"@id("too-much") permit (principal is Installer, action == Action::"disableService", resource)
        when { resource.kind != "normal" && resource has owner && resource.disableServiceAccepted }
        when { principal.role like "boss*" && principal.company == resource.company }
        when { context.now < datetime("1969-01-01") };"#,
    );
    let folder = policies.path().to_str().unwrap();
    let told = consentry(&["policy", "prove", "--policies", folder, "--only", "service"]);
    let text = String::from_utf8_lossy(&told.stdout);
    expect(text.contains(r#"Installer::"ivan" disableService Site::"villa""#), &told, "the names")?;
    expect(!text.contains("ms after 1970"), &told, "the moment")
}

/// A schema in which nobody can look through a camera leaves nothing to be claimed about that.
fn a_claim_that_does_not_fit_the_schema_is_not_said_to_hold() -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let schema = fs::read_to_string(root().join("policies/schema.cedarschema")).unwrap();
    let without = schema.replace("action liveView, playback, configure", "action playback, configure");
    fs::write(folder.path().join("schema.cedarschema"), without).unwrap();
    let proved = consentry(&["policy", "prove", "--policies", folder.path().to_str().unwrap()]);
    expect(proved.status.code() == Some(2), &proved, "the exit status")?;
    let told = String::from_utf8_lossy(&proved.stderr);
    expect(told.contains("error[proof_inapplicable]") && told.contains("liveView"), &proved, "the message")?;
    let said = String::from_utf8_lossy(&proved.stdout);
    expect(said.contains("unknown  installer-needs-grant"), &proved, "what is not known")?;
    expect(said.contains("holds    only-owner-answers"), &proved, "what is known nevertheless")
}

/// What does not fit is the claim: whoever reads it need not look through their own policies.
fn a_claim_about_facts_that_the_schema_does_not_have_says_which() -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let schema = fs::read_to_string(root().join("policies/schema.cedarschema")).unwrap();
    let renamed = schema.replace("  kind: String, ", "  sort: String, ");
    fs::write(folder.path().join("schema.cedarschema"), renamed).unwrap();
    let folder = folder.path().to_str().unwrap();
    let proved = consentry(&["policy", "prove", "--policies", folder, "--only", "service"]);
    expect(proved.status.code() == Some(2), &proved, "the exit status")?;
    let told = String::from_utf8_lossy(&proved.stderr);
    expect(told.contains("error[proof_inapplicable]") && told.contains("`kind`"), &proved, "the message")
}

/// These need no solver.
fn without_a_solver_nothing_is_said_to_hold() -> Result<(), Failed> {
    let empty = tempfile::tempdir().unwrap();
    let no_solver = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["policy", "prove"])
        .env_remove("CVC5")
        .env("PATH", empty.path())
        .output()
        .unwrap();
    expect(no_solver.status.code() == Some(2) && no_solver.stdout.is_empty(), &no_solver, "the exit status")?;
    let told = String::from_utf8_lossy(&no_solver.stderr);
    expect(told.starts_with("error[solver_missing]: there is no solver"), &no_solver, "the message")
}

fn a_solver_that_is_none_is_told_from_a_proof() -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    // The first of what is found: a program that reads nothing and says nothing.
    let program = ["/bin/true", "/usr/bin/true"].iter().find(|path| Path::new(path).exists());
    let Some(program) = program else { return Ok(()) };
    let proved = command.args(["policy", "prove"]).env("CVC5", program).output().unwrap();
    expect(proved.status.code() == Some(2) && proved.stdout.is_empty(), &proved, "the exit status")?;
    let told = String::from_utf8_lossy(&proved.stderr);
    expect(told.starts_with("error[proof_undecided]"), &proved, "the message")
}

/// Each under its own name.
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        [$(Trial::test(stringify!($test), $test)),*]
    };
}

fn main() {
    let arguments = Arguments::from_args();
    let no_solver = consentry_prover::Prover::start().is_err();
    let mut trials = Vec::new();
    for claim in claims() {
        trials.push(Trial::test(format!("{claim}::holds_of_the_shipped_policies"), move || holds(claim)));
        trials
            .push(Trial::test(format!("{claim}::is_refuted_where_it_is_broken"), move || is_refuted(claim)));
    }
    trials.extend(trials![
        one_refuted_claim_among_others_is_enough,
        a_claim_that_does_not_fit_the_schema_is_not_said_to_hold,
        a_claim_about_facts_that_the_schema_does_not_have_says_which,
        what_is_allowed_is_told_from_what_runs_into_an_error,
        a_name_with_a_quote_is_told_as_cedar_reads_it,
        a_text_that_policies_rule_out_is_told_with_the_cast,
    ]);
    if no_solver {
        let skip = |trial: Trial| trial.with_kind("skipped: no solver").with_ignored_flag(true);
        trials = trials.into_iter().map(skip).collect();
    }
    trials.extend(trials![
        every_folder_breaks_a_claim,
        without_a_solver_nothing_is_said_to_hold,
        a_solver_that_is_none_is_told_from_a_proof,
    ]);
    libtest_mimic::run(&arguments, trials).exit();
}
