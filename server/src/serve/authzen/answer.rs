//! Answers, in AuthZEN's words (AuthZEN 1.0 §4.5).

use std::sync::Arc;

use consentry::policy::{DenyReason, Evaluation};
use consentry::{Revision, Timestamp};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::serve::access_requests::Said;
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
        reason: Option<&'static str>,
        determining_policies: Vec<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        revision: Revision,
        #[serde(serialize_with = "text")]
        #[schemars(with = "String")]
        policy_version: Arc<str>,
        /// What is said about asking for access, and about an approval that was shown (ARAP).
        #[serde(flatten)]
        said: Option<Box<Said>>,
    },
    /// It was no question: denied (AuthZEN 1.0 §6.3.1).
    Failed { error: Failed },
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EvaluationError")]
struct Failed {
    status: u16,
    code: &'static str,
    message: String,
}

impl Decision {
    /// What an evaluation says, and what there is to say beside it.
    pub(super) fn new(decision: bool, evaluation: Evaluation, said: Option<Box<Said>>) -> Self {
        let reason = if decision { None } else { reason(&evaluation, said.as_deref()) };
        let Evaluation { determining_policies, errors, valid_until, revision, policy_version, .. } =
            evaluation;
        let valid_until = valid_until.filter(|_| decision);
        let context = Context::Evaluated {
            reason,
            determining_policies,
            errors,
            valid_until,
            revision,
            policy_version,
            said,
        };
        Self { decision, context }
    }
}

/// The code of a denial.
pub(super) fn reason(evaluation: &Evaluation, said: Option<&Said>) -> Option<&'static str> {
    said.and_then(|said| said.because).or_else(|| evaluation.reason.map(DenyReason::name))
}

impl From<Problem> for Decision {
    fn from(problem: Problem) -> Self {
        let Problem { status, code, detail, .. } = problem;
        let error = Failed { status: status.as_u16(), code, message: detail };
        Self { decision: false, context: Context::Failed { error } }
    }
}
