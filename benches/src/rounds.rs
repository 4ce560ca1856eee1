//! Comparing things that are measured by turns.
//!
//! On a machine that does other work meanwhile, two figures taken minutes apart tell little about each
//! other. Here the contenders take short turns within one round, a ratio is taken in each round, and
//! the median of these ratios is what is reported.

use std::time::{Duration, Instant};

pub use crate::spread::Spread;
use rustix::time::{ClockId, clock_gettime};

/// How long `work` takes, and what it comes to.
#[expect(clippy::disallowed_methods, reason = "measuring time is what a benchmark is for")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// How much of the processor this thread took for `work`, and what that comes to.
pub fn spent<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
    };
    let start = now();
    let result = work();
    (now().saturating_sub(start), result)
}

/// Has all take turns of `turn` calls each, in rounds: seconds for each, by rounds, as `measure` has them.
pub fn by_turns<F: FnMut()>(
    all: &mut [F],
    rounds: usize,
    turn: usize,
    measure: impl Fn(&mut dyn FnMut()) -> Duration,
) -> Vec<Vec<f64>> {
    let mut seconds = vec![Vec::new(); all.len()];
    for _ in 0..rounds {
        for (one, seconds) in all.iter_mut().zip(&mut seconds) {
            seconds.push(measure(&mut || (0..turn).for_each(|_| one())).as_secs_f64());
        }
    }
    seconds
}
