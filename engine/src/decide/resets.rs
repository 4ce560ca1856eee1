//! Reset tickets.

use super::{Case, Effect, Events, Fact, No, Resource, already_exists, not_found, refuse, wrong_state};
use crate::command::{Peer, SameLan};
use crate::directory::TicketRecord;
use crate::domain::{DeviceId, Duration, Password, Permission, ResetMode, ResetOutcome, TicketId, Timestamp};
use crate::event::Event;
use crate::lifecycle::Step;
use crate::lifecycle::reset_ticket::{TicketEvent, TicketState};
use crate::refusal::RefusalCode;

/// How old an attestation may be.
const ATTESTATION_AGE: Duration = Duration::from_minutes(5);

impl<'a> Case<'a> {
    pub(super) fn open_reset_ticket(
        &mut self,
        ticket: &TicketId,
        device: &DeviceId,
        mode: ResetMode,
    ) -> Events {
        let record = self.find_device(device)?;
        if self.directory.ticket(ticket.as_str()).is_some() {
            return Err(already_exists("ticket", ticket));
        }
        let on_devices = Permission::ALL.into_iter().filter(|permission| !permission.is_site_wide());
        let grants = self.live_permissions(device.as_str(), &on_devices.collect::<Vec<_>>());
        let context = vec![("mode", Fact::Text(mode.name().to_owned())), ("grants", grants)];
        self.permit(Resource::Device(device.clone()), context)?;
        let site = self.find_site(record.site())?;
        if site.owner().is_none() {
            let state = self.directory.site_state(site, self.now).name();
            return Err(wrong_state(&format!("site `{}`", record.site()), state));
        }
        if !record.supports_password_reset() {
            let message = format!("the password of device `{device}` cannot be reset through the platform");
            return Err(refuse(RefusalCode::UnsupportedDevice, message));
        }
        let mut events = Vec::new();
        if let Some((id, other)) =
            record.ticket().and_then(|id| Some((id, self.directory.ticket(id.as_str())?)))
        {
            if other.state.seen_at(self.now).is_live() {
                let message = format!("ticket `{id}` is open for device `{device}` already");
                return Err(refuse(RefusalCode::LiveDuplicate, message));
            }
            if other.state.is_live() {
                events.push(Event::ResetTicketExpired { ticket: id.clone() });
            }
        }
        events.push(Event::ResetTicketOpened {
            ticket: ticket.clone(),
            device: device.clone(),
            asker: self.asker()?,
            mode,
            deadline: self.now.after(self.lifetimes.reset_ticket),
        });
        Ok(events)
    }

    fn find_ticket(&self, ticket: &TicketId) -> Result<&'a TicketRecord, No> {
        self.directory.ticket(ticket.as_str()).ok_or_else(|| not_found("ticket", ticket))
    }

    /// Whether `event` may happen to the ticket now, and what it makes of its state.
    fn step_ticket(&self, ticket: &TicketId, event: TicketEvent) -> Result<TicketState, No> {
        let state = self.find_ticket(ticket)?.state;
        let expired = Event::ResetTicketExpired { ticket: ticket.clone() };
        let step = state.step(event, self.now);
        Self::moved(&format!("ticket `{ticket}`"), state.name(), &step, expired)?;
        Ok(match step {
            Step::Moved(next) | Step::Lapsed(next) => next,
            Step::Refused => state,
        })
    }

    pub(super) fn reject_reset_ticket(&mut self, ticket: &TicketId) -> Events {
        self.find_ticket(ticket)?;
        self.permit(Resource::Ticket(ticket.clone()), vec![])?;
        self.step_ticket(ticket, TicketEvent::Reject)?;
        Ok(vec![Event::ResetTicketRejected { ticket: ticket.clone() }])
    }

    pub(super) fn withdraw_reset_ticket(&mut self, ticket: &TicketId) -> Events {
        self.find_ticket(ticket)?;
        self.permit(Resource::Ticket(ticket.clone()), vec![])?;
        self.step_ticket(ticket, TicketEvent::Withdraw)?;
        Ok(vec![Event::ResetTicketWithdrawn { ticket: ticket.clone() }])
    }

    pub(super) fn complete_reset_ticket(
        &mut self,
        ticket: &TicketId,
        password: &Password,
        same_lan: Option<&SameLan>,
    ) -> Events {
        let record = self.find_ticket(ticket)?;
        self.permit(Resource::Ticket(ticket.clone()), vec![])?;
        self.step_ticket(ticket, TicketEvent::Submit)?;
        if !password.is_strong() {
            let message = "a password has 8 to 16 printable ASCII characters without space, of at least two of \
                           lower case, upper case, digits and others";
            return Err(refuse(RefusalCode::WeakPassword, message));
        }
        if let Err(why) = attested(same_lan, record, self.now) {
            return Err(refuse(RefusalCode::LanNotAttested, why));
        }
        self.effect = Some(Effect { device: record.device.clone(), password: password.clone() });
        Ok(vec![Event::ResetSubmitted { ticket: ticket.clone() }])
    }

    pub(super) fn confirm_reset(&mut self, ticket: &TicketId, outcome: ResetOutcome) -> Events {
        let record = self.find_ticket(ticket)?;
        self.permit(Resource::Ticket(ticket.clone()), vec![])?;
        match outcome {
            ResetOutcome::Done => {
                self.step_ticket(ticket, TicketEvent::Confirm)?;
                Ok(vec![Event::ResetCompleted { ticket: ticket.clone() }])
            }
            ResetOutcome::Failed => {
                let next = self.step_ticket(ticket, TicketEvent::Fail)?;
                let mut events = vec![Event::ResetFailed { ticket: ticket.clone() }];
                // What would have cancelled it while it waited cancels it now that it waits again.
                if matches!(next, TicketState::Pending { .. }) && !self.ticket_stands(ticket, record) {
                    events.push(Event::ResetTicketCancelled { ticket: ticket.clone() });
                }
                Ok(events)
            }
        }
    }

    /// Whether device, ownership and asker are still those with which the ticket was opened.
    fn ticket_stands(&self, ticket: &TicketId, record: &TicketRecord) -> bool {
        let directory = self.directory;
        let same_owner = directory
            .site(record.asking.site.as_str())
            .is_some_and(|site| site.owner_epoch() == record.owner_epoch);
        directory.device_is_there(record)
            && directory.site_is_there(&record.asking)
            && same_owner
            && directory.asker_is_there(&record.asking)
            && self.stands(directory, &record.asking.asker, Resource::Ticket(ticket.clone()))
    }
}

/// Whether the platform attests that the right client is on the device's network (seed 000).
fn attested(same_lan: Option<&SameLan>, ticket: &TicketRecord, now: Timestamp) -> Result<(), String> {
    let Some(lan) = same_lan else {
        return Err("nothing attests that a client is on the device's network".into());
    };
    if lan.attested_by != "platform" {
        return Err("only an attestation by `platform` counts".into());
    }
    if lan.device != ticket.device {
        return Err(format!(
            "the attestation is for device `{}`, the ticket for `{}`",
            lan.device, ticket.device
        ));
    }
    if lan.observed_at > now {
        return Err("the attestation is from the future".into());
    }
    if now > lan.observed_at.after(ATTESTATION_AGE) {
        return Err("the attestation is more than 5 minutes old".into());
    }
    match (ticket.mode, lan.peer.unwrap_or(Peer::OwnerPhone)) {
        (ResetMode::OffSite, Peer::InstallerClient) => {
            Err("off site, it is the owner's phone that must be on the device's network".into())
        }
        (ResetMode::OffSite | ResetMode::OnSite, Peer::OwnerPhone)
        | (ResetMode::OnSite, Peer::InstallerClient) => Ok(()),
    }
}
