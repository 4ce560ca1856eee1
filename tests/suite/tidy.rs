//! What keeps the repository readable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cedar_policy::PolicySet;

/// A file for one sitting: so many lines before its tests, and a few for good measure.
const LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below `folder`, without what is built or kept by git.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() || name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn with_extension(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    files(&folder).into_iter().filter(|path| path.extension().is_some_and(|own| own == extension)).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn every_file_is_for_one_sitting() {
    let mut too_long = Vec::new();
    for path in
        ["engine/src", "ledger/src", "server/src"].iter().flat_map(|folder| with_extension(folder, "rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > LINES {
            too_long.push(format!("{}: {lines} lines before its tests", shown(&path)));
        }
    }
    assert!(too_long.is_empty(), "\n{}", too_long.join("\n"));
}

/// The shipped policies as they are written, by their id.
fn policies() -> BTreeMap<String, String> {
    let mut policies = BTreeMap::new();
    for path in with_extension("policies", "cedar") {
        let set: PolicySet = fs::read_to_string(&path).unwrap().parse().unwrap();
        for policy in set.policies() {
            let id =
                policy.annotation("id").unwrap_or_else(|| panic!("no @id in {}: {policy}", shown(&path)));
            let before = policies.insert(id.to_owned(), policy.to_cedar().unwrap());
            assert!(before.is_none(), "two policies are `{id}`; one is in {}", shown(&path));
        }
    }
    policies
}

#[test]
fn every_policy_has_an_id_of_its_own() {
    assert!(!policies().is_empty());
}

/// Cedar has no functions, so that this clause stands in many policies. It is the same in all.
#[test]
fn responsible_installer_is_one_clause_in_all_policies() {
    let mut clauses = BTreeMap::new();
    for (id, text) in policies() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("resource.site", "resource");
        let words = ["manageAllSites", "manageAssignedSites"];
        if words.iter().all(|word| !text.contains(word)) {
            continue;
        }
        let begin = text
            .find("principal.company == resource.company")
            .unwrap_or_else(|| panic!("{id}: another clause"));
        let end = "principal in resource))";
        let length = text[begin..].find(end).unwrap_or_else(|| panic!("{id}: another clause")) + end.len();
        let (clause, rest) =
            (&text[begin..begin + length], [&text[..begin], &text[begin + length..]].concat());
        assert!(
            words.iter().all(|word| !rest.contains(word)),
            "{id}: there is more about it beside the clause"
        );
        clauses.entry(clause.to_owned()).or_insert_with(Vec::new).push(id);
    }
    assert_eq!(clauses.len(), 1, "{clauses:#?}");
}

#[test]
fn no_text_names_a_path_of_some_machine() {
    let machine = ["/wo", "rk/"].concat();
    let kinds = [
        "rs",
        "toml",
        "md",
        "cedar",
        "cedarschema",
        "json",
        "jsonl",
        "snap",
        "yml",
        "yaml",
        "sh",
        "txt",
        "proto",
    ];
    let mut found = Vec::new();
    for path in files(&root()) {
        let is_text = path.extension().is_none_or(|extension| kinds.iter().any(|kind| extension == *kind));
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if is_text && text.contains(&machine) {
            found.push(shown(&path));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

/// The modules that a file names with a comment.
fn named_in(index: &Path) -> BTreeSet<String> {
    let index = fs::read_to_string(index).unwrap();
    let named = index.lines().filter_map(|line| line.strip_prefix("mod ")?.split_once("; // "));
    named.map(|(module, _)| module.to_owned()).collect()
}

/// `suite.rs` names those in `suite/`, and `suite/plain.rs` those in `suite/plain/`.
#[test]
fn the_index_of_the_suite_names_every_module_once_with_a_comment() {
    let mut there: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for path in with_extension("tests/suite", "rs") {
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        there.entry(path.parent().unwrap().with_extension("rs")).or_default().insert(module);
    }
    for (index, modules) in there {
        assert_eq!(named_in(&index), modules, "{}", shown(&index));
    }
}

#[test]
fn every_script_stands_in_the_table_of_scenarios() {
    let table = fs::read_to_string(root().join("tests/README.md")).unwrap();
    for script in crate::scripts::scripts() {
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(table.contains(&format!("`{name}`")), "{name} is not in tests/README.md");
    }
}
