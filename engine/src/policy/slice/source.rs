//! The directory as a source of facts for checks.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{EntitySource, Slice, SliceError, Slicer, Unknown};
use crate::decide::Resource;
use crate::directory::{Coverage, Directory};
use crate::domain::{Permission, Principal, SiteId, Timestamp, Uid};
use crate::policy::ask::QuestionFacts;
use crate::policy::declared::{self, Declarations};
use crate::policy::facts::DirectoryFacts;
use crate::policy::{Hints, Policies};

impl EntitySource for Directory {
    fn slice(
        &self,
        principal: &Uid,
        action: &str,
        resource: &Uid,
        hints: &Hints,
        now: Timestamp,
    ) -> Result<Slice, Unknown> {
        let who: Principal = match principal.type_name() {
            "Operator" => principal.id().parse().map(Principal::Operator),
            "Installer" => principal.id().parse().map(Principal::Installer),
            "EndUser" => principal.id().parse().map(Principal::EndUser),
            _ => return Err(Unknown::Principal),
        }
        .map_err(|_| Unknown::Principal)?;
        let known = known_resource(self, resource);
        let mut slicer = Slicer::new(self, hints, known.as_ref());
        let not_taken = |SliceError(message)| Unknown::Facts(message);
        let principal = slicer.principal(&who).map_err(not_taken)?.ok_or(Unknown::Principal)?;
        let known = known.ok_or(Unknown::Resource)?;
        let resource_uid = slicer.resource(&known).map_err(not_taken)?;
        let coverage = match &who {
            Principal::Installer(id) => self.installer(id.as_str()).and_then(|installer| {
                let permission = Permission::named(action)?;
                let given_on = if permission.is_site_wide() { "Site" } else { "Device" };
                if resource.type_name() != given_on {
                    return Some(Coverage::Never);
                }
                Some(self.coverage(installer.company(), permission, resource.id(), now))
            }),
            Principal::EndUser(_) | Principal::Operator(_) => None,
        };
        Ok(Slice { principal, resource: resource_uid, entities: slicer.entities, coverage })
    }

    fn facts<'a>(
        &'a self,
        principal: &'a Uid,
        action: &'a str,
        resource: &'a Uid,
        now: Timestamp,
    ) -> Option<Result<QuestionFacts<'a>, Unknown>> {
        let facts = DirectoryFacts::check(self, (principal.into(), action, resource.into()), now);
        Some(facts.map(QuestionFacts::of_directory))
    }

    /// What the schema that comes with Consentry declares is what is kept here, no more and no less.
    fn knows(&self, entity_type: &str, attribute: &str) -> bool {
        SHIPPED.get(entity_type).is_some_and(|attributes| attributes.contains_key(attribute))
    }

    /// O(entities of the type): they are in no order here. Operators are not registered, and not found.
    fn ids(&self, entity_type: &str, after: Option<&str>, most: usize) -> Vec<String> {
        self.first_ids(entity_type, after, most)
    }
}

/// What the schema that comes with Consentry declares, by type.
static SHIPPED: LazyLock<HashMap<String, Declarations>> = LazyLock::new(|| {
    let shipped = Policies::none();
    shipped.map(|shipped| declared::by_type(shipped.schema())).unwrap_or_default()
});

/// The site that a question is about.
pub(super) fn site_of(directory: &Directory, resource: &Resource) -> Option<SiteId> {
    match resource {
        Resource::Company(_) | Resource::EndUser(..) | Resource::Installer(_) => None,
        Resource::Site(id) => Some(id.clone()),
        Resource::Device(id) => directory.device(id.as_str()).map(|device| device.site().clone()),
        Resource::Invite(id) => directory.invite(id.as_str()).map(|invite| invite.asking.site.clone()),
        Resource::Application(id) => {
            directory.application(id.as_str()).map(|application| application.asking.site.clone())
        }
        Resource::Ticket(id) => directory.ticket(id.as_str()).map(|ticket| ticket.asking.site.clone()),
        Resource::Grant(id) => directory.grant(id.as_str()).map(|grant| grant.site().clone()),
    }
}

/// The resource of a check, if it is registered.
fn known_resource(directory: &Directory, resource: &Uid) -> Option<Resource> {
    let id = resource.id();
    Some(match resource.type_name() {
        "Company" if directory.has_company(id) => Resource::Company(id.parse().ok()?),
        "EndUser" => Resource::EndUser(id.parse().ok()?, directory.end_user(id)?.contacts.to_vec()),
        "Installer" => directory.installer(id).and(id.parse().ok()).map(Resource::Installer)?,
        "Site" => directory.site(id).and(id.parse().ok()).map(Resource::Site)?,
        "Device" => directory.device(id).and(id.parse().ok()).map(Resource::Device)?,
        "Invite" => directory.invite(id).and(id.parse().ok()).map(Resource::Invite)?,
        "PermissionApplication" => {
            directory.application(id).and(id.parse().ok()).map(Resource::Application)?
        }
        "ResetTicket" => directory.ticket(id).and(id.parse().ok()).map(Resource::Ticket)?,
        "Grant" => directory.grant(id).and(id.parse().ok()).map(Resource::Grant)?,
        _ => return None,
    })
}
