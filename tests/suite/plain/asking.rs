//! Invites, permission applications, and the grants that come of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Asked, DAY, Done, Entry, Fault, Grant, HOUR, Outcome, Plain, Refused, contact, done, refused, text,
};

/// The name of what happened to something that was asked for.
pub(super) fn event(kind: &str, what: &str) -> String {
    let kind = if kind == "ticket" { "resetTicket" } else { kind };
    format!("{kind}{}{}", what[..1].to_uppercase(), &what[1..])
}

fn kind_of(command: &str) -> &'static str {
    match command {
        "inviteOwner" | "acceptInvite" | "rejectInvite" | "withdrawInvite" => "invite",
        "applyForPermission" | "acceptApplication" | "rejectApplication" | "withdrawApplication" => {
            "application"
        }
        _ => "ticket",
    }
}

fn hours(validity: &str) -> Option<i64> {
    validity.strip_suffix('h').map(|hours| hours.parse().unwrap())
}

/// Every permission and device of a list, and how long.
fn flat(permissions: &Value) -> Vec<(String, Option<String>, Option<i64>)> {
    let mut all = Vec::new();
    for entry in permissions.as_array().into_iter().flatten() {
        let mut add = |device: Option<String>| {
            all.push((text(entry, "permission").to_owned(), device, hours(text(entry, "validity"))));
        };
        match entry["devices"].as_array() {
            Some(devices) => devices.iter().for_each(|device| add(device.as_str().map(str::to_owned))),
            None => add(None),
        }
    }
    all
}

/// Whether a list of permissions makes no sense by itself.
fn is_senseless(permissions: &Value, fault: Option<Fault>) -> bool {
    let entries = permissions.as_array().into_iter().flatten();
    let odd = entries.clone().any(|entry| {
        let site_wide = text(entry, "permission") == "manageSite";
        let empty = entry["devices"].as_array().is_some_and(Vec::is_empty);
        site_wide && entry.get("devices").is_some() || empty
    });
    let all = flat(permissions);
    let different: BTreeSet<_> = all.iter().map(|(permission, device, _)| (permission, device)).collect();
    odd || different.len() < all.len() && fault != Some(Fault::TwiceIsOnce)
}

/// Whether `hours` are no more than those that were asked for.
fn is_within(hours: Option<i64>, asked: Option<i64>) -> bool {
    match (hours, asked) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(hours), Some(asked)) => hours <= asked,
    }
}

impl Plain {
    /// That the devices of a list are there.
    fn devices_are_there(&self, permissions: &Value) -> Result<(), Refused> {
        let mut devices = flat(permissions).into_iter().filter_map(|(_, device, _)| device);
        if devices.all(|device| self.devices.contains_key(&device)) {
            Ok(())
        } else {
            Err(refused("not_found"))
        }
    }

    pub(super) fn ask(&mut self, who: &str, name: &str, fields: &Value) -> Outcome {
        let kind = kind_of(name);
        let permissions = &fields["permissions"];
        let nothing = kind == "application" && permissions.as_array().is_some_and(Vec::is_empty);
        let senseless = nothing || is_senseless(permissions, self.fault);
        if senseless && !self.wrong(Fault::SenseIsAskedForLast) {
            return Err(refused("invalid"));
        }
        let key = (kind, text(fields, kind).to_owned());
        // The ids of their grants begin with theirs, so that no invite and application can have the same.
        let taken = |kind| self.asked.contains_key(&(kind, key.1.clone()));
        let exists = taken("invite") || taken("application");
        if exists && self.wrong(Fault::AlreadyExistsComesFirst) {
            return Err(refused("already_exists"));
        }
        let id = text(fields, "site");
        if !self.sites.contains_key(id) {
            return Err(refused("not_found"));
        }
        self.devices_are_there(permissions)?;
        if exists && !self.wrong(Fault::IdsAreUsedAgain) {
            return Err(refused("already_exists"));
        }
        let elsewhere = flat(permissions)
            .iter()
            .any(|(_, device, _)| device.as_ref().is_some_and(|device| self.devices[device].site != id));
        let by = self.permitted(who, name, fields)?;
        if senseless || elsewhere {
            return Err(Refused { by, ..refused("invalid") });
        }
        let entries: Vec<Entry> = flat(permissions)
            .into_iter()
            .map(|(permission, device, hours)| Entry {
                permission,
                device: device.map(|device| (device.clone(), self.devices[&device].serial)),
                hours,
            })
            .collect();
        let mut done = if kind == "invite" {
            self.supersede(id)
        } else {
            self.clear_the_way(id, &entries).map_err(|refused| Refused { by, ..refused })?
        };
        let mut asked = self.asked_by(who, id);
        asked.entries = entries;
        asked.remark = fields["remark"].as_str().map(str::to_owned);
        if kind == "invite" {
            asked.contact = contact(&fields["contact"], self.fault);
            asked.disable = fields["disableService"].as_bool().unwrap();
            done.events.push("ownerInvited".to_owned());
        } else {
            done.events.push("permissionApplied".to_owned());
        }
        self.asked.insert(key, asked);
        Ok(done)
    }

    /// Something asked for now, by an installer, at a site.
    pub(super) fn asked_by(&self, who: &str, site_id: &str) -> Asked {
        let (_, asker) = super::parts(who);
        let (installer, site) = (&self.installers[asker], &self.sites[site_id]);
        Asked {
            state: "pending",
            since: self.now,
            deadline: self.now + DAY,
            site: site_id.to_owned(),
            site_serial: site.serial,
            epoch: site.epoch,
            company: site.company.clone(),
            asker: asker.to_owned(),
            asker_serial: installer.serial,
            asker_contacts: installer.contacts.clone(),
            entries: Vec::new(),
            remark: None,
            contact: String::new(),
            disable: false,
            device: None,
            on_site: false,
            failed: 0,
        }
    }

    fn supersede(&mut self, site: &str) -> Done {
        let mut done = done([]);
        let serial = self.sites[site].serial;
        let late = self.wrong(Fault::LateInvitesAreSuperseded);
        if self.wrong(Fault::InvitesStandSideBySide) {
            return done;
        }
        let now = self.now;
        for ((kind, _), asked) in &mut self.asked {
            if *kind == "invite" && asked.site_serial == serial && asked.state == "pending" {
                asked.state = if now >= asked.deadline && !late { "expired" } else { "superseded" };
                done.events.push(event(kind, asked.state));
            }
        }
        done
    }

    /// One live application a company, permission and device or site; what is over makes room.
    fn clear_the_way(&mut self, site: &str, entries: &[Entry]) -> Result<Done, Refused> {
        let serial = self.sites[site].serial;
        let same = |a: &Entry, b: &Entry| {
            let device = a.device == b.device || self.wrong(Fault::DuplicatesOnAnyDevice);
            a.permission == b.permission && device
        };
        let mut late = Vec::new();
        for (key, asked) in &self.asked {
            let collides = asked.entries.iter().any(|own| entries.iter().any(|entry| same(own, entry)));
            let pending = key.0 == "application" && asked.site_serial == serial && asked.state == "pending";
            if !(pending && collides) {
                continue;
            }
            if self.over(asked.deadline) && !self.wrong(Fault::LateApplicationsBlock) {
                late.push(key.clone());
            } else if !self.wrong(Fault::AnyNumberOfApplications) {
                return Err(refused("live_duplicate"));
            }
        }
        Ok(Done { events: late.iter().flat_map(|key| self.cancel_one(key)).collect(), effect: None })
    }

    /// That it waits for its answer. What is late is recorded as expired.
    pub(super) fn waits(&mut self, key: &(&'static str, String), by: &[&'static str]) -> Result<(), Refused> {
        let over = self.over(self.asked[key].deadline);
        let asked = self.asked.get_mut(key).unwrap();
        let by = by.to_vec();
        match asked.state {
            "pending" if over => {
                if self.fault != Some(Fault::ExpiriesAreNotRecorded) {
                    asked.state = "expired";
                }
                Err(Refused { by, recorded: Some(event(key.0, "expired")), ..refused("expired") })
            }
            "pending" => Ok(()),
            "expired" => Err(Refused { by, ..refused("expired") }),
            state => Err(Refused { by, state: Some(state.to_owned()), ..refused("wrong_state") }),
        }
    }

    pub(super) fn accept(&mut self, who: &str, name: &str, fields: &Value) -> Outcome {
        let kind = kind_of(name);
        let permissions = fields.get("permissions");
        let nothing = kind == "application"
            && permissions.and_then(Value::as_array).is_some_and(Vec::is_empty)
            && !self.wrong(Fault::NothingIsAccepted);
        if nothing || permissions.is_some_and(|permissions| is_senseless(permissions, self.fault)) {
            return Err(refused("invalid"));
        }
        let key = (kind, text(fields, kind).to_owned());
        if !self.asked.contains_key(&key) {
            return Err(refused("not_found"));
        }
        if let Some(permissions) = permissions {
            self.devices_are_there(permissions)?;
        }
        if self.wrong(Fault::StateComesFirst) {
            self.waits(&key, &[])?;
        }
        let by = self.permitted(who, name, fields)?;
        self.waits(&key, &by)?;
        let asked = self.asked[&key].clone();
        let given = match permissions {
            None => asked.entries.clone(),
            Some(permissions) => {
                let wider = |_: ()| Refused { by: by.clone(), ..refused("wider_than_asked") };
                self.given(permissions, &asked.entries).map_err(wider)?
            }
        };
        let flag = fields["disableService"].as_bool();
        if flag == Some(true) && !asked.disable {
            return Err(Refused { by, ..refused("wider_than_asked") });
        }
        let owner = super::parts(who).1.to_owned();
        if kind == "invite" {
            let site = self.sites.get_mut(&asked.site).unwrap();
            site.owner = Some(owner.clone());
            site.epoch += 1;
            site.disable =
                asked.disable && (flag != Some(false) || self.fault == Some(Fault::FlagsAreAlwaysKept));
        }
        let mut events = vec![event(kind, "accepted")];
        let since = if self.wrong(Fault::GrantsBeginWithTheAsking) { asked.since } else { self.now };
        for entry in given {
            let on = entry.device.as_ref().map_or(String::new(), |(device, _)| format!("/{device}"));
            let grant = Grant {
                state: "active",
                until: entry.hours.map(|hours| since + hours * HOUR),
                company: asked.company.clone(),
                permission: entry.permission.clone(),
                site: asked.site.clone(),
                device: entry.device,
                owner: owner.clone(),
            };
            self.grants.insert(format!("{}/{}{on}", key.1, entry.permission), grant);
            events.push("grantMade".to_owned());
        }
        self.asked.get_mut(&key).unwrap().state = "accepted";
        Ok(Done { events, effect: None })
    }

    /// What an acceptance gives, if it is no more than was asked for.
    fn given(&self, permissions: &Value, asked: &[Entry]) -> Result<Vec<Entry>, ()> {
        let mut given = Vec::new();
        for (permission, device, hours) in flat(permissions) {
            let same = |own: &&Entry| {
                own.permission == permission && own.device.as_ref().map(|(id, _)| id) == device.as_ref()
            };
            let own = asked.iter().find(same).ok_or(())?;
            if !is_within(hours, own.hours) && !self.wrong(Fault::LongerIsNotWider) {
                return Err(());
            }
            given.push(Entry { hours, ..own.clone() });
        }
        Ok(given)
    }

    /// Rejects or withdraws what waits.
    pub(super) fn close(&mut self, who: &str, name: &str, fields: &Value, state: &'static str) -> Outcome {
        let kind = kind_of(name);
        let key = (kind, text(fields, kind).to_owned());
        if !self.asked.contains_key(&key) {
            return Err(refused("not_found"));
        }
        let by = self.permitted(who, name, fields)?;
        self.waits(&key, &by)?;
        self.asked.get_mut(&key).unwrap().state = state;
        Ok(Done { events: vec![event(kind, state)], effect: None })
    }

    /// A grant unasked.
    pub(super) fn give(&mut self, who: &str, fields: &Value) -> Outcome {
        let (id, permission) = (text(fields, "grant").to_owned(), text(fields, "permission").to_owned());
        let (site, device) = (fields["site"].as_str(), fields["device"].as_str());
        if (permission == "manageSite") != site.is_some() {
            return Err(refused("invalid"));
        }
        let there = self.companies.contains(text(fields, "company"))
            && site.is_none_or(|site| self.sites.contains_key(site))
            && device.is_none_or(|device| self.devices.contains_key(device));
        if !there {
            return Err(refused("not_found"));
        }
        if self.grants.contains_key(&id) && !self.wrong(Fault::IdsAreUsedAgain) {
            return Err(refused("already_exists"));
        }
        let by = self.permitted(who, "grantPermission", fields)?;
        let site = site.unwrap_or_else(|| &self.devices[device.unwrap()].site).to_owned();
        let company = text(fields, "company").to_owned();
        if self.sites[&site].company != company && !self.wrong(Fault::AnyCompanyIsGiven) {
            return Err(Refused { by, ..refused("invalid") });
        }
        let grant = Grant {
            state: "active",
            until: hours(text(fields, "validity")).map(|hours| self.now + hours * HOUR),
            company,
            permission,
            site,
            device: device.map(|device| (device.to_owned(), self.devices[device].serial)),
            owner: super::parts(who).1.to_owned(),
        };
        self.grants.insert(id, grant);
        Ok(done(["grantMade"]))
    }

    /// The owner takes a grant back, or the company gives it back.
    pub(super) fn end_grant(&mut self, who: &str, name: &str, fields: &Value) -> Outcome {
        let id = text(fields, "grant").to_owned();
        if !self.grants.contains_key(&id) {
            return Err(refused("not_found"));
        }
        let by = self.permitted(who, name, fields)?;
        let state = self.grant_stands(&self.grants[&id]);
        let closed = if name == "withdrawGrant" { "withdrawn" } else { "released" };
        if state != "active" {
            return Err(Refused { by, state: Some(state.to_owned()), ..refused("wrong_state") });
        }
        self.grants.get_mut(&id).unwrap().state = closed;
        Ok(Done { events: vec![event("grant", closed)], effect: None })
    }
}
