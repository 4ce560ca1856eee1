//! What a program can look at: the same facts as a slice for Cedar holds, read where they are.

use super::{Known, Unsure, Value};
use crate::decide::{Fact, Question, Resource};
use crate::directory::{Asking, Directory};
use crate::domain::{Contact, Principal, SiteKind};
use crate::policy::authorize::resource_type;
use crate::policy::slice::Type;

/// What is known about one question.
pub(super) struct Facts<'a> {
    directory: &'a Directory,
    question: &'a Question<'a>,
    /// What was asked for on a site that is gone: the site is seen as it was without an owner.
    site_that_was: Option<&'a Asking>,
    /// What was asked for on a device that is gone.
    device_that_was: Option<(&'a str, &'a Asking)>,
}

impl<'a> Facts<'a> {
    /// `None`: nobody of the principal's name is registered.
    pub(super) fn new(directory: &'a Directory, question: &'a Question<'a>) -> Known<Option<Self>> {
        let registered = match question.principal {
            Principal::Operator(_) => true,
            Principal::EndUser(id) => directory.end_user(id.as_str()).is_some(),
            Principal::Installer(id) => directory.installer(id.as_str()).is_some(),
        };
        if !registered {
            return Ok(None);
        }
        let context = &question.context;
        if (1..)
            .zip(context)
            .any(|(next, (name, _))| context.iter().skip(next).any(|(other, _)| other == name))
        {
            return Err(Unsure);
        }
        let asking = match &question.resource {
            Resource::Invite(id) => Some(&directory.invite(id.as_str()).ok_or(Unsure)?.asking),
            Resource::Application(id) => Some(&directory.application(id.as_str()).ok_or(Unsure)?.asking),
            Resource::Ticket(id) => Some(&directory.ticket(id.as_str()).ok_or(Unsure)?.asking),
            Resource::Installer(id) => directory.installer(id.as_str()).map(|_| None).ok_or(Unsure)?,
            Resource::Grant(id) => directory.grant(id.as_str()).map(|_| None).ok_or(Unsure)?,
            Resource::Company(_) | Resource::EndUser(..) | Resource::Site(_) | Resource::Device(_) => None,
        };
        let ticket =
            if let Resource::Ticket(id) = &question.resource { directory.ticket(id.as_str()) } else { None };
        Ok(Some(Self {
            directory,
            question,
            site_that_was: asking.filter(|asking| !directory.site_is_there(asking)),
            device_that_was: ticket
                .filter(|ticket| !directory.device_is_there(ticket))
                .map(|ticket| (ticket.device.as_str(), &ticket.asking)),
        }))
    }

    pub(super) fn principal(&self) -> Value<'a> {
        match self.question.principal {
            Principal::Operator(id) => Value::Entity(Type::Operator, id.as_str()),
            Principal::EndUser(id) => Value::Entity(Type::EndUser, id.as_str()),
            Principal::Installer(id) => Value::Entity(Type::Installer, id.as_str()),
        }
    }

    pub(super) fn resource(&self) -> Value<'a> {
        let id = match &self.question.resource {
            Resource::Company(id) => id.as_str(),
            Resource::EndUser(id, _) => id.as_str(),
            Resource::Installer(id) => id.as_str(),
            Resource::Site(id) => id.as_str(),
            Resource::Device(id) => id.as_str(),
            Resource::Invite(id) => id.as_str(),
            Resource::Application(id) => id.as_str(),
            Resource::Ticket(id) => id.as_str(),
            Resource::Grant(id) => id.as_str(),
        };
        Value::Entity(resource_type(&self.question.resource), id)
    }

    /// `None`: the context has nothing of this name.
    pub(super) fn context(&self, name: &str) -> Option<Value<'a>> {
        let (_, fact) = self.question.context.iter().find(|(known, _)| *known == name)?;
        Some(match fact {
            Fact::Text(text) => Value::text(text),
            Fact::Flag(flag) => Value::Bool(*flag),
            Fact::Texts(texts) => Value::Set(texts.iter().map(|text| Value::text(text)).collect()),
            Fact::Company(id) => Value::Entity(Type::Company, id.as_str()),
            Fact::EndUser(id) => Value::Entity(Type::EndUser, id.as_str()),
            Fact::Installer(id) => Value::Entity(Type::Installer, id.as_str()),
            Fact::Devices(devices) => Value::Set(
                devices.iter().map(|device| Value::Entity(Type::Device, device.as_str())).collect(),
            ),
        })
    }

    /// `None`: the entity has no attribute of this name.
    pub(super) fn attribute(&self, entity_type: Type, id: &'a str, name: &str) -> Known<Option<Value<'a>>> {
        match entity_type {
            Type::EndUser => self.of_end_user(id, name),
            Type::Installer => self.of_installer(id, name),
            Type::Site => self.of_site(id, name),
            Type::Device => self.of_device(id, name),
            Type::Invite => {
                let record = self.directory.invite(id).ok_or(Unsure)?;
                match name {
                    "contact" => Ok(Some(contact(&record.contact))),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Type::PermissionApplication => {
                self.of_asking(&self.directory.application(id).ok_or(Unsure)?.asking, name)
            }
            Type::ResetTicket => {
                let record = self.directory.ticket(id).ok_or(Unsure)?;
                match name {
                    "device" => Ok(Some(Value::Entity(Type::Device, record.device.as_str()))),
                    "mode" => Ok(Some(Value::text(record.mode.name()))),
                    _ => self.of_asking(&record.asking, name),
                }
            }
            Type::Grant => {
                let record = self.directory.grant(id).ok_or(Unsure)?;
                Ok(Some(match name {
                    "site" => Value::Entity(Type::Site, record.site.as_str()),
                    "company" => Value::Entity(Type::Company, record.company.as_str()),
                    "permission" => Value::text(record.permission.name()),
                    _ => return Err(Unsure),
                }))
            }
            Type::Company | Type::Operator => Err(Unsure),
        }
    }

    fn of_end_user(&self, id: &'a str, name: &str) -> Known<Option<Value<'a>>> {
        let own = match (self.question.principal, &self.question.resource) {
            (Principal::EndUser(principal), _) if principal.as_str() == id => None,
            // The account that is to be registered.
            (_, Resource::EndUser(resource, contacts)) if resource.as_str() == id => Some(contacts),
            _ => None,
        };
        let contacts = match own {
            Some(contacts) => contacts,
            None => &self.directory.end_user(id).ok_or(Unsure)?.contacts,
        };
        if name == "contacts" { Ok(Some(set_of(contacts))) } else { Err(Unsure) }
    }

    fn of_installer(&self, id: &str, name: &str) -> Known<Option<Value<'a>>> {
        let record = self.directory.installer(id).ok_or(Unsure)?;
        Ok(Some(match name {
            "company" => Value::Entity(Type::Company, record.company.as_str()),
            "role" => Value::text(record.role.name()),
            "permissions" => Value::Set(
                record.permissions.iter().map(|permission| Value::text(permission.name())).collect(),
            ),
            "contacts" => set_of(&record.contacts),
            _ => return Err(Unsure),
        }))
    }

    fn of_site(&self, id: &str, name: &str) -> Known<Option<Value<'a>>> {
        if let Some(asking) = self.site_that_was.filter(|asking| asking.site.as_str() == id) {
            return Ok(Some(match name {
                "company" => Value::Entity(Type::Company, asking.company.as_str()),
                "kind" => Value::text(SiteKind::Normal.name()),
                "disableServiceAccepted" => Value::Bool(false),
                "owner" => return Ok(None),
                _ => return Err(Unsure),
            }));
        }
        let record = self.directory.site(id).ok_or(Unsure)?;
        Ok(match name {
            "company" => Some(Value::Entity(Type::Company, record.company.as_str())),
            "kind" => Some(Value::text(record.kind.name())),
            "disableServiceAccepted" => Some(Value::Bool(record.disable_service)),
            "owner" => record.owner.as_ref().map(|owner| Value::Entity(Type::EndUser, owner.as_str())),
            _ => return Err(Unsure),
        })
    }

    fn of_device(&self, id: &str, name: &str) -> Known<Option<Value<'a>>> {
        let (site, supports_password_reset) = match self.device_that_was {
            Some((device, asking)) if device == id => (&asking.site, false),
            _ => {
                let record = self.directory.device(id).ok_or(Unsure)?;
                (&record.site, record.supports_password_reset)
            }
        };
        match name {
            "site" => Ok(Some(Value::Entity(Type::Site, site.as_str()))),
            "supportsPasswordReset" => Ok(Some(Value::Bool(supports_password_reset))),
            _ => Err(Unsure),
        }
    }

    fn of_asking(&self, asking: &'a Asking, name: &str) -> Known<Option<Value<'a>>> {
        Ok(match name {
            "site" => Some(Value::Entity(Type::Site, asking.site.as_str())),
            "company" => Some(Value::Entity(Type::Company, asking.company.as_str())),
            "askerContacts" => Some(set_of(&asking.asker_contacts)),
            "asker" => self
                .directory
                .asker_is_there(asking)
                .then(|| Value::Entity(Type::Installer, asking.asker.as_str())),
            _ => return Err(Unsure),
        })
    }

    /// Whether the first is the second, or in it.
    pub(super) fn descends(&self, one: (Type, &str), of: (Type, &str)) -> Known<bool> {
        if one == of {
            return Ok(true);
        }
        let is = |value: Option<Value<'a>>| value == Some(Value::Entity(of.0, of.1));
        match (one.0, of.0) {
            (Type::Installer, Type::Company) => Ok(is(self.of_installer(one.1, "company")?)),
            (Type::Installer, Type::Site) => {
                let registered = self.directory.installer(one.1).ok_or(Unsure)?.registered;
                let assigned = self.directory.site(of.1).and_then(|site| site.assigned.get(one.1));
                Ok(assigned == Some(&registered))
            }
            (Type::Device, Type::Site) => Ok(is(self.of_device(one.1, "site")?)),
            _ => Ok(false),
        }
    }
}

fn contact<'a>(contact: &Contact) -> Value<'a> {
    Value::Text(contact.to_string().into())
}

fn set_of<'a>(contacts: &[Contact]) -> Value<'a> {
    Value::Set(contacts.iter().map(contact).collect())
}
