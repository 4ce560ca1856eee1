//! The claims.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use cedar_policy::{ActionConstraint, PolicySet};

use crate::ProveError;

/// A claim about policies.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Nothing is allowed beyond what these policies would allow, for the actions that they name.
    Within(&'static str),
    /// No policy runs into an error.
    NoErrors,
}

/// The policies that a claim is measured by.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) policies: PolicySet,
    /// The ids of the actions that it is about.
    pub(crate) actions: BTreeSet<String>,
}

macro_rules! within {
    ($($name:literal),* $(,)?) => {
        [
            $(Proof { name: $name, kind: Kind::Within(include_str!(concat!("../proofs/", $name, ".cedar"))) },)*
            Proof { name: "no-policy-errors", kind: Kind::NoErrors },
        ]
    };
}

static PROOFS: [Proof; 11] = within!(
    "installer-needs-grant",
    "ended-grant-gives-nothing",
    "access-is-for-owner-and-company",
    "service-disabled-on-accepted-rental-sites-only",
    "only-owner-answers",
    "only-owner-gives-and-takes-back",
    "nobody-answers-themselves",
    "owned-site-keeps-its-devices",
    "installers-act-for-own-company",
    "only-operator-registers",
);

/// All of them.
#[must_use]
pub fn proofs() -> &'static [Proof] {
    &PROOFS
}

impl Proof {
    /// What is claimed, as a sentence.
    #[must_use]
    pub fn claim(&self) -> &'static str {
        match self.kind {
            Kind::Within(text) => {
                text.lines().next().and_then(|line| line.strip_prefix("// ")).unwrap_or_default()
            }
            Kind::NoErrors => "No policy runs into an error, whatever is asked.",
        }
    }

    /// What it is measured by; `None`: by nothing but itself.
    pub(crate) fn bound(&self) -> Result<Option<Bound>, ProveError> {
        let Kind::Within(text) = self.kind else { return Ok(None) };
        let policies = PolicySet::from_str(text)
            .map_err(|error| ProveError::Undecided { proof: self.name, message: error.to_string() })?;
        let actions = policies.policies().flat_map(|policy| match policy.action_constraint() {
            ActionConstraint::Any => Vec::new(),
            ActionConstraint::Eq(action) => vec![action],
            ActionConstraint::In(actions) => actions,
        });
        let actions = actions.map(|action| action.id().unescaped().to_owned()).collect();
        Ok(Some(Bound { policies, actions }))
    }
}
