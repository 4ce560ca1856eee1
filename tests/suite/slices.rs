//! What is handed to Cedar: entities that fit the schema, and nothing named in them that is not there, as far
//! as a policy can look. Cedar skips a `forbid` that stumbles over a gap, and proofs take it that there is none.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Entities;
use consentry::policy::{EntitySource as _, Hints, Policies};
use consentry::{Directory, Timestamp, Uid};
use serde_json::Value;

/// How many dereferences a policy may chain; loading refuses more.
const LEVEL: usize = 2;

/// These have no attributes that could be missing.
const BARE: [&str; 2] = ["Company", "Operator"];

/// What is missing, or otherwise than the schema says, in the slice for this question, when every
/// attribute is looked at.
pub(crate) fn gap(
    directory: &Directory,
    policies: &Policies,
    (principal, action, resource): (&Uid, &str, &Uid),
    now: Timestamp,
) -> Option<String> {
    let everything = Hints { all_attributes: true, hierarchy: true, ..Hints::default() };
    let slice = directory.slice(principal, action, resource, &everything, now).ok()?;
    let mut reached: BTreeSet<String> =
        [&slice.principal, &slice.resource].into_iter().map(ToString::to_string).collect();
    let entities = match Entities::from_entities(slice.entities, Some(policies.schema())) {
        Ok(entities) => entities,
        Err(error) => return Some(format!("{error:?}")),
    };
    let named: BTreeMap<String, BTreeSet<String>> = entities
        .iter()
        .map(|entity| {
            let mut names = BTreeSet::new();
            names_in(&entity.to_json_value().unwrap()["attrs"], &mut names);
            (entity.uid().to_string(), names)
        })
        .collect();
    for _ in 0..LEVEL {
        let bare = |uid: &str| BARE.iter().any(|name| uid.starts_with(&format!("{name}::")));
        if let Some(missing) = reached.iter().find(|uid| !bare(uid) && !named.contains_key(*uid)) {
            return Some(format!("{missing} is named and not there"));
        }
        reached = reached.iter().filter_map(|uid| named.get(uid)).flatten().cloned().collect();
    }
    None
}

fn names_in(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => match (fields.get("type"), fields.get("id")) {
            (Some(Value::String(entity_type)), Some(Value::String(id))) => {
                names.insert(format!("{entity_type}::{id:?}"));
            }
            _ => fields.values().for_each(|value| names_in(value, names)),
        },
        Value::Array(values) => values.iter().for_each(|value| names_in(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
