//! Names from the cast in place of those that a solver makes up.

use std::collections::{BTreeMap, BTreeSet};

use consentry::domain::Timestamp;
use serde_json::{Map, Value, json};

use crate::counterexample::{Parts, uid_of};

/// How much is renamed. What the solver made up is as good as any other name, as long as no policy speaks
/// of it; whoever renames asks Cedar again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    All,
    ButTimes,
    /// Nor other texts than ids: roles, contacts, permissions.
    ButTexts,
    Ids,
    Nothing,
}

impl Naming {
    /// Most of it first.
    pub(crate) const EACH: [Self; 5] = [Self::All, Self::ButTimes, Self::ButTexts, Self::Ids, Self::Nothing];

    fn times(self) -> bool {
        matches!(self, Self::All | Self::ButTexts)
    }

    fn texts(self) -> bool {
        matches!(self, Self::All | Self::ButTimes)
    }
}

/// Noon of 2026-03-01, at which the cases take place, and an hour, in milliseconds.
const NOON: i64 = 1_772_366_400_000;
const HOUR: i64 = 3_600_000;

const NAMES: &[(&str, &[&str])] = &[
    ("Company", &["acme", "rival"]),
    ("Operator", &["root"]),
    ("EndUser", &["olga", "paul"]),
    ("Installer", &["ivan", "ada", "mia", "rita"]),
    ("Site", &["villa", "flat", "shed"]),
    ("Device", &["cam-7", "cam-9", "cam-1"]),
    ("Invite", &["invite-1"]),
    ("PermissionApplication", &["application-1"]),
    ("ResetTicket", &["ticket-1"]),
    ("Grant", &["grant-1"]),
];

const CONTACTS: &[&str] =
    &["email:olga@example.com", "email:ivan@acme.example", "email:paul@example.com", "phone:+390612345"];

pub(crate) struct Cast<'w> {
    /// What policies speak of keeps its name.
    words: &'w BTreeSet<String>,
    naming: Naming,
    action: String,
    ids: BTreeMap<(String, String), String>,
    contacts: BTreeMap<String, String>,
    times: BTreeMap<i64, Timestamp>,
}

impl<'w> Cast<'w> {
    pub(crate) fn new(words: &'w BTreeSet<String>, naming: Naming) -> Self {
        Self {
            words,
            naming,
            action: String::new(),
            ids: BTreeMap::new(),
            contacts: BTreeMap::new(),
            times: BTreeMap::new(),
        }
    }

    /// The same, told with the cast.
    pub(crate) fn tell(mut self, parts: &Parts) -> Parts {
        if self.naming == Naming::Nothing {
            return parts.clone();
        }
        parts.action.id().unescaped().clone_into(&mut self.action);
        let mut times = BTreeSet::new();
        times_in(&parts.context, &mut times);
        parts.entities.iter().for_each(|entity| times_in(entity, &mut times));
        self.times = times
            .into_iter()
            .zip(0..)
            .map(|(time, count)| (time, Timestamp::from_millis(NOON + count * HOUR)))
            .collect();
        Parts {
            principal: self.uid(&parts.principal),
            action: parts.action.clone(),
            resource: self.uid(&parts.resource),
            entities: parts.entities.iter().map(|entity| self.value("", entity)).collect(),
            context: self.value("", &parts.context),
        }
    }

    fn uid(&mut self, uid: &(String, String)) -> (String, String) {
        let (entity_type, id) = uid;
        if self.words.contains(id) {
            return uid.clone();
        }
        let count = self.ids.keys().filter(|(known, _)| known == entity_type).count();
        let names = NAMES.iter().find(|(name, _)| name == entity_type).map_or(&[][..], |(_, names)| names);
        let free: Vec<&&str> = names.iter().filter(|name| !self.words.contains(**name)).collect();
        let named = self.ids.entry(uid.clone()).or_insert_with(|| match free.get(count) {
            Some(name) => (**name).to_owned(),
            None => format!("{}-{}", entity_type.to_lowercase(), count + 1),
        });
        (entity_type.clone(), named.clone())
    }

    fn value(&mut self, attribute: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(attribute, text)),
            Value::Array(values) => {
                let mut kept = values.clone();
                kept.retain(|value| self.says_something(attribute, value));
                Value::Array(kept.iter().map(|value| self.value(attribute, value)).collect())
            }
            Value::Object(fields) => {
                if let Some(uid) = uid_of(value) {
                    let (entity_type, id) = self.uid(&uid);
                    let named = json!({ "type": entity_type, "id": id });
                    return if fields.contains_key("__entity") {
                        json!({ "__entity": named })
                    } else {
                        named
                    };
                }
                if let Some(time) = time_of(value) {
                    let told = self.times.get(&time).filter(|_| self.naming.times());
                    return told.map_or_else(|| value.clone(), |told| Value::String(told.to_string()));
                }
                let told: Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), self.value(name, value))).collect();
                Value::Object(told)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Not so a permission that does not exist and that nobody asks about.
    fn says_something(&self, attribute: &str, value: &Value) -> bool {
        let permission = ["permissions", "grants"].contains(&attribute);
        !permission || !self.naming.texts() || value.as_str().is_none_or(|text| self.words.contains(text))
    }

    fn text(&mut self, attribute: &str, text: &str) -> String {
        if self.words.contains(text) || !self.naming.texts() {
            return text.to_owned();
        }
        match attribute {
            "role" => "member".to_owned(),
            "kind" => "normal".to_owned(),
            "mode" => "onSite".to_owned(),
            "permission" => self.action.clone(),
            "contact" | "contacts" | "askerContacts" => {
                let count = self.contacts.len();
                let free =
                    CONTACTS.get(count).map_or_else(|| format!("phone:+39{count}"), |&free| free.to_owned());
                self.contacts.entry(text.to_owned()).or_insert(free).clone()
            }
            _ => text.to_owned(),
        }
    }
}

/// Milliseconds since 1970, of a `datetime` as the solver's answers are written.
pub(crate) fn time_of(value: &Value) -> Option<i64> {
    let call = |value: &Value, name: &str| {
        let call = value.get("__extn")?;
        (call.get("fn")?.as_str()? == name).then(|| call.clone())
    };
    let offset = call(value, "offset")?;
    let epoch = call(offset.pointer("/args/0")?, "datetime")?;
    let duration = call(offset.pointer("/args/1")?, "duration")?;
    (epoch.get("arg")?.as_str()? == "1970-01-01")
        .then(|| duration.get("arg")?.as_str()?.strip_suffix("ms")?.parse().ok())?
}

fn times_in(value: &Value, times: &mut BTreeSet<i64>) {
    if let Some(time) = time_of(value) {
        times.insert(time);
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| times_in(value, times)),
        Value::Array(values) => values.iter().for_each(|value| times_in(value, times)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
