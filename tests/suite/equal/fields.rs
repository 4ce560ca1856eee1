//! What a command names: mostly what is there, and fits.

use serde_json::{Value, json};

use super::cast::{DEVICES, Dice, PRINCIPALS, SITES, VALIDITIES, contact, installers, users};
use crate::plain::{Asked, MINUTE, Plain, written};

/// The fields of a command, mostly such that it can be done.
pub(super) fn of(plain: &Plain, name: &str, at: i64, dice: &mut Dice) -> Value {
    match name {
        "inviteOwner" | "applyForPermission" | "acceptInvite" | "acceptApplication" | "grantPermission" => {
            asking(plain, name, dice)
        }
        "openResetTicket" | "completeResetTicket" | "confirmReset" => tickets(plain, name, at, dice),
        "rejectInvite" | "withdrawInvite" => json!({"invite": asked(plain, "invite", "pending", dice)}),
        "rejectApplication" | "withdrawApplication" => {
            json!({"application": asked(plain, "application", "pending", dice)})
        }
        "rejectResetTicket" | "withdrawResetTicket" => {
            json!({"ticket": asked(plain, "ticket", "pending", dice)})
        }
        "withdrawGrant" | "releaseGrant" => json!({"grant": any_grant(plain, dice)}),
        _ => directory(plain, name, dice),
    }
}

/// One of these, or an id that nothing has.
fn any_of<'a>(ids: impl Iterator<Item = &'a String>, dice: &mut Dice) -> String {
    let ids: Vec<&String> = ids.collect();
    if ids.is_empty() || dice.percent(3) { "nothing".to_owned() } else { ids[dice.throw(ids.len())].clone() }
}

pub(super) fn any_asked(plain: &Plain, kind: &str, dice: &mut Dice) -> String {
    any_of(plain.asked.keys().filter(|(own, _)| *own == kind).map(|(_, id)| id), dice)
}

/// Mostly one in this state.
fn asked(plain: &Plain, kind: &str, state: &str, dice: &mut Dice) -> String {
    let fits = |asked: &Asked| {
        plain.stands(asked) == state || asked.state == state && asked.deadline < plain.now + MINUTE
    };
    let mut fitting = plain.asked.iter().filter(|((own, _), asked)| *own == kind && fits(asked)).peekable();
    if fitting.peek().is_none() || dice.percent(12) {
        return any_asked(plain, kind, dice);
    }
    let ids: Vec<&String> = fitting.map(|((_, id), _)| id).collect();
    ids[dice.throw(ids.len())].clone()
}

pub(super) fn any_grant(plain: &Plain, dice: &mut Dice) -> String {
    let mut live = plain.grants.iter().filter(|(_, grant)| plain.grant_stands(grant) == "active").peekable();
    if live.peek().is_none() || dice.percent(25) {
        return any_of(plain.grants.keys(), dice);
    }
    any_of(live.map(|(id, _)| id), dice)
}

/// An id that nothing of this kind has yet; now and then one that something has. All draw from the same ids.
fn fresh(plain: &Plain, kinds: &[&str], dice: &mut Dice) -> String {
    if dice.percent(5) {
        return any_of(
            plain.asked.keys().map(|(_, id)| id).chain(plain.grants.keys().filter(|id| !id.contains('/'))),
            dice,
        );
    }
    let taken = |id: &str| {
        let asked = plain.asked.keys().any(|(kind, own)| kinds.contains(kind) && own == id);
        asked || kinds.contains(&"grant") && plain.grants.contains_key(id)
    };
    (0..).map(|number| format!("x-{number}")).find(|id| !taken(id)).unwrap()
}

/// A site, mostly with an owner or without.
fn site(plain: &Plain, owned: bool, dice: &mut Dice) -> String {
    let fitting = plain.sites.iter().filter(|(_, site)| site.owner.is_some() == owned);
    let fitting: Vec<&String> = fitting.map(|(id, _)| id).collect();
    if fitting.is_empty() || dice.percent(8) {
        return dice.one_of(&SITES).to_owned();
    }
    fitting[dice.throw(fitting.len())].clone()
}

/// A device, mostly of that site.
fn device(plain: &Plain, site: &str, dice: &mut Dice) -> String {
    let own: Vec<&String> =
        plain.devices.iter().filter(|(_, device)| device.site == site).map(|(id, _)| id).collect();
    if own.is_empty() || dice.percent(3) {
        dice.one_of(&DEVICES).to_owned()
    } else {
        own[dice.throw(own.len())].clone()
    }
}

/// A ticket that waits for its confirmation.
fn on_its_way(plain: &Plain) -> Option<&Asked> {
    plain.asked.values().find(|asked| asked.state == "applying")
}

fn directory(plain: &Plain, name: &str, dice: &mut Dice) -> Value {
    let company = |dice: &mut Dice| {
        if dice.percent(3) { "nowhere" } else { dice.one_of(&["acme", "acme", "acme", "rival"]) }
    };
    let installer = dice.one_of(&["ada", "ivan", "ivan", "mia", "theo", "rita", "nobody"]);
    match name {
        "registerCompany" => json!({"company": dice.one_of(&["third", "acme", "fourth"])}),
        "registerEndUser" => {
            let mut fields = users()[dice.throw(4).max(dice.throw(4))].1.clone();
            if dice.percent(40) {
                fields["endUser"] = json!("late");
                fields["contacts"] = json!([contact(dice)]);
            }
            fields
        }
        "registerInstaller" => {
            let all = installers();
            let missing: Vec<&Value> = all
                .iter()
                .filter(|(id, _)| !plain.installers.contains_key(*id))
                .map(|(_, fields)| fields)
                .collect();
            let mut fields = if missing.is_empty() {
                all[dice.throw(5)].1.clone()
            } else {
                missing[dice.throw(missing.len())].clone()
            };
            if dice.percent(20) {
                fields["company"] = json!(company(dice));
            }
            fields
        }
        "removeInstaller" => json!({"installer": installer}),
        "createSite" => {
            let missing: Vec<&str> =
                SITES.into_iter().filter(|site| !plain.sites.contains_key(*site)).collect();
            let site = if missing.is_empty() || dice.percent(10) {
                dice.one_of(&SITES)
            } else {
                dice.one_of(&missing)
            };
            json!({"site": site, "company": company(dice), "kind": dice.one_of(&["normal", "rental"])})
        }
        "unassignSite" if dice.percent(80) => {
            let assigned = plain.assigned();
            if assigned.is_empty() {
                return json!({"site": "villa", "installer": installer});
            }
            let (site, installer) = &assigned[dice.throw(assigned.len())];
            json!({"site": site, "installer": installer})
        }
        "assignSite" | "unassignSite" => json!({"site": dice.one_of(&SITES), "installer": installer}),
        "deleteSite" => {
            json!({"site": if dice.percent(60) { site(plain, false, dice) } else { site(plain, true, dice) }})
        }
        "addDevice" => {
            let missing: Vec<&str> =
                DEVICES.into_iter().filter(|id| !plain.devices.contains_key(*id)).collect();
            let device = if missing.is_empty() || dice.percent(10) {
                dice.one_of(&DEVICES)
            } else {
                dice.one_of(&missing)
            };
            json!({"device": device, "site": dice.one_of(&SITES), "supportsPasswordReset": dice.percent(80)})
        }
        "removeDevice" => {
            let of_ticket = on_its_way(plain).and_then(|ticket| ticket.device.clone());
            let device = of_ticket.filter(|_| dice.percent(40)).map(|(device, _)| device);
            json!({"device": device.unwrap_or_else(|| dice.one_of(&DEVICES).to_owned())})
        }
        "transferSite" => {
            let to = dice.one_of(&["olga", "paul", "ivan-at-home", "ivan-at-home", "late", "nobody"]);
            let of_ticket = on_its_way(plain).filter(|_| dice.percent(40)).map(|ticket| ticket.site.clone());
            json!({"site": of_ticket.unwrap_or_else(|| site(plain, true, dice)), "to": to})
        }
        _ => json!({"site": site(plain, true, dice)}),
    }
}

fn entry(plain: &Plain, site: &str, dice: &mut Dice) -> Value {
    let permission = dice.one_of(&["liveView", "liveView", "playback", "configure", "manageSite"]);
    let validity = dice.one_of(&VALIDITIES);
    if permission == "manageSite" && !dice.percent(3) {
        return json!({"permission": permission, "validity": validity});
    }
    let mut devices: Vec<String> = (0..1 + dice.throw(2)).map(|_| device(plain, site, dice)).collect();
    if dice.percent(90) {
        devices.sort();
        devices.dedup();
    }
    if dice.percent(2) {
        devices.clear();
    }
    json!({"permission": permission, "devices": devices, "validity": validity})
}

/// What was asked for, in the form of a command.
fn as_asked(asked: &Asked, hours: impl Fn(Option<i64>) -> Option<i64>) -> Vec<Value> {
    let entry = |entry: &crate::plain::Entry| {
        let validity = hours(entry.hours).map_or("permanent".to_owned(), |hours| format!("{hours}h"));
        let mut written = json!({"permission": entry.permission, "validity": validity});
        if let Some((device, _)) = &entry.device {
            written["devices"] = json!([device]);
        }
        written
    };
    asked.entries.iter().map(entry).collect()
}

fn asking(plain: &Plain, name: &str, dice: &mut Dice) -> Value {
    let entries = |plain: &Plain, site: &str, dice: &mut Dice| -> Vec<Value> {
        (0..dice.throw(3).max(dice.throw(3))).map(|_| entry(plain, site, dice)).collect()
    };
    match name {
        "inviteOwner" => {
            let site = site(plain, false, dice);
            let mut fields = json!({"invite": fresh(plain, &["invite", "application"], dice), "site": site, "contact": contact(dice),
                "permissions": entries(plain, &site, dice), "disableService": dice.percent(50)});
            if dice.percent(10) {
                fields["remark"] = json!("please");
            }
            fields
        }
        "applyForPermission" => {
            let site = site(plain, true, dice);
            let mut fields = json!({"application": fresh(plain, &["invite", "application"], dice),
                "site": site, "permissions": entries(plain, &site, dice)});
            if dice.percent(10) {
                fields["remark"] = json!("please");
            }
            fields
        }
        "grantPermission" => {
            let (site, validity) = (site(plain, true, dice), dice.one_of(&VALIDITIES));
            let permission = dice.one_of(&["liveView", "liveView", "playback", "configure", "manageSite"]);
            let own = plain.sites.get(&site).map_or("acme", |site| site.company.as_str());
            let company = if dice.percent(85) { own } else { dice.one_of(&["acme", "rival", "nowhere"]) };
            let mut fields = json!({"grant": fresh(plain, &["grant"], dice), "company": company,
                "permission": permission, "validity": validity});
            if (permission == "manageSite") != dice.percent(3) {
                fields["site"] = json!(site);
            } else {
                fields["device"] = json!(device(plain, &site, dice));
            }
            fields
        }
        _ => accepting(plain, if name == "acceptInvite" { "invite" } else { "application" }, dice),
    }
}

fn accepting(plain: &Plain, kind: &'static str, dice: &mut Dice) -> Value {
    let id = asked(plain, kind, "pending", dice);
    let mut fields = json!({kind: id});
    let asked = plain.asked.get(&(kind, id));
    if let Some(asked) = asked.filter(|_| dice.percent(35)) {
        let mut permissions = match dice.throw(4) {
            0 => as_asked(asked, |hours| hours.map(|hours| (hours / 2).max(1))),
            1 => as_asked(asked, |hours| {
                hours.map_or(Some(8), |hours| if hours == 8 { None } else { Some(hours * 2) })
            }),
            _ => as_asked(asked, |hours| hours),
        };
        if dice.percent(50) {
            permissions.pop();
        }
        if dice.percent(15) {
            permissions.push(entry(plain, &asked.site, dice));
        }
        fields["permissions"] = json!(permissions);
    }
    if kind == "invite" && dice.percent(45) {
        fields["disableService"] = json!(dice.percent(25));
    }
    fields
}

fn tickets(plain: &Plain, name: &str, at: i64, dice: &mut Dice) -> Value {
    match name {
        "openResetTicket" => {
            let site = site(plain, true, dice);
            let granted = plain.devices.keys().filter(|device| {
                let command = json!({"device": device});
                PRINCIPALS.iter().any(|who| !plain.may(who, "openResetTicket", &command).is_empty())
            });
            let granted: Vec<&String> = granted.collect();
            let device = if granted.is_empty() || dice.percent(15) {
                device(plain, &site, dice)
            } else {
                granted[dice.throw(granted.len())].clone()
            };
            json!({"ticket": fresh(plain, &["ticket"], dice), "device": device, "mode": dice.one_of(&["onSite", "offSite"])})
        }
        "confirmReset" => {
            json!({"ticket": asked(plain, "ticket", "applying", dice), "outcome": dice.one_of(&["done", "failed", "failed"])})
        }
        _ => {
            let id = asked(plain, "ticket", "pending", dice);
            let own = plain.asked.get(&("ticket", id.clone())).and_then(|ticket| ticket.device.clone());
            let password = if dice.percent(65) {
                "Sunny-day7"
            } else {
                dice.one_of(&[
                    "sunnyday",
                    "Sunny-7",
                    "Sunny day7",
                    "Seventeen-chars-7",
                    "Sixteen-chars-16",
                    "Eight-c8",
                    "Grün-wiese7",
                ])
            };
            let mut fields = json!({"ticket": id, "password": password});
            if dice.percent(95) {
                let now = at.max(plain.now);
                let observed = if dice.percent(60) {
                    now - dice.throw(1000) as i64
                } else {
                    let late =
                        dice.one_of(&[&0, &1, &(5 * MINUTE), &(5 * MINUTE + 1), &(5 * MINUTE - 1), &-1]);
                    now - *late
                };
                let device =
                    own.filter(|_| dice.percent(95)).map_or("cam-4".to_owned(), |(device, _)| device);
                let by = if dice.percent(88) { "platform" } else { "olga" };
                fields["sameLan"] =
                    json!({"device": device, "attestedBy": by, "observedAt": written(observed)});
                if dice.percent(40) {
                    fields["sameLan"]["peer"] = json!(dice.one_of(&["ownerPhone", "installerClient"]));
                }
            }
            fields
        }
    }
}
