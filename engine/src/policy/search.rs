//! Who may, and on what: the questions that are asked of everything there is.
//!
//! A search asks one check for each candidate, in the order of their ids, and so finds exactly what checks allow.

use super::{Claims, Reading, RequestError};
use crate::domain::Uid;

/// What is sought.
#[derive(Debug, Clone, PartialEq)]
pub enum Sought {
    /// Who may do something on a resource.
    Principals {
        /// Of which type.
        entity_type: String,
        /// What they may do.
        action: String,
        /// On what.
        resource: Uid,
    },
    /// On what a principal may do something.
    Resources {
        /// Who.
        principal: Uid,
        /// What they may do.
        action: String,
        /// Of which type.
        entity_type: String,
    },
}

/// Where a search begins, and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The candidate after which it begins; `None`: with the first.
    pub after: Option<String>,
    /// It ends when it has found so many,
    pub found: usize,
    /// or when it has asked for so many candidates.
    pub asked: usize,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The ids, sorted.
    pub ids: Vec<String>,
    /// The last candidate that was asked for, if there may be more after it.
    pub next: Option<String>,
}

/// Candidates that are taken from the source at once.
const CANDIDATES: usize = 1024;

impl Reading {
    /// Goes through everything there is of the sought type. What `claims` say of the sought entity is said of each
    /// candidate. O(candidates), one check each; `go_on` is asked after each, and ends the page when it says no.
    ///
    /// # Errors
    /// When what is asked is no question.
    pub fn search(
        &self,
        sought: &Sought,
        claims: &Claims,
        span: &Span,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Found, RequestError> {
        let (entity_type, action) = match sought {
            Sought::Principals { entity_type, action, .. }
            | Sought::Resources { entity_type, action, .. } => (entity_type, action),
        };
        let candidate = |id: &str| match sought {
            Sought::Principals { resource, .. } => (Uid::new(entity_type, id), resource.clone()),
            Sought::Resources { principal, .. } => (principal.clone(), Uid::new(entity_type, id)),
        };
        let mut found = Found::default();
        let (types, mut asked) = (candidate(""), 0);
        if self.policies.environment(types.0.type_name(), action, types.1.type_name()).is_none() {
            return Ok(found);
        }
        let mut after = span.after.clone();
        loop {
            let ids = self.source.ids(entity_type, after.as_deref(), CANDIDATES);
            let is_last = ids.len() < CANDIDATES;
            for id in ids {
                if found.ids.len() >= span.found || asked >= span.asked || (asked > 0 && !go_on()) {
                    found.next = after;
                    return Ok(found);
                }
                let (principal, resource) = candidate(&id);
                let request = self.policies.question_with(principal, action, resource, claims)?;
                asked += 1;
                if self.evaluate(&request)?.is_allowed() {
                    found.ids.push(id.clone());
                }
                after = Some(id);
            }
            if is_last {
                return Ok(found);
            }
        }
    }
}
