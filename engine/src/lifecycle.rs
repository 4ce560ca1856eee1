//! The four lifecycles, as hierarchical state machines on statig.
//!
//! Each machine is pure: [`step`] takes a state, an event and a moment, and says what becomes of the
//! state. No machine has entry or exit actions, so that loading a state performs nothing. Machines
//! know *in which state and until when* something may happen; *who* may do it is for policies.

pub mod grant;
pub mod invite;
pub mod permission_application;
pub mod reset_ticket;
pub mod table;

use std::fmt::Debug;

use statig::Outcome;
use statig::blocking::{IntoStateMachine, State, StateExt, Superstate};

use crate::domain::Timestamp;

/// An event and its moment. The moment decides whether a deadline has passed; no sweeper does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<E> {
    /// What is tried.
    pub event: E,
    /// When.
    pub at: Timestamp,
}

/// What became of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<S> {
    /// The event happened; this is the new state.
    Moved(S),
    /// Time was over before the event: it did not happen, and this is the new state.
    Lapsed(S),
    /// The event has no place in this state; nothing changed.
    Refused,
}

/// What one dispatch says beside its outcome.
#[derive(Debug, Default)]
pub struct Dispatch {
    lapsed: bool,
}

/// One of the four machines.
pub trait Lifecycle:
    for<'e, 'c> IntoStateMachine<State = Self::Stage, Event<'e> = At<Self::Trigger>, Context<'c> = Dispatch>
    + Default
where
    for<'s> Self::Superstate<'s>: Superstate<Self> + Named,
{
    /// Its states.
    type Stage: State<Self> + Named + Clone + Copy + Eq + Debug;
    /// Its events.
    type Trigger: Named + Copy + Eq + Debug + 'static;
    /// Its name.
    const NAME: &'static str;
    /// Every event, once.
    const TRIGGERS: &'static [Self::Trigger];

    /// The state in which it begins, with this deadline.
    fn opened(deadline: Timestamp) -> Self::Stage;
}

/// What knows a moment from which on nothing of it is left.
pub trait Timed {
    /// That moment, if there is one.
    fn ends_at(&self) -> Option<Timestamp>;
}

/// What has a name in tables, diagrams and answers.
pub trait Named {
    /// The name.
    fn name(&self) -> &'static str;
}

/// Dispatches one event to a machine in `state`. Pure; O(depth of the state).
pub fn step<M: Lifecycle>(state: &M::Stage, event: M::Trigger, at: Timestamp) -> Step<M::Stage>
where
    for<'s> M::Superstate<'s>: Superstate<M> + Named,
{
    let mut state = *state;
    let mut dispatch = Dispatch::default();
    match state.handle(&mut M::default(), &At { event, at }, &mut dispatch) {
        Outcome::Transition(next) if dispatch.lapsed => Step::Lapsed(next),
        Outcome::Transition(next) => Step::Moved(next),
        Outcome::Handled | Outcome::Super => Step::Refused,
    }
}

/// What the superstate of everything that waits does: once its time is over, no event finds it
/// waiting. `passing` says whether the event is the passing of time itself.
fn wait<S>(
    deadline: Option<Timestamp>,
    at: Timestamp,
    passing: bool,
    over: S,
    dispatch: &mut Dispatch,
) -> Outcome<S> {
    if deadline.is_some_and(|deadline| at.has_reached(deadline)) {
        dispatch.lapsed = !passing;
        Outcome::Transition(over)
    } else {
        Outcome::Super
    }
}

macro_rules! named {
    ($type:ty { $($pattern:pat => $name:literal),* $(,)? }) => {
        impl $crate::lifecycle::Named for $type {
            fn name(&self) -> &'static str {
                match self { $($pattern => $name),* }
            }
        }
    };
}
pub(crate) use named;

macro_rules! machine {
    ($(#[$doc:meta])* $machine:ident, $state:ident, $event:ident, $superstate:ident, $name:literal,
     [$($trigger:ident),*], $opened:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy)]
        pub struct $machine;

        impl statig::blocking::IntoStateMachine for $machine {
            type Event<'evt> = $crate::lifecycle::At<$event>;
            type Context<'ctx> = $crate::lifecycle::Dispatch;
            type State = $state;
            type Superstate<'sub> = $superstate;

            fn initial() -> $state {
                $opened($crate::domain::Timestamp::MAX)
            }
        }

        impl $crate::lifecycle::Lifecycle for $machine {
            type Stage = $state;
            type Trigger = $event;
            const NAME: &'static str = $name;
            const TRIGGERS: &'static [$event] = &[$($event::$trigger),*];

            fn opened(deadline: $crate::domain::Timestamp) -> $state {
                $opened(deadline)
            }
        }

        impl $state {
            /// What `event` at `at` makes of this state. Pure.
            #[must_use]
            pub fn step(&self, event: $event, at: $crate::domain::Timestamp) -> $crate::lifecycle::Step<Self> {
                $crate::lifecycle::step::<$machine>(self, event, at)
            }

            /// The state as it is at `now`: where time is over, it is over whether or not anything
            /// was written down.
            #[must_use]
            pub fn seen_at(self, now: $crate::domain::Timestamp) -> Self {
                match self.step($event::Lapse, now) {
                    $crate::lifecycle::Step::Moved(next) | $crate::lifecycle::Step::Lapsed(next) => next,
                    $crate::lifecycle::Step::Refused => self,
                }
            }

            /// The moment at which time alone ends it; `None`: time does not.
            #[must_use]
            pub fn ends_at(mut self) -> Option<$crate::domain::Timestamp> {
                let superstate = statig::blocking::State::<$machine>::superstate(&mut self)?;
                $crate::lifecycle::Timed::ends_at(&superstate)
            }

            /// The state's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                $crate::lifecycle::Named::name(self)
            }
        }
    };
}
pub(crate) use machine;

#[cfg(test)]
mod tests;
