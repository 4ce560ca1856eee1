//! Faulty indexes over the scopes.

use super::super::index::Asked;
use super::*;

/// A policy's place in the index.
pub(super) struct Entry {
    principal: Asked,
    resource: Asked,
    place: u32,
}

/// What an index might get wrong of its entries, for a question.
pub(super) type Fault = fn(&mut Vec<Entry>, &Question<'_>);

pub(super) const FAULTS: [(&str, Fault); 8] = [
    ("a policy left out", |entries, _| {
        entries.pop();
    }),
    ("a policy twice", |entries, _| {
        let last = entries.last().map(|Entry { principal, resource, place }| Entry {
            principal: principal.clone(),
            resource: resource.clone(),
            place: *place,
        });
        entries.extend(last);
    }),
    ("another policy", |entries, _| entries.iter_mut().for_each(|entry| entry.place += 1)),
    ("principals and resources mistaken for each other", |entries, _| {
        entries.iter_mut().for_each(|entry| std::mem::swap(&mut entry.principal, &mut entry.resource));
    }),
    ("only principals that are named themselves", |entries, question| {
        entries.retain(|entry| is_or_any(&entry.principal, &question.principal));
    }),
    ("only resources that are named themselves", |entries, question| {
        entries.retain(|entry| is_or_any(&entry.resource, &question.resource));
    }),
    ("not the policies that name no principal", |entries, _| {
        entries.retain(|entry| entry.principal != Asked::Any);
    }),
    ("not the policies that name no resource", |entries, _| {
        entries.retain(|entry| entry.resource != Asked::Any);
    }),
];

fn is_or_any(asked: &Asked, name: &Named) -> bool {
    match asked {
        Asked::Any => true,
        Asked::Within(own) => own == name,
    }
}

/// The index with this fault.
pub(super) fn index(fault: Fault, question: &Question<'_>, policies: &PolicySet) -> Index {
    let policies: &ast::PolicySet = policies.as_ref();
    let entry = |(place, program): (u32, &Program)| {
        let policy = policies.get(&ast::PolicyID::from_string(program.id())).unwrap();
        Entry {
            principal: asked(&policy.principal_constraint().into_inner()),
            resource: asked(&policy.resource_constraint().into_inner()),
            place,
        }
    };
    let mut entries = (0..).zip(question.compiled.programs()).map(entry).collect();
    fault(&mut entries, question);
    let mut index = Index::default();
    entries.iter().for_each(|Entry { principal, resource, place }| index.add(principal, resource, *place));
    index
}
