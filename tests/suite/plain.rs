//! A reference model of the whole engine, written from the contract: plain maps, strings and numbers, one
//! command after another, no threads, no disk. It knows no type and no rule of the engine.
//!
//! It says what every line of a script is answered, to the last policy id; only the sentences that are for
//! people are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

#[path = "plain/asking.rs"]
mod asking; // invites, applications and grants
#[path = "plain/fault.rs"]
mod fault; // rules that are wrong on purpose
#[path = "plain/places.rs"]
mod places; // the directory
#[path = "plain/questions.rs"]
mod questions; // checks, `show` and `list`
#[path = "plain/tickets.rs"]
mod tickets; // reset tickets
#[path = "plain/time.rs"]
mod time; // times as they are written
#[path = "plain/who.rs"]
mod who; // who may do what, as the shipped policies have it

pub(crate) use fault::Fault;
pub(crate) use time::{DAY, HOUR, MINUTE, millis, written};

/// Ids of installers, sites and devices are used again: a number says which one is meant.
type Serial = u64;

#[derive(Clone, Default)]
pub(crate) struct Plain {
    /// What is wrong with it, on purpose.
    fault: Option<Fault>,
    /// The greatest moment that it was given.
    pub(crate) now: i64,
    /// The greatest moment that is written down: all that a restart remembers.
    written: i64,
    pub(crate) revision: u64,
    serial: Serial,
    pub(crate) companies: BTreeSet<String>,
    /// Their contacts, in one way of writing.
    pub(crate) users: BTreeMap<String, BTreeSet<String>>,
    pub(crate) installers: BTreeMap<String, Installer>,
    pub(crate) sites: BTreeMap<String, Site>,
    pub(crate) devices: BTreeMap<String, Device>,
    /// Invites, applications and tickets: by kind and id.
    pub(crate) asked: BTreeMap<(&'static str, String), Asked>,
    pub(crate) grants: BTreeMap<String, Grant>,
    /// What was said under a command's id, and the answer.
    told: Arc<BTreeMap<String, (Value, Value)>>,
}

#[derive(Clone)]
pub(crate) struct Installer {
    serial: Serial,
    pub(crate) company: String,
    admin: bool,
    rights: BTreeSet<String>,
    contacts: BTreeSet<String>,
    /// Those that are assigned.
    sites: BTreeSet<Serial>,
}

#[derive(Clone)]
pub(crate) struct Site {
    serial: Serial,
    pub(crate) company: String,
    rental: bool,
    pub(crate) owner: Option<String>,
    /// How often it changed hands.
    epoch: u64,
    /// The present owner agreed that the service may be disabled.
    disable: bool,
}

#[derive(Clone)]
pub(crate) struct Device {
    serial: Serial,
    pub(crate) site: String,
    resets: bool,
}

/// One permission that is asked for. `hours`: none for ever.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) permission: String,
    pub(crate) device: Option<(String, Serial)>,
    pub(crate) hours: Option<i64>,
}

/// An invite, an application or a ticket.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) state: &'static str,
    pub(crate) deadline: i64,
    since: i64,
    pub(crate) site: String,
    site_serial: Serial,
    epoch: u64,
    pub(crate) company: String,
    pub(crate) asker: String,
    asker_serial: Serial,
    asker_contacts: BTreeSet<String>,
    pub(crate) entries: Vec<Entry>,
    remark: Option<String>,
    /// Of an invite.
    contact: String,
    /// Of an invite.
    pub(crate) disable: bool,
    /// Of a ticket.
    pub(crate) device: Option<(String, Serial)>,
    /// Of a ticket.
    pub(crate) on_site: bool,
    /// Of a ticket: refused for its password or network.
    failed: u64,
}

#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) state: &'static str,
    pub(crate) until: Option<i64>,
    company: String,
    permission: String,
    site: String,
    device: Option<(String, Serial)>,
    owner: String,
}

/// What a command does: the names of its events, and what its submitter is told once.
#[derive(Default)]
struct Done {
    events: Vec<String>,
    effect: Option<Value>,
}

/// Why a command does not happen.
#[derive(Debug)]
struct Refused {
    code: &'static str,
    state: Option<String>,
    /// The policies that let it be tried.
    by: Vec<&'static str>,
    /// The expiry that it brings to light.
    recorded: Option<String>,
}

type Outcome = Result<Done, Refused>;

fn done<const N: usize>(events: [&str; N]) -> Done {
    Done { events: events.map(str::to_owned).to_vec(), effect: None }
}

fn refused(code: &'static str) -> Refused {
    Refused { code, state: None, by: Vec::new(), recorded: None }
}

/// A field of a command, as text; empty when it is not there.
fn text<'a>(fields: &'a Value, name: &str) -> &'a str {
    fields[name].as_str().unwrap_or("")
}

/// `Site` and `villa` of `Site::"villa"`.
pub(crate) fn parts(uid: &str) -> (&str, &str) {
    let (kind, id) = uid.split_once("::").unwrap();
    (kind, id.trim_matches('"'))
}

/// E-mail without case, phones by digits and `+`.
fn contact(written: &Value, fault: Option<Fault>) -> String {
    match (written["email"].as_str(), written["phone"].as_str()) {
        (Some(email), _) if fault == Some(Fault::EmailsHaveCase) => format!("email:{email}"),
        (Some(email), _) => format!("email:{}", email.to_lowercase()),
        (_, Some(phone)) if fault == Some(Fault::PhonesHaveSpaces) => format!("phone:{phone}"),
        (_, Some(phone)) => {
            format!("phone:{}", phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect::<String>())
        }
        _ => unreachable!("a contact is an e-mail or a phone: {written}"),
    }
}

/// What counts when a command's id comes again: `as` and `do`, without the password.
fn body(line: &Value, fault: Option<Fault>) -> Value {
    let mut command = line["do"].clone();
    if fault != Some(Fault::PasswordIsOfTheBody)
        && let Some(fields) = command.get_mut("completeResetTicket").and_then(Value::as_object_mut)
    {
        fields.remove("password");
    }
    let at = if fault == Some(Fault::TimeIsOfTheBody) { line["at"].clone() } else { Value::Null };
    json!([line["as"], command, at])
}

impl Plain {
    /// A model in which something is wrong.
    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn wrong(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn next_serial(&mut self) -> Serial {
        self.serial += 1;
        self.serial
    }

    fn restart_remembers(&self) -> i64 {
        if self.wrong(Fault::RestartRemembersChecks) { self.now } else { self.written }
    }

    /// The engine is gone, and another is there.
    pub(crate) fn restart(&mut self) {
        self.now = self.restart_remembers();
    }

    /// The answer to a line of a script.
    pub(crate) fn line(&mut self, line: &Value) -> Value {
        let at = millis(line["at"].as_str().unwrap());
        if line.get("do").is_some() || !self.wrong(Fault::LooksMoveNoTime) {
            self.now = if self.wrong(Fault::TimeGoesBack) { at } else { self.now.max(at) };
        }
        match ["do", "check", "show", "list"].map(|ask| line.get(ask)) {
            [Some(_), ..] => self.command(line),
            [_, Some(check), ..] => self.check(check),
            [_, _, Some(show), _] => self.show(show),
            [.., Some(list)] => self.list(&list["grants"]),
            _ => unreachable!("no line of a script: {line}"),
        }
    }

    /// What a command would be answered, in a word, were its id not used.
    pub(crate) fn foresees(&self, line: &Value) -> String {
        let mut copy = self.clone();
        copy.now = copy.now.max(millis(line["at"].as_str().unwrap()));
        let (name, fields) = line["do"].as_object().unwrap().iter().next().unwrap();
        let outcome = copy.outcome(line["as"].as_str().unwrap(), name, fields);
        outcome.map_or_else(|refused| refused.code, |_| "ok").to_owned()
    }

    fn command(&mut self, line: &Value) -> Value {
        let body = body(line, self.fault);
        if let Some((before, answer)) = line["id"].as_str().and_then(|id| self.told.get(id)) {
            if *before == body {
                return answer.clone();
            }
            self.written = self.written.max(self.now);
            return self.refusal(refused("conflict"));
        }
        let (name, fields) = line["do"].as_object().unwrap().iter().next().unwrap();
        let (name, fields) = (name.clone(), fields.clone());
        let outcome = self.outcome(line["as"].as_str().unwrap(), &name, &fields);
        self.written = self.written.max(self.now);
        let (mut answer, again) = match outcome {
            Ok(Done { events, effect }) => {
                self.revision += 1;
                let again = json!({"ok": true, "events": events, "revision": self.revision});
                let mut answer = again.clone();
                if let Some(effect) = effect {
                    answer["effect"] = effect;
                }
                (answer, again)
            }
            Err(refused) => {
                let answer = self.refusal(refused);
                (answer.clone(), answer)
            }
        };
        if let Some(id) = line["id"].as_str() {
            let forgotten = self.wrong(Fault::RefusalsAreForgotten) && again["ok"] == false;
            if !forgotten {
                let kept = if self.wrong(Fault::EffectsAreGivenAgain) { answer.clone() } else { again };
                Arc::make_mut(&mut self.told).insert(id.to_owned(), (body, kept));
            }
        }
        sort(&mut answer);
        answer
    }

    fn refusal(&mut self, refused: Refused) -> Value {
        if refused.recorded.is_some() && !self.wrong(Fault::ExpiriesAreNotRecorded) {
            self.revision += 1;
        }
        let mut answer = json!({"ok": false, "code": refused.code, "determining_policies": refused.by});
        if let Some(state) = refused.state {
            answer["state"] = json!(state);
        }
        answer
    }

    /// What comes of a command: what it names, who gives it, where it stands, what it asks for.
    fn outcome(&mut self, who: &str, name: &str, fields: &Value) -> Outcome {
        match name {
            "registerCompany"
            | "registerEndUser"
            | "registerInstaller"
            | "removeInstaller"
            | "createSite"
            | "assignSite"
            | "unassignSite"
            | "deleteSite"
            | "addDevice"
            | "removeDevice"
            | "transferSite"
            | "withdrawDisableService" => self.keep_directory(who, name, fields),
            "inviteOwner" | "applyForPermission" => self.ask(who, name, fields),
            "acceptInvite" | "acceptApplication" => self.accept(who, name, fields),
            "rejectInvite" | "rejectApplication" | "rejectResetTicket" => {
                self.close(who, name, fields, "rejected")
            }
            "withdrawInvite" | "withdrawApplication" | "withdrawResetTicket" => {
                self.close(who, name, fields, "withdrawn")
            }
            "grantPermission" => self.give(who, fields),
            "withdrawGrant" | "releaseGrant" => self.end_grant(who, name, fields),
            "openResetTicket" => self.open_ticket(who, fields),
            "completeResetTicket" => self.complete(who, fields),
            "confirmReset" => self.confirm(who, fields),
            _ => unreachable!("no command: {name}"),
        }
    }

    /// The policies that let `who` do this; a refusal when there are none.
    fn permitted(&self, who: &str, name: &str, fields: &Value) -> Result<Vec<&'static str>, Refused> {
        let by = self.may(who, name, fields);
        if by.is_empty() { Err(refused("not_permitted")) } else { Ok(by) }
    }

    /// What time has ended is written down as ended: how many things.
    pub(crate) fn sweep(&mut self, at: i64) -> usize {
        self.now = self.now.max(at);
        let now = self.now;
        let over = |deadline: i64| now >= deadline;
        let waiting = self.asked.values_mut().filter(|a| a.state == "pending" && over(a.deadline));
        let mut ended = 0;
        for asked in waiting {
            asked.state = "expired";
            ended += 1;
        }
        for grant in self.grants.values_mut().filter(|g| g.state == "active" && g.until.is_some_and(over)) {
            grant.state = "ended";
            ended += 1;
        }
        if ended > 0 {
            self.written = self.now;
            self.revision += 1;
        }
        ended
    }

    /// Who is assigned to which site: site and installer.
    pub(crate) fn assigned(&self) -> Vec<(String, String)> {
        let of = |(id, site): (&'_ String, &Site)| {
            let (id, serial) = (id.clone(), site.serial);
            let own = self.installers.iter().filter(move |(_, own)| own.sites.contains(&serial));
            own.map(|(installer, _)| (id.clone(), installer.clone())).collect::<Vec<_>>()
        };
        self.sites.iter().flat_map(of).collect()
    }

    /// What live grants are for: permission and resource.
    pub(crate) fn granted(&self) -> Vec<(&str, String)> {
        let live = self.grants.values().filter(|grant| self.grant_stands(grant) == "active");
        let on = |grant: &Grant| match &grant.device {
            Some((device, _)) => format!("Device::\"{device}\""),
            None => format!("Site::\"{}\"", grant.site),
        };
        live.map(|grant| (grant.permission.as_str(), on(grant))).collect()
    }

    /// The moments at which something ends after now.
    pub(crate) fn ends(&self) -> Vec<i64> {
        let asked = self.asked.values().filter(|asked| asked.state == "pending").map(|asked| asked.deadline);
        let grants = self.grants.values().filter(|grant| grant.state == "active").filter_map(|g| g.until);
        let ends: BTreeSet<i64> = asked.chain(grants).filter(|end| *end >= self.now).collect();
        ends.into_iter().collect()
    }
}

/// The order of the events of one command is not promised.
fn sort(answer: &mut Value) {
    if let Some(events) = answer.get_mut("events").and_then(Value::as_array_mut) {
        events.sort_by_key(ToString::to_string);
    }
}

/// What two answers have to agree in: all but sentences, the order of events, and how permissions that were
/// asked for are put together.
pub(crate) fn compared(answer: &Value) -> Value {
    let mut answer = answer.clone();
    sort(&mut answer);
    let fields: &mut Map<String, Value> = answer.as_object_mut().unwrap();
    fields.remove("message");
    if let Some(permissions) = fields.get_mut("permissions") {
        let mut flat = BTreeSet::new();
        for entry in permissions.as_array().unwrap() {
            let none = vec![Value::Null];
            for device in entry.get("devices").and_then(Value::as_array).unwrap_or(&none) {
                flat.insert(json!([entry["permission"], device, entry["validity"]]).to_string());
            }
        }
        *permissions = json!(flat);
    }
    answer
}
