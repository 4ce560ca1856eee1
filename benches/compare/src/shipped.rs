//! Cedar with the policies that come with Consentry: what a program does that decides by the same rules, and has no Consentry.
//!
//! One set of entities has every company, installer, owner, site and device, with the attributes of the schema; it is made
//! once, as are the policies. Grants are in a map of the caller's, by device, as a set of entities cannot be changed for each of
//! them: the one that covers the question goes into the context, where the policies expect it. Both moments are Cedar's
//! `datetime`, which the policies compare, and which a program can give to Cedar as text alone.
//!
//! Names of types are parsed once, and there is no schema to validate requests by: to Cedar's advantage.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use ::consentry::{PolicySources, Timestamp};

use crate::workload::{DEVICES, Grant, INSTALLERS, Query, Workload, company, company_of, device, installer};

/// The types of the schema that questions are about, parsed.
struct Types {
    action: EntityTypeName,
    company: EntityTypeName,
    device: EntityTypeName,
    end_user: EntityTypeName,
    installer: EntityTypeName,
    site: EntityTypeName,
}

/// A grant on a device, in the caller's map.
struct Given {
    company: String,
    permission: &'static str,
    until: Timestamp,
}

/// The entities, the policies, and what the caller knows of installers and grants.
pub struct Facts {
    types: Types,
    entities: Entities,
    policies: PolicySet,
    companies: HashMap<String, String>,
    grants: HashMap<String, Vec<Given>>,
}

fn name(text: &str) -> EntityTypeName {
    text.parse().expect("names here are identifiers")
}

fn uid(entity_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn texts(texts: &[&str]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().copied().map(text))
}

fn reference(uid: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid.clone())
}

fn datetime(moment: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(moment.to_string())
}

fn entity<const N: usize>(
    uid: EntityUid,
    attributes: [(&str, RestrictedExpression); N],
    parent: Option<EntityUid>,
) -> Entity {
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let parents = HashSet::from_iter(parent);
    Entity::new(uid, HashMap::from(attributes), parents).expect("attributes are plain values")
}

impl Types {
    fn new() -> Self {
        Self {
            action: name("Action"),
            company: name("Company"),
            device: name("Device"),
            end_user: name("EndUser"),
            installer: name("Installer"),
            site: name("Site"),
        }
    }

    /// The entity that a question names.
    fn asked(&self, entity_type: &str, id: &str) -> EntityUid {
        match entity_type {
            "Installer" => uid(&self.installer, id),
            "Device" => uid(&self.device, id),
            other => uid(&name(other), id),
        }
    }

    /// A company and its installers, all of them admins.
    fn company(&self, number: usize) -> Vec<Entity> {
        let home = uid(&self.company, &company(number));
        let mut entities = vec![Entity::with_uid(home.clone())];
        entities.extend((0..INSTALLERS).map(|place| {
            let id = installer(number, place);
            let attributes = [
                ("company", reference(&home)),
                ("role", text("admin")),
                ("permissions", texts(&[])),
                ("contacts", texts(&[&format!("email:{id}@example.com")])),
            ];
            entity(uid(&self.installer, &id), attributes, Some(home.clone()))
        }));
        entities
    }

    /// A site that is handed over, its owner and its devices.
    fn site(&self, number: usize) -> Vec<Entity> {
        let (id, owner) = (format!("site-{number:07}"), format!("owner-{number:07}"));
        let (site, contact) = (uid(&self.site, &id), format!("email:{owner}@example.com"));
        let owner = uid(&self.end_user, &owner);
        let attributes = [
            ("company", reference(&uid(&self.company, &company_of(number)))),
            ("kind", text("normal")),
            ("owner", reference(&owner)),
            ("disableServiceAccepted", RestrictedExpression::new_bool(false)),
        ];
        let place = entity(site.clone(), attributes, None);
        let mut entities = vec![entity(owner, [("contacts", texts(&[&contact]))], None), place];
        entities.extend((0..DEVICES).map(|place| {
            let attributes =
                [("site", reference(&site)), ("supportsPasswordReset", RestrictedExpression::new_bool(true))];
            entity(uid(&self.device, &device(number, place)), attributes, Some(site.clone()))
        }));
        entities
    }
}

impl Facts {
    /// What is known in this workload.
    pub fn of(workload: Workload) -> Self {
        let types = Types::new();
        let companies = (0..workload.companies()).flat_map(|number| types.company(number));
        let sites = (0..workload.sites()).flat_map(|number| types.site(number));
        let entities = Entities::from_entities(companies.chain(sites), None).expect("each is there once");
        let files = PolicySources::shipped().policies;
        let policies: String = files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>().join("\n");
        let mut grants: HashMap<String, Vec<Given>> = HashMap::new();
        for Grant { company, device, permission, until } in
            (0..workload.sites()).flat_map(|site| workload.grants_on(site))
        {
            let given = Given { company, permission, until: Timestamp::from_millis(until) };
            grants.entry(device).or_default().push(given);
        }
        let people = (0..workload.companies())
            .flat_map(|number| (0..INSTALLERS).map(move |place| (installer(number, place), company(number))));
        Self {
            entities,
            policies: policies.parse().expect("shipped policies can be read"),
            companies: people.collect(),
            grants,
            types,
        }
    }

    /// What the context says of a grant that covers the question.
    fn grant(&self, query: &Query) -> Option<RestrictedExpression> {
        let company = self.companies.get(&query.principal)?;
        let covers = |given: &&Given| given.permission == query.action && given.company == *company;
        let given = self.grants.get(&query.resource)?.iter().find(covers)?;
        let fields = [("permission", text(given.permission)), ("until", datetime(given.until))];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        Some(RestrictedExpression::new_record(fields).expect("no field comes twice"))
    }

    /// Answers from the strings.
    pub fn answers(&self) -> impl FnMut(usize, &Query) -> bool {
        let authorizer = Authorizer::new();
        move |_, query| {
            let types = &self.types;
            let now = ("now".to_owned(), datetime(Timestamp::from_millis(query.now)));
            let context = [now].into_iter().chain(self.grant(query).map(|grant| ("grant".to_owned(), grant)));
            let request = Request::new(
                types.asked(&query.principal_type, &query.principal),
                uid(&types.action, &query.action),
                types.asked(&query.resource_type, &query.resource),
                Context::from_pairs(context).expect("no name comes twice"),
                None,
            );
            let request = request.expect("nothing is validated");
            authorizer.is_authorized(&request, &self.policies, &self.entities).decision() == Decision::Allow
        }
    }
}
