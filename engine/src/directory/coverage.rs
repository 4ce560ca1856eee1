use serde::{Deserialize, Serialize};

use super::short::Short;
use super::table::Number;
use crate::domain::{CompanyId, GrantId, Permission, Timestamp};

/// What the grants give together: never which of them gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// There never was a grant.
    Never,
    /// There was one, and none is live.
    Over,
    /// At least one is live.
    Live {
        /// The end of the gapless chain from now on; `None`: without end.
        until: Option<Timestamp>,
    },
}

/// When something ends, or that it does not: later than all that do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct End(i64);

impl End {
    const NONE: Self = Self(i64::MAX);

    pub(super) fn moment(self) -> Option<Timestamp> {
        (self != Self::NONE).then_some(Timestamp::from_millis(self.0))
    }

    fn is_over(self, now: Timestamp) -> bool {
        self.moment().is_some_and(|end| now.has_reached(end))
    }
}

impl From<Option<Timestamp>> for End {
    fn from(moment: Option<Timestamp>) -> Self {
        moment.map_or(Self::NONE, |moment| Self(moment.millis()))
    }
}

/// The grants for one device or site that no event has ended; time may have. There are few, and they are searched from
/// the front.
///
/// INVARIANT: the term that lasts longest is the first. Where there was a grant of a company and a permission, and none is
/// left, a term without a grant says so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Covers(Short<Term, 3>);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Term {
    end: End,
    company: Number<CompanyId>,
    grant: Option<Number<GrantId>>,
    permission: Permission,
}

impl Term {
    fn is_live(&self, now: Timestamp) -> bool {
        self.grant.is_some() && !self.end.is_over(now)
    }

    fn is_of(&self, company: Number<CompanyId>, permission: Permission) -> bool {
        self.permission == permission && self.company == company
    }
}

impl Covers {
    /// What a company's grants of a permission give. O(grants that no event has ended).
    pub(crate) fn coverage(
        &self,
        company: Number<CompanyId>,
        permission: Permission,
        now: Timestamp,
    ) -> Coverage {
        match self.0.iter().find(|term| term.is_of(company, permission)) {
            None => Coverage::Never,
            // Every grant begins when it is made: those that are live all cover this very moment,
            // and the chain ends with the one that lasts longest.
            Some(longest) if longest.is_live(now) => Coverage::Live { until: longest.end.moment() },
            Some(_) => Coverage::Over,
        }
    }

    pub(super) fn any_live(&self, company: Number<CompanyId>, now: Timestamp) -> bool {
        self.0.iter().any(|term| term.company == company && term.is_live(now))
    }

    pub(super) fn live_grants(&self, now: Timestamp) -> impl Iterator<Item = Number<GrantId>> {
        self.0.iter().filter(move |term| term.is_live(now)).filter_map(|term| term.grant)
    }

    /// A grant was made at `at`. What time has ended by then is forgotten: nothing else can end it.
    pub(super) fn add(
        &mut self,
        company: Number<CompanyId>,
        permission: Permission,
        grant: Number<GrantId>,
        end: End,
        at: Timestamp,
    ) {
        self.0.change(|terms| {
            terms.retain(|term| !term.is_of(company, permission) || term.is_live(at));
            let place = terms.partition_point(|term| term.end >= end);
            terms.insert(place, Term { end, company, grant: Some(grant), permission });
        });
    }

    /// A grant ended. That there was one is remembered.
    pub(super) fn remove(&mut self, grant: Number<GrantId>) {
        self.0.change(|terms| {
            let Some(place) = terms.iter().position(|term| term.grant == Some(grant)) else { return };
            let gone = terms.remove(place);
            if !terms.iter().any(|term| term.is_of(gone.company, gone.permission)) {
                terms.push(Term { end: End(i64::MIN), grant: None, ..gone });
            }
        });
    }

    /// Every company and permission that there is or was a grant of: with the grant, if one is left.
    pub(super) fn terms(
        &self,
    ) -> impl Iterator<Item = (Number<CompanyId>, Permission, Option<Number<GrantId>>)> {
        self.0.iter().map(|term| (term.company, term.permission, term.grant))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    proptest! {
        /// I5: the union over grants, in whatever order they were made and ended.
        #[test]
        fn coverage_is_the_union_of_the_grants_that_are_live(
            grants in prop::collection::vec((0_i64..6, prop::option::of(1_i64..9), any::<bool>()), 0..8),
            now in 0_i64..16,
        ) {
            let company = Number::at(0).unwrap();
            let mut covers = Covers::default();
            let mut made = grants.clone();
            made.sort_by_key(|grant| grant.0);
            let mut until = Vec::new();
            for (index, (start, hours, removed)) in made.iter().enumerate() {
                let grant = Number::at(u32::try_from(index).unwrap()).unwrap();
                let end = hours.map(|hours| at(start + hours));
                covers.add(company, Permission::LiveView, grant, end.into(), at(*start));
                if *removed {
                    covers.remove(grant);
                } else if !end.is_some_and(|end| at(now).has_reached(end)) {
                    until.push(end);
                }
            }
            let expected = if until.is_empty() {
                if made.is_empty() { Coverage::Never } else { Coverage::Over }
            } else {
                let longest = until.iter().copied().max_by_key(|end| end.unwrap_or(Timestamp::MAX)).unwrap();
                Coverage::Live { until: longest }
            };
            prop_assert_eq!(covers.coverage(company, Permission::LiveView, at(now.max(6))),
                            if now >= 6 { expected } else { covers.coverage(company, Permission::LiveView, at(6)) });
            prop_assert_eq!(covers.coverage(company, Permission::Playback, at(now)), Coverage::Never);
        }
    }
}
