//! From scopes to an index: which policies can be satisfied by a question of one kind.

use std::collections::HashMap;

use super::constant::Named;
use super::value::Facts;

/// Names of entities, each with its place in a list.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_type: HashMap<Box<str>, HashMap<Box<str>, u32>>,
    count: u32,
}

impl Names {
    /// The name's place; the next free one if it is new.
    fn add(&mut self, name: &Named) -> u32 {
        let of_type = self.by_type.entry(name.type_name.clone()).or_default();
        let place = *of_type.entry(name.id.clone()).or_insert(self.count);
        self.count = self.count.max(place + 1);
        place
    }

    /// Where a name is. O(1).
    pub(crate) fn place(&self, type_name: &str, id: &str) -> Option<u32> {
        self.by_type.get(type_name)?.get(id).copied()
    }

    /// All ids of a type, with their places.
    pub(crate) fn of_type(&self, type_name: &str) -> impl Iterator<Item = (&str, u32)> {
        self.by_type.get(type_name).into_iter().flatten().map(|(id, place)| (&**id, *place))
    }

    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }
}

/// A few places, nearly always so few that none of them is on the heap.
#[derive(Debug, Clone, Copy, Default)]
struct Inline {
    places: [u32; Few::INLINE],
    count: usize,
}

/// Places in a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Few {
    inline: Inline,
    rest: Vec<u32>,
}

impl Few {
    const INLINE: usize = 6;

    pub(crate) fn push(&mut self, place: u32) {
        match self.inline.places.get_mut(self.inline.count) {
            Some(free) => {
                *free = place;
                self.inline.count += 1;
            }
            None => self.rest.push(place),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inline.count == 0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.inline.places.iter().take(self.inline.count).chain(&self.rest).copied()
    }

    pub(crate) fn contains(&self, place: u32) -> bool {
        self.iter().any(|own| own == place)
    }
}

/// What a scope asks of principal or resource, their types being known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    /// Nothing.
    Any,
    /// To be this entity, or, the index does not tell these apart, in it.
    Within(Named),
}

/// By principal, then by resource: the policies whose scopes name them, or what they are in.
#[derive(Debug, Default)]
pub(crate) struct Index {
    principals: Names,
    resources: Names,
    /// Under the places of names, [`ANY`] for scopes that name none.
    policies: HashMap<u32, HashMap<u32, Vec<u32>>>,
}

/// No name is at this place.
const ANY: u32 = u32::MAX;

impl Index {
    /// Adds the policy at this place of a list.
    pub(crate) fn add(&mut self, principal: &Asked, resource: &Asked, policy: u32) {
        let place = |names: &mut Names, asked: &Asked| match asked {
            Asked::Any => ANY,
            Asked::Within(name) => names.add(name),
        };
        let (principal, resource) =
            (place(&mut self.principals, principal), place(&mut self.resources, resource));
        self.policies.entry(principal).or_default().entry(resource).or_default().push(policy);
    }

    /// Whether every policy is a candidate for every question.
    pub(crate) fn is_trivial(&self) -> bool {
        self.principals.len() == 0 && self.resources.len() == 0
    }

    /// Calls `visit` with every policy whose scope can match: no other is satisfied, and none of the others fails.
    /// O(what principal and resource are in, and policies found).
    pub(crate) fn visit<'a, F: Facts<'a>>(&self, facts: F, mut visit: impl FnMut(u32)) {
        let within = |entity, names: &Names| {
            let mut places = Few::default();
            places.push(ANY);
            if names.len() > 0 {
                facts.find(entity, names, &mut |place| places.push(place));
            }
            places
        };
        let principals = within(facts.principal(), &self.principals);
        let resources = within(facts.resource(), &self.resources);
        for by_resource in principals.iter().filter_map(|place| self.policies.get(&place)) {
            if by_resource.len() < resources.iter().count() {
                let found = by_resource.iter().filter(|(place, _)| resources.contains(**place));
                found.flat_map(|(_, policies)| policies).for_each(|policy| visit(*policy));
            } else {
                let found = resources.iter().filter_map(|place| by_resource.get(&place));
                found.flatten().for_each(|policy| visit(*policy));
            }
        }
    }
}
