//! Entities from a file: a source of facts for any domain.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, EvalResult};
use miette::Diagnostic as _;
use serde_json::Value;

use super::ask::QuestionFacts;
use super::compiled::{EntityTable, Named};
use super::load::LEVEL;
use super::{EntitySource, Hints, Policies, Slice, Unknown};
use crate::domain::{Timestamp, Uid};

/// Entities that stand still, as Cedar's JSON for entities gives them.
///
/// It knows what is written for an entity. What is not may be supplied with a question, as far as the schema
/// declares it.
#[derive(Debug, Clone, Default)]
pub struct EntityStore {
    /// By type, then id.
    entities: HashMap<String, BTreeMap<String, Entity>>,
    /// The same for compiled policies; `None`: something in them is not for these.
    table: Option<EntityTable>,
}

/// Why entities cannot be used. Code `entities_invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EntitiesError(pub String);

impl EntityStore {
    /// Reads Cedar's JSON for entities, and checks them against the schema of `policies`.
    ///
    /// # Errors
    /// When it is no JSON of this form, or does not fit the schema.
    pub fn from_json(text: &str, policies: &Policies) -> Result<Self, EntitiesError> {
        check_hierarchy(text)?;
        let all = Entities::from_json_str(text, Some(policies.schema())).map_err(|error| {
            let help = error.help().map(|help| format!(" (help: {help})")).unwrap_or_default();
            let mut message = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(deeper) = cause {
                message.push_str(": ");
                message.push_str(&deeper.to_string());
                cause = deeper.source();
            }
            EntitiesError(message + &help)
        })?;
        let table = EntityTable::new(&all);
        let mut entities: HashMap<String, BTreeMap<String, Entity>> = HashMap::new();
        for entity in all {
            let uid = entity.uid();
            let of_type = entities.entry(uid.type_name().to_string()).or_default();
            of_type.insert(uid.id().unescaped().to_owned(), entity);
        }
        Ok(Self { entities, table })
    }

    /// How many entities there are, actions among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entities.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    fn get(&self, entity_type: &str, id: &str) -> Option<&Entity> {
        self.entities.get(entity_type)?.get(id)
    }

    /// Puts an entity into a slice, and those that attributes lead to from it, as far as policies can follow them.
    fn collect(&self, entity: &Entity, levels: u32, slice: &mut Vec<Entity>) {
        if slice.iter().any(|there| there.uid() == entity.uid()) {
            return;
        }
        slice.push(entity.clone());
        if levels == 0 {
            return;
        }
        let mut named = Vec::new();
        let values = entity.attrs().chain(entity.tags());
        values.filter_map(|(_, value)| value.ok()).for_each(|value| names(&value, &mut named));
        for uid in named {
            if let Some(entity) = self.get(&uid.type_name().to_string(), uid.id().unescaped()) {
                self.collect(entity, levels - 1, slice);
            }
        }
    }
}

/// How many times an entity may be in another, of all entities together: Cedar writes each of them down.
const MEMBERSHIPS: usize = 1_000_000;

/// Sees to it that the hierarchy does not grow beyond all bounds when it is written down in full: a chain of ten thousand
/// parents is fifty million memberships. What is no list of entities is left to Cedar to refuse.
fn check_hierarchy(text: &str) -> Result<(), EntitiesError> {
    let Ok(Value::Array(entities)) = serde_json::from_str(text) else { return Ok(()) };
    let name = |uid: &Value| {
        let uid = uid.get("__entity").unwrap_or(uid);
        Some((uid.get("type")?.as_str()?.to_owned(), uid.get("id")?.as_str()?.to_owned()))
    };
    let parents_of = |entity: &Value| {
        let parents = entity.get("parents").and_then(Value::as_array).into_iter().flatten();
        Some((entity.get("uid").and_then(name)?, parents.filter_map(name).collect::<Vec<_>>()))
    };
    let parents: HashMap<_, _> = entities.iter().filter_map(parents_of).collect();
    let mut memberships = 0;
    for entity in parents.keys() {
        let (mut seen, mut rest) = (HashSet::new(), vec![entity]);
        while let Some(next) = rest.pop() {
            rest.extend(parents.get(next).into_iter().flatten().filter(|parent| seen.insert(*parent)));
            if memberships + seen.len() > MEMBERSHIPS {
                return Err(EntitiesError(format!(
                    "the hierarchy is too large: entities are in others more than {MEMBERSHIPS} times, parents of \
                     parents counted"
                )));
            }
        }
        memberships += seen.len();
    }
    Ok(())
}

/// The entities that a value names.
fn names(value: &EvalResult, named: &mut Vec<EntityUid>) {
    match value {
        EvalResult::EntityUid(uid) => named.push(uid.clone()),
        EvalResult::Set(values) => values.iter().for_each(|value| names(value, named)),
        EvalResult::Record(fields) => fields.iter().for_each(|(_, value)| names(value, named)),
        EvalResult::Bool(_) | EvalResult::Long(_) | EvalResult::String(_) | EvalResult::ExtensionValue(_) => {
        }
    }
}

impl EntitySource for EntityStore {
    fn slice(
        &self,
        principal: &Uid,
        _action: &str,
        resource: &Uid,
        _hints: &Hints,
        _now: Timestamp,
    ) -> Result<Slice, Unknown> {
        let principal = self.get(principal.type_name(), principal.id()).ok_or(Unknown::Principal)?;
        let resource = self.get(resource.type_name(), resource.id()).ok_or(Unknown::Resource)?;
        let mut entities = Vec::new();
        self.collect(principal, LEVEL, &mut entities);
        self.collect(resource, LEVEL, &mut entities);
        Ok(Slice { principal: principal.uid(), resource: resource.uid(), entities, coverage: None })
    }

    fn facts<'a>(
        &'a self,
        principal: &'a Uid,
        _action: &'a str,
        resource: &'a Uid,
        _now: Timestamp,
    ) -> Option<Result<QuestionFacts<'a>, Unknown>> {
        let table = self.table.as_ref()?;
        let known = |uid: &Uid| self.get(uid.type_name(), uid.id()).map(|_| Named::from(uid));
        Some(match (known(principal), known(resource)) {
            (None, _) => Err(Unknown::Principal),
            (_, None) => Err(Unknown::Resource),
            (Some(principal), Some(resource)) => Ok(QuestionFacts::of_table(table, principal, resource)),
        })
    }

    fn knows(&self, _entity_type: &str, _attribute: &str) -> bool {
        false
    }

    fn ids(&self, entity_type: &str, after: Option<&str>, most: usize) -> Vec<String> {
        use std::ops::Bound;
        let Some(entities) = self.entities.get(entity_type) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        entities.range::<str, _>((from, Bound::Unbounded)).take(most).map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::{PolicyFile, PolicySources};

    fn load(entities: &[Value]) -> Result<EntityStore, EntitiesError> {
        let schema = PolicyFile {
            name: "schema".to_owned(),
            text: "entity Group in [Group]; action read appliesTo { principal: Group, resource: Group };"
                .to_owned(),
        };
        let policies =
            Policies::load_for_checks(&PolicySources { schema: Some(schema), policies: Vec::new() }).unwrap();
        EntityStore::from_json(&Value::from(entities).to_string(), &policies)
    }

    /// Each group is in the next.
    fn chain(count: usize) -> Vec<Value> {
        let uid = |id: usize| json!({ "type": "Group", "id": id.to_string() });
        let group = |id| json!({ "uid": uid(id), "attrs": {}, "parents": [uid(id + 1)] });
        (0..count).map(group).collect()
    }

    #[test]
    fn a_hierarchy_beyond_all_bounds_is_refused_and_so_is_one_in_a_circle() {
        assert_eq!(load(&chain(100)).unwrap().len(), 101);
        let error = load(&chain(10_000)).unwrap_err().to_string();
        assert!(error.contains("more than 1000000 times"), "{error}");
        let mut circle = chain(100);
        circle.push(json!({ "uid": { "type": "Group", "id": "100" }, "attrs": {},
                            "parents": [{ "type": "Group", "id": "0" }] }));
        let error = load(&circle).unwrap_err().to_string();
        assert!(error.contains("cycle"), "{error}");
    }
}
