//! Every history of a small world, by model checking: not some histories, as in `invariants`, but all that
//! can come from a cast, a list of commands and a few moments around every deadline.
//!
//! A step of the model is a step of the real engine: it is opened on the ledger of the state before (so there
//! is a restart between any two steps), given a command or sent sweeping, and the ledger that it leaves is the
//! next state. [`Reckoning`] folds what was answered, and each property looks at both. Two states are one when
//! clock, reckoning and directory are the same, whatever led there.
//!
//! Each property comes with a [`Fault`] in the transition that breaks it, and that must be found.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{Debug, Write as _};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use consentry::decide::{Decided, decide};
use consentry::domain::Duration;
use consentry::ledger::{AppendError, Commit, Entry, Layer};
use consentry::policy::PolicyFile;
use consentry::{
    Asked, Directory, Engine, Event, Ledger, LedgerError, Lifetimes, MemoryLedger, Policies, PolicySources,
    Submission, Timestamp,
};
use serde_json::{Value, json};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::menu;
use crate::reckoning::Reckoning;
use crate::world::{DAY, HOUR, ROOT, answer, moment, shipped, time};

/// The moments: the beginning, and what lies around the deadlines of whatever is asked for or granted then.
const MOMENTS: [i64; 6] = [0, HOUR - 1, HOUR, DAY - 1, DAY, DAY + HOUR];

/// The moments at which something may be asked for, by their place. All deadlines are among the moments.
const ASKING: [usize; 2] = [0, 2];

/// How often a password may fail on a device, and a site change hands: what makes the world finite.
const FAILURES: usize = 1;
const OWNERS: u64 = 3;

// The properties.
const I1: &str = "I1: whatever is over stays as it is";
const I2: &str = "I2: nothing is answered from its deadline on";
const I3: &str = "I3: every grant is given once, by the owner of that moment";
const I4: &str = "I4: nothing is granted that was not asked for";
const I5: &str = "I5: an allow is exactly what live grants and places give";
const I6: &str = "I6: expired stays expired";
const I7: &str = "I7: one live invite a site, application a permission, ticket a device";
const I8: &str = "I8: a ticket changes a password at most once";
const I9: &str = "I9: a repeated command gets its answer and does nothing";
const DEADLINES: &str = "nothing is shown waiting once its deadline has passed";
const GROUNDS: &str = "nothing waits when what it rests on is gone";
const SETTLED: &str = "whatever is asked for is settled in the end";

/// A deliberate fault in the transition, each of which one property has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    WithdrawalsAreLost,
    ClockStandsStill,
    AnybodyAccepts,
    GrantsHaveNoEnd,
    GrantsAreKept,
    SweepsAreLost,
    InvitesPileUp,
    SubmissionsAreLost,
    IdsAreForgotten,
    NothingExpires,
    AcceptancesAreTorn,
    CancellationsAreSkipped,
}

impl Fault {
    /// What is wrong.
    fn meaning(self) -> &'static str {
        match self {
            Self::WithdrawalsAreLost => "a withdrawal is answered, and not written",
            Self::ClockStandsStill => {
                "whoever answers does so at the moment of the beginning, whatever the time"
            }
            Self::AnybodyAccepts => "a policy lets every end user accept what was asked for",
            Self::GrantsHaveNoEnd => "whatever is granted has no end",
            Self::GrantsAreKept => "that the owner takes a grant back is answered, and not written",
            Self::SweepsAreLost => "what a sweep records is heard of, and not written",
            Self::InvitesPileUp => "a second invite leaves the first one waiting",
            Self::SubmissionsAreLost => "that a password is on its way is answered, and not written",
            Self::IdsAreForgotten => "no command's id is kept",
            Self::NothingExpires => "whatever is asked for waits for a year",
            Self::AcceptancesAreTorn => "an acceptance is written without its grants",
            Self::CancellationsAreSkipped => "what has lost its ground goes on waiting",
        }
    }

    /// What is decided, and what is written of it. `None`: nothing is written.
    fn distort(self, mut entry: Entry) -> (Entry, Option<Entry>) {
        let drop_those = |entry: &Entry, lost: fn(&Event) -> bool| {
            let mut written = entry.clone();
            written.events.retain(|event| !lost(event));
            Some(written)
        };
        let written = match self {
            Self::WithdrawalsAreLost => drop_those(&entry, |event| {
                matches!(event, Event::InviteWithdrawn { .. } | Event::ApplicationWithdrawn { .. })
            }),
            Self::GrantsAreKept => drop_those(&entry, |event| matches!(event, Event::GrantWithdrawn { .. })),
            Self::SubmissionsAreLost => {
                drop_those(&entry, |event| matches!(event, Event::ResetSubmitted { .. }))
            }
            Self::AcceptancesAreTorn => drop_those(&entry, |event| matches!(event, Event::GrantMade { .. })),
            Self::SweepsAreLost => {
                let swept = entry.attempt.is_none();
                (!swept).then(|| entry.clone())
            }
            Self::GrantsHaveNoEnd => {
                for event in &mut entry.events {
                    if let Event::GrantMade { until, .. } = event {
                        *until = None;
                    }
                }
                Some(entry.clone())
            }
            Self::InvitesPileUp => {
                entry.events.retain(|event| !matches!(event, Event::InviteSuperseded { .. }));
                Some(entry.clone())
            }
            Self::CancellationsAreSkipped => {
                entry.events.retain(|event| !matches!(event, Event::ApplicationCancelled { .. }));
                Some(entry.clone())
            }
            Self::IdsAreForgotten => {
                if let Some(attempt) = &mut entry.attempt {
                    attempt.binds = false;
                }
                Some(entry.clone())
            }
            Self::ClockStandsStill | Self::AnybodyAccepts | Self::NothingExpires => Some(entry.clone()),
        };
        (entry, written)
    }
}

/// The ledger of one step: notes what is decided, and writes it, faults apart.
#[derive(Clone)]
struct Paper {
    ledger: Arc<MemoryLedger>,
    fault: Option<Fault>,
    decided: Arc<Mutex<Vec<Vec<Event>>>>,
}

impl Paper {
    /// A copy of a ledger.
    fn on(ledger: &MemoryLedger, fault: Option<Fault>) -> Self {
        Self { ledger: Arc::new(ledger.clone()), fault, decided: Arc::default() }
    }
}

impl Layer for Paper {
    fn below(&self) -> &dyn Ledger {
        &*self.ledger
    }

    fn append_below(&self, entry: Entry) -> Commit {
        let (decided, written) = match self.fault {
            Some(fault) => fault.distort(entry),
            None => (entry.clone(), Some(entry)),
        };
        let result = match written {
            Some(written) => self.ledger.append(written).wait(),
            // As after a crash.
            None => Err(AppendError::Ledger(LedgerError::new("ledger_io", "gone"))),
        };
        if !decided.events.is_empty() && !matches!(result, Err(AppendError::Conflict(_))) {
            self.decided.lock().unwrap().push(decided.events);
        }
        Commit::ready(result)
    }
}

/// What may be tried, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    who: &'static str,
    command: Value,
    /// It asks for something new, and so has its own moments.
    asks: bool,
}

impl Move {
    pub(crate) fn ask(who: &'static str, command: Value) -> Self {
        Self { who, command, asks: true }
    }

    pub(crate) fn answer(who: &'static str, command: Value) -> Self {
        Self { who, command, asks: false }
    }

    /// The line of a script that gives it at the moment `at`, and observes what it observes at `now`.
    fn line(&self, id: &str, at: i64, now: i64) -> Value {
        let mut command = self.command.clone();
        if let Some(observed) = command.pointer_mut("/completeResetTicket/sameLan/observedAt") {
            *observed = json!(time(now));
        }
        json!({"at": time(at), "as": self.who, "id": id, "do": command})
    }
}

/// One step.
#[derive(Clone, PartialEq)]
enum Step {
    /// Gives the command of the move with this number.
    Give(usize, String),
    Sweep,
    /// On to the next moment.
    Wait,
    /// Nobody does anything any more.
    End,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Give(_, said) => f.write_str(said),
            Self::Sweep => f.write_str("sweep"),
            Self::Wait => f.write_str("wait"),
            Self::End => f.write_str("end"),
        }
    }
}

/// A state: what is written, and what an onlooker knows of it.
#[derive(Clone)]
struct Situation {
    ledger: Arc<MemoryLedger>,
    /// What the ledger's events lead to.
    directory: Arc<Directory>,
    reckoning: Arc<Reckoning>,
    /// Which of the [`MOMENTS`] it is.
    clock: usize,
    /// Nothing happens any more.
    over: bool,
    /// The lines of all commands, with the first answer to each.
    answered: Arc<Vec<(Value, Value)>>,
    /// What else is wrong: sentences as in [`Reckoning::problems`].
    problems: Vec<String>,
    /// Equal for states that are one.
    key: u64,
}

impl Debug for Situation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let problems = self.reckoning.problems.iter().chain(&self.problems);
        write!(f, "{} {:?}", time(MOMENTS[self.clock]), problems.collect::<Vec<_>>())
    }
}

impl Hash for Situation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialEq for Situation {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// A small world with these moves.
struct World {
    begin: Vec<Situation>,
    moves: Vec<Move>,
    policies: Policies,
    fault: Option<Fault>,
}

impl World {
    /// A world in which so much has happened when it begins.
    fn new(before: Vec<Move>, moves: Vec<Move>, fault: Option<Fault>) -> Self {
        let policies = if fault == Some(Fault::AnybodyAccepts) { anybody_accepts() } else { shipped() };
        let mut world = Self { begin: Vec::new(), moves, policies, fault: None };
        let mut situation = Situation {
            ledger: Arc::default(),
            directory: Arc::default(),
            reckoning: Arc::default(),
            clock: 0,
            over: false,
            answered: Arc::default(),
            problems: Vec::new(),
            key: 0,
        };
        for given in menu::setting().into_iter().chain(before) {
            let line = given.line(&format!("setting-{}", situation.answered.len()), MOMENTS[0], MOMENTS[0]);
            let done = world.given(&situation, &given, line);
            situation = done.unwrap_or_else(|| panic!("{given:?} is refused"));
        }
        situation.answered = Arc::default();
        world.fault = fault;
        world.begin = vec![situation];
        world
    }

    fn open(&self, ledger: impl Ledger + 'static) -> Engine {
        let builder = Engine::builder(ledger).policies(self.policies.clone());
        let lifetime = self.lifetime();
        let builder = [Asked::Invite, Asked::PermissionApplication, Asked::ResetTicket]
            .into_iter()
            .fold(builder, |builder, asked| builder.lifetime(asked, lifetime));
        builder.open().unwrap()
    }

    /// An engine that finds what a state has written.
    fn again(&self, state: &Situation) -> Engine {
        self.open(state.ledger.as_ref().clone())
    }

    fn lifetime(&self) -> Duration {
        Duration::from_hours(if self.fault == Some(Fault::NothingExpires) { 24 * 365 } else { 24 })
    }

    /// The moment that the engine is told with a command.
    fn told(&self, before: &Situation, given: &Move) -> i64 {
        let stands = self.fault == Some(Fault::ClockStandsStill) && !given.asks;
        MOMENTS[if stands { 0 } else { before.clock }]
    }

    /// A command, its answer lost in a crash, and the same command again. `None`: nothing changed.
    fn give(&self, before: &Situation, given: &Move) -> Option<Situation> {
        let id = format!("c-{}", before.answered.len());
        let now = self.told(before, given);
        // Once something is recorded at this moment a clock that has gone back makes no difference.
        let is_known = before.ledger.head().unwrap().time == moment(now);
        let after =
            self.given(before, given, given.line(&id, if is_known { MOMENTS[0] } else { now }, now))?;
        (after.key != before.key).then_some(after)
    }

    fn given(&self, before: &Situation, given: &Move, line: Value) -> Option<Situation> {
        if self.is_idle(before, given, &line) {
            return None;
        }
        let paper = Paper::on(&before.ledger, self.fault);
        let first = answer(&self.open(paper.clone()), &line);
        let mut after = self.after(before, &paper, Some(given));
        after.problems.extend(self.told_again(&after, &line, &first));
        Arc::make_mut(&mut after.answered).push((line, first));
        Some(after.sealed())
    }

    /// Whether a command is refused and leaves no event: the shipped decision says so, and most are.
    fn is_idle(&self, before: &Situation, given: &Move, line: &Value) -> bool {
        let submission =
            Submission::new(given.who.parse().unwrap(), serde_json::from_value(line["do"].clone()).unwrap());
        let lifetime = self.lifetime();
        let lifetimes =
            Lifetimes { invite: lifetime, permission_application: lifetime, reset_ticket: lifetime };
        let now = moment(self.told(before, given)).max(before.ledger.head().unwrap().time);
        let decided = decide(&before.directory, &submission, &self.policies, &lifetimes, now);
        matches!(decided, Decided::Refused { events, .. } if events.is_empty())
    }

    /// I9: a repeated command gets its answer, from another engine too, and does nothing; another under its
    /// id is a conflict. What is wrong with that.
    fn told_again(&self, after: &Situation, line: &Value, first: &Value) -> Vec<String> {
        let paper = Paper::on(&after.ledger, self.fault);
        let engine = self.open(paper.clone());
        let again = answer(&engine, line);
        let other = json!({"at": line["at"], "as": ROOT, "id": line["id"],
                           "do": {"registerCompany": {"company": "other"}}});
        let conflict = answer(&engine, &other);
        let mut first = first.clone();
        first.as_object_mut().unwrap().remove("effect");
        let mut problems = Vec::new();
        if again != first {
            problems.push(format!("I9: {line} was answered {first}, and then {again}"));
        }
        if conflict["code"] != "conflict" {
            problems.push(format!("I9: {other} was answered {conflict}"));
        }
        if !paper.decided.lock().unwrap().is_empty() {
            problems.push(format!("I9: {line} was done twice"));
        }
        problems
    }

    fn sweep(&self, before: &Situation) -> Option<Situation> {
        let now = moment(MOMENTS[before.clock]);
        if before.directory.overdue(now).is_empty() {
            return None;
        }
        let paper = Paper::on(&before.ledger, self.fault);
        let _lost = self.open(paper.clone()).sweep(now);
        let after = self.after(before, &paper, None).sealed();
        (after.key != before.key).then_some(after)
    }

    /// What a step led to, as the next engine finds it.
    fn after(&self, before: &Situation, paper: &Paper, given: Option<&Move>) -> Situation {
        let directory = self.open(paper.clone()).directory();
        let mut after = Situation { ledger: paper.ledger.clone(), directory, ..before.clone() };
        let at = time(MOMENTS[before.clock]);
        for events in paper.decided.lock().unwrap().iter() {
            let record = json!({"at": at, "revision": after.directory.revision(), "events": events});
            let by = given.map(|given| json!({"at": at, "as": given.who, "do": given.command}));
            Arc::make_mut(&mut after.reckoning).fold(&record, by.as_ref());
        }
        after
    }

    /// Whether something finite would go on without end.
    fn is_enough(&self, state: &Situation, given: &Move) -> bool {
        let fails = given.command.pointer("/confirmReset/outcome") == Some(&json!("failed"));
        let hands_on = given.command.get("transferSite").is_some();
        fails && state.reckoning.failures() >= FAILURES
            || hands_on && state.directory.site("villa").is_some_and(|site| site.owner_epoch() >= OWNERS)
    }

    fn problem(&self, state: &Situation, invariant: &str) -> bool {
        let of = |problem: &String| problem.starts_with(invariant);
        state.reckoning.problems.iter().any(of) || state.problems.iter().any(of)
    }

    /// What is shown of a thing at the moment `now`, on the ledger of a state.
    fn shown(engine: &Engine, kind: &str, id: &str, now: i64) -> Value {
        answer(engine, &json!({"at": time(now), "show": {kind: id}}))["state"].clone()
    }

    /// I1: everything is shown as what was answered left it.
    fn shows_what_was_answered(&self, state: &Situation) -> bool {
        let (engine, now) = (self.again(state), MOMENTS[state.clock]);
        let asked = state.reckoning.asked.iter().map(|(id, asked)| (asked.kind, id));
        let grants = state.reckoning.grants.keys().map(|id| ("grant", id));
        asked
            .chain(grants)
            .all(|(kind, id)| Self::shown(&engine, kind, id, now) == state.reckoning.state(id, now))
    }

    /// I5: checks are answered as the reckoning would.
    fn checks_as_reckoned(&self, state: &Situation) -> bool {
        let (engine, now) = (self.again(state), MOMENTS[state.clock]);
        menu::questions().into_iter().all(|((kind, name), action, (what, id))| {
            let check = json!({"principal": format!("{kind}::\"{name}\""), "action": action,
                               "resource": format!("{what}::\"{id}\"")});
            let answer = answer(&engine, &json!({"at": time(now), "check": check}));
            let got = (answer["decision"] == "allow").then(|| answer["valid_until"].clone());
            let expected = state.reckoning.may(kind == "EndUser", name, action, id, now);
            got == expected.map(|until| json!(until.map(time)))
        })
    }

    /// I6: what is answered to have expired is shown so whatever the clock says, after a restart too.
    fn expired_is_latched(&self, state: &Situation) -> bool {
        let engine = self.again(state);
        let mut expired = state.reckoning.asked.iter().filter(|(_, asked)| asked.state == "expired");
        expired.all(|(id, asked)| Self::shown(&engine, asked.kind, id, MOMENTS[0]) == "expired")
    }

    /// I9, of everything that was given.
    fn nothing_is_done_twice(&self, state: &Situation) -> bool {
        let mut answered = state.answered.iter();
        !self.problem(state, "I9")
            && answered.all(|(line, first)| self.told_again(state, line, first).is_empty())
    }

    /// Once all deadlines have passed nothing waits for an answer, whether or not anything was swept.
    fn waiting_has_an_end(&self, state: &Situation) -> bool {
        let now = MOMENTS[state.clock];
        if state.clock + 1 < MOMENTS.len() {
            return true;
        }
        let engine = self.again(state);
        let mut asked = state.reckoning.asked.iter();
        asked.all(|(id, asked)| Self::shown(&engine, asked.kind, id, now) != "pending")
    }
}

impl Situation {
    /// Makes the key of what it is: the clock, the reckoning, and everything in the directory.
    fn sealed(mut self) -> Self {
        let directory = &self.directory;
        let mut text = String::new();
        let mut note = |part: &dyn Debug| write!(text, "{part:?};").unwrap();
        for (id, asked) in &self.reckoning.asked {
            match asked.kind {
                "invite" => note(&directory.invite(id)),
                "application" => note(&directory.application(id)),
                _ => note(&directory.ticket(id)),
            }
        }
        self.reckoning.grants.keys().for_each(|id| note(&directory.grant(id)));
        if let Some(site) = directory.site("villa") {
            note(&(site.owner(), site.owner_epoch(), site.disable_service(), site.assigned(), site.invite()));
        }
        ["cam-7", "cam-8"].iter().for_each(|id| note(&directory.device(id)));
        ["ada", "ivan", "rita"].iter().for_each(|id| note(&directory.installer(id)));
        note(&directory.overdue(Timestamp::MAX));
        let mut hasher = DefaultHasher::new();
        (self.clock, self.over, &*self.reckoning, text, &self.problems).hash(&mut hasher);
        self.key = hasher.finish();
        self
    }
}

fn anybody_accepts() -> Policies {
    let mut sources = PolicySources::shipped();
    let text = r#"@id("anybody-accepts") permit (principal is EndUser, action in [Action::"acceptInvite", Action::"acceptApplication"], resource);"#;
    sources.policies.push(PolicyFile { name: "fault.cedar".to_owned(), text: text.to_owned() });
    Policies::load(&sources).unwrap()
}

impl Model for World {
    type State = Situation;
    type Action = Step;

    fn init_states(&self) -> Vec<Situation> {
        self.begin.clone()
    }

    fn actions(&self, state: &Situation, actions: &mut Vec<Step>) {
        if state.over {
            return;
        }
        let may =
            |given: &Move| (!given.asks || ASKING.contains(&state.clock)) && !self.is_enough(state, given);
        let moves = self.moves.iter().enumerate().filter(|(_, given)| may(given));
        actions.extend(
            moves.map(|(number, given)| Step::Give(number, format!("{} {}", given.who, given.command))),
        );
        actions.push(Step::Sweep);
        actions.push(if state.clock + 1 < MOMENTS.len() { Step::Wait } else { Step::End });
    }

    fn next_state(&self, state: &Situation, step: Step) -> Option<Situation> {
        match step {
            Step::Give(number, _) => self.give(state, &self.moves[number]),
            Step::Sweep => self.sweep(state),
            Step::Wait => Some(Situation { clock: state.clock + 1, ..state.clone() }.sealed()),
            Step::End => Some(Situation { over: true, ..state.clone() }.sealed()),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(I1, |world: &Self, state| {
                !world.problem(state, "I1") && world.shows_what_was_answered(state)
            }),
            Property::always(I2, |world: &Self, state| !world.problem(state, "I2")),
            Property::always(I3, |world: &Self, state| !world.problem(state, "I3")),
            Property::always(I4, |world: &Self, state| !world.problem(state, "I4")),
            Property::always(I5, Self::checks_as_reckoned),
            Property::always(I6, Self::expired_is_latched),
            Property::always(I7, |world: &Self, state| !world.problem(state, "I7")),
            Property::always(I8, |world: &Self, state| !world.problem(state, "I8")),
            Property::always(I9, Self::nothing_is_done_twice),
            Property::always(DEADLINES, Self::waiting_has_an_end),
            Property::always(GROUNDS, |_: &Self, state: &Situation| {
                state.reckoning.groundless(MOMENTS[state.clock]).is_empty()
            }),
            Property::eventually(SETTLED, |_: &Self, state: &Situation| {
                let last = state.clock + 1 == MOMENTS.len();
                let now = MOMENTS[state.clock];
                last && state.reckoning.asked.keys().all(|id| state.reckoning.state(id, now) != "pending")
            }),
        ]
    }
}

/// Each property with a fault that breaks it.
const MUTANTS: [(&str, Fault, Part); 13] = [
    (I1, Fault::WithdrawalsAreLost, Part::Invites),
    (I2, Fault::ClockStandsStill, Part::Invites),
    (I3, Fault::AnybodyAccepts, Part::Applications),
    (I4, Fault::GrantsHaveNoEnd, Part::Applications),
    (I5, Fault::GrantsAreKept, Part::Grants),
    (I5, Fault::AcceptancesAreTorn, Part::Applications),
    (I6, Fault::SweepsAreLost, Part::Invites),
    (I7, Fault::InvitesPileUp, Part::Invites),
    (I8, Fault::SubmissionsAreLost, Part::Tickets),
    (I9, Fault::IdsAreForgotten, Part::Tickets),
    (DEADLINES, Fault::NothingExpires, Part::Applications),
    (GROUNDS, Fault::CancellationsAreSkipped, Part::Applications),
    (SETTLED, Fault::NothingExpires, Part::Tickets),
];

/// What is explored by itself.
#[derive(Debug, Clone, Copy)]
enum Part {
    Invites,
    Applications,
    Grants,
    Tickets,
}

impl Part {
    const ALL: [Self; 4] = [Self::Invites, Self::Applications, Self::Grants, Self::Tickets];

    fn world(self, changes: bool, fault: Option<Fault>) -> World {
        let (before, mut moves) = match self {
            Self::Invites => (Vec::new(), menu::invites()),
            Self::Applications => (menu::handed_over(), menu::applications()),
            Self::Grants => (menu::handed_over(), menu::grants()),
            Self::Tickets => (menu::granted(), menu::tickets()),
        };
        if changes {
            moves.extend(menu::changes());
        }
        World::new(before, moves, fault)
    }
}

/// How much is explored. Unset: what a debug build does in a minute. `changes`: all histories with what takes
/// the ground from under them. A number: everything at once, and all histories of so many steps.
const MODEL: &str = "CONSENTRY_MODEL";

#[test]
fn every_history_of_a_small_world_keeps_every_promise() {
    let share = std::env::var(MODEL).unwrap_or_default();
    if let Ok(steps) = share.parse::<usize>() {
        // The beginning counts as a step there. More threads would find some states on longer ways first.
        let checker = everything().checker().threads(1).target_max_depth(steps + 1).spawn_bfs();
        return explored(&format!("Everything, up to {steps} steps"), checker);
    }
    let changes = share == "changes";
    assert!(changes || share.is_empty(), "{MODEL} is `{share}`: `changes` and numbers are known");
    for part in Part::ALL {
        let name = format!("{part:?}{}", if changes { " and changes" } else { "" });
        explored(&name, part.world(changes, None).checker().threads(2).spawn_dfs());
    }
}

/// The page that says what is explored.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verification.md");
    std::fs::read_to_string(path).unwrap()
}

/// Waits for the end, and fails if something is found, or if the page says another number.
fn explored(name: &str, checker: impl Checker<World>) {
    let checked = checker.join();
    checked.assert_properties();
    let (page, line) = (page(), format!("{name}: {} unique states", checked.unique_state_count()));
    println!("{line}");
    let is_there = page.lines().any(|known| known == line);
    let is_told = page.lines().any(|known| known.starts_with(&format!("{name}: ")));
    assert!(is_there || !is_told, "docs/verification.md has another number than `{line}`");
}

fn everything() -> World {
    let menus = [menu::invites, menu::applications, menu::grants, menu::tickets, menu::changes];
    World::new(Vec::new(), menus.iter().flat_map(|menu| menu()).collect(), None)
}

#[test]
fn every_property_finds_the_fault_that_breaks_it() {
    let world = Part::Grants.world(false, None);
    let mut without: Vec<&str> = world.properties().iter().map(|property| property.name).collect();
    let page = page();
    for (property, fault, part) in MUTANTS {
        let row = format!("| {property} | {} |", fault.meaning());
        assert!(page.contains(&row), "docs/verification.md lacks: {row}");
        // Deeper and deeper, so that what is found is as short as can be.
        let found = (2..10).find_map(|depth| {
            let world = part.world(property == GROUNDS, Some(fault));
            let checker = world.checker().threads(2).target_max_depth(depth);
            checker
                .finish_when(HasDiscoveries::AnyOf([property].into()))
                .spawn_bfs()
                .join()
                .discovery(property)
        });
        let steps = found.unwrap_or_else(|| panic!("{fault:?} is not found by: {property}")).into_actions();
        println!("{}, found by: {property}", fault.meaning());
        steps.iter().for_each(|step| println!("    {step:?}"));
        without.retain(|own| *own != property);
    }
    assert!(without.is_empty(), "no fault breaks {without:?}: that may hold of anything");
}
