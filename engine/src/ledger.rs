//! What is written down: the trait that every ledger implements, and one in memory.
//!
//! A ledger keeps three things: the records (events, in order, each under one revision), the answers
//! to commands by their ids, and the audit trail (every command, accepted or refused). It knows no
//! rule of the domain.

mod memory;

pub use memory::MemoryLedger;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::directory::Revision;
use crate::domain::{CommandId, Principal, TicketId, Timestamp};
use crate::event::Event;
use crate::refusal::Refusal;

/// The version of the form in which records are written.
pub const FORMAT: u32 = 1;

/// SHA-256 over a record and the hash of the one before it.
pub type Hash = [u8; 32];

/// Where a ledger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The revision of the last record; 0: none yet.
    pub revision: Revision,
    /// The latest moment at which anything was written, refusals included.
    pub time: Timestamp,
    /// The hash of the last record; zeros: none yet.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty ledger.
    pub const EMPTY: Self = Self { revision: 0, time: Timestamp::MIN, hash: [0; 32] };
}

/// The events of one command, or of one sweep: they happened together, at one revision.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The revision.
    pub revision: Revision,
    /// When they happened.
    pub at: Timestamp,
    /// The ledger's epoch: another one is another ledger.
    pub epoch: String,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// This record's hash; see [`seal`].
    #[serde(with = "digits")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub hash: Hash,
}

/// The hash of a record whose events are written as `payload`, after a record with the hash `previous`.
#[must_use]
pub fn seal(previous: &Hash, epoch: &str, revision: Revision, at: Timestamp, payload: &str) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(FORMAT.to_be_bytes());
    hash.update((epoch.len() as u64).to_be_bytes());
    hash.update(epoch);
    hash.update(revision.to_be_bytes());
    hash.update(at.millis().to_be_bytes());
    hash.update(payload);
    hash.finalize().into()
}

/// What a command was answered: kept, and given again when the command is repeated.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Done {
        /// The revision at which its events stand.
        revision: Revision,
        /// The names of its events, in order.
        events: Vec<String>,
        /// The policies that permitted it, sorted.
        determining_policies: Vec<String>,
    },
    /// It did not.
    Refused(Refusal),
}

/// A command on its way into the ledger.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The caller's id; `None`: the ledger makes one from the number in the audit trail.
    pub id: Option<CommandId>,
    /// Whether the id is this command's from now on. It is not when it was another's before.
    pub binds: bool,
    /// The digest of the body.
    pub digest: Hash,
    /// Who tried.
    pub principal: Principal,
    /// The body as JSON text, without secrets.
    pub body: String,
    /// The answer.
    pub outcome: Arc<Outcome>,
}

/// Names an entry in this process before it is durable and has a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// One that no other entry has.
    #[must_use]
    pub fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is to be appended, all of it or nothing.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name while it is under way.
    pub mark: Mark,
    /// The revision on which it was decided. With another head it is a conflict.
    pub expected: Revision,
    /// The entry that was to make that revision, when it was under way itself. When another one made it,
    /// it is a conflict.
    pub after: Option<Mark>,
    /// The moment at which it was decided. An entry with events has this time, and it is a conflict when
    /// the head's is later: another state was decided on then. One without events, a refusal, has the
    /// head's time instead.
    pub at: Timestamp,
    /// What happened; empty for a refusal.
    pub events: Vec<Event>,
    /// The command; `None` for a sweep.
    pub attempt: Option<Attempt>,
}

impl Entry {
    /// Where this entry belongs.
    #[must_use]
    pub fn place(&self) -> Place {
        let Self { mark, expected, after, at, ref events, attempt: _ } = *self;
        Place { mark, expected, after, at, refusal: events.is_empty() }
    }
}

/// Where an entry belongs: what an [`Entry`] says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its name while it is under way.
    pub mark: Mark,
    /// The revision on which it was decided.
    pub expected: Revision,
    /// The entry that was to make that revision.
    pub after: Option<Mark>,
    /// The moment at which it was decided.
    pub at: Timestamp,
    /// Whether it has no events.
    pub refusal: bool,
}

impl Place {
    /// Whether it is right after a head whose record was written under the mark `last`, if it was written in
    /// this process.
    #[must_use]
    pub fn follows(&self, head: &Head, last: Option<Mark>) -> bool {
        let in_time = self.refusal || self.at >= head.time;
        self.expected == head.revision && in_time && self.after.is_none_or(|after| last == Some(after))
    }
}

/// What an append came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The head after it.
    pub head: Head,
    /// The entry's time.
    pub at: Timestamp,
    /// The command's id, made by the ledger if the caller had none.
    pub command_id: Option<CommandId>,
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The head is another than expected, or later, or the command's id was bound before: catch up, look
    /// the id up, decide again.
    #[error("the ledger moved on: its head is {0}")]
    Conflict(Revision),
    /// The ledger failed. Whether the entry is in it is certain only after reading.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What is wrong with a ledger, with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LedgerError {
    /// A stable code: `ledger_locked`, `ledger_damaged`, `ledger_format`, `ledger_full`, `ledger_io`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl LedgerError {
    /// An error with this code.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The ledger does not hold what it should.
    #[must_use]
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new("ledger_damaged", message)
    }
}

/// The answer under a command's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The digest of the body that was answered.
    pub digest: Hash,
    /// The answer.
    pub outcome: Outcome,
}

/// One line of the audit trail.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number: 1 for the first, one more for each.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The command's id.
    pub id: CommandId,
    /// Who.
    #[serde(rename = "as")]
    pub principal: Principal,
    /// What was asked for, without secrets.
    #[serde(rename = "do")]
    pub command: Value,
    /// The answer.
    pub outcome: Outcome,
}

/// An append under way. It is whoever waits for it that has it written, or another who waits: one that
/// nobody waits for is written with later ones, at the latest when the ledger is closed.
#[must_use = "an append is certain only when it was waited for"]
pub struct Commit(CommitState);

enum CommitState {
    Ready(Result<Appended, AppendError>),
    Later(Box<dyn FnOnce() -> Result<Appended, AppendError> + Send>),
}

impl Commit {
    /// An append that is over.
    pub fn ready(result: Result<Appended, AppendError>) -> Self {
        Self(CommitState::Ready(result))
    }

    /// An append whose result is what `wait` returns, once it is durable or has failed.
    pub fn later(wait: impl FnOnce() -> Result<Appended, AppendError> + Send + 'static) -> Self {
        Self(CommitState::Later(Box::new(wait)))
    }

    /// Waits until the entry is durable.
    ///
    /// # Errors
    /// When it is not.
    pub fn wait(self) -> Result<Appended, AppendError> {
        match self.0 {
            CommitState::Ready(result) => result,
            CommitState::Later(wait) => wait(),
        }
    }
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Commit").finish_non_exhaustive()
    }
}

/// A place where events are written once, in order.
pub trait Ledger: Send + Sync {
    /// What tells this ledger from every other.
    fn epoch(&self) -> &str;

    /// Where it ends.
    ///
    /// # Errors
    /// When the ledger fails.
    fn head(&self) -> Result<Head, LedgerError>;

    /// Appends an entry. Entries are taken in the order of the calls; the result says when one is
    /// durable, so that many may be under way at once.
    fn append(&self, entry: Entry) -> Commit;

    /// The records after revision `after`, at most `limit`, in order and without a gap.
    ///
    /// # Errors
    /// When the ledger fails, or what it holds is not what was written.
    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError>;

    /// Waits until the head is at least `revision`, or `timeout` is over.
    ///
    /// # Errors
    /// When the ledger fails.
    fn wait(&self, revision: Revision, timeout: std::time::Duration) -> Result<Head, LedgerError>;

    /// The answer under a command's id.
    ///
    /// # Errors
    /// When the ledger fails.
    fn answered(&self, id: &CommandId) -> Result<Option<Answered>, LedgerError>;

    /// The audit trail after number `after`, at most `limit` lines, in order.
    ///
    /// # Errors
    /// When the ledger fails.
    fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, LedgerError>;

    /// How often somebody tried to complete a ticket and was refused for the password or the network.
    ///
    /// # Errors
    /// When the ledger fails.
    fn failed_completions(&self, ticket: &TicketId) -> Result<u64, LedgerError>;

    /// The last snapshot that was saved.
    ///
    /// # Errors
    /// When the ledger fails.
    fn snapshot(&self) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Keeps a snapshot of the directory at `revision`, in place of an older one.
    ///
    /// # Errors
    /// When the ledger fails. Nothing is lost by it.
    fn save_snapshot(&self, revision: Revision, bytes: Vec<u8>) -> Result<(), LedgerError>;
}

/// A layer over a ledger: all is as there but for how entries are appended. Whoever watches, delays or refuses
/// appends implements this in place of [`Ledger`].
pub trait Layer: Send + Sync {
    /// The ledger below.
    fn below(&self) -> &dyn Ledger;

    /// Appends an entry to the ledger below, or not.
    fn append_below(&self, entry: Entry) -> Commit;
}

impl<L: Layer> Ledger for L {
    fn epoch(&self) -> &str {
        self.below().epoch()
    }

    fn head(&self) -> Result<Head, LedgerError> {
        self.below().head()
    }

    fn append(&self, entry: Entry) -> Commit {
        self.append_below(entry)
    }

    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError> {
        self.below().read(after, limit)
    }

    fn wait(&self, revision: Revision, timeout: std::time::Duration) -> Result<Head, LedgerError> {
        self.below().wait(revision, timeout)
    }

    fn answered(&self, id: &CommandId) -> Result<Option<Answered>, LedgerError> {
        self.below().answered(id)
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, LedgerError> {
        self.below().audit(after, limit)
    }

    fn failed_completions(&self, ticket: &TicketId) -> Result<u64, LedgerError> {
        self.below().failed_completions(ticket)
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        self.below().snapshot()
    }

    fn save_snapshot(&self, revision: Revision, bytes: Vec<u8>) -> Result<(), LedgerError> {
        self.below().save_snapshot(revision, bytes)
    }
}

/// What a body asks for, as JSON.
///
/// # Errors
/// When it is no JSON.
pub fn command_of(body: &str) -> serde_json::Result<Value> {
    let body: Value = serde_json::from_str(body)?;
    Ok(body.get("do").cloned().unwrap_or_default())
}

/// Whether an attempt counts as a failed completion of a ticket, and of which.
#[must_use]
pub fn failed_completion(attempt: &Attempt) -> Option<String> {
    use crate::refusal::RefusalCode::{LanNotAttested, WeakPassword};
    match &*attempt.outcome {
        Outcome::Refused(refusal) if matches!(refusal.code, WeakPassword | LanNotAttested) => {
            let command = command_of(&attempt.body).ok()?;
            command.pointer("/completeResetTicket/ticket")?.as_str().map(str::to_owned)
        }
        Outcome::Refused(_) | Outcome::Done { .. } => None,
    }
}

/// Bytes in hexadecimal digits.
pub fn hex<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> String {
    let mut text = String::with_capacity(2 * size_of::<Hash>());
    for byte in bytes {
        text.extend(
            [byte >> 4, byte & 0xf].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
    }
    text
}

mod digits {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| serde::de::Error::custom("a hash has 64 hexadecimal digits"))
    }
}
