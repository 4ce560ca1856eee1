use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::coverage::Covers;
use super::trie::Set;
use super::{Item, Revision};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, Entry, InstallerId, InstallerPermission,
    InviteId, Permission, ResetMode, Role, Scope, SiteId, SiteKind, TicketId, Timestamp,
};
use crate::lifecycle::grant::GrantState;
use crate::lifecycle::invite::InviteState;
use crate::lifecycle::permission_application::ApplicationState;
use crate::lifecycle::reset_ticket::TicketState;

/// An end user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUserRecord {
    /// The verified contacts.
    pub contacts: Vec<Contact>,
}

/// An installer.
#[derive(Debug, Clone)]
pub struct InstallerRecord {
    /// The employer.
    pub company: CompanyId,
    /// The place in the company.
    pub role: Role,
    /// What the company allows them.
    pub permissions: BTreeSet<InstallerPermission>,
    /// How to reach them.
    pub contacts: Vec<Contact>,
    /// The revision of their registration: an id that is used again is somebody else.
    pub registered: Revision,
    /// What they asked for that is open.
    pub(crate) open: BTreeSet<Item>,
}

/// A site.
#[derive(Debug, Clone)]
pub struct SiteRecord {
    /// The company that looks after it.
    pub company: CompanyId,
    /// What kind of site it is.
    pub kind: SiteKind,
    /// The revision of its creation: an id that is used again is another site.
    pub created: Revision,
    /// The owner, once handed over.
    pub owner: Option<EndUserId>,
    /// How often the owner changed.
    pub owner_epoch: u64,
    /// The owner agreed that the installer may disable the service, in this owner epoch, and has
    /// not taken it back.
    pub disable_service: bool,
    /// The installers who look after it, with the revision of their registration.
    pub assigned: BTreeMap<InstallerId, Revision>,
    /// The last invite.
    pub invite: Option<InviteId>,
    /// What was asked for here and is open.
    pub(crate) open: BTreeSet<Item>,
    pub(crate) devices: Set<DeviceId>,
    pub(crate) covers: Covers,
}

/// A device.
#[derive(Debug, Clone)]
pub struct DeviceRecord {
    /// The site that it is on.
    pub site: SiteId,
    /// Whether a password can be reset through the platform.
    pub supports_password_reset: bool,
    /// The revision of its addition: an id that is used again is another device.
    pub added: Revision,
    /// The last ticket.
    pub ticket: Option<TicketId>,
    pub(crate) covers: Covers,
}

/// What every invite, application and ticket knows about its asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The site that it is about.
    pub site: SiteId,
    /// That site's creation.
    pub site_created: Revision,
    /// Who asked.
    pub asker: InstallerId,
    /// That installer's registration.
    pub asker_registered: Revision,
    /// The asker's contacts.
    pub asker_contacts: Vec<Contact>,
    /// For which company.
    pub company: CompanyId,
    /// From this moment on nobody can answer.
    pub deadline: Timestamp,
}

/// An invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    /// The asking.
    pub asking: Asking,
    /// Who is invited.
    pub contact: Contact,
    /// What is asked for.
    pub entries: Vec<Entry>,
    /// Whether it asks that the service may be disabled.
    pub disable_service: bool,
    /// A word to the invited one.
    pub remark: Option<String>,
    /// Where it stands, time not counted.
    pub state: InviteState,
}

/// A permission application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// The asking.
    pub asking: Asking,
    /// What is asked for.
    pub entries: Vec<Entry>,
    /// A word to the owner.
    pub remark: Option<String>,
    /// Where it stands, time not counted.
    pub state: ApplicationState,
}

/// A reset ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketRecord {
    /// The asking.
    pub asking: Asking,
    /// The device.
    pub device: DeviceId,
    /// That device's addition.
    pub device_added: Revision,
    /// The owner epoch in which it was opened.
    pub owner_epoch: u64,
    /// From where the password is reset.
    pub mode: ResetMode,
    /// Where it stands, time not counted.
    pub state: TicketState,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// Who has the permission.
    pub company: CompanyId,
    /// The site that it is for, or whose device it is for.
    pub site: SiteId,
    /// The owner who gave it.
    pub owner: EndUserId,
    /// What it is for.
    pub scope: Scope,
    /// The permission.
    pub permission: Permission,
    /// When it was to end; `None`: without end.
    pub until: Option<Timestamp>,
    /// Where it stands, time not counted.
    pub state: GrantState,
}

/// Where a site stands between its company and its owner (H5).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SiteState {
    /// No owner, and nobody is invited.
    NotInvited,
    /// Somebody without an account is invited.
    NotRegistered,
    /// Somebody with an account is invited.
    NotAccepted,
    /// Handed over, and the company has no live grant.
    NotAuthorized,
    /// Handed over, and the company has at least one live grant.
    Authorized,
}

impl SiteState {
    /// The state's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotInvited => "notInvited",
            Self::NotRegistered => "notRegistered",
            Self::NotAccepted => "notAccepted",
            Self::NotAuthorized => "notAuthorized",
            Self::Authorized => "authorized",
        }
    }
}

impl SiteRecord {
    /// The devices on it, in no order that means anything.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.iter()
    }
}

/// The ids that name an application or an invite share one namespace: both derive grant ids.
impl ApplicationRecord {
    pub(crate) fn asks(&self, entry: &Entry) -> bool {
        self.entries.iter().any(|own| own.permission == entry.permission && own.scope == entry.scope)
    }
}

impl InstallerRecord {
    /// What they asked for that nothing has closed.
    pub fn open(&self) -> impl Iterator<Item = &Item> {
        self.open.iter()
    }
}

impl Item {
    pub(crate) fn application(&self) -> Option<&ApplicationId> {
        match self {
            Self::Application(id) => Some(id),
            Self::Invite(_) | Self::Ticket(_) | Self::Grant(_) => None,
        }
    }
}
