use std::collections::VecDeque;

use statig::blocking::{IntoStateMachineExt as _, State, Superstate};

use super::grant::{Grant, GrantEvent, GrantState};
use super::invite::{Invite, InviteEvent, InviteState};
use super::permission_application::{ApplicationEvent, ApplicationState, PermissionApplication};
use super::reset_ticket::{ResetTicket, TicketEvent, TicketState};
use super::{At, Dispatch, Lifecycle, Named, Step, step, table};
use crate::decide::Lifetimes;
use crate::domain::Timestamp;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Drives statig's own `StateMachine` along `path`, then dispatches one more event, and compares with `step`.
fn agrees_with_statig<M: Lifecycle>()
where
    for<'s> M::Superstate<'s>: Superstate<M> + Named,
    M::Stage: State<M>,
{
    // The initial state of the stock machine has the deadline MAX.
    let moments = [at(0), at(5), Timestamp::MAX];
    let mut seen = vec![M::opened(Timestamp::MAX)];
    let mut queue: VecDeque<Vec<(M::Trigger, Timestamp)>> = VecDeque::from([Vec::new()]);
    while let Some(path) = queue.pop_front() {
        for &event in M::TRIGGERS {
            for moment in moments {
                let mut machine =
                    M::default().uninitialized_state_machine().init_with_context(&mut Dispatch::default());
                for (event, at) in &path {
                    machine.handle_with_context(&At { event: *event, at: *at }, &mut Dispatch::default());
                }
                let before = *machine.state();
                let mut dispatch = Dispatch::default();
                machine.handle_with_context(&At { event, at: moment }, &mut dispatch);
                let stock = *machine.state();
                let (ours, lapsed) = match step::<M>(&before, event, moment) {
                    Step::Moved(next) => (next, false),
                    Step::Lapsed(next) => (next, true),
                    Step::Refused => (before, false),
                };
                assert_eq!(stock, ours, "{} {event:?} at {moment}", M::NAME);
                assert_eq!(dispatch.lapsed, lapsed);
                if !seen.contains(&stock) {
                    seen.push(stock);
                    queue.push_back(path.iter().copied().chain([(event, moment)]).collect());
                }
            }
        }
    }
    assert!(seen.len() >= 5, "{} states of {} were reached", seen.len(), M::NAME);
}

#[test]
fn step_does_what_statigs_own_machine_does() {
    agrees_with_statig::<Invite>();
    agrees_with_statig::<PermissionApplication>();
    agrees_with_statig::<ResetTicket>();
    agrees_with_statig::<Grant>();
}

#[test]
fn a_day_is_86_400_000_milliseconds() {
    let Lifetimes { invite, permission_application, reset_ticket } = Lifetimes::default();
    for lifetime in [invite, permission_application, reset_ticket] {
        assert_eq!(lifetime.millis(), 86_400_000);
    }
}

#[test]
fn at_the_deadline_no_event_finds_an_invite_waiting() {
    let pending = InviteState::Pending { deadline: at(10) };
    assert_eq!(pending.step(InviteEvent::Accept, at(9)), Step::Moved(InviteState::Accepted));
    for late in [at(10), at(11), Timestamp::MAX] {
        for event in Invite::TRIGGERS {
            let expired = InviteState::Expired;
            let expected =
                if *event == InviteEvent::Lapse { Step::Moved(expired) } else { Step::Lapsed(expired) };
            assert_eq!(pending.step(*event, late), expected);
        }
    }
}

#[test]
fn terminal_states_absorb_every_event_at_every_time() {
    for moment in [Timestamp::MIN, at(0), Timestamp::MAX] {
        for state in
            [InviteState::Accepted, InviteState::Expired, InviteState::Superseded, InviteState::Cancelled]
        {
            assert!(Invite::TRIGGERS.iter().all(|event| state.step(*event, moment) == Step::Refused));
        }
        for state in [ApplicationState::Accepted, ApplicationState::Rejected, ApplicationState::Withdrawn] {
            assert!(
                PermissionApplication::TRIGGERS
                    .iter()
                    .all(|event| state.step(*event, moment) == Step::Refused)
            );
        }
        for state in [TicketState::Completed, TicketState::Rejected, TicketState::Cancelled] {
            assert!(ResetTicket::TRIGGERS.iter().all(|event| state.step(*event, moment) == Step::Refused));
        }
        for state in [GrantState::Ended, GrantState::Released, GrantState::Withdrawn, GrantState::Revoked] {
            assert!(Grant::TRIGGERS.iter().all(|event| state.step(*event, moment) == Step::Refused));
        }
    }
}

#[test]
fn a_ticket_on_its_way_to_the_device_waits_for_its_confirmation_alone() {
    let applying = TicketState::Applying { deadline: at(10) };
    assert_eq!(applying.ends_at(), None);
    assert_eq!(applying.seen_at(Timestamp::MAX), applying);
    assert_eq!(applying.step(TicketEvent::Confirm, at(99)), Step::Moved(TicketState::Completed));
    let failed_in_time = applying.step(TicketEvent::Fail, at(9));
    assert_eq!(failed_in_time, Step::Moved(TicketState::Pending { deadline: at(10) }));
    assert_eq!(applying.step(TicketEvent::Fail, at(10)), Step::Moved(TicketState::Expired));
    for event in [TicketEvent::Submit, TicketEvent::Reject, TicketEvent::Withdraw, TicketEvent::Cancel] {
        assert_eq!(applying.step(event, at(5)), Step::Refused);
    }
}

#[test]
fn a_grant_without_an_end_never_ends_by_itself() {
    let permanent = GrantState::Active { until: None };
    assert!(permanent.is_live(Timestamp::MAX));
    let hour = GrantState::Active { until: Some(at(10)) };
    assert!(hour.is_live(at(9)) && !hour.is_live(at(10)));
    assert_eq!(hour.step(GrantEvent::Withdraw, at(10)), Step::Lapsed(GrantState::Ended));
}

/// Stored states are read back by later builds: their form is fixed.
#[test]
fn stored_states_keep_their_form() {
    let json = |state: &dyn Fn() -> serde_json::Result<String>| state().unwrap();
    assert_eq!(
        json(&|| serde_json::to_string(&InviteState::Pending { deadline: at(0) })),
        r#"{"Pending":{"deadline":"1970-01-01T00:00:00.000Z"}}"#
    );
    let invite = [InviteState::Accepted, InviteState::Rejected, InviteState::Expired, InviteState::Withdrawn];
    let bytes: Vec<u8> = invite.iter().map(|state| postcard::to_allocvec(state).unwrap()[0]).collect();
    assert_eq!(bytes, [1, 2, 3, 4]);
    let ticket = [TicketState::Applying { deadline: at(0) }, TicketState::Completed, TicketState::Cancelled];
    let bytes: Vec<u8> = ticket.iter().map(|state| postcard::to_allocvec(state).unwrap()[0]).collect();
    assert_eq!(bytes, [1, 2, 6]);
    let grant = [GrantState::Active { until: None }, GrantState::Ended, GrantState::Revoked];
    let bytes: Vec<u8> = grant.iter().map(|state| postcard::to_allocvec(state).unwrap()[0]).collect();
    assert_eq!(bytes, [0, 1, 4]);
    let application = [ApplicationState::Accepted, ApplicationState::Cancelled];
    let bytes: Vec<u8> = application.iter().map(|state| postcard::to_allocvec(state).unwrap()[0]).collect();
    assert_eq!(bytes, [1, 5]);
    assert_eq!(ApplicationEvent::Accept.name(), "accept");
}

#[test]
fn every_state_answers_every_event_before_and_at_the_deadline() {
    for table in table::tables() {
        let events: std::collections::BTreeSet<_> = table.rows.iter().map(|row| row.event).collect();
        assert_eq!(table.rows.len(), table.states.len() * events.len() * 2, "{}", table.lifecycle);
    }
}
