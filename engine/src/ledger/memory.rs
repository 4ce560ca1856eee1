use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::{
    Answered, AppendError, Appended, AuditEntry, Commit, Entry, Head, Ledger, LedgerError, Mark, Record,
    command_of, failed_completion, seal,
};
use crate::directory::Revision;
use crate::domain::{CommandId, TicketId, Timestamp};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// A ledger that ends with its process: for tests, and for trying things out.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    inner: Mutex<Inner>,
    grown: Condvar,
}

#[derive(Debug, Clone)]
struct Inner {
    head: Head,
    /// The mark of the entry that made the head's revision.
    last: Option<Mark>,
    records: Vec<Record>,
    audit: Vec<Line>,
    answers: HashMap<CommandId, Answered>,
    failures: HashMap<String, u64>,
    snapshot: Option<Vec<u8>>,
}

/// A line of the audit trail, and the body that says what was asked for.
#[derive(Debug, Clone)]
struct Line {
    entry: AuditEntry,
    body: String,
}

impl Line {
    fn read(self) -> Result<AuditEntry, LedgerError> {
        let command = command_of(&self.body).map_err(|error| LedgerError::damaged(error.to_string()))?;
        Ok(AuditEntry { command, ..self.entry })
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            head: Head::EMPTY,
            last: None,
            records: Vec::new(),
            audit: Vec::new(),
            answers: HashMap::new(),
            failures: HashMap::new(),
            snapshot: None,
        }
    }
}

const EPOCH: &str = "memory";

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// INVARIANT: nothing panics while it holds the lock, so that a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryLedger {
    /// A ledger with the same past, which goes its own way. O(what it holds).
    fn clone(&self) -> Self {
        Self { inner: Mutex::new(self.lock().clone()), grown: Condvar::new() }
    }
}

impl Inner {
    fn append(&mut self, entry: Entry) -> Result<Appended, AppendError> {
        if !entry.place().follows(&self.head, self.last) {
            return Err(AppendError::Conflict(self.head.revision));
        }
        let id =
            entry.attempt.as_ref().filter(|attempt| attempt.binds).and_then(|attempt| attempt.id.as_ref());
        if id.is_some_and(|id| self.answers.contains_key(id)) {
            return Err(AppendError::Conflict(self.head.revision));
        }
        let at: Timestamp = entry.at.max(self.head.time);
        self.head.time = at;
        if !entry.events.is_empty() {
            let payload = serde_json::to_string(&entry.events)
                .map_err(|error| LedgerError::new("ledger_io", error.to_string()))?;
            let revision = self.head.revision + 1;
            let hash = seal(&self.head.hash, EPOCH, revision, at, &payload);
            self.records.push(Record { revision, at, epoch: EPOCH.to_owned(), events: entry.events, hash });
            self.head = Head { revision, time: at, hash };
            self.last = Some(entry.mark);
        }
        let command_id = entry.attempt.map(|attempt| {
            let number = self.audit.len() as u64 + 1;
            let id = attempt.id.clone().unwrap_or_else(|| CommandId::engine_made(number));
            if let Some(ticket) = failed_completion(&attempt) {
                *self.failures.entry(ticket).or_default() += 1;
            }
            if attempt.binds {
                let answered = Answered { digest: attempt.digest, outcome: (*attempt.outcome).clone() };
                self.answers.insert(id.clone(), answered);
            }
            let entry = AuditEntry {
                number,
                at,
                id: id.clone(),
                principal: attempt.principal,
                command: Value::Null,
                outcome: Arc::unwrap_or_clone(attempt.outcome),
            };
            self.audit.push(Line { entry, body: attempt.body });
            id
        });
        Ok(Appended { head: self.head, at, command_id })
    }
}

fn page<T: Clone>(all: &[T], after: u64, limit: usize) -> Vec<T> {
    let start = usize::try_from(after).unwrap_or(usize::MAX);
    all.iter().skip(start).take(limit).cloned().collect()
}

impl Ledger for MemoryLedger {
    fn epoch(&self) -> &str {
        EPOCH
    }

    fn head(&self) -> Result<Head, LedgerError> {
        Ok(self.lock().head)
    }

    fn append(&self, entry: Entry) -> Commit {
        let result = self.lock().append(entry);
        self.grown.notify_all();
        Commit::ready(result)
    }

    fn read(&self, after: Revision, limit: usize) -> Result<Vec<Record>, LedgerError> {
        Ok(page(&self.lock().records, after, limit))
    }

    fn wait(&self, revision: Revision, timeout: std::time::Duration) -> Result<Head, LedgerError> {
        let waited =
            self.grown.wait_timeout_while(self.lock(), timeout, |inner| inner.head.revision < revision);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(inner.head)
    }

    fn answered(&self, id: &CommandId) -> Result<Option<Answered>, LedgerError> {
        Ok(self.lock().answers.get(id).cloned())
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, LedgerError> {
        let lines = page(&self.lock().audit, after, limit);
        lines.into_iter().map(Line::read).collect()
    }

    fn failed_completions(&self, ticket: &TicketId) -> Result<u64, LedgerError> {
        Ok(self.lock().failures.get(ticket.as_str()).copied().unwrap_or(0))
    }

    fn snapshot(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.lock().snapshot.clone())
    }

    fn save_snapshot(&self, _: Revision, bytes: Vec<u8>) -> Result<(), LedgerError> {
        self.lock().snapshot = Some(bytes);
        Ok(())
    }
}
