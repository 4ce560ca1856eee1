//! The grant: a company has a permission, made by an acceptance or by the owner unasked (seed 004, H3).

use serde::{Deserialize, Serialize};
use statig::Outcome::{self, Super, Transition};
use statig::blocking::{State, Superstate};

use super::{At, Dispatch, Timed, machine, named, wait};
use crate::domain::Timestamp;

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantState {
    /// It gives access.
    Active {
        /// From this moment on it does not; `None`: without end.
        until: Option<Timestamp>,
    },
    /// Its time was over.
    Ended,
    /// The company gave it back.
    Released,
    /// The owner took it back.
    Withdrawn,
    /// What it rested on is gone.
    Revoked,
}

/// What can be tried with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantEvent {
    /// The company gives it back.
    Release,
    /// The owner takes it back.
    Withdraw,
    /// What it rested on goes.
    Revoke,
    /// Time passes.
    Lapse,
}

/// What several states have in common.
#[derive(Debug, Clone, Copy)]
pub enum GrantSuperstate {
    /// In force; knows until when.
    Running {
        /// From this moment on nothing is in force.
        until: Option<Timestamp>,
    },
    /// Over: nothing happens any more.
    Closed,
}

machine! {
    /// The machine of a grant.
    Grant, GrantState, GrantEvent, GrantSuperstate, "grant",
    [Release, Withdraw, Revoke, Lapse],
    |until| GrantState::Active { until: Some(until) }
}

named!(GrantState {
    Self::Active { .. } => "active", Self::Ended => "ended", Self::Released => "released",
    Self::Withdrawn => "withdrawn", Self::Revoked => "revoked",
});
named!(GrantEvent {
    Self::Release => "release", Self::Withdraw => "withdraw", Self::Revoke => "revoke",
    Self::Lapse => "lapse",
});
named!(GrantSuperstate { Self::Running { .. } => "running", Self::Closed => "closed" });

impl GrantState {
    /// Whether it gives access at `now`.
    #[must_use]
    pub fn is_live(self, now: Timestamp) -> bool {
        matches!(self.seen_at(now), Self::Active { .. })
    }
}

impl State<Grant> for GrantState {
    fn call_handler(&mut self, _: &mut Grant, event: &At<GrantEvent>, _: &mut Dispatch) -> Outcome<Self> {
        match self {
            Self::Active { until } if !until.is_some_and(|until| event.at.has_reached(until)) => {
                match event.event {
                    GrantEvent::Release => Transition(Self::Released),
                    GrantEvent::Withdraw => Transition(Self::Withdrawn),
                    GrantEvent::Revoke => Transition(Self::Revoked),
                    GrantEvent::Lapse => Super,
                }
            }
            Self::Active { .. } | Self::Ended | Self::Released | Self::Withdrawn | Self::Revoked => Super,
        }
    }

    fn superstate(&mut self) -> Option<GrantSuperstate> {
        Some(match self {
            Self::Active { until } => GrantSuperstate::Running { until: *until },
            Self::Ended | Self::Released | Self::Withdrawn | Self::Revoked => GrantSuperstate::Closed,
        })
    }
}

impl Superstate<Grant> for GrantSuperstate {
    fn call_handler(
        &mut self,
        _: &mut Grant,
        event: &At<GrantEvent>,
        dispatch: &mut Dispatch,
    ) -> Outcome<GrantState> {
        match self {
            Self::Running { until } => {
                let passing = event.event == GrantEvent::Lapse;
                wait(*until, event.at, passing, GrantState::Ended, dispatch)
            }
            Self::Closed => Super,
        }
    }
}

impl Timed for GrantSuperstate {
    fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Running { until } => *until,
            Self::Closed => None,
        }
    }
}
