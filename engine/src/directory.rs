//! Everything that is known at one revision: the fold of all events, in memory.
//!
//! A directory is a value: cloning it is O(1), and a clone stands still while the original goes on.
//! Readers hold a clone and never wait for a writer; every answer is computed on one of them, so on
//! one revision. It changes in one way only: [`Directory::apply`].

mod apply;
mod coverage;
mod ends;
mod entity;
mod grants;
mod ids;
mod index;
mod list;
mod record;
mod row;
mod rows;
mod short;
mod shown;
mod snapshot;
mod table;
mod text;
mod trie;

pub use apply::IllegalEvent;
pub use coverage::Coverage;
pub(crate) use entity::Entity;
pub use entity::EntityKey;
pub(crate) use grants::GrantRow;
pub use record::{
    ApplicationRecord, Asking, DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, InviteRecord,
    SiteRecord, SiteState, TicketRecord,
};
pub(crate) use row::{DeviceRow, InstallerPermissions, InstallerRow, SiteRow};
pub use snapshot::SnapshotError;
pub(crate) use table::Number;

use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, InviteId, Permission,
    Scope, SiteId, TicketId, Timestamp,
};
use crate::lifecycle::grant::GrantState;
use coverage::Covers;
use ends::Ends;
use entity::Lineage;
use grants::Grants;
use row::{DeviceRest, InstallerRest, SiteRest};
use table::Table;
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
    lineage: Lineage,
    revision: Revision,
    companies: Table<CompanyId, ()>,
    end_users: Table<EndUserId, (), Vec<Contact>>,
    contacts: Map<Contact, Number<EndUserId>>,
    installers: Table<InstallerId, InstallerRow, InstallerRest>,
    sites: Table<SiteId, SiteRow, SiteRest>,
    devices: Table<DeviceId, DeviceRow, DeviceRest>,
    grants: Grants,
    invites: Map<InviteId, InviteRecord>,
    applications: Map<ApplicationId, ApplicationRecord>,
    tickets: Map<TicketId, TicketRecord>,
    /// What was asked for and time will end, by the minute in which it will.
    due: Minutes,
    /// The grants that time will end.
    ends: Ends,
}

type Minutes = rpds::RedBlackTreeMapSync<i64, Set<Item>>;

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
        self.companies.find(company).is_some()
    }

    /// The end user with this id.
    #[must_use]
    pub fn end_user(&self, id: &str) -> Option<EndUserRecord<'_>> {
        let (number, ()) = self.end_users.find(id)?;
        Some(EndUserRecord { contacts: self.end_users.rest(number)? })
    }

    /// The end user whose verified contact this is.
    #[must_use]
    pub fn end_user_with(&self, contact: &Contact) -> Option<&EndUserId> {
        self.end_users.id(*self.contacts.get(contact)?)
    }

    /// The installer with this id.
    #[must_use]
    pub fn installer(&self, id: &str) -> Option<InstallerRecord<'_>> {
        let (number, row) = self.installers.find(id)?;
        let (rest, company) = (self.installers.rest(number)?, self.companies.id(row.company)?);
        Some(InstallerRecord { row, rest, company })
    }

    /// The site with this id.
    #[must_use]
    pub fn site(&self, id: &str) -> Option<SiteRecord<'_>> {
        let (number, row) = self.sites.find(id)?;
        let (rest, company) = (self.sites.rest(number)?, self.companies.id(row.company)?);
        let owner = row.owner.and_then(|owner| self.end_users.id(owner));
        Some(SiteRecord { directory: self, row, rest, company, owner })
    }

    /// The device with this id.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<DeviceRecord<'_>> {
        let (number, row) = self.devices.find(id)?;
        let (rest, site) = (self.devices.rest(number)?, self.sites.id(row.site)?);
        Some(DeviceRecord { directory: self, row, rest, site })
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
    pub fn grant(&self, id: &str) -> Option<GrantRecord<'_>> {
        let number = self.grants.number(id)?;
        self.grant_record(number, self.grants.get(number)?)
    }

    fn grant_record<'a>(&'a self, number: Number<GrantId>, row: &'a GrantRow) -> Option<GrantRecord<'a>> {
        Some(GrantRecord {
            directory: self,
            row,
            id: self.grants.id(number)?,
            company: self.companies.id(row.company)?,
            site: self.sites.id(row.site)?,
            owner: self.end_users.id(row.owner)?,
        })
    }

    /// How many grants there are, live or not.
    #[must_use]
    pub fn grant_count(&self) -> usize {
        self.grants.len()
    }

    /// How many grants are live at `now`. O(grants), and nothing of a grant but its own row is looked at.
    #[must_use]
    pub fn live_grant_count(&self, now: Timestamp) -> usize {
        let is_live = |row: &GrantRow| matches!(row.state().seen_at(now), GrantState::Active { .. });
        self.grants.iter().filter(|(_, row)| is_live(row)).count()
    }

    /// All grants, in the order in which they were made. O(grants).
    pub fn grants(&self) -> impl Iterator<Item = GrantRecord<'_>> {
        self.grants.iter().filter_map(|(number, row)| self.grant_record(number, row))
    }

    /// The ids of grants, sorted.
    fn grant_ids(&self, grants: impl Iterator<Item = Number<GrantId>>) -> Vec<GrantId> {
        let mut ids: Vec<GrantId> =
            grants.filter_map(|grant| self.grants.id(grant)).map(GrantId::known).collect();
        ids.sort();
        ids
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
            self.sites.find(resource).map(|(_, site)| &site.covers)
        } else {
            self.devices.find(resource).map(|(_, device)| &device.covers)
        };
        let company = self.companies.number(company.as_str());
        covers
            .zip(company)
            .map_or(Coverage::Never, |(covers, company)| covers.coverage(company, permission, now))
    }

    /// The state of a site at `now`.
    #[must_use]
    pub fn site_state(&self, site: SiteRecord<'_>, now: Timestamp) -> SiteState {
        if site.row.owner.is_some() {
            return if self.covers_of(site).any(|covers| covers.any_live(site.row.company, now)) {
                SiteState::Authorized
            } else {
                SiteState::NotAuthorized
            };
        }
        let invite = site.invite().and_then(|invite| self.invite(invite.as_str()));
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

    /// What grants give on a site: on its devices, and on itself.
    fn covers_of<'a>(&'a self, site: SiteRecord<'a>) -> impl Iterator<Item = &'a Covers> {
        let of_device = |device: &Number<DeviceId>| self.devices.row(*device).map(|device| &device.covers);
        site.rest.devices.iter().filter_map(of_device).chain([&site.row.covers])
    }

    /// What time has ended by `now` and nothing has recorded as ended, in order of their ids.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<Item> {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| now.has_reached(end));
        let asked = self.due.range(..=bucket(now)).flat_map(|(_, minute)| minute.iter());
        let mut items: Vec<Item> = asked.filter(|item| over(self.end_of(item))).cloned().collect();
        let ended =
            |grant: &Number<GrantId>| over(self.grants.get(*grant).and_then(|row| row.state().ends_at()));
        items.extend(self.grant_ids(self.ends.until(now).filter(ended)).into_iter().map(Item::Grant));
        items.sort();
        items
    }

    /// The moment at which time ends a thing that it has not ended yet.
    fn end_of(&self, item: &Item) -> Option<Timestamp> {
        match item {
            Item::Invite(id) => self.invite(id.as_str())?.state.ends_at(),
            Item::Application(id) => self.application(id.as_str())?.state.ends_at(),
            Item::Ticket(id) => self.ticket(id.as_str())?.state.ends_at(),
            Item::Grant(id) => self.grant(id.as_str())?.state().ends_at(),
        }
    }

    /// Whether the installer who asked is still registered as when they asked.
    #[must_use]
    pub fn asker_is_there(&self, asking: &Asking) -> bool {
        self.installer(asking.asker.as_str())
            .is_some_and(|installer| installer.registered() == asking.asker_registered)
    }

    /// Whether the site that something was asked for on is still that site.
    pub(crate) fn site_is_there(&self, asking: &Asking) -> bool {
        self.site(asking.site.as_str()).is_some_and(|site| site.created() == asking.site_created)
    }

    /// Whether the device that a ticket is for is still that device.
    pub(crate) fn device_is_there(&self, ticket: &TicketRecord) -> bool {
        self.device(ticket.device.as_str()).is_some_and(|device| device.added() == ticket.device_added)
    }

    /// The live grants of a site, in order of their ids.
    pub(crate) fn live_grants_of_site(&self, site: SiteRecord<'_>, now: Timestamp) -> Vec<GrantId> {
        self.grant_ids(self.covers_of(site).flat_map(|covers| covers.live_grants(now)))
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
