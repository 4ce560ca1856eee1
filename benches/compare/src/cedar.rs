//! Cedar: its `Authorizer` on one set of entities that has everything, made once, and policies, parsed once.
//!
//! A device has a tag for each grant, `company/action`, with the millisecond from which the grant is over. Two models lead
//! to the name of the tag, as Cedar puts no strings together:
//! - a policy for each action: an installer has an attribute for each action with the name that a grant for the company has;
//! - all in one policy: an installer has a tag for each action with the name that a grant for the company has, and the context
//!   has the action's name;
//! - the caller's key: the caller knows each installer's company from a map of its own and puts the name into the context.
//!   This does a part of the decision outside of Cedar.
//!
//! Moments are whole numbers; Cedar's `datetime` would have to be read from text for each question. Names of types are
//! parsed once, and there is no schema to validate requests by. Both are to Cedar's advantage. A record by action in
//! a tag of the company was tried and cost as much or more.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::workload::{Grant, INSTALLERS, NEVER_GIVEN, PERMISSIONS, Query, Workload, company, installer};

const ACTIONS: [&str; 3] = {
    let [one, other] = PERMISSIONS;
    [one, other, NEVER_GIVEN]
};

fn for_each_action() -> String {
    let policy = |action: &str| {
        format!(
            r#"
permit (principal is Installer, action == Action::"{action}", resource is Device)
when {{ resource.hasTag(principal.{action}) && context.now < resource.getTag(principal.{action}) }};
"#
        )
    };
    ACTIONS.map(policy).concat()
}

const ALL_IN_CEDAR: &str = r#"
permit (principal is Installer, action, resource is Device)
when {
  principal.hasTag(context.action) &&
  resource.hasTag(principal.getTag(context.action)) &&
  context.now < resource.getTag(principal.getTag(context.action))
};
"#;

const CALLERS_KEY: &str = r#"
permit (principal is Installer, action, resource is Device)
when { resource.hasTag(context.key) && context.now < resource.getTag(context.key) };
"#;

/// The entities, and what a caller knows of installers.
pub struct Facts {
    entities: Entities,
    companies: HashMap<String, String>,
}

/// Names of types, parsed.
struct Types {
    installer: EntityTypeName,
    device: EntityTypeName,
    action: EntityTypeName,
}

fn name(text: &str) -> EntityTypeName {
    text.parse().expect("names here are identifiers")
}

fn uid(entity_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}

fn text(text: String) -> RestrictedExpression {
    RestrictedExpression::new_string(text)
}

impl Types {
    fn new() -> Self {
        Self { installer: name("Installer"), device: name("Device"), action: name("Action") }
    }

    fn uid(&self, entity_type: &str, id: &str) -> EntityUid {
        match entity_type {
            "Installer" => uid(&self.installer, id),
            "Device" => uid(&self.device, id),
            other => uid(&name(other), id),
        }
    }

    fn tagged(&self, entity_type: &str, id: &str, tags: Vec<(String, RestrictedExpression)>) -> Entity {
        Entity::new_with_tags(self.uid(entity_type, id), [], [], tags).expect("tags are plain values")
    }
}

/// The name of the tag for a grant.
fn key(company: &str, action: &str) -> String {
    format!("{company}/{action}")
}

impl Facts {
    /// What is known in this workload.
    pub fn of(workload: Workload) -> Self {
        let types = Types::new();
        let people = (0..workload.companies())
            .flat_map(|number| (0..INSTALLERS).map(move |place| (installer(number, place), company(number))));
        let companies: HashMap<String, String> = people.collect();
        let installers = companies.iter().map(|(installer, company)| {
            let named = ACTIONS.map(|action| (action.to_owned(), text(key(company, action))));
            let attributes = HashMap::from(named.clone());
            Entity::new_with_tags(types.uid("Installer", installer), attributes, [], named)
                .expect("these are plain values")
        });
        let devices = (0..workload.sites()).flat_map(|site| {
            let mut devices: BTreeMap<String, Vec<_>> = BTreeMap::new();
            for Grant { company, device, permission, until } in workload.grants_on(site) {
                let tag = (key(&company, permission), RestrictedExpression::new_long(until));
                devices.entry(device).or_default().push(tag);
            }
            devices
        });
        let devices = devices.map(|(device, tags)| types.tagged("Device", &device, tags));
        let entities = Entities::from_entities(installers.chain(devices), None).expect("each is there once");
        Self { entities, companies }
    }

    /// Answers from the strings, with all facts in Cedar and a policy for each action.
    pub fn policy_for_each_action(&self) -> impl FnMut(usize, &Query) -> bool {
        self.answers(&for_each_action(), |_| None)
    }

    /// Answers from the strings, with all facts in Cedar and one policy.
    pub fn all_in_cedar(&self) -> impl FnMut(usize, &Query) -> bool {
        self.answers(ALL_IN_CEDAR, |query| Some(("action", query.action.clone())))
    }

    /// Answers from the strings, with the caller's key.
    pub fn callers_key(&self) -> impl FnMut(usize, &Query) -> bool {
        self.answers(CALLERS_KEY, |query| {
            let company = self.companies.get(&query.principal).map_or("", String::as_str);
            Some(("key", key(company, &query.action)))
        })
    }

    fn answers<'a, S: Fn(&Query) -> Option<(&'static str, String)> + 'a>(
        &'a self,
        policies: &str,
        said: S,
    ) -> impl FnMut(usize, &Query) -> bool + use<'a, S> {
        let policies: PolicySet = policies.parse().expect("it is Cedar");
        let (authorizer, types) = (Authorizer::new(), Types::new());
        move |_, query| {
            let said = said(query).map(|(name, value)| (name.to_owned(), text(value)));
            let now = RestrictedExpression::new_long(query.now);
            let context = said.into_iter().chain([("now".to_owned(), now)]);
            let request = Request::new(
                types.uid(&query.principal_type, &query.principal),
                uid(&types.action, &query.action),
                types.uid(&query.resource_type, &query.resource),
                Context::from_pairs(context).expect("no name comes twice"),
                None,
            );
            let request = request.expect("nothing is validated");
            authorizer.is_authorized(&request, &policies, &self.entities).decision() == Decision::Allow
        }
    }
}
