//! What plugins want without a request: to be called now and then, and to hear of queues. One thread for all.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::slot::{Slot, lock};

/// The errands of a host. Its thread starts with the first, and ends with the host.
#[derive(Default)]
pub(crate) struct Errands {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    started: bool,
    over: bool,
    timers: Vec<Timer>,
    news: Vec<(Weak<Slot>, Errand)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Tick,
    Queue(u32),
}

struct Timer {
    slot: Weak<Slot>,
    period: Duration,
    due: Instant,
}

impl Errands {
    /// Calls the instance's timer every so often; never again when `period` is zero.
    pub(crate) fn every(&self, period: Duration, slot: &Weak<Slot>) {
        let mut list = lock(&self.shared.list);
        list.timers.retain(|timer| !timer.slot.ptr_eq(slot));
        if !period.is_zero()
            && let Some(due) = clock::tick().checked_add(period)
        {
            list.timers.push(Timer { slot: slot.clone(), period, due });
            self.shared.start(&mut list);
        }
        self.shared.changed.notify_all();
    }

    /// Tells an instance of a queue, from another thread than this. Told once for all that was put into it meanwhile.
    pub(crate) fn queue_ready(&self, slot: Weak<Slot>, queue: u32) {
        let mut list = lock(&self.shared.list);
        let errand = Errand::Queue(queue);
        if list.news.iter().any(|(known, news)| known.ptr_eq(&slot) && *news == errand) {
            return;
        }
        list.news.push((slot, errand));
        self.shared.start(&mut list);
        self.shared.changed.notify_all();
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        lock(&self.shared.list).over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn start(self: &Arc<Self>, list: &mut List) {
        if !list.started {
            let shared = self.clone();
            let thread = thread::Builder::new().name("consentry-errands".to_owned());
            // Without a thread there are no errands; plugins must do without them anyhow.
            list.started = thread.spawn(move || shared.run()).is_ok();
        }
    }

    fn run(&self) {
        let mut list = lock(&self.list);
        while !list.over {
            let now = clock::tick();
            let mut due: Vec<(Weak<Slot>, Errand)> = std::mem::take(&mut list.news);
            list.timers.retain(|timer| timer.slot.strong_count() > 0);
            for timer in &mut list.timers {
                if timer.due <= now {
                    due.push((timer.slot.clone(), Errand::Tick));
                    // What was missed is not made up for.
                    timer.due = now.checked_add(timer.period).unwrap_or(now);
                }
            }
            if due.is_empty() {
                let next = list.timers.iter().map(|timer| timer.due.saturating_duration_since(now)).min();
                let patience = next.unwrap_or(Duration::from_secs(3_600));
                list = match self.changed.wait_timeout(list, patience) {
                    Ok((list, _)) => list,
                    Err(poisoned) => poisoned.into_inner().0,
                };
                continue;
            }
            drop(list);
            for (slot, news) in due {
                if let Some(slot) = slot.upgrade() {
                    match news {
                        Errand::Tick => slot.tick(),
                        Errand::Queue(queue) => slot.queue_ready(queue),
                    }
                }
            }
            list = lock(&self.list);
        }
    }
}
