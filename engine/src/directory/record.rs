//! What there is to know of things.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::grants::GrantRow;
use super::row::{Assigned, DeviceRest, DeviceRow, InstallerRest, InstallerRow, SiteRest, SiteRow};
use super::{Directory, Item, Revision};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, Entry, GrantId, InstallerId, InstallerPermission,
    InviteId, Permission, ResetMode, Role, SiteId, SiteKind, TicketId, Timestamp,
};
use crate::lifecycle::grant::GrantState;
use crate::lifecycle::invite::InviteState;
use crate::lifecycle::permission_application::ApplicationState;
use crate::lifecycle::reset_ticket::TicketState;

/// An end user.
#[derive(Clone, Copy)]
pub struct EndUserRecord<'a> {
    /// The verified contacts.
    pub contacts: &'a [Contact],
}

/// An installer.
#[derive(Clone, Copy)]
pub struct InstallerRecord<'a> {
    pub(super) row: &'a InstallerRow,
    pub(super) rest: &'a InstallerRest,
    pub(super) company: &'a CompanyId,
}

impl<'a> InstallerRecord<'a> {
    /// The employer.
    #[must_use]
    pub fn company(&self) -> &'a CompanyId {
        self.company
    }

    /// The place in the company.
    #[must_use]
    pub fn role(&self) -> Role {
        self.row.role
    }

    /// What the company allows them, in order.
    pub fn permissions(&self) -> impl Iterator<Item = InstallerPermission> {
        self.row.permissions.iter()
    }

    /// How to reach them.
    #[must_use]
    pub fn contacts(&self) -> &'a [Contact] {
        &self.rest.contacts
    }

    /// The revision of their registration: an id that is used again is somebody else.
    #[must_use]
    pub fn registered(&self) -> Revision {
        self.row.registered
    }

    /// What they asked for that nothing has closed.
    pub fn open(&self) -> impl Iterator<Item = &'a Item> + use<'a> {
        self.rest.open.iter()
    }
}

/// A site.
#[derive(Clone, Copy)]
pub struct SiteRecord<'a> {
    pub(super) directory: &'a Directory,
    pub(super) row: &'a SiteRow,
    pub(super) rest: &'a SiteRest,
    pub(super) company: &'a CompanyId,
    pub(super) owner: Option<&'a EndUserId>,
}

impl<'a> SiteRecord<'a> {
    /// The company that looks after it.
    #[must_use]
    pub fn company(&self) -> &'a CompanyId {
        self.company
    }

    /// What kind of site it is.
    #[must_use]
    pub fn kind(&self) -> SiteKind {
        self.row.kind
    }

    /// The revision of its creation: an id that is used again is another site.
    #[must_use]
    pub fn created(&self) -> Revision {
        self.rest.created
    }

    /// The owner, once handed over.
    #[must_use]
    pub fn owner(&self) -> Option<&'a EndUserId> {
        self.owner
    }

    /// How often the owner changed.
    #[must_use]
    pub fn owner_epoch(&self) -> u64 {
        self.rest.owner_epoch
    }

    /// The owner agreed that the installer may disable the service, in this owner epoch, and has
    /// not taken it back.
    #[must_use]
    pub fn disable_service(&self) -> bool {
        self.row.disable_service
    }

    /// Whether it is assigned to this very installer, and not to an earlier one of the same id.
    #[must_use]
    pub fn is_assigned(&self, installer: &InstallerId) -> bool {
        let found = self.directory.installers.find(installer.as_str());
        found.is_some_and(|(number, row)| self.row.is_assigned(number, row.registered))
    }

    /// The installers who look after it, with the revision of their registration, in order of their ids.
    #[must_use]
    pub fn assigned(&self) -> BTreeMap<&'a InstallerId, Revision> {
        let id = |assigned: &Assigned| {
            Some((self.directory.installers.id(assigned.installer)?, assigned.registered))
        };
        self.row.assigned.iter().filter_map(id).collect()
    }

    /// The last invite.
    #[must_use]
    pub fn invite(&self) -> Option<&'a InviteId> {
        self.rest.invite.as_ref()
    }

    /// The devices on it, in no order that means anything.
    pub fn devices(&self) -> impl Iterator<Item = &'a DeviceId> + use<'a> {
        let directory = self.directory;
        self.rest.devices.iter().filter_map(move |device| directory.devices.id(*device))
    }

    /// What was asked for here and is open.
    pub(crate) fn open(&self) -> &'a BTreeSet<Item> {
        &self.rest.open
    }
}

/// A device.
#[derive(Clone, Copy)]
pub struct DeviceRecord<'a> {
    pub(super) directory: &'a Directory,
    pub(super) row: &'a DeviceRow,
    pub(super) rest: &'a DeviceRest,
    pub(super) site: &'a SiteId,
}

impl<'a> DeviceRecord<'a> {
    /// The site that it is on.
    #[must_use]
    pub fn site(&self) -> &'a SiteId {
        self.site
    }

    /// Whether a password can be reset through the platform.
    #[must_use]
    pub fn supports_password_reset(&self) -> bool {
        self.row.supports_password_reset
    }

    /// The revision of its addition: an id that is used again is another device.
    #[must_use]
    pub fn added(&self) -> Revision {
        self.rest.added
    }

    /// The last ticket.
    #[must_use]
    pub fn ticket(&self) -> Option<&'a TicketId> {
        self.rest.ticket.as_ref()
    }

    /// The grants for it that are live at `now`, in order of their ids.
    pub(crate) fn live_grants(&self, now: Timestamp) -> Vec<GrantId> {
        self.directory.grant_ids(self.row.covers.live_grants(now))
    }
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
#[derive(Clone, Copy)]
pub struct GrantRecord<'a> {
    pub(super) directory: &'a Directory,
    pub(super) row: &'a GrantRow,
    pub(super) id: &'a str,
    pub(super) company: &'a CompanyId,
    pub(super) site: &'a SiteId,
    pub(super) owner: &'a EndUserId,
}

impl<'a> GrantRecord<'a> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> GrantId {
        GrantId::known(self.id)
    }

    pub(super) fn id_text(&self) -> &'a str {
        self.id
    }

    /// Who has the permission.
    #[must_use]
    pub fn company(&self) -> &'a CompanyId {
        self.company
    }

    /// The site that it is for, or whose device it is for.
    #[must_use]
    pub fn site(&self) -> &'a SiteId {
        self.site
    }

    /// The owner who gave it.
    #[must_use]
    pub fn owner(&self) -> &'a EndUserId {
        self.owner
    }

    /// The device that it is for; `None`: it is for the site.
    #[must_use]
    pub fn device(&self) -> Option<&'a DeviceId> {
        self.directory.devices.id(self.row.device?)
    }

    /// The permission.
    #[must_use]
    pub fn permission(&self) -> Permission {
        self.row.permission
    }

    /// When it was to end; `None`: without end.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.row.end.moment()
    }

    /// Where it stands, time not counted.
    #[must_use]
    pub fn state(&self) -> GrantState {
        self.row.state()
    }
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

/// The ids that name an application or an invite share one namespace: both derive grant ids.
impl ApplicationRecord {
    pub(crate) fn asks(&self, entry: &Entry) -> bool {
        self.entries.iter().any(|own| own.permission == entry.permission && own.scope == entry.scope)
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
