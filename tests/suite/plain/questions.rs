//! Checks, `show` and `list`.

use serde_json::{Value, json};

use super::{Asked, Fault, Grant, Plain, Site, parts, written};

fn not_found() -> Value {
    json!({"ok": false, "code": "not_found", "determining_policies": []})
}

impl Plain {
    /// Whether a moment from which something is over has come.
    pub(super) fn over(&self, end: i64) -> bool {
        if self.wrong(Fault::DeadlinesAreIncluded) { self.now > end } else { self.now >= end }
    }

    /// Where an invite, application or ticket stands, whether or not its end was recorded.
    pub(crate) fn stands(&self, asked: &Asked) -> &'static str {
        let over = asked.state == "pending" && self.over(asked.deadline);
        if over && !self.wrong(Fault::ShowWaitsForTheSweeper) { "expired" } else { asked.state }
    }

    pub(crate) fn grant_stands(&self, grant: &Grant) -> &'static str {
        if grant.state == "active" && grant.until.is_some_and(|end| self.over_grant(end)) {
            "ended"
        } else {
            grant.state
        }
    }

    fn over_grant(&self, end: i64) -> bool {
        if self.wrong(Fault::GrantsEndsAreIncluded) { self.now > end } else { self.now >= end }
    }

    pub(crate) fn site_state(&self, id: &str, site: &Site) -> &'static str {
        if site.owner.is_some() {
            let live = |grant: &Grant| {
                let ended_counts = self.wrong(Fault::EndedGrantsAuthorize) && grant.state == "active";
                grant.site == id && (self.grant_stands(grant) == "active" || ended_counts)
            };
            return if self.grants.values().any(live) { "authorized" } else { "notAuthorized" };
        }
        let live = self.asked.iter().find(|((kind, _), asked)| {
            *kind == "invite" && asked.site_serial == site.serial && self.stands(asked) == "pending"
        });
        match live {
            None => "notInvited",
            Some((_, invite)) if self.users.values().any(|contacts| contacts.contains(&invite.contact)) => {
                "notAccepted"
            }
            Some(_) => "notRegistered",
        }
    }

    pub(super) fn show(&self, request: &Value) -> Value {
        let (kind, id) = request.as_object().unwrap().iter().next().unwrap();
        let id = id.as_str().unwrap();
        match kind.as_str() {
            "site" => self.sites.get(id).map_or_else(not_found, |site| {
                let owner = site.owner.as_ref().map(|owner| format!("EndUser::\"{owner}\""));
                json!({"state": self.site_state(id, site), "owner": owner})
            }),
            "grant" => self.grants.get(id).map_or_else(not_found, |grant| {
                let mut view = json!({"state": self.grant_stands(grant), "until": grant.until.map(written),
                    "company": grant.company, "permission": grant.permission, "site": grant.site});
                if let Some((device, _)) = &grant.device {
                    view["device"] = json!(device);
                }
                view
            }),
            kind => {
                let asked = self.asked.iter().find(|((own, name), _)| *own == kind && name == id);
                asked.map_or_else(not_found, |((kind, _), asked)| self.show_asked(kind, asked))
            }
        }
    }

    fn show_asked(&self, kind: &str, asked: &Asked) -> Value {
        let mut view = json!({"state": self.stands(asked), "deadline": written(asked.deadline),
            "site": asked.site, "company": asked.company, "asker": asked.asker});
        if kind == "ticket" {
            view["device"] = json!(asked.device.as_ref().map(|(device, _)| device));
            view["failedCompletions"] = json!(asked.failed);
        } else {
            let entry = |entry: &super::Entry| {
                let validity = entry.hours.map_or("permanent".to_owned(), |hours| format!("{hours}h"));
                match &entry.device {
                    Some((device, _)) => {
                        json!({"permission": entry.permission, "devices": [device], "validity": validity})
                    }
                    None => json!({"permission": entry.permission, "validity": validity}),
                }
            };
            view["permissions"] = asked.entries.iter().map(entry).collect();
        }
        if let Some(remark) = &asked.remark {
            view["remark"] = json!(remark);
        }
        view
    }

    pub(super) fn list(&self, filter: &Value) -> Value {
        let fits = |grant: &Grant| {
            let live = self.grant_stands(grant) == "active";
            let owner = if self.wrong(Fault::ListsGoByPresentOwner) {
                self.sites[&grant.site].owner.as_deref()
            } else {
                Some(grant.owner.as_str())
            };
            filter["company"].as_str().is_none_or(|company| company == grant.company)
                && filter["owner"].as_str().is_none_or(|wanted| Some(wanted) == owner)
                && filter["live"].as_bool().is_none_or(|wanted| wanted == live)
                && filter["device"]
                    .as_str()
                    .is_none_or(|wanted| grant.device.as_ref().is_some_and(|(device, _)| device == wanted))
        };
        let line = |(id, grant): (&String, &Grant)| {
            let mut line = json!({"grant": id, "company": grant.company, "permission": grant.permission,
                "state": self.grant_stands(grant), "until": grant.until.map(written)});
            match &grant.device {
                Some((device, _)) => line["device"] = json!(device),
                None => line["site"] = json!(grant.site),
            }
            line
        };
        let grants: Vec<Value> = self.grants.iter().filter(|(_, grant)| fits(grant)).map(line).collect();
        json!({"grants": grants})
    }

    /// What the grants to a company give on a thing, for a permission: none ever, or until when.
    pub(super) fn coverage(&self, company: &str, permission: &str, resource: &str) -> Coverage {
        let (kind, id) = parts(resource);
        let same = |grant: &&Grant| {
            let on = match &grant.device {
                Some((device, serial)) => {
                    let inherits = self.wrong(Fault::DevicesInherit);
                    let present = self.devices.get(id).is_some_and(|device| device.serial == *serial);
                    kind == "Device" && device == id && (present || inherits)
                }
                None => kind == "Site" && grant.site == id,
            };
            on && grant.company == company && grant.permission == permission
        };
        let mut grants = self.grants.values().filter(same).peekable();
        if grants.peek().is_none() {
            return Coverage::Never;
        }
        let live: Vec<_> =
            grants.filter(|grant| self.grant_stands(grant) == "active").map(|grant| grant.until).collect();
        // Every grant begins when it is made, so that those which are live leave no gap.
        let end = if self.wrong(Fault::TheFirstEndCounts) {
            live.iter().flatten().min().copied()
        } else if live.contains(&None) {
            None
        } else {
            live.iter().flatten().max().copied()
        };
        if live.is_empty() { Coverage::Ended } else { Coverage::Until(end) }
    }

    pub(super) fn check(&self, check: &Value) -> Value {
        let text = |name: &str| check[name].as_str().unwrap();
        let (who, action, resource) = (text("principal"), text("action"), text("resource"));
        let denied = |reason: &str| {
            json!({"decision": "deny", "determining_policies": [], "errors": [], "valid_until": null,
                   "revision": self.revision, "reason": reason})
        };
        let context: Vec<&String> = check
            .get("context")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .collect();
        let invalid = json!({"ok": false, "code": "invalid", "determining_policies": []});
        if context.iter().any(|key| *key == "now" || *key == "grant") {
            return invalid;
        }
        let (kind, id) = parts(resource);
        let known = match kind {
            "Device" => self.devices.contains_key(id),
            "Site" => self.sites.contains_key(id),
            "Company" => self.companies.contains(id),
            "EndUser" => self.users.contains_key(id),
            "Invite" => self.asked.contains_key(&("invite", id.to_owned())),
            _ => false,
        };
        if check["at_least"].as_u64().is_some_and(|revision| revision > self.revision) {
            return denied("stale");
        }
        if !self.is_known(who) {
            return denied("unknown_principal");
        }
        if !known {
            return denied("unknown_resource");
        }
        if !["liveView", "playback", "configure", "manageSite", "disableService"].contains(&action) {
            return denied("unknown_action");
        }
        // The contract is silent: what the schema does not know is found when it is known what is asked about, and
        // when that can be asked at all.
        let on_site = action == "manageSite" || action == "disableService";
        if !context.is_empty() && kind == if on_site { "Site" } else { "Device" } {
            return invalid;
        }
        let (by, until) = self.may_use(who, action, resource);
        if by.is_empty() {
            return denied(self.why_not(who, action, resource));
        }
        json!({"decision": "allow", "determining_policies": by, "errors": [],
               "valid_until": until.map(written), "revision": self.revision, "reason": null})
    }

    fn why_not(&self, who: &str, action: &str, resource: &str) -> &'static str {
        let (kind, id) = parts(who);
        if kind != "Installer" || action == "disableService" {
            return "not_permitted";
        }
        match self.coverage(&self.installers[id].company, action, resource) {
            Coverage::Never => "no_grant",
            Coverage::Ended if self.wrong(Fault::EndedIsNeverGranted) => "no_grant",
            Coverage::Ended => "grant_ended",
            Coverage::Until(_) => "not_permitted",
        }
    }
}

pub(super) enum Coverage {
    Never,
    Ended,
    Until(Option<i64>),
}
