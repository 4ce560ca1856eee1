//! Facts, and what somebody adds to principal and resource.

use super::constant::{Constant, Named};
use super::index::Names;
use super::value::{Facts, Fields, Step, Value};
use crate::policy::word::Name;

/// Names with their values.
pub(crate) type Added = Vec<(Box<str>, Constant)>;

/// The facts, and after them what is added to the principal, and after that to the resource.
#[derive(Clone, Copy)]
pub(crate) struct With<'f, F> {
    pub(crate) facts: F,
    pub(crate) principal: &'f Added,
    pub(crate) resource: &'f Added,
}

impl<'f, F: Facts<'f>> With<'f, F> {
    fn added(self, entity: F::Entity, name: &str) -> Option<&'f Constant> {
        let to_principal = (entity == self.facts.principal()).then_some(self.principal);
        let to_resource = (entity == self.facts.resource()).then_some(self.resource);
        let all = to_principal.into_iter().chain(to_resource).flatten();
        all.into_iter().find(|(own, _)| **own == *name).map(|(_, value)| value)
    }
}

impl<'f, F: Facts<'f>> Facts<'f> for With<'f, F> {
    type Entity = F::Entity;
    type Set = F::Set;
    type Record = F::Record;

    fn principal(self) -> F::Entity {
        self.facts.principal()
    }

    fn resource(self) -> F::Entity {
        self.facts.resource()
    }

    fn context(self) -> Fields<'f, F::Record> {
        self.facts.context()
    }

    fn named(self, name: &'f Named) -> F::Entity {
        self.facts.named(name)
    }

    fn is_named(self, entity: F::Entity, name: &Named) -> bool {
        self.facts.is_named(entity, name)
    }

    fn is_of_type(self, entity: F::Entity, type_name: &str) -> bool {
        self.facts.is_of_type(entity, type_name)
    }

    fn attribute(self, entity: &F::Entity, name: &Name, value: &mut Value<'f, Self>) -> Step<bool> {
        let mut own = Value::Bool(false);
        if self.facts.attribute(entity, name, &mut own)? {
            *value = own.carried();
            return Ok(true);
        }
        let Some(added) = self.added(*entity, name) else { return Ok(false) };
        *value = Value::of(added, self);
        Ok(true)
    }

    fn tag(self, entity: F::Entity, name: &str) -> Step<Option<Value<'f, Self>>> {
        Ok(self.facts.tag(entity, name)?.map(Value::carried))
    }

    fn is_in(self, entity: F::Entity, ancestor: F::Entity) -> Step<bool> {
        self.facts.is_in(entity, ancestor)
    }

    fn find(self, entity: F::Entity, names: &Names, found: &mut dyn FnMut(u32)) {
        self.facts.find(entity, names, found);
    }

    fn len(self, set: F::Set) -> usize {
        self.facts.len(set)
    }

    fn member(self, set: F::Set, at: usize) -> Option<Value<'f, Self>> {
        self.facts.member(set, at).map(Value::carried)
    }

    fn field(self, record: F::Record, name: &Name) -> Option<Value<'f, Self>> {
        self.facts.field(record, name).map(Value::carried)
    }

    fn width(self, record: F::Record) -> usize {
        self.facts.width(record)
    }

    fn same(self, one: F::Record, other: F::Record) -> bool {
        self.facts.same(one, other)
    }
}
