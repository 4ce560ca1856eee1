//! Records for the eyes of developers: ids, where a row has numbers.

use std::fmt::{Debug, Formatter, Result};

use super::Directory;
use super::coverage::Covers;
use super::record::{DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, SiteRecord};

/// What grants give, with their ids.
struct Given<'a>(&'a Directory, &'a Covers);

impl Debug for Given<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self(directory, covers) = self;
        let term = |(company, permission, grant): (_, _, Option<_>)| {
            let grant =
                grant.and_then(|grant| Some((directory.grants.id(grant)?, directory.grants.get(grant)?.end)));
            format!("{:?} {permission:?} {grant:?}", directory.companies.id(company))
        };
        let mut terms: Vec<String> = covers.terms().map(term).collect();
        terms.sort();
        f.debug_list().entries(terms).finish()
    }
}

impl Debug for EndUserRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("EndUserRecord").field("contacts", &self.contacts).finish()
    }
}

impl Debug for InstallerRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("InstallerRecord")
            .field("company", self.company())
            .field("role", &self.role())
            .field("permissions", &self.permissions().collect::<Vec<_>>())
            .field("contacts", &self.contacts())
            .field("registered", &self.registered())
            .field("open", &self.open().collect::<Vec<_>>())
            .finish()
    }
}

impl Debug for SiteRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SiteRecord")
            .field("company", self.company())
            .field("kind", &self.kind())
            .field("created", &self.created())
            .field("owner", &self.owner())
            .field("owner_epoch", &self.owner_epoch())
            .field("disable_service", &self.disable_service())
            .field("assigned", &self.assigned())
            .field("invite", &self.invite())
            .field("open", self.open())
            .field("devices", &self.devices().collect::<std::collections::BTreeSet<_>>())
            .field("covers", &Given(self.directory, &self.row.covers))
            .finish()
    }
}

impl Debug for DeviceRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("DeviceRecord")
            .field("site", self.site())
            .field("supports_password_reset", &self.supports_password_reset())
            .field("added", &self.added())
            .field("ticket", &self.ticket())
            .field("covers", &Given(self.directory, &self.row.covers))
            .finish()
    }
}

impl Debug for GrantRecord<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("GrantRecord")
            .field("id", &self.id)
            .field("company", self.company())
            .field("site", self.site())
            .field("owner", self.owner())
            .field("device", &self.device())
            .field("permission", &self.permission())
            .field("until", &self.until())
            .field("state", &self.state())
            .finish()
    }
}
