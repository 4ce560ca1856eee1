//! The permission application: a company asks the owner for access (seed 004, H2, H4).

use serde::{Deserialize, Serialize};
use statig::Outcome::{self, Super, Transition};
use statig::blocking::{State, Superstate};

use super::{At, Dispatch, Timed, machine, named, wait};
use crate::domain::Timestamp;

/// Where an application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ApplicationState {
    /// Waits for an answer until the deadline.
    Pending {
        /// From this moment on it is expired.
        deadline: Timestamp,
    },
    /// The owner agreed; the grants tell what to.
    Accepted,
    /// The owner did not agree.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// The company took it back.
    Withdrawn,
    /// What it rested on is gone.
    Cancelled,
}

/// What can be tried with an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApplicationEvent {
    /// The owner agrees.
    Accept,
    /// The owner does not.
    Reject,
    /// The company takes it back.
    Withdraw,
    /// What it rested on goes.
    Cancel,
    /// Time passes.
    Lapse,
}

/// What several states have in common.
#[derive(Debug, Clone, Copy)]
pub enum ApplicationSuperstate {
    /// Waiting for an answer; knows until when.
    Open {
        /// From this moment on nothing waits.
        deadline: Timestamp,
    },
    /// Over: nothing happens any more.
    Closed,
}

machine! {
    /// The machine of a permission application.
    PermissionApplication, ApplicationState, ApplicationEvent, ApplicationSuperstate,
    "permission application", [Accept, Reject, Withdraw, Cancel, Lapse],
    |deadline| ApplicationState::Pending { deadline }
}

named!(ApplicationState {
    Self::Pending { .. } => "pending", Self::Accepted => "accepted", Self::Rejected => "rejected",
    Self::Expired => "expired", Self::Withdrawn => "withdrawn", Self::Cancelled => "cancelled",
});
named!(ApplicationEvent {
    Self::Accept => "accept", Self::Reject => "reject", Self::Withdraw => "withdraw",
    Self::Cancel => "cancel", Self::Lapse => "lapse",
});
named!(ApplicationSuperstate { Self::Open { .. } => "open", Self::Closed => "closed" });

impl State<PermissionApplication> for ApplicationState {
    fn call_handler(
        &mut self,
        _: &mut PermissionApplication,
        event: &At<ApplicationEvent>,
        _: &mut Dispatch,
    ) -> Outcome<Self> {
        match self {
            Self::Pending { deadline } if !event.at.has_reached(*deadline) => match event.event {
                ApplicationEvent::Accept => Transition(Self::Accepted),
                ApplicationEvent::Reject => Transition(Self::Rejected),
                ApplicationEvent::Withdraw => Transition(Self::Withdrawn),
                ApplicationEvent::Cancel => Transition(Self::Cancelled),
                ApplicationEvent::Lapse => Super,
            },
            Self::Pending { .. }
            | Self::Accepted
            | Self::Rejected
            | Self::Expired
            | Self::Withdrawn
            | Self::Cancelled => Super,
        }
    }

    fn superstate(&mut self) -> Option<ApplicationSuperstate> {
        Some(match self {
            Self::Pending { deadline } => ApplicationSuperstate::Open { deadline: *deadline },
            Self::Accepted | Self::Rejected | Self::Expired | Self::Withdrawn | Self::Cancelled => {
                ApplicationSuperstate::Closed
            }
        })
    }
}

impl Superstate<PermissionApplication> for ApplicationSuperstate {
    fn call_handler(
        &mut self,
        _: &mut PermissionApplication,
        event: &At<ApplicationEvent>,
        dispatch: &mut Dispatch,
    ) -> Outcome<ApplicationState> {
        match self {
            Self::Open { deadline } => {
                let passing = event.event == ApplicationEvent::Lapse;
                wait(Some(*deadline), event.at, passing, ApplicationState::Expired, dispatch)
            }
            Self::Closed => Super,
        }
    }
}

impl Timed for ApplicationSuperstate {
    fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open { deadline } => Some(*deadline),
            Self::Closed => None,
        }
    }
}
