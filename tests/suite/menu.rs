//! Who and what there is in the small world, and what may be tried in it.

use serde_json::{Value, json};

use crate::model::Move;
use crate::world::{
    ADA, IVAN, OLGA, PASSWORD, PAUL, RITA, ROOT, apply, complete, grant, open_ticket, permission,
};

/// Two companies, three installers, two end users, one site with two devices.
pub(crate) fn setting() -> Vec<Move> {
    let staff = |id: &str, company: &str, role: &str| {
        json!({"registerInstaller": {"installer": id, "company": company, "role": role,
                                     "permissions": ["manageAssignedSites", "manageDevices"]}})
    };
    let device =
        |id: &str| json!({"addDevice": {"device": id, "site": "villa", "supportsPasswordReset": true}});
    let end_user =
        |id: &str, contact: Value| json!({"registerEndUser": {"endUser": id, "contacts": [contact]}});
    [
        (ROOT, json!({"registerCompany": {"company": "acme"}})),
        (ROOT, json!({"registerCompany": {"company": "rival"}})),
        (ROOT, staff("ada", "acme", "admin")),
        (ROOT, staff("ivan", "acme", "member")),
        (ROOT, staff("rita", "rival", "admin")),
        (ROOT, end_user("olga", json!({"email": "olga@example.com"}))),
        (ROOT, end_user("paul", json!({"phone": "+39 06 1"}))),
        (ADA, json!({"createSite": {"site": "villa", "company": "acme", "kind": "rental"}})),
        (ADA, json!({"assignSite": {"site": "villa", "installer": "ivan"}})),
        (ROOT, device("cam-7")),
        (ROOT, device("cam-8")),
    ]
    .map(|(who, command)| Move::answer(who, command))
    .into()
}

/// Olga takes the villa over, and the company has nothing there but what she gives it.
pub(crate) fn handed_over() -> Vec<Move> {
    let invite = crate::world::invite_olga("i-0", "villa", &[]);
    vec![Move::ask(ADA, invite), Move::answer(OLGA, json!({"acceptInvite": {"invite": "i-0"}}))]
}

/// The same, and the company may see what cam-7 shows.
pub(crate) fn granted() -> Vec<Move> {
    let mut moves = handed_over();
    moves.push(Move::answer(OLGA, grant("g-0", "liveView", "permanent")));
    moves
}

pub(crate) fn invites() -> Vec<Move> {
    let invite = |id: &str, contact: Value, validity: &str| {
        let permissions =
            [permission("liveView", &["cam-7", "cam-8"], validity), permission("manageSite", &[], "1h")];
        json!({"inviteOwner": {"invite": id, "site": "villa", "contact": contact, "permissions": permissions,
                               "disableService": true}})
    };
    let less = json!({"invite": "i-1", "permissions": [permission("liveView", &["cam-7"], "1h")],
                      "disableService": false});
    vec![
        Move::ask(IVAN, invite("i-1", json!({"email": "olga@example.com"}), "permanent")),
        Move::ask(ADA, invite("i-2", json!({"phone": "+39 06 1"}), "1h")),
        Move::answer(OLGA, json!({"acceptInvite": {"invite": "i-1"}})),
        Move::answer(OLGA, json!({"acceptInvite": less})),
        Move::answer(PAUL, json!({"acceptInvite": {"invite": "i-1"}})),
        Move::answer(PAUL, json!({"acceptInvite": {"invite": "i-2"}})),
        Move::answer(OLGA, json!({"rejectInvite": {"invite": "i-1"}})),
        Move::answer(PAUL, json!({"rejectInvite": {"invite": "i-2"}})),
        Move::answer(ADA, json!({"withdrawInvite": {"invite": "i-1"}})),
        Move::answer(RITA, json!({"withdrawInvite": {"invite": "i-1"}})),
        Move::answer(OLGA, json!({"withdrawDisableService": {"site": "villa"}})),
    ]
}

pub(crate) fn applications() -> Vec<Move> {
    let much =
        [permission("liveView", &["cam-7", "cam-8"], "1h"), permission("playback", &["cam-8"], "permanent")];
    let accept = |id: &str| json!({"acceptApplication": {"application": id}});
    let less = json!({"application": "a-1", "permissions": [permission("liveView", &["cam-7"], "1h")]});
    let more = json!({"application": "a-1", "permissions": [permission("liveView", &["cam-7"], "2h")]});
    vec![
        Move::ask(IVAN, apply("a-1", &much)),
        Move::ask(ADA, apply("a-2", &[permission("liveView", &["cam-7"], "permanent")])),
        Move::answer(OLGA, accept("a-1")),
        Move::answer(OLGA, json!({"acceptApplication": less})),
        Move::answer(OLGA, json!({"acceptApplication": more})),
        Move::answer(PAUL, accept("a-1")),
        Move::answer(ADA, accept("a-1")),
        Move::answer(OLGA, accept("a-2")),
        Move::answer(OLGA, json!({"rejectApplication": {"application": "a-1"}})),
        Move::answer(ADA, json!({"withdrawApplication": {"application": "a-1"}})),
        Move::answer(RITA, json!({"withdrawApplication": {"application": "a-2"}})),
    ]
}

pub(crate) fn grants() -> Vec<Move> {
    vec![
        Move::ask(OLGA, grant("g-1", "liveView", "permanent")),
        Move::ask(OLGA, grant("g-2", "liveView", "1h")),
        Move::ask(PAUL, grant("g-3", "configure", "1h")),
        Move::answer(OLGA, json!({"withdrawGrant": {"grant": "g-1"}})),
        Move::answer(OLGA, json!({"withdrawGrant": {"grant": "g-2"}})),
        Move::answer(ADA, json!({"releaseGrant": {"grant": "g-1"}})),
        Move::answer(RITA, json!({"releaseGrant": {"grant": "g-1"}})),
        Move::answer(PAUL, json!({"withdrawGrant": {"grant": "g-3"}})),
    ]
}

pub(crate) fn tickets() -> Vec<Move> {
    let confirm = |outcome: &str| json!({"confirmReset": {"ticket": "t-1", "outcome": outcome}});
    vec![
        Move::ask(IVAN, open_ticket("t-1")),
        Move::ask(ADA, open_ticket("t-2")),
        Move::answer(OLGA, complete(0, "t-1", PASSWORD)),
        Move::answer(OLGA, complete(0, "t-1", "weakpassword")),
        Move::answer(PAUL, complete(0, "t-1", PASSWORD)),
        Move::answer(OLGA, complete(0, "t-2", PASSWORD)),
        Move::answer(OLGA, json!({"rejectResetTicket": {"ticket": "t-1"}})),
        Move::answer(ADA, json!({"withdrawResetTicket": {"ticket": "t-1"}})),
        Move::answer(ROOT, confirm("done")),
        Move::answer(ROOT, confirm("failed")),
    ]
}

/// What takes the ground from under what is pending or granted.
pub(crate) fn changes() -> Vec<Move> {
    vec![
        Move::answer(OLGA, json!({"transferSite": {"site": "villa", "to": "paul"}})),
        Move::answer(PAUL, json!({"transferSite": {"site": "villa", "to": "olga"}})),
        Move::answer(OLGA, json!({"removeDevice": {"device": "cam-7"}})),
        Move::answer(ROOT, json!({"removeInstaller": {"installer": "ivan"}})),
        Move::answer(ADA, json!({"unassignSite": {"site": "villa", "installer": "ivan"}})),
    ]
}

/// Who asks, what for, and on what.
pub(crate) type Question = ((&'static str, &'static str), &'static str, (&'static str, &'static str));

/// Everybody, everything that they may do, everything that there is.
pub(crate) fn questions() -> Vec<Question> {
    let people = [
        ("Installer", "ada"),
        ("Installer", "ivan"),
        ("Installer", "rita"),
        ("EndUser", "olga"),
        ("EndUser", "paul"),
    ];
    let on_devices = ["liveView", "playback", "configure"]
        .into_iter()
        .flat_map(|action| [(action, ("Device", "cam-7")), (action, ("Device", "cam-8"))]);
    let on_sites = ["manageSite", "disableService"].into_iter().map(|action| (action, ("Site", "villa")));
    on_devices.chain(on_sites).flat_map(|(action, what)| people.map(|who| (who, action, what))).collect()
}
