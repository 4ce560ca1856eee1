//! Comparing things that are measured by turns.
//!
//! On a machine that does other work meanwhile, two figures taken minutes apart tell little about each
//! other. Here the contenders take short turns within one round, a ratio is taken in each round, and
//! the median of these ratios is what is reported.

use std::time::{Duration, Instant};

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

/// Numbers in order: what several measurements came to.
#[derive(Debug, Clone)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The spread of these numbers.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    /// The spread of the ratios of numbers that were measured in the same rounds.
    #[must_use]
    pub fn of_ratios(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below))
    }

    fn quantile(&self, share: f64) -> f64 {
        let place = (self.0.len().saturating_sub(1) as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The number in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl std::fmt::Display for Spread {
    /// The median, with the quartiles in brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (low, high) = (self.quantile(0.25), self.quantile(0.75));
        write!(f, "{:.digits$} [{low:.digits$}, {high:.digits$}]", self.median())
    }
}
