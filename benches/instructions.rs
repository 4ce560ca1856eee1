//! How many instructions one decision takes. A count does not depend on what else the machine does: it has bounds, and is
//! taken for every change.
//!
//! **Workload.** An engine with the shipped policies, and one site that was handed over. An installer, a member of the
//! company who is assigned to the site, asks about its device, again and again the same. Allow: `liveView`, which the owner
//! accepted for four hours. Deny: `playback`, which was never asked for. Each in three ways: by key (`Engine::check`), by
//! name (`Engine::check_named`), and with the names of the policies that decided (`Engine::evaluate`, of a request that is
//! made once; that its answer is dropped counts). Beside them, `Engine::evaluate` with Cedar as the evaluator of all
//! policies, which has no bound. That each answers as it should is seen to where it is counted.
//!
//! **Figures.** The program runs itself under callgrind, once for each line of the table, which counts what is done in
//! `counted_loop` and nothing else: neither opening the engine, nor the first question. The seeds of hash tables differ
//! from run to run, and the count by less than one in a hundred with them.
//!
//! **Not covered.** Time: instructions wait for memory, and for branches that were guessed wrong (`keys`, `evaluate`). Large
//! worlds; a context from the caller; making a request. Other processors than x86-64, for which there are no bounds. Even
//! there the C library copies with the widest registers that it finds, which makes a small difference.
//!
//! Exit status: 0 all bounds are met, or there is no valgrind; 1 one is missed; 2 nothing could be counted.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

use std::env;
use std::hint::black_box;
use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use consentry::policy::Evaluator;
use consentry::{
    AccessRequest, ActionKey, Engine, EntityKey, MemoryLedger, Policies, Submission, Timestamp, Uid, UidRef,
};

const HELP: &str = "\
Counts the instructions of one decision, and compares them with bounds. Needs valgrind.

    cargo bench -p consentry --bench instructions

--loop NAME TIMES   what is run under callgrind: asks the question of this line of the table so many times
--help              this

Exit status: 0 all bounds are met, or there is no valgrind; 1 one is missed; 2 nothing could be counted";

/// The function that is counted, whatever the compiler puts around its name. No other may have a name like it, not even
/// a closure in it: callgrind stops counting where it begins.
const COUNTED: &str = "--toggle-collect=*counted_loop*";

/// What there is to count. A bound is what was measured and about an eighth more. It is there so that a change that makes decisions
/// dearer is seen; one that is worth it moves the bound in the same commit.
const CASES: [Case; 8] = [
    Case { name: "by key, allow", way: Way::ByKey, action: ALLOWED, bound: Some(5_350) },
    Case { name: "by key, deny", way: Way::ByKey, action: DENIED, bound: Some(2_350) },
    Case { name: "by name, allow", way: Way::ByName, action: ALLOWED, bound: Some(6_250) },
    Case { name: "by name, deny", way: Way::ByName, action: DENIED, bound: Some(3_250) },
    Case { name: "with policies, allow", way: Way::WithPolicies, action: ALLOWED, bound: Some(7_400) },
    Case { name: "with policies, deny", way: Way::WithPolicies, action: DENIED, bound: Some(4_100) },
    Case { name: "with policies, by Cedar, allow", way: Way::ByCedar, action: ALLOWED, bound: None },
    Case { name: "with policies, by Cedar, deny", way: Way::ByCedar, action: DENIED, bound: None },
];

const ALLOWED: &str = "liveView";
const DENIED: &str = "playback";

/// What happened before anybody asks.
const COMMANDS: [(&str, &str); 10] = [
    (ROOT, r#"{"registerCompany":{"company":"acme"}}"#),
    (
        ROOT,
        r#"{"registerInstaller":{"installer":"ivan","company":"acme","role":"member",
            "permissions":["manageAssignedSites","manageDevices"]}}"#,
    ),
    (ROOT, r#"{"registerEndUser":{"endUser":"olga","contacts":[{"email":"olga@example.com"}]}}"#),
    (ROOT, r#"{"createSite":{"site":"villa","company":"acme","kind":"normal"}}"#),
    (ROOT, r#"{"assignSite":{"site":"villa","installer":"ivan"}}"#),
    (ROOT, r#"{"addDevice":{"device":"cam-7","site":"villa","supportsPasswordReset":true}}"#),
    (
        IVAN,
        r#"{"inviteOwner":{"invite":"invite-1","site":"villa","contact":{"email":"olga@example.com"},
            "permissions":[],"disableService":false}}"#,
    ),
    (OLGA, r#"{"acceptInvite":{"invite":"invite-1"}}"#),
    (
        IVAN,
        r#"{"applyForPermission":{"application":"application-1","site":"villa",
            "permissions":[{"permission":"liveView","devices":["cam-7"],"validity":"4h"}]}}"#,
    ),
    (OLGA, r#"{"acceptApplication":{"application":"application-1"}}"#),
];

const ROOT: &str = r#"Operator::"root""#;
const IVAN: &str = r#"Installer::"ivan""#;
const OLGA: &str = r#"EndUser::"olga""#;

/// A line of the table.
struct Case {
    name: &'static str,
    way: Way,
    action: &'static str,
    /// Instructions that a decision may take.
    bound: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ByKey,
    ByName,
    WithPolicies,
    ByCedar,
}

/// An engine, and one question in all the forms that it can be asked in.
struct Place {
    engine: Engine,
    now: Timestamp,
    keys: (EntityKey, ActionKey, EntityKey),
    names: (UidRef<'static>, &'static str, UidRef<'static>),
    request: AccessRequest,
}

impl Place {
    fn of(case: &Case) -> Self {
        let evaluator = if case.way == Way::ByCedar { Evaluator::Cedar } else { Evaluator::Compiled };
        let policies = Policies::shipped().expect("shipped policies are sound").with(evaluator);
        let engine =
            Engine::builder(MemoryLedger::new()).policies(policies).open().expect("nothing is in it");
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a moment");
        for (principal, command) in COMMANDS {
            let command = serde_json::from_str(command).expect("a command");
            let submission = Submission::new(principal.parse().expect("a principal"), command);
            let answer = engine.submit(&submission, now).expect("memory does not fail");
            assert!(answer.receipt().is_some(), "{answer:?}");
        }
        let (ivan, camera) = (UidRef::new("Installer", "ivan"), UidRef::new("Device", "cam-7"));
        let key = |uid: UidRef<'_>| engine.key(uid).expect("it is registered");
        let action = engine.action(case.action).expect("the schema has it");
        let keys = (key(ivan), action, key(camera));
        let request = AccessRequest::new(Uid::from(ivan), case.action, Uid::from(camera));
        Self { engine, now, keys, names: (ivan, case.action, camera), request }
    }

    fn is_allowed(&self, way: Way) -> bool {
        match way {
            Way::ByKey => {
                let (principal, action, resource) = &self.keys;
                self.engine.check(*principal, action, *resource, self.now).is_allowed()
            }
            Way::ByName => {
                let (principal, action, resource) = self.names;
                self.engine.check_named(principal, action, resource, self.now).is_allowed()
            }
            Way::WithPolicies | Way::ByCedar => {
                self.engine.evaluate(&self.request, self.now).expect("it is a question").is_allowed()
            }
        }
    }
}

impl Case {
    fn times(&self) -> u64 {
        if self.way == Way::ByCedar { 100 } else { 1_000 }
    }

    /// What is counted, and before it what is not.
    fn run(&self, times: u64) {
        let place = Place::of(self);
        let is_allowed = self.action == ALLOWED;
        assert_eq!(place.is_allowed(self.way), is_allowed, "{}", self.name);
        let expected = if is_allowed { times } else { 0 };
        assert_eq!(counted_loop(&place, self.way, times), expected, "{}", self.name);
    }

    /// The instructions of one decision.
    fn count(&self) -> Result<u64, String> {
        let times = self.times();
        let program = env::current_exe().map_err(|why| why.to_string())?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", COUNTED]).arg(program);
        // Nothing that is set for this process, such as for the allocator, is to make a difference.
        valgrind.env_clear().envs(env::vars_os().filter(|(name, _)| name == "PATH"));
        let output = valgrind.args(["--loop", self.name, &times.to_string()]).output();
        let output = output.map_err(|why| format!("valgrind: {why}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("{}: {}\n{said}", self.name, output.status));
        }
        let all = collected(&said).ok_or_else(|| format!("valgrind does not say how many:\n{said}"))?;
        // It takes more than one instruction to ask: else the function has another name, or none.
        let is_counted = all > times;
        is_counted
            .then_some(all / times)
            .ok_or_else(|| format!("{}: nothing was counted:\n{said}", self.name))
    }
}

/// Asks `times` times: how many answers were allows.
#[inline(never)]
fn counted_loop(place: &Place, way: Way, times: u64) -> u64 {
    let mut allowed = 0;
    for _ in 0..times {
        allowed += u64::from(black_box(place).is_allowed(black_box(way)));
    }
    allowed
}

/// The number in callgrind's line `==4711== Collected : 4806000`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

fn has_valgrind() -> Result<bool, String> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(true),
        Ok(output) => Err(format!("valgrind: {}", output.status)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(false),
        Err(why) => Err(format!("valgrind: {why}")),
    }
}

/// Prints the table. Whether all bounds are met.
fn measure() -> Result<bool, String> {
    if cfg!(debug_assertions) {
        return Err(
            "built with debug assertions, the engine compares each answer with Cedar's: use cargo bench"
                .to_owned(),
        );
    }
    if !has_valgrind()? {
        println!("skipped: no valgrind");
        return Ok(true);
    }
    println!("{:<32} {:>12} {:>8}", "one decision", "instructions", "bound");
    let mut are_met = true;
    for case in &CASES {
        let count = case.count()?;
        match case.bound.filter(|_| cfg!(target_arch = "x86_64")) {
            None => println!("{:<32} {count:>12}", case.name),
            Some(bound) => {
                let verdict = if count <= bound { "met" } else { "MISSED" };
                println!("{:<32} {count:>12} {bound:>8} {verdict}", case.name);
                are_met &= count <= bound;
            }
        }
    }
    Ok(are_met)
}

/// `None`: no such line, or no number.
fn run(name: &str, times: &str) -> Option<()> {
    let case = CASES.iter().find(|case| case.name == name)?;
    case.run(times.parse().ok()?);
    Some(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Without it, nobody asked: it is `cargo test --all-targets`.
    let is_asked_for = arguments.iter().any(|argument| argument == "--bench");
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let wrong = |why: &str| {
        eprintln!("{why}");
        ExitCode::from(2)
    };
    match arguments.as_slice() {
        [] if !is_asked_for => ExitCode::SUCCESS,
        [] => match measure() {
            Ok(are_met) => ExitCode::from(u8::from(!are_met)),
            Err(why) => wrong(&why),
        },
        ["--loop", name, times] => run(name, times).map_or_else(|| wrong(HELP), |()| ExitCode::SUCCESS),
        ["--help" | "-h"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => wrong(HELP),
    }
}
