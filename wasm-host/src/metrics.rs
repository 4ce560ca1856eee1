//! What plugins count.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::slot::lock;

/// Bytes of a name.
const NAME: usize = 200;

/// The metrics of one plugin.
pub(crate) struct Metrics {
    limit: usize,
    all: Mutex<Vec<Metric>>,
}

/// Something that a plugin counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// As the plugin calls it.
    pub name: String,
    /// What it is, and where it stands.
    pub value: MetricValue,
}

/// What a metric is, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricValue {
    /// Goes up only.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// How often each power of two was not passed: `(bound, times)`, and the sum of all values.
    Histogram {
        /// By the least power of two that is not less than the value.
        buckets: BTreeMap<u64, u64>,
        /// The sum of all values.
        sum: u64,
    },
}

/// Why a metric was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotCounted {
    /// There is no such metric.
    Unknown,
    /// It cannot be changed like that.
    Bad,
    /// There are too many.
    Full,
}

impl Metrics {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, all: Mutex::default() }
    }

    pub(crate) fn all(&self) -> Vec<Metric> {
        lock(&self.all).clone()
    }

    /// Makes a metric; one of this name and kind is the same one.
    pub(crate) fn define(&self, name: &str, value: MetricValue) -> Result<u32, NotCounted> {
        let place = self.place(&mut lock(&self.all), name, value)?;
        u32::try_from(place).map_err(|_| NotCounted::Full)
    }

    fn place(&self, all: &mut Vec<Metric>, name: &str, value: MetricValue) -> Result<usize, NotCounted> {
        let same = |metric: &Metric| {
            metric.name == name && std::mem::discriminant(&metric.value) == std::mem::discriminant(&value)
        };
        if let Some(place) = all.iter().position(same) {
            return Ok(place);
        }
        if all.len() >= self.limit || name.len() > NAME {
            return Err(NotCounted::Full);
        }
        all.push(Metric { name: name.to_owned(), value });
        Ok(all.len() - 1)
    }

    /// Sets a gauge, adds to a histogram.
    pub(crate) fn record(&self, id: u32, value: u64) -> Result<(), NotCounted> {
        self.change(id, |metric| match metric {
            MetricValue::Counter(count) => {
                *count = count.saturating_add(value);
                Ok(())
            }
            MetricValue::Gauge(stands) => {
                *stands = value;
                Ok(())
            }
            MetricValue::Histogram { buckets, sum } => {
                *buckets.entry(value.checked_next_power_of_two().unwrap_or(u64::MAX)).or_default() += 1;
                *sum = sum.saturating_add(value);
                Ok(())
            }
        })
    }

    /// Adds to a counter or gauge.
    pub(crate) fn add(&self, id: u32, delta: i64) -> Result<(), NotCounted> {
        self.change(id, |metric| match metric {
            MetricValue::Counter(count) => {
                let delta = u64::try_from(delta).ok().filter(|delta| *delta > 0).ok_or(NotCounted::Bad)?;
                *count = count.saturating_add(delta);
                Ok(())
            }
            MetricValue::Gauge(stands) => {
                *stands = stands.saturating_add_signed(delta);
                Ok(())
            }
            MetricValue::Histogram { .. } => Err(NotCounted::Bad),
        })
    }

    /// Where a counter or gauge stands.
    pub(crate) fn get(&self, id: u32) -> Result<u64, NotCounted> {
        let mut stands = 0;
        self.change(id, |metric| match metric {
            MetricValue::Counter(value) | MetricValue::Gauge(value) => {
                stands = *value;
                Ok(())
            }
            MetricValue::Histogram { .. } => Err(NotCounted::Bad),
        })?;
        Ok(stands)
    }

    /// Adds to the counter of this name.
    pub(crate) fn count(&self, name: &str, delta: u64) -> Result<(), NotCounted> {
        let mut all = lock(&self.all);
        let place = self.place(&mut all, name, MetricValue::Counter(0))?;
        if let Some(MetricValue::Counter(count)) = all.get_mut(place).map(|metric| &mut metric.value) {
            *count = count.saturating_add(delta);
        }
        Ok(())
    }

    fn change(
        &self,
        id: u32,
        change: impl FnOnce(&mut MetricValue) -> Result<(), NotCounted>,
    ) -> Result<(), NotCounted> {
        let mut all = lock(&self.all);
        let metric = usize::try_from(id).ok().and_then(|place| all.get_mut(place));
        change(&mut metric.ok_or(NotCounted::Unknown)?.value)
    }
}
