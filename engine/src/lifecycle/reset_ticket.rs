//! The reset ticket: the owner is asked to set a new password on a device (seed 000, H6).

use serde::{Deserialize, Serialize};
use statig::Outcome::{self, Super, Transition};
use statig::blocking::{State, Superstate};

use super::{At, Dispatch, Timed, machine, named, wait};
use crate::domain::Timestamp;

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TicketState {
    /// Waits for the owner until the deadline.
    Pending {
        /// From this moment on it is expired.
        deadline: Timestamp,
    },
    /// The owner gave a password, and the device has not confirmed it: it may or may not have it.
    Applying {
        /// The deadline that the ticket had; it counts again if the device did not take the password.
        deadline: Timestamp,
    },
    /// The device has the new password.
    Completed,
    /// The owner did not want to.
    Rejected,
    /// Nobody answered in time.
    Expired,
    /// The company took it back.
    Withdrawn,
    /// What it rested on is gone.
    Cancelled,
}

/// What can be tried with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketEvent {
    /// The owner gives a new password.
    Submit,
    /// The owner rejects.
    Reject,
    /// The company takes it back.
    Withdraw,
    /// What it rested on goes.
    Cancel,
    /// The device has the password.
    Confirm,
    /// The device does not have it.
    Fail,
    /// Time passes.
    Lapse,
}

/// What several states have in common.
#[derive(Debug, Clone, Copy)]
pub enum TicketSuperstate {
    /// Waiting for an answer; knows until when.
    Open {
        /// From this moment on nothing waits.
        deadline: Timestamp,
    },
    /// Not over: no other ticket for the device may be opened.
    Live,
    /// Over: nothing happens any more.
    Closed,
}

machine! {
    /// The machine of a reset ticket.
    ResetTicket, TicketState, TicketEvent, TicketSuperstate, "reset ticket",
    [Submit, Reject, Withdraw, Cancel, Confirm, Fail, Lapse],
    |deadline| TicketState::Pending { deadline }
}

named!(TicketState {
    Self::Pending { .. } => "pending", Self::Applying { .. } => "applying",
    Self::Completed => "completed", Self::Rejected => "rejected", Self::Expired => "expired",
    Self::Withdrawn => "withdrawn", Self::Cancelled => "cancelled",
});
named!(TicketEvent {
    Self::Submit => "submit", Self::Reject => "reject", Self::Withdraw => "withdraw",
    Self::Cancel => "cancel", Self::Confirm => "confirm", Self::Fail => "fail", Self::Lapse => "lapse",
});
named!(TicketSuperstate { Self::Open { .. } => "open", Self::Live => "live", Self::Closed => "closed" });

impl TicketState {
    /// Whether no other ticket for the device may be opened.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Pending { .. } | Self::Applying { .. } => true,
            Self::Completed | Self::Rejected | Self::Expired | Self::Withdrawn | Self::Cancelled => false,
        }
    }
}

impl State<ResetTicket> for TicketState {
    fn call_handler(
        &mut self,
        _: &mut ResetTicket,
        event: &At<TicketEvent>,
        _: &mut Dispatch,
    ) -> Outcome<Self> {
        match self {
            Self::Pending { deadline } if !event.at.has_reached(*deadline) => match event.event {
                TicketEvent::Submit => Transition(Self::Applying { deadline: *deadline }),
                TicketEvent::Reject => Transition(Self::Rejected),
                TicketEvent::Withdraw => Transition(Self::Withdrawn),
                TicketEvent::Cancel => Transition(Self::Cancelled),
                TicketEvent::Confirm | TicketEvent::Fail | TicketEvent::Lapse => Super,
            },
            // Time does not end what may already be on the device: only its confirmation does.
            Self::Applying { deadline } => match event.event {
                TicketEvent::Confirm => Transition(Self::Completed),
                TicketEvent::Fail => Transition(Self::Pending { deadline: *deadline }.seen_at(event.at)),
                TicketEvent::Submit
                | TicketEvent::Reject
                | TicketEvent::Withdraw
                | TicketEvent::Cancel
                | TicketEvent::Lapse => Super,
            },
            Self::Pending { .. }
            | Self::Completed
            | Self::Rejected
            | Self::Expired
            | Self::Withdrawn
            | Self::Cancelled => Super,
        }
    }

    fn superstate(&mut self) -> Option<TicketSuperstate> {
        Some(match self {
            Self::Pending { deadline } => TicketSuperstate::Open { deadline: *deadline },
            Self::Applying { .. } => TicketSuperstate::Live,
            Self::Completed | Self::Rejected | Self::Expired | Self::Withdrawn | Self::Cancelled => {
                TicketSuperstate::Closed
            }
        })
    }
}

impl Superstate<ResetTicket> for TicketSuperstate {
    fn call_handler(
        &mut self,
        _: &mut ResetTicket,
        event: &At<TicketEvent>,
        dispatch: &mut Dispatch,
    ) -> Outcome<TicketState> {
        match self {
            Self::Open { deadline } => {
                let passing = event.event == TicketEvent::Lapse;
                wait(Some(*deadline), event.at, passing, TicketState::Expired, dispatch)
            }
            Self::Live | Self::Closed => Super,
        }
    }

    fn superstate(&mut self) -> Option<TicketSuperstate> {
        match self {
            Self::Open { .. } => Some(Self::Live),
            Self::Live | Self::Closed => None,
        }
    }
}

impl Timed for TicketSuperstate {
    fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Open { deadline } => Some(*deadline),
            Self::Live | Self::Closed => None,
        }
    }
}
