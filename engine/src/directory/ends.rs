//! The grants that time will end, by the minute in which it will.

use super::bucket;
use super::list::List;
use super::table::Number;
use crate::domain::{GrantId, Timestamp};

/// Grants are put on the list of a minute, and counted off when something else ends them: they stay on the list until
/// nothing on it is left to end. So a withdrawal looks for nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    minutes: rpds::RedBlackTreeMapSync<i64, Minute>,
}

#[derive(Debug, Clone, Default)]
struct Minute {
    grants: List<Number<GrantId>>,
    /// How many of them are left to end. INVARIANT: not 0.
    left: u32,
}

impl Ends {
    /// Time will end this grant, which is not here yet. O(log minutes + log grants of the minute).
    pub(super) fn add(&mut self, grant: Number<GrantId>, end: Timestamp) {
        let minute = bucket(end);
        if !self.minutes.contains_key(&minute) {
            self.minutes.insert_mut(minute, Minute::default());
        }
        if let Some(minute) = self.minutes.get_mut(&minute) {
            minute.left += u32::from(minute.grants.push(grant).is_some());
        }
    }

    /// A grant that was to end then is over. O(log minutes).
    pub(super) fn count_off(&mut self, end: Timestamp) {
        let minute = bucket(end);
        let Some(own) = self.minutes.get_mut(&minute) else { return };
        own.left = own.left.saturating_sub(1);
        if own.left == 0 {
            self.minutes.remove_mut(&minute);
        }
    }

    /// All grants that time was to end by the minute of this moment, unless nothing in their minute is left to end: some
    /// of them may be over, some may have to wait for the end of the minute.
    pub(super) fn until(&self, now: Timestamp) -> impl Iterator<Item = Number<GrantId>> {
        let minutes = self.minutes.range(..=bucket(now));
        minutes.flat_map(|(_, minute)| minute.grants.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_to_end_is_found_and_minutes_of_which_nothing_is_left_go(
            ops in prop::collection::vec((0_i64..5, prop::option::of(any::<prop::sample::Index>())), 1..200),
        ) {
            let moment = |minute: i64| Timestamp::from_millis(minute * 60_000);
            let (mut ends, mut left) = (Ends::default(), BTreeMap::new());
            for (place, (minute, over)) in (0..).zip(ops) {
                let grant = Number::<GrantId>::at(place).unwrap();
                match over.filter(|_| !left.is_empty()) {
                    None => {
                        ends.add(grant, moment(minute));
                        left.insert(place, minute);
                    }
                    Some(over) => {
                        let (gone, minute) = left.iter().nth(over.index(left.len())).map(|(place, at)| (*place, *at)).unwrap();
                        ends.count_off(moment(minute));
                        left.remove(&gone);
                    }
                }
                for now in 0..5 {
                    let found: Vec<u32> = ends.until(moment(now)).map(Number::place).collect();
                    prop_assert!(left.iter().all(|(place, end)| *end > now || found.contains(place)));
                    prop_assert!(found.is_empty() || left.values().any(|end| *end <= now));
                }
            }
        }
    }
}
