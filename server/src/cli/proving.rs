//! `consentry policy prove`.

use consentry::policy::Policies;
use consentry_prover::{Counterexample, Proof, ProveError, Prover, Verdict, proofs};
use serde::Serialize;
use serde_json::Value;

use super::output::{Colour, Output};
use super::{Ended, Failure};

#[derive(Serialize)]
struct Proven<'a> {
    proof: &'a str,
    claim: &'a str,
    /// `null`: it cannot be asked in this schema.
    holds: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    questions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counterexample: Option<Refuting>,
}

#[derive(Serialize)]
struct Refuting {
    allowed_by: Vec<String>,
    errors: Vec<String>,
    case: Value,
}

pub(super) fn prove(policies: &Policies, only: Option<&str>, output: &mut Output) -> Result<Ended, Failure> {
    let chosen: Vec<&Proof> =
        proofs().iter().filter(|proof| only.is_none_or(|only| proof.name.contains(only))).collect();
    if chosen.is_empty() {
        let names = proofs().iter().map(|proof| proof.name).collect::<Vec<_>>().join(", ");
        return Err(Failure::Malformed(format!("no claim has that in its name; there are {names}")));
    }
    let mut prover = Prover::start()?;
    let (mut refuted, mut unasked) = (0_usize, Vec::new());
    for proof in &chosen {
        match prover.prove(proof, policies) {
            Ok(Verdict::Proved(questions)) => held(proof, questions, output)?,
            Ok(Verdict::Refuted(counterexample)) => {
                refuted += 1;
                refute(proof, &counterexample, output)?;
            }
            Err(error @ ProveError::Inapplicable { .. }) => {
                leave(proof, &error, output)?;
                unasked.push(error);
            }
            Err(error) => return Err(error.into()),
        }
        // One may take a while: whoever waits sees how far it is.
        output.flush()?;
    }
    let holding = chosen.len() - refuted - unasked.len();
    let verb = if holding == 1 { "claim holds" } else { "claims hold" };
    output.line(&format!("{holding} {verb}, {refuted} refuted"))?;
    match unasked.into_iter().next() {
        _ if refuted > 0 => Ok(Ended::No),
        Some(error) => Err(error.into()),
        None => Ok(Ended::Yes),
    }
}

fn leave(proof: &Proof, error: &ProveError, output: &mut Output) -> Result<(), Failure> {
    let (name, claim) = (proof.name, proof.claim());
    output.object(&Proven { proof: name, claim, holds: None, questions: None, counterexample: None })?;
    let word = output.paint(Colour::Yellow, "unknown");
    output.line(&format!("{word}  {name}\n         {claim}\n         but {error}"))?;
    Ok(())
}

fn held(proof: &Proof, questions: usize, output: &mut Output) -> Result<(), Failure> {
    let (name, claim) = (proof.name, proof.claim());
    output.object(&Proven {
        proof: name,
        claim,
        holds: Some(true),
        questions: Some(questions),
        counterexample: None,
    })?;
    let word = output.paint(Colour::Green, "holds");
    output.line(&format!("{word}    {name} ({questions} questions)\n         {claim}"))?;
    Ok(())
}

fn refute(proof: &Proof, found: &Counterexample, output: &mut Output) -> Result<(), Failure> {
    let (name, claim) = (proof.name, proof.claim());
    let counterexample = Some(Refuting {
        allowed_by: found.allowed_by.clone(),
        errors: found.errors.clone(),
        case: found.case(claim),
    });
    output.object(&Proven { proof: name, claim, holds: Some(false), questions: None, counterexample })?;
    let word = output.paint(Colour::Red, "REFUTED");
    output.line(&format!("{word}  {name}\n         {claim}"))?;
    let Counterexample { principal, action, resource, .. } = found;
    let asked = format!("{principal} {action} {resource}");
    let by = found.allowed_by.join(", ");
    let what = match (found.allowed_by.is_empty(), found.errors.is_empty()) {
        (true, _) => format!("but {asked} runs into an error, where"),
        (false, true) => format!("but {asked} is allowed by {by}, where"),
        (false, false) => format!("but {asked} would be allowed by {by}, were it not for an error, where"),
    };
    output.line(&format!("         {what}"))?;
    for (of, fact) in found.facts() {
        output.line(&format!("           {of}: {fact}"))?;
    }
    for error in &found.errors {
        output.line(&format!("           {error}"))?;
    }
    Ok(())
}
