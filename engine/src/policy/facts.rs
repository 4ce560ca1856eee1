//! What compiled policies look at: the same facts as a slice for Cedar holds, read where they are.

mod records;

use std::collections::BTreeSet;

use records::Reader;

use super::authorize::resource_type;
use super::compiled::{Constant, Facts, Failed, Fields, Members, Named, Names, Step, Value};
use super::load::LEVEL;
use super::slice::{Type, Unknown};
use crate::decide::{Fact, Question, Resource};
use crate::directory::{Asking, Coverage, DeviceRecord, Directory, InstallerRecord, SiteRecord};
use crate::domain::{
    Contact, DeviceId, InstallerPermission, OperatorId, Permission, Principal, Timestamp, Uid,
};

/// What is known about one question.
pub(super) struct DirectoryFacts<'a> {
    directory: &'a Directory,
    principal: Node<'a>,
    resource: Node<'a>,
    context: Context<'a>,
    /// The records of principal and resource, and of the resource's site.
    installer: Option<(&'a str, &'a InstallerRecord)>,
    device: Option<(&'a str, &'a DeviceRecord)>,
    site: Option<(&'a str, &'a SiteRecord)>,
    /// What was asked for on a site that is gone: the site is seen as it was without an owner.
    site_that_was: Option<&'a Asking>,
    /// What was asked for on a device that is gone.
    device_that_was: Option<(&'a str, &'a Asking)>,
    /// The account that is to be registered.
    end_user_to_be: Option<(&'a str, &'a [Contact])>,
}

/// What is known of the try itself.
#[derive(Debug, Clone, Copy)]
enum Context<'a> {
    /// The engine's own words alone.
    Check {
        now: Timestamp,
        grant: Option<Grant<'a>>,
    },
    /// Those, and the caller's.
    Given(&'a [(Box<str>, Constant)]),
    Command {
        now: Timestamp,
        facts: &'a [(&'static str, Fact)],
    },
}

/// What grants give.
#[derive(Debug, Clone, Copy)]
struct Grant<'a> {
    permission: &'a str,
    until: Option<Timestamp>,
}

/// An entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    kind: Kind<'a>,
    id: &'a str,
    /// How many attributes lead to it from principal, resource or context: policies may follow [`LEVEL`] of them, and
    /// no more is in a slice. An entity that is only named in a policy is as far away as that.
    level: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind<'a> {
    Known(Type),
    /// Of a type that the directory does not have.
    Other(&'a str),
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.id) == (other.kind, other.id)
    }
}

impl<'a> Node<'a> {
    fn at_hand(kind: Type, id: &'a str) -> Self {
        Self { kind: Kind::Known(kind), id, level: 0 }
    }

    fn type_name(&self) -> &'a str {
        match self.kind {
            Kind::Known(kind) => kind.name(),
            Kind::Other(name) => name,
        }
    }
}

/// A set of a record or of a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set<'a> {
    Contacts(&'a [Contact]),
    Permissions(&'a BTreeSet<InstallerPermission>),
    Texts(&'a [String]),
    Devices(&'a [DeviceId]),
}

/// A record that is not written out anywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Record {
    Context,
    Grant,
}

impl<'a> DirectoryFacts<'a> {
    fn new(directory: &'a Directory, principal: Node<'a>, resource: Node<'a>, context: Context<'a>) -> Self {
        let installer = match principal.kind {
            Kind::Known(Type::Installer) => directory.installer(principal.id),
            Kind::Known(_) | Kind::Other(_) => None,
        };
        let device = match resource.kind {
            Kind::Known(Type::Device) => directory.device(resource.id),
            Kind::Known(_) | Kind::Other(_) => None,
        };
        let site = match (resource.kind, device) {
            (Kind::Known(Type::Site), _) => Some(resource.id),
            (_, Some(device)) => Some(device.site.as_str()),
            _ => None,
        };
        Self {
            directory,
            principal,
            resource,
            context,
            installer: installer.map(|record| (principal.id, record)),
            device: device.map(|record| (resource.id, record)),
            site: site.and_then(|id| Some((id, directory.site(id)?))),
            site_that_was: None,
            device_that_was: None,
            end_user_to_be: None,
        }
    }

    /// The facts for a check, and what grants give the principal on the resource; `None`: grants do not come into it.
    pub(super) fn check(
        directory: &'a Directory,
        (principal, action, resource): (&'a Uid, &'a str, &'a Uid),
        now: Timestamp,
    ) -> Result<(Self, Option<Coverage>), Unknown> {
        let who =
            Node::at_hand(Type::named(principal.type_name()).ok_or(Unknown::Principal)?, principal.id());
        let what = Type::named(resource.type_name()).map(|kind| Node::at_hand(kind, resource.id()));
        // Of what is not known, nothing is looked at.
        let mut facts = Self::new(directory, who, what.unwrap_or(who), Context::Check { now, grant: None });
        if !facts.knows_principal() {
            return Err(Unknown::Principal);
        }
        if what.is_none() || !facts.knows_resource() {
            return Err(Unknown::Resource);
        }
        let what = resource.id();
        let coverage = facts.installer.and_then(|(_, installer)| {
            let permission = Permission::named(action)?;
            let of_device = facts.device.filter(|_| !permission.is_site_wide());
            Some(match of_device {
                Some((_, device)) => device.covers.coverage(&installer.company, permission, now),
                None => directory.coverage(&installer.company, permission, what, now),
            })
        });
        if let Some(Coverage::Live { until }) = coverage {
            facts.context = Context::Check { now, grant: Some(Grant { permission: action, until }) };
        }
        facts.look_back(None);
        Ok((facts, coverage))
    }

    /// Whether the principal may be somebody: registered, or one of those who are not.
    fn knows_principal(&self) -> bool {
        let id = self.principal.id;
        match self.principal.kind {
            Kind::Known(Type::Operator) => id.parse::<OperatorId>().is_ok(),
            Kind::Known(Type::Installer) => self.installer.is_some(),
            Kind::Known(Type::EndUser) => self.directory.end_user(id).is_some(),
            Kind::Known(_) | Kind::Other(_) => false,
        }
    }

    fn knows_resource(&self) -> bool {
        let (directory, id) = (self.directory, self.resource.id);
        let Kind::Known(kind) = self.resource.kind else { return false };
        match kind {
            Type::Company => directory.has_company(id),
            Type::EndUser => directory.end_user(id).is_some(),
            Type::Installer => directory.installer(id).is_some(),
            Type::Site => self.site.is_some(),
            Type::Device => self.device.is_some(),
            Type::Invite => directory.invite(id).is_some(),
            Type::PermissionApplication => directory.application(id).is_some(),
            Type::ResetTicket => directory.ticket(id).is_some(),
            Type::Grant => directory.grant(id).is_some(),
            Type::Operator => false,
        }
    }

    /// The same, with a context that is written out.
    pub(super) fn given(self, context: &'a [(Box<str>, Constant)]) -> Self {
        Self { context: Context::Given(context), ..self }
    }

    /// The facts for a command; `None`: nobody of the principal's name is registered.
    ///
    /// # Errors
    /// When the question is none that compiled policies know of.
    pub(super) fn command(
        directory: &'a Directory,
        question: &'a Question<'_>,
        now: Timestamp,
    ) -> Step<Option<Self>> {
        let (kind, who, registered) = match question.principal {
            Principal::Operator(id) => (Type::Operator, id.as_str(), true),
            Principal::EndUser(id) => (Type::EndUser, id.as_str(), directory.end_user(id.as_str()).is_some()),
            Principal::Installer(id) => {
                (Type::Installer, id.as_str(), directory.installer(id.as_str()).is_some())
            }
        };
        if !registered {
            return Ok(None);
        }
        let context = &question.context;
        let twice = (1..)
            .zip(context)
            .any(|(next, (name, _))| context.iter().skip(next).any(|(other, _)| other == name));
        let (what, is_there) = match &question.resource {
            Resource::Company(id) => (id.as_str(), true),
            Resource::EndUser(id, _) => (id.as_str(), true),
            Resource::Site(id) => (id.as_str(), true),
            Resource::Device(id) => (id.as_str(), true),
            Resource::Installer(id) => (id.as_str(), directory.installer(id.as_str()).is_some()),
            Resource::Invite(id) => (id.as_str(), directory.invite(id.as_str()).is_some()),
            Resource::Application(id) => (id.as_str(), directory.application(id.as_str()).is_some()),
            Resource::Ticket(id) => (id.as_str(), directory.ticket(id.as_str()).is_some()),
            Resource::Grant(id) => (id.as_str(), directory.grant(id.as_str()).is_some()),
        };
        if twice || !is_there {
            return Err(Failed);
        }
        let principal = Node::at_hand(kind, who);
        let resource = Node::at_hand(resource_type(&question.resource), what);
        let mut facts = Self::new(directory, principal, resource, Context::Command { now, facts: context });
        facts.look_back(Some(&question.resource));
        Ok(Some(facts))
    }

    /// Finds what is seen as it was, and what is seen as it is to be.
    fn look_back(&mut self, resource: Option<&'a Resource>) {
        let (directory, id) = (self.directory, self.resource.id);
        let (asking, ticket) = match self.resource.kind {
            Kind::Known(Type::Invite) => (directory.invite(id).map(|invite| &invite.asking), None),
            Kind::Known(Type::PermissionApplication) => {
                (directory.application(id).map(|application| &application.asking), None)
            }
            Kind::Known(Type::ResetTicket) => {
                let ticket = directory.ticket(id);
                (ticket.map(|ticket| &ticket.asking), ticket)
            }
            Kind::Known(_) | Kind::Other(_) => (None, None),
        };
        self.site_that_was = asking.filter(|asking| !directory.site_is_there(asking));
        self.device_that_was = ticket
            .filter(|ticket| !directory.device_is_there(ticket))
            .map(|ticket| (ticket.device.as_str(), &ticket.asking));
        if let Some(Resource::EndUser(id, contacts)) = resource {
            self.end_user_to_be = Some((id.as_str(), contacts));
        }
    }
}

impl<'f, 'a> Facts<'f> for &'f DirectoryFacts<'a> {
    type Entity = Node<'f>;
    type Set = Set<'f>;
    type Record = Record;

    fn principal(self) -> Node<'f> {
        self.principal
    }

    fn resource(self) -> Node<'f> {
        self.resource
    }

    fn context(self) -> Fields<'f, Record> {
        match self.context {
            Context::Given(fields) => Fields::Constant(fields),
            Context::Check { .. } | Context::Command { .. } => Fields::Fact(Record::Context),
        }
    }

    fn named(self, name: &'f Named) -> Node<'f> {
        let kind = Type::named(&name.type_name).map_or(Kind::Other(&name.type_name), Kind::Known);
        Node { kind, id: &name.id, level: LEVEL }
    }

    fn is_named(self, entity: Node<'f>, name: &Named) -> bool {
        *entity.id == *name.id && *entity.type_name() == *name.type_name
    }

    fn is_of_type(self, entity: Node<'f>, type_name: &str) -> bool {
        entity.type_name() == type_name
    }

    fn attribute(self, entity: Node<'f>, name: &str) -> Step<Option<Value<'f, Self>>> {
        match entity.kind {
            Kind::Known(kind) if entity.level < LEVEL => {
                Ok(Reader { facts: self, level: entity.level + 1 }.attribute(kind, entity.id, name))
            }
            Kind::Known(_) | Kind::Other(_) => Err(Failed),
        }
    }

    /// The directory has no tags.
    fn tag(self, _: Node<'f>, _: &str) -> Step<Option<Value<'f, Self>>> {
        Ok(None)
    }

    fn is_in(self, entity: Node<'f>, ancestor: Node<'f>) -> Step<bool> {
        let (Kind::Known(kind), true) = (entity.kind, entity.level < LEVEL) else { return Err(Failed) };
        let leads_there = |name| {
            let value = Reader { facts: self, level: LEVEL }.attribute(kind, entity.id, name);
            matches!(value, Some(Value::Entity(parent)) if parent == ancestor)
        };
        Ok(match (kind, ancestor.kind) {
            (Type::Installer, Kind::Known(Type::Company)) => leads_there("company"),
            (Type::Installer, Kind::Known(Type::Site)) => self.is_assigned(entity.id, ancestor.id),
            (Type::Device, Kind::Known(Type::Site)) => leads_there("site"),
            _ => false,
        })
    }

    fn find(self, entity: Node<'f>, names: &Names, found: &mut dyn FnMut(u32)) {
        names.place(entity.type_name(), entity.id).into_iter().for_each(&mut *found);
        let parent = match entity.kind {
            Kind::Known(Type::Installer) => Some("company"),
            Kind::Known(Type::Device) => Some("site"),
            Kind::Known(_) | Kind::Other(_) => None,
        };
        if let Some(Ok(Some(Value::Entity(parent)))) = parent.map(|name| self.attribute(entity, name)) {
            names.place(parent.type_name(), parent.id).into_iter().for_each(&mut *found);
        }
        if entity.kind == Kind::Known(Type::Installer) {
            let sites = names.of_type(Type::Site.name());
            sites.filter(|(id, _)| self.is_assigned(entity.id, id)).for_each(|(_, place)| found(place));
        }
    }

    fn len(self, set: Set<'f>) -> usize {
        match set {
            Set::Contacts(contacts) => contacts.len(),
            Set::Permissions(permissions) => permissions.len(),
            Set::Texts(texts) => texts.len(),
            Set::Devices(devices) => devices.len(),
        }
    }

    fn member(self, set: Set<'f>, at: usize) -> Option<Value<'f, Self>> {
        match set {
            Set::Contacts(contacts) => contacts.get(at).map(|contact| Value::Text(contact.as_str())),
            Set::Permissions(all) => all.iter().nth(at).map(|permission| Value::Text(permission.name())),
            Set::Texts(texts) => texts.get(at).map(|text| Value::Text(text)),
            Set::Devices(devices) => {
                devices.get(at).map(|device| Value::Entity(Node::at_hand(Type::Device, device.as_str())))
            }
        }
    }

    fn field(self, record: Record, name: &str) -> Option<Value<'f, Self>> {
        let moment = |moment: Timestamp| Some(Value::Datetime(moment.millis()));
        match (record, &self.context) {
            (_, Context::Given(_)) => None,
            (Record::Context, Context::Check { now, grant }) => match name {
                "now" => moment(*now),
                "grant" => grant.map(|_| Value::Record(Fields::Fact(Record::Grant))),
                _ => None,
            },
            (Record::Grant, Context::Check { grant, .. }) => match name {
                "permission" => Some(Value::Text((*grant)?.permission)),
                "until" => (*grant)?.until.and_then(moment),
                _ => None,
            },
            (Record::Context, Context::Command { now, facts }) => {
                match facts.iter().find(|(own, _)| *own == name) {
                    Some((_, fact)) => Some(value_of(fact)),
                    None => (name == "now").then(|| moment(*now)).flatten(),
                }
            }
            (Record::Grant, Context::Command { .. }) => None,
        }
    }

    fn width(self, record: Record) -> usize {
        match (record, &self.context) {
            (_, Context::Given(_)) | (Record::Grant, Context::Command { .. }) => 0,
            (Record::Context, Context::Check { grant, .. }) => 1 + usize::from(grant.is_some()),
            (Record::Grant, Context::Check { grant, .. }) => {
                1 + usize::from(grant.is_some_and(|grant| grant.until.is_some()))
            }
            (Record::Context, Context::Command { facts, .. }) => 1 + facts.len(),
        }
    }

    fn same(self, one: Record, other: Record) -> bool {
        one == other
    }
}

fn value_of<'f, 'a>(fact: &'f Fact) -> Value<'f, &'f DirectoryFacts<'a>> {
    match fact {
        Fact::Text(text) => Value::Text(text),
        Fact::Flag(flag) => Value::Bool(*flag),
        Fact::Texts(texts) => Value::Set(Members::Fact(Set::Texts(texts))),
        Fact::Company(id) => Value::Entity(Node::at_hand(Type::Company, id.as_str())),
        Fact::EndUser(id) => Value::Entity(Node::at_hand(Type::EndUser, id.as_str())),
        Fact::Installer(id) => Value::Entity(Node::at_hand(Type::Installer, id.as_str())),
        Fact::Devices(devices) => Value::Set(Members::Fact(Set::Devices(devices))),
    }
}

#[cfg(test)]
mod tests;
