//! Commands: one after the other decided, together written.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use super::queue::Work;
use super::{Answer, Engine, EngineError};
use crate::command::{Submission, digest};
use crate::decide::{Decided, Effect, decide, overdue};
use crate::directory::{Directory, Revision};
use crate::domain::{CommandId, Timestamp};
use crate::event::Event;
use crate::ledger::{
    AppendError, Appended, Attempt, Commit, Entry, Hash, Ledger, LedgerError, Mark, Outcome,
};
use crate::refusal::{Refusal, RefusalCode};
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Records that are read at once when catching up.
const PAGE: usize = 4096;

/// Records after which a new snapshot is saved, unless the directory holds more things than that: then
/// after as many, so that saving costs each record the same however much there is.
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

    fn reached(&self) -> Reached {
        Reached { generation: self.generation, directory: Some(self.directory.clone()) }
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

/// What the engine does in its turn.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) now: Timestamp,
}

#[expect(clippy::large_enum_variant, reason = "nearly every task is a command")]
pub(super) enum Task {
    Command(Order),
    /// Records what time has ended.
    Sweep,
    /// Nothing: whoever looks waits for what was decided before.
    Look,
}

/// A command on its way to a decision.
pub(super) struct Order {
    pub(super) submission: Submission,
    pub(super) body: String,
    pub(super) digest: Hash,
    /// Why it is refused whatever is decided: its id is not its own.
    pub(super) clash: Option<Refusal>,
}

/// A job whose append is under way. What has nothing to append is over.
pub(super) struct Sent {
    commit: Option<Commit>,
    came: Came,
}

/// What a job came to, once it is durable.
enum Came {
    Answer(Arc<Outcome>, Option<Effect>),
    Swept(usize),
    /// The revision to which what was decided before leads, here or by another engine.
    Looked(Revision),
}

/// What was written together, and where it leads to.
pub(super) struct Written {
    all: Vec<Result<Settled, EngineError>>,
    last: Option<Appended>,
    reached: Reached,
}

/// A job that was written, or not.
pub(super) struct Settled {
    came: Came,
    written: Result<Option<CommandId>, AppendError>,
}

/// Where the tip was when something was sent: what will be durable with it.
pub(super) struct Reached {
    generation: u64,
    /// `None`: a panic may have left the tip's half changed.
    directory: Option<Directory>,
}

/// The ids of commands that are under way. Two of one id take turns from beginning to end, so that the
/// second finds the first one's answer.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    ids: Mutex<Ids>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Ids {
    claimed: HashSet<CommandId, foldhash::fast::RandomState>,
    /// How many wait for an id that is claimed.
    waiting: usize,
}

/// That a command's id is this one's while it is under way.
struct Claim<'a> {
    under_way: &'a UnderWay,
    id: &'a CommandId,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other command has this id.
    fn claim<'a>(&'a self, id: &'a CommandId) -> Claim<'a> {
        let mut ids = self.lock();
        while ids.claimed.contains(id) {
            ids.waiting += 1;
            ids = self.settled.wait(ids).unwrap_or_else(PoisonError::into_inner);
            ids.waiting -= 1;
        }
        ids.claimed.insert(id.clone());
        Claim { under_way: self, id }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut ids = self.under_way.lock();
        ids.claimed.remove(self.id);
        if ids.waiting > 0 {
            self.under_way.settled.notify_all();
        }
    }
}

impl Engine {
    /// Gives a command, and waits until its answer is durable: an acceptance with its events, or a
    /// refusal in the audit trail. A command whose id was used is not done again: the same body gets
    /// the first answer, another body is a conflict.
    ///
    /// # Errors
    /// When the ledger fails, or a panic kept the command from its answer; whether the command is in the
    /// ledger is told by giving it again under the same id.
    pub fn submit(&self, submission: &Submission, now: Timestamp) -> Result<Answer, EngineError> {
        // A command that is repeated tells the time as well as any other.
        let now = self.latch(now);
        let mut body = submission.body();
        let digest = digest(&body);
        let id = submission.id.as_ref().filter(|id| id.is_chosen());
        let _claim = id.map(|id| self.inner.under_way.claim(id));
        // That an id was used is rare, and the ledger finds it anyway: it is asked once there is a conflict.
        let mut clash = not_chosen(submission);
        loop {
            let order = Order { submission: submission.clone(), body, digest, clash: clash.take() };
            let job = Job { task: Task::Command(order), now };
            let Settled { came, written } = self.inner.queue.through(job, self)?;
            self.snapshot_if_due();
            let full = match (written, came) {
                (Ok(Some(id)), Came::Answer(outcome, effect)) => {
                    return Ok(Answer::from_outcome(id, Arc::unwrap_or_clone(outcome), effect));
                }
                (Ok(_), _) => return Err(LedgerError::new("ledger_io", "the ledger named no command").into()),
                (Err(AppendError::Conflict(_)), _) => None,
                // What was answered before needs no space.
                (Err(AppendError::Ledger(error)), _) if error.code == "ledger_full" => Some(error),
                (Err(AppendError::Ledger(error)), _) => return Err(error.into()),
            };
            match (self.first_answer(submission, &digest)?, full) {
                (Some(Ok(answer)), _) => return Ok(answer),
                (_, Some(error)) => return Err(error.into()),
                (Some(Err(refusal)), None) => clash = Some(refusal),
                (None, None) => {}
            }
            body = submission.body();
        }
    }

    /// Records what time has ended by `now`: the sweeper. Answers do not wait for it, but those who
    /// subscribe hear of an end only by this or by a late try. Says how many things it recorded.
    ///
    /// # Errors
    /// When the ledger fails.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, EngineError> {
        loop {
            let Settled { came, written } = self.inner.queue.through(Job { task: Task::Sweep, now }, self)?;
            self.snapshot_if_due();
            match (written, came) {
                (Ok(_), Came::Swept(count)) => return Ok(count),
                (Ok(_), Came::Answer(..) | Came::Looked(_)) | (Err(AppendError::Conflict(_)), _) => {}
                (Err(AppendError::Ledger(error)), _) => return Err(error.into()),
            }
        }
    }

    /// Waits until readers see everything that was decided before `now` and became durable. From then on
    /// nothing is decided at an earlier moment. Of another engine on this ledger that holds for what is durable by
    /// now: what it is writing is not waited for.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(super) fn settled(&self, now: Timestamp) -> Result<(), EngineError> {
        let Settled { came, .. } = self.inner.queue.through(Job { task: Task::Look, now }, self)?;
        // Who was asked to show what came before may not have done so yet. It is durable, or will never be.
        match came {
            Came::Looked(revision) if self.inner.published.load().revision() < revision => self.catch_up(),
            Came::Looked(_) | Came::Answer(..) | Came::Swept(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tip> {
        self.inner.tip.lock().unwrap_or_else(|poisoned| {
            // Whoever panicked may have left half an entry folded in.
            let mut tip = poisoned.into_inner();
            let _ = self.go_back(&mut tip);
            self.inner.tip.clear_poison();
            tip
        })
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

    /// The moment that counts for what is decided next. Another engine's refusals move the ledger's time,
    /// and no revision tells of them.
    fn now(&self, now: Timestamp) -> Result<Timestamp, LedgerError> {
        Ok(self.latch(now.max(self.inner.ledger.head()?.time)))
    }

    /// Decides a command on the tip and sends it to the ledger.
    fn decide_command(&self, tip: &mut Tip, order: Order, at: Timestamp) -> Result<Sent, EngineError> {
        let Order { submission, body, digest, clash } = order;
        let (binds, decided) = match clash {
            Some(refusal) => (false, Decided::Refused { refusal, events: Vec::new() }),
            None => {
                let policies = self.inner.policies.load();
                (true, decide(&tip.directory, &submission, &**policies, &self.inner.lifetimes, at))
            }
        };
        let (events, outcome, effect) = match decided {
            Decided::Accepted { events, determining_policies, effect } => {
                let names = events.iter().map(|event| event.name().to_owned()).collect();
                let revision = tip.directory.revision() + 1;
                (events, Outcome::Done { revision, events: names, determining_policies }, effect)
            }
            Decided::Refused { refusal, events } => (events, Outcome::Refused(refusal), None),
        };
        let outcome = Arc::new(outcome);
        let attempt = Attempt {
            id: submission.id.filter(CommandId::is_chosen),
            binds,
            digest,
            principal: submission.principal,
            body,
            outcome: outcome.clone(),
        };
        let commit = self.send(tip, events, Some(attempt), at)?;
        Ok(Sent { commit: Some(commit), came: Came::Answer(outcome, effect) })
    }

    fn decide_sweep(&self, tip: &mut Tip, at: Timestamp) -> Result<Sent, EngineError> {
        let events = overdue(&tip.directory, at);
        let count = events.len();
        let commit = (count > 0).then(|| self.send(tip, events, None, at)).transpose()?;
        Ok(Sent { commit, came: Came::Swept(count) })
    }

    /// Sends an entry to the ledger, and moves the tip ahead to where it will lead.
    fn send(
        &self,
        tip: &mut Tip,
        events: Vec<Event>,
        attempt: Option<Attempt>,
        at: Timestamp,
    ) -> Result<Commit, EngineError> {
        let expected = tip.directory.revision();
        let (mark, after) = (Mark::unique(), tip.last);
        if !events.is_empty() {
            if let Err(illegal) = tip.directory.apply(expected + 1, at, &events) {
                // Half of it may have been folded in.
                self.go_back(tip)?;
                return Err(illegal.into());
            }
            tip.last = Some(mark);
        }
        Ok(self.inner.ledger.append(Entry { mark, expected, after, at, events, attempt }))
    }

    /// Has readers see what became durable, up to `last`. When the tip ran ahead to what did not, and so not
    /// the whole of what was sent did, it goes back. The answer is what readers saw before, if it is at hand.
    fn settle(
        &self,
        last: Option<&Appended>,
        whole: bool,
        reached: Reached,
    ) -> Result<Option<Arc<Directory>>, EngineError> {
        if let Some(last) = last {
            self.latch(last.at);
        }
        match (last, reached.directory) {
            // Nothing was sent, so there is nothing to show; whether what it was decided on became durable is
            // for others to see.
            (None, _) if whole => return Ok(None),
            // After a panic at a decision the tip may have gone back behind what is written now.
            (Some(last), Some(directory)) if whole && directory.revision() == last.head.revision => {
                return Ok(Some(self.publish(directory)));
            }
            _ => {}
        }
        let mut tip = self.lock();
        if tip.generation == reached.generation {
            self.go_back(&mut tip)?;
        } else {
            self.catch_up()?;
        }
        Ok(None)
    }

    /// Throws away what the tip ran ahead, and catches up with the ledger.
    fn go_back(&self, tip: &mut Tip) -> Result<(), EngineError> {
        tip.generation += 1;
        tip.last = None;
        let caught_up = self.catch_up();
        // What was published is durable, and from there on the next try catches up.
        tip.directory = Directory::clone(&self.inner.published.load());
        caught_up
    }

    /// Has readers see everything that is durable.
    fn catch_up(&self) -> Result<(), EngineError> {
        let mut directory = Directory::clone(&self.inner.published.load());
        catch_up(&mut directory, &*self.inner.ledger)?;
        self.publish(directory);
        Ok(())
    }

    /// Saves a snapshot once in a while. Whoever brings it about pays for it; a failure costs the next
    /// opening some time, and nothing else.
    fn snapshot_if_due(&self) {
        let (revision, size) = {
            let published = self.inner.published.load();
            (published.revision(), published.size() as Revision)
        };
        let last = self.inner.snapshot.load(Ordering::Relaxed);
        if revision >= last.saturating_add(SNAPSHOT_EVERY.max(size))
            && self
                .inner
                .snapshot
                .compare_exchange(last, revision, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let _ = self.save_snapshot();
        }
    }

    /// Shows a durable directory to the readers, unless they see a later one already. The answer is what
    /// they saw before.
    fn publish(&self, directory: Directory) -> Arc<Directory> {
        let directory = Arc::new(directory);
        self.inner.published.rcu(|published| {
            if published.revision() < directory.revision() { directory.clone() } else { published.clone() }
        })
    }
}

impl Work for Engine {
    type Job = Job;
    type Decided = Result<Sent, EngineError>;
    type Reached = Reached;
    type Written = Written;
    type Told = Result<Settled, EngineError>;

    fn decide(&self, Job { task, now }: Job) -> Result<Sent, EngineError> {
        let mut tip = self.lock();
        let at = self.now(now)?;
        match task {
            Task::Command(order) => self.decide_command(&mut tip, order, at),
            Task::Sweep => self.decide_sweep(&mut tip, at),
            Task::Look => {
                // Another engine may have made durable what nothing was decided on here yet.
                let durable = self.inner.ledger.head()?.revision;
                Ok(Sent { commit: None, came: Came::Looked(tip.directory.revision().max(durable)) })
            }
        }
    }

    fn reached(&self) -> Reached {
        match self.inner.tip.lock() {
            Ok(tip) => tip.reached(),
            Err(poisoned) => Reached { generation: poisoned.into_inner().generation, directory: None },
        }
    }

    fn write(&self, lot: Vec<Self::Decided>, reached: Reached) -> Written {
        let mut last = None;
        let mut write = |Sent { commit, came }| {
            let written = commit.map_or(Ok(None), |commit| {
                let appended = commit.wait()?;
                let id = appended.command_id.clone();
                last = Some(appended);
                Ok(id)
            });
            Settled { came, written }
        };
        let all = lot.into_iter().map(|sent| sent.map(&mut write)).collect();
        Written { all, last, reached }
    }

    fn settle(&self, Written { all, last, reached }: Written) -> (Vec<Self::Told>, impl Sized) {
        let whole = all.iter().all(|sent| matches!(sent, Ok(Settled { written: Ok(_), .. })));
        match self.settle(last.as_ref(), whole, reached) {
            Ok(before) => (all, before),
            Err(error) => (all.iter().map(|_| Err(error.clone())).collect(), None),
        }
    }

    fn stopped() -> Self::Told {
        Err(LedgerError::new("ledger_io", "the engine stopped before it answered").into())
    }
}

/// Why a command cannot have its id, if it is one that only the engine makes.
fn not_chosen(submission: &Submission) -> Option<Refusal> {
    let id = submission.id.as_ref().filter(|id| !id.is_chosen())?;
    Some(Refusal::invalid(format!("`{id}` is an id that only the engine makes")))
}
