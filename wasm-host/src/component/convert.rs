//! Between the types of the WIT and ours.

use std::borrow::Cow;

use consentry::policy::{self, AccessRequest};
use consentry::{Timestamp, Uid};
use serde_json::{Map, Value};

use super::access::{AccessRequest as WitAccessRequest, Decision, Entity, Evaluation, Value as WitValue};
use super::bindings::plugin::HeaderChange;
use super::http::{Header, RequestHead, Response as WitResponse};
use crate::http::{Headers, Response};
use crate::settings::Limits;

pub(super) fn uid(entity: Entity) -> Uid {
    Uid::from_parts(entity.entity_type, entity.id)
}

pub(super) fn millis(moment: Timestamp) -> i64 {
    moment.millis()
}

/// The request as the engine takes it; or why it is none.
pub(super) fn access_request(request: WitAccessRequest, limits: &Limits) -> Result<AccessRequest, String> {
    let of_entity = |entity: &Entity| entity.entity_type.len() + entity.id.len();
    let of_value = |value: &WitValue| match value {
        WitValue::Boolean(_) | WitValue::Long(_) => 8,
        WitValue::Text(text) | WitValue::Json(text) => text.len(),
    };
    let attributes =
        request.context.iter().map(|attribute| attribute.name.len() + of_value(&attribute.value));
    let names = of_entity(&request.principal) + of_entity(&request.resource) + request.action.len();
    if names + attributes.sum::<usize>() > limits.result_bytes {
        return Err("its question is too large".to_owned());
    }
    let mut context = Map::new();
    for attribute in request.context {
        let value = match attribute.value {
            WitValue::Boolean(value) => Value::Bool(value),
            WitValue::Long(value) => Value::from(value),
            WitValue::Text(value) => Value::String(value),
            WitValue::Json(text) => {
                let no_json = |error| format!("`{}` in the context is no JSON: {error}", attribute.name);
                serde_json::from_str(&text).map_err(no_json)?
            }
        };
        if context.contains_key(&attribute.name) {
            return Err(format!("`{}` is in the context twice", attribute.name));
        }
        context.insert(attribute.name, value);
    }
    let (principal, resource) = (uid(request.principal), uid(request.resource));
    let question = AccessRequest::new(principal, &request.action, resource);
    Ok(AccessRequest { context, at_least: request.at_least, ..question })
}

/// The answer; what was no question is denied, and so is what has an answer that is too large.
pub(super) fn evaluation(answer: Result<policy::Evaluation, String>, limits: &Limits) -> Evaluation {
    let size = |answer: &policy::Evaluation| {
        answer.determining_policies.iter().chain(&answer.errors).map(String::len).sum::<usize>()
    };
    let too_large = || "its answer is too large".to_owned();
    let fits = |answer| if size(&answer) <= limits.result_bytes { Ok(answer) } else { Err(too_large()) };
    match answer.and_then(fits) {
        Ok(answer) => Evaluation {
            decision: if answer.is_allowed() { Decision::Allow } else { Decision::Deny },
            reason: answer.reason.map(|reason| reason.name().to_owned()),
            determining_policies: answer.determining_policies,
            errors: answer.errors,
            valid_until: answer.valid_until.map(millis),
            revision: answer.revision,
        },
        Err(why) => Evaluation {
            decision: Decision::Deny,
            reason: Some("malformed".to_owned()),
            determining_policies: Vec::new(),
            errors: vec![why],
            valid_until: None,
            revision: 0,
        },
    }
}

/// A head as a plugin sees it. Bytes that are no text become the sign for that in what the WIT has as text.
pub(super) struct Head<'h>([Cow<'h, str>; 4]);

impl<'h> Head<'h> {
    pub(super) fn of(headers: &'h Headers) -> Self {
        let names = [&b":method"[..], b":scheme", b":authority", b":path"];
        Self(names.map(|name| String::from_utf8_lossy(headers.get(name).unwrap_or_default())))
    }

    pub(super) fn shown(&self) -> RequestHead<'_> {
        let [method, scheme, authority, path] = &self.0;
        RequestHead { method, scheme, authority, path }
    }
}

/// All that are no pseudo-headers; names that are no text are no names.
pub(super) fn headers(headers: &Headers) -> impl Iterator<Item = Header> {
    let fields = headers.iter().filter(|(name, _)| !name.starts_with(b":"));
    fields.filter_map(|(name, value)| {
        Some(Header { name: std::str::from_utf8(name).ok()?.to_owned(), value: value.to_owned() })
    })
}

/// Makes the changes. After an error they are of no use.
pub(super) fn change(headers: &mut Headers, changes: &[HeaderChange], limits: &Limits) -> Result<(), String> {
    if changes.len() > limits.map_pairs {
        return Err("it makes too many changes to headers".to_owned());
    }
    for change in changes {
        let (name, value) = match change {
            HeaderChange::Set(header) | HeaderChange::Append(header) => {
                (&header.name, header.value.as_slice())
            }
            HeaderChange::Remove(name) => (name, &[][..]),
        };
        field(name, value)?;
        match change {
            HeaderChange::Set(_) => headers.set(name.as_bytes(), value),
            HeaderChange::Append(_) => headers.append(name.as_bytes(), value),
            HeaderChange::Remove(_) => headers.remove(name.as_bytes()),
        }
        fits(headers, limits)?;
    }
    Ok(())
}

/// A plugin's own answer, if it is one.
pub(super) fn response(response: WitResponse, limits: &Limits) -> Result<Response, String> {
    if !(200..=599).contains(&response.status) {
        return Err(format!("{} is no status of an answer", response.status));
    }
    if response.body.len() > limits.body_bytes {
        return Err("its answer has too large a body".to_owned());
    }
    for header in &response.headers {
        field(&header.name, &header.value)?;
    }
    let headers: Headers = response.headers.iter().map(|header| (&header.name, &header.value)).collect();
    fits(&headers, limits)?;
    Ok(Response { status: response.status, headers, body: response.body })
}

fn field(name: &str, value: &[u8]) -> Result<(), String> {
    if !name.starts_with(':') && Headers::is_field(name.as_bytes(), value) {
        return Ok(());
    }
    Err(format!("`{}` cannot be the name or hold the value of a header", name.escape_debug()))
}

fn fits(headers: &Headers, limits: &Limits) -> Result<(), String> {
    if headers.len() <= limits.map_pairs && headers.size() <= limits.map_bytes {
        return Ok(());
    }
    Err("its headers are too many, or too large".to_owned())
}

#[cfg(test)]
mod tests {
    use consentry::{Engine, MemoryLedger};

    use super::*;

    #[test]
    fn an_answer_that_is_too_large_is_a_denial() {
        let engine = Engine::open(MemoryLedger::new()).unwrap();
        let request = AccessRequest::new(Uid::new("Installer", "a"), "liveView", Uid::new("Device", "b"));
        let mut answer = engine.evaluate(&request, Timestamp::from_millis(0)).unwrap();
        answer.errors = vec!["e".repeat(40), "f".repeat(24)];
        let limits = |result_bytes| Limits { result_bytes, ..Limits::default() };
        let whole = evaluation(Ok(answer.clone()), &limits(64));
        assert_eq!((whole.reason.as_deref(), whole.errors.len()), (Some("unknown_principal"), 2));
        let cut = evaluation(Ok(answer), &limits(63));
        assert!(matches!(cut.decision, Decision::Deny));
        assert_eq!(cut.reason.as_deref(), Some("malformed"));
        assert_eq!(cut.errors, ["its answer is too large"]);
    }
}
