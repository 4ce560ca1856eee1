//! Commands: one after the other decided, together written.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::{Answer, Engine, EngineError};
use crate::command::{Submission, digest};
use crate::decide::{Decided, Effect, decide, overdue};
use crate::directory::{Directory, Revision};
use crate::domain::{CommandId, Timestamp};
use crate::event::Event;
use crate::ledger::{AppendError, Attempt, Commit, Entry, Hash, Ledger, LedgerError, Mark, Outcome};
use crate::refusal::{Refusal, RefusalCode};

/// Records that are read at once when catching up.
const PAGE: usize = 4096;

/// Records after which a new snapshot is saved.
const SNAPSHOT_EVERY: Revision = 50_000;

/// What the next command is decided on. It runs ahead of what is durable by what is under way.
pub(super) struct Tip {
    directory: Directory,
    /// The last entry that the directory comes from and that was not durable when it was sent.
    last: Option<Mark>,
    /// Counts the times that the tip was thrown away because an append failed.
    generation: u64,
}

impl Tip {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, last: None, generation: 0 }
    }
}

/// The directory that a ledger's events lead to: from its snapshot if there is one that can be used,
/// from the beginning otherwise.
///
/// Says also at which revision the snapshot was.
pub(super) fn recover(ledger: &dyn Ledger) -> Result<(Directory, Revision), EngineError> {
    let head = ledger.head()?;
    let mut directory = ledger
        .snapshot()?
        .and_then(|bytes| Directory::from_bytes(&bytes).ok())
        .filter(|directory| directory.revision() <= head.revision)
        .unwrap_or_default();
    let snapshot = directory.revision();
    catch_up(&mut directory, ledger)?;
    Ok((directory, snapshot))
}

fn catch_up(directory: &mut Directory, ledger: &dyn Ledger) -> Result<(), EngineError> {
    loop {
        let records = ledger.read(directory.revision(), PAGE)?;
        let whole = records.len() < PAGE;
        for record in records {
            directory.apply(record.revision, record.at, &record.events)?;
        }
        if whole {
            return Ok(());
        }
    }
}

/// An append under way, and what it will have led to.
struct Sent {
    commit: Commit,
    generation: u64,
    directory: Directory,
    outcome: Option<Outcome>,
    effect: Option<Effect>,
}

/// The ids of commands that are under way. Two of one id take turns from beginning to end, so that the
/// second finds the first one's answer.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    ids: Mutex<HashSet<CommandId>>,
    settled: Condvar,
}

/// That a command's id is this one's while it is under way.
struct Claim<'a> {
    under_way: &'a UnderWay,
    id: &'a CommandId,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, HashSet<CommandId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other command has this id.
    fn claim<'a>(&'a self, id: &'a CommandId) -> Claim<'a> {
        let mut ids = self.lock();
        while ids.contains(id) {
            ids = self.settled.wait(ids).unwrap_or_else(PoisonError::into_inner);
        }
        ids.insert(id.clone());
        Claim { under_way: self, id }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.under_way.lock().remove(self.id);
        self.under_way.settled.notify_all();
    }
}

impl Engine {
    /// Gives a command, and waits until its answer is durable: an acceptance with its events, or a
    /// refusal in the audit trail. A command whose id was used is not done again: the same body gets
    /// the first answer, another body is a conflict.
    ///
    /// # Errors
    /// When the ledger fails; whether the command is in it is told by giving it again under the same id.
    pub fn submit(&self, submission: &Submission, now: Timestamp) -> Result<Answer, EngineError> {
        // A command that is repeated tells the time as well as any other.
        let now = self.latch(now);
        let body = submission.body();
        let digest = digest(&body);
        let id = submission.id.as_ref().filter(|id| id.is_chosen());
        let _claim = id.map(|id| self.inner.under_way.claim(id));
        // That an id was used is rare, and the ledger finds it anyway: it is asked once there is a conflict.
        let mut clash = not_chosen(submission);
        loop {
            let sent = self.take_turn(submission, &body, &digest, clash.take(), now)?;
            match (self.settle(sent.commit, sent.generation, sent.directory), sent.outcome) {
                (Ok(Some(id)), Some(outcome)) => return Ok(Answer::from_outcome(id, outcome, sent.effect)),
                (Ok(_), _) => return Err(LedgerError::new("ledger_io", "the ledger named no command").into()),
                (Err(AppendError::Conflict(_)), _) => match self.first_answer(submission, &digest)? {
                    Some(Ok(answer)) => return Ok(answer),
                    Some(Err(refusal)) => clash = Some(refusal),
                    None => {}
                },
                // What was answered before needs no space.
                (Err(AppendError::Ledger(error)), _) => match self.first_answer(submission, &digest)? {
                    Some(Ok(answer)) if error.code == "ledger_full" => return Ok(answer),
                    Some(_) | None => return Err(error.into()),
                },
            }
        }
    }

    /// Records what time has ended by `now`: the sweeper. Answers do not wait for it, but those who
    /// subscribe hear of an end only by this or by a late try. Says how many things it recorded.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, EngineError> {
        loop {
            let sent = {
                let mut tip = self.lock();
                let at = self.latch(now.max(self.inner.ledger.head()?.time));
                let events = overdue(&tip.directory, at);
                if events.is_empty() {
                    return Ok(0);
                }
                let count = events.len();
                (count, self.send(&mut tip, events, None, None, at)?)
            };
            let (count, sent) = sent;
            match self.settle(sent.commit, sent.generation, sent.directory) {
                Ok(_) => return Ok(count),
                Err(AppendError::Conflict(_)) => {}
                Err(AppendError::Ledger(error)) => return Err(error.into()),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tip> {
        self.inner.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a command's id says: nothing, the answer that it had, or that it was another command's.
    fn first_answer(
        &self,
        submission: &Submission,
        digest: &Hash,
    ) -> Result<Option<Result<Answer, Refusal>>, EngineError> {
        let Some(id) = &submission.id else { return Ok(None) };
        if let Some(refusal) = not_chosen(submission) {
            return Ok(Some(Err(refusal)));
        }
        let Some(answered) = self.inner.ledger.answered(id)? else { return Ok(None) };
        if answered.digest == *digest {
            return Ok(Some(Ok(Answer::from_outcome(id.clone(), answered.outcome, None))));
        }
        let message = format!("the id `{id}` was used for another command");
        Ok(Some(Err(Refusal::new(RefusalCode::Conflict, message))))
    }

    /// Decides a command on the tip and sends it to the ledger.
    fn take_turn(
        &self,
        submission: &Submission,
        body: &Value,
        digest: &Hash,
        clash: Option<Refusal>,
        now: Timestamp,
    ) -> Result<Sent, EngineError> {
        let body = body.clone();
        let policies = self.inner.policies.load_full();
        let mut tip = self.lock();
        // Another engine's refusals move the ledger's time, and no revision tells of them.
        let at = self.latch(now.max(self.inner.ledger.head()?.time));
        let (binds, decided) = match clash {
            Some(refusal) => (false, Decided::Refused { refusal, events: Vec::new() }),
            None => (true, decide(&tip.directory, submission, &*policies, &self.inner.lifetimes, at)),
        };
        let (events, outcome, effect) = match decided {
            Decided::Accepted { events, determining_policies, effect } => {
                let names = events.iter().map(|event| event.name().to_owned()).collect();
                let revision = tip.directory.revision() + 1;
                (events, Outcome::Done { revision, events: names, determining_policies }, effect)
            }
            Decided::Refused { refusal, events } => (events, Outcome::Refused(refusal), None),
        };
        let attempt = Attempt {
            id: submission.id.clone().filter(CommandId::is_chosen),
            binds,
            digest: *digest,
            principal: submission.principal.clone(),
            body,
            outcome,
        };
        self.send(&mut tip, events, Some(attempt), effect, at)
    }

    /// Sends an entry to the ledger, and moves the tip ahead to where it will lead.
    fn send(
        &self,
        tip: &mut Tip,
        events: Vec<Event>,
        attempt: Option<Attempt>,
        effect: Option<Effect>,
        at: Timestamp,
    ) -> Result<Sent, EngineError> {
        let expected = tip.directory.revision();
        let mut directory = tip.directory.clone();
        if !events.is_empty() {
            directory.apply(expected + 1, at, &events)?;
        }
        let outcome = attempt.as_ref().map(|attempt| attempt.outcome.clone());
        let (mark, after) = (Mark::unique(), tip.last);
        if !events.is_empty() {
            tip.last = Some(mark);
        }
        tip.directory = directory.clone();
        let commit = self.inner.ledger.append(Entry { mark, expected, after, at, events, attempt });
        Ok(Sent { commit, generation: tip.generation, directory, outcome, effect })
    }

    /// Waits for an append. When it is durable, what it led to is published; when it failed, the tip
    /// goes back to what the ledger holds.
    fn settle(
        &self,
        commit: Commit,
        generation: u64,
        directory: Directory,
    ) -> Result<Option<CommandId>, AppendError> {
        match commit.wait() {
            Ok(appended) => {
                self.latch(appended.at);
                self.publish(directory);
                self.snapshot_if_due(appended.head.revision);
                Ok(appended.command_id)
            }
            Err(error) => {
                let mut tip = self.lock();
                if tip.generation == generation {
                    self.go_back(&mut tip)?;
                }
                Err(error)
            }
        }
    }

    /// Throws away what the tip ran ahead, and catches up with the ledger.
    fn go_back(&self, tip: &mut Tip) -> Result<(), LedgerError> {
        tip.generation += 1;
        tip.last = None;
        let mut directory = Directory::clone(&self.inner.published.load());
        let caught_up = catch_up(&mut directory, &*self.inner.ledger);
        if caught_up.is_ok() {
            self.publish(directory.clone());
            tip.directory = directory;
        } else {
            // What was published is durable; from there on the next try catches up.
            tip.directory = Directory::clone(&self.inner.published.load());
        }
        match caught_up {
            Ok(()) => Ok(()),
            Err(EngineError::Ledger(error)) => Err(error),
            Err(error) => Err(LedgerError::damaged(error.to_string())),
        }
    }

    /// Saves a snapshot once in a while. Whoever brings it about pays for it; a failure costs the next
    /// opening some time, and nothing else.
    fn snapshot_if_due(&self, revision: Revision) {
        let last = self.inner.snapshot.load(Ordering::Relaxed);
        if revision >= last.saturating_add(SNAPSHOT_EVERY)
            && self
                .inner
                .snapshot
                .compare_exchange(last, revision, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let _ = self.save_snapshot();
        }
    }

    /// Shows a durable directory to the readers, unless they see a later one already.
    fn publish(&self, directory: Directory) {
        // Of those that were written together, whoever comes first with the last one spares the others.
        if self.inner.published.load().revision() >= directory.revision() {
            return;
        }
        let directory = Arc::new(directory);
        self.inner.published.rcu(|published| {
            if published.revision() < directory.revision() { directory.clone() } else { published.clone() }
        });
    }
}

/// Why a command cannot have its id, if it is one that only the engine makes.
fn not_chosen(submission: &Submission) -> Option<Refusal> {
    let id = submission.id.as_ref().filter(|id| !id.is_chosen())?;
    Some(Refusal::invalid(format!("`{id}` is an id that only the engine makes")))
}
