use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::parsed;

/// A moment: whole milliseconds since the Unix epoch, UTC. The engine reads no clock; every moment
/// is given to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// A length of time in whole milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(i64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: expected RFC 3339 in UTC, such as 2026-03-01T00:00:00.000Z")]
pub struct TimeError(String);

impl Timestamp {
    /// The earliest moment that can be written.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// The latest moment that can be written: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment `millis` milliseconds after the Unix epoch, held within [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The moment `length` later, at most [`Self::MAX`].
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(length.0))
    }

    /// Whether `deadline` has passed at this moment: at the very deadline it has. The one place
    /// where a moment is compared with a deadline.
    #[must_use]
    pub fn has_reached(self, deadline: Self) -> bool {
        self >= deadline
    }
}

impl Duration {
    /// `millis` milliseconds; nothing below zero.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64)
    }

    /// `hours` hours.
    #[must_use]
    pub const fn from_hours(hours: u16) -> Self {
        Self(hours as i64 * 3_600_000)
    }

    /// `minutes` minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u16) -> Self {
        Self(minutes as i64 * 60_000)
    }

    /// The length in milliseconds.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads RFC 3339 in UTC. Digits beyond milliseconds are cut off.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError(text.to_owned()))?;
        if moment.offset().local_minus_utc() != 0 {
            return Err(TimeError(text.to_owned()));
        }
        Ok(Self::from_millis(moment.timestamp_millis()))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with three decimals and `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            parsed(deserializer)
        } else {
            Ok(Self::from_millis(i64::deserialize(deserializer)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_passed_at_its_very_millisecond() {
        let deadline: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        assert!(deadline.has_reached(deadline));
        assert!(!Timestamp::from_millis(deadline.millis() - 1).has_reached(deadline));
    }

    #[test]
    fn times_are_printed_with_three_decimals_and_read_in_utc_only() {
        let time: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-03-01T00:00:00.000Z");
        assert!("2026-03-01T00:00:00+01:00".parse::<Timestamp>().is_err());
        assert!("2026-03-01".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn the_end_of_time_is_not_passed_by_adding_to_it() {
        assert_eq!(Timestamp::MAX.after(Duration::from_hours(24)), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
    }
}
