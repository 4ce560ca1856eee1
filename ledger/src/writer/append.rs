use std::sync::Arc;

use consentry::domain::{CommandId, Timestamp};
use consentry::ledger::{
    AppendError, Appended, Attempt, Entry, Hash, Head, LedgerError, failed_completion, seal,
};
use rusqlite::{CachedStatement, Connection, ffi, params};
use serde_json::to_string;

use crate::chain::{Line, Link as _, key};
use crate::tail::Tail;
use crate::turns::Answer;

/// An entry in the form in which it will be written, so that nothing in it can fail a whole batch.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The entry, without its attempt.
    entry: Entry,
    /// The events; `None`: there are none.
    payload: Option<String>,
    attempt: Option<PreparedAttempt>,
}

#[derive(Debug)]
struct PreparedAttempt {
    id: Option<CommandId>,
    binds: bool,
    digest: Hash,
    principal: String,
    body: Arc<str>,
    outcome: String,
    failed_ticket: Option<String>,
}

impl Prepared {
    pub(crate) fn new(mut entry: Entry) -> Result<Self, LedgerError> {
        let prepared = || -> Result<Self, serde_json::Error> {
            let attempt = entry.attempt.take().map(PreparedAttempt::new).transpose()?;
            let payload = (!entry.events.is_empty()).then(|| to_string(&entry.events)).transpose()?;
            Ok(Self { entry, payload, attempt })
        };
        prepared()
            .map_err(|error| LedgerError::new("ledger_io", format!("an entry cannot be written: {error}")))
    }
}

impl PreparedAttempt {
    fn new(attempt: Attempt) -> Result<Self, serde_json::Error> {
        Ok(Self {
            failed_ticket: failed_completion(&attempt),
            principal: attempt.principal.to_string(),
            body: attempt.body,
            outcome: to_string(&attempt.outcome)?,
            id: attempt.id,
            binds: attempt.binds,
            digest: attempt.digest,
        })
    }

    fn into_line(self, number: u64, at: Timestamp, id: &CommandId) -> Line {
        Line {
            number,
            at: at.millis(),
            command_id: id.as_str().to_owned(),
            binds: self.binds.into(),
            digest: self.digest,
            principal: self.principal,
            body: self.body,
            outcome: self.outcome,
            failed_ticket: self.failed_ticket,
            hash: [0; 32],
        }
    }
}

/// What a transaction does again and again. One that is not committed is to be rolled back.
pub(super) struct Statements<'a> {
    connection: &'a Connection,
    epoch: &'a str,
    record: CachedStatement<'a>,
    line: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    /// Begins a transaction.
    pub(super) fn begin(connection: &'a Connection, epoch: &'a str) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self {
            connection,
            epoch,
            record: connection.prepare_cached(
                "INSERT INTO records (revision, at, payload, hash) VALUES (?1, ?2, ?3, ?4)",
            )?,
            line: connection.prepare_cached(&format!(
                "INSERT INTO audit ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                Line::COLUMNS
            ))?,
        })
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    /// Writes an entry after `tail`, which moves with it. A conflict is the entry's own and writes nothing;
    /// an error is the transaction's.
    pub(super) fn append(&mut self, tail: &mut Tail, prepared: Prepared) -> rusqlite::Result<Answer> {
        let Prepared { entry, payload, attempt } = prepared;
        let conflict = Ok(Err(AppendError::Conflict(tail.head.revision)));
        if !entry.follows(&tail.head, tail.last) {
            return conflict;
        }
        let number = tail.lines + 1;
        let attempt = attempt.map(|mut attempt| {
            let id = attempt.id.take().unwrap_or_else(|| CommandId::engine_made(number));
            (attempt, id)
        });
        let at = entry.at.max(tail.head.time);
        let command_id = attempt.as_ref().map(|(_, id)| id.clone());
        if let Some((attempt, id)) = attempt {
            // Before the record: a line that the id keeps out leaves nothing behind.
            match self.append_line(tail, at, attempt.into_line(number, at, &id)) {
                Err(error) if is_bound(&error) => return conflict,
                line => line?,
            }
        }
        if let Some(payload) = payload {
            self.append_record(tail, at, &payload)?;
            tail.last = Some(entry.mark);
        }
        Ok(Ok(Appended { head: tail.head, at, command_id }))
    }

    fn append_record(&mut self, tail: &mut Tail, at: Timestamp, payload: &str) -> rusqlite::Result<()> {
        let revision = tail.head.revision + 1;
        let hash = seal(&tail.head.hash, self.epoch, revision, at, payload);
        self.record.execute(params![key(revision), at.millis(), payload, hash])?;
        tail.head = Head { revision, time: at, hash };
        Ok(())
    }

    fn append_line(&mut self, tail: &mut Tail, at: Timestamp, mut line: Line) -> rusqlite::Result<()> {
        line.hash = line.seal(&tail.line_hash, self.epoch);
        self.line.execute(params![
            key(line.number),
            line.at,
            line.command_id,
            line.binds,
            line.digest,
            line.principal,
            line.body,
            line.outcome,
            line.failed_ticket,
            line.hash
        ])?;
        tail.head.time = at;
        tail.lines = line.number;
        tail.line_hash = line.hash;
        Ok(())
    }
}

/// Whether a line was kept out because its command's id was bound before.
fn is_bound(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(ffi::SQLITE_CONSTRAINT_UNIQUE)
}
