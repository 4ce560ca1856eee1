//! The lifecycles as tables and diagrams, found by driving the machines: nothing here is written
//! twice.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::Serialize;
use statig::blocking::{State, Superstate};

use super::grant::Grant;
use super::invite::Invite;
use super::permission_application::PermissionApplication;
use super::reset_ticket::ResetTicket;
use super::{Lifecycle, Named, Step, step};
use crate::domain::Timestamp;

/// Everything that one machine answers.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The lifecycle's name.
    pub lifecycle: &'static str,
    /// The state in which it begins.
    pub initial: &'static str,
    /// Its states, in the order in which they are reached.
    pub states: Vec<StateRow>,
    /// Every state × event × {before the deadline, at it}.
    pub rows: Vec<Row>,
}

/// A state and what it is part of.
#[derive(Debug, Clone, Serialize)]
pub struct StateRow {
    /// The state's name.
    pub state: &'static str,
    /// Its superstates, from the innermost.
    pub superstates: Vec<&'static str>,
}

/// One answer of a machine.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// From this state,
    pub state: &'static str,
    /// this event,
    pub event: &'static str,
    /// with the deadline passed or not,
    pub late: bool,
    /// leads to this state, or is refused.
    pub to: Option<&'static str>,
    /// It got there because time was over; the event itself did not happen.
    pub lapsed: bool,
}

/// The tables of the four lifecycles.
#[must_use]
pub fn tables() -> [Table; 4] {
    [explore::<Invite>(), explore::<PermissionApplication>(), explore::<ResetTicket>(), explore::<Grant>()]
}

/// Drives a machine through everything that it can do, breadth first. A machine compares moments
/// with its one deadline and with nothing else, so that one moment before it and one at it are all
/// there is.
fn explore<M: Lifecycle>() -> Table
where
    for<'s> M::Superstate<'s>: Superstate<M> + Named,
{
    let deadline = Timestamp::from_millis(2);
    let moments = [(Timestamp::from_millis(1), false), (deadline, true)];
    let initial = M::opened(deadline);
    let mut states = vec![initial];
    let mut queue = VecDeque::from([initial]);
    let mut rows = Vec::new();
    while let Some(state) = queue.pop_front() {
        for &event in M::TRIGGERS {
            for (at, late) in moments {
                let (to, lapsed) = match step::<M>(&state, event, at) {
                    Step::Moved(next) => (Some(next), false),
                    Step::Lapsed(next) => (Some(next), true),
                    Step::Refused => (None, false),
                };
                if let Some(next) = to.filter(|next| !states.contains(next)) {
                    states.push(next);
                    queue.push_back(next);
                }
                rows.push(Row {
                    state: state.name(),
                    event: event.name(),
                    late,
                    to: to.map(|next| next.name()),
                    lapsed,
                });
            }
        }
    }
    Table {
        lifecycle: M::NAME,
        initial: initial.name(),
        states: states
            .into_iter()
            .map(|state| StateRow { state: state.name(), superstates: superstates::<M>(state) })
            .collect(),
        rows,
    }
}

fn superstates<M: Lifecycle>(mut state: M::Stage) -> Vec<&'static str>
where
    for<'s> M::Superstate<'s>: Superstate<M> + Named,
{
    fn climb<M: Lifecycle>(mut superstate: M::Superstate<'_>, names: &mut Vec<&'static str>)
    where
        for<'s> M::Superstate<'s>: Superstate<M> + Named,
    {
        names.push(superstate.name());
        if let Some(outer) = superstate.superstate() {
            climb::<M>(outer, names);
        }
    }
    let mut names = Vec::new();
    if let Some(superstate) = state.superstate() {
        climb::<M>(superstate, &mut names);
    }
    names
}

impl Table {
    /// The table as aligned text: one line for each state, one column for each event. `→ state`: it
    /// moves there; `×`: refused; `a | b`: before the deadline, and from it on; `⌛ state`: time was
    /// over first, the event did not happen.
    #[must_use]
    pub fn text(&self) -> String {
        let events: Vec<&str> = unique(self.rows.iter().map(|row| row.event));
        let cell = |state: &str, event: &str| {
            let says = |late| {
                let row =
                    self.rows.iter().find(|row| row.state == state && row.event == event && row.late == late);
                match row {
                    Some(Row { to: Some(to), lapsed: false, .. }) => format!("→ {to}"),
                    Some(Row { to: Some(to), lapsed: true, .. }) => format!("⌛ {to}"),
                    _ => "×".to_owned(),
                }
            };
            let (before, after) = (says(false), says(true));
            if before == after { before } else { format!("{before} | {after}") }
        };
        let mut grid = vec![
            [&["state"], events.as_slice()].concat().iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(),
        ];
        for StateRow { state, superstates } in &self.states {
            let path = superstates.iter().rev().chain([state]).copied().collect::<Vec<_>>().join("/");
            grid.push([path].into_iter().chain(events.iter().map(|event| cell(state, event))).collect());
        }
        let widths: Vec<usize> = (0..=events.len())
            .map(|column| {
                grid.iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = format!("{}\n", self.lifecycle);
        for row in grid {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, " {cell:width$} ");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The diagram in Mermaid's language (`stateDiagram-v2`).
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("stateDiagram-v2\n");
        let _ = writeln!(text, "    %% {}", self.lifecycle);
        self.mermaid_level(&mut text, 0, &[]);
        let _ = writeln!(text, "    [*] --> {}", self.initial);
        let mut edges: Vec<(&str, &str, Vec<String>)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.lapsed) {
            let Some(to) = row.to else { continue };
            let both = self.rows.iter().any(|other| {
                other.state == row.state
                    && other.event == row.event
                    && other.late != row.late
                    && other.to == row.to
            });
            let label = match (both, row.late) {
                (true, true) => continue,
                (true, false) => row.event.to_owned(),
                (false, _) if row.event == "lapse" => "deadline passed".to_owned(),
                (false, true) => format!("{}, deadline passed", row.event),
                (false, false) => row.event.to_owned(),
            };
            match edges.iter_mut().find(|edge| edge.0 == row.state && edge.1 == to) {
                Some((_, _, labels)) => labels.push(label),
                None => edges.push((row.state, to, vec![label])),
            }
        }
        for (from, to, labels) in &edges {
            let _ = writeln!(text, "    {from} --> {to}: {}", labels.join(" / "));
        }
        for StateRow { state, .. } in &self.states {
            if !edges.iter().any(|(from, _, _)| from == state) {
                let _ = writeln!(text, "    {state} --> [*]");
            }
        }
        text
    }

    /// Writes the states whose superstates (from the outermost) are exactly `path`, and what is nested in it.
    fn mermaid_level(&self, text: &mut String, depth: usize, path: &[&str]) {
        let indent = "    ".repeat(depth + 1);
        let mut inner = Vec::new();
        for StateRow { state, superstates } in &self.states {
            let outward: Vec<&str> = superstates.iter().rev().copied().collect();
            if outward == path && !path.is_empty() {
                let _ = writeln!(text, "{indent}{state}");
            } else if outward.starts_with(path) {
                inner.extend(outward.get(path.len()).copied());
            }
        }
        for superstate in unique(inner.into_iter()) {
            let _ = writeln!(text, "{indent}state {superstate} {{");
            self.mermaid_level(text, depth + 1, &[path, &[superstate]].concat());
            let _ = writeln!(text, "{indent}}}");
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}
