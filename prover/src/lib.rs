//! What holds of policies for every request that there can be: claims about who may do what, shown by a
//! solver, or refuted by a request that is a counterexample.
//!
//! Cedar's symbolic compiler turns policies and schema into formulas, and cvc5 says whether there is a
//! request on which they come apart. What is shown is shown for all principals, resources, attributes,
//! contexts and hierarchies that fit the schema, provided that every entity which an attribute names is
//! there: what the engine hands to Cedar is closed in this way. How the engine finds the facts is not part
//! of it; the grant in `context.grant`, say, is taken as given.

mod cast;
mod counterexample;
mod facts;
mod proofs;
mod solver;

pub use counterexample::Counterexample;
pub use proofs::{Proof, proofs};
pub use solver::{Prover, Verdict};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No executable was found.
    #[error(
        "there is no solver: install cvc5 (Debian: `apt-get install cvc5`) so that `cvc5` is found on PATH, or let \
         the variable CVC5 name its executable{0}"
    )]
    NoSolver(String),
    /// It did not do what it was asked for, or took too long.
    #[error("`{proof}` could not be decided: {message}")]
    Undecided {
        /// The proof's name.
        proof: &'static str,
        /// What went wrong.
        message: String,
    },
    /// The policies have a schema in which the claim makes no sense.
    #[error("`{proof}` does not apply to this schema: {message}")]
    Inapplicable {
        /// The proof's name.
        proof: &'static str,
        /// What the schema lacks.
        message: String,
    },
}

impl ProveError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSolver(_) => "solver_missing",
            Self::Undecided { .. } => "proof_undecided",
            Self::Inapplicable { .. } => "proof_inapplicable",
        }
    }
}
