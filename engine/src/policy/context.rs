//! The context of a question: what its asker says, and what only the engine knows.

use std::sync::LazyLock;

use cedar_policy::{Context, EvalResult, RestrictedExpression};
use cedar_policy_core::ast;
use serde_json::{Map, Value};

use super::evaluate::{AccessRequest, RequestError};
use super::{Environment, Policies};
use crate::directory::Coverage;
use crate::domain::Timestamp;

impl Policies {
    /// The context in which `request` is asked, checked against the schema. What no policy looks at may be left out.
    pub(super) fn context(
        &self,
        environment: &Environment,
        request: &AccessRequest,
        coverage: Option<Coverage>,
        now: Timestamp,
    ) -> Result<Context, RequestError> {
        let bad = |error: &dyn std::fmt::Display| RequestError::Context(error.to_string());
        let until = match coverage {
            Some(Coverage::Live { until }) => Some(until),
            Some(Coverage::Never | Coverage::Over) | None => None,
        };
        if !request.context.is_empty() || environment.declared.asks_for_context() {
            // The schema says how the caller's JSON is read; the engine's own values go the same way.
            let mut whole = request.context.clone();
            if environment.declared.in_context("now") {
                whole.insert("now".to_owned(), Value::String(now.to_string()));
            }
            if let Some(until) = until {
                let mut grant =
                    Map::from_iter([("permission".to_owned(), Value::String(request.action.clone()))]);
                grant.extend(until.map(|until| ("until".to_owned(), Value::String(until.to_string()))));
                whole.insert("grant".to_owned(), Value::Object(grant));
            }
            let schema = Some((&self.inner.schema, &environment.action));
            let whole =
                Context::from_json_value(Value::Object(whole), schema).map_err(|error| bad(&error))?;
            whole.validate(&self.inner.schema, &environment.action).map_err(|error| bad(&error))?;
            // The slice holds what principal and resource lead to, and nothing of what is named only here.
            let named = request
                .context
                .keys()
                .find(|key| whole.get(key).is_some_and(|value| names_an_entity(&value)));
            if let Some(key) = named {
                return Err(RequestError::Context(format!(
                    "`{key}` names an entity; a context holds values alone"
                )));
            }
            return Ok(whole);
        }
        let wants = |name| environment.hints.wants(name);
        let mut own = Vec::new();
        if wants("now") {
            own.push(("now".to_owned(), datetime(now)));
        }
        if let Some(until) = until.filter(|_| wants("grant")) {
            let mut fields =
                vec![("permission".to_owned(), RestrictedExpression::new_string(request.action.clone()))];
            fields.extend(until.map(|until| ("until".to_owned(), datetime(until))));
            let record = RestrictedExpression::new_record(fields).map_err(|error| bad(&error))?;
            own.push(("grant".to_owned(), record));
        }
        Context::from_pairs(own).map_err(|error| bad(&error))
    }
}

/// Whether a value leads to an entity.
pub(super) fn names_an_entity(value: &EvalResult) -> bool {
    match value {
        EvalResult::EntityUid(_) => true,
        EvalResult::Set(values) => values.iter().any(names_an_entity),
        EvalResult::Record(fields) => fields.iter().any(|(_, value)| names_an_entity(value)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {
            false
        }
    }
}

/// The name of the constructor of `datetime`. Cedar's own function parses it each time, which takes longer than all else
/// that it does.
static DATETIME: LazyLock<Option<ast::Name>> = LazyLock::new(|| "datetime".parse().ok());

/// A moment as Cedar's `datetime`.
pub(super) fn datetime(moment: Timestamp) -> RestrictedExpression {
    let text = moment.to_string();
    match &*DATETIME {
        Some(name) => {
            ast::RestrictedExpr::call_extension_fn(name.clone(), [ast::RestrictedExpr::val(text)]).into()
        }
        None => RestrictedExpression::new_datetime(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_datetime_that_cedar_makes() {
        for moment in [Timestamp::MIN, Timestamp::from_millis(1_785_000_000_123)] {
            assert_eq!(datetime(moment), RestrictedExpression::new_datetime(moment.to_string()));
        }
    }
}
