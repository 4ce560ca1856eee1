//! Asking the solver.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cedar_policy::{PolicySet, RequestEnv, Schema, ValidationMode, Validator};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, err};
use consentry::policy::Policies;
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};

use crate::counterexample::Counterexample;
use crate::proofs::Bound;
use crate::{Proof, ProveError};

/// How long one question may take, in milliseconds. All of those about the shipped policies take some
/// milliseconds each.
const LIMIT: u32 = 60_000;

/// What came of a proof.
#[derive(Debug)]
pub enum Verdict {
    /// It holds. The solver was asked so many questions: one for each type of principal, action and type
    /// of resource, and where policies are looked at one by one, for each policy.
    Proved(usize),
    /// It does not: here is a request.
    Refuted(Box<Counterexample>),
}

/// A solver that runs.
#[derive(Debug)]
pub struct Prover {
    compiler: CedarSymCompiler<LocalSolver>,
    /// INVARIANT: declared after what lives in it.
    runtime: Runtime,
}

impl Prover {
    /// Finds cvc5 by the variable `CVC5`, or else on `PATH`, and starts it.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub fn start() -> Result<Self, ProveError> {
        let executable = find(env::var_os("CVC5"), env::var_os("PATH"))?;
        let missing = |error: String| {
            ProveError::NoSolver(format!(" (`{}` does not start: {error})", executable.display()))
        };
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| missing(error.to_string()))?;
        let solver = {
            let _inside = runtime.enter();
            let mut command = Command::new(&executable);
            command.args(["--lang", "smt", &format!("--tlimit-per={LIMIT}")]).kill_on_drop(true);
            LocalSolver::from_command(&mut command)
        };
        let solver = solver.map_err(|error| missing(chain(&error)))?;
        let compiler = CedarSymCompiler::new(solver).map_err(|error| missing(chain(&error)))?;
        Ok(Self { compiler, runtime })
    }

    /// Whether the claim holds for these policies.
    ///
    /// # Errors
    /// When the solver fails or takes too long, or the claim does not fit the schema.
    pub fn prove(&mut self, proof: &Proof, policies: &Policies) -> Result<Verdict, ProveError> {
        let undecided = |message: String| ProveError::Undecided { proof: proof.name, message };
        match proof.bound()? {
            Some(bound) => {
                let kinds = kinds_within(proof, &bound, policies.schema())?;
                let most = compile(proof, &bound, &kinds, policies.schema())?;
                self.within(&bound, kinds.iter().zip(&most), policies)
            }
            None => self.no_errors(policies),
        }
        .map_err(undecided)
    }

    /// Each kind of request with what the bound comes to for it.
    fn within<'k>(
        &mut self,
        bound: &Bound,
        kinds: impl ExactSizeIterator<Item = (&'k RequestEnv, &'k CompiledPolicySet)>,
        policies: &Policies,
    ) -> Result<Verdict, String> {
        let (schema, questions) = (policies.schema(), kinds.len());
        for (kind, most) in kinds {
            let matching = matching(policies, kind)?;
            let ours = CompiledPolicySet::compile(matching, kind, schema).map_err(|error| chain(&error))?;
            let found = self.compiler.check_implies_with_counterexample_opt(&ours, most);
            if let Some(found) = wait(&self.runtime, found)? {
                return refuted(&found, matching, Some(&bound.policies), schema);
            }
        }
        Ok(Verdict::Proved(questions))
    }

    fn no_errors(&mut self, policies: &Policies) -> Result<Verdict, String> {
        let schema = policies.schema();
        let mut questions = 0;
        for kind in kinds(schema) {
            let matching = matching(policies, &kind)?;
            for policy in matching.policies() {
                let compiled =
                    CompiledPolicy::compile(policy, &kind, schema).map_err(|error| chain(&error))?;
                let found = self.compiler.check_never_errors_with_counterexample_opt(&compiled);
                if let Some(found) = wait(&self.runtime, found)? {
                    return refuted(&found, matching, None, schema);
                }
                questions += 1;
            }
        }
        Ok(Verdict::Proved(questions))
    }
}

/// What is asked. That there is nothing to ask is no proof.
fn matching<'p>(policies: &'p Policies, kind: &RequestEnv) -> Result<&'p PolicySet, String> {
    policies.matching(kind).ok_or_else(|| format!("nobody can do {} in the schema", kind.action()))
}

fn refuted(
    found: &Env,
    matching: &PolicySet,
    bound: Option<&PolicySet>,
    schema: &Schema,
) -> Result<Verdict, String> {
    let counterexample = Counterexample::new(found, matching, bound, schema);
    counterexample
        .map(|counterexample| Verdict::Refuted(Box::new(counterexample)))
        .ok_or_else(|| format!("the solver found a counterexample, and Cedar does not answer so: {found}"))
}

/// The kinds of requests that there are, in an order that does not change.
fn kinds(schema: &Schema) -> Vec<RequestEnv> {
    let mut kinds: Vec<RequestEnv> = schema.request_envs().collect();
    kinds.sort_by_cached_key(|kind| {
        (kind.action().to_string(), kind.principal().to_string(), kind.resource().to_string())
    });
    kinds
}

/// The kinds of requests that a bound is about: whoever might act, not only those that it names.
fn kinds_within(proof: &Proof, bound: &Bound, schema: &Schema) -> Result<Vec<RequestEnv>, ProveError> {
    let mut missing = bound.actions.clone();
    let mut concerned = kinds(schema);
    concerned.retain(|kind| bound.actions.contains(kind.action().id().unescaped()));
    for kind in &concerned {
        missing.remove(kind.action().id().unescaped());
    }
    if missing.is_empty() {
        return Ok(concerned);
    }
    let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("nobody can do {missing} in it");
    Err(ProveError::Inapplicable { proof: proof.name, message })
}

/// What the bound comes to for each kind. Where it cannot be understood, the claim speaks of something that the schema
/// does not have; it may name somebody whom the schema does not know.
fn compile(
    proof: &Proof,
    bound: &Bound,
    kinds: &[RequestEnv],
    schema: &Schema,
) -> Result<Vec<CompiledPolicySet>, ProveError> {
    let compile =
        |kind| CompiledPolicySet::compile(&bound.policies, kind, schema).map_err(|error| chain(&error));
    kinds.iter().map(compile).collect::<Result<_, _>>().map_err(|error| {
        let validated = Validator::new(schema.clone()).validate(&bound.policies, ValidationMode::Strict);
        let why = validated.validation_errors().next().map_or(error, ToString::to_string);
        let message = format!("the claim cannot be read with it: {why}");
        ProveError::Inapplicable { proof: proof.name, message }
    })
}

/// The executable that `CVC5` names, or else `cvc5`; in the folders of `PATH`, unless it is a whole path.
fn find(named: Option<OsString>, path: Option<OsString>) -> Result<PathBuf, ProveError> {
    let named = named.filter(|named| !named.is_empty()).map(PathBuf::from);
    let missing = || {
        let named = named.as_ref().map(|named| format!(" (CVC5 names `{}`: no such file)", named.display()));
        ProveError::NoSolver(named.unwrap_or_default())
    };
    let plain = Path::new("cvc5").with_extension(env::consts::EXE_EXTENSION);
    let name = named.as_ref().unwrap_or(&plain);
    if name.components().count() > 1 {
        return if name.is_file() { Ok(name.clone()) } else { Err(missing()) };
    }
    let folders: Vec<PathBuf> = path.iter().flat_map(env::split_paths).collect();
    let mut found = folders.iter().map(|folder| folder.join(name));
    found.find(|file| file.is_file()).ok_or_else(missing)
}

/// Waits for an answer. The solver keeps to its limit; this is for one that does not.
fn wait<T>(runtime: &Runtime, answer: impl Future<Output = Result<T, err::Error>>) -> Result<T, String> {
    let most = Duration::from_millis(u64::from(LIMIT)) * 2;
    match runtime.block_on(async { tokio::time::timeout(most, answer).await }) {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err("the solver does not answer".to_owned()),
    }
}

/// An error with all that caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(folder: &Path, name: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, "").unwrap();
        file
    }

    #[test]
    fn the_variable_names_the_solver_before_path_does() {
        let (named, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mine = executable(named.path(), "my-cvc5");
        executable(other.path(), "cvc5");
        let path = Some(other.path().as_os_str().to_owned());
        assert_eq!(find(Some(mine.clone().into_os_string()), path).unwrap(), mine);
    }

    #[test]
    fn the_first_folder_of_path_that_has_it_counts() {
        let (none, first, second) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let found = executable(first.path(), "cvc5");
        executable(second.path(), "cvc5");
        let other = executable(second.path(), "cvc5-1.3.1");
        let path = Some(env::join_paths([none.path(), first.path(), second.path()]).unwrap());
        assert_eq!(find(None, path.clone()).unwrap(), found);
        assert_eq!(find(Some("".into()), path.clone()).unwrap(), found);
        assert_eq!(find(Some("cvc5-1.3.1".into()), path).unwrap(), other);
    }

    #[test]
    fn where_there_is_no_solver_it_is_said_how_to_get_one() {
        let empty = tempfile::tempdir().unwrap();
        let path = Some(empty.path().as_os_str().to_owned());
        for named in [None, Some("/nowhere/cvc5".into())] {
            let error = find(named, path.clone()).unwrap_err();
            assert_eq!(error.code(), "solver_missing");
            assert!(error.to_string().contains("apt-get install cvc5"), "{error}");
        }
    }
}
