use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use consentry::directory::Revision;
use consentry::ledger::{Hash, Head, Mark};

/// Where both chains end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) head: Head,
    /// The mark of the entry that made the head's revision, if it was made since the ledger was opened.
    pub(crate) last: Option<Mark>,
    /// The number of the last audit line; 0: none yet.
    pub(crate) lines: u64,
    /// The hash of the last audit line; zeros: none yet.
    pub(crate) line_hash: Hash,
}

impl Tail {
    pub(crate) const EMPTY: Self = Self { head: Head::EMPTY, last: None, lines: 0, line_hash: [0; 32] };
}

/// The tail that everybody may see.
///
/// INVARIANT: what it names is durable, and the witness knows of it unless the writer could not say so.
#[derive(Debug)]
pub(crate) struct Published {
    tail: Mutex<Tail>,
    grown: Condvar,
}

impl Published {
    pub(crate) fn new(tail: Tail) -> Self {
        Self { tail: Mutex::new(tail), grown: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tail(&self) -> Tail {
        *self.lock()
    }

    pub(crate) fn publish(&self, tail: Tail) {
        *self.lock() = tail;
        self.grown.notify_all();
    }

    pub(crate) fn wait(&self, revision: Revision, timeout: Duration) -> Head {
        let behind = |tail: &mut Tail| tail.head.revision < revision;
        let waited = self.grown.wait_timeout_while(self.lock(), timeout, behind);
        let (tail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        tail.head
    }
}
