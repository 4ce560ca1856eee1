//! The one place that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use consentry::Timestamp;

/// The moment at which it is called.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the engine takes every moment as an argument; here one comes from"
)]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The moment at which it is called, on a clock that never goes back: to see how long something takes.
#[must_use]
#[cfg(any(feature = "plugins", feature = "serve"))]
#[expect(clippy::disallowed_methods, reason = "`plugin bench` measures, and so does the server")]
pub(crate) fn started() -> std::time::Instant {
    std::time::Instant::now()
}
