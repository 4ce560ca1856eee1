//! What decides: the engine, as plugins reach it.

use consentry::domain::Timestamp;
use consentry::policy::{AccessRequest, Evaluation, RequestError};
use consentry::{Engine, Uid};

use crate::clock;

/// What answers the questions of plugins.
pub trait Authority: Send + Sync {
    /// May this principal do this now?
    ///
    /// # Errors
    /// When the request is not a question. The host denies it.
    fn evaluate(&self, request: &AccessRequest) -> Result<Evaluation, RequestError>;

    /// What may this principal do to this resource now? Sorted by action.
    fn list(&self, principal: &Uid, resource: &Uid) -> Vec<(String, Option<Timestamp>)>;
}

/// The engine, at the time that the clock tells.
impl Authority for Engine {
    fn evaluate(&self, request: &AccessRequest) -> Result<Evaluation, RequestError> {
        Self::evaluate(self, request, clock::now())
    }

    fn list(&self, principal: &Uid, resource: &Uid) -> Vec<(String, Option<Timestamp>)> {
        self.permitted(principal, resource, clock::now())
    }
}
