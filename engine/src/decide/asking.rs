//! Asking and answering: invites, permission applications, grants.

use super::{
    Case, Events, Fact, No, Resource, already_exists, not_found, permission_names, refuse, wrong_state,
};
use crate::command::GrantPermission;
use crate::directory::{ApplicationRecord, GrantRecord, InviteRecord, Item};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, Entry, GrantId, InstallerId, InviteId, PermissionRequest,
    Principal, Scope, SiteId,
};
use crate::event::Event;
use crate::lifecycle::Step;
use crate::lifecycle::grant::GrantEvent;
use crate::lifecycle::invite::{InviteEvent, InviteState};
use crate::lifecycle::permission_application::{ApplicationEvent, ApplicationState};
use crate::refusal::RefusalCode;

impl<'a> Case<'a> {
    /// Whoever asks is an installer: the schema lets no other type near these actions.
    pub(super) fn asker(&self) -> Result<InstallerId, No> {
        match self.principal {
            Principal::Installer(id) => Ok(id.clone()),
            Principal::Operator(_) | Principal::EndUser(_) => {
                let message = format!("{} is not an installer, and only an installer asks", self.principal);
                Err(refuse(RefusalCode::NotPermitted, message))
            }
        }
    }

    /// The entries of `requests`; every device that they name is there.
    fn entries(&self, requests: &[PermissionRequest]) -> Result<Vec<Entry>, No> {
        let entries =
            PermissionRequest::entries(requests).map_err(|message| refuse(RefusalCode::Invalid, message))?;
        for device in entries.iter().filter_map(|entry| entry.scope.device()) {
            self.find_device(device)?;
        }
        Ok(entries)
    }

    fn all_on_site(&self, entries: &[Entry], site: &SiteId) -> Result<(), No> {
        for device in entries.iter().filter_map(|entry| entry.scope.device()) {
            let own = self.find_device(device)?.site();
            if own != site {
                let message = format!("device `{device}` is on site `{own}`, not on `{site}`");
                return Err(refuse(RefusalCode::Invalid, message));
            }
        }
        Ok(())
    }

    fn site_has_owner(&self, site: &SiteId, expected: bool) -> Result<(), No> {
        let place = self.find_site(site)?;
        if place.owner().is_some() == expected {
            return Ok(());
        }
        Err(wrong_state(&format!("site `{site}`"), self.directory.site_state(place, self.now).name()))
    }

    /// Invites and applications share one namespace: both derive the ids of grants from their own.
    fn asking_id_is_new(&self, id: &str) -> Result<(), No> {
        if self.directory.invite(id).is_some() {
            return Err(already_exists("invite", &id));
        }
        if self.directory.application(id).is_some() {
            return Err(already_exists("application", &id));
        }
        Ok(())
    }

    pub(super) fn invite_owner(
        &mut self,
        invite: &InviteId,
        site: &SiteId,
        contact: &Contact,
        requests: &[PermissionRequest],
        disable_service: bool,
        remark: Option<&String>,
    ) -> Events {
        let place = self.find_site(site)?;
        let entries = self.entries(requests)?;
        self.asking_id_is_new(invite.as_str())?;
        let context = vec![
            ("contact", Fact::Text(contact.to_string())),
            ("permissions", permission_names(&entries)),
            ("devices", devices(&entries)),
            ("disableService", Fact::Flag(disable_service)),
        ];
        self.permit(Resource::Site(site.clone()), context)?;
        self.site_has_owner(site, false)?;
        self.all_on_site(&entries, site)?;
        let mut events = Vec::new();
        if let Some((old, record)) =
            place.invite().and_then(|id| Some((id, self.directory.invite(id.as_str())?)))
            && matches!(record.state, InviteState::Pending { .. })
        {
            let invite = old.clone();
            events.push(match record.state.step(InviteEvent::Supersede, self.now) {
                Step::Moved(_) => Event::InviteSuperseded { invite },
                Step::Lapsed(_) | Step::Refused => Event::InviteExpired { invite },
            });
        }
        events.push(Event::OwnerInvited {
            invite: invite.clone(),
            site: site.clone(),
            asker: self.asker()?,
            contact: contact.clone(),
            entries,
            disable_service,
            remark: remark.cloned(),
            deadline: self.now.after(self.lifetimes.invite),
        });
        Ok(events)
    }

    fn find_invite(&self, invite: &InviteId) -> Result<&'a InviteRecord, No> {
        self.directory.invite(invite.as_str()).ok_or_else(|| not_found("invite", invite))
    }

    /// Whether `event` may happen to the invite now.
    fn step_invite(&self, invite: &InviteId, event: InviteEvent) -> Result<(), No> {
        let state = self.find_invite(invite)?.state;
        let expired = Event::InviteExpired { invite: invite.clone() };
        Self::moved(&format!("invite `{invite}`"), state.name(), &state.step(event, self.now), expired)
    }

    pub(super) fn accept_invite(
        &mut self,
        invite: &InviteId,
        requests: Option<&[PermissionRequest]>,
        disable_service: Option<bool>,
    ) -> Events {
        let record = self.find_invite(invite)?;
        let entries = requests.map(|requests| self.entries(requests)).transpose()?;
        let entries = entries.unwrap_or_else(|| record.entries.clone());
        let disable_service = disable_service.unwrap_or(record.disable_service);
        let context = vec![
            ("permissions", permission_names(&entries)),
            ("disableService", Fact::Flag(disable_service)),
        ];
        self.permit(Resource::Invite(invite.clone()), context)?;
        self.step_invite(invite, InviteEvent::Accept)?;
        let Principal::EndUser(owner) = self.principal else {
            let message = format!("{} is not an end user, and only an end user owns a site", self.principal);
            return Err(refuse(RefusalCode::NotPermitted, message));
        };
        self.site_has_owner(&record.asking.site, false)?;
        no_wider(&entries, &record.entries)?;
        if disable_service && !record.disable_service {
            let message = "the invite does not ask that the service may be disabled";
            return Err(refuse(RefusalCode::WiderThanAsked, message));
        }
        let mut events =
            vec![Event::InviteAccepted { invite: invite.clone(), owner: owner.clone(), disable_service }];
        events.extend(self.grants(invite.as_str(), &record.asking.company, &record.asking.site, &entries));
        Ok(events)
    }

    pub(super) fn reject_invite(&mut self, invite: &InviteId) -> Events {
        self.find_invite(invite)?;
        self.permit(Resource::Invite(invite.clone()), vec![])?;
        self.step_invite(invite, InviteEvent::Reject)?;
        Ok(vec![Event::InviteRejected { invite: invite.clone() }])
    }

    pub(super) fn withdraw_invite(&mut self, invite: &InviteId) -> Events {
        self.find_invite(invite)?;
        self.permit(Resource::Invite(invite.clone()), vec![])?;
        self.step_invite(invite, InviteEvent::Withdraw)?;
        Ok(vec![Event::InviteWithdrawn { invite: invite.clone() }])
    }

    pub(super) fn withdraw_disable_service(&mut self, site: &SiteId) -> Events {
        let place = self.find_site(site)?;
        self.permit(Resource::Site(site.clone()), vec![])?;
        if !place.disable_service() {
            let state = self.directory.site_state(place, self.now).name();
            let what = format!("nobody may disable the service of site `{site}`, which");
            return Err(wrong_state(&what, state));
        }
        Ok(vec![Event::DisableServiceWithdrawn { site: site.clone() }])
    }

    pub(super) fn apply_for_permission(
        &mut self,
        application: &ApplicationId,
        site: &SiteId,
        requests: &[PermissionRequest],
        remark: Option<&String>,
    ) -> Events {
        let place = self.find_site(site)?;
        let entries = self.entries(requests)?;
        self.asking_id_is_new(application.as_str())?;
        let context = vec![("permissions", permission_names(&entries)), ("devices", devices(&entries))];
        self.permit(Resource::Site(site.clone()), context)?;
        self.site_has_owner(site, true)?;
        self.all_on_site(&entries, site)?;
        let asker = self.asker()?;
        let company = self.directory.installer(asker.as_str()).map(|installer| installer.company());
        let mut events = Vec::new();
        for (id, other) in place
            .open()
            .iter()
            .filter_map(Item::application)
            .filter_map(|id| Some((id, self.directory.application(id.as_str())?)))
        {
            let Some(same) = entries.iter().find(|entry| other.asks(entry)) else {
                continue;
            };
            if Some(&other.asking.company) != company {
                continue;
            }
            if matches!(other.state.seen_at(self.now), ApplicationState::Pending { .. }) {
                let message = format!(
                    "application `{id}` asks for `{}` on `{}` already",
                    same.permission.name(),
                    crate::directory::scope_id(&same.scope, site),
                );
                return Err(refuse(RefusalCode::LiveDuplicate, message));
            }
            events.push(Event::ApplicationExpired { application: id.clone() });
        }
        events.push(Event::PermissionApplied {
            application: application.clone(),
            site: site.clone(),
            asker,
            entries,
            remark: remark.cloned(),
            deadline: self.now.after(self.lifetimes.permission_application),
        });
        Ok(events)
    }

    fn find_application(&self, application: &ApplicationId) -> Result<&'a ApplicationRecord, No> {
        self.directory.application(application.as_str()).ok_or_else(|| not_found("application", application))
    }

    /// Whether `event` may happen to the application now.
    fn step_application(&self, application: &ApplicationId, event: ApplicationEvent) -> Result<(), No> {
        let state = self.find_application(application)?.state;
        let expired = Event::ApplicationExpired { application: application.clone() };
        Self::moved(
            &format!("application `{application}`"),
            state.name(),
            &state.step(event, self.now),
            expired,
        )
    }

    pub(super) fn accept_application(
        &mut self,
        application: &ApplicationId,
        requests: Option<&[PermissionRequest]>,
    ) -> Events {
        let record = self.find_application(application)?;
        let entries = requests.map(|requests| self.entries(requests)).transpose()?;
        let entries = entries.unwrap_or_else(|| record.entries.clone());
        self.permit(
            Resource::Application(application.clone()),
            vec![("permissions", permission_names(&entries))],
        )?;
        self.step_application(application, ApplicationEvent::Accept)?;
        no_wider(&entries, &record.entries)?;
        let mut events = vec![Event::ApplicationAccepted { application: application.clone() }];
        events.extend(self.grants(
            application.as_str(),
            &record.asking.company,
            &record.asking.site,
            &entries,
        ));
        Ok(events)
    }

    pub(super) fn reject_application(&mut self, application: &ApplicationId) -> Events {
        self.find_application(application)?;
        self.permit(Resource::Application(application.clone()), vec![])?;
        self.step_application(application, ApplicationEvent::Reject)?;
        Ok(vec![Event::ApplicationRejected { application: application.clone() }])
    }

    pub(super) fn withdraw_application(&mut self, application: &ApplicationId) -> Events {
        self.find_application(application)?;
        self.permit(Resource::Application(application.clone()), vec![])?;
        self.step_application(application, ApplicationEvent::Withdraw)?;
        Ok(vec![Event::ApplicationWithdrawn { application: application.clone() }])
    }

    /// What an acceptance gives: one grant for each entry, whose time starts now.
    fn grants(&self, source: &str, company: &CompanyId, site: &SiteId, entries: &[Entry]) -> Vec<Event> {
        let grant = |entry: &Entry| Event::GrantMade {
            grant: GrantId::derived(source, entry.permission.name(), entry.scope.device()),
            company: company.clone(),
            site: site.clone(),
            permission: entry.permission,
            scope: entry.scope.clone(),
            until: entry.validity.until(self.now),
        };
        entries.iter().map(grant).collect()
    }

    pub(super) fn grant_permission(&mut self, command: &GrantPermission) -> Events {
        self.find_company(&command.company)?;
        let (resource, site) = match (&command.device, &command.site) {
            (Some(device), _) => (Resource::Device(device.clone()), self.find_device(device)?.site().clone()),
            (None, Some(site)) => (Resource::Site(site.clone()), site.clone()),
            (None, None) => {
                return Err(refuse(RefusalCode::Invalid, "it names neither a device nor a site"));
            }
        };
        let place = self.find_site(&site)?;
        if self.directory.grant(command.grant.as_str()).is_some() {
            return Err(already_exists("grant", &command.grant));
        }
        let context = vec![
            ("company", Fact::Company(command.company.clone())),
            ("permission", Fact::Text(command.permission.name().to_owned())),
        ];
        self.permit(resource, context)?;
        self.site_has_owner(&site, true)?;
        if *place.company() != command.company {
            let message = format!(
                "site `{site}` is looked after by `{}`, not by `{}`",
                place.company(),
                command.company
            );
            return Err(refuse(RefusalCode::Invalid, message));
        }
        Ok(vec![Event::GrantMade {
            grant: command.grant.clone(),
            company: command.company.clone(),
            site,
            permission: command.permission,
            scope: command.scope(),
            until: command.validity.until(self.now),
        }])
    }

    fn find_grant(&self, grant: &GrantId) -> Result<GrantRecord<'a>, No> {
        self.directory.grant(grant.as_str()).ok_or_else(|| not_found("grant", grant))
    }

    fn end_grant(&mut self, grant: &GrantId, event: GrantEvent, ended: Event) -> Events {
        let state = self.find_grant(grant)?.state();
        self.permit(Resource::Grant(grant.clone()), vec![])?;
        match state.step(event, self.now) {
            Step::Moved(_) => Ok(vec![ended]),
            Step::Lapsed(next) => Err(wrong_state(&format!("grant `{grant}`"), next.name())),
            Step::Refused => Err(wrong_state(&format!("grant `{grant}`"), state.name())),
        }
    }

    pub(super) fn withdraw_grant(&mut self, grant: &GrantId) -> Events {
        self.end_grant(grant, GrantEvent::Withdraw, Event::GrantWithdrawn { grant: grant.clone() })
    }

    pub(super) fn release_grant(&mut self, grant: &GrantId) -> Events {
        self.end_grant(grant, GrantEvent::Release, Event::GrantReleased { grant: grant.clone() })
    }
}

/// The devices in `entries`, each once, sorted.
fn devices(entries: &[Entry]) -> Fact {
    let devices: std::collections::BTreeSet<&DeviceId> =
        entries.iter().filter_map(|entry| entry.scope.device()).collect();
    Fact::Devices(devices.into_iter().cloned().collect())
}

/// Every entry that is given was asked for, for at least as long.
fn no_wider(given: &[Entry], asked: &[Entry]) -> Result<(), No> {
    for entry in given {
        let covered = asked.iter().any(|asked| {
            asked.permission == entry.permission
                && asked.scope == entry.scope
                && asked.validity >= entry.validity
        });
        if !covered {
            let on = match &entry.scope {
                Scope::Site => "the site".to_owned(),
                Scope::Device(device) => format!("`{device}`"),
            };
            let message =
                format!("`{}` on {on} was not asked for, or not for so long", entry.permission.name());
            return Err(refuse(RefusalCode::WiderThanAsked, message));
        }
    }
    Ok(())
}
