//! The one way in which a directory changes.

use super::record::{
    ApplicationRecord, Asking, DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, InviteRecord,
    SiteRecord, TicketRecord,
};
use super::{Directory, Item, Revision, Set, bucket};
use crate::domain::{
    ApplicationId, DeviceId, GrantId, InstallerId, InviteId, Scope, SiteId, TicketId, Timestamp,
};
use crate::event::Event;
use crate::lifecycle::Step;
use crate::lifecycle::grant::{GrantEvent, GrantState};
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
            Event::CompanyRegistered { company } => {
                self.companies.insert(company.clone());
            }
            Event::EndUserRegistered { end_user, contacts } => {
                for contact in contacts {
                    self.contacts.insert(contact.clone(), end_user.clone());
                }
                let record = EndUserRecord { contacts: contacts.clone() };
                self.end_users.insert(end_user.clone(), record);
            }
            Event::InstallerRegistered { installer, company, role, permissions, contacts } => {
                let record = InstallerRecord {
                    company: self.known_company(company)?,
                    role: *role,
                    permissions: permissions.iter().copied().collect(),
                    contacts: contacts.clone(),
                    registered: here.revision,
                    open: std::collections::BTreeSet::new(),
                };
                self.installers.insert(installer.clone(), record);
            }
            Event::InstallerRemoved { installer } => {
                self.installers.remove(installer).ok_or_else(|| missing("installer", installer))?;
            }
            Event::SiteCreated { site, company, kind } => {
                let record = SiteRecord {
                    company: self.known_company(company)?,
                    kind: *kind,
                    created: here.revision,
                    owner: None,
                    owner_epoch: 0,
                    disable_service: false,
                    assigned: std::collections::BTreeMap::new(),
                    invite: None,
                    open: std::collections::BTreeSet::new(),
                    devices: Set::default(),
                    covers: super::coverage::Covers::default(),
                };
                self.sites.insert(site.clone(), record);
            }
            Event::SiteDeleted { site } => {
                self.sites.remove(site).ok_or_else(|| missing("site", site))?;
            }
            Event::SiteAssigned { site, installer } => {
                let registered = self
                    .installer(installer.as_str())
                    .ok_or_else(|| missing("installer", installer))?
                    .registered;
                self.site_mut(site)?.assigned.insert(installer.clone(), registered);
            }
            Event::SiteUnassigned { site, installer } => {
                self.site_mut(site)?.assigned.remove(installer);
            }
            Event::SiteTransferred { site, to } => {
                let site = self.site_mut(site)?;
                site.owner = Some(to.clone());
                site.owner_epoch += 1;
                site.disable_service = false;
            }
            Event::DeviceAdded { device, site, supports_password_reset } => {
                let (key, _) = self.sites.get_key_value(site).ok_or_else(|| missing("site", site))?;
                let record = DeviceRecord {
                    site: key.clone(),
                    supports_password_reset: *supports_password_reset,
                    added: here.revision,
                    ticket: None,
                    covers: super::coverage::Covers::default(),
                };
                self.devices.insert(device.clone(), record);
                self.site_mut(site)?.devices.insert(device.clone());
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
                let record = InviteRecord {
                    asking: self.asking(site, asker, *deadline)?,
                    contact: contact.clone(),
                    entries: entries.clone(),
                    disable_service: *disable_service,
                    remark: remark.clone(),
                    state: InviteState::Pending { deadline: *deadline },
                };
                self.open_item(Item::Invite(invite.clone()), &record.asking);
                self.invites.insert(invite.clone(), record);
                self.site_mut(site)?.invite = Some(invite.clone());
            }
            Event::InviteAccepted { invite, owner, disable_service } => {
                let asking = self.move_invite(invite, InviteEvent::Accept, here)?;
                let site = self.site_mut(&asking.site)?;
                site.owner = Some(owner.clone());
                site.owner_epoch += 1;
                site.disable_service = *disable_service;
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
                    asking: self.asking(site, asker, *deadline)?,
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
                let record = GrantRecord {
                    company: self.known_company(company)?,
                    site: site.clone(),
                    owner: self.owner_of(site)?,
                    scope: scope.clone(),
                    permission: *permission,
                    until: *until,
                    state: GrantState::Active { until: *until },
                };
                self.make_grant(grant, record, here.at)?;
            }
            Event::GrantEnded { grant } => self.move_grant(grant, GrantEvent::Lapse, here)?,
            Event::GrantReleased { grant } => self.move_grant(grant, GrantEvent::Release, here)?,
            Event::GrantWithdrawn { grant } => self.move_grant(grant, GrantEvent::Withdraw, here)?,
            Event::GrantRevoked { grant } => self.move_grant(grant, GrantEvent::Revoke, here)?,
            Event::ResetTicketOpened { ticket, device, asker, mode, deadline } => {
                let at = self.device(device.as_str()).ok_or_else(|| missing("device", device))?;
                let (site, device_added) = (at.site.clone(), at.added);
                let record = TicketRecord {
                    asking: self.asking(&site, asker, *deadline)?,
                    device: device.clone(),
                    device_added,
                    owner_epoch: self.site_mut(&site)?.owner_epoch,
                    mode: *mode,
                    state: TicketState::Pending { deadline: *deadline },
                };
                self.open_item(Item::Ticket(ticket.clone()), &record.asking);
                self.tickets.insert(ticket.clone(), record);
                self.device_mut(device)?.ticket = Some(ticket.clone());
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

    fn known_company(&self, company: &crate::domain::CompanyId) -> Result<crate::domain::CompanyId, String> {
        self.companies.get(company).cloned().ok_or_else(|| missing("company", company))
    }

    fn owner_of(&self, site: &SiteId) -> Result<crate::domain::EndUserId, String> {
        let owner = self.site(site.as_str()).and_then(|site| site.owner.as_ref());
        owner.cloned().ok_or_else(|| format!("site `{site}` has no owner"))
    }

    fn site_mut(&mut self, site: &SiteId) -> Result<&mut SiteRecord, String> {
        self.sites.get_mut(site).ok_or_else(|| missing("site", site))
    }

    fn device_mut(&mut self, device: &DeviceId) -> Result<&mut DeviceRecord, String> {
        self.devices.get_mut(device).ok_or_else(|| missing("device", device))
    }

    fn asking(&self, site: &SiteId, asker: &InstallerId, deadline: Timestamp) -> Result<Asking, String> {
        let (site, record) = self.sites.get_key_value(site).ok_or_else(|| missing("site", site))?;
        let installer = self.installer(asker.as_str()).ok_or_else(|| missing("installer", asker))?;
        Ok(Asking {
            site: site.clone(),
            site_created: record.created,
            asker: asker.clone(),
            asker_registered: installer.registered,
            asker_contacts: installer.contacts.clone(),
            company: installer.company.clone(),
            deadline,
        })
    }

    pub(super) fn schedule(&mut self, item: Item, end: Timestamp) {
        let bucket = bucket(end);
        if let Some(items) = self.due.get_mut(&bucket) {
            items.insert(item);
        } else {
            let mut items = Set::default();
            items.insert(item);
            self.due.insert_mut(bucket, items);
        }
    }

    fn unschedule(&mut self, item: &Item, end: Timestamp) {
        let bucket = bucket(end);
        if let Some(items) = self.due.get_mut(&bucket) {
            items.remove(item);
            if items.is_empty() {
                self.due.remove_mut(&bucket);
            }
        }
    }

    pub(super) fn open_item(&mut self, item: Item, asking: &Asking) {
        self.schedule(item.clone(), asking.deadline);
        self.with_openers(asking, |open| {
            open.insert(item.clone());
        });
    }

    /// Nothing waits for an answer to `item` any more.
    fn close_item(&mut self, item: &Item, asking: &Asking) {
        self.unschedule(item, asking.deadline);
        self.with_openers(asking, |open| {
            open.remove(item);
        });
    }

    /// Visits the lists of open things of the site and of the asker, where they are still the same.
    fn with_openers(
        &mut self,
        asking: &Asking,
        mut visit: impl FnMut(&mut std::collections::BTreeSet<Item>),
    ) {
        if let Some(site) = self.sites.get_mut(&asking.site)
            && site.created == asking.site_created
        {
            visit(&mut site.open);
        }
        if let Some(installer) = self.installers.get_mut(&asking.asker)
            && installer.registered == asking.asker_registered
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

    fn make_grant(&mut self, id: &GrantId, mut record: GrantRecord, at: Timestamp) -> Applied {
        // The ids in the record are shared with those that the directory holds already.
        let (site, _) =
            self.sites.get_key_value(&record.site).ok_or_else(|| missing("site", &record.site))?;
        record.site = site.clone();
        if let Scope::Device(device) = &record.scope {
            let (device, _) = self.devices.get_key_value(device).ok_or_else(|| missing("device", device))?;
            record.scope = Scope::Device(device.clone());
        }
        let (company, permission, until) = (record.company.clone(), record.permission, record.until);
        let covers = match &record.scope {
            Scope::Site => &mut self.site_mut(&record.site.clone())?.covers,
            Scope::Device(device) => &mut self.device_mut(&device.clone())?.covers,
        };
        covers.add(&company, permission, id.clone(), until, at);
        if let Some(until) = until {
            self.schedule(Item::Grant(id.clone()), until);
        }
        self.grants.insert(id.clone(), record);
        Ok(())
    }

    fn move_grant(&mut self, id: &GrantId, event: GrantEvent, here: Here) -> Applied {
        let record = self.grants.get_mut(id).ok_or_else(|| missing("grant", id))?;
        record.state = moved(record.state.step(event, here.at), record.state.name())?;
        let (scope, site, until) = (record.scope.clone(), record.site.clone(), record.until);
        match scope {
            Scope::Site => self.site_mut(&site)?.covers.remove(id),
            // A device that is gone has taken its coverage with it.
            Scope::Device(device) => {
                if let Ok(device) = self.device_mut(&device) {
                    device.covers.remove(id);
                }
            }
        }
        if let Some(until) = until {
            self.unschedule(&Item::Grant(id.clone()), until);
        }
        Ok(())
    }

    /// The device goes, and what was asked for on it falls out of what is pending.
    fn remove_device(&mut self, device: &DeviceId) -> Applied {
        let record = self.devices.remove(device).ok_or_else(|| missing("device", device))?;
        let site = self.site_mut(&record.site)?;
        site.devices.remove(device);
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

/// The state that an event led to; an event that did not happen has no place in a ledger.
fn moved<S>(step: Step<S>, state: &str) -> Result<S, String> {
    match step {
        Step::Moved(next) => Ok(next),
        Step::Lapsed(_) => Err(format!("it was {state}, and its time was over")),
        Step::Refused => Err(format!("it is {state}")),
    }
}
