//! What compiled policies look at: the same facts as a slice for Cedar holds, read where they are.

mod records;

use records::Reader;

use super::authorize::resource_type;
use super::compiled::{Constant, Facts, Failed, Fields, Members, Named, Names, Step, Value};
use super::load::LEVEL;
use super::slice::Unknown;
use super::word::{Name, Word};
use crate::decide::{Fact, Question, Resource};
use crate::directory::{
    Asking, Coverage, DeviceRow, Directory, Entity, InstallerPermissions, InstallerRow, Number, SiteRow,
};
use crate::domain::{
    Contact, DeviceId, InstallerId, OperatorId, Permission, Principal, SiteId, Timestamp, Type, UidRef,
};

/// What is known about one question.
pub(super) struct DirectoryFacts<'a> {
    directory: &'a Directory,
    principal: Node<'a>,
    resource: Node<'a>,
    context: Context<'a>,
    /// The rows of principal and resource, and of the resource's site.
    installer: Option<(Number<InstallerId>, &'a InstallerRow)>,
    device: Option<(Number<DeviceId>, &'a DeviceRow)>,
    site: Option<(Number<SiteId>, &'a SiteRow)>,
    /// What was asked for on a site that is gone: the site is seen as it was without an owner.
    site_that_was: Option<(Who<'a>, &'a Asking)>,
    /// What was asked for on a device that is gone.
    device_that_was: Option<(Who<'a>, &'a Asking)>,
    /// The account that is to be registered.
    end_user_to_be: Option<(Who<'a>, &'a [Contact])>,
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
    who: Who<'a>,
    /// How many attributes lead to it from principal, resource or context: policies may follow [`LEVEL`] of them, and
    /// no more is in a slice. An entity that is only named in a policy is as far away as that.
    level: u32,
}

/// What an entity is known by. INVARIANT: what has a number is known by it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u64)]
pub(super) enum Who<'a> {
    Numbered(Entity),
    Text(Type, &'a str),
    /// Of a type that the directory does not have.
    Other(&'a Named),
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.who == other.who
    }
}

impl<'a> Who<'a> {
    fn of(directory: &Directory, kind: Type, id: &'a str) -> Self {
        directory.entity(kind, id).map_or(Self::Text(kind, id), Self::Numbered)
    }

    /// Who has this name; `None`: it is of no type that the directory has.
    pub(super) fn named(directory: &Directory, uid: UidRef<'a>) -> Option<Self> {
        Some(Self::of(directory, Type::named(uid.type_name)?, uid.id))
    }

    fn kind(&self) -> Option<Type> {
        Some(match self {
            Self::Numbered(entity) => entity.kind(),
            Self::Text(kind, _) => *kind,
            Self::Other(_) => return None,
        })
    }

    fn type_name(&self) -> &'a str {
        match self {
            Self::Numbered(entity) => entity.kind().name(),
            Self::Text(kind, _) => kind.name(),
            Self::Other(name) => &name.type_name,
        }
    }

    fn id(&self, directory: &'a Directory) -> &'a str {
        match self {
            Self::Numbered(entity) => directory.id_of(*entity),
            Self::Text(_, id) => id,
            Self::Other(name) => &name.id,
        }
    }

    fn at_hand(self) -> Node<'a> {
        Node { who: self, level: 0 }
    }
}

/// A set of a record or of a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set<'a> {
    Contacts(&'a [Contact]),
    Permissions(InstallerPermissions),
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
    fn new(directory: &'a Directory, principal: Who<'a>, resource: Who<'a>, context: Context<'a>) -> Self {
        let installer = match principal {
            Who::Numbered(Entity::Installer(number)) => Some(number),
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => None,
        };
        let device = match resource {
            Who::Numbered(Entity::Device(number)) => {
                directory.device_row(number).map(|device| (number, device))
            }
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => None,
        };
        let site = match resource {
            Who::Numbered(Entity::Site(number)) => Some(number),
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => device.map(|(_, device)| device.site),
        };
        Self {
            directory,
            principal: principal.at_hand(),
            resource: resource.at_hand(),
            context,
            installer: installer.and_then(|number| Some((number, directory.installer_row(number)?))),
            device,
            site: site.and_then(|number| Some((number, directory.site_row(number)?))),
            site_that_was: None,
            device_that_was: None,
            end_user_to_be: None,
        }
    }

    /// The facts for a check, and what grants give the principal on the resource; `None`: grants do not come into it.
    pub(super) fn check(
        directory: &'a Directory,
        (principal, action, resource): (UidRef<'a>, &'a str, UidRef<'a>),
        now: Timestamp,
    ) -> Result<(Self, Option<Coverage>), Unknown> {
        let who = |uid| Who::named(directory, uid);
        let principal = who(principal).ok_or(Unknown::Principal)?;
        Self::check_of(directory, (principal, Permission::named(action), who(resource)), now)
    }

    /// The same, of those who are known by number.
    pub(super) fn check_of(
        directory: &'a Directory,
        (principal, permission, resource): (Who<'a>, Option<Permission>, Option<Who<'a>>),
        now: Timestamp,
    ) -> Result<(Self, Option<Coverage>), Unknown> {
        // Of what is not known, nothing is looked at.
        let context = Context::Check { now, grant: None };
        let mut facts = Self::new(directory, principal, resource.unwrap_or(principal), context);
        if !facts.knows_principal() {
            return Err(Unknown::Principal);
        }
        if resource.is_none() || !facts.knows_resource() {
            return Err(Unknown::Resource);
        }
        let coverage = facts.installer.zip(permission).map(|((_, installer), permission)| {
            let company = installer.company;
            match facts.resource.who {
                Who::Numbered(Entity::Device(_)) if !permission.is_site_wide() => {
                    facts.device.map(|(_, device)| device.covers.coverage(company, permission, now))
                }
                Who::Numbered(Entity::Site(_)) if permission.is_site_wide() => {
                    facts.site.map(|(_, site)| site.covers.coverage(company, permission, now))
                }
                Who::Numbered(_) | Who::Text(..) | Who::Other(_) => None,
            }
            .unwrap_or(Coverage::Never)
        });
        if let (Some(Coverage::Live { until }), Some(permission)) = (coverage, permission) {
            facts.context =
                Context::Check { now, grant: Some(Grant { permission: permission.name(), until }) };
        }
        facts.look_back(None);
        Ok((facts, coverage))
    }

    /// The types of principal and resource.
    pub(super) fn types(&self) -> [Option<Type>; 2] {
        [self.principal.who.kind(), self.resource.who.kind()]
    }

    /// Whether the principal may be somebody: registered, or one of those who are not.
    fn knows_principal(&self) -> bool {
        match self.principal.who {
            Who::Numbered(Entity::Installer(_)) => self.installer.is_some(),
            Who::Numbered(entity @ Entity::EndUser(_)) => self.directory.is_registered(entity),
            Who::Text(Type::Operator, id) => id.parse::<OperatorId>().is_ok(),
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => false,
        }
    }

    fn knows_resource(&self) -> bool {
        match self.resource.who {
            Who::Numbered(Entity::Site(_)) => self.site.is_some(),
            Who::Numbered(Entity::Device(_)) => self.device.is_some(),
            Who::Numbered(entity) => self.directory.is_registered(entity),
            Who::Text(Type::Invite, id) => self.directory.invite(id).is_some(),
            Who::Text(Type::PermissionApplication, id) => self.directory.application(id).is_some(),
            Who::Text(Type::ResetTicket, id) => self.directory.ticket(id).is_some(),
            Who::Text(..) | Who::Other(_) => false,
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
        let principal = Who::of(directory, kind, who);
        let resource = Who::of(directory, resource_type(&question.resource), what);
        let mut facts = Self::new(directory, principal, resource, Context::Command { now, facts: context });
        facts.look_back(Some(&question.resource));
        Ok(Some(facts))
    }

    /// Finds what is seen as it was, and what is seen as it is to be.
    fn look_back(&mut self, resource: Option<&'a Resource>) {
        let directory = self.directory;
        let (asking, ticket) = match self.resource.who {
            Who::Text(Type::Invite, id) => (directory.invite(id).map(|invite| &invite.asking), None),
            Who::Text(Type::PermissionApplication, id) => {
                (directory.application(id).map(|application| &application.asking), None)
            }
            Who::Text(Type::ResetTicket, id) => {
                let ticket = directory.ticket(id);
                (ticket.map(|ticket| &ticket.asking), ticket)
            }
            Who::Numbered(_) | Who::Text(..) | Who::Other(_) => (None, None),
        };
        self.site_that_was = asking
            .filter(|asking| !directory.site_is_there(asking))
            .map(|asking| (Who::of(directory, Type::Site, asking.site.as_str()), asking));
        self.device_that_was = ticket
            .filter(|ticket| !directory.device_is_there(ticket))
            .map(|ticket| (Who::of(directory, Type::Device, ticket.device.as_str()), &ticket.asking));
        if let Some(Resource::EndUser(id, contacts)) = resource {
            self.end_user_to_be = Some((Who::of(directory, Type::EndUser, id.as_str()), contacts));
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
        let kind = Type::named(&name.type_name);
        let who = kind.map_or(Who::Other(name), |kind| Who::of(self.directory, kind, &name.id));
        Node { who, level: LEVEL }
    }

    fn is_named(self, entity: Node<'f>, name: &Named) -> bool {
        *entity.who.type_name() == *name.type_name && *entity.who.id(self.directory) == *name.id
    }

    fn is_of_type(self, entity: Node<'f>, type_name: &str) -> bool {
        entity.who.type_name() == type_name
    }

    #[inline]
    fn attribute(self, entity: &Node<'f>, name: &Name, value: &mut Value<'f, Self>) -> Step<bool> {
        if entity.level >= LEVEL {
            return Err(Failed);
        }
        let Some(word) = name.word() else { return Ok(false) };
        Ok(Reader { facts: self, level: entity.level + 1, value }.attribute(&entity.who, word).is_some())
    }

    /// The directory has no tags.
    fn tag(self, _: Node<'f>, _: &str) -> Step<Option<Value<'f, Self>>> {
        Ok(None)
    }

    fn is_in(self, entity: Node<'f>, ancestor: Node<'f>) -> Step<bool> {
        if entity.level >= LEVEL || matches!(entity.who, Who::Other(_)) {
            return Err(Failed);
        }
        if let (Who::Numbered(Entity::Installer(installer)), Who::Numbered(Entity::Site(site))) =
            (entity.who, ancestor.who)
        {
            return Ok(self.is_assigned(installer, site));
        }
        Ok(self.parent(entity) == Some(ancestor))
    }

    fn find(self, entity: Node<'f>, names: &Names, found: &mut dyn FnMut(u32)) {
        let place = |node: Node<'f>| names.place(node.who.type_name(), node.who.id(self.directory));
        place(entity).into_iter().for_each(&mut *found);
        self.parent(entity).and_then(place).into_iter().for_each(&mut *found);
        if let Who::Numbered(Entity::Installer(installer)) = entity.who {
            let sites = names.of_type(Type::Site.name()).filter(|(id, _)| {
                let site = self.directory.entity(Type::Site, id);
                matches!(site, Some(Entity::Site(site)) if self.is_assigned(installer, site))
            });
            sites.for_each(|(_, place)| found(place));
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
            Set::Devices(devices) => devices.get(at).map(|device| self.value(Type::Device, device.as_str())),
        }
    }

    fn has_text(self, set: Set<'f>, text: &str) -> bool {
        match set {
            Set::Contacts(contacts) => contacts.iter().any(|contact| contact.as_str() == text),
            Set::Permissions(all) => all.iter().any(|permission| permission.name() == text),
            Set::Texts(texts) => texts.iter().any(|own| own == text),
            Set::Devices(_) => false,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other words are no fields of it")]
    fn field(self, record: Record, name: &Name) -> Option<Value<'f, Self>> {
        let moment = |moment: Timestamp| Some(Value::Datetime(moment.millis()));
        match (record, &self.context) {
            (_, Context::Given(_)) => None,
            (Record::Context, Context::Check { now, grant }) => match name.word()? {
                Word::Now => moment(*now),
                Word::Grant => grant.map(|_| Value::Record(Fields::Fact(Record::Grant))),
                _ => None,
            },
            (Record::Grant, Context::Check { grant, .. }) => match name.word()? {
                Word::Permission => Some(Value::Text((*grant)?.permission)),
                Word::Until => (*grant)?.until.and_then(moment),
                _ => None,
            },
            (Record::Context, Context::Command { now, facts }) => {
                match facts.iter().find(|(own, _)| *own == &**name) {
                    Some((_, fact)) => Some(self.value_of(fact)),
                    None => (name.word() == Some(Word::Now)).then(|| moment(*now)).flatten(),
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

impl<'a> DirectoryFacts<'a> {
    fn value<'f>(&'f self, kind: Type, id: &'f str) -> Value<'f, &'f Self> {
        Value::Entity(Who::of(self.directory, kind, id).at_hand())
    }

    fn value_of<'f>(&'f self, fact: &'f Fact) -> Value<'f, &'f Self> {
        match fact {
            Fact::Text(text) => Value::Text(text),
            Fact::Flag(flag) => Value::Bool(*flag),
            Fact::Texts(texts) => Value::Set(Members::Fact(Set::Texts(texts))),
            Fact::Company(id) => self.value(Type::Company, id.as_str()),
            Fact::EndUser(id) => self.value(Type::EndUser, id.as_str()),
            Fact::Installer(id) => self.value(Type::Installer, id.as_str()),
            Fact::Devices(devices) => Value::Set(Members::Fact(Set::Devices(devices))),
        }
    }
}

#[cfg(test)]
mod tests;
