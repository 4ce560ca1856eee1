//! Documents that say what the machines say are written by the machines.

use std::fmt::Write as _;
use std::path::Path;

use consentry::command::Command;
use consentry::lifecycle::table::tables;
use consentry::{DenyReason, Policies, RefusalCode};

fn repository(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn lifecycles() -> String {
    let mut text = String::from(
        "# Lifecycles\n\n\
         Written from the machines themselves by `UPDATE_DOCS=1 cargo test -p consentry-tests docs`; \
         `consentry lifecycle table` and `consentry lifecycle diagram` print the same.\n\n\
         In the tables `→ state` means: it moves there; `×`: the event is refused; `⌛ state`: its time was over \
         first, and the event did not happen; `a | b`: before the deadline, and from it on.\n",
    );
    for table in tables() {
        let mut title = table.lifecycle.to_owned();
        title.get_mut(..1).unwrap().make_ascii_uppercase();
        let _ = write!(
            text,
            "\n## {title}\n\n```mermaid\n{}```\n\n```text\n{}```\n",
            table.mermaid(),
            table.text()
        );
    }
    text
}

#[test]
fn the_page_of_lifecycles_is_what_the_machines_are() {
    let (path, text) = (repository("docs/lifecycles.md"), lifecycles());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/lifecycles.md is not what the machines are: run `just update-docs`");
}

#[test]
fn the_page_of_commands_names_every_command_code_and_reason() {
    let page = std::fs::read_to_string(repository("docs/commands.md")).unwrap();
    let codes = [
        RefusalCode::Invalid,
        RefusalCode::Conflict,
        RefusalCode::NotFound,
        RefusalCode::AlreadyExists,
        RefusalCode::NotPermitted,
        RefusalCode::WrongState,
        RefusalCode::Expired,
        RefusalCode::LiveDuplicate,
        RefusalCode::WiderThanAsked,
        RefusalCode::WeakPassword,
        RefusalCode::LanNotAttested,
        RefusalCode::UnsupportedDevice,
    ];
    let reasons = [
        DenyReason::NoGrant,
        DenyReason::GrantEnded,
        DenyReason::Forbidden,
        DenyReason::UnknownPrincipal,
        DenyReason::UnknownResource,
        DenyReason::UnknownAction,
        DenyReason::PolicyError,
        DenyReason::Stale,
        DenyReason::NotPermitted,
    ];
    let names = Command::NAMES.iter().copied();
    let names = names.chain(codes.map(RefusalCode::name)).chain(reasons.map(DenyReason::name));
    let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/commands.md does not name {missing:?}");
}

#[test]
fn the_page_of_verification_counts_the_answers_of_the_machines() {
    let page = std::fs::read_to_string(repository("docs/verification.md")).unwrap();
    let answers: usize = tables().iter().map(|table| table.rows.len()).sum();
    assert!(page.contains(&format!("{answers} answers")), "there are {answers}");
}

/// The claims that are proved stand on the page with their names and their words.
#[test]
fn the_page_of_verification_names_every_claim() {
    let page = std::fs::read_to_string(repository("docs/verification.md")).unwrap();
    for proof in consentry_prover::proofs() {
        let row = format!("| `{}` | {} |", proof.name, proof.claim());
        assert!(page.contains(&row), "docs/verification.md lacks {row}");
    }
}

/// The policy that is followed from text to program is a shipped one, and the program is the one that runs.
#[test]
fn the_page_of_compiled_policies_shows_a_program_as_it_is() {
    let page = std::fs::read_to_string(repository("docs/compiled-policies.md")).unwrap();
    let id = "installer-uses-devices-with-grant";
    let shipped = std::fs::read_to_string(repository("policies/access.cedar")).unwrap();
    let (_, rest) = shipped.split_once(&format!("@id(\"{id}\")")).unwrap();
    let (text, _) = rest.split_once("};\n\n").unwrap();
    assert!(page.contains(text), "the policy is another one");
    let policies = Policies::shipped().unwrap();
    let program = policies.program(id, "Installer", "liveView", "Device").unwrap();
    assert!(page.contains(&program), "the program is\n{program}");
    let (kinds, programs) = policies.compiled_count();
    assert!(page.contains(&format!("{programs} programs for {kinds} kinds of questions")));
    assert!(page.contains(&format!("(version {})", policies.version())));
}

/// Every file and folder that the documents link to is there.
#[test]
fn no_document_points_nowhere() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "DESIGN.md",
        "CONTRIBUTING.md",
        "policies/README.md",
        "docs/commands.md",
        "docs/compiled-policies.md",
        "docs/verification.md",
    ] {
        let path = repository(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.starts_with("http") || file.is_empty() {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{document} links to {file}");
        }
        let folders =
            ["engine/", "ledger/", "prover/", "server/", "tests/", "policies/", "benches/", "docs/"];
        let named = text.split('`').skip(1).step_by(2);
        for file in named.filter(|name| {
            folders.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*'])
        }) {
            assert!(repository(file).exists(), "{document} names {file}");
        }
    }
}
