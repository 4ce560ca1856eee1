//! All grants there ever were, packed: there are more of them than of anything else.

use serde::{Deserialize, Serialize};

use super::coverage::End;
use super::list::List;
use super::table::{FULL, Number};
use super::text::{Names, Position};
use crate::domain::{CompanyId, DeviceId, EndUserId, GrantId, Permission, SiteId};
use crate::lifecycle::grant::GrantState;

#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    names: Names,
    rows: List<GrantRow>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct GrantRow {
    pub(super) end: End,
    pub(crate) company: Number<CompanyId>,
    pub(crate) site: Number<SiteId>,
    pub(super) owner: Number<EndUserId>,
    /// `None`: it is for the site.
    pub(super) device: Option<Number<DeviceId>>,
    #[serde(skip)]
    id: Position,
    pub(crate) permission: Permission,
    phase: Phase,
}

/// A grant's state without the end, which the row has anyway.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Phase {
    Active,
    Ended,
    Released,
    Withdrawn,
    Revoked,
}

impl GrantRow {
    /// One that is active.
    pub(super) fn new(
        company: Number<CompanyId>,
        permission: Permission,
        (site, device): (Number<SiteId>, Option<Number<DeviceId>>),
        owner: Number<EndUserId>,
        end: End,
    ) -> Self {
        Self { end, company, site, owner, device, id: 0, permission, phase: Phase::Active }
    }

    pub(super) fn state(&self) -> GrantState {
        match self.phase {
            Phase::Active => GrantState::Active { until: self.end.moment() },
            Phase::Ended => GrantState::Ended,
            Phase::Released => GrantState::Released,
            Phase::Withdrawn => GrantState::Withdrawn,
            Phase::Revoked => GrantState::Revoked,
        }
    }

    pub(super) fn set_state(&mut self, state: GrantState) {
        self.phase = match state {
            GrantState::Active { .. } => Phase::Active,
            GrantState::Ended => Phase::Ended,
            GrantState::Released => Phase::Released,
            GrantState::Withdrawn => Phase::Withdrawn,
            GrantState::Revoked => Phase::Revoked,
        };
    }
}

impl Grants {
    pub(super) fn len(&self) -> usize {
        self.rows.len() as usize
    }

    pub(super) fn number(&self, id: &str) -> Option<Number<GrantId>> {
        Number::at(self.names.number(id)?)
    }

    /// Sends for what finds a grant ([`Names::fetch`]).
    pub(super) fn fetch(&self, id: &str) {
        self.names.fetch(id);
    }

    pub(super) fn get(&self, grant: Number<GrantId>) -> Option<&GrantRow> {
        self.rows.get(grant.place())
    }

    pub(super) fn get_mut(&mut self, grant: Number<GrantId>) -> Option<&mut GrantRow> {
        self.rows.get_mut(grant.place())
    }

    pub(super) fn id(&self, grant: Number<GrantId>) -> Option<&str> {
        self.names.text(self.get(grant)?.id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Number<GrantId>, &GrantRow)> {
        (0..).zip(self.rows.iter()).filter_map(|(place, row)| Some((Number::at(place)?, row)))
    }

    /// Adds a grant whose id is new.
    pub(super) fn add(&mut self, id: &str, row: GrantRow) -> Result<Number<GrantId>, String> {
        let number = Number::at(self.rows.len()).ok_or(FULL)?;
        let id = self.names.add(id, number.place()).ok_or(FULL)?;
        self.rows.push(GrantRow { id, ..row }).ok_or(FULL)?;
        Ok(number)
    }
}
