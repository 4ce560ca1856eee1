//! What an asker says beside the ids: attributes of principal and resource, and values for the context.
//!
//! It reaches policies as far as the schema declares it, and adds to what the source of facts knows: it never
//! takes the place of what is known, nor of what is known not to be.

use std::collections::HashMap;

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use cedar_policy_core::ast::{self, RestrictedExpr};
use cedar_policy_core::entities::conformance::typecheck_restricted_expr_against_schematype;
use cedar_policy_core::entities::json::err::JsonDeserializationErrorContext;
use cedar_policy_core::entities::json::{SchemaType, ValueParser};
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;
use serde_json::{Map, Value};

use super::compiled::{Added, Constant};
use super::context::names_an_entity;
use super::declared::{Declarations, OWN};
use super::evaluate::{AccessRequest, RequestError};
use super::slice::{EntitySource, Slice};
use super::{Hints, Policies};
use crate::domain::Uid;

/// All that an asker says beside the ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// Attributes of the principal.
    pub principal: Map<String, Value>,
    /// What is said about the action. Cedar's actions have no attributes: this joins the context.
    pub action: Map<String, Value>,
    /// Attributes of the resource.
    pub resource: Map<String, Value>,
    /// Values for the context.
    pub context: Map<String, Value>,
}

/// Attributes that the asker knows of principal and resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Supplied {
    /// Of the principal.
    pub principal: Map<String, Value>,
    /// Of the resource.
    pub resource: Map<String, Value>,
}

impl Supplied {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.principal.is_empty() && self.resource.is_empty()
    }
}

impl Policies {
    /// The question whether `principal` may do `action` on `resource`, with what `claims` say as far as the schema
    /// declares it. What is `null` is not said.
    ///
    /// # Errors
    /// When the claims name what only the engine knows, or say two things at once.
    pub fn question_with(
        &self,
        principal: Uid,
        action: &str,
        resource: Uid,
        claims: &Claims,
    ) -> Result<AccessRequest, RequestError> {
        let types = (principal.type_name(), resource.type_name());
        let Some(environment) = self.environment(types.0, action, types.1) else {
            return Ok(AccessRequest::new(principal, action, resource));
        };
        let declared = &environment.declared;
        let mut context = Map::new();
        for (key, value) in claims.context.iter().chain(&claims.action) {
            if let Some(own) = OWN.iter().find(|own| *own == key)
                && (self.inner.has_commands || declared.in_context(own))
            {
                return Err(RequestError::Reserved(own));
            }
            if value.is_null() || !declared.in_context(key) {
                continue;
            }
            if context.insert(key.clone(), value.clone()).is_some_and(|before| before != *value) {
                return Err(RequestError::Contradiction(key.clone()));
            }
        }
        let among = |claimed: &Map<String, Value>, declared: &Declarations| {
            let wanted =
                claimed.iter().filter(|(key, value)| !value.is_null() && declared.contains_key(*key));
            wanted.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let supplied = Supplied {
            principal: among(&claims.principal, &declared.principal),
            resource: among(&claims.resource, &declared.resource),
        };
        Ok(AccessRequest { context, supplied, ..AccessRequest::new(principal, action, resource) })
    }
}

impl Slice {
    /// Adds to one of its entities what the asker knows of it, where the source knows nothing and policies may look.
    ///
    /// # Errors
    /// When something is not of the type that the schema declares.
    pub(super) fn add(
        &mut self,
        uid: &EntityUid,
        supplied: &Map<String, Value>,
        declared: &Declarations,
        hints: &Hints,
        source: &dyn EntitySource,
    ) -> Result<(), RequestError> {
        let at = self.entities.iter().position(|entity| entity.uid() == *uid);
        let before = at.map(|at| self.entities.swap_remove(at));
        let entity_type = uid.type_name().to_string();
        let mut added = HashMap::new();
        for (name, value) in supplied {
            let known = before.as_ref().is_some_and(|entity| entity.attr(name).is_some());
            if known || !hints.wants(name) || source.knows(&entity_type, name) {
                continue;
            }
            if let Some(declared) = declared.get(name) {
                let value = typed(value, declared, uid, name)
                    .map_err(|message| RequestError::Attribute { name: name.clone(), message })?;
                added.insert(name.clone(), RestrictedExpression::from(value));
            }
        }
        let whole = if added.is_empty() { before } else { Some(joined(uid, before, added)?) };
        self.entities.extend(whole);
        Ok(())
    }
}

const NAMES_AN_ENTITY: &str = "it names an entity; only values can be supplied";
const HAS_NO_VALUE: &str = "it has no value";

/// What the asker knows of an entity, of the attributes that are open to them: as [`Slice::add`], for compiled policies.
/// `None`: something is not of a kind that they know.
///
/// # Errors
/// When something is not of the type that the schema declares.
pub(super) fn added(
    uid: &EntityUid,
    supplied: &Map<String, Value>,
    declared: &Declarations,
    is_open: impl Fn(&str) -> bool,
) -> Result<Option<Added>, RequestError> {
    let mut added = Added::new();
    for (name, value) in supplied.iter().filter(|(name, _)| is_open(name)) {
        let Some(declared) = declared.get(name) else { continue };
        let wrong = |message| RequestError::Attribute { name: name.clone(), message };
        let expression = typed(value, declared, uid, name).map_err(wrong)?;
        let evaluator = RestrictedEvaluator::new(Extensions::all_available());
        let value = evaluator.interpret(expression.as_borrowed());
        let value = value.map_err(|_| wrong(HAS_NO_VALUE.to_owned()))?;
        match Constant::of(&value) {
            None => return Ok(None),
            Some(value) if value.names_an_entity() => return Err(wrong(NAMES_AN_ENTITY.to_owned())),
            Some(value) => added.push((name.as_str().into(), value)),
        }
    }
    Ok(Some(added))
}

/// A value of the type that the schema declares.
fn typed(
    value: &Value,
    declared: &SchemaType,
    uid: &EntityUid,
    name: &str,
) -> Result<RestrictedExpr, String> {
    let extensions = Extensions::all_available();
    let context =
        || JsonDeserializationErrorContext::EntityAttribute { uid: uid.as_ref().clone(), attr: name.into() };
    let parser = ValueParser::new(extensions);
    let value = parser
        .val_into_restricted_expr(value.clone(), Some(declared), &context)
        .map_err(|error| error.to_string())?;
    typecheck_restricted_expr_against_schematype(value.as_borrowed(), declared, extensions)
        .map_err(|error| error.to_string())?;
    Ok(value)
}

/// The entity as it is known, with more attributes.
fn joined(
    uid: &EntityUid,
    before: Option<Entity>,
    added: HashMap<String, RestrictedExpression>,
) -> Result<Entity, RequestError> {
    let tags: Vec<(String, RestrictedExpression)> = before
        .iter()
        .flat_map(|entity| AsRef::<ast::Entity>::as_ref(entity).tags())
        .filter_map(|(name, value)| {
            let value = RestrictedExpr::try_from(value.clone()).ok()?;
            Some((name.to_string(), RestrictedExpression::from(value)))
        })
        .collect();
    let (mut attributes, parents) = match before {
        Some(entity) => {
            let (_, attributes, parents) = entity.into_inner();
            (attributes, parents)
        }
        None => Default::default(),
    };
    let names: Vec<String> = added.keys().cloned().collect();
    attributes.extend(added);
    let whole = Entity::new_with_tags(uid.clone(), attributes, parents, tags)
        .map_err(|error| RequestError::Attribute { name: names.join(", "), message: error.to_string() })?;
    for name in names {
        let message = match whole.attr(&name) {
            // The slice holds what principal and resource lead to, and nothing of what is named only here.
            Some(Ok(value)) if names_an_entity(&value) => NAMES_AN_ENTITY,
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => HAS_NO_VALUE,
        };
        return Err(RequestError::Attribute { name, message: message.to_owned() });
    }
    Ok(whole)
}
