//! The same question asked of Cedar itself, as a careful program without Consentry would ask it.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, Request, RestrictedExpression,
};
use consentry::{PolicySources, Timestamp};

use crate::world::Question;

/// Cedar's authorizer with a set of policies. What does not depend on the question is made once.
#[derive(Debug)]
pub struct BareCedar {
    authorizer: Authorizer,
    policies: PolicySet,
    action: EntityUid,
    types: Types,
}

#[derive(Debug)]
struct Types {
    company: EntityTypeName,
    device: EntityTypeName,
    end_user: EntityTypeName,
    installer: EntityTypeName,
    site: EntityTypeName,
}

fn uid(entity_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn reference(uid: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid.clone())
}

fn datetime(moment: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(moment.to_string())
}

fn entity<const N: usize>(
    uid: &EntityUid,
    attributes: [(&str, RestrictedExpression); N],
    parents: impl IntoIterator<Item = EntityUid>,
) -> Entity {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid.clone(), attributes, HashSet::from_iter(parents)).expect("attributes are plain values")
}

impl BareCedar {
    /// Cedar with all shipped policies in one set, each under its `@id`.
    ///
    /// # Panics
    /// When Cedar does not read them.
    #[must_use]
    pub fn shipped() -> Self {
        Self::with(|_| true)
    }

    /// Cedar with the shipped policies of these ids.
    ///
    /// # Panics
    /// When Cedar does not read them.
    #[must_use]
    pub fn only(ids: &[&str]) -> Self {
        Self::with(|id| ids.contains(&id))
    }

    fn with(keep: impl Fn(&str) -> bool) -> Self {
        let name = |name: &str| name.parse().expect("a name of the schema");
        let files = PolicySources::shipped().policies;
        let policies = files.iter().flat_map(|file| {
            let set: PolicySet = file.text.parse().expect("shipped policies can be read");
            set.policies().map(named).collect::<Vec<_>>()
        });
        let policies = policies.filter(|policy| keep(policy.id().as_ref()));
        Self {
            authorizer: Authorizer::new(),
            policies: PolicySet::from_policies(policies).expect("every policy has an id of its own"),
            action: uid(&name("Action"), "liveView"),
            types: Types {
                company: name("Company"),
                device: name("Device"),
                end_user: name("EndUser"),
                installer: name("Installer"),
                site: name("Site"),
            },
        }
    }

    /// How many policies there are.
    #[must_use]
    pub fn policy_count(&self) -> usize {
        self.policies.num_of_policies()
    }

    /// The decision. Entities, context and request are built here, as every question has its own.
    ///
    /// # Panics
    /// When Cedar takes the question for none.
    #[must_use]
    pub fn decide(&self, question: &Question, now: Timestamp) -> Decision {
        self.ask(&self.prepared(question, now))
    }

    /// The decision about a question of which everything is there already.
    #[must_use]
    pub fn ask(&self, (request, entities): &(Request, Entities)) -> Decision {
        self.authorizer.is_authorized(request, &self.policies, entities).decision()
    }

    /// Request and entities for a question.
    ///
    /// # Panics
    /// When Cedar takes the question for none.
    #[must_use]
    pub fn prepared(&self, question: &Question, now: Timestamp) -> (Request, Entities) {
        let types = &self.types;
        let (principal, resource) =
            (uid(&types.installer, &question.installer), uid(&types.device, &question.device));
        let entities = self.entities(question, &principal, &resource);
        let mut context = vec![("now".to_owned(), datetime(now))];
        if question.is_assigned {
            context.push(("grant".to_owned(), grant(question.until)));
        }
        let context = Context::from_pairs(context).expect("no name comes twice");
        let request = Request::new(principal, self.action.clone(), resource, context, None);
        (request.expect("nothing is validated"), entities)
    }

    /// Installer, device and site, with exactly the attributes of the schema.
    fn entities(&self, question: &Question, principal: &EntityUid, resource: &EntityUid) -> Entities {
        let types = &self.types;
        let site = uid(&types.site, &question.site);
        let company = uid(&types.company, &question.company);
        let contact = format!("email:{}@example.com", question.installer);
        let permissions = ["manageAssignedSites", "manageDevices"].map(text);
        let member = entity(
            principal,
            [
                ("company", reference(&company)),
                ("role", text("member")),
                ("permissions", RestrictedExpression::new_set(permissions)),
                ("contacts", RestrictedExpression::new_set([text(&contact)])),
            ],
            [Some(company), question.is_assigned.then(|| site.clone())].into_iter().flatten(),
        );
        let device = entity(
            resource,
            [("site", reference(&site)), ("supportsPasswordReset", RestrictedExpression::new_bool(true))],
            [site.clone()],
        );
        let place = entity(
            &site,
            [
                ("company", reference(&uid(&types.company, &question.site_company))),
                ("kind", text("normal")),
                ("owner", reference(&uid(&types.end_user, &question.owner))),
                ("disableServiceAccepted", RestrictedExpression::new_bool(false)),
            ],
            [],
        );
        Entities::from_entities([member, device, place], None).expect("three entities")
    }
}

fn named(policy: &Policy) -> Policy {
    policy.new_id(PolicyId::new(policy.annotation("id").expect("every shipped policy has an @id")))
}

fn grant(until: Option<Timestamp>) -> RestrictedExpression {
    let mut fields = vec![("permission".to_owned(), text("liveView"))];
    fields.extend(until.map(|until| ("until".to_owned(), datetime(until))));
    RestrictedExpression::new_record(fields).expect("no field comes twice")
}
