//! The two chains: records and audit lines. Each link's hash covers the link and the hash before it.

mod line;
mod record;

use consentry::ledger::Hash;
use rusqlite::{Connection, OptionalExtension as _, Row};

pub(crate) use line::Line;
pub(crate) use record::StoredRecord;

use crate::fault::Fault;

/// A row of one of the chains.
pub(crate) trait Link: Sized {
    /// What it is called in messages.
    const NAME: &'static str;
    /// The table, and its key: 1 for the first link, one more for each.
    const TABLE: &'static str;
    const KEY: &'static str;
    /// What [`Link::load`] wants, in its order.
    const COLUMNS: &'static str;

    fn load(row: &Row<'_>) -> rusqlite::Result<Self>;
    fn number(&self) -> u64;
    fn hash(&self) -> &Hash;
    /// The hash that this link has after a link with the hash `previous`; `None`: it can have none.
    fn sealed(&self, previous: &Hash, epoch: &str) -> Option<Hash>;
}

/// A number as SQLite keeps it. None that this crate makes is too large.
pub(crate) fn key(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that SQLite kept.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The hash of one link as it is stored, zeros before the first; `None`: there is no such link.
pub(crate) fn stored_hash<L: Link>(connection: &Connection, number: u64) -> Result<Option<Hash>, Fault> {
    if number == 0 {
        return Ok(Some([0; 32]));
    }
    let sql = format!("SELECT hash FROM {} WHERE {} = ?1", L::TABLE, L::KEY);
    Ok(connection.query_row(&sql, [key(number)], |row| row.get(0)).optional()?)
}

/// The last link as it is stored.
pub(crate) fn last<L: Link>(connection: &Connection) -> Result<Option<L>, Fault> {
    let sql = format!("SELECT {} FROM {} ORDER BY {} DESC LIMIT 1", L::COLUMNS, L::TABLE, L::KEY);
    Ok(connection.query_row(&sql, [], L::load).optional()?)
}

/// Hands over `count` links after number `after`, in order, each proven to be what was written after
/// the link before it. Fewer are damage. The answer is the hash of the last one.
pub(crate) fn walk<L: Link>(
    connection: &Connection,
    epoch: &str,
    after: u64,
    count: u64,
    mut each: impl FnMut(L) -> Result<(), Fault>,
) -> Result<Hash, Fault> {
    let missing = |number: u64| Fault::Damaged(format!("{} {number} is missing", L::NAME));
    let mut previous = stored_hash::<L>(connection, after)?.ok_or_else(|| missing(after))?;
    let sql = format!("SELECT {} FROM {} WHERE {} > ?1 ORDER BY {2} LIMIT ?2", L::COLUMNS, L::TABLE, L::KEY);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([key(after), key(count)])?;
    for expected in (1..=count).map(|nth| after.saturating_add(nth)) {
        let row = rows.next()?.ok_or_else(|| missing(expected))?;
        let link = L::load(row)?;
        if link.number() != expected {
            return Err(missing(expected));
        }
        if link.sealed(&previous, epoch) != Some(*link.hash()) {
            return Err(Fault::Damaged(format!("{} {expected} is not what was written", L::NAME)));
        }
        previous = *link.hash();
        each(link)?;
    }
    Ok(previous)
}
