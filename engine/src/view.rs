//! What people look at: where a thing stands, which grants there are.

pub mod lists;

use serde::{Deserialize, Serialize};

use crate::directory::{Asking, Directory, GrantRecord};
use crate::domain::{
    ApplicationId, CompanyId, DeviceId, EndUserId, Entry, GrantId, InstallerId, InviteId, Permission,
    PermissionRequest, SiteId, TicketId, Timestamp,
};
use crate::lifecycle::grant::GrantState;

/// What to look at.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each variant is the thing of its name")]
pub enum ShowRequest {
    Invite(InviteId),
    Application(ApplicationId),
    Ticket(TicketId),
    Grant(GrantId),
    Site(SiteId),
}

impl std::fmt::Display for ShowRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invite(id) => write!(f, "invite `{id}`"),
            Self::Application(id) => write!(f, "application `{id}`"),
            Self::Ticket(id) => write!(f, "ticket `{id}`"),
            Self::Grant(id) => write!(f, "grant `{id}`"),
            Self::Site(id) => write!(f, "site `{id}`"),
        }
    }
}

/// Where a thing stands at a moment: what is past its time says so, whether or not it was recorded.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    /// The state's name.
    pub state: &'static str,
    /// The rest, by what kind of thing it is.
    #[serde(flatten)]
    pub details: Details,
    /// Of a ticket: how often a completion was refused for its password or network.
    #[serde(rename = "failedCompletions", skip_serializing_if = "Option::is_none")]
    pub failed_completions: Option<u64>,
}

/// What a view says beside the state.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Details {
    /// A site's owner, in Cedar's form; none before hand-over.
    Site {
        /// The owner.
        owner: Option<String>,
    },
    /// What was asked for.
    Asked {
        /// Until when it waits, or waited.
        deadline: Timestamp,
        /// The site.
        site: SiteId,
        /// The device, of a ticket.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<DeviceId>,
        /// The company.
        company: CompanyId,
        /// Who asked.
        asker: InstallerId,
        /// The permissions.
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Vec<PermissionRequest>>,
        /// A word to whom it was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// A grant.
    Grant {
        /// When it ends, or was to end; `null`: without end.
        until: Option<Timestamp>,
        /// The company.
        company: CompanyId,
        /// The permission.
        permission: Permission,
        /// The site.
        site: SiteId,
        /// The device, of a permission on one.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<DeviceId>,
    },
}

/// Entries in the form of a command, so that part of them can be accepted: those of one permission and
/// validity together.
fn written(entries: &[Entry]) -> Vec<PermissionRequest> {
    let mut requests: Vec<PermissionRequest> = Vec::new();
    for entry in entries {
        let Entry { permission, validity, .. } = *entry;
        let Some(device) = entry.scope.device().cloned() else {
            requests.push(PermissionRequest { permission, devices: None, validity });
            continue;
        };
        let same = |request: &&mut PermissionRequest| {
            (request.permission, request.validity) == (permission, validity)
        };
        match requests.iter_mut().find(same).and_then(|request| request.devices.as_mut()) {
            Some(devices) => devices.push(device),
            None => requests.push(PermissionRequest { permission, devices: Some(vec![device]), validity }),
        }
    }
    requests
}

/// Where a thing stands at `now`; `None`: there is none.
#[must_use]
pub fn show(directory: &Directory, request: &ShowRequest, now: Timestamp) -> Option<View> {
    let view = |state, details| View { state, details, failed_completions: None };
    let asked = |asking: &Asking,
                 device: Option<&DeviceId>,
                 entries: Option<&Vec<Entry>>,
                 remark: Option<&String>| {
        Details::Asked {
            deadline: asking.deadline,
            site: asking.site.clone(),
            device: device.cloned(),
            company: asking.company.clone(),
            asker: asking.asker.clone(),
            permissions: entries.map(|entries| written(entries)),
            remark: remark.cloned(),
        }
    };
    Some(match request {
        ShowRequest::Site(id) => {
            let site = directory.site(id.as_str())?;
            let owner = site.owner().map(|owner| format!("EndUser::\"{owner}\""));
            view(directory.site_state(site, now).name(), Details::Site { owner })
        }
        ShowRequest::Invite(id) => {
            let invite = directory.invite(id.as_str())?;
            let details = asked(&invite.asking, None, Some(&invite.entries), invite.remark.as_ref());
            view(invite.state.seen_at(now).name(), details)
        }
        ShowRequest::Application(id) => {
            let application = directory.application(id.as_str())?;
            let details =
                asked(&application.asking, None, Some(&application.entries), application.remark.as_ref());
            view(application.state.seen_at(now).name(), details)
        }
        ShowRequest::Ticket(id) => {
            let ticket = directory.ticket(id.as_str())?;
            view(ticket.state.seen_at(now).name(), asked(&ticket.asking, Some(&ticket.device), None, None))
        }
        ShowRequest::Grant(id) => {
            let grant = directory.grant(id.as_str())?;
            let details = Details::Grant {
                until: grant.until(),
                company: grant.company().clone(),
                permission: grant.permission(),
                site: grant.site().clone(),
                device: grant.device().cloned(),
            };
            view(grant.state().seen_at(now).name(), details)
        }
    })
}

/// Which grants to list; what is left out does not narrow the list.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantFilter {
    /// Held by this company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// For this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Given by this owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<EndUserId>,
    /// Live, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
}

/// One grant of a list.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrantLine {
    /// The grant.
    pub grant: GrantId,
    /// Who has the permission.
    pub company: CompanyId,
    /// The permission.
    pub permission: Permission,
    /// The device that it is for,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// or the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    /// The state's name.
    pub state: &'static str,
    /// When it ends, or was to end; `None`: without end.
    pub until: Option<Timestamp>,
}

impl GrantFilter {
    /// Whether a grant fits at `now`.
    fn takes(&self, grant: GrantRecord<'_>, now: Timestamp) -> bool {
        let is_live = || matches!(grant.state().seen_at(now), GrantState::Active { .. });
        self.company.as_ref().is_none_or(|company| company == grant.company())
            && self.device.as_ref().is_none_or(|device| Some(device) == grant.device())
            && self.owner.as_ref().is_none_or(|owner| owner == grant.owner())
            && self.live.is_none_or(|live| live == is_live())
    }
}

/// A grant as a line of a list.
fn grant_line(grant: GrantRecord<'_>, now: Timestamp) -> GrantLine {
    GrantLine {
        grant: grant.id(),
        company: grant.company().clone(),
        permission: grant.permission(),
        device: grant.device().cloned(),
        site: grant.device().is_none().then(|| grant.site().clone()),
        state: grant.state().seen_at(now).name(),
        until: grant.until(),
    }
}

/// The grants that fit `filter` at `now`, sorted by id. O(grants).
#[must_use]
pub fn list_grants(directory: &Directory, filter: &GrantFilter, now: Timestamp) -> Vec<GrantLine> {
    let taken = directory.grants().filter(|grant| filter.takes(*grant, now));
    let mut lines: Vec<GrantLine> = taken.map(|grant| grant_line(grant, now)).collect();
    lines.sort_by(|one, other| one.grant.cmp(&other.grant));
    lines
}
