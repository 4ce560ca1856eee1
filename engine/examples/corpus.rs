//! Answers every request of Cedar's public integration tests with compiled policies, and compares decision, determining
//! policies and failed policies with what the tests expect and with what Cedar's authorizer says.
//!
//! `cargo run --release -p consentry --example corpus -- PATH`, with the path of a copy of
//! <https://github.com/cedar-policy/cedar-integration-tests> whose `corpus-tests.tar.gz` is unpacked. Ends with 1 if there
//! was a mismatch.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cedar_policy::{Context, Decision, Entities, EntityUid, PolicySet, Request, Schema};
use consentry::policy::compiled::{self, Compared};
use serde_json::Value;

type Tried<T> = Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Tally {
    tests: usize,
    requests: usize,
    mismatches: usize,
    compiled: usize,
    fell_back: usize,
    /// Why policies were left to Cedar, with how many requests.
    why: BTreeMap<String, usize>,
}

fn main() -> ExitCode {
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: corpus PATH");
        return ExitCode::from(2);
    };
    let mut tally = Tally::default();
    for file in files(&root) {
        if let Err(error) = tally.test(&root, &file) {
            eprintln!("{}: {error}", file.display());
            tally.mismatches += 1;
        }
    }
    if tally.tests == 0 {
        eprintln!("there are no tests below {}: is `corpus-tests.tar.gz` unpacked?", root.display());
        return ExitCode::from(2);
    }
    for (why, requests) in &tally.why {
        println!("{requests} requests fell back: {why}");
    }
    let Tally { tests, requests, mismatches, compiled, fell_back, .. } = tally;
    println!(
        "{tests} tests, {requests} requests, {mismatches} mismatches, {compiled} compiled, {fell_back} fell back"
    );
    if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The files that describe tests, sorted.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.join("corpus-tests"), root.join("tests")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".json") && !name.ends_with(".entities.json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn text<'v>(value: &'v Value, key: &str) -> Tried<&'v str> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("no `{key}`").into())
}

fn texts(value: &Value, key: &str) -> Tried<Vec<String>> {
    let texts = value.get(key).and_then(Value::as_array).ok_or_else(|| format!("no `{key}`"))?;
    let mut texts: Vec<String> = texts.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    texts.sort_unstable();
    Ok(texts)
}

fn uid(request: &Value, key: &str) -> Tried<EntityUid> {
    Ok(EntityUid::from_json(request.get(key).cloned().unwrap_or_default())?)
}

impl Tally {
    fn test(&mut self, root: &Path, file: &Path) -> Tried<()> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let test: Value = serde_json::from_str(&read(file)?)?;
        let part = |key| -> Tried<String> { Ok(read(&root.join(text(&test, key)?))?) };
        let policies: PolicySet = part("policies")?.parse()?;
        let (schema, _) = Schema::from_cedarschema_str(&part("schema")?)?;
        let entities = Entities::from_json_str(&part("entities")?, Some(&schema))?;
        self.tests += 1;
        for request in test.get("requests").and_then(Value::as_array).into_iter().flatten() {
            self.requests += 1;
            let expected = Compared {
                decision: if text(request, "decision")? == "allow" {
                    Decision::Allow
                } else {
                    Decision::Deny
                },
                determining_policies: texts(request, "reason")?,
                failed: texts(request, "errors")?,
            };
            let action = uid(request, "action")?;
            let context = request.get("context").cloned().unwrap_or_default();
            let context = Context::from_json_value(context, Some((&schema, &action)))?;
            let (principal, resource) = (uid(request, "principal")?, uid(request, "resource")?);
            let request = Request::new(principal, action, resource, context, None)?;
            let cedar = compiled::by_cedar(&policies, &request, &entities);
            match compiled::answer(&policies, &request, &entities) {
                Ok(compared) => {
                    self.compiled += 1;
                    if compared != expected || compared != cedar {
                        self.mismatches += 1;
                        eprintln!(
                            "{}: {request}\n  compiled {compared:?}\n  expected {expected:?}\n  Cedar {cedar:?}",
                            file.display()
                        );
                    }
                }
                Err(why) => {
                    self.fell_back += 1;
                    let why = why.first().map_or("a value is unknown".to_owned(), |(_, why)| why.to_string());
                    *self.why.entry(why).or_default() += 1;
                    if cedar != expected {
                        self.mismatches += 1;
                    }
                }
            }
        }
        Ok(())
    }
}
