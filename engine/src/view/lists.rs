//! Lists, page by page: what was asked for, and what is registered.

use serde::{Deserialize, Serialize};

use super::{Details, ShowRequest, show};
use crate::directory::{Asking, Directory};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, InstallerId, InstallerPermission, InviteId,
    ResetMode, Role, SiteId, SiteKind, TicketId, Timestamp,
};

/// One page of a list, in the order of ids.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "PageOf{T}"))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The id after which the next page begins; `None`: this is the last one.
    pub next: Option<String>,
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// It begins after this id; `None`: with the first.
    pub after: Option<String>,
    /// So much is on it at most.
    pub most: usize,
}

/// What is asked of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedKind {
    /// An owner to take a site over.
    Invite,
    /// An owner for permissions.
    Application,
    /// An owner for a password.
    Ticket,
}

/// Which of what was asked for to list; what is left out does not narrow the list.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedFilter {
    /// By this company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// About this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
    /// That this end user is asked: the owner of the site, or who has the contact that is invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<EndUserId>,
    /// That waits for its answer, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
}

/// One thing that was asked for.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedLine {
    /// Its kind and id.
    #[serde(flatten)]
    pub id: ShowRequest,
    /// The state's name.
    pub state: &'static str,
    /// Who is invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// From where the password is reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ResetMode>,
    /// The rest.
    #[serde(flatten)]
    pub details: Details,
}

/// Something that is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the thing of its name")]
pub enum EntryKind {
    Company,
    EndUser,
    Installer,
    Site,
    Device,
}

/// Which of what is registered to list; what is left out does not narrow the list.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntryFilter {
    /// Of this company: its installers; the sites that it looks after, and their devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<CompanyId>,
    /// Of this owner: sites, and their devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<EndUserId>,
    /// On this site: devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
}

/// What is known of something that is registered.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum EntryView {
    Device {
        device: DeviceId,
        site: SiteId,
        supports_password_reset: bool,
    },
    Site {
        site: SiteId,
        company: CompanyId,
        kind: SiteKind,
        /// `notInvited`, `notRegistered`, `notAccepted`, `notAuthorized` or `authorized`.
        state: &'static str,
        /// In Cedar's form; none before hand-over.
        owner: Option<String>,
        /// The owner agreed that the installer may disable the service.
        disable_service: bool,
        /// Sorted.
        devices: Vec<DeviceId>,
        /// The installers who look after it, sorted.
        assigned: Vec<InstallerId>,
    },
    Installer {
        installer: InstallerId,
        company: CompanyId,
        role: Role,
        permissions: Vec<InstallerPermission>,
        contacts: Vec<Contact>,
    },
    EndUser {
        end_user: EndUserId,
        contacts: Vec<Contact>,
    },
    Company {
        company: CompanyId,
    },
}

/// The ids of a page, of which one more than fits was looked for.
fn turned(mut ids: Vec<String>, most: usize) -> (Vec<String>, Option<String>) {
    if ids.len() <= most {
        return (ids, None);
    }
    ids.truncate(most);
    let next = ids.last().cloned();
    (ids, next)
}

impl AskedKind {
    fn type_name(self) -> &'static str {
        match self {
            Self::Invite => "Invite",
            Self::Application => "PermissionApplication",
            Self::Ticket => "ResetTicket",
        }
    }

    fn named(self, id: &str) -> Option<ShowRequest> {
        Some(match self {
            Self::Invite => ShowRequest::Invite(id.parse::<InviteId>().ok()?),
            Self::Application => ShowRequest::Application(id.parse::<ApplicationId>().ok()?),
            Self::Ticket => ShowRequest::Ticket(id.parse::<TicketId>().ok()?),
        })
    }

    fn asking(self, directory: &Directory, id: &str) -> Option<Asking> {
        Some(match self {
            Self::Invite => directory.invite(id)?.asking.clone(),
            Self::Application => directory.application(id)?.asking.clone(),
            Self::Ticket => directory.ticket(id)?.asking.clone(),
        })
    }

    fn is_pending(self, directory: &Directory, id: &str, now: Timestamp) -> bool {
        let state = match self {
            Self::Invite => directory.invite(id).map(|invite| invite.state.seen_at(now).name()),
            Self::Application => directory.application(id).map(|asked| asked.state.seen_at(now).name()),
            Self::Ticket => directory.ticket(id).map(|ticket| ticket.state.seen_at(now).name()),
        };
        state == Some("pending")
    }
}

/// One thing that was asked for, at `now`; `None`: there is none of this id.
#[must_use]
pub fn asked(directory: &Directory, kind: AskedKind, id: &str, now: Timestamp) -> Option<AskedLine> {
    let named = kind.named(id)?;
    let view = show(directory, &named, now)?;
    let (contact, mode) = match kind {
        AskedKind::Invite => (Some(directory.invite(id)?.contact.clone()), None),
        AskedKind::Application => (None, None),
        AskedKind::Ticket => (None, Some(directory.ticket(id)?.mode)),
    };
    Some(AskedLine { id: named, state: view.state, contact, mode, details: view.details })
}

/// What was asked for and fits `filter` at `now`. O(things of the kind).
#[must_use]
pub fn list_asked(
    directory: &Directory,
    kind: AskedKind,
    filter: &AskedFilter,
    turn: &Turn,
    now: Timestamp,
) -> Page<AskedLine> {
    let is_asked = |end_user: &EndUserId, asking: &Asking, id: &str| match kind {
        AskedKind::Invite => directory
            .invite(id)
            .is_some_and(|invite| directory.end_user_with(&invite.contact) == Some(end_user)),
        AskedKind::Application | AskedKind::Ticket => {
            let site = directory.site(asking.site.as_str());
            site.is_some_and(|site| site.created() == asking.site_created && site.owner() == Some(end_user))
        }
    };
    let wanted = |id: &str| {
        let Some(asking) = kind.asking(directory, id) else { return false };
        filter.company.as_ref().is_none_or(|company| *company == asking.company)
            && filter.site.as_ref().is_none_or(|site| *site == asking.site)
            && filter.pending.is_none_or(|pending| pending == kind.is_pending(directory, id, now))
            && filter.end_user.as_ref().is_none_or(|end_user| is_asked(end_user, &asking, id))
    };
    let after = turn.after.as_deref();
    let ids = directory.first_ids_where(kind.type_name(), after, turn.most.saturating_add(1), wanted);
    let (ids, next) = turned(ids, turn.most);
    Page { items: ids.iter().filter_map(|id| asked(directory, kind, id, now)).collect(), next }
}

/// What is registered under this id; `None`: nothing.
#[must_use]
pub fn entry(directory: &Directory, kind: EntryKind, id: &str, now: Timestamp) -> Option<EntryView> {
    Some(match kind {
        EntryKind::Company => {
            let company = id.parse().ok().filter(|_| directory.has_company(id))?;
            EntryView::Company { company }
        }
        EntryKind::EndUser => {
            let contacts = directory.end_user(id)?.contacts.to_vec();
            EntryView::EndUser { end_user: id.parse().ok()?, contacts }
        }
        EntryKind::Installer => {
            let installer = directory.installer(id)?;
            EntryView::Installer {
                installer: id.parse().ok()?,
                company: installer.company().clone(),
                role: installer.role(),
                permissions: installer.permissions().collect(),
                contacts: installer.contacts().to_vec(),
            }
        }
        EntryKind::Site => {
            let site = directory.site(id)?;
            let mut devices: Vec<DeviceId> = site.devices().cloned().collect();
            devices.sort();
            EntryView::Site {
                site: id.parse().ok()?,
                company: site.company().clone(),
                kind: site.kind(),
                state: directory.site_state(site, now).name(),
                owner: site.owner().map(|owner| format!("EndUser::\"{owner}\"")),
                disable_service: site.disable_service(),
                devices,
                assigned: site.assigned().into_keys().cloned().collect(),
            }
        }
        EntryKind::Device => {
            let device = directory.device(id)?;
            EntryView::Device {
                device: id.parse().ok()?,
                site: device.site().clone(),
                supports_password_reset: device.supports_password_reset(),
            }
        }
    })
}

/// What is registered and fits `filter`. O(things of the kind).
#[must_use]
pub fn list_entries(
    directory: &Directory,
    kind: EntryKind,
    filter: &EntryFilter,
    turn: &Turn,
    now: Timestamp,
) -> Page<EntryView> {
    let EntryFilter { company, owner, site } = filter;
    let is_of = |of: &SiteId| {
        directory.site(of.as_str()).is_some_and(|record| {
            company.as_ref().is_none_or(|company| company == record.company())
                && owner.as_ref().is_none_or(|owner| record.owner() == Some(owner))
                && site.as_ref().is_none_or(|site| site == of)
        })
    };
    let nothing_asked = *filter == EntryFilter::default();
    let wanted = |id: &str| match kind {
        EntryKind::Company | EntryKind::EndUser => nothing_asked,
        EntryKind::Installer => directory.installer(id).is_some_and(|installer| {
            company.as_ref().is_none_or(|company| company == installer.company())
                && owner.is_none()
                && site.is_none()
        }),
        EntryKind::Site => id.parse().is_ok_and(|id| is_of(&id)),
        EntryKind::Device => directory.device(id).is_some_and(|device| is_of(device.site())),
    };
    let type_name = match kind {
        EntryKind::Company => "Company",
        EntryKind::EndUser => "EndUser",
        EntryKind::Installer => "Installer",
        EntryKind::Site => "Site",
        EntryKind::Device => "Device",
    };
    let ids =
        directory.first_ids_where(type_name, turn.after.as_deref(), turn.most.saturating_add(1), wanted);
    let (ids, next) = turned(ids, turn.most);
    Page { items: ids.iter().filter_map(|id| entry(directory, kind, id, now)).collect(), next }
}

/// The grants that fit `filter` at `now`, a page of them. O(grants).
#[must_use]
pub fn list_grants_page(
    directory: &Directory,
    filter: &super::GrantFilter,
    turn: &Turn,
    now: Timestamp,
) -> Page<super::GrantLine> {
    let wanted = |id: &str| directory.grant(id).is_some_and(|grant| filter.takes(grant, now));
    let ids = directory.first_ids_where("Grant", turn.after.as_deref(), turn.most.saturating_add(1), wanted);
    let (ids, next) = turned(ids, turn.most);
    let line = |id: &String| Some(super::grant_line(directory.grant(id)?, now));
    Page { items: ids.iter().filter_map(line).collect(), next }
}
