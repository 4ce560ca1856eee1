//! What is handed to Cedar: entities that fit the schema, and nothing named in them that is not there, as far
//! as a policy can look. Cedar skips a `forbid` that stumbles over a gap, and proofs take it that there is none.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Entities;
use consentry::policy::{EntitySource as _, Hints, Policies};
use consentry::{Directory, Timestamp, Uid};
use serde_json::{Value, json};

use crate::world::{ADA, OLGA, World, apply, grant, open_ticket, permission};

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

#[test]
fn a_check_tells_what_is_there_from_what_is_not_whatever_its_kind() {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g-1", "liveView", "permanent"));
    world.must(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    for (kind, id) in [
        ("Company", "acme"),
        ("EndUser", "paul"),
        ("Installer", "ivan"),
        ("Site", "villa"),
        ("Device", "cam-7"),
        ("Invite", "to-villa"),
        ("PermissionApplication", "a-1"),
        ("ResetTicket", "t-1"),
        ("Grant", "g-1"),
    ] {
        let reason = |id: &str| {
            let resource = format!("{kind}::\"{id}\"");
            world.check(0, OLGA, "disableService", &resource)["reason"].clone()
        };
        assert_eq!(
            (reason(id), reason("nothing")),
            (json!("not_permitted"), json!("unknown_resource")),
            "{kind}"
        );
    }
}
