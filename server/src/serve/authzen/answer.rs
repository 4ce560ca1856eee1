//! Answers, in AuthZEN's words (AuthZEN 1.0 §4.5).

use consentry::policy::{DenyReason, Evaluation};
use consentry::{Revision, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::serve::problem::Problem;

/// One decision.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Decision {
    pub(super) decision: bool,
    context: Context,
}

/// What there is to say about it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "DecisionContext")]
enum Context {
    Evaluated {
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<DenyReason>,
        determining_policies: Vec<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        revision: Revision,
        policy_version: String,
    },
    /// It was no question: denied (AuthZEN 1.0 §6.3.1).
    Failed { error: Failed },
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EvaluationError")]
struct Failed {
    status: u16,
    code: &'static str,
    message: String,
}

impl From<Evaluation> for Decision {
    fn from(evaluation: Evaluation) -> Self {
        let decision = evaluation.is_allowed();
        let Evaluation {
            determining_policies, errors, valid_until, revision, reason, policy_version, ..
        } = evaluation;
        let context = Context::Evaluated {
            reason,
            determining_policies,
            errors,
            valid_until,
            revision,
            policy_version,
        };
        Self { decision, context }
    }
}

impl From<Problem> for Decision {
    fn from(problem: Problem) -> Self {
        let Problem { status, code, detail } = problem;
        let error = Failed { status: status.as_u16(), code, message: detail };
        Self { decision: false, context: Context::Failed { error } }
    }
}
