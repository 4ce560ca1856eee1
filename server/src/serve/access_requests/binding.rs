//! What a denial is bound to: subject, resource, action, and of the context what policies were asked with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::Timestamp;
use consentry::policy::AccessRequest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Signer, profile_problem};
use crate::serve::authzen::{Action, Entity, Whole};
use crate::serve::body::{Unique, sorted};
use crate::serve::problem::Problem;

/// The kind of the token, so that it is taken for no other.
const KIND: &str = "arap-binding+jwt";

/// What was asked, as it was asked: of properties and context only digests, so that a token is short whatever was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Bound {
    pub(super) subject: Value,
    pub(super) resource: Value,
    pub(super) action: Value,
    /// Of the context, what the schema declares.
    pub(super) context: String,
    /// The names of that.
    pub(super) binding_context_members: Vec<String>,
}

/// What stands for a value, however it is written.
fn digest(value: Value) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(sorted(value).to_string()))
}

/// The claims of a binding token (ARAP, "Binding Token Integrity").
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    denial_expires_at: Timestamp,
    pub(super) evaluation_id: String,
    /// When it was denied, to the millisecond.
    pub(super) evaluated_at: Timestamp,
    #[serde(flatten)]
    pub(super) bound: Bound,
}

/// What a request for access says about the denial.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[schemars(rename = "DenialBinding")]
pub(super) struct Denial {
    /// `context.access_request.expires_at` of the denial.
    expires_at: Timestamp,
    /// `context.access_request.binding_token` of the denial.
    binding_token: Option<String>,
    /// `context.evaluation_id` of the denial.
    evaluation_id: Option<String>,
}

/// Tokens that were used, until they end.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<HashMap<String, (Timestamp, String)>>);

impl Claims {
    /// Whether the denial is too long ago to ask for access with it.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        now.has_reached(self.denial_expires_at)
    }
}

impl Bound {
    pub(super) fn new(whole: &Whole<'_>, question: &AccessRequest) -> Self {
        let of_context = |context: &Unique| {
            let members = context.0.iter().filter(|(name, _)| question.context.contains_key(*name));
            members.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let context: Map<String, Value> = whole.context.map(of_context).unwrap_or_default();
        Self::of(whole.subject, whole.resource, whole.action, context)
    }

    pub(super) fn of(
        subject: &Entity<'_>,
        resource: &Entity<'_>,
        action: &Action<'_>,
        context: Map<String, Value>,
    ) -> Self {
        let (mut subject, mut resource, mut action) = (json!(subject), json!(resource), json!(action));
        // Whoever acts for the subject may be named elsewhere when access is asked for.
        if let Some(properties) = subject.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("act");
            if properties.is_empty() {
                subject.as_object_mut().map(|subject| subject.remove("properties"));
            }
        }
        for part in [&mut subject, &mut resource, &mut action] {
            if let Some(properties) = part.get_mut("properties") {
                *properties = Value::String(digest(properties.take()));
            }
        }
        let mut binding_context_members: Vec<String> = context.keys().cloned().collect();
        binding_context_members.sort_unstable();
        let context = digest(Value::Object(context));
        Self { subject, resource, action, context, binding_context_members }
    }

    /// Whether subject, resource and action are the same, whatever else is said of them: a grant is for a company, a
    /// permission and a device or site, and so is an approval's scope.
    pub(super) fn is_about_the_same_as(&self, other: &Self) -> bool {
        let same = |one: &Value, other: &Value, names: &[&str]| {
            names.iter().all(|name| one.get(name) == other.get(name))
        };
        same(&self.subject, &other.subject, &["type", "id"])
            && same(&self.resource, &other.resource, &["type", "id"])
            && same(&self.action, &other.action, &["name"])
    }

    /// Whether something else was asked about the same: the context is compared as far as it was bound.
    pub(super) fn is_for(
        &self,
        subject: &Entity<'_>,
        resource: &Entity<'_>,
        action: &Action<'_>,
        context: Option<&Unique>,
    ) -> bool {
        let given = |name: &String| Some((name.clone(), context?.0.get(name)?.clone()));
        let context: Map<String, Value> = self.binding_context_members.iter().filter_map(given).collect();
        *self == Self::of(subject, resource, action, context)
    }
}

impl Signer {
    /// A token that binds a request for access to a denial.
    pub(super) fn binding(
        &self,
        url: &str,
        evaluation_id: &str,
        now: Timestamp,
        expires_at: Timestamp,
        bound: Bound,
    ) -> Option<String> {
        let claims = Claims {
            iss: url.to_owned(),
            aud: url.to_owned(),
            iat: now.millis().div_euclid(1000),
            exp: expires_at.millis().div_euclid(1000) + 1,
            jti: evaluation_id.to_owned(),
            denial_expires_at: expires_at,
            evaluation_id: evaluation_id.to_owned(),
            evaluated_at: now,
            bound,
        };
        self.signed(KIND, &claims)
    }

    /// What a denial is bound to, if it was ours: see [`Claims::is_late`].
    pub(super) fn bound(&self, url: &str, denial: &Denial) -> Result<Claims, Problem> {
        let invalid = |why: &str| profile_problem(400, "invalid_denial_binding", why);
        let token = denial.binding_token.as_deref();
        let token = token.ok_or_else(|| {
            invalid("`denial.binding_token` is missing: an `evaluation_id` alone binds nothing here")
        })?;
        let claims: Claims =
            self.verified(KIND, token).ok_or_else(|| invalid("`denial.binding_token` was not made here"))?;
        if claims.iss != url || claims.aud != url {
            return Err(invalid("`denial.binding_token` is for another decision point"));
        }
        if claims.denial_expires_at != denial.expires_at {
            return Err(invalid("`denial.expires_at` is not that of the denial"));
        }
        if denial.evaluation_id.as_ref().is_some_and(|id| *id != claims.evaluation_id) {
            return Err(invalid("`denial.evaluation_id` is not that of the denial"));
        }
        Ok(claims)
    }
}

impl Used {
    /// Notes that these denials are used for `task`, and gives those that were not before; `None`: one of them was used
    /// for another task.
    pub(super) fn once(&self, all: &[Claims], task: &str, now: Timestamp) -> Option<Vec<String>> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, (until, _)| !now.has_reached(*until));
        let by = |claims: &Claims| used.get(&claims.evaluation_id).map(|(_, task)| task.as_str());
        if all.iter().any(|claims| by(claims).is_some_and(|by| by != task)) {
            return None;
        }
        let new: Vec<&Claims> = all.iter().filter(|claims| by(claims).is_none()).collect();
        for claims in &new {
            used.insert(claims.evaluation_id.clone(), (claims.denial_expires_at, task.to_owned()));
        }
        Some(new.into_iter().map(|claims| claims.evaluation_id.clone()).collect())
    }

    /// Forgets that these were used: nothing came of it.
    pub(super) fn forget(&self, ids: &[String]) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().for_each(|id| drop(used.remove(id)));
    }
}
