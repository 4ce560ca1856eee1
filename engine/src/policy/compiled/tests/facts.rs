//! Generated entities and requests.

use cedar_policy::{Context, EntityUid, Request};
use serde_json::{Value as Json, json};

use super::model::{Field, IDS, Model, Shape, TAGS, Tape};
use super::values::Datum;

/// A request, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) principal: Json,
    pub(super) action: Json,
    pub(super) resource: Json,
    pub(super) context: Json,
}

impl Asking {
    pub(super) fn request(&self) -> Request {
        let uid = |name: &Json| EntityUid::from_json(name.clone()).unwrap();
        let context = Context::from_json_value(self.context.clone(), None).unwrap();
        Request::new(uid(&self.principal), uid(&self.action), uid(&self.resource), context, None).unwrap()
    }
}

/// Makes facts, of which `wrong` in a hundred do not fit the schema.
pub(super) struct Maker<'m, 't, 'c> {
    pub(super) model: &'m Model,
    pub(super) tape: &'t mut Tape<'c>,
    pub(super) wrong: usize,
}

impl Maker<'_, '_, '_> {
    /// Entities of every type, and the actions; a few of them are missing.
    pub(super) fn entities(&mut self) -> Json {
        let types = self.model.types.len();
        let mut entities = Vec::new();
        // Parents come later, so that nothing is above itself.
        for rank in 0..types * (IDS.len() - 1) {
            if self.tape.chance(12) {
                continue;
            }
            let own = &self.model.types[rank % types];
            let mut parents = Vec::new();
            for above in rank + 1..types * IDS.len() {
                let fits = own.parents.contains(&(above % types)) || self.is_wrong();
                if fits && !self.tape.chance(50) {
                    parents.push(self.uid(above).name());
                }
            }
            let attributes = self.record(&own.fields);
            let mut tags = Vec::new();
            if let Some(shape) = &own.tags {
                for name in TAGS {
                    if !self.tape.chance(40) {
                        tags.push((name, self.value(shape)));
                    }
                }
            }
            entities.push(json!({
                "uid": self.uid(rank).name(),
                "attrs": attributes.json(),
                "parents": parents,
                "tags": Datum::Record(tags).json(),
            }));
        }
        for (at, action) in self.model.actions.iter().enumerate() {
            if self.is_wrong() {
                continue;
            }
            let groups: Vec<Json> =
                action.groups.iter().map(|group| self.model.action_uid(*group).name()).collect();
            entities.push(json!({ "uid": self.model.action_uid(at).name(), "attrs": {}, "parents": groups }));
        }
        Json::Array(entities)
    }

    fn uid(&self, rank: usize) -> Datum {
        let types = self.model.types.len();
        Datum::Entity { type_name: self.model.type_name(rank % types), id: IDS[rank / types] }
    }

    pub(super) fn asking(&mut self) -> Asking {
        let at = self.model.action(self.tape);
        let action = &self.model.actions[at];
        let types = self.model.types.len();
        let mut one = |of: &[usize]| {
            let own = if self.is_wrong() { self.tape.below(types) } else { self.tape.pick(of) };
            self.model.uid(self.tape, own).name()
        };
        let (principal, resource) = (one(&action.principals), one(&action.resources));
        Asking {
            principal,
            action: self.model.action_uid(at).name(),
            resource,
            context: self.record(&action.context).json(),
        }
    }

    fn is_wrong(&mut self) -> bool {
        self.tape.chance(self.wrong)
    }

    fn record(&mut self, fields: &[Field]) -> Datum {
        let mut values = Vec::new();
        for Field { name, shape, required } in fields {
            if !(self.is_wrong() || !required && self.tape.chance(40)) {
                values.push((*name, self.value(shape)));
            }
        }
        Datum::Record(values)
    }

    fn value(&mut self, shape: &Shape) -> Datum {
        if self.is_wrong() {
            let mut other = || {
                let shape = self.model.shape(self.tape);
                self.model.datum(self.tape, &shape)
            };
            let is_set = matches!(shape, Shape::Set(_));
            return if is_set { Datum::Set(vec![other(), other(), other()]) } else { other() };
        }
        match shape {
            Shape::Record(fields) => self.record(fields),
            Shape::Set(_) if self.tape.chance(15) => Datum::Set(Vec::new()),
            Shape::Bool
            | Shape::Long
            | Shape::Text
            | Shape::Datetime
            | Shape::Duration
            | Shape::Decimal
            | Shape::Ip
            | Shape::Entity(_)
            | Shape::Set(_) => self.model.datum(self.tape, shape),
        }
    }
}
