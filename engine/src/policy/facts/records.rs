//! What rows and records say of entities.

use super::{DirectoryFacts, Node, Set, Who};
use crate::directory::{Asking, DeviceRow, Entity, InstallerRow, Number, SiteRow};
use crate::domain::{Contact, DeviceId, InstallerId, SiteId, SiteKind, Type};
use crate::policy::compiled::{Members, Value};
use crate::policy::word::Word;

impl<'a> DirectoryFacts<'a> {
    fn installer(&self, number: Number<InstallerId>) -> Option<&'a InstallerRow> {
        match self.installer {
            Some((own, row)) if own == number => Some(row),
            _ => self.directory.installer_row(number),
        }
    }

    fn device(&self, number: Number<DeviceId>) -> Option<&'a DeviceRow> {
        match self.device {
            Some((own, row)) if own == number => Some(row),
            _ => self.directory.device_row(number),
        }
    }

    fn site(&self, number: Number<SiteId>) -> Option<&'a SiteRow> {
        match self.site {
            Some((own, row)) if own == number => Some(row),
            _ => self.directory.site_row(number),
        }
    }

    /// Whether the site is assigned to this very installer, and not to an earlier one of the same id.
    pub(super) fn is_assigned(&self, installer: Number<InstallerId>, site: Number<SiteId>) -> bool {
        let registered = self.installer(installer).map(|row| row.registered);
        self.site(site)
            .zip(registered)
            .is_some_and(|(site, registered)| site.is_assigned(installer, registered))
    }

    /// What an entity is in, beside the sites that are assigned to it.
    pub(super) fn parent<'f>(&'f self, entity: Node<'f>) -> Option<Node<'f>> {
        let parent = match entity.who {
            Who::Numbered(Entity::Installer(_)) => Word::Company,
            Who::Numbered(Entity::Device(_)) | Who::Text(Type::Device, _) => Word::Site,
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => return None,
        };
        let mut value = Value::Bool(false);
        Reader { facts: self, level: entity.level + 1, value: &mut value }.attribute(&entity.who, parent)?;
        if let Value::Entity(parent) = value { Some(parent) } else { None }
    }

    /// The contacts of an end user, if it is registered or to be.
    fn contacts(&self, who: Who<'_>) -> Option<&'a [Contact]> {
        match (self.end_user_to_be, who) {
            (Some((own, contacts)), _) if own == who && self.principal.who != who => Some(contacts),
            (_, Who::Numbered(Entity::EndUser(number))) => self.directory.end_user_contacts(number),
            _ => None,
        }
    }
}

/// What can be read off one entity.
pub(super) struct Reader<'v, 'f, 'a> {
    pub(super) facts: &'f DirectoryFacts<'a>,
    /// The level of the entities that its attributes lead to.
    pub(super) level: u32,
    /// Where to put what was read.
    pub(super) value: &'v mut Value<'f, &'f DirectoryFacts<'a>>,
}

/// `None`: there is nothing like that, and nothing was put anywhere.
type Read = Option<()>;

#[expect(clippy::wildcard_enum_match_arm, reason = "all other words are no attributes of it")]
impl<'f, 'a> Reader<'_, 'f, 'a> {
    #[inline]
    fn put(self, value: Value<'f, &'f DirectoryFacts<'a>>) -> Read {
        *self.value = value;
        Some(())
    }

    #[inline]
    fn put_entity(self, entity: Entity) -> Read {
        let level = self.level;
        self.put(Value::Entity(Node { who: Who::Numbered(entity), level }))
    }

    #[inline]
    fn put_named(self, kind: Type, id: &'f str) -> Read {
        let who = Who::of(self.facts.directory, kind, id);
        let level = self.level;
        self.put(Value::Entity(Node { who, level }))
    }

    #[inline]
    pub(super) fn attribute(self, who: &Who<'f>, name: Word) -> Read {
        let directory = self.facts.directory;
        match *who {
            Who::Numbered(Entity::Installer(number)) => {
                let row = self.facts.installer(number)?;
                match name {
                    Word::Company => self.put_entity(Entity::Company(row.company)),
                    Word::Role => self.put(Value::Text(row.role.name())),
                    Word::Permissions => {
                        self.put(Value::Set(Members::Fact(Set::Permissions(row.permissions))))
                    }
                    Word::Contacts => self.put(contacts_of(directory.installer_contacts(number)?)),
                    _ => None,
                }
            }
            Who::Numbered(Entity::Site(_)) | Who::Text(Type::Site, _) => self.of_site(who, name),
            Who::Numbered(Entity::Device(_)) | Who::Text(Type::Device, _) => self.of_device(who, name),
            Who::Numbered(Entity::EndUser(_)) | Who::Text(Type::EndUser, _) => {
                let contacts = self.facts.contacts(*who)?;
                if name == Word::Contacts { self.put(contacts_of(contacts)) } else { None }
            }
            Who::Numbered(Entity::Grant(number)) => {
                let row = directory.grant_row(number)?;
                match name {
                    Word::Site => self.put_entity(Entity::Site(row.site)),
                    Word::Company => self.put_entity(Entity::Company(row.company)),
                    Word::Permission => self.put(Value::Text(row.permission.name())),
                    _ => None,
                }
            }
            Who::Text(Type::Invite, id) => {
                let record = directory.invite(id)?;
                match name {
                    Word::Contact => self.put(Value::Text(record.contact.as_str())),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Who::Text(Type::PermissionApplication, id) => {
                self.of_asking(&directory.application(id)?.asking, name)
            }
            Who::Text(Type::ResetTicket, id) => {
                let record = directory.ticket(id)?;
                match name {
                    Word::Device => self.put_named(Type::Device, record.device.as_str()),
                    Word::Mode => self.put(Value::Text(record.mode.name())),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Who::Numbered(Entity::Company(_)) | Who::Text(..) | Who::Other(_) => None,
        }
    }

    #[inline]
    fn of_site(self, who: &Who<'f>, name: Word) -> Read {
        if let Some((_, asking)) = self.facts.site_that_was.filter(|(own, _)| own == who) {
            return match name {
                Word::Company => self.put_named(Type::Company, asking.company.as_str()),
                Word::Kind => self.put(Value::Text(SiteKind::Normal.name())),
                Word::DisableServiceAccepted => self.put(Value::Bool(false)),
                _ => None,
            };
        }
        let Who::Numbered(Entity::Site(number)) = *who else { return None };
        let row = self.facts.site(number)?;
        match name {
            Word::Company => self.put_entity(Entity::Company(row.company)),
            Word::Kind => self.put(Value::Text(row.kind.name())),
            Word::DisableServiceAccepted => self.put(Value::Bool(row.disable_service)),
            Word::Owner => self.put_entity(Entity::EndUser(row.owner?)),
            _ => None,
        }
    }

    #[inline]
    fn of_device(self, who: &Who<'f>, name: Word) -> Read {
        if let Some((_, asking)) = self.facts.device_that_was.filter(|(own, _)| own == who) {
            return match name {
                Word::Site => self.put_named(Type::Site, asking.site.as_str()),
                Word::SupportsPasswordReset => self.put(Value::Bool(false)),
                _ => None,
            };
        }
        let Who::Numbered(Entity::Device(number)) = *who else { return None };
        let row = self.facts.device(number)?;
        match name {
            Word::Site => self.put_entity(Entity::Site(row.site)),
            Word::SupportsPasswordReset => self.put(Value::Bool(row.supports_password_reset)),
            _ => None,
        }
    }

    #[inline]
    fn of_asking(self, asking: &'f Asking, name: Word) -> Read {
        match name {
            Word::Site => self.put_named(Type::Site, asking.site.as_str()),
            Word::Company => self.put_named(Type::Company, asking.company.as_str()),
            Word::AskerContacts => self.put(contacts_of(&asking.asker_contacts)),
            Word::Asker if self.facts.directory.asker_is_there(asking) => {
                self.put_named(Type::Installer, asking.asker.as_str())
            }
            _ => None,
        }
    }
}

fn contacts_of<'f, 'a>(contacts: &'f [Contact]) -> Value<'f, &'f DirectoryFacts<'a>> {
    Value::Set(Members::Fact(Set::Contacts(contacts)))
}
