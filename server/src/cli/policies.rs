//! `consentry policy`.

use std::collections::BTreeMap;

use consentry::policy::{Policies, PolicySources};
use serde::Serialize;

use super::arguments::PolicyCommand;
use super::output::{Colour, Output, placed};
use super::{Ended, Failure, proving};
use crate::folder::{self, Cases};
use crate::shipped;

pub(super) fn run(command: &PolicyCommand, output: &mut Output) -> Result<Ended, Failure> {
    match command {
        PolicyCommand::Check { policies, compiled } => {
            let sources = match &policies.folder {
                Some(folder) => folder::read(folder)?,
                None => PolicySources::shipped(),
            };
            check(&sources, *compiled, output)?;
            Ok(Ended::Yes)
        }
        PolicyCommand::Test { policies, only } => {
            let (set, cases) = match &policies.folder {
                Some(folder) => (Policies::load(&folder::read(folder)?)?, folder::read_cases(folder)?),
                None => (Policies::shipped()?, shipped::cases()?),
            };
            test(&set, &cases, only.as_deref(), output)
        }
        PolicyCommand::Prove { policies, only } => {
            proving::prove(&super::load_policies(policies.folder.as_deref())?, only.as_deref(), output)
        }
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    files: usize,
    policies: &'a [String],
    version: &'a str,
    warnings: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compiled: Option<BTreeMap<&'a str, String>>,
}

fn check(sources: &PolicySources, compiled: bool, output: &mut Output) -> Result<(), Failure> {
    let policies = Policies::load(sources)?;
    let files = sources.policies.len();
    let warnings = policies.warnings().iter().map(placed).collect();
    let not_compiled = policies.not_compiled();
    let why = not_compiled.iter().map(|(id, why)| (*id, why.to_string()));
    output.object(&Checked {
        files,
        policies: policies.ids(),
        version: policies.version(),
        warnings,
        not_compiled: compiled.then(|| why.collect()),
    })?;
    for warning in policies.warnings() {
        let word = output.paint(Colour::Yellow, "warning");
        output.line(&format!("{word}: {warning}"))?;
    }
    let count = policies.ids().len();
    if count == 0 {
        let word = output.paint(Colour::Yellow, "warning");
        output
            .line(&format!("{word}: there is no policy in any `.cedar` file: everything will be denied"))?;
    }
    output.line(&format!("{count} policies in {files} files are valid (version {})", policies.version()))?;
    if compiled {
        for (id, why) in &not_compiled {
            let word = output.paint(Colour::Yellow, "left to Cedar");
            output.line(&format!("{word}: `{id}`: {why}"))?;
        }
        let (kinds, programs) = policies.compiled_count();
        let compiled = count - not_compiled.len();
        output.line(&format!(
            "{compiled} policies are compiled: {programs} programs for {kinds} kinds of questions"
        ))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Ran<'a> {
    file: &'a str,
    case: &'a str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

fn test(
    policies: &Policies,
    cases: &Cases,
    only: Option<&str>,
    output: &mut Output,
) -> Result<Ended, Failure> {
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for (file, cases_of_file) in &cases.files {
        for case in cases_of_file {
            if only.is_some_and(|only| !case.name.contains(only)) {
                continue;
            }
            let result = policies.run_case(&cases.cast, case);
            let message = result.as_ref().err().map(String::as_str);
            output.object(&Ran { file, case: &case.name, passed: result.is_ok(), message })?;
            match message {
                None => passed += 1,
                Some(message) => {
                    failed += 1;
                    let word = output.paint(Colour::Red, "FAILED");
                    output.line(&format!("{word}  {file}: {}\n        {message}", case.name))?;
                }
            }
        }
    }
    let noun = if passed == 1 { "case" } else { "cases" };
    output.line(&format!("{passed} {noun} passed, {failed} failed"))?;
    if passed + failed == 0 {
        return Err(Failure::Malformed("there are no cases to run (`cases/*.json`)".into()));
    }
    Ok(if failed == 0 { Ended::Yes } else { Ended::No })
}
