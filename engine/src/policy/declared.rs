//! What a schema declares for one kind of question.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{EntityTypeName, EntityUid, Schema};
use cedar_policy_core::entities::json::SchemaType;
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::{AttributeType, Attributes, Type};

/// What only the engine says in a context.
pub(super) const OWN: [&str; 2] = ["now", "grant"];

/// The attributes of an entity type, with their types.
pub(super) type Declarations = BTreeMap<String, SchemaType>;

/// What the schema declares for one kind of question: who, does what, on what.
#[derive(Debug)]
pub(super) struct Declared {
    /// The attributes of the principal's type.
    pub(super) principal: Declarations,
    /// The attributes of the resource's type.
    pub(super) resource: Declarations,
    context: BTreeMap<String, bool>,
}

impl Declared {
    /// What `schema` declares for `action` by a principal of one type on a resource of another.
    pub(super) fn new(
        schema: &Schema,
        principal: &EntityTypeName,
        action: &EntityUid,
        resource: &EntityTypeName,
    ) -> Self {
        let schema: &ValidatorSchema = schema.as_ref();
        let of = |name: &EntityTypeName| {
            schema.get_entity_type(name.as_ref()).map(|entity| declarations(entity.attributes()))
        };
        let context = match schema.context_type(action.as_ref()) {
            Some(Type::Record { attrs, .. }) => {
                attrs.iter().map(|(name, attribute)| (name.to_string(), attribute.is_required)).collect()
            }
            Some(_) | None => BTreeMap::new(),
        };
        Self {
            principal: of(principal).unwrap_or_default(),
            resource: of(resource).unwrap_or_default(),
            context,
        }
    }

    /// Whether a context has, or may have, a value of this name.
    pub(super) fn in_context(&self, name: &str) -> bool {
        self.context.contains_key(name)
    }

    /// What a context has, or may have, and whether only the asker can say what it must have.
    pub(super) fn context_names(&self) -> impl Iterator<Item = (&str, bool)> {
        let named = self.context.iter().map(|(name, required)| (name.as_str(), *required));
        named.map(|(name, required)| (name, required && !OWN.contains(&name)))
    }

    /// Whether the context must have something that only the asker can say.
    pub(super) fn asks_for_context(&self) -> bool {
        self.context_names().any(|(_, asked)| asked)
    }
}

/// The attributes of every entity type of `schema`.
pub(super) fn by_type(schema: &Schema) -> HashMap<String, Declarations> {
    let schema: &ValidatorSchema = schema.as_ref();
    schema
        .entity_types()
        .map(|entity| (entity.name().to_string(), declarations(entity.attributes())))
        .collect()
}

fn declarations(attributes: &Attributes) -> Declarations {
    let typed = |(name, attribute): (&_, &AttributeType)| {
        let own = Arc::unwrap_or_clone(attribute.attr_type.clone());
        // Only the type of nothing has no counterpart, and no attribute has that type.
        Some((ToString::to_string(name), own.try_into().ok()?))
    };
    attributes.iter().filter_map(typed).collect()
}
