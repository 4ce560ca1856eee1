//! The one place where the clock is read.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use consentry::Timestamp;

/// How far the clock has gone since some moment.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines of plugins are measured, on a clock that never goes back"
)]
pub(crate) fn tick() -> Instant {
    Instant::now()
}

/// The time, in nanoseconds since 1970, to the millisecond: plugins are not given a finer one.
#[expect(
    clippy::disallowed_methods,
    reason = "the host stands at the edge: it tells the engine what time it is"
)]
pub(crate) fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(1_000_000)
}

/// Nanoseconds since this was first asked, to the millisecond, on a clock that never goes back.
pub(crate) fn steady_nanos() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(tick);
    let since = tick().saturating_duration_since(*FIRST);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(1_000_000)
}

/// The time, as the engine has it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(i64::try_from(nanos() / 1_000_000).unwrap_or(i64::MAX))
}
