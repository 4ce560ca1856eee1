//! Where an instance lives: one caller at a time, and news that come meanwhile are kept for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::time::Duration;

use crate::error::{FailureKind, Fault};
use crate::instance::{CalloutAnswer, Instance, News};

/// The place of one instance, from before it is started until it is dropped.
pub(crate) struct Slot {
    state: Mutex<State>,
    /// What came while the instance was busy. Whoever lets go of the instance looks here.
    inbox: Mutex<VecDeque<News>>,
    /// Who waits for what the instance does with news.
    signal: Mutex<Option<Arc<Signal>>>,
    /// Told of each fault.
    on_fault: Box<dyn Fn(&Fault) + Send + Sync>,
    /// How many places of the plugin there are.
    places: Arc<AtomicUsize>,
}

/// Answers that are handed over at once.
const AT_ONCE: usize = 64;

enum State {
    Starting,
    Ready(Box<dyn Instance>),
    /// It failed, and is no more.
    Gone(Fault),
}

impl Slot {
    /// A place without an instance yet; `places` has counted it, and no longer does when it is gone.
    pub(crate) fn new(places: Arc<AtomicUsize>, on_fault: Box<dyn Fn(&Fault) + Send + Sync>) -> Self {
        Self {
            state: Mutex::new(State::Starting),
            inbox: Mutex::default(),
            signal: Mutex::default(),
            on_fault,
            places,
        }
    }

    pub(crate) fn fill(&self, instance: Box<dyn Instance>) {
        *lock(&self.state) = State::Ready(instance);
        self.deliver();
    }

    /// Whether its instance can serve; `None`: it is busy.
    pub(crate) fn is_ready(&self) -> Option<bool> {
        self.state.try_lock().ok().map(|state| matches!(*state, State::Ready(_)))
    }

    /// Whether nothing is lost with its instance but what it remembers.
    pub(crate) fn is_done(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| match &*state {
            State::Ready(instance) => instance.is_done(),
            State::Starting | State::Gone(_) => false,
        })
    }

    /// Who is to be told when news changed something.
    pub(crate) fn listen(&self, signal: Option<Arc<Signal>>) {
        *lock(&self.signal) = signal;
    }

    /// Calls into the instance. After a fault it is gone.
    pub(crate) fn with<R>(
        &self,
        call: impl FnOnce(&mut dyn Instance) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let result = self.run(&mut lock(&self.state), call);
        self.deliver();
        result
    }

    /// Delivers an answer to the instance, now or as soon as it is free. Answers are as few as calls.
    pub(crate) fn answer(&self, call: u32, answer: Option<CalloutAnswer>) {
        lock(&self.inbox).push_back(News::Answer { call, answer });
        self.deliver();
    }

    /// Calls the instance's timer; not, if it is busy: what was missed is not made up for.
    pub(crate) fn tick(&self) {
        let Ok(mut state) = self.state.try_lock() else { return };
        self.tell(&mut state, News::Tick);
        drop(state);
        self.after_news();
    }

    /// Tells the instance of a queue, when it is free. On a thread that may wait for it.
    pub(crate) fn queue_ready(&self, queue: u32) {
        self.tell(&mut lock(&self.state), News::Queue { queue });
        self.after_news();
    }

    fn tell(&self, state: &mut MutexGuard<'_, State>, news: News) {
        // A fault stays in the place, for the request that has it.
        let _ = self.run(state, |instance| instance.wake(news));
    }

    fn after_news(&self) {
        self.deliver();
        self.notify();
    }

    fn notify(&self) {
        let signal = lock(&self.signal).clone();
        if let Some(signal) = signal {
            signal.notify();
        }
    }

    fn run<R>(
        &self,
        state: &mut MutexGuard<'_, State>,
        call: impl FnOnce(&mut dyn Instance) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let result = match &mut **state {
            State::Ready(instance) => call(&mut **instance),
            State::Starting => return Err(Fault::new(FailureKind::Start, "it has not started")),
            State::Gone(fault) => return Err(fault.clone()),
        };
        if let Err(fault) = &result {
            **state = State::Gone(fault.clone());
            (self.on_fault)(fault);
        }
        result
    }

    /// Hands over what is in the inbox, unless somebody has the instance, who will do that: it is looked at once more
    /// after each letting go, so that nothing stays behind. Not for ever: answers that bring about further ones wait for
    /// the next time.
    fn deliver(&self) {
        for _ in 0..AT_ONCE {
            if lock(&self.inbox).is_empty() {
                return;
            }
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if matches!(*state, State::Starting) {
                return;
            }
            if let Some(news) = self.next() {
                self.tell(&mut state, news);
            }
            drop(state);
            self.notify();
        }
    }

    fn next(&self) -> Option<News> {
        lock(&self.inbox).pop_front()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Wakes whoever waits for an exchange to go on.
#[derive(Default)]
pub(crate) struct Signal {
    news: Mutex<(bool, Option<Waker>)>,
    condition: Condvar,
}

impl Signal {
    pub(crate) fn notify(&self) {
        let waker = {
            let mut news = lock(&self.news);
            news.0 = true;
            news.1.take()
        };
        self.condition.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the news, or leaves somebody to be woken by them.
    pub(crate) fn take_or_register(&self, waker: Option<&Waker>) -> bool {
        let mut news = lock(&self.news);
        if !std::mem::take(&mut news.0) {
            // Who only looks wakes nobody, and lets nobody sleep on.
            if waker.is_some() {
                news.1 = waker.cloned();
            }
            return false;
        }
        true
    }

    /// Waits for news; false: there were none.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let news = lock(&self.news);
        let waited = self.condition.wait_timeout_while(news, patience, |news| !news.0);
        let (mut news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut news.0)
    }
}

/// What a panic elsewhere left is still whole: nothing is changed in steps under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
