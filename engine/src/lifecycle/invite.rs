//! The invite: an owner is asked to take a site over (seed 004, H1).

use serde::{Deserialize, Serialize};
use statig::Outcome::{self, Super, Transition};
use statig::blocking::{State, Superstate};

use super::{At, Dispatch, Timed, machine, named, wait};
use crate::domain::Timestamp;

/// Where an invite stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InviteState {
    /// Waits for an answer until the deadline.
    Pending {
        /// From this moment on it is expired.
        deadline: Timestamp,
    },
    /// The invited one took the site over.
    Accepted,
    /// The invited one did not.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// The company took it back.
    Withdrawn,
    /// Another invite took its place.
    Superseded,
    /// What it rested on is gone.
    Cancelled,
}

/// What can be tried with an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteEvent {
    /// The invited one accepts.
    Accept,
    /// The invited one rejects.
    Reject,
    /// The company takes it back.
    Withdraw,
    /// Another invite to the site takes its place.
    Supersede,
    /// What it rested on goes.
    Cancel,
    /// Time passes.
    Lapse,
}

/// What several states have in common.
#[derive(Debug, Clone, Copy)]
pub enum InviteSuperstate {
    /// Waiting for an answer; knows until when.
    Open {
        /// From this moment on nothing waits.
        deadline: Timestamp,
    },
    /// Over: nothing happens any more.
    Closed,
}

machine! {
    /// The machine of an invite.
    Invite, InviteState, InviteEvent, InviteSuperstate, "invite",
    [Accept, Reject, Withdraw, Supersede, Cancel, Lapse],
    |deadline| InviteState::Pending { deadline }
}

named!(InviteState {
    Self::Pending { .. } => "pending", Self::Accepted => "accepted", Self::Rejected => "rejected",
    Self::Expired => "expired", Self::Withdrawn => "withdrawn", Self::Superseded => "superseded",
    Self::Cancelled => "cancelled",
});
named!(InviteEvent {
    Self::Accept => "accept", Self::Reject => "reject", Self::Withdraw => "withdraw",
    Self::Supersede => "supersede", Self::Cancel => "cancel", Self::Lapse => "lapse",
});
named!(InviteSuperstate { Self::Open { .. } => "open", Self::Closed => "closed" });

impl State<Invite> for InviteState {
    fn call_handler(&mut self, _: &mut Invite, event: &At<InviteEvent>, _: &mut Dispatch) -> Outcome<Self> {
        match self {
            Self::Pending { deadline } if !event.at.has_reached(*deadline) => match event.event {
                InviteEvent::Accept => Transition(Self::Accepted),
                InviteEvent::Reject => Transition(Self::Rejected),
                InviteEvent::Withdraw => Transition(Self::Withdrawn),
                InviteEvent::Supersede => Transition(Self::Superseded),
                InviteEvent::Cancel => Transition(Self::Cancelled),
                InviteEvent::Lapse => Super,
            },
            Self::Pending { .. }
            | Self::Accepted
            | Self::Rejected
            | Self::Expired
            | Self::Withdrawn
            | Self::Superseded
            | Self::Cancelled => Super,
        }
    }

    fn superstate(&mut self) -> Option<InviteSuperstate> {
        Some(match self {
            Self::Pending { deadline } => InviteSuperstate::Open { deadline: *deadline },
            Self::Accepted
            | Self::Rejected
            | Self::Expired
            | Self::Withdrawn
            | Self::Superseded
            | Self::Cancelled => InviteSuperstate::Closed,
        })
    }
}

impl Superstate<Invite> for InviteSuperstate {
    fn call_handler(
        &mut self,
        _: &mut Invite,
        event: &At<InviteEvent>,
        dispatch: &mut Dispatch,
    ) -> Outcome<InviteState> {
        match self {
            Self::Open { deadline } => {
                let passing = event.event == InviteEvent::Lapse;
                wait(Some(*deadline), event.at, passing, InviteState::Expired, dispatch)
            }
            Self::Closed => Super,
        }
    }
}

impl Timed for InviteSuperstate {
    fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open { deadline } => Some(*deadline),
            Self::Closed => None,
        }
    }
}
