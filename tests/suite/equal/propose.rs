//! Which step comes next: mostly sensible where the model stands, sometimes anything.

use serde_json::{Value, json};

use super::Step;
use super::cast::{COMMANDS, COMPANIES, DEVICES, Dice, PRINCIPALS, SITES, WEIGHTS};
use super::fields::{self, any_asked, any_grant};
use crate::plain::{HOUR, MINUTE, Plain, written};

/// The next step.
pub(super) fn propose(plain: &Plain, said: &[Value], dice: &mut Dice) -> Step {
    let at = clock(plain, dice);
    match dice.throw(100) {
        0..3 => Step::Restart { with_snapshot: dice.percent(50) },
        3..5 => Step::Sweep(at),
        5..14 => Step::Line(check(plain, at, dice)),
        14..19 => Step::Line(show(plain, at, dice)),
        19..21 => Step::Line(list(at, dice)),
        21..26 if !said.is_empty() => Step::Line(again(said, at, dice)),
        _ => Step::Line(command(plain, at, dice)),
    }
}

fn clock(plain: &Plain, dice: &mut Dice) -> i64 {
    let ends = plain.ends();
    match dice.throw(100) {
        0..77 => plain.now,
        77..82 => plain.now + 1,
        82..88 => plain.now + MINUTE * (1 + dice.throw(10) as i64),
        88..90 => plain.now + HOUR,
        90..94 => plain.now - HOUR * dice.throw(30) as i64 - 1,
        _ if ends.is_empty() => plain.now + 1,
        // The near ones more often: a day passes too soon for what waits.
        _ => {
            let near = dice.throw(ends.len()).min(dice.throw(ends.len()));
            ends[near] + dice.throw(3) as i64 - 1
        }
    }
}

/// A line that was said before, or another under its id.
fn again(said: &[Value], at: i64, dice: &mut Dice) -> Value {
    let completed: Vec<&Value> =
        said.iter().filter(|line| line["do"].get("completeResetTicket").is_some()).collect();
    let mut line = if completed.is_empty() || dice.percent(60) {
        said[dice.throw(said.len())].clone()
    } else {
        completed[dice.throw(completed.len())].clone()
    };
    line["at"] = json!(written(at));
    if let Some(complete) = line["do"].get_mut("completeResetTicket").filter(|_| dice.percent(50)) {
        complete["password"] = json!("Another-day8");
    } else if dice.percent(30) {
        line["do"] = json!({"registerCompany": {"company": "third"}});
    } else if dice.percent(10) {
        line["as"] = json!(dice.one_of(&PRINCIPALS));
    }
    line
}

fn check(plain: &Plain, at: i64, dice: &mut Dice) -> Value {
    let granted = plain.granted();
    if !granted.is_empty() && dice.percent(40) {
        let (action, resource) = &granted[dice.throw(granted.len())];
        let check =
            json!({"principal": dice.one_of(&PRINCIPALS[1..4]), "action": action, "resource": resource});
        return json!({"at": written(at), "check": check});
    }
    let action =
        dice.one_of(&["liveView", "liveView", "playback", "configure", "manageSite", "disableService"]);
    let on_site = (action.ends_with("Site") || action.ends_with("Service")) != dice.percent(4);
    let resource = if on_site {
        let sites: Vec<&str> = plain.sites.keys().map(String::as_str).collect();
        format!(
            "Site::\"{}\"",
            if sites.is_empty() || dice.percent(15) { dice.one_of(&SITES) } else { dice.one_of(&sites) }
        )
    } else {
        let devices: Vec<&str> = plain.devices.keys().map(String::as_str).collect();
        format!(
            "Device::\"{}\"",
            if devices.is_empty() || dice.percent(15) {
                dice.one_of(&DEVICES)
            } else {
                dice.one_of(&devices)
            }
        )
    };
    let action = if dice.percent(2) { "fly" } else { action };
    let odd = [r#"Company::"acme""#, r#"Invite::"x-0""#, r#"EndUser::"olga""#];
    let resource = if dice.percent(3) { dice.one_of(&odd).to_owned() } else { resource };
    let known = 9 + 4 * dice.throw(2);
    let who = if dice.percent(2) { dice.one_of(&odd[..2]) } else { dice.one_of(&PRINCIPALS[..known]) };
    let mut check = json!({"principal": who, "action": action, "resource": resource});
    if dice.percent(4) {
        check["at_least"] = json!(plain.revision + dice.throw(2) as u64);
    }
    if dice.percent(4) {
        check["context"] =
            dice.one_of(&[&json!({"now": written(at)}), &json!({"mood": 1}), &json!({})]).clone();
    }
    json!({"at": written(at), "check": check})
}

fn show(plain: &Plain, at: i64, dice: &mut Dice) -> Value {
    let kind = dice.one_of(&["invite", "application", "ticket", "grant", "grant", "site"]);
    let id = match kind {
        "site" => dice.one_of(&SITES).to_owned(),
        "grant" => any_grant(plain, dice),
        kind => any_asked(plain, kind, dice),
    };
    json!({"at": written(at), "show": {kind: id}})
}

fn list(at: i64, dice: &mut Dice) -> Value {
    let mut filter = json!({});
    if dice.percent(30) {
        filter["company"] = json!(dice.one_of(&COMPANIES));
    }
    if dice.percent(30) {
        filter["device"] = json!(dice.one_of(&DEVICES));
    }
    if dice.percent(40) {
        filter["owner"] = json!(dice.one_of(&["olga", "paul", "late"]));
    }
    if dice.percent(40) {
        filter["live"] = json!(dice.percent(50));
    }
    json!({"at": written(at), "list": {"grants": filter}})
}

/// A command, mostly one that is done; if not, mostly one that names what is there.
fn command(plain: &Plain, at: i64, dice: &mut Dice) -> Value {
    let wanted: &[&str] = match dice.throw(100) {
        0..53 => &["ok"],
        53..70 => &["not_permitted", "already_exists"],
        70..84 => &["wrong_state", "expired", "live_duplicate", "wider_than_asked", "invalid"],
        84..97 => &["unsupported_device", "lan_not_attested", "weak_password", "wider_than_asked"],
        _ => &["not_found"],
    };
    let by_anybody = wanted.contains(&"not_permitted");
    let mut line = any_command(plain, at, by_anybody, dice);
    for _ in 0..10 {
        if wanted.contains(&plain.foresees(&line).as_str()) {
            break;
        }
        line = any_command(plain, at, by_anybody, dice);
    }
    line
}

fn any_command(plain: &Plain, at: i64, by_anybody: bool, dice: &mut Dice) -> Value {
    let mut lot = dice.throw(WEIGHTS.iter().sum());
    let which = WEIGHTS.iter().position(|weight| {
        let hit = lot < *weight;
        lot = lot.saturating_sub(*weight);
        hit
    });
    let which = if by_anybody { Some(dice.throw(WEIGHTS.len())) } else { which };
    let name = COMMANDS.get(which.unwrap()).copied().unwrap_or("confirmReset");
    let fields = fields::of(plain, name, at, dice);
    let who = principal(plain, name, &fields, by_anybody, dice);
    let mut line = json!({"at": written(at), "as": who, "do": {name: fields}});
    if dice.percent(if name == "completeResetTicket" { 70 } else { 30 }) {
        line["id"] = json!(format!("c-{}", dice.throw(10_000)));
    }
    line
}

fn principal(plain: &Plain, name: &str, fields: &Value, by_anybody: bool, dice: &mut Dice) -> &'static str {
    let permitted: Vec<&str> =
        PRINCIPALS.into_iter().filter(|who| !plain.may(who, name, fields).is_empty()).collect();
    let nearly = nearly(plain, name, fields);
    let missed: Vec<&str> = nearly.iter().filter(|who| !permitted.contains(who)).copied().collect();
    if by_anybody && !missed.is_empty() && dice.percent(70) {
        dice.one_of(&missed)
    } else if by_anybody || dice.percent(5) {
        let known = if dice.percent(80) { 9 } else { 13 };
        dice.one_of(&PRINCIPALS[..known])
    } else if !permitted.is_empty() {
        dice.one_of(&permitted)
    } else if !nearly.is_empty() {
        dice.one_of(&nearly)
    } else {
        dice.one_of(&PRINCIPALS)
    }
}

/// Those who could do something of the kind: answer no, or ask for less.
fn nearly(plain: &Plain, name: &str, fields: &Value) -> Vec<&'static str> {
    let nobody = json!({"email": "nobody@example.com"});
    let (try_this, with) = match name {
        "acceptInvite" | "acceptApplication" => (name.replace("accept", "reject"), fields.clone()),
        "completeResetTicket" => ("rejectResetTicket".to_owned(), fields.clone()),
        _ => {
            let of_device =
                || plain.devices.get(fields["device"].as_str()?).map(|device| device.site.clone());
            let site = fields["site"].as_str().map(str::to_owned).or_else(of_device);
            let owned =
                site.as_ref().and_then(|id| plain.sites.get(id)).is_some_and(|site| site.owner.is_some());
            let asks = if owned { "applyForPermission" } else { "inviteOwner" };
            (asks.to_owned(), json!({"site": site, "permissions": [], "contact": nobody}))
        }
    };
    let fits = |who: &&str| !plain.may(who, &try_this, &with).is_empty();
    let mut all: Vec<&str> = PRINCIPALS.into_iter().filter(fits).collect();
    if name == "deleteSite" || name == "removeDevice" {
        all.push(PRINCIPALS[0]);
    }
    all
}
