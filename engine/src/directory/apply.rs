//! The one way in which a directory changes.

use std::collections::BTreeSet;

use super::coverage::{Covers, End};
use super::grants::GrantRow;
use super::record::{ApplicationRecord, Asking, InviteRecord, TicketRecord};
use super::row::{
    Assigned, DeviceRest, DeviceRow, InstallerPermissions, InstallerRest, InstallerRow, SiteRest, SiteRow,
};
use super::short::Short;
use super::table::{FULL, Number, Table};
use super::{Directory, Item, Minutes, Revision, Set, bucket};
use crate::domain::{
    ApplicationId, CompanyId, DeviceId, EndUserId, GrantId, InstallerId, InviteId, SiteId, TicketId,
    Timestamp,
};
use crate::event::Event;
use crate::lifecycle::Step;
use crate::lifecycle::grant::GrantEvent;
use crate::lifecycle::invite::{InviteEvent, InviteState};
use crate::lifecycle::permission_application::{ApplicationEvent, ApplicationState};
use crate::lifecycle::reset_ticket::{TicketEvent, TicketState};

/// An event that cannot have happened after those before it. A ledger that holds one is damaged, or
/// was written by something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revision {revision}: `{event}` cannot have happened here: {why}")]
pub struct IllegalEvent {
    /// The revision at which it stands.
    pub revision: Revision,
    /// The event's name.
    pub event: &'static str,
    /// What is in its way.
    pub why: String,
}

/// Where events are folded in: the moment and the revision of their record.
#[derive(Clone, Copy)]
struct Here {
    at: Timestamp,
    revision: Revision,
}

type Applied = Result<(), String>;

fn missing(kind: &str, id: &impl std::fmt::Display) -> String {
    format!("there is no {kind} `{id}`")
}

impl Directory {
    /// Folds in the events of one record. Pure; O(1) for each event, whatever the size of the
    /// directory, except that removing or transferring a site or device visits what is on it.
    ///
    /// # Errors
    /// When an event cannot have happened here; the directory is then of no further use.
    pub fn apply(&mut self, revision: Revision, at: Timestamp, events: &[Event]) -> Result<(), IllegalEvent> {
        let illegal = |event: &'static str, why| IllegalEvent { revision, event, why };
        if revision != self.revision + 1 {
            let why = format!("revision {} comes next", self.revision + 1);
            return Err(illegal(events.first().map_or("nothing", Event::name), why));
        }
        self.revision = revision;
        for event in events {
            self.apply_one(event, Here { at, revision }).map_err(|why| illegal(event.name(), why))?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each event, each a line or a few")]
    fn apply_one(&mut self, event: &Event, here: Here) -> Applied {
        match event {
            Event::CompanyRegistered { company } => drop(self.companies.insert(company, (), ())?),
            Event::EndUserRegistered { end_user, contacts } => {
                let number = self.end_users.insert(end_user, (), contacts.clone())?;
                for contact in contacts {
                    self.contacts.insert(contact.clone(), number);
                }
            }
            Event::InstallerRegistered { installer, company, role, permissions, contacts } => {
                let row = InstallerRow {
                    company: self.known_company(company)?,
                    role: *role,
                    permissions: InstallerPermissions::of(permissions),
                    registered: here.revision,
                };
                let rest = InstallerRest { contacts: contacts.clone(), open: BTreeSet::new() };
                self.installers.insert(installer, row, rest)?;
            }
            Event::InstallerRemoved { installer } => {
                let number = self.installers.number(installer.as_str());
                let removed = number.and_then(|number| self.installers.remove(number));
                removed.ok_or_else(|| missing("installer", installer))?;
            }
            Event::SiteCreated { site, company, kind } => {
                let row = SiteRow {
                    company: self.known_company(company)?,
                    owner: None,
                    kind: *kind,
                    disable_service: false,
                    assigned: Short::default(),
                    covers: Covers::default(),
                };
                let rest = SiteRest {
                    created: here.revision,
                    owner_epoch: 0,
                    invite: None,
                    open: BTreeSet::new(),
                    devices: Set::default(),
                };
                self.sites.insert(site, row, rest)?;
            }
            Event::SiteDeleted { site } => {
                let number = self.known_site(site)?;
                self.sites.remove(number);
            }
            Event::SiteAssigned { site, installer } => {
                let known = self.installers.find(installer.as_str());
                let (installer, row) = known.ok_or_else(|| missing("installer", installer))?;
                let assigned = Assigned { installer, registered: row.registered };
                self.site_mut(site)?.assigned.change(|all| {
                    all.retain(|other| other.installer != installer);
                    all.push(assigned);
                });
            }
            Event::SiteUnassigned { site, installer } => {
                let installer = self.installers.number(installer.as_str());
                let is_other = |assigned: &Assigned| Some(assigned.installer) != installer;
                self.site_mut(site)?.assigned.change(|all| all.retain(is_other));
            }
            Event::SiteTransferred { site, to } => self.hand_over(site, to, false)?,
            Event::DeviceAdded { device, site, supports_password_reset } => {
                let number = self.known_site(site)?;
                let row = DeviceRow {
                    site: number,
                    supports_password_reset: *supports_password_reset,
                    covers: Covers::default(),
                };
                let device =
                    self.devices.insert(device, row, DeviceRest { added: here.revision, ticket: None })?;
                if let Some(site) = self.sites.rest_mut(number) {
                    site.devices.insert(device);
                }
            }
            Event::DeviceRemoved { device } => self.remove_device(device)?,
            Event::OwnerInvited {
                invite,
                site,
                asker,
                contact,
                entries,
                disable_service,
                remark,
                deadline,
            } => {
                let place = self.known_site(site)?;
                let record = InviteRecord {
                    asking: self.asking(place, asker, *deadline)?,
                    contact: contact.clone(),
                    entries: entries.clone(),
                    disable_service: *disable_service,
                    remark: remark.clone(),
                    state: InviteState::Pending { deadline: *deadline },
                };
                self.open_item(Item::Invite(invite.clone()), &record.asking);
                self.invites.insert(invite.clone(), record);
                if let Some(site) = self.sites.rest_mut(place) {
                    site.invite = Some(invite.clone());
                }
            }
            Event::InviteAccepted { invite, owner, disable_service } => {
                let asking = self.move_invite(invite, InviteEvent::Accept, here)?;
                self.hand_over(&asking.site, owner, *disable_service)?;
            }
            Event::InviteRejected { invite } => {
                self.move_invite(invite, InviteEvent::Reject, here).map(drop)?
            }
            Event::InviteWithdrawn { invite } => {
                self.move_invite(invite, InviteEvent::Withdraw, here).map(drop)?
            }
            Event::InviteSuperseded { invite } => {
                self.move_invite(invite, InviteEvent::Supersede, here).map(drop)?
            }
            Event::InviteExpired { invite } => {
                self.move_invite(invite, InviteEvent::Lapse, here).map(drop)?
            }
            Event::InviteCancelled { invite } => {
                self.move_invite(invite, InviteEvent::Cancel, here).map(drop)?
            }
            Event::DisableServiceWithdrawn { site } => self.site_mut(site)?.disable_service = false,
            Event::PermissionApplied { application, site, asker, entries, remark, deadline } => {
                let record = ApplicationRecord {
                    asking: self.asking(self.known_site(site)?, asker, *deadline)?,
                    entries: entries.clone(),
                    remark: remark.clone(),
                    state: ApplicationState::Pending { deadline: *deadline },
                };
                self.open_item(Item::Application(application.clone()), &record.asking);
                self.applications.insert(application.clone(), record);
            }
            Event::ApplicationAccepted { application } => {
                self.move_application(application, ApplicationEvent::Accept, here)?
            }
            Event::ApplicationRejected { application } => {
                self.move_application(application, ApplicationEvent::Reject, here)?
            }
            Event::ApplicationWithdrawn { application } => {
                self.move_application(application, ApplicationEvent::Withdraw, here)?
            }
            Event::ApplicationExpired { application } => {
                self.move_application(application, ApplicationEvent::Lapse, here)?
            }
            Event::ApplicationCancelled { application } => {
                self.move_application(application, ApplicationEvent::Cancel, here)?
            }
            Event::GrantMade { grant, company, site, permission, scope, until } => {
                self.fetch_named(grant, company, site, scope.device());
                let place = self.known_site(site)?;
                let owner = self.sites.row(place).and_then(|site| site.owner);
                let owner = owner.ok_or_else(|| format!("site `{site}` has no owner"))?;
                let device =
                    scope.device().map(|device| known("device", &self.devices, device)).transpose()?;
                let company = self.known_company(company)?;
                let row = GrantRow::new(company, *permission, (place, device), owner, End::from(*until));
                self.make_grant(grant, row, here.at)?;
            }
            Event::GrantEnded { grant } => self.move_grant(grant, GrantEvent::Lapse, here)?,
            Event::GrantReleased { grant } => self.move_grant(grant, GrantEvent::Release, here)?,
            Event::GrantWithdrawn { grant } => self.move_grant(grant, GrantEvent::Withdraw, here)?,
            Event::GrantRevoked { grant } => self.move_grant(grant, GrantEvent::Revoke, here)?,
            Event::ResetTicketOpened { ticket, device, asker, mode, deadline } => {
                let number = known("device", &self.devices, device)?;
                let at = self.devices.row(number).zip(self.devices.rest(number));
                let (row, rest) = at.ok_or_else(|| missing("device", device))?;
                let record = TicketRecord {
                    asking: self.asking(row.site, asker, *deadline)?,
                    device: device.clone(),
                    device_added: rest.added,
                    owner_epoch: self.sites.rest(row.site).map_or(0, |site| site.owner_epoch),
                    mode: *mode,
                    state: TicketState::Pending { deadline: *deadline },
                };
                self.open_item(Item::Ticket(ticket.clone()), &record.asking);
                self.tickets.insert(ticket.clone(), record);
                if let Some(device) = self.devices.rest_mut(number) {
                    device.ticket = Some(ticket.clone());
                }
            }
            Event::ResetTicketRejected { ticket } => self.move_ticket(ticket, TicketEvent::Reject, here)?,
            Event::ResetTicketWithdrawn { ticket } => {
                self.move_ticket(ticket, TicketEvent::Withdraw, here)?
            }
            Event::ResetTicketExpired { ticket } => self.move_ticket(ticket, TicketEvent::Lapse, here)?,
            Event::ResetTicketCancelled { ticket } => self.move_ticket(ticket, TicketEvent::Cancel, here)?,
            Event::ResetSubmitted { ticket } => self.move_ticket(ticket, TicketEvent::Submit, here)?,
            Event::ResetCompleted { ticket } => self.move_ticket(ticket, TicketEvent::Confirm, here)?,
            Event::ResetFailed { ticket } => self.move_ticket(ticket, TicketEvent::Fail, here)?,
        }
        Ok(())
    }

    /// Sends for what finds all that a grant names at once: among a million, each would be waited for in turn.
    fn fetch_named(&self, grant: &GrantId, company: &CompanyId, site: &SiteId, device: Option<&DeviceId>) {
        self.sites.fetch(site.as_str());
        if let Some(device) = device {
            self.devices.fetch(device.as_str());
        }
        self.companies.fetch(company.as_str());
        self.grants.fetch(grant.as_str());
    }

    fn known_company(&self, company: &CompanyId) -> Result<Number<CompanyId>, String> {
        known("company", &self.companies, company)
    }

    fn known_site(&self, site: &SiteId) -> Result<Number<SiteId>, String> {
        known("site", &self.sites, site)
    }

    fn site_mut(&mut self, site: &SiteId) -> Result<&mut SiteRow, String> {
        let number = self.known_site(site)?;
        self.sites.row_mut(number).ok_or_else(|| missing("site", site))
    }

    fn hand_over(&mut self, site: &SiteId, owner: &EndUserId, disable_service: bool) -> Applied {
        let owner = self.end_users.named(owner).ok_or(FULL)?;
        let number = self.known_site(site)?;
        if let Some(rest) = self.sites.rest_mut(number) {
            rest.owner_epoch += 1;
        }
        if let Some(row) = self.sites.row_mut(number) {
            row.owner = Some(owner);
            row.disable_service = disable_service;
        }
        Ok(())
    }

    fn asking(
        &self,
        site: Number<SiteId>,
        asker: &InstallerId,
        deadline: Timestamp,
    ) -> Result<Asking, String> {
        let known = self.installers.find(asker.as_str());
        let (number, row) = known.ok_or_else(|| missing("installer", asker))?;
        let place = self.sites.id(site).zip(self.sites.rest(site));
        let (site, place) = place.ok_or_else(|| "its site is gone".to_owned())?;
        let person = self.installers.id(number).zip(self.installers.rest(number));
        let ((asker, person), company) =
            person.zip(self.companies.id(row.company)).ok_or_else(|| missing("installer", asker))?;
        Ok(Asking {
            // The ids are shared with those that the directory holds already.
            site: site.clone(),
            site_created: place.created,
            asker: asker.clone(),
            asker_registered: row.registered,
            asker_contacts: person.contacts.clone(),
            company: company.clone(),
            deadline,
        })
    }

    pub(super) fn open_item(&mut self, item: Item, asking: &Asking) {
        schedule(&mut self.due, item.clone(), asking.deadline);
        self.with_openers(asking, |open| {
            open.insert(item.clone());
        });
    }

    /// Nothing waits for an answer to `item` any more.
    fn close_item(&mut self, item: &Item, asking: &Asking) {
        unschedule(&mut self.due, item, asking.deadline);
        self.with_openers(asking, |open| {
            open.remove(item);
        });
    }

    /// Visits the lists of open things of the site and of the asker, where they are still the same.
    fn with_openers(&mut self, asking: &Asking, mut visit: impl FnMut(&mut BTreeSet<Item>)) {
        if self.site_is_there(asking)
            && let Some(number) = self.sites.number(asking.site.as_str())
            && let Some(site) = self.sites.rest_mut(number)
        {
            visit(&mut site.open);
        }
        if self.asker_is_there(asking)
            && let Some(number) = self.installers.number(asking.asker.as_str())
            && let Some(installer) = self.installers.rest_mut(number)
        {
            visit(&mut installer.open);
        }
    }

    fn move_invite(&mut self, id: &InviteId, event: InviteEvent, here: Here) -> Result<Asking, String> {
        let record = self.invites.get_mut(id).ok_or_else(|| missing("invite", id))?;
        record.state = moved(record.state.step(event, here.at), record.state.name())?;
        let asking = record.asking.clone();
        self.close_item(&Item::Invite(id.clone()), &asking);
        Ok(asking)
    }

    fn move_application(&mut self, id: &ApplicationId, event: ApplicationEvent, here: Here) -> Applied {
        let record = self.applications.get_mut(id).ok_or_else(|| missing("application", id))?;
        record.state = moved(record.state.step(event, here.at), record.state.name())?;
        let asking = record.asking.clone();
        self.close_item(&Item::Application(id.clone()), &asking);
        Ok(())
    }

    fn move_ticket(&mut self, id: &TicketId, event: TicketEvent, here: Here) -> Applied {
        let record = self.tickets.get_mut(id).ok_or_else(|| missing("ticket", id))?;
        record.state = moved(record.state.step(event, here.at), record.state.name())?;
        let (state, asking) = (record.state, record.asking.clone());
        self.close_item(&Item::Ticket(id.clone()), &asking);
        if matches!(state, TicketState::Pending { .. }) {
            self.open_item(Item::Ticket(id.clone()), &asking);
        }
        Ok(())
    }

    fn make_grant(&mut self, id: &GrantId, row: GrantRow, at: Timestamp) -> Applied {
        if self.grants.number(id.as_str()).is_some() {
            return Err(format!("there is a grant `{id}` already"));
        }
        let number = self.grants.add(id.as_str(), row)?;
        let covers = match row.device {
            None => self.sites.row_mut(row.site).map(|site| &mut site.covers),
            Some(device) => self.devices.row_mut(device).map(|device| &mut device.covers),
        };
        if let Some(covers) = covers {
            covers.add(row.company, row.permission, number, row.end, at);
        }
        if let Some(end) = row.end.moment() {
            self.ends.add(number, end);
        }
        Ok(())
    }

    fn move_grant(&mut self, id: &GrantId, event: GrantEvent, here: Here) -> Applied {
        let number = self.grants.number(id.as_str()).ok_or_else(|| missing("grant", id))?;
        let row = self.grants.get_mut(number).ok_or_else(|| missing("grant", id))?;
        let state = row.state();
        row.set_state(moved(state.step(event, here.at), state.name())?);
        let row = *row;
        // A site or device that is gone has taken its coverage with it.
        let covers = match row.device {
            None => self.sites.row_mut(row.site).map(|site| &mut site.covers),
            Some(device) => self.devices.row_mut(device).map(|device| &mut device.covers),
        };
        if let Some(covers) = covers {
            covers.remove(number);
        }
        if let Some(end) = row.end.moment() {
            self.ends.count_off(end);
        }
        Ok(())
    }

    /// The device goes, and what was asked for on it falls out of what is pending.
    fn remove_device(&mut self, device: &DeviceId) -> Applied {
        let number = known("device", &self.devices, device)?;
        let (row, _) = self.devices.remove(number).ok_or_else(|| missing("device", device))?;
        let site = self.sites.rest_mut(row.site).ok_or_else(|| "its site is gone".to_owned())?;
        site.devices.remove(&number);
        for item in site.open.clone() {
            match item {
                Item::Invite(id) => {
                    if let Some(invite) = self.invites.get_mut(&id) {
                        invite.entries.retain(|entry| entry.scope.device() != Some(device));
                    }
                }
                Item::Application(id) => {
                    if let Some(application) = self.applications.get_mut(&id) {
                        application.entries.retain(|entry| entry.scope.device() != Some(device));
                    }
                }
                Item::Ticket(_) | Item::Grant(_) => {}
            }
        }
        Ok(())
    }
}

fn schedule(minutes: &mut Minutes, item: Item, end: Timestamp) {
    let minute = bucket(end);
    if let Some(items) = minutes.get_mut(&minute) {
        items.insert(item);
    } else {
        let mut items = Set::default();
        items.insert(item);
        minutes.insert_mut(minute, items);
    }
}

fn unschedule(minutes: &mut Minutes, item: &Item, end: Timestamp) {
    let minute = bucket(end);
    if let Some(items) = minutes.get_mut(&minute) {
        items.remove(item);
        if items.is_empty() {
            minutes.remove_mut(&minute);
        }
    }
}

/// The number of what is registered under this id.
fn known<I, R, C>(kind: &str, table: &Table<I, R, C>, id: &I) -> Result<Number<I>, String>
where
    I: AsRef<str> + std::fmt::Display,
{
    table.find(id.as_ref()).map(|(number, _)| number).ok_or_else(|| missing(kind, id))
}

/// The state that an event led to; an event that did not happen has no place in a ledger.
fn moved<S>(step: Step<S>, state: &str) -> Result<S, String> {
    match step {
        Step::Moved(next) => Ok(next),
        Step::Lapsed(_) => Err(format!("it was {state}, and its time was over")),
        Step::Refused => Err(format!("it is {state}")),
    }
}
