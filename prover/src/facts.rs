//! Facts for people.

use std::collections::BTreeSet;

use consentry::domain::Timestamp;
use serde_json::{Map, Value};

use crate::cast::time_of;
use crate::counterexample::{cedar, uid_of};

/// What may be missing, and is worth saying then.
const MAY_BE_MISSING: &[(&str, &str)] = &[
    ("Site", "owner"),
    ("Invite", "asker"),
    ("PermissionApplication", "asker"),
    ("ResetTicket", "asker"),
    ("liveView", "grant"),
    ("playback", "grant"),
    ("configure", "grant"),
    ("manageSite", "grant"),
];

pub(crate) fn list(
    action: &str,
    context: &Value,
    entities: &[Value],
    words: &BTreeSet<String>,
) -> Vec<(String, String)> {
    let looked_at = |name: &String| words.contains(name);
    let mut facts = Vec::new();
    for entity in entities {
        let Some(uid) = entity.get("uid").and_then(uid_of) else { continue };
        let attributes = entity.get("attrs").and_then(Value::as_object);
        let mut said = fields(&uid.0, attributes, looked_at);
        let parents = entity.get("parents").and_then(Value::as_array);
        said.extend(parents.into_iter().flatten().map(|parent| format!("in {}", told(parent))));
        if !said.is_empty() {
            facts.push((cedar(&uid), said.join(", ")));
        }
    }
    let said = fields(action, context.as_object(), |name| name == "now" || looked_at(name));
    facts.push(("context".to_owned(), said.join(", ")));
    facts
}

fn fields(
    owner: &str,
    fields: Option<&Map<String, Value>>,
    looked_at: impl Fn(&String) -> bool,
) -> Vec<String> {
    let fields = fields.into_iter().flatten();
    let present: Vec<(&String, &Value)> = fields.filter(|(name, _)| looked_at(name)).collect();
    let mut said: Vec<String> =
        present.iter().map(|(name, value)| format!("{name} {}", told(value))).collect();
    let missing = MAY_BE_MISSING.iter().filter(|(of, name)| {
        *of == owner && looked_at(&(*name).to_owned()) && !present.iter().any(|(known, _)| known == name)
    });
    said.extend(missing.map(|(_, name)| format!("no {name}")));
    said
}

fn told(value: &Value) -> String {
    if let Some(uid) = uid_of(value) {
        return cedar(&uid);
    }
    if let Some(time) = time_of(value) {
        let moment = Timestamp::from_millis(time);
        // What the solver thinks of may lie beyond the calendar.
        return if moment.millis() == time {
            format!("\"{moment}\"")
        } else {
            format!("{time} ms after 1970")
        };
    }
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(told).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} {}", told(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
