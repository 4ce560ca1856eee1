//! A small cast on one engine, spoken to in the lines of a script.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration as Wait;

use consentry::directory::Revision;
use consentry::ledger::{Commit, Entry, Layer, Record};
use consentry::{AccessRequest, Engine, Ledger, MemoryLedger, Policies, Timestamp, Uid};
use consentry_server::script::{self, Line};
use serde_json::{Value, json};

/// Midnight at which every test begins: 2026-03-01T00:00:00.000Z.
pub(crate) const MIDNIGHT: i64 = 1_772_323_200_000;
/// Lengths of time, in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) const ROOT: &str = r#"Operator::"root""#;
/// The admin of acme.
pub(crate) const ADA: &str = r#"Installer::"ada""#;
/// Of acme, assigned to the villa, manages devices.
pub(crate) const IVAN: &str = r#"Installer::"ivan""#;
/// Of acme, manages all sites, but no devices.
pub(crate) const MIA: &str = r#"Installer::"mia""#;
/// Of acme, manages devices, but no site.
pub(crate) const THEO: &str = r#"Installer::"theo""#;
/// The admin of rival.
pub(crate) const RITA: &str = r#"Installer::"rita""#;
pub(crate) const OLGA: &str = r#"EndUser::"olga""#;
pub(crate) const PAUL: &str = r#"EndUser::"paul""#;

pub(crate) const CAM_7: &str = r#"Device::"cam-7""#;
pub(crate) const VILLA: &str = r#"Site::"villa""#;
pub(crate) const FLAT: &str = r#"Site::"flat""#;

/// A password that every device takes.
pub(crate) const PASSWORD: &str = "Sunny-day7";

/// The moment `offset` milliseconds after midnight.
pub(crate) fn moment(offset: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT + offset)
}

/// The same as it is written.
pub(crate) fn time(offset: i64) -> String {
    moment(offset).to_string()
}

/// A ledger that outlives its engine, so that another can be opened on it.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<MemoryLedger>, Arc<Mutex<Option<Interruption>>>);

type Interruption = Box<dyn FnOnce() + Send>;

impl Shared {
    /// Does this between the next decision and its append.
    pub(crate) fn interrupt(&self, interruption: impl FnOnce() + Send + 'static) {
        *self.1.lock().unwrap() = Some(Box::new(interruption));
    }
}

impl Layer for Shared {
    fn below(&self) -> &dyn Ledger {
        &*self.0
    }

    fn append_below(&self, entry: Entry) -> Commit {
        let interruption = self.1.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption();
        }
        self.0.append(entry)
    }
}

/// The answer to one line of a script, as JSON.
pub(crate) fn answer(engine: &Engine, line: &Value) -> Value {
    let line = Line::parse(&line.to_string()).unwrap_or_else(|error| panic!("{error}: {line}"));
    serde_json::to_value(script::run_line(engine, &line).unwrap()).unwrap()
}

/// Runs a script: its answers, and the error with which it stopped, if it did.
pub(crate) fn replay(engine: &Engine, script: &str) -> (Vec<Value>, Option<String>) {
    let mut written = Vec::new();
    let stopped = script::run(engine, script.as_bytes(), &mut written).err().map(|error| error.to_string());
    let answers = String::from_utf8(written).unwrap();
    (answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), stopped)
}

/// The policies that come with Consentry. Loading them takes longer than most tests.
static SHIPPED: LazyLock<Policies> = LazyLock::new(|| Policies::shipped().unwrap());

pub(crate) fn shipped() -> Policies {
    SHIPPED.clone()
}

/// An engine with the shipped policies on this ledger.
pub(crate) fn open(ledger: impl Ledger + 'static) -> Engine {
    Engine::builder(ledger).policies(shipped()).open().unwrap()
}

/// An engine on which nothing has happened.
pub(crate) fn fresh() -> Engine {
    open(MemoryLedger::new())
}

/// One engine and its ledger.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) ledger: Shared,
}

impl World {
    /// Nobody and nothing.
    pub(crate) fn empty() -> Self {
        let ledger = Shared::default();
        Self { engine: open(ledger.clone()), ledger }
    }

    /// The whole cast; nothing is handed over.
    ///
    /// acme looks after the villa (cam-7; cam-8, whose password cannot be reset) and the flat (rental;
    /// cam-9), rival after the barn.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        for company in ["acme", "rival"] {
            world.must(0, ROOT, json!({"registerCompany": {"company": company}}));
        }
        for (installer, company, role, permissions) in [
            ("ada", "acme", "admin", json!([])),
            ("ivan", "acme", "member", json!(["manageAssignedSites", "manageDevices"])),
            ("mia", "acme", "member", json!(["manageAllSites"])),
            ("theo", "acme", "member", json!(["manageDevices"])),
            ("rita", "rival", "admin", json!([])),
        ] {
            let contacts = json!([{"email": format!("{installer}@{company}.example")}]);
            world.must(
                0,
                ROOT,
                json!({"registerInstaller": {"installer": installer, "company": company, "role": role,
                                             "permissions": permissions, "contacts": contacts}}),
            );
        }
        let olga = json!([{"email": "olga@example.com"}, {"phone": "+39 06 12345"}]);
        world.must(0, ROOT, json!({"registerEndUser": {"endUser": "olga", "contacts": olga}}));
        let paul = json!([{"email": "paul@example.com"}]);
        world.must(0, ROOT, json!({"registerEndUser": {"endUser": "paul", "contacts": paul}}));
        for (site, company, kind) in
            [("villa", "acme", "normal"), ("flat", "acme", "rental"), ("barn", "rival", "normal")]
        {
            world.must(0, ROOT, json!({"createSite": {"site": site, "company": company, "kind": kind}}));
        }
        world.must(0, ROOT, json!({"assignSite": {"site": "villa", "installer": "ivan"}}));
        for (device, site, resets) in
            [("cam-7", "villa", true), ("cam-8", "villa", false), ("cam-9", "flat", true)]
        {
            let command =
                json!({"addDevice": {"device": device, "site": site, "supportsPasswordReset": resets}});
            world.must(0, ROOT, command);
        }
        world
    }

    /// Another engine on the same ledger, as after a restart.
    pub(crate) fn opened_again(&self) -> Self {
        Self { engine: open(self.ledger.clone()), ledger: self.ledger.clone() }
    }

    /// The cast, and olga owns the villa. acme has no grant.
    pub(crate) fn handed_over() -> Self {
        let world = Self::new();
        world.hand_over(0, "villa", &[]);
        world
    }

    /// Olga takes a site over, with these permissions, by the invite `to-<site>`.
    pub(crate) fn hand_over(&self, at: i64, site: &str, permissions: &[Value]) {
        let invite = format!("to-{site}");
        self.must(at, ADA, invite_olga(&invite, site, permissions));
        self.must(at, OLGA, json!({"acceptInvite": {"invite": invite}}));
    }

    /// The answer to a line.
    pub(crate) fn line(&self, line: &Value) -> Value {
        answer(&self.engine, line)
    }

    /// The answer to a command.
    pub(crate) fn tell(&self, at: i64, who: &str, command: Value) -> Value {
        self.line(&json!({"at": time(at), "as": who, "do": command}))
    }

    /// The answer to a command that has an id.
    pub(crate) fn tell_as(&self, id: &str, at: i64, who: &str, command: Value) -> Value {
        self.line(&json!({"at": time(at), "as": who, "id": id, "do": command}))
    }

    /// Gives a command that is done.
    pub(crate) fn must(&self, at: i64, who: &str, command: Value) -> Value {
        let shown = command.to_string();
        let answer = self.tell(at, who, command);
        assert_eq!(answer["ok"], json!(true), "{shown}: {answer}");
        answer
    }

    /// The answer to a check.
    pub(crate) fn check(&self, at: i64, who: &str, action: &str, resource: &str) -> Value {
        let check = json!({"principal": who, "action": action, "resource": resource});
        self.check_briefly(at, (who, action, resource));
        self.line(&json!({"at": time(at), "check": check}))
    }

    /// Sees that, at one moment, who wants no names of policies, or knows principal, action and resource by their keys, is
    /// answered as everybody else.
    fn check_briefly(&self, at: i64, (who, action, resource): (&str, &str, &str)) {
        let (directory, policies) = (self.engine.directory(), self.engine.policies());
        let (who, what): (Uid, Uid) = (who.parse().unwrap(), resource.parse().unwrap());
        let keys = (directory.key(&who), policies.action(action), directory.key(&what));
        let named = policies.check_named(&directory, ((&who).into(), action, (&what).into()), moment(at));
        let request = AccessRequest::new(who, action, what);
        let evaluation = policies.evaluate(&*directory, directory.revision(), &request, moment(at)).unwrap();
        assert_eq!(named, evaluation.ruling(), "{request:?}");
        if let (Some(principal), Some(asked), Some(thing)) = keys {
            let by_key = policies.check(&directory, (principal, &asked, thing), moment(at));
            assert_eq!(by_key, evaluation.ruling(), "{request:?}");
        }
    }

    /// Whether a check is allowed.
    pub(crate) fn may(&self, at: i64, who: &str, action: &str, resource: &str) -> bool {
        self.check(at, who, action, resource)["decision"] == json!("allow")
    }

    /// Where a thing stands.
    pub(crate) fn show(&self, at: i64, kind: &str, id: &str) -> Value {
        self.line(&json!({"at": time(at), "show": {kind: id}}))
    }

    /// The name of a thing's state.
    pub(crate) fn state(&self, at: i64, kind: &str, id: &str) -> String {
        self.show(at, kind, id)["state"].as_str().unwrap_or("none").to_owned()
    }

    /// The ids of the grants that fit the filter.
    pub(crate) fn grants(&self, at: i64, filter: Value) -> Vec<String> {
        let list = self.line(&json!({"at": time(at), "list": {"grants": filter}}));
        let ids = list["grants"].as_array().unwrap().iter();
        ids.map(|grant| grant["grant"].as_str().unwrap().to_owned()).collect()
    }

    /// The revision that answers are computed on.
    pub(crate) fn revision(&self) -> u64 {
        self.engine.directory().revision()
    }

    /// The records after a revision, as a subscriber gets them.
    pub(crate) fn records_after(&self, revision: Revision) -> Vec<Record> {
        let mut subscription = self.engine.subscribe(revision + 1);
        std::iter::from_fn(|| subscription.next_within(Wait::ZERO).unwrap()).collect()
    }

    /// The names of the events after a revision.
    pub(crate) fn events_after(&self, revision: Revision) -> Vec<&'static str> {
        let records = self.records_after(revision);
        records.iter().flat_map(|record| &record.events).map(|event| event.name()).collect()
    }

    /// Everything that is written down, as text.
    pub(crate) fn everything_written(&self) -> String {
        let records = self.records_after(0);
        let audit = self.engine.audit(0, usize::MAX).unwrap();
        let snapshot = self.engine.directory().to_bytes().unwrap();
        let texts = [serde_json::to_string(&records).unwrap(), serde_json::to_string(&audit).unwrap()];
        texts.concat() + &String::from_utf8_lossy(&snapshot)
    }
}

/// One entry of `permissions`; no devices for `manageSite`.
pub(crate) fn permission(permission: &str, devices: &[&str], validity: &str) -> Value {
    if devices.is_empty() {
        json!({"permission": permission, "validity": validity})
    } else {
        json!({"permission": permission, "devices": devices, "validity": validity})
    }
}

pub(crate) fn invite_olga(invite: &str, site: &str, permissions: &[Value]) -> Value {
    json!({"inviteOwner": {"invite": invite, "site": site, "contact": {"email": "olga@example.com"},
                           "permissions": permissions, "disableService": false}})
}

pub(crate) fn apply(application: &str, permissions: &[Value]) -> Value {
    json!({"applyForPermission": {"application": application, "site": "villa", "permissions": permissions}})
}

/// Olga gives acme a permission on cam-7.
pub(crate) fn grant(id: &str, permission: &str, validity: &str) -> Value {
    json!({"grantPermission": {"grant": id, "company": "acme", "permission": permission,
                               "device": "cam-7", "validity": validity}})
}

pub(crate) fn open_ticket(ticket: &str) -> Value {
    json!({"openResetTicket": {"ticket": ticket, "device": "cam-7", "mode": "offSite"}})
}

/// A completion with this password, at `at`, attested as it should be.
pub(crate) fn complete(at: i64, ticket: &str, password: &str) -> Value {
    json!({"completeResetTicket": {"ticket": ticket, "password": password, "sameLan": {
        "device": "cam-7", "attestedBy": "platform", "observedAt": time(at)}}})
}

/// That a command was done, with these events.
#[track_caller]
pub(crate) fn done(answer: &Value, events: &[&str]) {
    assert_eq!(answer["ok"], json!(true), "{answer}");
    assert_eq!(answer["events"], json!(events), "{answer}");
}

/// That a command was refused with this code.
#[track_caller]
pub(crate) fn refused(answer: &Value, code: &str) {
    assert_eq!(answer["ok"], json!(false), "{answer}");
    assert_eq!(answer["code"], json!(code), "{answer}");
}

/// That a command was refused because of the state, which the answer names.
#[track_caller]
pub(crate) fn wrong_state(answer: &Value, state: &str) {
    refused(answer, "wrong_state");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains(state), "the message does not name `{state}`: {message}");
}

/// That a check was denied for this reason.
#[track_caller]
pub(crate) fn denied(answer: &Value, reason: &str) {
    assert_eq!(answer["decision"], json!("deny"), "{answer}");
    assert_eq!(answer["reason"], json!(reason), "{answer}");
    assert_eq!(answer["valid_until"], json!(null), "{answer}");
}

/// That a check was allowed until then (`None`: without end).
#[track_caller]
pub(crate) fn allowed(answer: &Value, until: Option<i64>) {
    assert_eq!(answer["decision"], json!("allow"), "{answer}");
    assert_eq!(answer["reason"], json!(null), "{answer}");
    assert_eq!(answer["valid_until"], json!(until.map(time)), "{answer}");
}
