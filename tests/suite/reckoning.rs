//! A second reckoning of everything, from the events alone, as simple as it can be: no indexes, no
//! machines, every question by looking at everything. It shares no code with the engine but the
//! reading of times.

use std::collections::{BTreeMap, BTreeSet};

use consentry::Timestamp;
use serde_json::Value;

use crate::world::{HOUR, MIDNIGHT};

/// An installer; `since` tells two with the same id apart.
#[derive(Debug, Clone, Hash)]
struct Installer {
    company: String,
    admin: bool,
    permissions: Vec<String>,
    since: u64,
}

#[derive(Debug, Clone, Hash)]
struct Site {
    company: String,
    rental: bool,
    since: u64,
    owner: Option<String>,
    epoch: u64,
    disable_service: bool,
    assigned: BTreeSet<(String, u64)>,
}

#[derive(Debug, Clone, Hash)]
struct Device {
    site: String,
    since: u64,
}

/// A permission on a device (`None`: on the site), for so many milliseconds (`None`: without end).
#[derive(Debug, Clone, PartialEq, Hash)]
struct Entry {
    permission: String,
    device: Option<String>,
    length: Option<i64>,
}

/// An invite, application or ticket.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Asked {
    pub(crate) kind: &'static str,
    pub(crate) site: String,
    site_since: u64,
    epoch: u64,
    asker: String,
    asker_since: u64,
    company: String,
    pub(crate) contact: Value,
    pub(crate) deadline: i64,
    pub(crate) state: &'static str,
    entries: Vec<Entry>,
    asks_disable_service: bool,
    device: Option<(String, u64)>,
    /// How often a password was sent to the device, refused by it, and taken by it.
    submitted: usize,
    failed: usize,
    completed: usize,
}

#[derive(Debug, Clone, Hash)]
pub(crate) struct Grant {
    company: String,
    pub(crate) site: String,
    epoch: u64,
    permission: String,
    device: Option<(String, u64)>,
    pub(crate) until: Option<i64>,
    pub(crate) state: &'static str,
}

/// Everything, as the events so far tell it, and what is wrong with them.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Reckoning {
    installers: BTreeMap<String, Installer>,
    sites: BTreeMap<String, Site>,
    devices: BTreeMap<String, Device>,
    pub(crate) asked: BTreeMap<String, Asked>,
    pub(crate) grants: BTreeMap<String, Grant>,
    /// Sentences that begin with the invariant that is broken: `I1: …`.
    pub(crate) problems: Vec<String>,
}

/// Milliseconds after midnight.
pub(crate) fn offset(time: &Value) -> i64 {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    time.millis() - MIDNIGHT
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

fn length(validity: &Value) -> Option<i64> {
    match validity.as_str().unwrap() {
        "permanent" => None,
        hours => Some(hours.trim_end_matches('h').parse::<i64>().unwrap() * HOUR),
    }
}

fn entries(entries: &Value) -> Vec<Entry> {
    let entry = |entry: &Value| Entry {
        permission: text(&entry["permission"]),
        device: entry["scope"]["device"].as_str().map(str::to_owned),
        length: length(&entry["validity"]),
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}

/// Whether `now` has come to an end, if there is one.
fn over(end: Option<i64>, now: i64) -> bool {
    end.is_some_and(|end| now >= end)
}

impl Reckoning {
    /// Folds in a record, with the line of the audit trail of the command that it came from.
    pub(crate) fn fold(&mut self, record: &Value, audit: Option<&Value>) {
        let (at, revision) = (offset(&record["at"]), record["revision"].as_u64().unwrap());
        let events: Vec<(String, Value)> = record["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                let (name, fields) = event.as_object().unwrap().iter().next().unwrap();
                (name.clone(), fields.clone())
            })
            .collect();
        self.grants_are_approved(&events, audit);
        for (name, fields) in &events {
            self.event(name, fields, at, revision);
        }
        self.one_live_each(at);
    }

    fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each event")]
    fn event(&mut self, name: &str, fields: &Value, at: i64, revision: u64) {
        match name {
            "companyRegistered" | "endUserRegistered" => {}
            "installerRegistered" => {
                let permissions = fields["permissions"].as_array().unwrap().iter().map(text).collect();
                let installer = Installer {
                    company: text(&fields["company"]),
                    admin: fields["role"] == "admin",
                    permissions,
                    since: revision,
                };
                self.installers.insert(text(&fields["installer"]), installer);
            }
            "installerRemoved" => drop(self.installers.remove(&text(&fields["installer"]))),
            "siteCreated" => {
                let site = Site {
                    company: text(&fields["company"]),
                    rental: fields["kind"] == "rental",
                    since: revision,
                    owner: None,
                    epoch: 0,
                    disable_service: false,
                    assigned: BTreeSet::new(),
                };
                self.sites.insert(text(&fields["site"]), site);
            }
            "siteDeleted" => drop(self.sites.remove(&text(&fields["site"]))),
            "siteAssigned" => {
                let installer = text(&fields["installer"]);
                let since = self.installers[&installer].since;
                self.site(fields).assigned.insert((installer, since));
            }
            "siteUnassigned" => {
                let installer = text(&fields["installer"]);
                self.site(fields).assigned.retain(|(assigned, _)| *assigned != installer);
            }
            "siteTransferred" => {
                let site = self.site(fields);
                site.owner = Some(text(&fields["to"]));
                site.epoch += 1;
                site.disable_service = false;
            }
            "deviceAdded" => {
                let device = Device { site: text(&fields["site"]), since: revision };
                self.devices.insert(text(&fields["device"]), device);
            }
            "deviceRemoved" => {
                let device = text(&fields["device"]);
                let site = self.devices.remove(&device).unwrap().site;
                for asked in
                    self.asked.values_mut().filter(|asked| asked.site == site && asked.state == "pending")
                {
                    asked.entries.retain(|entry| entry.device.as_ref() != Some(&device));
                }
            }
            "ownerInvited" => self.open("invite", &fields["invite"], fields, at),
            "permissionApplied" => self.open("application", &fields["application"], fields, at),
            "resetTicketOpened" => self.open("ticket", &fields["ticket"], fields, at),
            "inviteAccepted" => {
                let site = self.close(&fields["invite"], "accepted", at);
                if fields["disableService"] == true
                    && !self.asked[&text(&fields["invite"])].asks_disable_service
                {
                    self.problem("I4: more than was asked for: disableService".to_owned());
                }
                let site = self.sites.get_mut(&site).unwrap();
                site.owner = Some(text(&fields["owner"]));
                site.epoch += 1;
                site.disable_service = fields["disableService"] == true;
            }
            "inviteRejected" => drop(self.close(&fields["invite"], "rejected", at)),
            "inviteWithdrawn" => drop(self.close(&fields["invite"], "withdrawn", at)),
            "inviteSuperseded" => drop(self.close(&fields["invite"], "superseded", at)),
            "inviteCancelled" => drop(self.close(&fields["invite"], "cancelled", at)),
            "inviteExpired" => drop(self.close(&fields["invite"], "expired", at)),
            "disableServiceWithdrawn" => self.site(fields).disable_service = false,
            "applicationAccepted" => drop(self.close(&fields["application"], "accepted", at)),
            "applicationRejected" => drop(self.close(&fields["application"], "rejected", at)),
            "applicationWithdrawn" => drop(self.close(&fields["application"], "withdrawn", at)),
            "applicationCancelled" => drop(self.close(&fields["application"], "cancelled", at)),
            "applicationExpired" => drop(self.close(&fields["application"], "expired", at)),
            "resetTicketRejected" => drop(self.close(&fields["ticket"], "rejected", at)),
            "resetTicketWithdrawn" => drop(self.close(&fields["ticket"], "withdrawn", at)),
            "resetTicketCancelled" => drop(self.close(&fields["ticket"], "cancelled", at)),
            "resetTicketExpired" => drop(self.close(&fields["ticket"], "expired", at)),
            "resetSubmitted" | "resetFailed" | "resetCompleted" => self.reset(name, &fields["ticket"], at),
            "grantMade" => self.make_grant(fields),
            "grantEnded" => self.end_grant(&fields["grant"], "ended", at),
            "grantReleased" => self.end_grant(&fields["grant"], "released", at),
            "grantWithdrawn" => self.end_grant(&fields["grant"], "withdrawn", at),
            "grantRevoked" => self.end_grant(&fields["grant"], "revoked", at),
            other => panic!("an event that nobody told the reckoning of: {other}"),
        }
    }

    fn site(&mut self, fields: &Value) -> &mut Site {
        self.sites.get_mut(&text(&fields["site"])).unwrap()
    }

    fn open(&mut self, kind: &'static str, id: &Value, fields: &Value, at: i64) {
        let device = fields["device"].as_str().map(|device| (device.to_owned(), self.devices[device].since));
        let site = match &device {
            Some((device, _)) => self.devices[device].site.clone(),
            None => text(&fields["site"]),
        };
        let asker = text(&fields["asker"]);
        let (place, installer) = (&self.sites[&site], &self.installers[&asker]);
        let asked = Asked {
            kind,
            site_since: place.since,
            epoch: place.epoch,
            site,
            asker_since: installer.since,
            company: installer.company.clone(),
            asker,
            contact: fields["contact"].clone(),
            deadline: offset(&fields["deadline"]),
            state: "pending",
            entries: fields.get("entries").map(entries).unwrap_or_default(),
            asks_disable_service: fields["disableService"] == true,
            device,
            submitted: 0,
            failed: 0,
            completed: 0,
        };
        if asked.deadline != at + 24 * HOUR {
            self.problem(format!("I2: {id} has another deadline than 24 hours after its asking"));
        }
        if self.asked.insert(text(id), asked).is_some() {
            self.problem(format!("I1: {id} begins again"));
        }
    }

    /// Something that waited does so no longer. Says at which site.
    fn close(&mut self, id: &Value, state: &'static str, at: i64) -> String {
        let asked = self.asked.get_mut(&text(id)).unwrap();
        let (before, late, site) = (asked.state, at >= asked.deadline, asked.site.clone());
        asked.state = state;
        if before != "pending" {
            self.problem(format!("I1: {id} was {before}, and becomes {state}"));
        }
        if late != (state == "expired") {
            self.problem(format!(
                "I2: {id} becomes {state}, and its deadline has {}passed",
                if late { "" } else { "not " }
            ));
        }
        site
    }

    fn reset(&mut self, name: &str, id: &Value, at: i64) {
        let ticket = self.asked.get_mut(&text(id)).unwrap();
        let (before, late) = (ticket.state, at >= ticket.deadline);
        let expected = if name == "resetSubmitted" { "pending" } else { "applying" };
        match name {
            "resetSubmitted" => (ticket.submitted, ticket.state) = (ticket.submitted + 1, "applying"),
            "resetCompleted" => (ticket.completed, ticket.state) = (ticket.completed + 1, "completed"),
            _ => {
                (ticket.failed, ticket.state) = (ticket.failed + 1, if late { "expired" } else { "pending" })
            }
        }
        let (submitted, done) = (ticket.submitted, ticket.failed + ticket.completed);
        let again = name == "resetSubmitted" && ticket.completed > 0;
        let twice = again || ticket.completed > 1 || submitted > done + 1 || done > submitted;
        if before != expected {
            self.problem(format!("I1: {id} was {before}, and then {name}"));
        }
        if name == "resetSubmitted" && late {
            self.problem(format!("I2: a password for {id} after its deadline"));
        }
        if twice {
            self.problem(format!("I8: {id} may have changed a password twice"));
        }
    }

    fn make_grant(&mut self, fields: &Value) {
        let site = text(&fields["site"]);
        let device = fields["scope"]["device"].as_str();
        let grant = Grant {
            company: text(&fields["company"]),
            epoch: self.sites[&site].epoch,
            site,
            permission: text(&fields["permission"]),
            device: device.map(|device| (device.to_owned(), self.devices[device].since)),
            until: fields["until"].as_str().map(|_| offset(&fields["until"])),
            state: "active",
        };
        if self.grants.insert(text(&fields["grant"]), grant).is_some() {
            self.problem(format!("I1: the grant {} begins again", fields["grant"]));
        }
    }

    fn end_grant(&mut self, id: &Value, state: &'static str, at: i64) {
        let grant = self.grants.get_mut(&text(id)).unwrap();
        let (before, late) = (grant.state, over(grant.until, at));
        grant.state = state;
        if before != "active" {
            self.problem(format!("I1: the grant {id} was {before}, and becomes {state}"));
        }
        if late != (state == "ended") {
            self.problem(format!(
                "I2: the grant {id} becomes {state}, and its time is {}over",
                if late { "" } else { "not " }
            ));
        }
    }

    /// I3 and I4: whatever is granted by a record, the owner gave in it, and it was asked for.
    fn grants_are_approved(&mut self, events: &[(String, Value)], audit: Option<&Value>) {
        let made: Vec<&Value> =
            events.iter().filter(|(name, _)| name == "grantMade").map(|(_, fields)| fields).collect();
        let approvals: Vec<&(String, Value)> = events
            .iter()
            .filter(|(name, _)| name == "inviteAccepted" || name == "applicationAccepted")
            .collect();
        if made.is_empty() && approvals.is_empty() {
            return;
        }
        let Some(audit) = audit else {
            return self.problem("I3: grants without a command".to_owned());
        };
        let at = offset(&audit["at"]);
        let (command, asked) = audit["do"].as_object().unwrap().iter().next().unwrap();
        let (owner, source) = match approvals.as_slice() {
            [] => {
                let site = self.sites.get(&text(&made[0]["site"]));
                (site.and_then(|site| site.owner.clone()), None)
            }
            [(name, fields)] => {
                let id =
                    text(if name == "inviteAccepted" { &fields["invite"] } else { &fields["application"] });
                let owner = fields["owner"].as_str().map(str::to_owned);
                let site = &self.sites[&self.asked[&id].site];
                (owner.or_else(|| site.owner.clone()), Some(id))
            }
            _ => return self.problem("I3: two approvals in one record".to_owned()),
        };
        let giver = audit["as"].as_str().unwrap();
        if Some(giver) != owner.map(|owner| format!("EndUser::\"{owner}\"")).as_deref() {
            self.problem(format!("I3: {command} by {giver}, who is not the owner"));
        }
        if source.is_none() && (command != "grantPermission" || made.len() != 1) {
            self.problem(format!("I3: {} grants by {command}, and nothing approves them", made.len()));
        }
        for grant in made {
            let device = grant["scope"]["device"].as_str().map(str::to_owned);
            let until = grant["until"].as_str().map(|_| offset(&grant["until"]));
            let given = |length: Option<i64>| length.map(|length| at + length);
            let permission = text(&grant["permission"]);
            let id = text(&grant["grant"]);
            let fits = match &source {
                None => {
                    device.as_deref() == asked["device"].as_str()
                        && permission == text(&asked["permission"])
                        && until == given(length(&asked["validity"]))
                        && grant["company"] == asked["company"]
                        && id == text(&asked["grant"])
                }
                Some(source) => {
                    let record = &self.asked[source];
                    let on = device.as_ref().map(|device| format!("/{device}")).unwrap_or_default();
                    id == format!("{source}/{permission}{on}")
                        && grant["site"] == record.site.as_str()
                        && grant["company"] == record.company.as_str()
                        && record.entries.iter().any(|entry| {
                            entry.permission == permission
                                && entry.device == device
                                && (entry.length.is_none()
                                    || until.is_some_and(|until| Some(until) <= given(entry.length)))
                        })
                }
            };
            let on_its_site = device.is_none_or(|device| {
                self.devices.get(&device).is_some_and(|device| grant["site"] == device.site.as_str())
            });
            if !fits || !on_its_site {
                self.problem(format!("I4: {grant} is not what was asked for"));
            }
        }
    }

    /// I7, at this moment.
    fn one_live_each(&mut self, now: i64) {
        let mut live = BTreeSet::new();
        let mut twice = Vec::new();
        for (id, asked) in &self.asked {
            let pending = asked.state == "pending" && now < asked.deadline;
            if !pending && asked.state != "applying" {
                continue;
            }
            let slots: Vec<String> = match asked.kind {
                "invite" => vec![format!("invite to {} {}", asked.site, asked.site_since)],
                "ticket" => vec![format!("ticket for {:?}", asked.device)],
                _ => asked
                    .entries
                    .iter()
                    .map(|entry| {
                        format!(
                            "{} for {} on {:?} of {}",
                            entry.permission, asked.company, entry.device, asked.site
                        )
                    })
                    .collect(),
            };
            for slot in slots {
                if !live.insert(slot.clone()) {
                    twice.push(format!("I7: {id} is a second live {slot}"));
                }
            }
        }
        self.problems.extend(twice);
    }

    /// What waits at `now` and should not: what it rests on is gone.
    pub(crate) fn groundless(&self, now: i64) -> Vec<&String> {
        let stands = |asked: &Asked| {
            let Some(site) = self.sites.get(&asked.site).filter(|site| site.since == asked.site_since) else {
                return false;
            };
            let asker = self
                .installers
                .get(&asked.asker)
                .is_some_and(|installer| installer.since == asked.asker_since);
            let owner = if asked.kind == "invite" { site.owner.is_none() } else { site.owner.is_some() };
            let device = asked.device.as_ref().is_none_or(|(device, since)| {
                self.devices.get(device).is_some_and(|device| device.since == *since)
            });
            asker
                && owner
                && device
                && site.epoch == asked.epoch
                && self.responsible(&asked.asker, &asked.site)
        };
        let waits = |asked: &Asked| asked.state == "pending" && now < asked.deadline;
        self.asked.iter().filter(|(_, asked)| waits(asked) && !stands(asked)).map(|(id, _)| id).collect()
    }

    fn responsible(&self, installer: &str, site: &str) -> bool {
        let (Some(person), Some(place)) = (self.installers.get(installer), self.sites.get(site)) else {
            return false;
        };
        let has = |permission: &str| person.permissions.iter().any(|own| own == permission);
        let assigned = place.assigned.contains(&(installer.to_owned(), person.since));
        person.company == place.company
            && (person.admin || has("manageAllSites") || (has("manageAssignedSites") && assigned))
    }

    /// Whether an installer may do `action` on a device, or on a site for `manageSite` and
    /// `disableService`; and if so, until when (`None`: no end).
    pub(crate) fn installer_may(
        &self,
        installer: &str,
        action: &str,
        resource: &str,
        now: i64,
    ) -> Option<Option<i64>> {
        let site_wide = action == "manageSite" || action == "disableService";
        let device = self.devices.get(resource);
        let site = if site_wide { resource } else { &device?.site };
        let (person, place) = (self.installers.get(installer)?, self.sites.get(site)?);
        let manages_devices = person.admin || person.permissions.iter().any(|own| own == "manageDevices");
        if !self.responsible(installer, site) || (action == "configure" && !manages_devices) {
            return None;
        }
        if action == "disableService" {
            return (place.rental && place.owner.is_some() && place.disable_service).then_some(None);
        }
        if place.owner.is_none() {
            return Some(None);
        }
        let scope = device.filter(|_| !site_wide).map(|device| (resource.to_owned(), device.since));
        self.grants
            .values()
            .filter(|grant| {
                grant.state == "active"
                    && !over(grant.until, now)
                    && grant.company == person.company
                    && grant.permission == action
                    && grant.site == site
                    && grant.epoch == place.epoch
                    && grant.device == scope
            })
            .map(|grant| grant.until)
            .max_by_key(|until| until.unwrap_or(i64::MAX))
    }

    /// Whether an end user or an installer may do it; and if so, until when (`None`: no end).
    pub(crate) fn may(
        &self,
        is_end_user: bool,
        name: &str,
        action: &str,
        resource: &str,
        now: i64,
    ) -> Option<Option<i64>> {
        if is_end_user {
            self.end_user_may(name, action, resource).then_some(None)
        } else {
            self.installer_may(name, action, resource, now)
        }
    }

    /// Whether an end user may do it.
    fn end_user_may(&self, end_user: &str, action: &str, resource: &str) -> bool {
        let site = match action {
            "disableService" => None,
            "manageSite" => self.sites.get(resource),
            _ => self.devices.get(resource).and_then(|device| self.sites.get(&device.site)),
        };
        site.is_some_and(|site| site.owner.as_deref() == Some(end_user))
    }

    pub(crate) fn has(&self, kind: &str, id: &str) -> bool {
        match kind {
            "installer" => self.installers.contains_key(id),
            "site" => self.sites.contains_key(id),
            _ => self.devices.contains_key(id),
        }
    }

    pub(crate) fn owner(&self, site: &str) -> Option<&str> {
        self.sites.get(site)?.owner.as_deref()
    }

    pub(crate) fn site_of(&self, device: &str) -> Option<&str> {
        self.devices.get(device).map(|device| device.site.as_str())
    }

    /// The device of a ticket.
    pub(crate) fn device_of(&self, ticket: &str) -> Option<&str> {
        self.asked.get(ticket)?.device.as_ref().map(|(device, _)| device.as_str())
    }

    /// What the state of a thing is called at `now`.
    pub(crate) fn state(&self, id: &str, now: i64) -> &'static str {
        if let Some(asked) = self.asked.get(id) {
            let lapsed = asked.state == "pending" && now >= asked.deadline;
            return if lapsed { "expired" } else { asked.state };
        }
        let grant = &self.grants[id];
        if grant.state == "active" && over(grant.until, now) { "ended" } else { grant.state }
    }

    /// How often a device did not take a password.
    pub(crate) fn failures(&self) -> usize {
        self.asked.values().map(|asked| asked.failed).sum()
    }

    /// The moments after `now` at which time ends something.
    pub(crate) fn ends_after(&self, now: i64) -> Vec<i64> {
        let asked = self.asked.values().filter(|asked| asked.state == "pending").map(|asked| asked.deadline);
        let grants =
            self.grants.values().filter(|grant| grant.state == "active").filter_map(|grant| grant.until);
        let ends: BTreeSet<i64> = asked.chain(grants).filter(|end| *end > now).collect();
        ends.into_iter().collect()
    }
}
