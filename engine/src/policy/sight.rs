//! What policies can look at: read off them once, when they are loaded.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the policies that can match a question make it necessary to put into its slice. What none of
/// them can look at makes no difference to the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The ids of sites that policies name: `principal in Site::"villa"` needs the membership.
    pub sites: BTreeSet<String>,
    /// The names of attributes that policies look at, of entities and of the context alike.
    pub attributes: BTreeSet<String>,
    /// Whether any attribute may be looked at, whatever its name.
    pub all_attributes: bool,
    /// Whether policies ask what a principal or resource is `in`.
    pub hierarchy: bool,
}

impl Hints {
    /// Whether an attribute of this name, of an entity or of the context, may be looked at.
    #[must_use]
    pub fn wants(&self, attribute: &str) -> bool {
        self.all_attributes || self.attributes.contains(attribute)
    }

    /// What a policy looks at, from its JSON.
    pub(super) fn of(policy: &Value) -> Self {
        let mut hints = Self::default();
        // Not the action: what it is in was looked up when the policies were loaded.
        let parts = ["principal", "resource", "conditions"];
        parts.iter().filter_map(|part| policy.get(part)).for_each(|part| hints.collect(part));
        hints
    }

    /// What several policies look at.
    pub(super) fn together<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut together = Self::default();
        for hints in all {
            together.sites.extend(hints.sites.iter().cloned());
            together.attributes.extend(hints.attributes.iter().cloned());
            together.all_attributes |= hints.all_attributes;
            together.hierarchy |= hints.hierarchy;
        }
        together
    }

    /// Attributes are looked at by their names alone: by `.` and `has`. Only the context can also be
    /// looked at as a whole, being a record.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let (Some("Site"), Some(id)) = (text(value, "type"), text(value, "id")) {
                    self.sites.insert(id.to_owned());
                }
                if is_context(value) {
                    self.all_attributes = true;
                }
                self.hierarchy |= fields.contains_key("in") || text(value, "op") == Some("in");
                for (key, field) in fields {
                    let left = matches!(key.as_str(), "." | "has").then(|| field.get("left")).flatten();
                    let Some(left) = left else {
                        self.collect(field);
                        continue;
                    };
                    match text(field, "attr") {
                        Some(name) => drop(self.attributes.insert(name.to_owned())),
                        None => self.all_attributes = true,
                    }
                    if !is_context(left) {
                        self.collect(left);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// A field that is text.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Whether this is `context` itself.
pub(super) fn is_context(value: &Value) -> bool {
    text(value, "Var") == Some("context")
}

/// Whether the answer of a policy, told from its JSON, may change as time passes by itself: it looks at
/// `context.now` in another way than by `context.now < context.grant.until`, whose end every answer carries.
pub(super) fn looks_at_the_time(policy: &Value) -> bool {
    fn is_attribute(value: &Value, attribute: &str, of: impl Fn(&Value) -> bool) -> bool {
        value
            .get(".")
            .is_some_and(|get| text(get, "attr") == Some(attribute) && get.get("left").is_some_and(of))
    }
    fn is_now(value: &Value) -> bool {
        is_attribute(value, "now", is_context)
    }
    fn is_until(value: &Value) -> bool {
        is_attribute(value, "until", |grant| is_attribute(grant, "grant", is_context))
    }
    fn timed(value: &Value) -> bool {
        if let Some(less) = value.get("<")
            && less.get("left").is_some_and(is_now)
            && less.get("right").is_some_and(is_until)
        {
            return false;
        }
        if is_now(value) || is_context(value) {
            return true;
        }
        match value {
            // An attribute of the context that is not `now` stands still.
            Value::Object(fields) => fields.iter().any(|(key, field)| match key.as_str() {
                "." | "has" if field.get("left").is_some_and(is_context) => false,
                _ => timed(field),
            }),
            Value::Array(values) => values.iter().any(timed),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    policy.get("conditions").is_some_and(timed)
}
