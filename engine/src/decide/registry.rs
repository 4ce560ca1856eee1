//! Who and what there is: companies, people, sites, devices.

use super::{Case, Events, Fact, No, Resource, already_exists, not_found, refuse, wrong_state};
use crate::directory::{DeviceRecord, InstallerRecord, Item, SiteRecord};
use crate::domain::{
    CompanyId, Contact, DeviceId, EndUserId, Entry, InstallerId, InstallerPermission, Permission, Principal,
    Role, SiteId, SiteKind,
};
use crate::event::Event;
use crate::refusal::RefusalCode;

impl<'a> Case<'a> {
    pub(super) fn find_site(&self, site: &SiteId) -> Result<SiteRecord<'a>, No> {
        self.directory.site(site.as_str()).ok_or_else(|| not_found("site", site))
    }

    pub(super) fn find_device(&self, device: &DeviceId) -> Result<DeviceRecord<'a>, No> {
        self.directory.device(device.as_str()).ok_or_else(|| not_found("device", device))
    }

    pub(super) fn find_company(&self, company: &CompanyId) -> Result<(), No> {
        let known = self.directory.has_company(company.as_str());
        known.then_some(()).ok_or_else(|| not_found("company", company))
    }

    fn find_installer(&self, installer: &InstallerId) -> Result<InstallerRecord<'a>, No> {
        self.directory.installer(installer.as_str()).ok_or_else(|| not_found("installer", installer))
    }

    /// The names of the permissions that the principal's company holds live on a device or site.
    pub(super) fn live_permissions(&self, resource: &str, permissions: &[Permission]) -> Fact {
        use crate::directory::Coverage;
        let company = match self.principal {
            Principal::Installer(id) => {
                self.directory.installer(id.as_str()).map(|installer| installer.company())
            }
            Principal::EndUser(_) | Principal::Operator(_) => None,
        };
        let live = |permission: &&Permission| {
            company.is_some_and(|company| {
                let coverage = self.directory.coverage(company, **permission, resource, self.now);
                matches!(coverage, Coverage::Live { .. })
            })
        };
        Fact::Texts(permissions.iter().filter(live).map(|permission| permission.name().to_owned()).collect())
    }

    pub(super) fn register_company(&mut self, company: &CompanyId) -> Events {
        if self.directory.has_company(company.as_str()) {
            return Err(already_exists("company", company));
        }
        self.permit(Resource::Company(company.clone()), vec![])?;
        Ok(vec![Event::CompanyRegistered { company: company.clone() }])
    }

    pub(super) fn register_end_user(&mut self, end_user: &EndUserId, contacts: &[Contact]) -> Events {
        if self.directory.end_user(end_user.as_str()).is_some() {
            return Err(already_exists("end user", end_user));
        }
        if let Some(taken) = contacts.iter().find(|contact| self.directory.end_user_with(contact).is_some()) {
            return Err(already_exists("end user with the contact", taken));
        }
        let contacts = distinct(contacts);
        self.permit(Resource::EndUser(end_user.clone(), contacts.clone()), vec![])?;
        Ok(vec![Event::EndUserRegistered { end_user: end_user.clone(), contacts }])
    }

    pub(super) fn register_installer(
        &mut self,
        installer: &InstallerId,
        company: &CompanyId,
        role: Role,
        permissions: &[InstallerPermission],
        contacts: &[Contact],
    ) -> Events {
        self.find_company(company)?;
        if self.directory.installer(installer.as_str()).is_some() {
            return Err(already_exists("installer", installer));
        }
        self.permit(Resource::Company(company.clone()), vec![("role", Fact::Text(role.name().to_owned()))])?;
        Ok(vec![Event::InstallerRegistered {
            installer: installer.clone(),
            company: company.clone(),
            role,
            permissions: distinct(permissions),
            contacts: distinct(contacts),
        }])
    }

    pub(super) fn remove_installer(&mut self, installer: &InstallerId) -> Events {
        let open: Vec<Item> = self.find_installer(installer)?.open().cloned().collect();
        self.permit(Resource::Installer(installer.clone()), vec![])?;
        let removed = Event::InstallerRemoved { installer: installer.clone() };
        self.with_what_no_longer_stands(removed, installer, open)
    }

    pub(super) fn create_site(&mut self, site: &SiteId, company: &CompanyId, kind: SiteKind) -> Events {
        self.find_company(company)?;
        if self.directory.site(site.as_str()).is_some() {
            return Err(already_exists("site", site));
        }
        self.permit(Resource::Company(company.clone()), vec![("kind", Fact::Text(kind.name().to_owned()))])?;
        Ok(vec![Event::SiteCreated { site: site.clone(), company: company.clone(), kind }])
    }

    pub(super) fn assign_site(&mut self, site: &SiteId, installer: &InstallerId) -> Events {
        let (place, person) = (self.find_site(site)?, self.find_installer(installer)?);
        if place.is_assigned(installer) {
            return Err(already_exists("assignment of this site to installer", installer));
        }
        self.permit(Resource::Site(site.clone()), vec![("installer", Fact::Installer(installer.clone()))])?;
        if person.company() != place.company() {
            let message = format!(
                "`{installer}` works for `{}`, the site is `{}`'s",
                person.company(),
                place.company()
            );
            return Err(refuse(RefusalCode::Invalid, message));
        }
        Ok(vec![Event::SiteAssigned { site: site.clone(), installer: installer.clone() }])
    }

    pub(super) fn unassign_site(&mut self, site: &SiteId, installer: &InstallerId) -> Events {
        let (place, person) = (self.find_site(site)?, self.find_installer(installer)?);
        if !place.is_assigned(installer) {
            return Err(not_found("assignment of this site to installer", installer));
        }
        self.permit(Resource::Site(site.clone()), vec![("installer", Fact::Installer(installer.clone()))])?;
        let here = |item: &Item| place.open().contains(item);
        let open = person.open().filter(|item| here(item)).cloned().collect();
        let unassigned = Event::SiteUnassigned { site: site.clone(), installer: installer.clone() };
        self.with_what_no_longer_stands(unassigned, installer, open)
    }

    /// `change`, and the cancellation of those of the installer's open things that the policies no
    /// longer let them ask for once it has happened.
    fn with_what_no_longer_stands(&self, change: Event, asker: &InstallerId, open: Vec<Item>) -> Events {
        let mut after = self.directory.clone();
        let next = after.revision() + 1;
        if let Err(illegal) = after.apply(next, self.now, std::slice::from_ref(&change)) {
            return Err(refuse(RefusalCode::Invalid, illegal.to_string()));
        }
        let mut events = vec![change];
        for item in open {
            let resource = match &item {
                Item::Invite(id) => Resource::Invite(id.clone()),
                Item::Application(id) => Resource::Application(id.clone()),
                Item::Ticket(id) => Resource::Ticket(id.clone()),
                Item::Grant(_) => continue,
            };
            if !self.stands(&after, asker, resource) {
                events.extend(self.cancel(&item));
            }
        }
        Ok(events)
    }

    pub(super) fn delete_site(&mut self, site: &SiteId) -> Events {
        let place = self.find_site(site)?;
        self.permit(Resource::Site(site.clone()), vec![])?;
        let mut events: Vec<Event> = place.open().iter().filter_map(|item| self.cancel(item)).collect();
        let grants = self.directory.live_grants_of_site(place, self.now);
        events.extend(grants.into_iter().map(|grant| Event::GrantRevoked { grant }));
        let mut devices: Vec<DeviceId> = place.devices().cloned().collect();
        devices.sort();
        events.extend(devices.into_iter().map(|device| Event::DeviceRemoved { device }));
        events.push(Event::SiteDeleted { site: site.clone() });
        Ok(events)
    }

    pub(super) fn add_device(
        &mut self,
        device: &DeviceId,
        site: &SiteId,
        supports_password_reset: bool,
    ) -> Events {
        self.find_site(site)?;
        if self.directory.device(device.as_str()).is_some() {
            return Err(already_exists("device", device));
        }
        let grants = self.live_permissions(site.as_str(), &[Permission::ManageSite]);
        self.permit(Resource::Site(site.clone()), vec![("grants", grants)])?;
        Ok(vec![Event::DeviceAdded { device: device.clone(), site: site.clone(), supports_password_reset }])
    }

    pub(super) fn remove_device(&mut self, device: &DeviceId) -> Events {
        let record = self.find_device(device)?;
        let site = self.find_site(record.site())?;
        self.permit(Resource::Device(device.clone()), vec![])?;
        let grants = record.live_grants(self.now);
        let mut events: Vec<Event> = grants.into_iter().map(|grant| Event::GrantRevoked { grant }).collect();
        let only_here = |entries: &[Entry]| {
            !entries.is_empty() && entries.iter().all(|entry| entry.scope.device() == Some(device))
        };
        for item in site.open() {
            let ends = match item {
                Item::Invite(id) => {
                    self.directory.invite(id.as_str()).is_some_and(|invite| only_here(&invite.entries))
                }
                Item::Application(id) => self
                    .directory
                    .application(id.as_str())
                    .is_some_and(|application| only_here(&application.entries)),
                Item::Ticket(id) => self
                    .directory
                    .ticket(id.as_str())
                    .is_some_and(|ticket| ticket.device == *device && ticket.device_added == record.added()),
                Item::Grant(_) => false,
            };
            if ends {
                events.extend(self.cancel(item));
            }
        }
        events.push(Event::DeviceRemoved { device: device.clone() });
        Ok(events)
    }

    pub(super) fn transfer_site(&mut self, site: &SiteId, to: &EndUserId) -> Events {
        let place = self.find_site(site)?;
        if self.directory.end_user(to.as_str()).is_none() {
            return Err(not_found("end user", to));
        }
        self.permit(Resource::Site(site.clone()), vec![("to", Fact::EndUser(to.clone()))])?;
        match place.owner() {
            None => {
                return Err(wrong_state(
                    &format!("site `{site}`"),
                    self.directory.site_state(place, self.now).name(),
                ));
            }
            Some(owner) if owner == to => {
                return Err(refuse(RefusalCode::Invalid, format!("`{to}` owns `{site}` already")));
            }
            Some(_) => {}
        }
        let mut events: Vec<Event> = place.open().iter().filter_map(|item| self.cancel(item)).collect();
        let grants = self.directory.live_grants_of_site(place, self.now);
        events.extend(grants.into_iter().map(|grant| Event::GrantRevoked { grant }));
        events.push(Event::SiteTransferred { site: site.clone(), to: to.clone() });
        Ok(events)
    }
}

/// Each value once, in the order of their first places.
fn distinct<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}
