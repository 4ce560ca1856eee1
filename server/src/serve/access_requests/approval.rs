//! Approvals: what an owner's acceptance is called at the wire, and what it comes to when it is shown again.

use consentry::Timestamp;
use consentry::domain::GrantId;
use consentry::lifecycle::grant::GrantState;
use consentry::policy::Reading;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::binding::Bound;
use super::{AccessRequests, Said, Signer};
use crate::serve::app::App;

/// The kind of the token, so that it is taken for no other.
const KIND: &str = "arap-approval+jwt";

/// What came of a request for access that was approved (ARAP, "Completion Semantics").
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestResult")]
pub(super) struct Outcome {
    /// `reevaluate`: ask again, and show the approval.
    mode: &'static str,
    approval: Approval,
}

/// An approval, to be shown unchanged as `context.approval`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Approval {
    id: String,
    approved_until: Timestamp,
    state: String,
}

/// An approval that counts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApprovalEcho")]
pub(super) struct Echo {
    id: String,
    approved_until: Timestamp,
}

/// What an approval's state says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    approval_id: String,
    grant: GrantId,
    approved_until: Timestamp,
    #[serde(flatten)]
    bound: Bound,
}

/// An approval as somebody shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    state: String,
}

impl Outcome {
    /// The result of the item at `place` of `task`, whose acceptance made `grant`.
    pub(super) fn approved(
        signer: &Signer,
        url: &str,
        (task, place): (&str, usize),
        (grant, until): (GrantId, Option<Timestamp>),
        bound: Bound,
    ) -> Option<Self> {
        let id = signer.name("apr_", &[task, &place.to_string()]);
        // Without end: as far ahead as can be written.
        let approved_until = until.unwrap_or(Timestamp::MAX);
        let claims = Claims {
            iss: url.to_owned(),
            aud: url.to_owned(),
            approval_id: id.clone(),
            grant,
            approved_until,
            bound,
        };
        let state = signer.signed(KIND, &claims)?;
        Some(Self { mode: "reevaluate", approval: Approval { id, approved_until, state } })
    }
}

impl AccessRequests {
    /// What a shown approval comes to. The policies have decided: it adds to what they say, and allows nothing.
    pub(super) fn judged(
        &self,
        app: &App,
        reading: &Reading,
        shown: &Value,
        bound: &Bound,
        allowed: bool,
    ) -> Said {
        let denied = |because, next_action| Said {
            because: Some(because),
            next_action: Some(next_action),
            ..Said::default()
        };
        let claims = serde_json::from_value(shown.clone()).ok().and_then(|Shown { id, state }| {
            let claims: Claims = self.signer.verified(KIND, &state)?;
            (claims.approval_id == id && claims.iss == app.public_url && claims.aud == app.public_url)
                .then_some(claims)
        });
        let Some(claims) = claims else {
            return Said { denies: true, ..denied("approval_unverifiable", "none") };
        };
        if !claims.bound.is_about_the_same_as(bound) {
            return if allowed { Said::default() } else { denied("out_of_scope", "request") };
        }
        let directory = app.decision_point.engine().map(consentry::Engine::directory);
        let grant = directory.as_ref().and_then(|directory| directory.grant(claims.grant.as_str()));
        let is_live = |state: GrantState| matches!(state.seen_at(reading.now()), GrantState::Active { .. });
        let counts = grant.is_some_and(|grant| is_live(grant.state()));
        if allowed {
            let echo = Echo { id: claims.approval_id, approved_until: claims.approved_until };
            return Said { approval: counts.then_some(echo), ..Said::default() };
        }
        if counts { denied("policy_denied", "none") } else { denied("approval_expired", "request") }
    }
}
