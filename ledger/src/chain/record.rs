use consentry::directory::Revision;
use consentry::domain::Timestamp;
use consentry::ledger::{Hash, Record, seal};
use rusqlite::Row;

use super::{Link, number};
use crate::fault::Fault;

/// A record, with its events as they are written.
#[derive(Debug)]
pub(crate) struct StoredRecord {
    pub(crate) revision: Revision,
    /// Milliseconds since the Unix epoch, as stored.
    pub(crate) at: i64,
    pub(crate) payload: String,
    pub(crate) hash: Hash,
}

impl Link for StoredRecord {
    const NAME: &'static str = "record";
    const TABLE: &'static str = "records";
    const KEY: &'static str = "revision";
    const COLUMNS: &'static str = "revision, at, payload, hash";

    fn load(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { revision: number(row, 0)?, at: row.get(1)?, payload: row.get(2)?, hash: row.get(3)? })
    }

    fn number(&self) -> u64 {
        self.revision
    }

    fn hash(&self) -> &Hash {
        &self.hash
    }

    fn sealed(&self, previous: &Hash, epoch: &str) -> Option<Hash> {
        // A moment out of range is held within it, and would pass for the moment at its end.
        let at = Timestamp::from_millis(self.at);
        (at.millis() == self.at).then(|| seal(previous, epoch, self.revision, at, &self.payload))
    }
}

impl StoredRecord {
    pub(crate) fn into_record(self, epoch: &str) -> Result<Record, Fault> {
        let events = serde_json::from_str(&self.payload).map_err(|error| {
            Fault::Damaged(format!("the events of record {} cannot be read: {error}", self.revision))
        })?;
        Ok(Record {
            revision: self.revision,
            at: Timestamp::from_millis(self.at),
            epoch: epoch.to_owned(),
            events,
            hash: self.hash,
        })
    }
}
