//! Who and what there is, and everything that can be looked at.

use serde_json::{Value, json};

use super::Step;
use crate::plain::{Plain, written};
use crate::world::MIDNIGHT;

/// Throws that follow from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % sides as u64) as usize
    }

    pub(super) fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.throw(all.len())]
    }

    /// So many times in a hundred.
    pub(super) fn percent(&mut self, share: usize) -> bool {
        self.throw(100) < share
    }
}

pub(super) const COMMANDS: [&str; 27] = [
    "registerCompany",
    "registerEndUser",
    "registerInstaller",
    "removeInstaller",
    "createSite",
    "assignSite",
    "unassignSite",
    "deleteSite",
    "addDevice",
    "removeDevice",
    "transferSite",
    "inviteOwner",
    "acceptInvite",
    "rejectInvite",
    "withdrawInvite",
    "withdrawDisableService",
    "applyForPermission",
    "acceptApplication",
    "rejectApplication",
    "withdrawApplication",
    "grantPermission",
    "withdrawGrant",
    "releaseGrant",
    "openResetTicket",
    "rejectResetTicket",
    "withdrawResetTicket",
    "completeResetTicket",
];

/// How often each of them is tried; `confirmReset` comes last.
pub(super) const WEIGHTS: [usize; 28] =
    [1, 1, 2, 1, 3, 3, 2, 1, 4, 2, 4, 10, 18, 3, 2, 3, 8, 12, 3, 3, 5, 4, 3, 10, 3, 3, 22, 12];

/// What else has to be met.
pub(super) const ANSWERS: [(&str, &str); 8] = [
    ("confirmReset", "ok not_permitted wrong_state expired"),
    (
        "check",
        "allow no_grant grant_ended not_permitted unknown_principal unknown_resource unknown_action stale invalid",
    ),
    ("show invite", "pending accepted rejected expired withdrawn superseded cancelled not_found"),
    ("show application", "pending accepted rejected expired withdrawn cancelled not_found"),
    ("show ticket", "pending applying completed rejected expired withdrawn cancelled not_found"),
    ("show grant", "active ended released withdrawn revoked not_found"),
    ("show site", "notInvited notRegistered notAccepted notAuthorized authorized not_found"),
    ("list", "grants"),
];

pub(super) const PRINCIPALS: [&str; 13] = [
    r#"Operator::"root""#,
    r#"Installer::"ada""#,
    r#"Installer::"ivan""#,
    r#"Installer::"mia""#,
    r#"Installer::"theo""#,
    r#"Installer::"rita""#,
    r#"EndUser::"olga""#,
    r#"EndUser::"paul""#,
    r#"EndUser::"ivan-at-home""#,
    r#"EndUser::"late""#,
    r#"Installer::"nobody""#,
    r#"EndUser::"nobody""#,
    r#"EndUser::"ada""#,
];
pub(super) const COMPANIES: [&str; 2] = ["acme", "rival"];
pub(super) const SITES: [&str; 3] = ["villa", "flat", "barn"];
pub(super) const DEVICES: [&str; 4] = ["cam-1", "cam-2", "cam-3", "cam-4"];
pub(super) const ACTIONS: [&str; 5] = ["liveView", "playback", "configure", "manageSite", "disableService"];
pub(super) const VALIDITIES: [&str; 5] = ["permanent", "1h", "2h", "4h", "8h"];

pub(super) fn installers() -> [(&'static str, Value); 5] {
    let installer = |id: &str, company: &str, role: &str, permissions: &[&str], phone: &str| {
        let contacts = json!([{"email": format!("{id}@{company}.example")}, {"phone": phone}]);
        json!({"installer": id, "company": company, "role": role, "permissions": permissions, "contacts": contacts})
    };
    [
        ("ada", installer("ada", "acme", "admin", &[], "+39 06 1")),
        (
            "ivan",
            installer("ivan", "acme", "member", &["manageAssignedSites", "manageDevices"], "+39 06 777"),
        ),
        ("mia", installer("mia", "acme", "member", &["manageAllSites"], "+39 06 3")),
        ("theo", installer("theo", "acme", "member", &["manageDevices"], "+39 06 4")),
        ("rita", installer("rita", "rival", "admin", &[], "+39 06 5")),
    ]
}

pub(super) fn users() -> [(&'static str, Value); 4] {
    let user = |id: &str, contacts: Value| json!({"endUser": id, "contacts": contacts});
    [
        ("olga", user("olga", json!([{"email": "Olga@example.com"}, {"phone": "+39 06 12345"}]))),
        ("paul", user("paul", json!([{"email": "paul@example.com"}]))),
        (
            "ivan-at-home",
            user("ivan-at-home", json!([{"email": "ivan@home.example"}, {"phone": "+3906777"}])),
        ),
        ("late", user("late", json!([{"email": "late@example.com"}, {"phone": "+49 30 1"}]))),
    ]
}

/// Contacts as they may be written, mostly of somebody.
pub(super) fn contact(dice: &mut Dice) -> Value {
    if dice.percent(40) {
        let email = dice.one_of(&["olga@example.com", "paul@example.com", "ivan@home.example"]);
        return json!({"email": email});
    }
    dice.one_of(&[
        &json!({"email": "OLGA@Example.com"}),
        &json!({"phone": "+39 (06) 12-345"}),
        &json!({"email": "paul@example.com"}),
        &json!({"email": "late@example.com"}),
        &json!({"phone": "+49301"}),
        &json!({"phone": "+39 06 777"}),
        &json!({"phone": "+39 (06) 777"}),
        &json!({"email": "ivan@home.example"}),
        &json!({"email": "IVAN@home.example"}),
        &json!({"email": "Ivan@acme.example"}),
        &json!({"email": "Ada@acme.example"}),
        &json!({"phone": "+39 06 3"}),
        &json!({"email": "nobody@example.com"}),
    ])
    .clone()
}

/// With what a history begins: `late` is not registered, the barn and cam-4 are not there. If it is `owned`, olga has
/// the villa, ivan at home has the flat, and acme has something on both.
pub(super) fn cast(owned: bool) -> Vec<Step> {
    let root = PRINCIPALS[0];
    let mut commands = Vec::new();
    commands.extend(COMPANIES.map(|company| (root, json!({"registerCompany": {"company": company}}))));
    commands.extend(installers().map(|(_, fields)| (root, json!({"registerInstaller": fields}))));
    commands
        .extend(users().into_iter().take(3).map(|(_, fields)| (root, json!({"registerEndUser": fields}))));
    for (site, kind) in [("villa", "normal"), ("flat", "rental")] {
        commands.push((root, json!({"createSite": {"site": site, "company": "acme", "kind": kind}})));
        commands.push((root, json!({"assignSite": {"site": site, "installer": "ivan"}})));
    }
    for (device, site, resets) in
        [("cam-1", "villa", true), ("cam-2", "villa", false), ("cam-3", "flat", true)]
    {
        let fields = json!({"device": device, "site": site, "supportsPasswordReset": resets});
        commands.push((root, json!({"addDevice": fields})));
    }
    let handed = [
        ("villa", "olga", "olga@example.com", "cam-1"),
        ("flat", "ivan-at-home", "ivan@home.example", "cam-3"),
    ];
    for (site, user, email, device) in handed.into_iter().filter(|_| owned) {
        let invite = format!("to-{site}");
        let fields = json!({"invite": invite, "site": site, "contact": {"email": email}, "disableService": true,
            "permissions": [{"permission": "liveView", "devices": [device], "validity": "permanent"}]});
        let user = PRINCIPALS.into_iter().find(|who| who.contains(&format!("\"{user}\""))).unwrap();
        commands.push((PRINCIPALS[1], json!({"inviteOwner": fields})));
        commands.push((user, json!({"acceptInvite": {"invite": invite}})));
    }
    let line = |(who, command)| Step::Line(json!({"at": written(MIDNIGHT), "as": who, "do": command}));
    commands.into_iter().map(line).collect()
}

/// A look at everything there is or was.
pub(super) fn looks(plain: &Plain) -> Vec<Step> {
    let at = written(plain.now);
    let mut lines = vec![json!({"at": at, "list": {"grants": {}}})];
    lines.extend(
        ["olga", "paul", "late"].map(|owner| json!({"at": at, "list": {"grants": {"owner": owner}}})),
    );
    lines.extend([true, false].map(|live| json!({"at": at, "list": {"grants": {"live": live}}})));
    lines.extend(SITES.map(|site| json!({"at": at, "show": {"site": site}})));
    lines.extend(plain.asked.keys().map(|(kind, id)| json!({"at": at, "show": {*kind: id}})));
    lines.extend(plain.grants.keys().map(|id| json!({"at": at, "show": {"grant": id}})));
    lines.into_iter().map(Step::Line).collect()
}

/// Whether anybody may do anything.
pub(super) fn checks(plain: &Plain) -> Vec<Step> {
    let at = written(plain.now);
    let mut lines = Vec::new();
    for who in &PRINCIPALS[..11] {
        for action in ACTIONS {
            let on_site = action.ends_with("Site") || action.ends_with("Service");
            let (kind, ids) = if on_site { ("Site", &SITES[..]) } else { ("Device", &DEVICES[..]) };
            lines.extend(ids.iter().map(|id| {
                let resource = format!("{kind}::\"{id}\"");
                json!({"at": at, "check": {"principal": who, "action": action, "resource": resource}})
            }));
        }
    }
    lines.into_iter().map(Step::Line).collect()
}
