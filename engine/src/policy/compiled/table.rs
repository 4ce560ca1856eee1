//! Facts from Cedar's entities.

use std::collections::{HashMap, HashSet};

use cedar_policy::Entities;
use cedar_policy_core::ast::{Context, Entity};

use super::constant::{Constant, Named, Row, row};
use super::index::Names;
use super::value::{Facts, Fields, Step, Value};
use crate::policy::word::Name;

/// Entities, to be found by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntityTable {
    by_type: HashMap<Box<str>, HashMap<Box<str>, Known>>,
}

/// What is known of an entity.
#[derive(Debug, Clone)]
struct Known {
    attributes: Row,
    tags: Row,
    ancestors: HashSet<Named>,
}

impl EntityTable {
    /// The same entities. `None`: some value is not known here.
    pub(crate) fn new(entities: &Entities) -> Option<Self> {
        let entities: &cedar_policy_core::entities::Entities = entities.as_ref();
        let mut table = Self::default();
        entities.iter().try_for_each(|entity| table.add(entity))?;
        Some(table)
    }

    /// Adds an entity, in place of any of the same name.
    pub(crate) fn add(&mut self, entity: &Entity) -> Option<()> {
        let name = Named::of(entity.uid());
        let known = Known {
            attributes: row(entity.attrs(), Constant::of_partial)?,
            tags: row(entity.tags(), Constant::of_partial)?,
            ancestors: entity.ancestors().map(Named::of).collect(),
        };
        self.by_type.entry(name.type_name).or_default().insert(name.id, known);
        Some(())
    }

    fn get(&self, name: &Named) -> Option<&Known> {
        self.by_type.get(&name.type_name)?.get(&name.id)
    }
}

fn find<'a>(row: &'a [(Box<str>, Constant)], name: &str) -> Option<&'a Constant> {
    let at = row.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
    row.get(at).map(|(_, value)| value)
}

/// The fields of a context. `None`: some value is not known here.
pub(crate) fn fields(context: &Context) -> Option<Row> {
    match context {
        Context::Value(fields) => row(fields.iter(), Constant::of),
        Context::RestrictedResidual(_) => None,
    }
}

/// A question about entities of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableFacts<'a> {
    pub(crate) table: &'a EntityTable,
    pub(crate) principal: &'a Named,
    pub(crate) resource: &'a Named,
    /// Sorted by name.
    pub(crate) context: &'a [(Box<str>, Constant)],
}

impl<'a> Facts<'a> for TableFacts<'a> {
    type Entity = &'a Named;
    type Set = std::convert::Infallible;
    type Record = std::convert::Infallible;

    fn principal(self) -> &'a Named {
        self.principal
    }

    fn resource(self) -> &'a Named {
        self.resource
    }

    fn context(self) -> Fields<'a, Self::Record> {
        Fields::Constant(self.context)
    }

    fn named(self, name: &'a Named) -> &'a Named {
        name
    }

    fn is_named(self, entity: &'a Named, name: &Named) -> bool {
        entity == name
    }

    fn is_of_type(self, entity: &'a Named, type_name: &str) -> bool {
        *entity.type_name == *type_name
    }

    fn attribute(self, entity: &&'a Named, name: &Name, value: &mut Value<'a, Self>) -> Step<bool> {
        let found = self.table.get(entity).and_then(|known| find(&known.attributes, name));
        let Some(found) = found else { return Ok(false) };
        *value = Value::of(found, self);
        Ok(true)
    }

    fn tag(self, entity: &'a Named, name: &str) -> Step<Option<Value<'a, Self>>> {
        let value = self.table.get(entity).and_then(|known| find(&known.tags, name));
        Ok(value.map(|value| Value::of(value, self)))
    }

    fn is_in(self, entity: &'a Named, ancestor: &'a Named) -> Step<bool> {
        Ok(self.table.get(entity).is_some_and(|known| known.ancestors.contains(ancestor)))
    }

    fn find(self, entity: &'a Named, names: &Names, found: &mut dyn FnMut(u32)) {
        let ancestors = self.table.get(entity).into_iter().flat_map(|known| &known.ancestors);
        // A repeated place would count a policy twice: an entity may be in itself by name.
        let others = ancestors.filter(|ancestor| *ancestor != entity);
        let places = others.chain([entity]).filter_map(|name| names.place(&name.type_name, &name.id));
        places.for_each(found);
    }

    fn len(self, set: Self::Set) -> usize {
        match set {}
    }

    fn member(self, set: Self::Set, _: usize) -> Option<Value<'a, Self>> {
        match set {}
    }

    fn field(self, record: Self::Record, _: &Name) -> Option<Value<'a, Self>> {
        match record {}
    }

    fn width(self, record: Self::Record) -> usize {
        match record {}
    }

    fn same(self, one: Self::Record, _: Self::Record) -> bool {
        match one {}
    }
}
