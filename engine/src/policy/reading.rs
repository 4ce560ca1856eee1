//! Policies and facts as they are at one moment.

use std::sync::Arc;

use super::{AccessRequest, Claims, EntitySource, Evaluation, Evaluator, Policies, RequestError};
use crate::directory::Revision;
use crate::domain::{Timestamp, Uid};

/// One set of policies, facts at one revision, and one moment: all questions that are put to it are answered from the
/// same. Cloning it is O(1).
#[derive(Clone)]
pub struct Reading {
    pub(super) policies: Policies,
    pub(super) source: Arc<dyn EntitySource + Send + Sync>,
    pub(super) revision: Revision,
    pub(super) now: Timestamp,
    witness: Option<Arc<dyn Witness>>,
}

/// Sees what a reading answers.
pub trait Witness: Send + Sync {
    /// A question was answered. Whoever asked waits meanwhile.
    fn saw(&self, reading: &Reading, request: &AccessRequest, evaluation: &Evaluation);
}

impl Reading {
    /// A reading of what `source` knows at `revision`.
    #[must_use]
    pub fn new(
        policies: Policies,
        source: Arc<dyn EntitySource + Send + Sync>,
        revision: Revision,
        now: Timestamp,
    ) -> Self {
        Self { policies, source, revision, now, witness: None }
    }

    /// The same, with somebody who sees what it answers.
    #[must_use]
    pub fn witnessed(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// The policies that answer.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The revision of the facts.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// As [`Policies::evaluate`].
    ///
    /// # Errors
    /// When the request is not a question; a denial is an answer.
    pub fn evaluate(&self, request: &AccessRequest) -> Result<Evaluation, RequestError> {
        let evaluation = self.policies.evaluate(&*self.source, self.revision, request, self.now)?;
        if let Some(witness) = &self.witness {
            witness.saw(self, request, &evaluation);
        }
        Ok(evaluation)
    }

    /// As [`Reading::evaluate`], by this evaluator; nobody sees it.
    ///
    /// # Errors
    /// As [`Reading::evaluate`].
    pub fn evaluate_by(
        &self,
        evaluator: Evaluator,
        request: &AccessRequest,
    ) -> Result<Evaluation, RequestError> {
        self.policies.evaluate_by(evaluator, &*self.source, self.revision, request, self.now)
    }

    /// As [`Policies::permitted`].
    ///
    /// # Errors
    /// When the claims name what only the engine knows, or say two things at once.
    pub fn permitted(
        &self,
        principal: &Uid,
        resource: &Uid,
        claims: &Claims,
    ) -> Result<Vec<(String, Option<Timestamp>)>, RequestError> {
        self.policies.permitted(&*self.source, self.revision, (principal, resource), claims, self.now)
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("policies", &self.policies.version())
            .field("revision", &self.revision)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
