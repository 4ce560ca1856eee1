//! The façade that a program embeds.

mod queue;
mod writer;

use std::sync::Arc;
use std::time::Duration as Wait;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::command::Submission;
use crate::decide::{Decided, Effect, Lifetimes, decide};
use crate::directory::{Directory, EntityKey, IllegalEvent, Revision};
use crate::domain::{CommandId, Duration, TicketId, Timestamp, Uid, UidRef};
use crate::ledger::{AuditEntry, Ledger, LedgerError, Outcome, Record};
use crate::policy::{
    AccessRequest, ActionKey, Claims, Evaluation, Policies, PolicyErrors, Reading, RequestError, Ruling,
};
use crate::refusal::Refusal;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use crate::view::{GrantFilter, GrantLine, ShowRequest, View};
use queue::Queue;
use writer::{Tip, UnderWay};

/// Consentry, on a ledger. Cloning it is cheap; clones are one engine, and every thread may have one.
///
/// Checks read a directory that stands still, and wait for nobody. Commands take turns to be decided
/// and are written together; each is answered once it is durable.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Arc<dyn Ledger>,
    policies: ArcSwap<Policies>,
    lifetimes: Lifetimes,
    /// What is durable: what every answer is computed on.
    published: ArcSwap<Directory>,
    /// What commands are decided on: what is durable and what is on its way to be.
    tip: Mutex<Tip>,
    queue: Queue<Engine>,
    under_way: UnderWay,
    /// The greatest moment that the engine was given: its time never runs backwards.
    latest: AtomicI64,
    /// The revision of the last snapshot.
    snapshot: AtomicU64,
}

/// Which lifecycle a lifetime is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Invites.
    Invite,
    /// Permission applications.
    PermissionApplication,
    /// Reset tickets.
    ResetTicket,
}

/// Sets an engine up.
pub struct Builder {
    ledger: Arc<dyn Ledger>,
    policies: Option<Policies>,
    lifetimes: Lifetimes,
}

/// Why the engine could not do its work. A denial or refusal is no error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger holds what cannot have happened.
    #[error(transparent)]
    History(#[from] IllegalEvent),
    /// The policies cannot be used.
    #[error(transparent)]
    Policies(#[from] PolicyErrors),
}

impl EngineError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.code,
            Self::History(_) => "ledger_damaged",
            Self::Policies(_) => "policy_invalid",
        }
    }
}

/// What a command was answered, once it is durable.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It happened.
    Done(Receipt),
    /// It did not.
    Refused {
        /// The command's id.
        command_id: CommandId,
        /// Why.
        refusal: Refusal,
    },
}

/// That a command happened.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// The command's id.
    pub command_id: CommandId,
    /// The revision at which its events stand: a check that knows at least this one knows them.
    pub revision: Revision,
    /// The names of its events, in order.
    pub events: Vec<String>,
    /// The policies that permitted it, sorted.
    pub determining_policies: Vec<String>,
    /// What the submitter has to do in the world. Given once: a repeated command does not get it.
    #[serde(skip)]
    pub effect: Option<Effect>,
}

impl Answer {
    fn from_outcome(command_id: CommandId, outcome: Outcome, effect: Option<Effect>) -> Self {
        match outcome {
            Outcome::Done { revision, events, determining_policies } => {
                Self::Done(Receipt { command_id, revision, events, determining_policies, effect })
            }
            Outcome::Refused(refusal) => Self::Refused { command_id, refusal },
        }
    }

    /// The receipt, if it happened.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Done(receipt) => Some(receipt),
            Self::Refused { .. } => None,
        }
    }

    /// The refusal, if it did not.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Done(_) => None,
            Self::Refused { refusal, .. } => Some(refusal),
        }
    }
}

impl Builder {
    /// The policies to ask; without this, those that come with Consentry.
    #[must_use]
    pub fn policies(self, policies: Policies) -> Self {
        Self { policies: Some(policies), ..self }
    }

    /// How long things of this kind wait for their answer; without this, 24 hours. What is pending
    /// already keeps the deadline that it has.
    #[must_use]
    pub fn lifetime(mut self, asked: Asked, lifetime: Duration) -> Self {
        match asked {
            Asked::Invite => self.lifetimes.invite = lifetime,
            Asked::PermissionApplication => self.lifetimes.permission_application = lifetime,
            Asked::ResetTicket => self.lifetimes.reset_ticket = lifetime,
        }
        self
    }

    /// Reads the ledger, and the engine is ready. O(events since the last snapshot).
    ///
    /// # Errors
    /// When the ledger fails or holds what cannot have happened.
    pub fn open(self) -> Result<Engine, EngineError> {
        let policies = self.policies.map_or_else(Policies::shipped, Ok)?;
        let (directory, snapshot) = writer::recover(&*self.ledger)?;
        let latest = AtomicI64::new(self.ledger.head()?.time.millis());
        let inner = Inner {
            ledger: self.ledger,
            policies: ArcSwap::from_pointee(policies),
            lifetimes: self.lifetimes,
            tip: Mutex::new(Tip::new(directory.clone())),
            published: ArcSwap::from_pointee(directory),
            queue: Queue::default(),
            under_way: UnderWay::default(),
            latest,
            snapshot: AtomicU64::new(snapshot),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }
}

impl Engine {
    /// An engine on `ledger`, to be set up.
    #[must_use]
    pub fn builder(ledger: impl Ledger + 'static) -> Builder {
        Builder { ledger: Arc::new(ledger), policies: None, lifetimes: Lifetimes::default() }
    }

    /// An engine on `ledger` with the policies that come with Consentry.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(ledger: impl Ledger + 'static) -> Result<Self, EngineError> {
        Self::builder(ledger).open()
    }

    /// The moment that counts: the latest that the engine was given, and at least `now`.
    fn latch(&self, now: Timestamp) -> Timestamp {
        let latest = &self.inner.latest;
        // Most checks come within a millisecond after others: those write nothing that all of them share.
        let mut before = latest.load(Ordering::Acquire);
        if before < now.millis() {
            before = latest.fetch_max(now.millis(), Ordering::AcqRel);
        }
        Timestamp::from_millis(before.max(now.millis()))
    }

    /// Asks whether a principal may do something now. Waits for no writer; its cost does not depend
    /// on how many grants there are.
    ///
    /// # Errors
    /// When the request is not a question; a denial is an answer.
    pub fn evaluate(&self, request: &AccessRequest, now: Timestamp) -> Result<Evaluation, RequestError> {
        let now = self.latch(now);
        let directory = self.inner.published.load();
        self.inner.policies.load().evaluate(&**directory, directory.revision(), request, now)
    }

    /// The key of somebody or something, to be asked about with [`Engine::check`]. It is good for as long as this engine
    /// is. `None`: it has no key, see [`Directory::key`].
    #[must_use]
    pub fn key<'a>(&self, uid: impl Into<UidRef<'a>>) -> Option<EntityKey> {
        self.inner.published.load().key(uid)
    }

    /// The key of an action, to be asked about with [`Engine::check`]. `None`: there is no such action.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<ActionKey> {
        self.inner.policies.load().action(name)
    }

    /// As [`Engine::evaluate`], of those who are known by key: see [`Policies::check`].
    #[must_use]
    pub fn check(
        &self,
        principal: EntityKey,
        action: &ActionKey,
        resource: EntityKey,
        now: Timestamp,
    ) -> Ruling {
        let now = self.latch(now);
        let directory = self.inner.published.load();
        self.inner.policies.load().check(&directory, (principal, action, resource), now)
    }

    /// As [`Engine::evaluate`], without the names of policies and with nothing said beside: see [`Policies::check_named`].
    #[must_use]
    pub fn check_named(
        &self,
        principal: UidRef<'_>,
        action: &str,
        resource: UidRef<'_>,
        now: Timestamp,
    ) -> Ruling {
        let now = self.latch(now);
        let directory = self.inner.published.load();
        self.inner.policies.load().check_named(&directory, (principal, action, resource), now)
    }

    /// What `principal` may do to `resource`, and until when, sorted by action: all of it on one revision. One check for
    /// each action that the schema has for the two.
    #[must_use]
    pub fn permitted(
        &self,
        principal: &Uid,
        resource: &Uid,
        now: Timestamp,
    ) -> Vec<(String, Option<Timestamp>)> {
        self.reading(now).permitted(principal, resource, &Claims::default()).unwrap_or_default()
    }

    /// Policies and facts as they are now: for several questions that are to be answered from the same.
    #[must_use]
    pub fn reading(&self, now: Timestamp) -> Reading {
        let now = self.latch(now);
        let directory = self.inner.published.load_full();
        let policies = Policies::clone(&self.inner.policies.load());
        let revision = directory.revision();
        Reading::new(policies, directory, revision, now)
    }

    /// What `submission` would be refused with at `now`; `None`: it would happen. Nothing does happen: neither is it
    /// written down, nor kept from being refused a moment later.
    #[must_use]
    pub fn rehearse(&self, submission: &Submission, now: Timestamp) -> Option<Refusal> {
        let now = self.latch(now);
        let (directory, policies) = (self.inner.published.load(), self.inner.policies.load());
        match decide(&directory, submission, &**policies, &self.inner.lifetimes, now) {
            Decided::Accepted { .. } => None,
            Decided::Refused { refusal, .. } => Some(refusal),
        }
    }

    /// Where a thing stands. `None`: there is no such thing. What is shown as over stays over: where time alone
    /// says so, this waits for what was decided before that time and is being written. (What another engine on the same
    /// ledger is writing at that moment is not waited for.)
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn show(&self, request: &ShowRequest, now: Timestamp) -> Result<Option<View>, EngineError> {
        let mut view = self.look(|directory, now| crate::view::show(directory, request, now), now)?;
        if let (ShowRequest::Ticket(id), Some(view)) = (request, &mut view) {
            view.failed_completions = Some(self.failed_completions(id)?);
        }
        Ok(view)
    }

    fn failed_completions(&self, ticket: &TicketId) -> Result<u64, EngineError> {
        Ok(self.inner.ledger.failed_completions(ticket)?)
    }

    /// The grants that fit the filter, sorted by id. Waits as [`Engine::show`] does.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn list_grants(&self, filter: &GrantFilter, now: Timestamp) -> Result<Vec<GrantLine>, EngineError> {
        let now = self.latch(now);
        let look = |directory: &Directory| crate::view::list_grants(directory, filter, now);
        let directory = self.inner.published.load_full();
        let lines = look(&directory);
        let by_time_alone = |line: &GrantLine| {
            let ended = crate::lifecycle::grant::GrantState::Ended.name();
            let grant = directory.grant(line.grant.as_str());
            line.state == ended && grant.is_some_and(|grant| grant.state().name() != ended)
        };
        // A grant does not come back: what is left out because it is over stays out.
        if lines.iter().any(by_time_alone) {
            self.settled(now)?;
            return Ok(look(&self.inner.published.load()));
        }
        Ok(lines)
    }

    /// What `look` sees in the directory at `now`. Waits as [`Engine::show`] does, where time alone makes a difference to
    /// what is seen.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn look<T: PartialEq>(
        &self,
        look: impl Fn(&Directory, Timestamp) -> T,
        now: Timestamp,
    ) -> Result<T, EngineError> {
        let now = self.latch(now);
        let directory = self.inner.published.load_full();
        let seen = look(&directory, now);
        if seen == look(&directory, Timestamp::MIN) {
            return Ok(seen);
        }
        self.settled(now)?;
        Ok(look(&self.inner.published.load(), now))
    }

    /// The directory at this moment: a value that stands still.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.published.load_full()
    }

    /// The policies that are asked.
    #[must_use]
    pub fn policies(&self) -> Arc<Policies> {
        self.inner.policies.load_full()
    }

    /// Asks other policies from now on. Every answer is given by one set or by the other.
    pub fn replace_policies(&self, policies: Policies) {
        self.inner.policies.store(Arc::new(policies));
    }

    /// The audit trail after number `after`, at most `limit` lines: every command, who gave it, when,
    /// and what it was answered.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, EngineError> {
        Ok(self.inner.ledger.audit(after, limit)?)
    }

    /// The events from revision `from` on (1: from the beginning): first those that happened, then
    /// each as it happens. Gapless and in order; a subscriber that starts again from the revision
    /// after the last it dealt with misses none.
    #[must_use]
    pub fn subscribe(&self, from: Revision) -> Subscription {
        Subscription {
            ledger: self.inner.ledger.clone(),
            after: from.saturating_sub(1),
            read: Vec::new().into_iter(),
        }
    }

    /// Keeps a snapshot of what is durable in the ledger, from which it opens faster. O(size).
    ///
    /// # Errors
    /// When the ledger fails. Nothing is lost by it.
    pub fn save_snapshot(&self) -> Result<(), EngineError> {
        let directory = self.directory();
        let bytes = directory.to_bytes().map_err(|error| LedgerError::new("ledger_io", error.to_string()))?;
        Ok(self.inner.ledger.save_snapshot(directory.revision(), bytes)?)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("revision", &self.inner.published.load().revision())
            .finish_non_exhaustive()
    }
}

/// Events as they happened and happen.
pub struct Subscription {
    ledger: Arc<dyn Ledger>,
    after: Revision,
    read: std::vec::IntoIter<Record>,
}

/// Records that a subscription reads at once.
const PAGE: usize = 256;

impl Subscription {
    /// The next record; `None` when there is none within `patience`.
    ///
    /// # Errors
    /// When the ledger fails. The same record comes again at the next try.
    pub fn next_within(&mut self, patience: Wait) -> Result<Option<Record>, LedgerError> {
        if self.read.as_slice().is_empty() {
            if self.ledger.wait(self.after + 1, patience)?.revision <= self.after {
                return Ok(None);
            }
            self.read = self.ledger.read(self.after, PAGE)?.into_iter();
        }
        let record = self.read.next();
        if let Some(record) = &record {
            self.after = record.revision;
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
