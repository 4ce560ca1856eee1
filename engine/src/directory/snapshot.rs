//! A directory as bytes, so that opening a long ledger need not read all of it. The ledger stays the
//! truth: a snapshot that cannot be read is left aside.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::hash::Hash;

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::coverage::Covers;
use super::record::{
    ApplicationRecord, DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, InviteRecord, SiteRecord,
    TicketRecord,
};
use super::trie::{Map, Set};
use super::{Directory, Item, Revision, bucket};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, InstallerPermission,
    InviteId, Permission, Role, Scope, SiteId, SiteKind, TicketId, Timestamp,
};
use crate::lifecycle::grant::GrantState;
use crate::lifecycle::invite::InviteState;
use crate::lifecycle::permission_application::ApplicationState;
use crate::lifecycle::reset_ticket::TicketState;

/// Of what form the bytes are. Another one is left aside.
const FORMAT: u32 = 2;

/// The place of something in its list: what refers to it need not look it up.
type Number = u32;

/// What cannot be derived from the rest.
#[derive(Serialize, Deserialize)]
struct Facts {
    format: u32,
    revision: Revision,
    companies: Vec<CompanyId>,
    end_users: Vec<(EndUserId, EndUserRecord)>,
    installers: Vec<(InstallerId, InstallerFacts)>,
    sites: Vec<(SiteId, SiteFacts)>,
    devices: Vec<(DeviceId, DeviceFacts)>,
    grants: Vec<(GrantId, GrantFacts)>,
    invites: Vec<(InviteId, InviteRecord)>,
    applications: Vec<(ApplicationId, ApplicationRecord)>,
    tickets: Vec<(TicketId, TicketRecord)>,
}

/// A company, a permission that it has or had, and the grants that no event has ended. It cannot be
/// derived from the grants: one may be for an earlier device of the same id.
type Cover = (Number, Permission, Vec<Number>);

#[derive(Serialize, Deserialize)]
struct InstallerFacts {
    company: Number,
    role: Role,
    permissions: Vec<InstallerPermission>,
    contacts: Vec<Contact>,
    registered: Revision,
}

#[derive(Serialize, Deserialize)]
struct SiteFacts {
    company: Number,
    kind: SiteKind,
    created: Revision,
    owner: Option<EndUserId>,
    owner_epoch: u64,
    disable_service: bool,
    assigned: BTreeMap<InstallerId, Revision>,
    invite: Option<InviteId>,
    covers: Vec<Cover>,
}

#[derive(Serialize, Deserialize)]
struct DeviceFacts {
    site: Number,
    supports_password_reset: bool,
    added: Revision,
    ticket: Option<TicketId>,
    covers: Vec<Cover>,
}

#[derive(Serialize, Deserialize)]
struct GrantFacts {
    company: Number,
    site: Number,
    owner: Number,
    scope: ScopeFacts,
    permission: Permission,
    until: Option<Timestamp>,
    state: GrantState,
}

#[derive(Serialize, Deserialize)]
enum ScopeFacts {
    Site,
    Device(Number),
    /// One that is not there any more.
    Gone(DeviceId),
}

/// Why bytes are no snapshot that this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be used: {0}")]
pub struct SnapshotError(String);

type Written<T> = Result<T, SnapshotError>;

/// The places of things in their list.
struct Numbers<'a, K>(HashMap<&'a K, Number, foldhash::fast::RandomState>);

impl<'a, K: Hash + Eq + Display> Numbers<'a, K> {
    fn of(keys: impl Iterator<Item = &'a K>) -> Self {
        Self(keys.zip(0..).collect())
    }

    fn get(&self, key: &K) -> Option<Number> {
        self.0.get(key).copied()
    }

    fn known(&self, key: &K) -> Written<Number> {
        self.get(key).ok_or_else(|| SnapshotError(format!("it speaks of `{key}`, which is not there")))
    }
}

fn listed<K: Clone, V, F>(map: &Map<K, V>, facts: impl Fn(&V) -> Written<F>) -> Written<Vec<(K, F)>> {
    map.iter().map(|(key, value)| Ok((key.clone(), facts(value)?))).collect()
}

impl Directory {
    /// The directory as bytes, with a checksum. O(size).
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        let (companies, end_users) = (Numbers::of(self.companies.iter()), Numbers::of(self.end_users.keys()));
        let (sites, devices) = (Numbers::of(self.sites.keys()), Numbers::of(self.devices.keys()));
        let grants = Numbers::of(self.grants.keys());
        let covers = |covers: &Covers| -> Written<Vec<Cover>> {
            let cover = |(company, permission, ids): (_, _, Vec<&GrantId>)| {
                let ids = ids.into_iter().map(|id| grants.known(id)).collect::<Result<_, _>>()?;
                Ok((companies.known(company)?, permission, ids))
            };
            covers.listed().map(cover).collect()
        };
        let facts = Facts {
            format: FORMAT,
            revision: self.revision,
            companies: self.companies.iter().cloned().collect(),
            end_users: listed(&self.end_users, |end_user| Ok(end_user.clone()))?,
            installers: listed(&self.installers, |installer| {
                Ok(InstallerFacts {
                    company: companies.known(&installer.company)?,
                    role: installer.role,
                    permissions: installer.permissions.iter().copied().collect(),
                    contacts: installer.contacts.clone(),
                    registered: installer.registered,
                })
            })?,
            sites: listed(&self.sites, |site| {
                Ok(SiteFacts {
                    company: companies.known(&site.company)?,
                    kind: site.kind,
                    created: site.created,
                    owner: site.owner.clone(),
                    owner_epoch: site.owner_epoch,
                    disable_service: site.disable_service,
                    assigned: site.assigned.clone(),
                    invite: site.invite.clone(),
                    covers: covers(&site.covers)?,
                })
            })?,
            devices: listed(&self.devices, |device| {
                Ok(DeviceFacts {
                    site: sites.known(&device.site)?,
                    supports_password_reset: device.supports_password_reset,
                    added: device.added,
                    ticket: device.ticket.clone(),
                    covers: covers(&device.covers)?,
                })
            })?,
            grants: listed(&self.grants, |grant| {
                Ok(GrantFacts {
                    company: companies.known(&grant.company)?,
                    site: sites.known(&grant.site)?,
                    owner: end_users.known(&grant.owner)?,
                    scope: match &grant.scope {
                        Scope::Site => ScopeFacts::Site,
                        Scope::Device(id) => {
                            devices.get(id).map_or_else(|| ScopeFacts::Gone(id.clone()), ScopeFacts::Device)
                        }
                    },
                    permission: grant.permission,
                    until: grant.until,
                    state: grant.state,
                })
            })?,
            invites: listed(&self.invites, |invite| Ok(invite.clone()))?,
            applications: listed(&self.applications, |application| Ok(application.clone()))?,
            tickets: listed(&self.tickets, |ticket| Ok(ticket.clone()))?,
        };
        let mut bytes = postcard::to_allocvec(&facts).map_err(|error| SnapshotError(error.to_string()))?;
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Ok(bytes)
    }

    /// The directory that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let damaged = || SnapshotError("it is damaged".to_owned());
        let (payload, sum) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        if Sha256::digest(payload).as_slice() != sum {
            return Err(damaged());
        }
        let (format, _): (u32, _) = postcard::take_from_bytes(payload).map_err(|_| damaged())?;
        if format != FORMAT {
            return Err(SnapshotError(format!("it is of format {format}")));
        }
        let facts: Facts = postcard::from_bytes(payload).map_err(|error| SnapshotError(error.to_string()))?;
        facts.restore().ok_or_else(damaged)
    }
}

/// The thing with this number.
fn at<T>(list: &[T], number: Number) -> Option<&T> {
    list.get(usize::try_from(number).ok()?)
}

impl Facts {
    fn restore(self) -> Option<Directory> {
        let companies = self.companies;
        let company = |number| at(&companies, number).cloned();
        let ends: Vec<(GrantId, Option<Timestamp>)> =
            self.grants.iter().map(|(id, grant)| (id.clone(), grant.until)).collect();
        let restored = |covers: Vec<Cover>| {
            let mut restored = Covers::default();
            for (number, permission, grants) in covers {
                let terms = grants.into_iter().map(|grant| at(&ends, grant).cloned());
                restored.restore(company(number)?, permission, terms.collect::<Option<_>>()?);
            }
            Some(restored)
        };
        let end_users: Vec<EndUserId> = self.end_users.iter().map(|(id, _)| id.clone()).collect();
        let contact = |(id, record): &(EndUserId, EndUserRecord)| {
            record.contacts.iter().map(|contact| (contact.clone(), id.clone())).collect::<Vec<_>>()
        };
        let installer = |(id, facts): (InstallerId, InstallerFacts)| {
            let record = InstallerRecord {
                company: company(facts.company)?,
                role: facts.role,
                permissions: facts.permissions.into_iter().collect(),
                contacts: facts.contacts,
                registered: facts.registered,
                open: BTreeSet::new(),
            };
            Some((id, record))
        };
        let sites: Vec<SiteId> = self.sites.iter().map(|(id, _)| id.clone()).collect();
        let devices: Vec<DeviceId> = self.devices.iter().map(|(id, _)| id.clone()).collect();
        let mut devices_of: Vec<Vec<DeviceId>> = vec![Vec::new(); sites.len()];
        for (id, facts) in &self.devices {
            devices_of.get_mut(usize::try_from(facts.site).ok()?)?.push(id.clone());
        }
        let site = |((id, facts), devices): ((SiteId, SiteFacts), Vec<DeviceId>)| {
            let record = SiteRecord {
                company: company(facts.company)?,
                kind: facts.kind,
                created: facts.created,
                owner: facts.owner,
                owner_epoch: facts.owner_epoch,
                disable_service: facts.disable_service,
                assigned: facts.assigned,
                invite: facts.invite,
                open: BTreeSet::new(),
                devices: devices.into_iter().collect(),
                covers: restored(facts.covers)?,
            };
            Some((id, record))
        };
        let device = |(id, facts): (DeviceId, DeviceFacts)| {
            let record = DeviceRecord {
                site: at(&sites, facts.site)?.clone(),
                supports_password_reset: facts.supports_password_reset,
                added: facts.added,
                ticket: facts.ticket,
                covers: restored(facts.covers)?,
            };
            Some((id, record))
        };
        let grant = |(id, facts): (GrantId, GrantFacts)| {
            let record = GrantRecord {
                company: company(facts.company)?,
                site: at(&sites, facts.site)?.clone(),
                owner: at(&end_users, facts.owner)?.clone(),
                scope: match facts.scope {
                    ScopeFacts::Site => Scope::Site,
                    ScopeFacts::Device(number) => Scope::Device(at(&devices, number)?.clone()),
                    ScopeFacts::Gone(id) => Scope::Device(id),
                },
                permission: facts.permission,
                until: facts.until,
                state: facts.state,
            };
            Some((id, record))
        };
        let due = self.grants.iter().filter_map(|(id, grant)| Some((id.clone(), grant.state.ends_at()?)));
        let mut directory = Directory {
            revision: self.revision,
            due: due_at(due),
            contacts: self.end_users.iter().flat_map(contact).collect(),
            end_users: self.end_users.into_iter().collect(),
            installers: self.installers.into_iter().map(installer).collect::<Option<_>>()?,
            sites: self.sites.into_iter().zip(devices_of).map(site).collect::<Option<_>>()?,
            devices: self.devices.into_iter().map(device).collect::<Option<_>>()?,
            grants: self.grants.into_iter().map(grant).collect::<Option<_>>()?,
            companies: companies.iter().cloned().collect(),
            ..Directory::default()
        };
        directory.restore_asked(self.invites, self.applications, self.tickets);
        Some(directory)
    }
}

/// Grants by the minute in which they end.
fn due_at(ends: impl Iterator<Item = (GrantId, Timestamp)>) -> RedBlackTreeMapSync<i64, Set<Item>> {
    let mut buckets: BTreeMap<i64, Vec<Item>> = BTreeMap::new();
    for (id, end) in ends {
        buckets.entry(bucket(end)).or_default().push(Item::Grant(id));
    }
    buckets.into_iter().map(|(bucket, items)| (bucket, items.into_iter().collect())).collect()
}

impl Directory {
    fn restore_asked(
        &mut self,
        invites: Vec<(InviteId, InviteRecord)>,
        applications: Vec<(ApplicationId, ApplicationRecord)>,
        tickets: Vec<(TicketId, TicketRecord)>,
    ) {
        for (id, record) in &invites {
            if matches!(record.state, InviteState::Pending { .. }) {
                self.open_item(Item::Invite(id.clone()), &record.asking);
            }
        }
        for (id, record) in &applications {
            if matches!(record.state, ApplicationState::Pending { .. }) {
                self.open_item(Item::Application(id.clone()), &record.asking);
            }
        }
        for (id, record) in &tickets {
            if matches!(record.state, TicketState::Pending { .. }) {
                self.open_item(Item::Ticket(id.clone()), &record.asking);
            }
        }
        self.invites = invites.into_iter().collect();
        self.applications = applications.into_iter().collect();
        self.tickets = tickets.into_iter().collect();
    }
}
