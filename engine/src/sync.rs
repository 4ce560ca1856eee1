//! Locks, atomics and waiting. Those of std; with the feature `shuttle`, those of a scheduler that tries one
//! interleaving of threads after another. Whatever threads share goes through here, so that it can be tested so.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic},
    thread,
};
