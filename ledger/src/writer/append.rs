use std::io::Write as _;

use consentry::domain::{CommandId, Timestamp};
use consentry::ledger::{
    AppendError, Appended, Attempt, Entry, Hash, Head, LedgerError, Place, failed_completion, seal,
};
use rusqlite::{CachedStatement, Connection, ffi, params};

use crate::chain::{Line, Link as _, key};
use crate::tail::Tail;
use crate::turns::Answer;

/// An entry in the form in which it will be written, so that nothing in it can fail a whole batch.
#[derive(Debug)]
pub(crate) struct Prepared {
    place: Place,
    /// The events, if there are any, and what the attempt is written as: one text, that it be one allocation.
    text: String,
    /// Where in the text the events end.
    events: usize,
    attempt: Option<PreparedAttempt>,
}

#[derive(Debug)]
struct PreparedAttempt {
    id: Option<CommandId>,
    binds: bool,
    digest: Hash,
    body: String,
    /// Where in the text behind the events the outcome ends, and the principal begins.
    outcome: usize,
    failed_ticket: Option<String>,
}

/// Bytes that most texts fit into.
const TEXT: usize = 512;

impl Prepared {
    pub(crate) fn new(entry: Entry) -> Result<Self, LedgerError> {
        Self::written(entry)
            .map_err(|error| LedgerError::new("ledger_io", format!("an entry cannot be written: {error}")))
    }

    fn written(entry: Entry) -> serde_json::Result<Self> {
        let place = entry.place();
        let mut text = Vec::with_capacity(TEXT);
        if !place.refusal {
            serde_json::to_writer(&mut text, &entry.events)?;
        }
        let events = text.len();
        let attempt =
            entry.attempt.map(|attempt| PreparedAttempt::new(attempt, &mut text, events)).transpose()?;
        let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
        Ok(Self { place, text, events, attempt })
    }
}

impl PreparedAttempt {
    fn new(attempt: Attempt, text: &mut Vec<u8>, events: usize) -> serde_json::Result<Self> {
        serde_json::to_writer(&mut *text, &*attempt.outcome)?;
        let outcome = text.len() - events;
        let failed_ticket = failed_completion(&attempt);
        let Attempt { id, binds, digest, principal, body, outcome: _ } = attempt;
        write!(text, "{principal}").map_err(serde_json::Error::io)?;
        Ok(Self { id, binds, digest, body, outcome, failed_ticket })
    }

    /// What is written of it, from the text behind the events.
    fn line<'a>(
        &'a self,
        text: &'a str,
        number: u64,
        at: Timestamp,
        id: &'a CommandId,
    ) -> rusqlite::Result<Line<&'a str>> {
        let (outcome, principal) = split(text, self.outcome)?;
        Ok(Line {
            number,
            at: at.millis(),
            command_id: id.as_str(),
            binds: self.binds.into(),
            digest: self.digest,
            principal,
            body: &self.body,
            outcome,
            failed_ticket: self.failed_ticket.as_deref(),
            hash: [0; 32],
        })
    }
}

/// A prepared text in two. INVARIANT: it was written up to there at first.
fn split(text: &str, at: usize) -> rusqlite::Result<(&str, &str)> {
    text.split_at_checked(at).ok_or(rusqlite::Error::InvalidQuery)
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
        let Prepared { place, text, events, attempt } = prepared;
        let (payload, text) = split(&text, events)?;
        let conflict = Ok(Err(AppendError::Conflict(tail.head.revision)));
        if !place.follows(&tail.head, tail.last) {
            return conflict;
        }
        let at = place.at.max(tail.head.time);
        let mut command_id = None;
        if let Some(mut attempt) = attempt {
            let number = tail.lines + 1;
            let id = attempt.id.take().unwrap_or_else(|| CommandId::engine_made(number));
            // Before the record: a line that the id keeps out leaves nothing behind.
            match self.append_line(tail, at, attempt.line(text, number, at, &id)?) {
                Err(error) if is_bound(&error) => return conflict,
                line => line?,
            }
            command_id = Some(id);
        }
        if !place.refusal {
            self.append_record(tail, at, payload)?;
            tail.last = Some(place.mark);
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

    fn append_line(&mut self, tail: &mut Tail, at: Timestamp, mut line: Line<&str>) -> rusqlite::Result<()> {
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
