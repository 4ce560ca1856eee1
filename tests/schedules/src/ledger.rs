//! A ledger on which appends are under way for a while, and may fail.

use std::sync::Arc;

use consentry::ledger::{AppendError, Appended, Commit, Entry, Layer};
use consentry::{Ledger, LedgerError, MemoryLedger};
use shuttle::rand::Rng as _;
use shuttle::sync::Mutex;
use shuttle::thread;

type Answer = Result<Appended, AppendError>;
type Seat = Arc<Mutex<Option<Answer>>>;

/// What goes wrong with appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Now and then all that is under way fails, and is not written.
    Fails,
    /// Now and then all that is under way is acknowledged, and is not written. No engine can bear that: it is
    /// here to be found.
    Lies,
}

/// Appends are in the queue until somebody waits for one of them: then all are written, in order. A fault takes
/// all of them.
#[derive(Clone)]
pub(crate) struct Slow {
    below: Arc<MemoryLedger>,
    queue: Arc<Mutex<Vec<(Entry, Seat)>>>,
    pen: Arc<Mutex<()>>,
    fault: Fault,
}

impl Slow {
    pub(crate) fn on(below: Arc<MemoryLedger>, fault: Fault) -> Self {
        Self { below, queue: Arc::default(), pen: Arc::default(), fault }
    }

    /// Writes what is in the queue.
    fn write(&self) {
        let entries = std::mem::take(&mut *self.queue.lock().unwrap());
        thread::yield_now();
        let strikes = self.fault != Fault::Nothing && shuttle::rand::thread_rng().gen_bool(0.25);
        let mut head = self.below.head().unwrap();
        for (entry, seat) in entries {
            let answer = match (strikes, self.fault) {
                (false, _) | (true, Fault::Nothing) => self.below.append(entry).wait(),
                (true, Fault::Fails) => Err(LedgerError::new("ledger_io", "as it happens").into()),
                (true, Fault::Lies) => {
                    head.revision += u64::from(!entry.events.is_empty());
                    let command_id = entry.attempt.and_then(|attempt| attempt.id);
                    Ok(Appended { head, at: entry.at, command_id })
                }
            };
            *seat.lock().unwrap() = Some(answer);
        }
    }
}

impl Layer for Slow {
    fn below(&self) -> &dyn Ledger {
        &*self.below
    }

    fn append_below(&self, entry: Entry) -> Commit {
        let seat = Seat::default();
        self.queue.lock().unwrap().push((entry, seat.clone()));
        let ledger = self.clone();
        Commit::later(move || {
            loop {
                let _pen = ledger.pen.lock().unwrap();
                if let Some(answer) = seat.lock().unwrap().take() {
                    return answer;
                }
                ledger.write();
            }
        })
    }
}
