//! The invariants I1 to I11, on random histories of a small world: two companies, three installers,
//! two end users, two sites, three devices, and a clock that likes deadlines, one millisecond before
//! and after them, and sometimes goes back.
//!
//! A failure prints the history as a script, and its seed is kept in `invariants.regressions`.

use std::collections::BTreeSet;

use consentry::policy::{PolicyFile, PolicySources};
use consentry::{Engine, MemoryLedger, Policies, Uid};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Map, Value, json};

use crate::reckoning::Reckoning;
use crate::slices::gap;
use crate::world::{
    ADA, CAM_7, HOUR, IVAN, MINUTE, OLGA, PASSWORD, PAUL, RITA, ROOT, VILLA, World, invite_olga, moment,
    permission, time,
};

const WEAK: &str = "weakpassword";

/// One step of a history, before it is known what there is to act on.
#[derive(Debug, Clone)]
struct Step {
    act: Act,
    clock: Clock,
    /// By anybody, and not by whoever should.
    by_anybody: bool,
    /// What else is to be chosen; see [`Dice`].
    seed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    /// An invite, or an application where there is an owner.
    Ask,
    Accept,
    Reject,
    Withdraw,
    Grant,
    EndGrant,
    OpenTicket,
    Complete,
    Confirm,
    Transfer,
    Device,
    Site,
    Assign,
    Staff,
    WithdrawDisableService,
    Sweep,
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    On(i64),
    /// To the next but so many of the ends that are near, and so far from it.
    ToEnd(usize, i64),
}

/// Throws that follow from a seed; the seed 0 throws nothing but 0.
struct Dice(u32);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        if self.0 != 0 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
        }
        self.0 as usize % sides
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.throw(all.len())]
    }

    /// Once in so many throws, and never for the seed 0.
    fn seldom(&mut self, once_in: usize) -> bool {
        self.throw(once_in) == once_in - 1
    }
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        10 => Just(Act::Ask), 12 => Just(Act::Accept), 2 => Just(Act::Reject), 2 => Just(Act::Withdraw),
        4 => Just(Act::Grant), 3 => Just(Act::EndGrant), 6 => Just(Act::OpenTicket), 8 => Just(Act::Complete),
        4 => Just(Act::Confirm), 2 => Just(Act::Transfer), 3 => Just(Act::Device), 1 => Just(Act::Site),
        2 => Just(Act::Assign), 2 => Just(Act::Staff), 1 => Just(Act::WithdrawDisableService),
        2 => Just(Act::Sweep),
    ];
    let clock = prop_oneof![
        16 => Just(Clock::On(0)), 2 => Just(Clock::On(1)), 4 => Just(Clock::On(MINUTE)),
        2 => Just(Clock::On(HOUR)), 1 => Just(Clock::On(-HOUR)),
        3 => (0..3_usize, -1..=1_i64).prop_map(|(end, delta)| Clock::ToEnd(end, delta)),
    ];
    let by_anybody = prop::bool::weighted(0.06);
    (act, clock, by_anybody, any::<u32>()).prop_map(|(act, clock, by_anybody, seed)| Step {
        act,
        clock,
        by_anybody,
        seed,
    })
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..=60)
}

fn config() -> ProptestConfig {
    let cases =
        if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 64 };
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// A history under way: the engine, and the reckoning of its events.
struct Play {
    world: World,
    reckoning: Reckoning,
    /// The line of the last step (`None`: a sweep) and its answer.
    last: Option<(Value, Value)>,
    /// The commands so far, with their answers.
    answered: Vec<(Value, Value)>,
    sweeps: usize,
    /// The latest moment that the engine was given.
    now: i64,
    folded: u64,
    heard: usize,
    /// How many commands the beginning took.
    given: usize,
    made: usize,
    script: Vec<String>,
}

const SITES: [&str; 2] = ["villa", "flat"];
const DEVICES: [&str; 3] = ["cam-7", "cam-8", "cam-9"];
const INSTALLERS: [(&str, &str); 3] = [("ada", ADA), ("ivan", IVAN), ("rita", RITA)];
const END_USERS: [(&str, &str); 2] = [("olga", OLGA), ("paul", PAUL)];

impl Play {
    fn begin() -> Self {
        let mut play = Self {
            world: World::empty(),
            reckoning: Reckoning::default(),
            last: None,
            answered: Vec::new(),
            sweeps: 0,
            now: 0,
            folded: 0,
            heard: 0,
            given: 0,
            made: 0,
            script: Vec::new(),
        };
        for command in [
            json!({"registerCompany": {"company": "acme"}}),
            json!({"registerCompany": {"company": "rival"}}),
            staff("ada"),
            staff("ivan"),
            staff("rita"),
            json!({"registerEndUser": {"endUser": "olga", "contacts": [{"email": "olga@example.com"}]}}),
            json!({"registerEndUser": {"endUser": "paul", "contacts": [{"phone": "+39 06 1"}]}}),
            json!({"createSite": {"site": "villa", "company": "acme", "kind": "normal"}}),
            json!({"createSite": {"site": "flat", "company": "acme", "kind": "rental"}}),
            json!({"assignSite": {"site": "villa", "installer": "ivan"}}),
            json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}}),
            json!({"addDevice": {"device": "cam-8", "site": "villa", "supportsPasswordReset": true}}),
            json!({"addDevice": {"device": "cam-9", "site": "flat", "supportsPasswordReset": true}}),
        ] {
            play.tell(0, ROOT, &command);
        }
        play.tell(0, ADA, &invite_olga("i-0", "villa", &[permission("liveView", &["cam-7"], "8h")]));
        play.tell(0, OLGA, &json!({"acceptInvite": {"invite": "i-0"}}));
        play.given = play.heard;
        play.answered.clear();
        play
    }

    /// Gives a command under an id of its own.
    fn tell(&mut self, at: i64, who: &str, command: &Value) {
        let id = format!("c-{}", self.script.len());
        let line = json!({"at": time(at), "as": who, "id": id, "do": command});
        let answer = self.say(&line);
        self.answered.push((line.clone(), answer.clone()));
        self.last = Some((line, answer));
    }

    fn say(&mut self, line: &Value) -> Value {
        self.script.push(line.to_string());
        self.now = self.now.max(crate::reckoning::offset(&line["at"]));
        let answer = self.world.line(line);
        self.listen();
        answer
    }

    /// Folds in what happened.
    fn listen(&mut self) {
        let audit = self.world.engine.audit(self.heard as u64, usize::MAX).unwrap();
        let audit: Vec<Value> = audit.iter().map(|line| serde_json::to_value(line).unwrap()).collect();
        self.heard += audit.len();
        for record in self.world.records_after(self.folded) {
            let by = audit.iter().find(|line| line["outcome"]["done"]["revision"] == json!(record.revision));
            self.folded = record.revision;
            self.reckoning.fold(&serde_json::to_value(record).unwrap(), by);
        }
    }

    fn sweep(&mut self, at: i64) {
        self.now = self.now.max(at);
        self.script.push(format!("# sweep at {}", time(at)));
        self.sweeps += usize::from(self.world.engine.sweep(moment(at)).unwrap() > 0);
        self.listen();
        self.last = None;
    }

    fn step(&mut self, step: &Step) {
        let at = match step.clock {
            Clock::On(length) => self.now + length,
            Clock::ToEnd(end, delta) => {
                let ends = self.reckoning.ends_after(self.now);
                ends.get(end.min(ends.len().saturating_sub(1))).map_or(self.now, |end| end + delta)
            }
        };
        if step.act == Act::Sweep {
            return self.sweep(at);
        }
        let mut dice = Dice(step.seed);
        let (who, command) = self.command(step.act, at, &mut dice);
        let who = if step.by_anybody { dice.one_of(&[ROOT, ADA, IVAN, RITA, OLGA, PAUL]) } else { who };
        self.tell(at, who, &command);
    }

    /// An id that is new, or now and then one that is not.
    fn new_id(&mut self, kind: &str, dice: &mut Dice) -> String {
        if !dice.seldom(16) {
            self.made += 1;
        }
        format!("{kind}-{}", self.made)
    }

    /// One of the things of these kinds that is in this state; seldom one that is in any.
    fn asked(&self, kinds: &[&str], state: &str, dice: &mut Dice) -> Option<(String, &'static str)> {
        let any = dice.seldom(8);
        let fits = |id: &str| any || self.reckoning.state(id, self.now) == state;
        let asked = self.reckoning.asked.iter();
        let things: Vec<(&String, &'static str)> = asked
            .filter(|(id, asked)| kinds.contains(&asked.kind) && fits(id))
            .map(|(id, asked)| (id, asked.kind))
            .collect();
        let chosen = dice.throw(things.len().max(1));
        things.get(chosen).map(|(id, kind)| ((*id).clone(), *kind))
    }

    fn owner(&self, site: &str) -> &'static str {
        let owner = self.reckoning.owner(site);
        END_USERS.into_iter().find(|(id, _)| Some(*id) == owner).map_or(OLGA, |(_, uid)| uid)
    }

    /// Who answers it: the invited one, or the owner.
    fn answerer(&self, id: &str) -> &'static str {
        let asked = &self.reckoning.asked[id];
        match (asked.kind, asked.contact.get("phone")) {
            ("invite", Some(_)) => PAUL,
            ("invite", None) => OLGA,
            _ => self.owner(&asked.site),
        }
    }

    /// The command of a step, and who should give it. Where there is nothing to act on, the step
    /// before it is taken instead.
    fn command(&mut self, act: Act, at: i64, dice: &mut Dice) -> (&'static str, Value) {
        let site = dice.one_of(&SITES);
        let device = dice.one_of(&DEVICES);
        let installer = if site == "villa" { dice.one_of(&[ADA, IVAN]) } else { ADA };
        match act {
            Act::Ask => self.ask(site, installer, dice),
            Act::Accept => match self.asked(&["invite", "application"], "pending", dice) {
                Some((id, kind)) => (self.answerer(&id), self.accept(&id, kind, dice)),
                None => self.ask(site, installer, dice),
            },
            Act::Reject => match self.asked(&["invite", "application", "ticket"], "pending", dice) {
                Some((id, kind)) => (self.answerer(&id), json!({name("reject", kind): {kind: id}})),
                None => self.ask(site, installer, dice),
            },
            Act::Withdraw => match self.asked(&["invite", "application", "ticket"], "pending", dice) {
                Some((id, kind)) => (ADA, json!({name("withdraw", kind): {kind: id}})),
                None => self.ask(site, installer, dice),
            },
            Act::Grant => self.grant(site, device, dice),
            Act::EndGrant => {
                let live = |id: &&String| self.reckoning.state(id, self.now) == "active" || dice.0 % 8 == 7;
                let ids: Vec<&String> = self.reckoning.grants.keys().filter(live).collect();
                let chosen = dice.throw(ids.len().max(1));
                match ids.get(chosen) {
                    Some(id) if dice.throw(2) == 0 => {
                        let site = &self.reckoning.grants[*id].site;
                        (self.owner(site), json!({"withdrawGrant": {"grant": id}}))
                    }
                    Some(id) => (ADA, json!({"releaseGrant": {"grant": id}})),
                    None => self.grant(site, device, dice),
                }
            }
            Act::OpenTicket => self.open_ticket(dice),
            Act::Complete => match self.asked(&["ticket"], "pending", dice) {
                Some((id, _)) => (self.answerer(&id), self.complete(&id, at, dice)),
                None => self.open_ticket(dice),
            },
            Act::Confirm => match self.asked(&["ticket"], "applying", dice) {
                Some((id, _)) => {
                    let outcome = dice.one_of(&["failed", "done"]);
                    (ROOT, json!({"confirmReset": {"ticket": id, "outcome": outcome}}))
                }
                None => self.open_ticket(dice),
            },
            Act::Transfer => {
                let (to, _) = dice.one_of(&END_USERS);
                (self.owner(site), json!({"transferSite": {"site": site, "to": to}}))
            }
            Act::Device if DEVICES.iter().all(|device| self.reckoning.has("device", device)) => {
                let site = self.reckoning.site_of(device).unwrap_or("villa");
                let who = if self.reckoning.owner(site).is_some() { self.owner(site) } else { ADA };
                (who, json!({"removeDevice": {"device": device}}))
            }
            Act::Device => {
                let missing = DEVICES.into_iter().find(|device| !self.reckoning.has("device", device));
                let device = missing.unwrap_or(device);
                let resets = !dice.seldom(8);
                (
                    ROOT,
                    json!({"addDevice": {"device": device, "site": site, "supportsPasswordReset": resets}}),
                )
            }
            Act::Site if self.reckoning.has("site", site) => (ADA, json!({"deleteSite": {"site": site}})),
            Act::Site => {
                let kind = dice.one_of(&["rental", "normal"]);
                (ADA, json!({"createSite": {"site": site, "company": "acme", "kind": kind}}))
            }
            Act::Assign => {
                let command = dice.one_of(&["unassignSite", "assignSite"]);
                (ADA, json!({command: {"site": "villa", "installer": "ivan"}}))
            }
            Act::Staff => {
                let missing = INSTALLERS.into_iter().find(|(id, _)| !self.reckoning.has("installer", id));
                let (id, _) = missing.unwrap_or(dice.one_of(&INSTALLERS));
                let here = self.reckoning.has("installer", id);
                (ROOT, if here { json!({"removeInstaller": {"installer": id}}) } else { staff(id) })
            }
            Act::WithdrawDisableService => {
                (self.owner(site), json!({"withdrawDisableService": {"site": site}}))
            }
            Act::Sweep => (ROOT, json!(null)),
        }
    }

    fn ask(&mut self, site: &str, installer: &'static str, dice: &mut Dice) -> (&'static str, Value) {
        if self.reckoning.owner(site).is_some() {
            let id = self.new_id("a", dice);
            let permissions = permissions(site, dice, false);
            let command = json!({"application": id, "site": site, "permissions": permissions});
            return (installer, json!({"applyForPermission": command}));
        }
        let contact = match dice.throw(8) {
            0..4 => json!({"email": "OLGA@example.com"}),
            4..7 => json!({"phone": "+3906-1"}),
            _ => json!({"email": "x@y.z"}),
        };
        let id = self.new_id("i", dice);
        let permissions = permissions(site, dice, true);
        let disable_service = dice.throw(3) > 0;
        let command = json!({"invite": id, "site": site, "contact": contact, "permissions": permissions,
                             "disableService": disable_service});
        (installer, json!({"inviteOwner": command}))
    }

    fn accept(&self, id: &str, kind: &str, dice: &mut Dice) -> Value {
        let mut fields = json!({kind: id});
        if dice.seldom(4) {
            let site = self.reckoning.asked[id].site.as_str();
            fields["permissions"] = permissions(site, dice, kind == "invite");
        }
        if kind == "invite" && dice.seldom(4) {
            fields["disableService"] = json!(dice.seldom(2));
        }
        json!({name("accept", kind): fields})
    }

    fn grant(&mut self, site: &str, device: &str, dice: &mut Dice) -> (&'static str, Value) {
        let (id, validity) = (self.new_id("g", dice), validity(dice));
        if dice.seldom(4) {
            let command = json!({"grant": id, "company": "acme", "permission": "manageSite",
                                 "site": site, "validity": validity});
            return (self.owner(site), json!({"grantPermission": command}));
        }
        let permission = dice.one_of(&["liveView", "playback", "configure"]);
        let command = json!({"grant": id, "company": "acme", "permission": permission,
                             "device": device, "validity": validity});
        let site = self.reckoning.site_of(device).unwrap_or("villa");
        (self.owner(site), json!({"grantPermission": command}))
    }

    /// On a device that acme has a grant for; where there is none, a grant.
    fn open_ticket(&mut self, dice: &mut Dice) -> (&'static str, Value) {
        let device = dice.one_of(&DEVICES);
        let installer = dice.one_of(&[ADA, ADA, IVAN]);
        let granted = |device: &&str| {
            let may = |action: &str| self.reckoning.installer_may("ada", action, device, self.now);
            let owned =
                self.reckoning.site_of(device).is_some_and(|site| self.reckoning.owner(site).is_some());
            owned && ["liveView", "playback", "configure"].into_iter().any(|action| may(action).is_some())
        };
        let devices: Vec<&str> = DEVICES.into_iter().filter(granted).collect();
        if devices.is_empty() {
            return self.grant("villa", device, dice);
        }
        let device = if dice.seldom(8) { device } else { dice.one_of(&devices) };
        let mode = dice.one_of(&["offSite", "onSite"]);
        let id = self.new_id("t", dice);
        (installer, json!({"openResetTicket": {"ticket": id, "device": device, "mode": mode}}))
    }

    fn complete(&self, id: &str, at: i64, dice: &mut Dice) -> Value {
        let device = self.reckoning.device_of(id).unwrap_or("cam-7");
        let password = if dice.seldom(6) { WEAK } else { PASSWORD };
        let age = dice.one_of(&[0, 0, 0, 5 * MINUTE, 5 * MINUTE, 5 * MINUTE + 1, -1]);
        let lan =
            json!({"device": device, "attestedBy": "platform", "observedAt": time(at.max(self.now) - age)});
        json!({"completeResetTicket": {"ticket": id, "password": password, "sameLan": lan}})
    }

    fn fail(&self, problem: &str) -> TestCaseError {
        TestCaseError::fail(format!("{problem}\nThe history:\n{}", self.script.join("\n")))
    }

    /// Fails when a check is answered in another way than the reckoning would.
    fn answers_as_reckoned(&self, who: (&str, &str), action: &str, id: &str) -> Result<(), TestCaseError> {
        let (name, principal) = who;
        let kind = if SITES.contains(&id) { "Site" } else { "Device" };
        let expected = self.reckoning.may(END_USERS.contains(&who), name, action, id, self.now);
        let answer = self.world.check(self.now, principal, action, &format!("{kind}::\"{id}\""));
        let got = (answer["decision"] == "allow").then(|| answer["valid_until"].clone());
        let expected = expected.map(|until| json!(until.map(time)));
        self.holds(got == expected, || {
            format!("{principal} {action} {id}: expected {expected:?}, got {answer}")
        })
    }

    /// Fails when the reckoning found this invariant broken.
    fn keeps(&self, invariant: &str) -> Result<(), TestCaseError> {
        match self.reckoning.problems.iter().find(|problem| problem.starts_with(&format!("{invariant}:"))) {
            Some(problem) => Err(self.fail(problem)),
            None => Ok(()),
        }
    }

    fn holds(&self, holds: bool, problem: impl Fn() -> String) -> Result<(), TestCaseError> {
        if holds { Ok(()) } else { Err(self.fail(&problem())) }
    }
}

fn staff(id: &str) -> Value {
    let (company, role) = match id {
        "ada" => ("acme", "admin"),
        "ivan" => ("acme", "member"),
        _ => ("rival", "admin"),
    };
    json!({"registerInstaller": {"installer": id, "company": company, "role": role,
                                 "permissions": ["manageAssignedSites", "manageDevices"]}})
}

fn name(verb: &str, kind: &str) -> String {
    verb.to_owned()
        + match kind {
            "invite" => "Invite",
            "application" => "Application",
            _ => "ResetTicket",
        }
}

fn validity(dice: &mut Dice) -> &'static str {
    dice.one_of(&["1h", "2h", "4h", "8h", "permanent"])
}

fn permissions(site: &str, dice: &mut Dice, may_be_empty: bool) -> Value {
    let validity = validity(dice);
    let (one, all): (&str, &[&str]) =
        if site == "villa" { ("cam-7", &["cam-7", "cam-8"]) } else { ("cam-9", &["cam-9"]) };
    match dice.throw(9) {
        0 if may_be_empty => json!([]),
        0..3 => json!([permission("liveView", &[one], validity)]),
        3 | 4 => json!([permission("liveView", all, validity), permission("playback", &[one], "2h")]),
        5 => json!([permission("manageSite", &[], validity)]),
        6 => json!([permission("configure", all, validity), permission("manageSite", &[], "1h")]),
        7 => json!([permission("playback", all, "permanent")]),
        _ => json!([permission("liveView", &["cam-8"], validity)]),
    }
}

type Question = ((&'static str, &'static str), &'static str, &'static str);

/// Everybody, everything that they may do, everything that there is.
fn questions() -> Vec<Question> {
    let mut questions = Vec::new();
    for who in INSTALLERS.into_iter().chain(END_USERS) {
        for action in ["liveView", "playback", "configure"] {
            questions.extend(DEVICES.map(|device| (who, action, device)));
        }
        for action in ["manageSite", "disableService"] {
            questions.extend(SITES.map(|site| (who, action, site)));
        }
    }
    questions
}

/// Plays a history, and looks after each step.
fn play(
    steps: &[Step],
    mut look: impl FnMut(&mut Play, usize) -> Result<(), TestCaseError>,
) -> Result<Play, TestCaseError> {
    let mut play = Play::begin();
    for (index, step) in steps.iter().enumerate() {
        play.step(step);
        look(&mut play, index)?;
    }
    Ok(play)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i1_whatever_is_over_stays_as_it_is(steps in history()) {
        play(&steps, |play, _| {
            play.keeps("I1")?;
            for (id, asked) in &play.reckoning.asked {
                let (shown, reckoned) = (play.world.state(play.now, asked.kind, id), play.reckoning.state(id, play.now));
                play.holds(shown == reckoned, || format!("{id} is shown as {shown}, and is {reckoned}"))?;
            }
            for id in play.reckoning.grants.keys() {
                let (shown, reckoned) = (play.world.state(play.now, "grant", id), play.reckoning.state(id, play.now));
                play.holds(shown == reckoned, || format!("{id} is shown as {shown}, and is {reckoned}"))?;
            }
            Ok(())
        })?;
    }

    #[test]
    fn i2_nothing_is_answered_from_its_deadline_on(steps in history()) {
        play(&steps, |play, _| play.keeps("I2"))?;
    }

    #[test]
    fn i3_every_grant_is_given_once_by_the_owner_of_that_moment(steps in history()) {
        play(&steps, |play, _| play.keeps("I3"))?;
    }

    #[test]
    fn i4_nothing_is_granted_that_was_not_asked_for(steps in history()) {
        play(&steps, |play, _| play.keeps("I4"))?;
    }

    #[test]
    fn i5_an_allow_is_exactly_what_live_grants_and_places_give(steps in history()) {
        play(&steps, |play, index| {
            // A few questions after each step, more of them where something may just have ended.
            let near = matches!(steps[index].clock, Clock::ToEnd(..));
            for (number, (who, action, id)) in questions().into_iter().enumerate() {
                if number % 11 == index % 11 || near && number % 3 == index % 3 {
                    play.answers_as_reckoned(who, action, id)?;
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn i6_expired_stays_expired_whatever_the_clock_does(steps in history(), back in 0..48 * HOUR) {
        let mut expired = BTreeSet::new();
        play(&steps, |play, _| {
            for (id, asked) in &play.reckoning.asked {
                let state = play.world.state(play.now - back, asked.kind, id);
                if expired.contains(id) {
                    play.holds(state == "expired", || format!("{id} was expired, and is {state}"))?;
                } else if state == "expired" {
                    expired.insert(id.clone());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn i7_one_live_invite_a_site_application_a_permission_ticket_a_device(steps in history()) {
        play(&steps, |play, _| play.keeps("I7"))?;
    }

    #[test]
    fn i8_a_ticket_changes_a_password_at_most_once(steps in history()) {
        play(&steps, |play, _| {
            play.keeps("I8")?;
            let Some((_, answer)) = &play.last else { return Ok(()) };
            let submitted = answer["events"] == json!(["resetSubmitted"]);
            let effect = answer.get("effect").is_some();
            play.holds(submitted == effect, || format!("an effect without a submission, or the other way: {answer}"))
        })?;
    }

    #[test]
    fn i9_a_repeated_command_gets_its_answer_and_does_nothing(steps in history(), which in any::<Index>()) {
        play(&steps, |play, index| {
            if play.answered.is_empty() || index % 4 > 0 {
                return Ok(());
            }
            let (mut line, mut first) = which.get(&play.answered).clone();
            line["at"] = json!(time(play.now));
            first.as_object_mut().unwrap().remove("effect");
            let (revision, heard) = (play.world.revision(), play.heard);
            let again = play.say(&line);
            play.holds(again == first, || format!("{line}: first {first}, then {again}"))?;
            play.holds((play.world.revision(), play.heard) == (revision, heard), || format!("{line} did something again"))?;
            line["do"] = json!({"registerCompany": {"company": "other"}});
            let conflict = play.say(&line);
            play.holds(conflict["code"] == "conflict", || format!("{line}: {conflict}"))?;
            play.holds(play.world.revision() == revision, || format!("{line} did something"))
        })?;
    }

    #[test]
    fn i10_every_command_leaves_one_line_of_audit_without_secrets(steps in history()) {
        let played = play(&steps, |play, _| {
            let Some((line, answer)) = &play.last else { return Ok(()) };
            let audit = play.world.engine.audit(play.heard as u64 - 1, 2).unwrap();
            let audit = serde_json::to_value(&audit[0]).unwrap();
            let mut command = line["do"].clone();
            if let Some(fields) = command.get_mut("completeResetTicket").and_then(Value::as_object_mut) {
                fields.remove("password");
            }
            let (code, revision) = (&audit["outcome"]["refused"]["code"], &audit["outcome"]["done"]["revision"]);
            let null = Value::Null;
            let same = audit["id"] == line["id"]
                && audit["as"] == line["as"]
                && *code == *answer.get("code").unwrap_or(&null)
                && *revision == *answer.get("revision").unwrap_or(&null);
            play.holds(same, || format!("{line} and {answer} are kept as {audit}"))?;
            let kept = audit["do"].as_object().unwrap().keys().eq(command.as_object().unwrap().keys());
            play.holds(kept, || format!("{line} is kept as {audit}"))
        })?;
        let audit = played.world.engine.audit(0, usize::MAX).unwrap();
        let numbers: Vec<u64> = audit.iter().map(|line| line.number).collect();
        prop_assert_eq!(numbers, (1..=audit.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(audit.len(), played.given + played.answered.len());
        let lines = serde_json::to_value(&audit).unwrap();
        let lines = lines.as_array().unwrap();
        let done = lines.iter().filter(|line| line["outcome"].get("done").is_some()).count();
        let expiries = played.world.records_after(0).len() - done - played.sweeps;
        let expired = lines.iter().filter(|line| line["outcome"]["refused"]["code"] == "expired").count();
        prop_assert!(expiries <= expired, "{} records came from nowhere", expiries - expired);
        let written = played.world.everything_written();
        prop_assert!(!written.contains(PASSWORD) && !written.contains(WEAK), "a password is written down");
    }

    #[test]
    fn nothing_waits_for_an_answer_when_what_it_rests_on_is_gone(steps in history()) {
        play(&steps, |play, _| {
            let groundless = play.reckoning.groundless(play.now);
            play.holds(groundless.is_empty(), || format!("{groundless:?} should be cancelled"))
        })?;
    }

    #[test]
    fn what_is_handed_to_cedar_is_whole(steps in history()) {
        let policies = crate::world::shipped();
        play(&steps, |play, index| {
            if index % 8 > 0 && index + 1 < steps.len() {
                return Ok(());
            }
            let directory = play.world.engine.directory();
            let kind = |kind| match kind { "invite" => "Invite", "application" => "PermissionApplication", _ => "ResetTicket" };
            let asked = play.reckoning.asked.iter().map(|(id, asked)| Uid::new(kind(asked.kind), id));
            let grants = play.reckoning.grants.keys().map(|id| Uid::new("Grant", id));
            let places = DEVICES.map(|id| Uid::new("Device", id)).into_iter().chain(SITES.map(|id| Uid::new("Site", id)));
            let people: Vec<Uid> = INSTALLERS.map(|(id, _)| Uid::new("Installer", id)).into_iter()
                .chain(END_USERS.map(|(id, _)| Uid::new("EndUser", id))).collect();
            for resource in asked.chain(grants).chain(places).chain(people) {
                for who in &[Uid::new("Installer", "ivan"), Uid::new("EndUser", "olga")] {
                    let gap = gap(&directory, &policies, (who, "liveView", &resource), moment(play.now));
                    play.holds(gap.is_none(), || format!("{who} on {resource}: {gap:?}"))?;
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_new_engine_on_the_same_ledger_shows_the_same(steps in history(), snapshot in any::<Index>()) {
        let saved = snapshot.index(steps.len());
        let played = play(&steps, |play, index| {
            if index == saved {
                play.world.engine.save_snapshot().unwrap();
                play.world = play.world.opened_again();
            }
            play.holds(play.reckoning.problems.is_empty(), || format!("{:?}", play.reckoning.problems))
        })?;
        let again = played.world.opened_again();
        prop_assert_eq!(again.revision(), played.world.revision());
        let list = json!({"at": time(played.now), "list": {"grants": {}}});
        prop_assert_eq!(again.line(&list), played.world.line(&list));
        let asked = played.reckoning.asked.iter().map(|(id, asked)| (asked.kind, id.as_str()));
        for (kind, id) in asked.chain(SITES.map(|site| ("site", site))) {
            prop_assert_eq!(again.show(played.now, kind, id), played.world.show(played.now, kind, id));
        }
        for (device, action) in DEVICES.into_iter().zip(["liveView", "playback", "configure"]) {
            let uid = format!("Device::\"{device}\"");
            prop_assert_eq!(again.check(played.now, IVAN, action, &uid), played.world.check(played.now, IVAN, action, &uid));
        }
        let overdue = |world: &World| world.engine.directory().overdue(moment(played.now));
        prop_assert_eq!(overdue(&again), overdue(&played.world));
    }
}

// -------------------------------------------------------------------------------------- I11, failing

/// The shipped policies with `text` beside them, and the schema changed so.
fn with(text: &str, schema: impl Fn(&str) -> String) -> Policies {
    let mut sources = PolicySources::shipped();
    sources.schema = sources.schema.map(|file| PolicyFile { text: schema(&file.text), ..file });
    sources.policies.push(PolicyFile { name: "added.cedar".to_owned(), text: text.to_owned() });
    Policies::load(&sources).unwrap()
}

fn same(schema: &str) -> String {
    schema.to_owned()
}

/// Live view asks for a reason; whoever checks has to give it.
fn with_reason(schema: &str) -> String {
    let live_view = "action liveView, playback, configure appliesTo {\n  principal: [Installer, EndUser, Operator],\n  resource: Device,\n  context: { now: datetime, grant?: Coverage },";
    assert!(schema.contains(live_view), "the schema changed: change this test");
    schema.replace(
        live_view,
        &live_view.replace("now: datetime,", "now: datetime, reason: String, level?: Long,"),
    )
}

fn check_with(world: &World, context: &Value) -> Value {
    let check = json!({"principal": OLGA, "action": "liveView", "resource": CAM_7, "context": context});
    world.line(&json!({"at": time(0), "check": check}))
}

const FAILING_FORBID: &str = r#"
@id("nobody-at-the-end-of-numbers") forbid (principal, action == Action::"liveView", resource)
when { 9223372036854775807 + 1 == 0 };"#;
const FAILING_PERMIT: &str = r#"
@id("anybody-at-the-end-of-numbers") permit (principal, action == Action::"liveView", resource)
when { 9223372036854775807 + 1 == 0 };"#;

#[test]
fn i11_a_policy_that_fails_denies_and_no_forbid_is_skipped() {
    let world = World::handed_over();
    for failing in [FAILING_FORBID, FAILING_PERMIT] {
        assert!(world.may(0, OLGA, "liveView", CAM_7));
        world.engine.replace_policies(with(failing, same));
        for who in [OLGA, PAUL, ADA] {
            let answer = world.check(0, who, "liveView", CAM_7);
            assert_eq!(
                (&answer["decision"], &answer["reason"]),
                (&json!("deny"), &json!("policy_error")),
                "{answer}"
            );
            assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer}");
            assert_eq!(answer["determining_policies"], json!([]));
        }
        assert!(world.may(0, OLGA, "playback", CAM_7), "other actions are not touched");
        world.engine.replace_policies(crate::world::shipped());
    }
}

#[test]
fn i11_a_policy_that_fails_refuses_a_command() {
    let world = World::handed_over();
    let failing = FAILING_FORBID.replace("liveView", "transferSite");
    world.engine.replace_policies(with(&failing, same));
    let answer = world.tell(0, OLGA, json!({"transferSite": {"site": "villa", "to": "paul"}}));
    assert_eq!(answer["code"], json!("not_permitted"), "{answer}");
    assert_eq!(world.show(0, "site", "villa")["owner"], json!(OLGA));
}

#[test]
fn i11_missing_and_ill_typed_context_never_allows() {
    let world = World::handed_over();
    let permit = r#"@id("with-a-reason") permit (principal, action == Action::"liveView", resource) when { context.reason == "alarm" };"#;
    world.engine.replace_policies(with(permit, with_reason));
    assert_eq!(check_with(&world, &json!({"reason": "alarm"}))["decision"], json!("allow"));
    assert_eq!(check_with(&world, &json!({"reason": "none"}))["decision"], json!("allow"), "it is the owner");
    for context in [
        json!({}),
        json!({"level": 1}),
        json!({"reason": 1}),
        json!({"reason": null}),
        json!({"reason": ["alarm"]}),
        json!({"reason": "alarm", "level": "1"}),
        json!({"reason": "alarm", "level": 1.5}),
        json!({"reason": "alarm", "now": time(0)}),
        json!({"reason": "alarm", "grant": {"permission": "liveView"}}),
        json!({"reason": {"__entity": {"type": "Operator", "id": "root"}}}),
    ] {
        let answer = check_with(&world, &context);
        assert_ne!(answer["decision"], json!("allow"), "{context}: {answer}");
    }
}

#[test]
fn i11_a_forbid_that_misses_its_context_is_not_skipped() {
    let world = World::handed_over();
    let forbid = r#"@id("not-for-fun") forbid (principal, action == Action::"liveView", resource) when { context.reason == "fun" };"#;
    world.engine.replace_policies(with(forbid, with_reason));
    assert_ne!(check_with(&world, &json!({}))["decision"], json!("allow"));
    assert_eq!(check_with(&world, &json!({"reason": "fun"}))["reason"], json!("forbidden"));
    assert_eq!(check_with(&world, &json!({"reason": "alarm"}))["decision"], json!("allow"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
        Just(json!("2026-03-01T00:00:00.000Z")),
        Just(json!({"__extn": {"fn": "datetime", "arg": "2026-03-01"}})),
        Just(json!({"__entity": {"type": "EndUser", "id": "olga"}})),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i11_no_context_opens_a_door(
        context in prop::collection::btree_map(
            prop_oneof![Just("now".to_owned()), Just("grant".to_owned()), "[a-z]{1,8}"], any_json(), 0..4),
        who in 0..5_usize,
        action in 0..6_usize,
    ) {
        let world = World::handed_over();
        let (who, action) = ([ROOT, ADA, RITA, OLGA, PAUL][who], ["liveView", "playback", "configure", "manageSite", "disableService", "transferSite"][action]);
        let resource = if action.ends_with('e') && action != "configure" { VILLA } else { CAM_7 };
        let plain = world.check(0, who, action, resource);
        let context: Map<String, Value> = context.into_iter().collect();
        let check = json!({"principal": who, "action": action, "resource": resource, "context": context});
        let answer = world.line(&json!({"at": time(0), "check": check}));
        if plain["decision"] == "deny" {
            prop_assert_ne!(&answer["decision"], &json!("allow"), "{}", answer);
        } else if !context.is_empty() {
            prop_assert_eq!(&answer["code"], &json!("invalid"), "{}", answer);
        }
    }

    #[test]
    fn i11_nothing_unknown_is_allowed(principal in "[A-Z][A-Za-z]{0,9}", action in "[a-z][A-Za-z]{0,9}", resource in "[A-Z][A-Za-z]{0,9}", id in "[a-z0-9-]{1,6}") {
        let world = World::handed_over();
        let (who, what) = (format!("{principal}::\"{id}\""), format!("{resource}::\"{id}\""));
        for (who, action, what) in [(who.as_str(), "liveView", CAM_7), (OLGA, action.as_str(), CAM_7), (OLGA, "liveView", what.as_str())] {
            prop_assert!(!world.may(0, who, action, what), "{who} {action} {what}");
        }
    }
}

#[test]
fn i11_with_no_policies_nothing_is_allowed() {
    let engine = Engine::builder(MemoryLedger::new()).policies(Policies::none().unwrap()).open().unwrap();
    let line = json!({"at": time(0), "as": ROOT, "do": {"registerCompany": {"company": "acme"}}});
    let answer = crate::world::answer(&engine, &line);
    assert_eq!((&answer["code"], &answer["determining_policies"]), (&json!("not_permitted"), &json!([])));
}
