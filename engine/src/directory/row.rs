//! What is kept of things, by number: rows, which checks look at, and the rest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::coverage::Covers;
use super::short::Short;
use super::table::Number;
use super::trie::Set;
use super::{Item, Revision};
use crate::domain::{
    CompanyId, Contact, DeviceId, EndUserId, InstallerId, InstallerPermission, InviteId, Role, SiteId,
    SiteKind, TicketId,
};

/// What an installer may do in the company, one bit each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct InstallerPermissions(u8);

impl InstallerPermissions {
    pub(super) fn of(permissions: &[InstallerPermission]) -> Self {
        Self(permissions.iter().fold(0, |bits, permission| bits | 1 << *permission as u8))
    }

    /// In their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = InstallerPermission> {
        InstallerPermission::ALL.into_iter().filter(move |permission| self.0 & 1 << *permission as u8 != 0)
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct InstallerRow {
    pub(crate) company: Number<CompanyId>,
    pub(crate) role: Role,
    pub(crate) permissions: InstallerPermissions,
    /// The revision of the registration.
    pub(crate) registered: Revision,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InstallerRest {
    pub(super) contacts: Vec<Contact>,
    #[serde(skip)]
    pub(super) open: BTreeSet<Item>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SiteRow {
    pub(crate) company: Number<CompanyId>,
    pub(crate) owner: Option<Number<EndUserId>>,
    pub(crate) kind: SiteKind,
    pub(crate) disable_service: bool,
    pub(super) assigned: Short<Assigned, 1>,
    pub(crate) covers: Covers,
}

/// That an installer looks after a site: the one of this registration, and no later one of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Assigned {
    pub(super) installer: Number<InstallerId>,
    pub(super) registered: Revision,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SiteRest {
    pub(super) created: Revision,
    pub(super) owner_epoch: u64,
    pub(super) invite: Option<InviteId>,
    #[serde(skip)]
    pub(super) open: BTreeSet<Item>,
    #[serde(skip)]
    pub(super) devices: Set<Number<DeviceId>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    pub(crate) site: Number<SiteId>,
    pub(crate) supports_password_reset: bool,
    pub(crate) covers: Covers,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DeviceRest {
    pub(super) added: Revision,
    pub(super) ticket: Option<TicketId>,
}

impl SiteRow {
    pub(crate) fn is_assigned(&self, installer: Number<InstallerId>, registered: Revision) -> bool {
        self.assigned.iter().any(|assigned| *assigned == Assigned { installer, registered })
    }
}
