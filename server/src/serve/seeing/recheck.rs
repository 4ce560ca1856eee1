//! Decisions put to Cedar's evaluator a second time, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use consentry::policy::{AccessRequest, Evaluation, Evaluator, Reading, Witness};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::serve::ServeError;

/// How often what came of it.
pub(crate) type Rechecks = Family<OutcomeLabels, Counter>;

/// `same`, or `different`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    outcome: &'static str,
}

/// Takes one of so many decisions.
pub(crate) struct Recheck {
    every: u64,
    seen: AtomicU64,
    waiting: SyncSender<Decision>,
}

/// What was asked, of what, and what was answered.
struct Decision {
    reading: Reading,
    request: AccessRequest,
    evaluation: Evaluation,
}

/// Decisions that wait. Beyond that, those that come are let go: each keeps the facts that it was made from.
const WAITING: usize = 32;

impl Recheck {
    /// Begins to put one of `every` decisions to Cedar.
    pub(crate) fn open(every: u64, rechecks: Rechecks) -> Result<Arc<Self>, ServeError> {
        let (waiting, decisions) = sync_channel(WAITING);
        std::thread::Builder::new().name("recheck".to_owned()).spawn(move || work(&decisions, &rechecks))?;
        Ok(Arc::new(Self { every, seen: AtomicU64::new(0), waiting }))
    }
}

impl Witness for Recheck {
    fn saw(&self, reading: &Reading, request: &AccessRequest, evaluation: &Evaluation) {
        if !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return;
        }
        let decision =
            Decision { reading: reading.clone(), request: request.clone(), evaluation: evaluation.clone() };
        let _ = self.waiting.try_send(decision);
    }
}

fn work(decisions: &Receiver<Decision>, rechecks: &Rechecks) {
    for decision in decisions {
        let outcome = if decision.is_same() { "same" } else { "different" };
        rechecks.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

impl Decision {
    /// Whether Cedar answers the same; says so where it does not.
    fn is_same(&self) -> bool {
        let Self { reading, request, evaluation } = self;
        let cedar = reading.evaluate_by(Evaluator::Cedar, request);
        if cedar.as_ref() == Ok(evaluation) {
            return true;
        }
        // What is in the context may be secret.
        let AccessRequest { principal, action, resource, .. } = request;
        tracing::error!(
            %principal, action, %resource, revision = reading.revision(), now = %reading.now(),
            policies = reading.policies().version(), answered = ?evaluation, cedar = ?cedar,
            "compiled policies and Cedar disagree: set `policies.evaluator = \"cedar\"`, and report this"
        );
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use consentry::policy::Policies;
    use consentry::{Directory, Timestamp, Uid};

    use super::*;

    #[test]
    fn one_of_so_many_decisions_is_put_to_cedar_and_a_difference_is_counted() {
        let rechecks = Rechecks::default();
        let recheck = Recheck::open(3, rechecks.clone()).unwrap();
        let source = Arc::new(Directory::default());
        let reading = Reading::new(Policies::shipped().unwrap(), source, 0, Timestamp::from_millis(0));
        let reading = reading.witnessed(recheck.clone());
        let request =
            AccessRequest::new(Uid::new("Installer", "ivan"), "liveView", Uid::new("Device", "cam-7"));
        let counted = |outcome| rechecks.get_or_create(&OutcomeLabels { outcome }).get();
        let until = |outcome, count| {
            while counted(outcome) < count {
                std::thread::yield_now();
            }
        };
        for _ in 0..4 {
            reading.evaluate(&request).unwrap();
        }
        until("same", 2);
        assert_eq!(counted("different"), 0);
        // The fifth: it is not taken, and the next two are the sixth and, taken, the seventh.
        let wrong = Evaluation { reason: None, ..reading.evaluate(&request).unwrap() };
        recheck.saw(&reading, &request, &wrong);
        recheck.saw(&reading, &request, &wrong);
        until("different", 1);
        assert_eq!((counted("same"), counted("different")), (2, 1));
    }
}
