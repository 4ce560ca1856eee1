use consentry::domain::Timestamp;
use consentry::ledger::{Answered, AuditEntry, FORMAT, Hash, command_of};
use rusqlite::Row;
use sha2::{Digest as _, Sha256};

use super::{Link, number};
use crate::fault::Fault;

/// A line of the audit trail, as it is written.
#[derive(Debug)]
pub(crate) struct Line<T = String> {
    pub(crate) number: u64,
    /// Milliseconds since the Unix epoch, as stored.
    pub(crate) at: i64,
    pub(crate) command_id: T,
    /// 1: the id is this command's from now on; 0: it is not.
    pub(crate) binds: i64,
    pub(crate) digest: Hash,
    pub(crate) principal: T,
    pub(crate) body: T,
    pub(crate) outcome: T,
    pub(crate) failed_ticket: Option<T>,
    pub(crate) hash: Hash,
}

impl Link for Line {
    const NAME: &'static str = "audit line";
    const TABLE: &'static str = "audit";
    const KEY: &'static str = "number";
    const COLUMNS: &'static str =
        "number, at, command_id, binds, digest, principal, body, outcome, failed_ticket, hash";

    fn load(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: number(row, 0)?,
            at: row.get(1)?,
            command_id: row.get(2)?,
            binds: row.get(3)?,
            digest: row.get(4)?,
            principal: row.get(5)?,
            body: row.get(6)?,
            outcome: row.get(7)?,
            failed_ticket: row.get(8)?,
            hash: row.get(9)?,
        })
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn hash(&self) -> &Hash {
        &self.hash
    }

    fn sealed(&self, previous: &Hash, epoch: &str) -> Option<Hash> {
        Some(self.seal(previous, epoch))
    }
}

impl<T: AsRef<str>> Line<T> {
    /// The hash of this line after one with the hash `previous`. It covers every column.
    pub(crate) fn seal(&self, previous: &Hash, epoch: &str) -> Hash {
        let mut hash = Sha256::new();
        hash.update(b"audit");
        hash.update(previous);
        hash.update(FORMAT.to_be_bytes());
        hash.update(self.number.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        hash.update(self.binds.to_be_bytes());
        hash.update(self.digest);
        hash.update([u8::from(self.failed_ticket.is_some())]);
        let ticket = self.failed_ticket.as_ref().map_or("", AsRef::as_ref);
        let [id, principal, body, outcome] =
            [&self.command_id, &self.principal, &self.body, &self.outcome].map(AsRef::as_ref);
        for text in [epoch, id, principal, body, outcome, ticket] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }
}

impl Line {
    pub(crate) fn into_entry(self) -> Result<AuditEntry, Fault> {
        let number = self.number;
        Ok(AuditEntry {
            number,
            at: Timestamp::from_millis(self.at),
            id: parsed(number, self.command_id.parse())?,
            principal: parsed(number, self.principal.parse())?,
            command: parsed(number, command_of(&self.body))?,
            outcome: parsed(number, serde_json::from_str(&self.outcome))?,
        })
    }

    pub(crate) fn into_answer(self) -> Result<Answered, Fault> {
        let outcome = parsed(self.number, serde_json::from_str(&self.outcome))?;
        Ok(Answered { digest: self.digest, outcome })
    }
}

fn parsed<T, E: std::fmt::Display>(number: u64, result: Result<T, E>) -> Result<T, Fault> {
    result.map_err(|error| Fault::Damaged(format!("audit line {number} cannot be read: {error}")))
}
