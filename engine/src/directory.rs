//! Everything that is known at one revision: the fold of all events, in memory.
//!
//! A directory is a value: cloning it is O(1), and a clone stands still while the original goes on.
//! Readers hold a clone and never wait for a writer; every answer is computed on one of them, so on
//! one revision. It changes in one way only: [`Directory::apply`].

mod apply;
mod coverage;
mod ids;
mod record;
mod snapshot;
mod trie;

pub use apply::IllegalEvent;
pub use coverage::Coverage;
pub use record::{
    ApplicationRecord, Asking, DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, InviteRecord,
    SiteRecord, SiteState, TicketRecord,
};
pub use snapshot::SnapshotError;

use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, InviteId, Permission,
    Scope, SiteId, TicketId, Timestamp,
};
use trie::{Map, Set};

/// The place of a record in the ledger: 1 for the first, one more for each. 0: before all.
pub type Revision = u64;

/// Something with a deadline, or with an end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// An invite.
    Invite(InviteId),
    /// A permission application.
    Application(ApplicationId),
    /// A reset ticket.
    Ticket(TicketId),
    /// A grant.
    Grant(GrantId),
}

/// Deadlines fall into buckets of one minute.
const BUCKET_MILLIS: i64 = 60_000;

/// The bucket of a moment.
fn bucket(moment: Timestamp) -> i64 {
    moment.millis().div_euclid(BUCKET_MILLIS)
}

/// What is known at one revision.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    revision: Revision,
    companies: Set<CompanyId>,
    end_users: Map<EndUserId, EndUserRecord>,
    contacts: Map<Contact, EndUserId>,
    installers: Map<InstallerId, InstallerRecord>,
    sites: Map<SiteId, SiteRecord>,
    devices: Map<DeviceId, DeviceRecord>,
    invites: Map<InviteId, InviteRecord>,
    applications: Map<ApplicationId, ApplicationRecord>,
    tickets: Map<TicketId, TicketRecord>,
    grants: Map<GrantId, GrantRecord>,
    /// What time will end, by the minute in which it will.
    due: rpds::RedBlackTreeMapSync<i64, Set<Item>>,
}

impl Directory {
    /// The revision up to which events are folded in.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many things it holds.
    pub(crate) fn size(&self) -> usize {
        let people = self.companies.len() + self.end_users.len() + self.installers.len();
        let asked = self.invites.len() + self.applications.len() + self.tickets.len();
        people + asked + self.sites.len() + self.devices.len() + self.grants.len()
    }

    /// Whether the company is registered. O(1), as every look-up here.
    #[must_use]
    pub fn has_company(&self, company: &str) -> bool {
        self.companies.get(company).is_some()
    }

    /// The end user with this id.
    #[must_use]
    pub fn end_user(&self, id: &str) -> Option<&EndUserRecord> {
        self.end_users.get(id)
    }

    /// The end user whose verified contact this is.
    #[must_use]
    pub fn end_user_with(&self, contact: &Contact) -> Option<&EndUserId> {
        self.contacts.get(contact)
    }

    /// The installer with this id.
    #[must_use]
    pub fn installer(&self, id: &str) -> Option<&InstallerRecord> {
        self.installers.get(id)
    }

    /// The site with this id.
    #[must_use]
    pub fn site(&self, id: &str) -> Option<&SiteRecord> {
        self.sites.get(id)
    }

    /// The device with this id.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<&DeviceRecord> {
        self.devices.get(id)
    }

    /// The invite with this id, whatever became of it.
    #[must_use]
    pub fn invite(&self, id: &str) -> Option<&InviteRecord> {
        self.invites.get(id)
    }

    /// The application with this id, whatever became of it.
    #[must_use]
    pub fn application(&self, id: &str) -> Option<&ApplicationRecord> {
        self.applications.get(id)
    }

    /// The ticket with this id, whatever became of it.
    #[must_use]
    pub fn ticket(&self, id: &str) -> Option<&TicketRecord> {
        self.tickets.get(id)
    }

    /// The grant with this id, whatever became of it.
    #[must_use]
    pub fn grant(&self, id: &str) -> Option<&GrantRecord> {
        self.grants.get(id)
    }

    /// How many grants there are, live or not.
    #[must_use]
    pub fn grant_count(&self) -> usize {
        self.grants.len()
    }

    /// All grants, in no order that means anything. O(grants).
    pub fn grants(&self) -> impl Iterator<Item = (&GrantId, &GrantRecord)> {
        self.grants.iter()
    }

    /// Whether `company` has a live grant of `permission` for the device or site with this id, and
    /// until when. The same look-up whatever the number of grants.
    #[must_use]
    pub fn coverage(
        &self,
        company: &CompanyId,
        permission: Permission,
        resource: &str,
        now: Timestamp,
    ) -> Coverage {
        let covers = if permission.is_site_wide() {
            self.site(resource).map(|site| &site.covers)
        } else {
            self.device(resource).map(|device| &device.covers)
        };
        covers.map_or(Coverage::Never, |covers| covers.coverage(company, permission, now))
    }

    /// The state of a site at `now`.
    #[must_use]
    pub fn site_state(&self, site: &SiteRecord, now: Timestamp) -> SiteState {
        if site.owner.is_some() {
            let covers = site
                .devices
                .iter()
                .filter_map(|device| self.device(device.as_str()))
                .map(|device| &device.covers)
                .chain([&site.covers]);
            return if covers.into_iter().any(|covers| covers.any_live(&site.company, now)) {
                SiteState::Authorized
            } else {
                SiteState::NotAuthorized
            };
        }
        let invite = site.invite.as_ref().and_then(|invite| self.invite(invite.as_str()));
        match invite {
            Some(invite) if invite.state.seen_at(now).name() == "pending" => {
                if self.end_user_with(&invite.contact).is_some() {
                    SiteState::NotAccepted
                } else {
                    SiteState::NotRegistered
                }
            }
            _ => SiteState::NotInvited,
        }
    }

    /// What time has ended by `now` and nothing has recorded as ended, in order of their ids.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<Item> {
        let mut items: Vec<Item> = self
            .due
            .range(..=now.millis().div_euclid(BUCKET_MILLIS))
            .flat_map(|(_, bucket)| bucket.iter())
            .filter(|item| self.end_of(item).is_some_and(|end| now.has_reached(end)))
            .cloned()
            .collect();
        items.sort();
        items
    }

    /// The moment at which time ends a thing that it has not ended yet.
    fn end_of(&self, item: &Item) -> Option<Timestamp> {
        match item {
            Item::Invite(id) => self.invite(id.as_str())?.state.ends_at(),
            Item::Application(id) => self.application(id.as_str())?.state.ends_at(),
            Item::Ticket(id) => self.ticket(id.as_str())?.state.ends_at(),
            Item::Grant(id) => self.grant(id.as_str())?.state.ends_at(),
        }
    }

    /// Whether the installer who asked is still registered as when they asked.
    #[must_use]
    pub fn asker_is_there(&self, asking: &Asking) -> bool {
        self.installer(asking.asker.as_str())
            .is_some_and(|installer| installer.registered == asking.asker_registered)
    }

    /// Whether the site that something was asked for on is still that site.
    pub(crate) fn site_is_there(&self, asking: &Asking) -> bool {
        self.site(asking.site.as_str()).is_some_and(|site| site.created == asking.site_created)
    }

    /// Whether the device that a ticket is for is still that device.
    pub(crate) fn device_is_there(&self, ticket: &TicketRecord) -> bool {
        self.device(ticket.device.as_str()).is_some_and(|device| device.added == ticket.device_added)
    }

    /// The live grants of a site, in order of their ids.
    pub(crate) fn live_grants_of_site(&self, site: &SiteRecord, now: Timestamp) -> Vec<GrantId> {
        let mut grants: Vec<GrantId> = site
            .devices
            .iter()
            .filter_map(|device| self.device(device.as_str()))
            .flat_map(|device| device.covers.live_grants(now))
            .chain(site.covers.live_grants(now))
            .collect();
        grants.sort();
        grants
    }
}

/// The site of a scope named in it, for look-ups by text: a device's or the site's own id.
#[must_use]
pub fn scope_id<'a>(scope: &'a Scope, site: &'a SiteId) -> &'a str {
    match scope {
        Scope::Site => site.as_str(),
        Scope::Device(device) => device.as_str(),
    }
}
