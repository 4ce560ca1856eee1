//! From facts to Cedar entities: the few that one question touches.

mod source;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use super::ask::QuestionFacts;
use super::sight::Hints;
use crate::decide::Resource;
use crate::directory::{Asking, Coverage, Directory, InstallerRecord};
use crate::domain::{Contact, DeviceId, InstallerId, Principal, SiteId, SiteKind, Timestamp, Type, Uid};

/// Where the facts for a check come from. The directory is one source.
pub trait EntitySource {
    /// The entities that a check on `principal`, `action` and `resource` touches at `now`, closed
    /// under what policies can reach from them, and what grants give.
    ///
    /// # Errors
    /// When principal or resource are not known here, or Cedar does not take what is known of them.
    fn slice(
        &self,
        principal: &Uid,
        action: &str,
        resource: &Uid,
        hints: &Hints,
        now: Timestamp,
    ) -> Result<Slice, Unknown>;

    /// The same for compiled policies: what a slice would hold, to be looked at where it is. `None`, the default: this
    /// source has only entities for Cedar.
    fn facts<'a>(
        &'a self,
        principal: &'a Uid,
        action: &'a str,
        resource: &'a Uid,
        now: Timestamp,
    ) -> Option<Result<QuestionFacts<'a>, Unknown>> {
        let _ = (principal, action, resource, now);
        None
    }

    /// Whether it knows of every entity of this type what this attribute is, or that there is none: so that nobody
    /// who asks may supply it. `false`: what an entity lacks here may be supplied.
    fn knows(&self, entity_type: &str, attribute: &str) -> bool {
        let _ = (entity_type, attribute);
        true
    }

    /// The first `most` ids of entities of this type that come after `after`, sorted: what a search goes through.
    /// By default there is nothing to search in.
    fn ids(&self, entity_type: &str, after: Option<&str>, most: usize) -> Vec<String> {
        let _ = (entity_type, after, most);
        Vec::new()
    }
}

/// What one check touches.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The principal.
    pub principal: EntityUid,
    /// The resource.
    pub resource: EntityUid,
    /// Both, and what can be reached from them.
    pub entities: Vec<Entity>,
    /// What grants give to the principal on the resource for the action; `None`: grants do not come
    /// into it.
    pub coverage: Option<Coverage>,
}

/// Why a source has no slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// It does not know the principal.
    Principal,
    /// It does not know the resource.
    Resource,
    /// It knows both, and Cedar does not take what it knows: why.
    Facts(String),
}

static TYPE_NAMES: LazyLock<Vec<Option<EntityTypeName>>> =
    LazyLock::new(|| Type::ALL.into_iter().map(|own| own.name().parse().ok()).collect());

fn cedar_name(own: Type) -> Option<EntityTypeName> {
    TYPE_NAMES.get(own as usize).cloned().flatten()
}

/// Why a slice could not be built: an entity that Cedar does not take. Denied, like every error.
#[derive(Debug)]
pub(super) struct SliceError(pub(super) String);

pub(super) type Built<T> = Result<T, SliceError>;

pub(super) fn uid(entity_type: Type, id: &str) -> Built<EntityUid> {
    let name = cedar_name(entity_type).ok_or_else(|| SliceError(entity_type.name().to_owned()))?;
    Ok(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

/// The attributes of an entity, without those that no policy looks at.
struct Attributes<'h> {
    hints: &'h Hints,
    wanted: HashMap<String, RestrictedExpression>,
}

impl Attributes<'_> {
    fn with(mut self, name: &str, value: impl FnOnce() -> RestrictedExpression) -> Self {
        if self.hints.wants(name) {
            self.wanted.insert(name.to_owned(), value());
        }
        self
    }

    fn with_reference(mut self, name: &str, entity_type: Type, id: &str) -> Built<Self> {
        if self.hints.wants(name) {
            self.wanted.insert(name.to_owned(), RestrictedExpression::new_entity_uid(uid(entity_type, id)?));
        }
        Ok(self)
    }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn contacts(contacts: &[Contact]) -> RestrictedExpression {
    RestrictedExpression::new_set(contacts.iter().map(|contact| text(&contact.to_string())))
}

/// Puts a slice together.
pub(super) struct Slicer<'a> {
    directory: &'a Directory,
    hints: &'a Hints,
    /// The site that the question is about. Of an installer's sites, only this one and those that
    /// policies name can make a difference.
    site: Option<SiteId>,
    pub(super) entities: Vec<Entity>,
}

impl<'a> Slicer<'a> {
    /// A slice for a question about `resource`.
    pub(super) fn new(directory: &'a Directory, hints: &'a Hints, resource: Option<&Resource>) -> Self {
        let site = resource.and_then(|resource| source::site_of(directory, resource));
        Self { directory, hints, site, entities: Vec::with_capacity(8) }
    }

    fn holds(&self, wanted: &EntityUid) -> bool {
        self.entities.iter().any(|entity| entity.uid() == *wanted)
    }

    /// What something is in, if policies ask for it.
    fn parents(&self, parent: &EntityUid) -> HashSet<EntityUid> {
        self.hints.hierarchy.then(|| parent.clone()).into_iter().collect()
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes { hints: self.hints, wanted: HashMap::new() }
    }

    /// Puts an entity in. One that has neither attributes nor parents is to Cedar as one that is not
    /// there, and stays out.
    fn put(&mut self, uid: &EntityUid, attributes: Attributes<'_>, parents: HashSet<EntityUid>) -> Built<()> {
        if !attributes.wanted.is_empty() || !parents.is_empty() {
            let entity = Entity::new(uid.clone(), attributes.wanted, parents);
            self.entities.push(entity.map_err(|error| SliceError(error.to_string()))?);
        }
        Ok(())
    }

    /// Puts the principal in. `None`: nobody of that id is registered.
    pub(super) fn principal(&mut self, principal: &Principal) -> Built<Option<EntityUid>> {
        let directory = self.directory;
        match principal {
            Principal::Operator(id) => uid(Type::Operator, id.as_str()).map(Some),
            Principal::EndUser(id) => match directory.end_user(id.as_str()) {
                Some(record) => self.end_user(id.as_str(), record.contacts).map(Some),
                None => Ok(None),
            },
            Principal::Installer(id) => match directory.installer(id.as_str()) {
                Some(record) => self.installer(id, record).map(Some),
                None => Ok(None),
            },
        }
    }

    pub(super) fn end_user(&mut self, id: &str, verified: &[Contact]) -> Built<EntityUid> {
        let uid = uid(Type::EndUser, id)?;
        if !self.holds(&uid) {
            let attributes = self.attributes().with("contacts", || contacts(verified));
            self.put(&uid, attributes, HashSet::new())?;
        }
        Ok(uid)
    }

    pub(super) fn installer(&mut self, id: &InstallerId, record: InstallerRecord<'_>) -> Built<EntityUid> {
        let own = uid(Type::Installer, id.as_str())?;
        if self.holds(&own) {
            return Ok(own);
        }
        let company = uid(Type::Company, record.company().as_str())?;
        let mut parents = self.parents(&company);
        let about = self.site.as_ref().map(SiteId::as_str);
        let sites = self.hints.sites.iter().map(String::as_str).chain(about);
        for name in sites.filter(|_| self.hints.hierarchy) {
            if self.directory.site(name).is_some_and(|site| site.is_assigned(id)) {
                parents.insert(uid(Type::Site, name)?);
            }
        }
        let permissions = || record.permissions().map(|permission| text(permission.name()));
        let attributes = self
            .attributes()
            .with("company", || RestrictedExpression::new_entity_uid(company))
            .with("role", || text(record.role().name()))
            .with("permissions", || RestrictedExpression::new_set(permissions()))
            .with("contacts", || contacts(record.contacts()));
        self.put(&own, attributes, parents)?;
        Ok(own)
    }

    /// Puts a site in, and its owner if policies can look further than the site.
    pub(super) fn site(&mut self, id: &SiteId, with_owner: bool) -> Built<EntityUid> {
        let own = uid(Type::Site, id.as_str())?;
        let Some(record) = self.directory.site(id.as_str()) else {
            return Ok(own);
        };
        if self.holds(&own) {
            return Ok(own);
        }
        let mut attributes = self
            .attributes()
            .with_reference("company", Type::Company, record.company().as_str())?
            .with("kind", || text(record.kind().name()))
            .with("disableServiceAccepted", || RestrictedExpression::new_bool(record.disable_service()));
        if let Some(owner) = record.owner() {
            attributes = attributes.with_reference("owner", Type::EndUser, owner.as_str())?;
            if with_owner && let Some(end_user) = self.directory.end_user(owner.as_str()) {
                self.end_user(owner.as_str(), end_user.contacts)?;
            }
        }
        self.put(&own, attributes, HashSet::new())?;
        Ok(own)
    }

    pub(super) fn device(&mut self, id: &DeviceId) -> Built<EntityUid> {
        let own = uid(Type::Device, id.as_str())?;
        let Some(record) = self.directory.device(id.as_str()) else {
            return Ok(own);
        };
        if self.holds(&own) {
            return Ok(own);
        }
        let site = self.site(record.site(), false)?;
        self.put_device(&own, site, record.supports_password_reset())?;
        Ok(own)
    }

    fn put_device(&mut self, uid: &EntityUid, site: EntityUid, supports_password_reset: bool) -> Built<()> {
        let attributes = self
            .attributes()
            .with("site", || RestrictedExpression::new_entity_uid(site.clone()))
            .with("supportsPasswordReset", || RestrictedExpression::new_bool(supports_password_reset));
        self.put(uid, attributes, self.parents(&site))
    }

    /// The site that something was asked for: as it is, or, when it is gone, as it was without an
    /// owner. What was asked for there is over, and those who could act on it still get to hear so.
    fn site_of(&mut self, asking: &Asking) -> Built<EntityUid> {
        if self.directory.site_is_there(asking) {
            return self.site(&asking.site, false);
        }
        let own = uid(Type::Site, asking.site.as_str())?;
        if !self.holds(&own) {
            let attributes = self
                .attributes()
                .with_reference("company", Type::Company, asking.company.as_str())?
                .with("kind", || text(SiteKind::Normal.name()))
                .with("disableServiceAccepted", || RestrictedExpression::new_bool(false));
            self.put(&own, attributes, HashSet::new())?;
        }
        Ok(own)
    }

    /// The attributes that everything that was asked for has.
    fn asked(&mut self, asking: &Asking) -> Built<Attributes<'a>> {
        let site = self.site_of(asking)?;
        let attributes = self
            .attributes()
            .with("site", || RestrictedExpression::new_entity_uid(site))
            .with_reference("company", Type::Company, asking.company.as_str())?
            .with("askerContacts", || contacts(&asking.asker_contacts));
        if self.hints.wants("asker")
            && self.directory.asker_is_there(asking)
            && let Some(record) = self.directory.installer(asking.asker.as_str())
        {
            let asker = self.installer(&asking.asker, record)?;
            return Ok(attributes.with("asker", || RestrictedExpression::new_entity_uid(asker)));
        }
        Ok(attributes)
    }

    /// Puts the resource of a command in. What a command makes is there already as a Cedar entity:
    /// policies look at what it would be.
    pub(super) fn resource(&mut self, resource: &Resource) -> Built<EntityUid> {
        let gone = |kind: &str| SliceError(format!("the {kind} is gone"));
        match resource {
            Resource::Company(id) => uid(Type::Company, id.as_str()),
            Resource::EndUser(id, verified) => self.end_user(id.as_str(), verified),
            Resource::Installer(id) => {
                let record = self.directory.installer(id.as_str()).ok_or_else(|| gone("installer"))?;
                self.installer(id, record)
            }
            Resource::Site(id) => self.site(id, true),
            Resource::Device(id) => self.device(id),
            Resource::Invite(id) => {
                let record = self.directory.invite(id.as_str()).ok_or_else(|| gone("invite"))?;
                let attributes = self.asked(&record.asking)?;
                let attributes = attributes.with("contact", || text(&record.contact.to_string()));
                self.push(Type::Invite, id.as_str(), attributes)
            }
            Resource::Application(id) => {
                let record = self.directory.application(id.as_str()).ok_or_else(|| gone("application"))?;
                let attributes = self.asked(&record.asking)?;
                self.push(Type::PermissionApplication, id.as_str(), attributes)
            }
            Resource::Ticket(id) => {
                let record = self.directory.ticket(id.as_str()).ok_or_else(|| gone("ticket"))?;
                let attributes = self.asked(&record.asking)?;
                let device = if self.directory.device_is_there(record) {
                    self.device(&record.device)?
                } else {
                    self.device_that_was(&record.device, &record.asking)?
                };
                let attributes = attributes
                    .with("device", || RestrictedExpression::new_entity_uid(device))
                    .with("mode", || text(record.mode.name()));
                self.push(Type::ResetTicket, id.as_str(), attributes)
            }
            Resource::Grant(id) => {
                let record = self.directory.grant(id.as_str()).ok_or_else(|| gone("grant"))?;
                let site = self.site(record.site(), false)?;
                let attributes = self
                    .attributes()
                    .with("site", || RestrictedExpression::new_entity_uid(site))
                    .with_reference("company", Type::Company, record.company().as_str())?
                    .with("permission", || text(record.permission().name()));
                self.push(Type::Grant, id.as_str(), attributes)
            }
        }
    }

    fn device_that_was(&mut self, id: &DeviceId, asking: &Asking) -> Built<EntityUid> {
        let own = uid(Type::Device, id.as_str())?;
        let site = self.site_of(asking)?;
        self.put_device(&own, site, false)?;
        Ok(own)
    }

    fn push(&mut self, entity_type: Type, id: &str, attributes: Attributes<'_>) -> Built<EntityUid> {
        let own = uid(entity_type, id)?;
        self.put(&own, attributes, HashSet::new())?;
        Ok(own)
    }
}
