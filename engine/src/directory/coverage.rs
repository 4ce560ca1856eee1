use std::sync::Arc;

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

/// The grants for one device or site, by company and permission. A site has one company today, so
/// the list is as long as there are permissions; it is searched from the front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Covers(Vec<Cover>);

#[derive(Debug, Clone)]
struct Cover {
    company: CompanyId,
    permission: Permission,
    terms: Terms,
}

/// The grants that no event has ended. Time may have.
#[derive(Debug, Clone)]
enum Terms {
    None,
    One(Term),
    Many(Arc<Vec<Term>>),
}

#[derive(Debug, Clone)]
struct Term {
    until: Option<Timestamp>,
    grant: GrantId,
}

impl Term {
    fn is_live(&self, now: Timestamp) -> bool {
        !self.until.is_some_and(|until| now.has_reached(until))
    }
}

impl Terms {
    fn as_slice(&self) -> &[Term] {
        match self {
            Self::None => &[],
            Self::One(term) => std::slice::from_ref(term),
            Self::Many(terms) => terms,
        }
    }

    fn from_vec(mut terms: Vec<Term>) -> Self {
        match (terms.len(), terms.pop()) {
            (1, Some(term)) => Self::One(term),
            (_, Some(last)) => {
                terms.push(last);
                // INVARIANT: the term that lasts longest is the first.
                terms.sort_by_key(|term| std::cmp::Reverse(term.until.unwrap_or(Timestamp::MAX)));
                Self::Many(Arc::new(terms))
            }
            (_, None) => Self::None,
        }
    }
}

impl Covers {
    pub(crate) fn coverage(&self, company: &CompanyId, permission: Permission, now: Timestamp) -> Coverage {
        let cover = self.0.iter().find(|cover| cover.permission == permission && cover.company == *company);
        match cover.map(|cover| cover.terms.as_slice().first()) {
            None => Coverage::Never,
            // Every grant begins when it is made: those that are live all cover this very moment,
            // and the chain ends with the one that lasts longest.
            Some(Some(longest)) if longest.is_live(now) => Coverage::Live { until: longest.until },
            Some(_) => Coverage::Over,
        }
    }

    pub(crate) fn any_live(&self, company: &CompanyId, now: Timestamp) -> bool {
        self.0.iter().any(|cover| {
            cover.company == *company && cover.terms.as_slice().iter().any(|term| term.is_live(now))
        })
    }

    pub(crate) fn live_grants(&self, now: Timestamp) -> impl Iterator<Item = GrantId> {
        self.0
            .iter()
            .flat_map(|cover| cover.terms.as_slice())
            .filter(move |term| term.is_live(now))
            .map(|term| term.grant.clone())
    }

    /// A grant was made at `at`. What time has ended by then is forgotten: nothing else can end it.
    pub(crate) fn add(
        &mut self,
        company: &CompanyId,
        permission: Permission,
        grant: GrantId,
        until: Option<Timestamp>,
        at: Timestamp,
    ) {
        let term = Term { until, grant };
        let found =
            self.0.iter_mut().find(|cover| cover.permission == permission && cover.company == *company);
        match found {
            Some(cover) => {
                let mut terms = cover.terms.as_slice().to_vec();
                terms.retain(|term| term.is_live(at));
                terms.push(term);
                cover.terms = Terms::from_vec(terms);
            }
            None => {
                self.0.reserve_exact(1);
                self.0.push(Cover { company: company.clone(), permission, terms: Terms::One(term) });
            }
        }
    }

    /// A grant ended. That there was one is remembered.
    pub(crate) fn remove(&mut self, grant: &GrantId) {
        for cover in &mut self.0 {
            if cover.terms.as_slice().iter().any(|term| term.grant == *grant) {
                let mut terms = cover.terms.as_slice().to_vec();
                terms.retain(|term| term.grant != *grant);
                cover.terms = Terms::from_vec(terms);
            }
        }
    }

    /// For each company and permission that there ever was a grant for: the grants that no event has ended.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&CompanyId, Permission, Vec<&GrantId>)> {
        self.0.iter().map(|cover| {
            let grants = cover.terms.as_slice().iter().map(|term| &term.grant).collect();
            (&cover.company, cover.permission, grants)
        })
    }

    /// Puts back what [`Self::listed`] told of one company and permission.
    pub(crate) fn restore(
        &mut self,
        company: CompanyId,
        permission: Permission,
        grants: Vec<(GrantId, Option<Timestamp>)>,
    ) {
        let terms = grants.into_iter().map(|(grant, until)| Term { until, grant }).collect();
        self.0.push(Cover { company, permission, terms: Terms::from_vec(terms) });
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
            let company: CompanyId = "acme".parse().unwrap();
            let mut covers = Covers::default();
            let mut made = grants.clone();
            made.sort_by_key(|grant| grant.0);
            let mut until = Vec::new();
            for (index, (start, hours, removed)) in made.iter().enumerate() {
                let grant: GrantId = format!("g{index}").parse().unwrap();
                let end = hours.map(|hours| at(start + hours));
                covers.add(&company, Permission::LiveView, grant.clone(), end, at(*start));
                if *removed {
                    covers.remove(&grant);
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
            prop_assert_eq!(covers.coverage(&company, Permission::LiveView, at(now.max(6))),
                            if now >= 6 { expected } else { covers.coverage(&company, Permission::LiveView, at(6)) });
            prop_assert_eq!(covers.coverage(&company, Permission::Playback, at(now)), Coverage::Never);
        }
    }
}
