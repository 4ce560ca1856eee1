//! What is registered, by number.

use std::sync::atomic::{AtomicU64, Ordering};

use super::row::{DeviceRow, InstallerRow, SiteRow};
use super::table::Number;
use super::{Directory, GrantRow};
use crate::domain::{CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, SiteId, Type, UidRef};

/// Something that has an id and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(crate) enum Entity {
    Company(Number<CompanyId>),
    EndUser(Number<EndUserId>),
    Installer(Number<InstallerId>),
    Site(Number<SiteId>),
    Device(Number<DeviceId>),
    Grant(Number<GrantId>),
}

impl Entity {
    pub(crate) fn kind(self) -> Type {
        match self {
            Self::Company(_) => Type::Company,
            Self::EndUser(_) => Type::EndUser,
            Self::Installer(_) => Type::Installer,
            Self::Site(_) => Type::Site,
            Self::Device(_) => Type::Device,
            Self::Grant(_) => Type::Grant,
        }
    }
}

/// An entity of a directory, to be asked about without its id. It stands for whatever has that id: also for something
/// else that is registered under it later. It means nothing to another directory, such as that of another engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityKey {
    lineage: u64,
    entity: Entity,
}

/// What a directory and its clones have in common, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lineage(u64);

impl Default for Lineage {
    fn default() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self(COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Directory {
    /// The key of a company, end user, installer, site, device or grant. `None`: it is something else, or nothing was
    /// ever registered under this id. O(1), as every look-up here.
    #[must_use]
    pub fn key<'a>(&self, uid: impl Into<UidRef<'a>>) -> Option<EntityKey> {
        let uid = uid.into();
        let entity = self.entity(Type::named(uid.type_name)?, uid.id)?;
        Some(EntityKey { lineage: self.lineage.0, entity })
    }

    /// What a key stands for; `None`: it is none of this directory.
    pub(crate) fn whose(&self, key: EntityKey) -> Option<Entity> {
        (key.lineage == self.lineage.0).then_some(key.entity)
    }

    /// What this id of this type stands for. `None`: such ids have no numbers, or this one was never used.
    pub(crate) fn entity(&self, kind: Type, id: &str) -> Option<Entity> {
        match kind {
            Type::Company => self.companies.number(id).map(Entity::Company),
            Type::EndUser => self.end_users.number(id).map(Entity::EndUser),
            Type::Installer => self.installers.number(id).map(Entity::Installer),
            Type::Site => self.sites.number(id).map(Entity::Site),
            Type::Device => self.devices.number(id).map(Entity::Device),
            Type::Grant => self.grants.number(id).map(Entity::Grant),
            Type::Operator | Type::Invite | Type::PermissionApplication | Type::ResetTicket => None,
        }
    }

    /// Its id; empty for a number that was never given.
    pub(crate) fn id_of(&self, entity: Entity) -> &str {
        let id = match entity {
            Entity::Company(number) => self.companies.id(number).map(CompanyId::as_str),
            Entity::EndUser(number) => self.end_users.id(number).map(EndUserId::as_str),
            Entity::Installer(number) => self.installers.id(number).map(InstallerId::as_str),
            Entity::Site(number) => self.sites.id(number).map(SiteId::as_str),
            Entity::Device(number) => self.devices.id(number).map(DeviceId::as_str),
            Entity::Grant(number) => self.grants.id(number),
        };
        id.unwrap_or_default()
    }

    /// Whether it is registered now.
    pub(crate) fn is_registered(&self, entity: Entity) -> bool {
        match entity {
            Entity::Company(number) => self.companies.row(number).is_some(),
            Entity::EndUser(number) => self.end_users.row(number).is_some(),
            Entity::Installer(number) => self.installers.row(number).is_some(),
            Entity::Site(number) => self.sites.row(number).is_some(),
            Entity::Device(number) => self.devices.row(number).is_some(),
            Entity::Grant(number) => self.grants.get(number).is_some(),
        }
    }

    pub(crate) fn installer_row(&self, number: Number<InstallerId>) -> Option<&InstallerRow> {
        self.installers.row(number)
    }

    pub(crate) fn installer_contacts(&self, number: Number<InstallerId>) -> Option<&[Contact]> {
        self.installers.rest(number).map(|rest| rest.contacts.as_slice())
    }

    pub(crate) fn end_user_contacts(&self, number: Number<EndUserId>) -> Option<&[Contact]> {
        self.end_users.rest(number).map(Vec::as_slice)
    }

    pub(crate) fn site_row(&self, number: Number<SiteId>) -> Option<&SiteRow> {
        self.sites.row(number)
    }

    pub(crate) fn device_row(&self, number: Number<DeviceId>) -> Option<&DeviceRow> {
        self.devices.row(number)
    }

    pub(crate) fn grant_row(&self, number: Number<GrantId>) -> Option<&GrantRow> {
        self.grants.get(number)
    }
}
