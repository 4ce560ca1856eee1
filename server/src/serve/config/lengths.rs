//! Lengths of time, as people write them: `500ms`, `10s`, `5m`, `24h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, in whole milliseconds that fit 32 bits: seven weeks at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length(u32);

/// The units, with their milliseconds; from the longest.
const UNITS: [(&str, u32); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Length {
    pub(crate) const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    pub(crate) const fn from_seconds(seconds: u32) -> Self {
        Self(seconds * 1000)
    }

    pub(crate) const fn from_hours(hours: u32) -> Self {
        Self(hours * 3_600_000)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As the system's clocks take it.
    pub(crate) fn of_clock(self) -> Duration {
        Duration::from_millis(self.0.into())
    }

    /// As the engine takes it.
    pub(crate) fn of_engine(self) -> consentry::domain::Duration {
        consentry::domain::Duration::from_millis(self.0)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, millis)| self.0 != 0 && self.0.is_multiple_of(*millis));
        match whole {
            Some((unit, millis)) => write!(f, "{}{unit}", self.0 / millis),
            None => f.write_str("0s"),
        }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time: expected such as 500ms, 10s, 5m, 24h or 7d");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let most = || format!("`{text}` is too long: at most 49d");
        number.checked_mul(*millis).map(Self).ok_or_else(most)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
