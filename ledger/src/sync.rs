//! The locks of those who take turns. Those of std; with the feature `shuttle`, those of a scheduler that tries one
//! interleaving of threads after another.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
