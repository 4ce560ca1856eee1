//! A directory as bytes, so that opening a long ledger need not read all of it. The ledger stays the
//! truth: a snapshot that cannot be read is left aside.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::coverage::Covers;
use super::record::{
    ApplicationRecord, DeviceRecord, EndUserRecord, GrantRecord, InstallerRecord, InviteRecord, SiteRecord,
    TicketRecord,
};
use super::trie::Trie;
use super::{Directory, Item, Revision};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, InstallerPermission,
    InviteId, Permission, Role, Scope, SiteId, SiteKind, TicketId, Timestamp,
};
use crate::lifecycle::invite::InviteState;
use crate::lifecycle::permission_application::ApplicationState;
use crate::lifecycle::reset_ticket::TicketState;

/// Of what form the bytes are. Another one is left aside.
const FORMAT: u32 = 1;

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
    invites: Vec<(InviteId, InviteRecord)>,
    applications: Vec<(ApplicationId, ApplicationRecord)>,
    tickets: Vec<(TicketId, TicketRecord)>,
    grants: Vec<(GrantId, GrantRecord)>,
}

/// A company, a permission that it has or had, and the grants that no event has ended. It cannot be
/// derived from the grants: one may be for an earlier device of the same id.
type Cover = (CompanyId, Permission, Vec<GrantId>);

#[derive(Serialize, Deserialize)]
struct InstallerFacts {
    company: CompanyId,
    role: Role,
    permissions: Vec<InstallerPermission>,
    contacts: Vec<Contact>,
    registered: Revision,
}

#[derive(Serialize, Deserialize)]
struct SiteFacts {
    company: CompanyId,
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
    site: SiteId,
    supports_password_reset: bool,
    added: Revision,
    ticket: Option<TicketId>,
    covers: Vec<Cover>,
}

/// Why bytes are no snapshot that this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be used: {0}")]
pub struct SnapshotError(String);

fn listed<K: Clone, V, F>(trie: &Trie<K, Arc<V>>, facts: impl Fn(&V) -> F) -> Vec<(K, F)> {
    trie.iter().map(|(key, value)| (key.clone(), facts(value))).collect()
}

impl Directory {
    /// The directory as bytes, with a checksum. O(size).
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        let facts = Facts {
            format: FORMAT,
            revision: self.revision,
            companies: self.companies.keys().cloned().collect(),
            end_users: listed(&self.end_users, Clone::clone),
            installers: listed(&self.installers, |installer| InstallerFacts {
                company: installer.company.clone(),
                role: installer.role,
                permissions: installer.permissions.iter().copied().collect(),
                contacts: installer.contacts.clone(),
                registered: installer.registered,
            }),
            sites: listed(&self.sites, |site| SiteFacts {
                company: site.company.clone(),
                kind: site.kind,
                created: site.created,
                owner: site.owner.clone(),
                owner_epoch: site.owner_epoch,
                disable_service: site.disable_service,
                assigned: site.assigned.clone(),
                invite: site.invite.clone(),
                covers: site.covers.listed(),
            }),
            devices: listed(&self.devices, |device| DeviceFacts {
                site: device.site.clone(),
                supports_password_reset: device.supports_password_reset,
                added: device.added,
                ticket: device.ticket.clone(),
                covers: device.covers.listed(),
            }),
            invites: listed(&self.invites, Clone::clone),
            applications: listed(&self.applications, Clone::clone),
            tickets: listed(&self.tickets, Clone::clone),
            grants: listed(&self.grants, Clone::clone),
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

impl Facts {
    fn restore(self) -> Option<Directory> {
        let mut directory = Directory { revision: self.revision, ..Directory::default() };
        let until: HashMap<GrantId, Option<Timestamp>> =
            self.grants.iter().map(|(id, record)| (id.clone(), record.until)).collect();
        let restored = |covers: Vec<Cover>, companies: &Trie<CompanyId, ()>| {
            let mut restored = Covers::default();
            for (company, permission, grants) in covers {
                let (company, ()) = companies.get_key_value(&company)?;
                let ends =
                    grants.into_iter().map(|id| until.get_key_value(&id).map(|(id, end)| (id.clone(), *end)));
                restored.restore(company.clone(), permission, ends.collect::<Option<_>>()?);
            }
            Some(restored)
        };
        for company in self.companies {
            directory.companies.insert(company, ());
        }
        for (id, record) in self.end_users {
            for contact in &record.contacts {
                directory.contacts.insert(contact.clone(), id.clone());
            }
            directory.end_users.insert(id, Arc::new(record));
        }
        for (id, facts) in self.installers {
            let record = InstallerRecord {
                company: directory.companies.get_key_value(&facts.company)?.0.clone(),
                role: facts.role,
                permissions: facts.permissions.into_iter().collect(),
                contacts: facts.contacts,
                registered: facts.registered,
                open: std::collections::BTreeSet::new(),
            };
            directory.installers.insert(id, Arc::new(record));
        }
        for (id, facts) in self.sites {
            let record = SiteRecord {
                company: directory.companies.get_key_value(&facts.company)?.0.clone(),
                kind: facts.kind,
                created: facts.created,
                owner: facts.owner,
                owner_epoch: facts.owner_epoch,
                disable_service: facts.disable_service,
                assigned: facts.assigned,
                invite: facts.invite,
                open: std::collections::BTreeSet::new(),
                devices: Trie::default(),
                covers: restored(facts.covers, &directory.companies)?,
            };
            directory.sites.insert(id, Arc::new(record));
        }
        for (id, facts) in self.devices {
            let record = DeviceRecord {
                site: directory.sites.get_key_value(&facts.site)?.0.clone(),
                supports_password_reset: facts.supports_password_reset,
                added: facts.added,
                ticket: facts.ticket,
                covers: restored(facts.covers, &directory.companies)?,
            };
            let site = directory.sites.get_mut(&facts.site)?;
            Arc::make_mut(site).devices.insert(id.clone(), ());
            directory.devices.insert(id, Arc::new(record));
        }
        for (id, record) in self.invites {
            if matches!(record.state, InviteState::Pending { .. }) {
                directory.open_item(Item::Invite(id.clone()), &record.asking);
            }
            directory.invites.insert(id, Arc::new(record));
        }
        for (id, record) in self.applications {
            if matches!(record.state, ApplicationState::Pending { .. }) {
                directory.open_item(Item::Application(id.clone()), &record.asking);
            }
            directory.applications.insert(id, Arc::new(record));
        }
        for (id, record) in self.tickets {
            if matches!(record.state, TicketState::Pending { .. }) {
                directory.open_item(Item::Ticket(id.clone()), &record.asking);
            }
            directory.tickets.insert(id, Arc::new(record));
        }
        for (id, record) in self.grants {
            directory.restore_grant(id, record)?;
        }
        Some(directory)
    }
}

impl Directory {
    fn restore_grant(&mut self, id: GrantId, mut record: GrantRecord) -> Option<()> {
        record.company = self.companies.get_key_value(&record.company)?.0.clone();
        if let Some((owner, _)) = self.end_users.get_key_value(&record.owner) {
            record.owner = owner.clone();
        }
        let (site, _) = self.sites.get_key_value(&record.site)?;
        record.site = site.clone();
        if let Scope::Device(device) = &record.scope
            && let Some((known, _)) = self.devices.get_key_value(device)
        {
            record.scope = Scope::Device(known.clone());
        }
        if let Some(until) = record.state.ends_at() {
            self.schedule(Item::Grant(id.clone()), until);
        }
        self.grants.insert(id, Arc::new(record));
        Some(())
    }
}
