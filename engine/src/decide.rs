//! What a command leads to: the pure half of every change.
//!
//! [`decide`] looks at the directory, asks the policies, drives the lifecycles, and answers with
//! events or a refusal; [`Directory::apply`] is the other half. Submitting, replaying, recovering and
//! model checking all go through these two.
//!
//! The order of questions is fixed: is everything there, is nothing there twice, is it permitted,
//! does the state allow it, do the guards.

mod asking;
mod registry;
mod resets;

use crate::command::{Command, Submission};
use crate::directory::{Directory, Item};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, Duration, EndUserId, Entry, GrantId, InstallerId, InviteId,
    Password, Principal, SiteId, TicketId, Timestamp,
};
use crate::event::Event;
use crate::lifecycle::Step;
use crate::refusal::{Refusal, RefusalCode};

/// May this principal do this? What policies answer; anything that can answer it can stand in.
pub trait Authorizer {
    /// Asks the policies, on this directory, at this moment. Fails closed: an error is a no.
    fn authorize(&self, directory: &Directory, question: &Question<'_>, now: Timestamp) -> Authorization;
}

/// A lifecycle command as Cedar sees it.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Who acts.
    pub principal: &'a Principal,
    /// The action: the command's name.
    pub action: &'static str,
    /// On what.
    pub resource: Resource,
    /// What else policies may look at, by the names in the schema.
    pub context: Vec<(&'static str, Fact)>,
}

/// The resource of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the entity type of its name")]
pub enum Resource {
    Company(CompanyId),
    /// With its contacts, as the account may not be registered yet.
    EndUser(EndUserId, Vec<Contact>),
    Installer(InstallerId),
    Site(SiteId),
    Device(DeviceId),
    Invite(InviteId),
    Application(ApplicationId),
    Ticket(TicketId),
    Grant(GrantId),
}

/// One value of a command's context.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Cedar type of its name")]
pub enum Fact {
    Text(String),
    Flag(bool),
    Texts(Vec<String>),
    Company(CompanyId),
    EndUser(EndUserId),
    Installer(InstallerId),
    Devices(Vec<DeviceId>),
}

/// What the policies answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The ids of the policies that decided, sorted.
    pub determining_policies: Vec<String>,
    /// What policies ran into. Not empty: not allowed.
    pub errors: Vec<String>,
}

/// How long each kind of asking waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// An invite.
    pub invite: Duration,
    /// A permission application.
    pub permission_application: Duration,
    /// A reset ticket.
    pub reset_ticket: Duration,
}

impl Default for Lifetimes {
    /// 24 hours each: a fact for the ticket (seed 000), our choice for the others.
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { invite: day, permission_application: day, reset_ticket: day }
    }
}

/// What a command leads to.
#[derive(Debug, Clone)]
pub enum Decided {
    /// It happens.
    Accepted {
        /// What happened, in order.
        events: Vec<Event>,
        /// The policies that permitted it, sorted.
        determining_policies: Vec<String>,
        /// What the submitter has to do in the world, once.
        effect: Option<Effect>,
    },
    /// It does not.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The expiry that the try brought to light, if it did.
        events: Vec<Event>,
    },
}

/// A new password for a device: given once to whoever submitted the command, and kept nowhere.
#[derive(Debug, Clone)]
pub struct Effect {
    /// The device that is to get it.
    pub device: DeviceId,
    /// The password.
    pub password: Password,
}

/// What `submission` leads to at `now`. Pure, given a pure `authorizer`.
#[must_use]
pub fn decide(
    directory: &Directory,
    submission: &Submission,
    authorizer: &dyn Authorizer,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Decided {
    if let Some(message) = submission.command.nonsense() {
        let refusal = Refusal::new(RefusalCode::Invalid, message);
        return Decided::Refused { refusal, events: Vec::new() };
    }
    let mut case = Case {
        directory,
        principal: &submission.principal,
        action: submission.command.name(),
        authorizer,
        lifetimes,
        now,
        determining_policies: Vec::new(),
        effect: None,
    };
    match case.run(&submission.command) {
        Ok(events) => {
            Decided::Accepted { events, determining_policies: case.determining_policies, effect: case.effect }
        }
        Err(No { mut refusal, events }) => {
            refusal.determining_policies = case.determining_policies;
            Decided::Refused { refusal, events }
        }
    }
}

/// What time has ended by `now` and nothing has recorded: the events that record it.
#[must_use]
pub fn overdue(directory: &Directory, now: Timestamp) -> Vec<Event> {
    let record = |item| match item {
        Item::Invite(invite) => Event::InviteExpired { invite },
        Item::Application(application) => Event::ApplicationExpired { application },
        Item::Ticket(ticket) => Event::ResetTicketExpired { ticket },
        Item::Grant(grant) => Event::GrantEnded { grant },
    };
    directory.overdue(now).into_iter().map(record).collect()
}

/// A refusal, with the expiry that it brought to light.
struct No {
    refusal: Refusal,
    events: Vec<Event>,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, events: Vec::new() }
    }
}

type Events = Result<Vec<Event>, No>;

/// One command on its way to a decision.
struct Case<'a> {
    directory: &'a Directory,
    principal: &'a Principal,
    action: &'static str,
    authorizer: &'a dyn Authorizer,
    lifetimes: &'a Lifetimes,
    now: Timestamp,
    determining_policies: Vec<String>,
    effect: Option<Effect>,
}

impl Case<'_> {
    fn run(&mut self, command: &Command) -> Events {
        match command {
            Command::RegisterCompany { company } => self.register_company(company),
            Command::RegisterEndUser { end_user, contacts } => self.register_end_user(end_user, contacts),
            Command::RegisterInstaller { installer, company, role, permissions, contacts } => {
                self.register_installer(installer, company, *role, permissions, contacts)
            }
            Command::RemoveInstaller { installer } => self.remove_installer(installer),
            Command::CreateSite { site, company, kind } => self.create_site(site, company, *kind),
            Command::AssignSite { site, installer } => self.assign_site(site, installer),
            Command::UnassignSite { site, installer } => self.unassign_site(site, installer),
            Command::DeleteSite { site } => self.delete_site(site),
            Command::AddDevice { device, site, supports_password_reset } => {
                self.add_device(device, site, *supports_password_reset)
            }
            Command::RemoveDevice { device } => self.remove_device(device),
            Command::TransferSite { site, to } => self.transfer_site(site, to),
            Command::InviteOwner { invite, site, contact, permissions, disable_service, remark } => {
                self.invite_owner(invite, site, contact, permissions, *disable_service, remark.as_ref())
            }
            Command::AcceptInvite { invite, permissions, disable_service } => {
                self.accept_invite(invite, permissions.as_deref(), *disable_service)
            }
            Command::RejectInvite { invite } => self.reject_invite(invite),
            Command::WithdrawInvite { invite } => self.withdraw_invite(invite),
            Command::WithdrawDisableService { site } => self.withdraw_disable_service(site),
            Command::ApplyForPermission { application, site, permissions, remark } => {
                self.apply_for_permission(application, site, permissions, remark.as_ref())
            }
            Command::AcceptApplication { application, permissions } => {
                self.accept_application(application, permissions.as_deref())
            }
            Command::RejectApplication { application } => self.reject_application(application),
            Command::WithdrawApplication { application } => self.withdraw_application(application),
            Command::GrantPermission(grant) => self.grant_permission(grant),
            Command::WithdrawGrant { grant } => self.withdraw_grant(grant),
            Command::ReleaseGrant { grant } => self.release_grant(grant),
            Command::OpenResetTicket { ticket, device, mode } => {
                self.open_reset_ticket(ticket, device, *mode)
            }
            Command::RejectResetTicket { ticket } => self.reject_reset_ticket(ticket),
            Command::WithdrawResetTicket { ticket } => self.withdraw_reset_ticket(ticket),
            Command::CompleteResetTicket { ticket, password, same_lan } => {
                self.complete_reset_ticket(ticket, password, same_lan.as_ref())
            }
            Command::ConfirmReset { ticket, outcome } => self.confirm_reset(ticket, *outcome),
        }
    }

    /// Asks the policies; from here on the case knows which ones decided.
    fn permit(&mut self, resource: Resource, context: Vec<(&'static str, Fact)>) -> Result<(), No> {
        let question = Question { principal: self.principal, action: self.action, resource, context };
        let answer = self.authorizer.authorize(self.directory, &question, self.now);
        self.determining_policies = answer.determining_policies;
        if answer.allowed && answer.errors.is_empty() {
            return Ok(());
        }
        let message = match (answer.errors.first(), self.determining_policies.is_empty()) {
            (Some(error), _) => format!("a policy failed, so nothing is permitted: {error}"),
            (None, false) => format!("a policy forbids {} to {}", self.principal, self.action),
            (None, true) => format!("no policy permits {} to {}", self.principal, self.action),
        };
        Err(refuse(RefusalCode::NotPermitted, message))
    }

    /// Whether the policies let the asker of an open thing keep asking, in `directory`.
    fn stands(&self, directory: &Directory, asker: &InstallerId, resource: Resource) -> bool {
        let principal = Principal::Installer(asker.clone());
        let question =
            Question { principal: &principal, action: "keepAsking", resource, context: Vec::new() };
        let answer = self.authorizer.authorize(directory, &question, self.now);
        answer.allowed && answer.errors.is_empty()
    }

    /// What cancelling an open thing comes to: nothing for a ticket on its way to the device, and the
    /// record of its expiry for something whose time was over.
    fn cancel(&self, item: &Item) -> Option<Event> {
        let directory = self.directory;
        let waits_until = match item {
            Item::Invite(id) => directory.invite(id.as_str())?.state.ends_at()?,
            Item::Application(id) => directory.application(id.as_str())?.state.ends_at()?,
            Item::Ticket(id) => directory.ticket(id.as_str())?.state.ends_at()?,
            Item::Grant(_) => return None,
        };
        let expired = self.now.has_reached(waits_until);
        Some(match item.clone() {
            Item::Invite(invite) if expired => Event::InviteExpired { invite },
            Item::Invite(invite) => Event::InviteCancelled { invite },
            Item::Application(application) if expired => Event::ApplicationExpired { application },
            Item::Application(application) => Event::ApplicationCancelled { application },
            Item::Ticket(ticket) if expired => Event::ResetTicketExpired { ticket },
            Item::Ticket(ticket) => Event::ResetTicketCancelled { ticket },
            Item::Grant(_) => return None,
        })
    }

    /// Refuses when `step` did not move; `expired` records what time did.
    fn moved<S>(what: &str, state: &'static str, step: &Step<S>, expired: Event) -> Result<(), No> {
        match step {
            Step::Moved(_) => Ok(()),
            Step::Lapsed(_) => Err(No {
                refusal: Refusal::new(RefusalCode::Expired, format!("{what} expired before this")),
                events: vec![expired],
            }),
            Step::Refused if state == "expired" => {
                Err(refuse(RefusalCode::Expired, format!("{what} expired before this")))
            }
            Step::Refused => Err(wrong_state(what, state)),
        }
    }
}

fn refuse(code: RefusalCode, message: impl Into<String>) -> No {
    Refusal::new(code, message).into()
}

fn wrong_state(what: &str, state: &str) -> No {
    let mut refusal = Refusal::new(RefusalCode::WrongState, format!("{what} is {state}"));
    refusal.state = Some(state.to_owned());
    refusal.into()
}

fn not_found(kind: &str, id: &impl std::fmt::Display) -> No {
    refuse(RefusalCode::NotFound, format!("there is no {kind} `{id}`"))
}

fn already_exists(kind: &str, id: &impl std::fmt::Display) -> No {
    refuse(RefusalCode::AlreadyExists, format!("the {kind} `{id}` exists already"))
}

/// The names of the permissions in `entries`, each once, sorted.
fn permission_names(entries: &[Entry]) -> Fact {
    let names: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.permission.name()).collect();
    Fact::Texts(names.into_iter().map(str::to_owned).collect())
}
