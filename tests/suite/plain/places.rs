//! The directory: companies, people, sites, devices, and what goes with them when they go.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Asked, Device, Done, Fault, Installer, Outcome, Plain, Refused, Serial, Site, contact, done, refused,
    text,
};

fn contacts(fields: &Value, fault: Option<Fault>) -> BTreeSet<String> {
    fields["contacts"].as_array().into_iter().flatten().map(|written| contact(written, fault)).collect()
}

fn found<T>(thing: Option<T>) -> Result<T, Refused> {
    thing.ok_or_else(|| refused("not_found"))
}

impl Plain {
    pub(super) fn keep_directory(&mut self, who: &str, name: &str, fields: &Value) -> Outcome {
        self.named_are_there(fields, name)?;
        let exists = refused("already_exists");
        if self.exists_already(name, fields) && !self.wrong(Fault::NotPermittedComesFirst) {
            return Err(exists);
        }
        let by = self.permitted(who, name, fields)?;
        if self.exists_already(name, fields) {
            return Err(exists);
        }
        let (site, device) = (text(fields, "site").to_owned(), text(fields, "device").to_owned());
        match name {
            "registerCompany" => {
                self.companies.insert(text(fields, "company").to_owned());
                Ok(done(["companyRegistered"]))
            }
            "registerEndUser" => {
                let own = contacts(fields, self.fault);
                self.users.insert(text(fields, "endUser").to_owned(), own);
                Ok(done(["endUserRegistered"]))
            }
            "registerInstaller" => Ok(self.register_installer(fields)),
            "removeInstaller" => Ok(self.remove_installer(text(fields, "installer"))),
            "createSite" => {
                let company = text(fields, "company").to_owned();
                let serial = if self.wrong(Fault::SitesInherit) {
                    site.bytes().map(Serial::from).sum::<Serial>() + 1_000_000
                } else {
                    self.next_serial()
                };
                let rental = text(fields, "kind") == "rental";
                let created = Site { serial, company, rental, owner: None, epoch: 0, disable: false };
                self.sites.insert(site, created);
                Ok(done(["siteCreated"]))
            }
            "assignSite" | "unassignSite" => self.assign(name, &site, text(fields, "installer"), by),
            "deleteSite" => Ok(self.delete_site(&site)),
            "addDevice" => {
                let serial = self.next_serial();
                let resets = fields["supportsPasswordReset"].as_bool().unwrap();
                self.devices.insert(device, Device { serial, site, resets });
                Ok(done(["deviceAdded"]))
            }
            "removeDevice" => Ok(self.remove_device(&device)),
            "transferSite" => self.transfer(&site, text(fields, "to"), by),
            _ => self.withdraw_disable_service(&site, by),
        }
    }

    fn named_are_there(&self, fields: &Value, name: &str) -> Result<(), Refused> {
        let named = |field: &str| fields[field].as_str();
        if let Some(company) = named("company").filter(|_| name != "registerCompany") {
            found(self.companies.get(company))?;
        }
        if let Some(installer) = named("installer").filter(|_| name != "registerInstaller") {
            found(self.installers.get(installer))?;
        }
        if let Some(site) = named("site").filter(|_| name != "createSite") {
            found(self.sites.get(site))?;
        }
        if let Some(device) = named("device").filter(|_| name != "addDevice") {
            found(self.devices.get(device))?;
        }
        // The contract is silent: an assignment is a thing that is there, or not.
        if name == "unassignSite" && !self.is_assigned(fields) {
            return Err(refused("not_found"));
        }
        if let Some(user) = named("to") {
            found(self.users.get(user))?;
        }
        Ok(())
    }

    fn exists_already(&self, name: &str, fields: &Value) -> bool {
        match name {
            "registerCompany" => self.companies.contains(text(fields, "company")),
            "registerEndUser" => {
                let own = contacts(fields, self.fault);
                let taken = self.users.values().any(|theirs| !theirs.is_disjoint(&own));
                self.users.contains_key(text(fields, "endUser"))
                    || taken && !self.wrong(Fault::ContactsAreShared)
            }
            "registerInstaller" => self.installers.contains_key(text(fields, "installer")),
            "createSite" => self.sites.contains_key(text(fields, "site")),
            "addDevice" => self.devices.contains_key(text(fields, "device")),
            "assignSite" => self.is_assigned(fields),
            _ => false,
        }
    }

    fn is_assigned(&self, fields: &Value) -> bool {
        let site = &self.sites[text(fields, "site")];
        self.installers[text(fields, "installer")].sites.contains(&site.serial)
    }

    fn register_installer(&mut self, fields: &Value) -> Done {
        let rights = fields["permissions"].as_array().into_iter().flatten();
        let installer = Installer {
            serial: self.next_serial(),
            company: text(fields, "company").to_owned(),
            admin: text(fields, "role") == "admin",
            rights: rights.map(|right| right.as_str().unwrap().to_owned()).collect(),
            contacts: contacts(fields, self.fault),
            sites: BTreeSet::new(),
        };
        self.installers.insert(text(fields, "installer").to_owned(), installer);
        done(["installerRegistered"])
    }

    fn remove_installer(&mut self, id: &str) -> Done {
        self.installers.remove(id);
        let mut done = done(["installerRemoved"]);
        if !self.wrong(Fault::RemovedAskersKeepAsking) {
            done.events.extend(self.cancel_groundless());
        }
        done
    }

    fn assign(&mut self, name: &str, site: &str, installer: &str, by: Vec<&'static str>) -> Outcome {
        let (serial, company) = (self.sites[site].serial, self.sites[site].company.clone());
        let installer = self.installers.get_mut(installer).unwrap();
        if name == "assignSite" {
            if installer.company != company {
                return Err(Refused { by, ..refused("invalid") });
            }
            installer.sites.insert(serial);
            return Ok(done(["siteAssigned"]));
        }
        installer.sites.remove(&serial);
        let asker = installer.serial;
        let mut done = done(["siteUnassigned"]);
        if self.wrong(Fault::UnassignedAskersAlwaysStop) {
            done.events.extend(self.cancel(|_, a| a.asker_serial == asker && a.site_serial == serial));
        }
        if !self.wrong(Fault::UnassignedAskersKeepAsking) {
            done.events.extend(self.cancel_groundless());
        }
        Ok(done)
    }

    fn delete_site(&mut self, id: &str) -> Done {
        let site = self.sites.remove(id).unwrap();
        let mut done = done(["siteDeleted"]);
        for installer in self.installers.values_mut().filter(|_| self.fault != Some(Fault::SitesInherit)) {
            installer.sites.remove(&site.serial);
        }
        let devices = self.devices.len();
        self.devices.retain(|_, device| device.site != id);
        done.events.extend((self.devices.len()..devices).map(|_| "deviceRemoved".to_owned()));
        done.events.extend(self.cancel(|kind, asked| kind == "invite" && asked.site_serial == site.serial));
        done
    }

    fn remove_device(&mut self, id: &str) -> Done {
        let device = self.devices.remove(id).unwrap();
        let is_its = |other: &Option<(String, Serial)>| {
            other.as_ref().is_some_and(|(_, serial)| *serial == device.serial)
        };
        let mut done = done(["deviceRemoved"]);
        done.events.extend(self.revoke(|grant| is_its(&grant.device)));
        let mut emptied = BTreeSet::new();
        let keeps = self.wrong(Fault::EntriesStayWithoutDevice);
        let waiting = self.asked.iter_mut().filter(|(_, asked)| asked.state == "pending");
        for (key, asked) in waiting {
            let before = asked.entries.len();
            let is_last = asked.entries.iter().all(|entry| is_its(&entry.device));
            if is_last && before > 0
                || before == 0 && key.0 == "invite" && self.fault == Some(Fault::InvitesForNothingGo)
            {
                emptied.insert(key.clone());
            } else if !keeps {
                asked.entries.retain(|entry| !is_its(&entry.device));
            }
        }
        let stay = self.wrong(Fault::EmptiedStays);
        let gone: Vec<_> = self.asked.keys().filter(|key| emptied.contains(*key) && !stay).cloned().collect();
        done.events.extend(self.cancel(|kind, asked| kind == "ticket" && is_its(&asked.device)));
        for key in gone {
            done.events.extend(self.cancel_one(&key));
        }
        done
    }

    fn transfer(&mut self, id: &str, to: &str, by: Vec<&'static str>) -> Outcome {
        let site = self.sites.get_mut(id).unwrap();
        if site.owner.as_deref() == Some(to) {
            return Err(Refused { by, ..refused("invalid") });
        }
        let serial = site.serial;
        site.owner = Some(to.to_owned());
        site.epoch += 1;
        if self.fault != Some(Fault::DisablingIsHandedOn) {
            site.disable = false;
        }
        let mut done = done(["siteTransferred"]);
        if !self.wrong(Fault::GrantsAreHandedOn) {
            done.events.extend(self.revoke(|grant| grant.site == id));
        }
        let applications_stay = self.wrong(Fault::ApplicationsAreHandedOn);
        let tickets_stay = self.wrong(Fault::TicketsAreHandedOn);
        done.events.extend(self.cancel(|kind, asked| {
            asked.site_serial == serial
                && !(kind == "application" && applications_stay || kind == "ticket" && tickets_stay)
        }));
        Ok(done)
    }

    fn withdraw_disable_service(&mut self, id: &str, by: Vec<&'static str>) -> Outcome {
        let state = self.site_state(id, &self.sites[id]).to_owned();
        let site = self.sites.get_mut(id).unwrap();
        if !site.disable {
            return Err(Refused { by, state: Some(state), ..refused("wrong_state") });
        }
        site.disable = false;
        Ok(done(["disableServiceWithdrawn"]))
    }

    /// Ends the live grants that fit. What has ended by itself is left to the sweeper.
    fn revoke(&mut self, fits: impl Fn(&super::Grant) -> bool) -> Vec<String> {
        let now = self.now;
        let live = |grant: &super::Grant| grant.state == "active" && grant.until.is_none_or(|end| now < end);
        let mut revoked = 0;
        for grant in self.grants.values_mut().filter(|grant| live(grant) && fits(grant)) {
            grant.state = "revoked";
            revoked += 1;
        }
        vec!["grantRevoked".to_owned(); revoked]
    }

    /// Cancels what is pending and fits.
    fn cancel(&mut self, fits: impl Fn(&str, &Asked) -> bool) -> Vec<String> {
        let pending = self.asked.iter().filter(|(_, asked)| asked.state == "pending");
        let keys: Vec<_> =
            pending.filter(|(key, asked)| fits(key.0, asked)).map(|(key, _)| key.clone()).collect();
        keys.iter().flat_map(|key| self.cancel_one(key)).collect()
    }

    pub(super) fn cancel_one(&mut self, key: &(&'static str, String)) -> Vec<String> {
        let over = self.over(self.asked[key].deadline);
        let asked = self.asked.get_mut(key).unwrap();
        asked.state = if over { "expired" } else { "cancelled" };
        vec![super::asking::event(key.0, asked.state)]
    }

    /// Whether what was asked for has lost its ground: the asker's place, the device, the owner.
    pub(super) fn is_groundless(&self, kind: &str, asked: &Asked) -> bool {
        let Some(site) = self.site_of(&asked.site, asked.site_serial) else { return true };
        let asker = self.installers.get(&asked.asker).filter(|asker| asker.serial == asked.asker_serial);
        let device = asked
            .device
            .as_ref()
            .is_none_or(|(id, serial)| self.devices.get(id).is_some_and(|device| device.serial == *serial));
        let owner = kind == "invite" || asked.epoch == site.epoch;
        let responsible = asker.is_some_and(|asker| self.is_responsible(asker, site));
        !(responsible && device && owner)
    }

    fn cancel_groundless(&mut self) -> Vec<String> {
        let pending = self.asked.iter().filter(|(_, asked)| asked.state == "pending");
        let gone = pending.filter(|(key, asked)| self.is_groundless(key.0, asked));
        let keys: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        keys.iter().flat_map(|key| self.cancel_one(key)).collect()
    }
}
