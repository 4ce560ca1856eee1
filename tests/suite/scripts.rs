//! Every script in `tests/scripts` gets the answers that stand beside it (`<name>.answers.jsonl`).
//!
//! `UPDATE_ANSWERS=1` writes them anew; whoever does that reads what changed. Messages are for people
//! and are left out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{fresh, replay};

/// The scripts, in the order of their names.
pub(crate) fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| is_script(path))
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

fn is_script(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".jsonl") && !path.to_string_lossy().ends_with(".answers.jsonl")
}

/// An answer without the sentences that are for people.
fn without_message(answer: Value) -> Value {
    let Value::Object(fields) = answer else { return answer };
    Value::Object(fields.into_iter().filter(|(name, _)| name != "message").collect())
}

#[test]
fn every_script_gets_the_answers_beside_it() {
    let update = std::env::var_os("UPDATE_ANSWERS").is_some();
    let mut differences = Vec::new();
    for script in scripts() {
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        let engine = fresh();
        let (answers, stopped) = replay(&engine, &fs::read_to_string(&script).unwrap());
        assert_eq!(stopped, None, "{name}");
        let answers: Vec<Value> = answers.into_iter().map(without_message).collect();
        let golden = script.with_extension("answers.jsonl");
        if update {
            let lines: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
            fs::write(&golden, lines).unwrap();
        }
        let written = fs::read_to_string(&golden).unwrap_or_default();
        let expected: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if expected.len() != answers.len() {
            differences.push(format!("{name}: {} answers, {} expected", answers.len(), expected.len()));
        }
        let pairs = expected.iter().zip(&answers).filter(|(expected, answer)| expected != answer);
        differences.extend(
            pairs.map(|(expected, answer)| format!("{name}:\n  expected {expected}\n  got      {answer}")),
        );
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn every_file_of_answers_belongs_to_a_script() {
    let scripts = scripts();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        if !is_script(&path) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let script = path.with_file_name(name.replace(".answers.jsonl", ".jsonl"));
            assert!(scripts.contains(&script), "{name} answers no script");
        }
    }
}
