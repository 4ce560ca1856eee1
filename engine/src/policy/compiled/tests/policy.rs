//! Generated policies.

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, SlotId, Template};
use serde_json::Value as Json;

use super::expression::Writer;
use super::model::{Model, Tape};
use super::values::Datum;

/// A policy, or a template with what it is linked to.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) links: Vec<Link>,
}

/// Which entities the slots of a template stand for.
#[derive(Debug, Clone)]
pub(super) struct Link {
    principal: Option<Json>,
    resource: Option<Json>,
}

pub(super) fn policy_set(written: &[Written]) -> PolicySet {
    let mut set = PolicySet::new();
    for (at, Written { text, links }) in written.iter().enumerate() {
        // Not in the order in which they are written.
        let id = PolicyId::new(format!("{}{at}", ["p", "o", "q"][at % 3]));
        if links.is_empty() {
            set.add(Policy::parse(Some(id), text).unwrap_or_else(|error| panic!("{text}: {error:?}")))
                .unwrap();
            continue;
        }
        let template = Template::parse(Some(id.clone()), text);
        set.add_template(template.unwrap_or_else(|error| panic!("{text}: {error:?}"))).unwrap();
        for (number, Link { principal, resource }) in links.iter().enumerate() {
            let uid = |name: &Json| EntityUid::from_json(name.clone()).unwrap();
            let slots = [(SlotId::principal(), principal), (SlotId::resource(), resource)];
            let values = slots.into_iter().filter_map(|(slot, name)| Some((slot, uid(name.as_ref()?))));
            set.link(id.clone(), PolicyId::new(format!("l{at}.{number}")), values.collect()).unwrap();
        }
    }
    set
}

/// What a scope says of principal or resource, and whether that decides its type.
struct Scope {
    text: String,
    decides: bool,
    slot: bool,
}

/// A policy for one action and types that it applies to. With `wild`, so many in a hundred of its expressions are of any
/// type.
pub(super) fn generate(model: &Model, tape: &mut Tape, wild: usize) -> Written {
    let at = model.action(tape);
    let action = &model.actions[at];
    let (principal, resource) = (tape.pick(&action.principals), tape.pick(&action.resources));
    let effect = if tape.chance(30) { "forbid" } else { "permit" };
    // Where a scope hides nothing, expressions show.
    let plain = tape.chance(60);
    let of_principal = scope(model, tape, plain, "principal", principal);
    let of_resource = scope(model, tape, plain, "resource", resource);
    let (of_action, decides) = action_scope(model, tape, plain, at);
    let mut text = format!("{effect}({}, {of_action}, {})", of_principal.text, of_resource.text);
    let others = &model.actions[model.groups..];
    let mut known = Vec::new();
    if !of_principal.decides && others.iter().any(|action| action.principals != [principal]) {
        known.push(format!("principal is {}", model.type_name(principal)));
    }
    if !decides && others.len() > 1 {
        known.push(format!("action == {}", model.action_uid(at).text()));
    }
    if !of_resource.decides && others.iter().any(|action| action.resources != [resource]) {
        known.push(format!("resource is {}", model.type_name(resource)));
    }
    let careless = wild > 0 && tape.chance(70);
    if !(known.is_empty() || careless) {
        text.push_str(&format!(" when {{ {} }}", known.join(" && ")));
    }
    let mut writer = Writer::new(model, tape, wild, [principal, at, resource]);
    for _ in 0..if plain { 1 } else { [1, 1, 1, 1, 2, 2, 0, 3][writer.below(8)] } {
        let clause = if writer.below(4) == 3 { "unless" } else { "when" };
        let depth = if plain { [1, 1, 2][writer.below(3)] } else { [1, 2, 2, 3, 4][writer.below(5)] };
        text.push_str(&format!(" {clause} {{ {} }}", writer.condition(depth)));
    }
    text.push(';');
    let mut links = Vec::new();
    if of_principal.slot || of_resource.slot {
        for _ in 0..=tape.below(2) {
            links.push(Link {
                principal: of_principal.slot.then(|| above(model, tape, principal).name()),
                resource: of_resource.slot.then(|| above(model, tape, resource).name()),
            });
        }
    }
    Written { text, links }
}

/// An entity that one of a type may be in.
fn above(model: &Model, tape: &mut Tape, of: usize) -> Datum {
    let above = tape.pick(&model.above(of));
    model.uid(tape, above)
}

fn scope(model: &Model, tape: &mut Tape, plain: bool, variable: &str, of: usize) -> Scope {
    let name = model.type_name(of);
    let within = above(model, tape, of).text();
    let (rest, decides, slot) = match if plain { 0 } else { tape.below(16) } {
        0..=4 => (String::new(), false, false),
        5 => (format!(" == {}", model.uid(tape, of).text()), true, false),
        6 | 7 => (format!(" in {within}"), false, false),
        8..=10 => (format!(" is {name}"), true, false),
        11 | 12 => (format!(" is {name} in {within}"), true, false),
        13 => (format!(" == ?{variable}"), false, true),
        14 => (format!(" in ?{variable}"), false, true),
        _ => (format!(" is {name} in ?{variable}"), true, true),
    };
    Scope { text: format!("{variable}{rest}"), decides, slot }
}

fn action_scope(model: &Model, tape: &mut Tape, plain: bool, at: usize) -> (String, bool) {
    let own = model.action_uid(at).text();
    let other = model.action_uid(tape.below(model.actions.len())).text();
    match if plain { 0 } else { tape.below(6) } {
        0 | 1 => ("action".to_owned(), false),
        2 | 3 => (format!("action == {own}"), true),
        4 => (format!("action in {other}"), false),
        _ => (format!("action in [{other}, {own}]"), false),
    }
}
