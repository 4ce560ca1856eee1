//! A directory as bytes, so that opening a long ledger need not read all of it. The ledger stays the
//! truth: a snapshot that cannot be read is left aside.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::grants::GrantRow;
use super::record::{ApplicationRecord, InviteRecord, TicketRecord};
use super::row::{DeviceRest, DeviceRow, InstallerRest, InstallerRow, SiteRest, SiteRow};
use super::table::Table;
use super::trie::Map;
use super::{Directory, Item, Revision};
use crate::domain::{
    ApplicationId, CompanyId, Contact, DeviceId, EndUserId, GrantId, InstallerId, InviteId, SiteId, TicketId,
};
use crate::lifecycle::invite::InviteState;
use crate::lifecycle::permission_application::ApplicationState;
use crate::lifecycle::reset_ticket::TicketState;

/// Of what form the bytes are. Another one is left aside.
const FORMAT: u32 = 3;

/// What cannot be derived from the rest. Tables are in the order of their numbers, by which rows speak of each other.
#[derive(Serialize, Deserialize)]
struct Facts {
    format: u32,
    revision: Revision,
    companies: Lines<CompanyId, (), ()>,
    end_users: Lines<EndUserId, (), Vec<Contact>>,
    installers: Lines<InstallerId, InstallerRow, InstallerRest>,
    sites: Lines<SiteId, SiteRow, SiteRest>,
    devices: Lines<DeviceId, DeviceRow, DeviceRest>,
    grants: Vec<(GrantId, GrantRow)>,
    invites: Vec<(InviteId, InviteRecord)>,
    applications: Vec<(ApplicationId, ApplicationRecord)>,
    tickets: Vec<(TicketId, TicketRecord)>,
}

/// All ids that ever were in a table, and what is there under them.
type Lines<I, R, C> = Vec<(I, Option<(R, C)>)>;

/// Why bytes are no snapshot that this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be used: {0}")]
pub struct SnapshotError(String);

fn lines<I, R, C>(table: &Table<I, R, C>) -> Lines<I, R, C>
where
    I: AsRef<str> + Clone,
    R: Clone,
    C: Clone,
{
    let line = |(id, there): (&I, Option<(&R, &C)>)| {
        (id.clone(), there.map(|(row, rest)| (row.clone(), rest.clone())))
    };
    table.names().map(line).collect()
}

fn table<I, R, C>(lines: Lines<I, R, C>) -> Option<Table<I, R, C>>
where
    I: AsRef<str> + Clone,
    R: Clone,
    C: Clone,
{
    let mut table = Table::default();
    for (id, there) in lines {
        table.named(&id)?;
        if let Some((row, rest)) = there {
            table.insert(&id, row, rest).ok()?;
        }
    }
    Some(table)
}

fn listed<K: Clone, V: Clone>(map: &Map<K, V>) -> Vec<(K, V)> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
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
            companies: lines(&self.companies),
            end_users: lines(&self.end_users),
            installers: lines(&self.installers),
            sites: lines(&self.sites),
            devices: lines(&self.devices),
            grants: self
                .grants
                .iter()
                .filter_map(|(number, row)| Some((GrantId::known(self.grants.id(number)?), *row)))
                .collect(),
            invites: listed(&self.invites),
            applications: listed(&self.applications),
            tickets: listed(&self.tickets),
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
        let mut directory = Directory {
            revision: self.revision,
            companies: table(self.companies)?,
            end_users: table(self.end_users)?,
            installers: table(self.installers)?,
            sites: table(self.sites)?,
            devices: table(self.devices)?,
            ..Directory::default()
        };
        let contacts = directory.end_users.iter().flat_map(|(number, _, (), contacts)| {
            contacts.iter().map(move |contact| (contact.clone(), number))
        });
        directory.contacts = contacts.collect();
        let places: Vec<_> = directory.devices.iter().map(|(device, _, row, _)| (device, row.site)).collect();
        for (device, site) in places {
            directory.sites.rest_mut(site)?.devices.insert(device);
        }
        for (id, row) in self.grants {
            let number = directory.grants.add(id.as_str(), row).ok()?;
            if let Some(end) = row.state().ends_at() {
                directory.ends.add(number, end);
            }
        }
        directory.restore_asked(self.invites, self.applications, self.tickets);
        Some(directory)
    }
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
