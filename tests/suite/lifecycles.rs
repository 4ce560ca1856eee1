//! The four lifecycles as tables and diagrams: every state × event, before the deadline and at it.
//! Whoever changes a machine reads here what else changed.

use std::collections::BTreeSet;

use consentry::lifecycle::table::{Table, tables};

fn named(name: &str) -> Table {
    tables().into_iter().find(|table| table.lifecycle == name).unwrap()
}

fn text_and_diagram(name: &str) -> String {
    let table = named(name);
    format!("{}\n{}", table.text(), table.mermaid())
}

#[test]
fn there_are_four_lifecycles() {
    assert_eq!(
        tables().map(|table| table.lifecycle),
        ["invite", "permission application", "reset ticket", "grant"]
    );
}

#[test]
fn the_invite_is_this_table() {
    insta::assert_snapshot!(text_and_diagram("invite"));
}

#[test]
fn the_permission_application_is_this_table() {
    insta::assert_snapshot!(text_and_diagram("permission application"));
}

#[test]
fn the_reset_ticket_is_this_table() {
    insta::assert_snapshot!(text_and_diagram("reset ticket"));
}

#[test]
fn the_grant_is_this_table() {
    insta::assert_snapshot!(text_and_diagram("grant"));
}

#[test]
fn every_state_meets_every_event_before_the_deadline_and_at_it_once() {
    for table in tables() {
        let states: BTreeSet<&str> = table.states.iter().map(|row| row.state).collect();
        let events: BTreeSet<&str> = table.rows.iter().map(|row| row.event).collect();
        let mut expected = BTreeSet::new();
        for state in &states {
            for event in &events {
                expected.extend([(*state, *event, false), (*state, *event, true)]);
            }
        }
        let rows: BTreeSet<(&str, &str, bool)> =
            table.rows.iter().map(|row| (row.state, row.event, row.late)).collect();
        assert_eq!(rows, expected, "{}", table.lifecycle);
        assert_eq!(table.rows.len(), expected.len(), "{}: a row stands twice", table.lifecycle);
        assert!(states.contains(table.initial));
    }
}

/// The states that the contract names, and no others.
#[test]
fn the_states_are_those_of_the_contract() {
    for (lifecycle, states) in [
        (
            "invite",
            vec!["pending", "accepted", "rejected", "expired", "withdrawn", "superseded", "cancelled"],
        ),
        (
            "permission application",
            vec!["pending", "accepted", "rejected", "expired", "withdrawn", "cancelled"],
        ),
        (
            "reset ticket",
            vec!["pending", "applying", "completed", "rejected", "expired", "withdrawn", "cancelled"],
        ),
        ("grant", vec!["active", "ended", "released", "withdrawn", "revoked"]),
    ] {
        let found: BTreeSet<&str> = named(lifecycle).states.iter().map(|row| row.state).collect();
        assert_eq!(found, states.into_iter().collect(), "{lifecycle}");
    }
}

#[test]
fn what_is_over_absorbs_every_event() {
    for table in tables() {
        let open = ["pending", "applying", "active"];
        for row in table.rows.iter().filter(|row| !open.contains(&row.state)) {
            assert_eq!(
                (row.to, row.lapsed),
                (None, false),
                "{} {} {}",
                table.lifecycle,
                row.state,
                row.event
            );
        }
    }
}

#[test]
fn at_the_deadline_nothing_happens_to_what_waits_but_its_end() {
    for table in tables() {
        for row in
            table.rows.iter().filter(|row| row.late && (row.state == "pending" || row.state == "active"))
        {
            let end = if row.state == "active" { "ended" } else { "expired" };
            assert_eq!(
                (row.to, row.lapsed),
                (Some(end), row.event != "lapse"),
                "{} {}",
                table.lifecycle,
                row.event
            );
        }
        for row in table.rows.iter().filter(|row| !row.late && row.event == "lapse") {
            assert_eq!(row.to, None, "{} {}: it lapses before its time", table.lifecycle, row.state);
        }
    }
}

#[test]
fn only_its_confirmation_moves_an_applying_ticket() {
    let table = named("reset ticket");
    let moves: BTreeSet<(&str, bool, &str)> = table
        .rows
        .iter()
        .filter(|row| row.state == "applying")
        .filter_map(|row| Some((row.event, row.late, row.to?)))
        .collect();
    let expected = [
        ("confirm", false, "completed"),
        ("confirm", true, "completed"),
        ("fail", false, "pending"),
        ("fail", true, "expired"),
    ];
    assert_eq!(moves, BTreeSet::from(expected));
}
