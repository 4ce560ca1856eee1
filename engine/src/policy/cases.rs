//! Cases: what policies are to answer, written by those who write policies.
//!
//! A case is JSON in the form that Cedar's own `run-tests` reads, with a name that is a sentence. The
//! entities are those of a small cast, which a case may change for itself.

use std::collections::BTreeMap;

use cedar_policy::{Context, Decision, Entities, EntityUid, Request};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Policies;
use crate::domain::Uid;

/// The moment at which a case is asked that names none.
const NOON: &str = "2026-03-01T12:00:00.000Z";

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// The question.
    pub request: CaseRequest,
    /// Entities that take the place of those of the cast with the same uid, or join them.
    #[serde(default)]
    pub entities: Vec<Value>,
    /// `allow` or `deny`.
    pub decision: CaseDecision,
    /// The ids of exactly the policies that decide.
    pub reason: Vec<String>,
    /// How many policies fail. None, if left out.
    #[serde(default)]
    pub num_errors: usize,
}

/// The question of a case, in Cedar's form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRequest {
    /// Who acts: `Installer::"ivan"`.
    pub principal: String,
    /// What they do: `Action::"liveView"`.
    pub action: String,
    /// On what: `Device::"cam-7"`.
    pub resource: String,
    /// What else is known. `now` is noon of 2026-03-01 if left out.
    #[serde(default)]
    pub context: Map<String, Value>,
}

/// The decision of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseDecision {
    /// It is permitted.
    Allow,
    /// It is not.
    Deny,
}

impl Policies {
    /// Asks the question of `case` and compares the answer: decision, exactly the policies that
    /// decided, and the number of errors.
    ///
    /// # Errors
    /// What is otherwise than the case says, as a sentence, or why it is no question.
    pub fn run_case(&self, cast: &[Value], case: &Case) -> Result<(), String> {
        let uid = |text: &str| text.parse::<EntityUid>().map_err(|error| format!("`{text}`: {error}"));
        let (principal, action) = (uid(&case.request.principal)?, uid(&case.request.action)?);
        let resource = uid(&case.request.resource)?;
        let schema = &self.inner.schema;
        let all = merged(cast, &case.entities);
        for uid in [&principal, &resource] {
            // These have no attributes that could be missing: one that is not there is like one that is.
            let bare = ["Operator", "Company"].contains(&uid.type_name().basename());
            if !bare && !all.contains_key(&key(uid)) {
                return Err(format!("there is no `{uid}` in the cast, nor among the case's own entities"));
            }
        }
        let entities = Entities::from_json_value(Value::Array(all.into_values().collect()), Some(schema))
            .map_err(|error| format!("the entities: {}", chain(&error)))?;
        let mut context = case.request.context.clone();
        context.entry("now").or_insert_with(|| Value::String(NOON.to_owned()));
        let context = Context::from_json_value(Value::Object(context), Some((schema, &action)))
            .map_err(|error| format!("the context: {}", chain(&error)))?;
        let request =
            Request::new(principal.clone(), action.clone(), resource.clone(), context, Some(schema))
                .map_err(|error| format!("the request: {}", chain(&error)))?;
        let types = (principal.type_name().to_string(), resource.type_name().to_string());
        let environment = self
            .environment(&types.0, action.id().unescaped(), &types.1)
            .ok_or_else(|| format!("the schema lets no {} do {action} on a {}", types.0, types.1))?;
        let verdict = self.respond(&environment.policies, &request, &entities);
        let mut reason = case.reason.clone();
        reason.sort();
        let decision = match verdict.decision {
            Decision::Allow => CaseDecision::Allow,
            Decision::Deny => CaseDecision::Deny,
        };
        if decision == case.decision
            && verdict.determining_policies == reason
            && verdict.errors.len() == case.num_errors
        {
            return Ok(());
        }
        let name = |decision| if decision == CaseDecision::Allow { "allow" } else { "deny" };
        let listed = |ids: &[String]| if ids.is_empty() { "no policy".to_owned() } else { ids.join(", ") };
        let mut message = format!(
            "expected {} by {}, got {} by {}",
            name(case.decision),
            listed(&reason),
            name(decision),
            listed(&verdict.determining_policies),
        );
        if verdict.errors.len() != case.num_errors {
            message.push_str(&format!("; expected {} errors, got {}", case.num_errors, verdict.errors.len()));
        }
        for error in &verdict.errors {
            message.push_str("; ");
            message.push_str(error);
        }
        Err(message)
    }
}

/// An error with all that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
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

fn key(uid: &EntityUid) -> Uid {
    Uid::new(&uid.type_name().to_string(), uid.id().unescaped())
}

/// The cast with the case's own entities in place of those with the same uid.
fn merged(cast: &[Value], own: &[Value]) -> BTreeMap<Uid, Value> {
    let key = |entity: &Value| {
        let part =
            |name: &str| entity.pointer(&format!("/uid/{name}")).and_then(Value::as_str).unwrap_or_default();
        Uid::new(part("type"), part("id"))
    };
    let all = cast.iter().chain(own).map(|entity| (key(entity), entity.clone()));
    all.collect()
}
