//! What records say of entities.

use super::{DirectoryFacts, Kind, Node, Set};
use crate::directory::{Asking, DeviceRecord, InstallerRecord, SiteRecord};
use crate::domain::{Contact, SiteKind};
use crate::policy::compiled::{Members, Value};
use crate::policy::slice::Type;

impl<'a> DirectoryFacts<'a> {
    pub(super) fn installer(&self, id: &str) -> Option<&'a InstallerRecord> {
        match self.installer {
            Some((own, record)) if own == id => Some(record),
            _ => self.directory.installer(id),
        }
    }

    /// Whether the site is assigned to this very installer, and not to an earlier one of the same id.
    pub(super) fn is_assigned(&self, installer: &str, site: &str) -> bool {
        let registered = self.installer(installer).map(|record| record.registered);
        let assigned = self.site(site).and_then(|site| site.assigned.get(installer));
        assigned.is_some() && assigned.copied() == registered
    }

    fn device(&self, id: &str) -> Option<&'a DeviceRecord> {
        match self.device {
            Some((own, record)) if own == id => Some(record),
            _ => self.directory.device(id),
        }
    }

    pub(super) fn site(&self, id: &str) -> Option<&'a SiteRecord> {
        match self.site {
            Some((own, record)) if own == id => Some(record),
            _ => self.directory.site(id),
        }
    }

    /// The contacts of an end user, if it is registered or to be.
    fn contacts(&self, id: &str) -> Option<&'a [Contact]> {
        let registered = || self.directory.end_user(id).map(|record| record.contacts.as_slice());
        match self.end_user_to_be {
            Some((own, contacts)) if own == id && self.principal != Node::at_hand(Type::EndUser, id) => {
                Some(contacts)
            }
            _ => registered(),
        }
    }
}

/// What can be read off one entity.
pub(super) struct Reader<'f, 'a> {
    pub(super) facts: &'f DirectoryFacts<'a>,
    /// The level of the entities that its attributes lead to.
    pub(super) level: u32,
}

pub(super) type Found<'f, 'a> = Option<Value<'f, &'f DirectoryFacts<'a>>>;

impl<'f, 'a> Reader<'f, 'a> {
    fn to(&self, kind: Type, id: &'f str) -> Found<'f, 'a> {
        Some(Value::Entity(Node { kind: Kind::Known(kind), id, level: self.level }))
    }

    pub(super) fn attribute(&self, kind: Type, id: &'f str, name: &str) -> Found<'f, 'a> {
        match kind {
            Type::EndUser => {
                let contacts = self.facts.contacts(id)?;
                (name == "contacts").then(|| contacts_of(contacts))
            }
            Type::Installer => {
                let record = self.facts.installer(id)?;
                match name {
                    "company" => self.to(Type::Company, record.company.as_str()),
                    "role" => Some(Value::Text(record.role.name())),
                    "permissions" => Some(Value::Set(Members::Fact(Set::Permissions(&record.permissions)))),
                    "contacts" => Some(contacts_of(&record.contacts)),
                    _ => None,
                }
            }
            Type::Site => self.of_site(id, name),
            Type::Device => self.of_device(id, name),
            Type::Invite => {
                let record = self.facts.directory.invite(id)?;
                match name {
                    "contact" => Some(Value::Text(record.contact.as_str())),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Type::PermissionApplication => {
                self.of_asking(&self.facts.directory.application(id)?.asking, name)
            }
            Type::ResetTicket => {
                let record = self.facts.directory.ticket(id)?;
                match name {
                    "device" => self.to(Type::Device, record.device.as_str()),
                    "mode" => Some(Value::Text(record.mode.name())),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Type::Grant => {
                let record = self.facts.directory.grant(id)?;
                match name {
                    "site" => self.to(Type::Site, record.site.as_str()),
                    "company" => self.to(Type::Company, record.company.as_str()),
                    "permission" => Some(Value::Text(record.permission.name())),
                    _ => None,
                }
            }
            Type::Company | Type::Operator => None,
        }
    }

    fn of_site(&self, id: &'f str, name: &str) -> Found<'f, 'a> {
        if let Some(asking) = self.facts.site_that_was.filter(|asking| asking.site.as_str() == id) {
            return match name {
                "company" => self.to(Type::Company, asking.company.as_str()),
                "kind" => Some(Value::Text(SiteKind::Normal.name())),
                "disableServiceAccepted" => Some(Value::Bool(false)),
                _ => None,
            };
        }
        let record = self.facts.site(id)?;
        match name {
            "company" => self.to(Type::Company, record.company.as_str()),
            "kind" => Some(Value::Text(record.kind.name())),
            "disableServiceAccepted" => Some(Value::Bool(record.disable_service)),
            "owner" => self.to(Type::EndUser, record.owner.as_ref()?.as_str()),
            _ => None,
        }
    }

    fn of_device(&self, id: &'f str, name: &str) -> Found<'f, 'a> {
        let (site, supports_password_reset) = match self.facts.device_that_was {
            Some((device, asking)) if device == id => (&asking.site, false),
            _ => {
                let record = self.facts.device(id)?;
                (&record.site, record.supports_password_reset)
            }
        };
        match name {
            "site" => self.to(Type::Site, site.as_str()),
            "supportsPasswordReset" => Some(Value::Bool(supports_password_reset)),
            _ => None,
        }
    }

    fn of_asking(&self, asking: &'f Asking, name: &str) -> Found<'f, 'a> {
        match name {
            "site" => self.to(Type::Site, asking.site.as_str()),
            "company" => self.to(Type::Company, asking.company.as_str()),
            "askerContacts" => Some(contacts_of(&asking.asker_contacts)),
            "asker" if self.facts.directory.asker_is_there(asking) => {
                self.to(Type::Installer, asking.asker.as_str())
            }
            _ => None,
        }
    }
}

fn contacts_of<'f, 'a>(contacts: &'f [Contact]) -> Value<'f, &'f DirectoryFacts<'a>> {
    Value::Set(Members::Fact(Set::Contacts(contacts)))
}
