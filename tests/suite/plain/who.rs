//! Who may do what, as the shipped policies have it: the ids of those that permit it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::questions::Coverage;
use super::{Asked, Fault, Installer, Plain, Serial, Site, contact, parts, text};

const ON_DEVICES: [&str; 3] = ["liveView", "playback", "configure"];

/// Somebody who does something.
enum Who<'a> {
    Operator,
    User(&'a str, &'a BTreeSet<String>),
    Installer(&'a Installer),
    Nobody,
}

/// The policies whose conditions hold.
fn these<const N: usize>(policies: [(&'static str, bool); N]) -> Vec<&'static str> {
    policies.into_iter().filter(|(_, holds)| *holds).map(|(id, _)| id).collect()
}

impl Plain {
    fn who(&self, principal: &str) -> Who<'_> {
        let (kind, id) = parts(principal);
        match kind {
            "Operator" => Who::Operator,
            "EndUser" => self.users.get_key_value(id).map_or(Who::Nobody, |(id, own)| Who::User(id, own)),
            "Installer" => self.installers.get(id).map_or(Who::Nobody, Who::Installer),
            _ => Who::Nobody,
        }
    }

    pub(super) fn is_known(&self, principal: &str) -> bool {
        !matches!(self.who(principal), Who::Nobody)
    }

    pub(super) fn is_responsible(&self, installer: &Installer, site: &Site) -> bool {
        let has = |right: &str| installer.rights.contains(right);
        let company = installer.company == site.company || self.wrong(Fault::AnyCompanyIsResponsible);
        let all = has("manageAllSites") && !self.wrong(Fault::ManageAllSitesIsNothing);
        let assigned = installer.sites.contains(&site.serial);
        let assigned = assigned && (has("manageAssignedSites") || self.wrong(Fault::AssignmentIsEnough));
        company && (installer.admin || all || assigned)
    }

    fn manages_devices(installer: &Installer) -> bool {
        installer.admin || installer.rights.contains("manageDevices")
    }

    /// The site that something was asked for, if it is still there.
    pub(super) fn site_of(&self, id: &str, serial: Serial) -> Option<&Site> {
        self.sites.get(id).filter(|site| site.serial == serial)
    }

    fn site_of_device(&self, device: &str) -> Option<&Site> {
        self.devices.get(device).and_then(|device| self.sites.get(&device.site))
    }

    fn holds(&self, installer: &Installer, permission: &str, resource: &str) -> bool {
        matches!(self.coverage(&installer.company, permission, resource), Coverage::Until(_))
    }

    /// The policies that let `who` give this command.
    pub(crate) fn may(&self, who: &str, name: &str, fields: &Value) -> Vec<&'static str> {
        match self.who(who) {
            Who::Nobody => Vec::new(),
            Who::Operator => self.operator_may(name, fields),
            Who::User(id, contacts) => self.user_may(id, contacts, name, fields),
            Who::Installer(installer) => self.installer_may(installer, name, fields),
        }
    }

    fn operator_may(&self, name: &str, fields: &Value) -> Vec<&'static str> {
        let free = |site: Option<&Site>| {
            site.is_some_and(|site| site.owner.is_none() || self.wrong(Fault::OperatorsDeleteAnything))
        };
        match name {
            "registerCompany" | "registerEndUser" | "registerInstaller" | "removeInstaller"
            | "createSite" | "assignSite" | "unassignSite" | "addDevice" => vec!["operator-keeps-directory"],
            "deleteSite" => these([(
                "operator-deletes-site-before-hand-over",
                free(self.sites.get(text(fields, "site"))),
            )]),
            "removeDevice" => these([(
                "operator-removes-device-before-hand-over",
                free(self.site_of_device(text(fields, "device"))),
            )]),
            "confirmReset" => vec!["operator-confirms-reset"],
            _ => Vec::new(),
        }
    }

    fn user_may(&self, id: &str, own: &BTreeSet<String>, name: &str, fields: &Value) -> Vec<&'static str> {
        let owns = |site: Option<&Site>| site.is_some_and(|site| site.owner.as_deref() == Some(id));
        let asked = |kind: &'static str| self.asked.get(&(kind, text(fields, kind).to_owned()));
        let answers = |asked: Option<&Asked>| {
            asked.is_some_and(|asked| owns(self.site_of(&asked.site, asked.site_serial)))
        };
        let invited = || asked("invite").is_some_and(|invite| own.contains(&invite.contact));
        let is_other = |asked: Option<&Asked>, fault: Fault| {
            asked.is_some_and(|asked| own.is_disjoint(&asked.asker_contacts)) || self.wrong(fault)
        };
        let (application, ticket) = (asked("application"), asked("ticket"));
        match name {
            "removeDevice" => {
                these([("owner-removes-own-device", owns(self.site_of_device(text(fields, "device"))))])
            }
            "transferSite" => these([("owner-hands-site-on", owns(self.sites.get(text(fields, "site"))))]),
            "withdrawDisableService" => {
                these([("owner-withdraws-disable-service", owns(self.sites.get(text(fields, "site"))))])
            }
            "acceptInvite" => these([(
                "invitee-accepts-invite",
                invited() && is_other(asked("invite"), Fault::AskersAcceptInvites),
            )]),
            "rejectInvite" => these([("invitee-rejects-invite", invited())]),
            "acceptApplication" => these([(
                "owner-accepts-application",
                answers(application) && is_other(application, Fault::AskersAcceptApplications),
            )]),
            "rejectApplication" => these([("owner-rejects-application", answers(application))]),
            "completeResetTicket" => these([(
                "owner-completes-reset-ticket",
                answers(ticket) && is_other(ticket, Fault::AskersCompleteTickets),
            )]),
            "rejectResetTicket" => these([("owner-rejects-reset-ticket", answers(ticket))]),
            "grantPermission" => these([
                ("owner-grants-on-own-device", owns(self.site_of_device(text(fields, "device")))),
                ("owner-grants-on-own-site", owns(self.sites.get(text(fields, "site")))),
            ]),
            "withdrawGrant" => {
                let grant = self.grants.get(text(fields, "grant"));
                these([("owner-withdraws-grant", owns(grant.and_then(|grant| self.sites.get(&grant.site))))])
            }
            _ => Vec::new(),
        }
    }

    fn installer_may(&self, installer: &Installer, name: &str, fields: &Value) -> Vec<&'static str> {
        let responsible = |site: Option<&Site>| site.is_some_and(|site| self.is_responsible(installer, site));
        let free = |site: Option<&Site>| site.is_some_and(|site| site.owner.is_none());
        let site = self.sites.get(text(fields, "site"));
        let of_device = self.site_of_device(text(fields, "device"));
        // What was asked for at a site that is gone is still the company's that asked. The contract is silent on
        // whether an assignment to a new site of the old id counts; in the policies' words, it is the same
        // `Site::"…"`. Nothing waits there any more, so that only the code of the refusal depends on it.
        let asked = |kind: &'static str| {
            let asked = self.asked.get(&(kind, text(fields, kind).to_owned()));
            asked.is_some_and(|asked| {
                let gone = || {
                    let namesake = self.sites.get(&asked.site).map_or(asked.site_serial, |site| site.serial);
                    let (serial, company) = (namesake, asked.company.clone());
                    Site { serial, company, rental: false, owner: None, epoch: 0, disable: false }
                };
                let site = self.site_of(&asked.site, asked.site_serial).cloned();
                self.is_responsible(installer, &site.unwrap_or_else(gone))
            })
        };
        let may_ask = |fault: Fault| {
            let permissions = fields["permissions"].as_array();
            let on_devices = permissions.is_some_and(|permissions| {
                permissions.iter().any(|entry| ON_DEVICES.contains(&text(entry, "permission")))
            });
            !on_devices || Self::manages_devices(installer) || self.wrong(fault)
        };
        match name {
            "createSite" => these([(
                "installer-creates-site-for-own-company",
                installer.company == text(fields, "company"),
            )]),
            "assignSite" | "unassignSite" => these([(
                "admin-assigns-own-companys-sites",
                (installer.admin || self.wrong(Fault::MembersAssign))
                    && site.is_some_and(|site| site.company == installer.company),
            )]),
            "deleteSite" => {
                these([("installer-changes-site-before-hand-over", free(site) && responsible(site))])
            }
            "addDevice" => {
                let resource = format!("Site::\"{}\"", text(fields, "site"));
                let holds = self.holds(installer, "manageSite", &resource);
                let holds = holds || self.wrong(Fault::DevicesAreAddedWithoutAGrant);
                these([
                    ("installer-adds-device-with-grant", !free(site) && holds && responsible(site)),
                    ("installer-changes-site-before-hand-over", free(site) && responsible(site)),
                ])
            }
            "removeDevice" => these([(
                "installer-removes-device-before-hand-over",
                free(of_device) && responsible(of_device),
            )]),
            "inviteOwner" => {
                let invited = contact(&fields["contact"], self.fault);
                let own =
                    installer.contacts.contains(&invited) && !self.wrong(Fault::InstallersInviteThemselves);
                let may_ask = may_ask(Fault::InvitesNeedNoManageDevices);
                these([("installer-invites-owner", free(site) && !own && responsible(site) && may_ask)])
            }
            "applyForPermission" => these([(
                "installer-applies-for-permission",
                site.is_some_and(|site| site.owner.is_some())
                    && responsible(site)
                    && may_ask(Fault::ApplicationsNeedNoManageDevices),
            )]),
            "withdrawInvite" => these([("installer-withdraws-invite", asked("invite"))]),
            "withdrawApplication" => these([("installer-withdraws-application", asked("application"))]),
            "withdrawResetTicket" => these([("installer-withdraws-reset-ticket", asked("ticket"))]),
            "releaseGrant" => {
                let grant = self.grants.get(text(fields, "grant"));
                let site = grant.and_then(|grant| self.sites.get(&grant.site));
                these([("installer-releases-grant", responsible(site))])
            }
            "openResetTicket" => {
                let resource = format!("Device::\"{}\"", text(fields, "device"));
                let holds = ON_DEVICES.iter().any(|permission| self.holds(installer, permission, &resource));
                let holds = holds || self.wrong(Fault::TicketsNeedNoGrant);
                let owned = of_device.is_some_and(|site| site.owner.is_some());
                these([("installer-opens-reset-ticket", owned && holds && responsible(of_device))])
            }
            _ => Vec::new(),
        }
    }

    /// The policies that let `who` use a thing, and until when.
    pub(super) fn may_use(
        &self,
        who: &str,
        action: &str,
        resource: &str,
    ) -> (Vec<&'static str>, Option<i64>) {
        let (kind, id) = parts(resource);
        let fits = match action {
            "manageSite" | "disableService" => kind == "Site",
            _ => kind == "Device",
        };
        let site = if kind == "Site" { self.sites.get(id) } else { self.site_of_device(id) };
        let Some(site) = site.filter(|_| fits) else { return (Vec::new(), None) };
        match self.who(who) {
            Who::User(user, _) => {
                let owns = site.owner.as_deref() == Some(user) && action != "disableService";
                let by = if kind == "Site" { "owner-manages-own-site" } else { "owner-uses-own-devices" };
                (these([(by, owns)]), None)
            }
            Who::Installer(installer) if self.is_responsible(installer, site) => {
                if action == "disableService" {
                    let rental = site.rental || self.wrong(Fault::ServiceIsDisabledAnywhere);
                    let may = rental && site.owner.is_some() && site.disable;
                    return (these([("installer-disables-service-of-rental-site", may)]), None);
                }
                let manages =
                    Self::manages_devices(installer) || self.wrong(Fault::ConfiguringNeedsNoManageDevices);
                if action == "configure" && !manages {
                    return (Vec::new(), None);
                }
                let (before, after) = if kind == "Site" {
                    ("installer-manages-site-before-hand-over", "installer-manages-site-with-grant")
                } else {
                    ("installer-uses-devices-before-hand-over", "installer-uses-devices-with-grant")
                };
                if site.owner.is_none() {
                    return (vec![before], None);
                }
                match self.coverage(&installer.company, action, resource) {
                    Coverage::Until(end) => (vec![after], end),
                    Coverage::Never | Coverage::Ended => (Vec::new(), None),
                }
            }
            Who::Operator | Who::Installer(_) | Who::Nobody => (Vec::new(), None),
        }
    }
}
