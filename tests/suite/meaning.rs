//! What the shipped policies and lifecycles mean, a sentence a test.

use consentry::Engine;
use consentry::command::{Command, Submission};
use consentry::decide::{Decided, Lifetimes, decide};
use consentry::domain::Duration;
use consentry::engine::Asked;
use consentry::refusal::RefusalCode;
use serde_json::{Value, json};

use crate::world::{
    ADA, CAM_7, DAY, FLAT, HOUR, IVAN, MIA, MINUTE, OLGA, PASSWORD, PAUL, RITA, ROOT, Shared, THEO, VILLA,
    World, allowed, answer, apply, complete, denied, done, grant, invite_olga, moment, open_ticket,
    permission, refused, shipped, time, wrong_state,
};

const EVERYBODY: [&str; 8] = [ROOT, ADA, IVAN, MIA, THEO, RITA, OLGA, PAUL];
const ON_DEVICES: [&str; 3] = ["liveView", "playback", "configure"];

/// Those whom the policies let do something: their tries are not refused as `not_permitted`. Nothing
/// happens.
fn who_may(world: &World, command: &Value) -> Vec<&'static str> {
    let directory = world.engine.directory();
    let policies = world.engine.policies();
    let may = |who: &&str| {
        let command: Command = serde_json::from_value(command.clone()).unwrap();
        let submission = Submission::new(who.parse().unwrap(), command);
        match decide(&directory, &submission, &*policies, &Lifetimes::default(), moment(0)) {
            Decided::Accepted { .. } => true,
            Decided::Refused { refusal, .. } => refusal.code != RefusalCode::NotPermitted,
        }
    };
    EVERYBODY.into_iter().filter(may).collect()
}

/// Those whom a check allows to do something.
fn who_can(world: &World, at: i64, action: &str, resource: &str) -> Vec<&'static str> {
    EVERYBODY.into_iter().filter(|who| world.may(at, who, action, resource)).collect()
}

// ----------------------------------------------------------------------------------- the directory

#[test]
fn only_operators_register_and_remove() {
    let world = World::new();
    for command in [
        json!({"registerCompany": {"company": "third"}}),
        json!({"registerEndUser": {"endUser": "anna", "contacts": [{"email": "anna@example.com"}]}}),
        json!({"registerInstaller": {"installer": "otto", "company": "acme", "role": "member", "permissions": []}}),
        json!({"removeInstaller": {"installer": "theo"}}),
    ] {
        assert_eq!(who_may(&world, &command), [ROOT], "{command}");
    }
}

#[test]
fn a_contact_belongs_to_one_end_user_at_most() {
    let world = World::new();
    for contact in [json!({"email": "OLGA@Example.com"}), json!({"phone": "+39 (06) 12-345"})] {
        let command = json!({"registerEndUser": {"endUser": "other", "contacts": [contact]}});
        refused(&world.tell(0, ROOT, command), "already_exists");
    }
    let shared_with_an_installer = json!([{"email": "ivan@acme.example"}]);
    world.must(
        0,
        ROOT,
        json!({"registerEndUser": {"endUser": "ivan", "contacts": shared_with_an_installer}}),
    );
}

#[test]
fn sites_are_created_by_operators_and_by_every_installer_of_the_company() {
    let world = World::new();
    let command = json!({"createSite": {"site": "shed", "company": "acme", "kind": "normal"}});
    assert_eq!(who_may(&world, &command), [ROOT, ADA, IVAN, MIA, THEO]);
}

#[test]
fn sites_are_assigned_and_unassigned_by_operators_and_the_companys_admin() {
    let world = World::new();
    assert_eq!(who_may(&world, &json!({"assignSite": {"site": "flat", "installer": "theo"}})), [ROOT, ADA]);
    assert_eq!(
        who_may(&world, &json!({"unassignSite": {"site": "villa", "installer": "ivan"}})),
        [ROOT, ADA]
    );
}

#[test]
fn sites_are_deleted_by_operators_and_responsible_installers_before_hand_over_only() {
    let world = World::new();
    let command = json!({"deleteSite": {"site": "villa"}});
    assert_eq!(who_may(&world, &command), [ROOT, ADA, IVAN, MIA]);
    world.hand_over(0, "villa", &[permission("manageSite", &[], "permanent")]);
    assert_eq!(who_may(&world, &command), [""; 0]);
    assert_ne!(world.tell(0, ROOT, command)["ok"], json!(true));
}

#[test]
fn devices_are_added_by_operators_and_responsible_installers_and_after_hand_over_with_a_live_grant() {
    let world = World::new();
    let command = json!({"addDevice": {"device": "cam-1", "site": "villa", "supportsPasswordReset": true}});
    assert_eq!(who_may(&world, &command), [ROOT, ADA, IVAN, MIA]);
    world.hand_over(0, "villa", &[permission("configure", &["cam-7"], "permanent")]);
    assert_eq!(who_may(&world, &command), [ROOT]);
    world.must(0, ADA, apply("a-1", &[permission("manageSite", &[], "1h")]));
    world.must(0, OLGA, json!({"acceptApplication": {"application": "a-1"}}));
    assert_eq!(who_may(&world, &command), [ROOT, ADA, IVAN, MIA]);
    refused(&world.tell(HOUR, ADA, command), "not_permitted");
}

#[test]
fn devices_are_removed_by_operators_and_responsible_installers_and_by_the_owner_after_hand_over() {
    let world = World::new();
    let command = json!({"removeDevice": {"device": "cam-7"}});
    assert_eq!(who_may(&world, &command), [ROOT, ADA, IVAN, MIA]);
    world.hand_over(0, "villa", &[permission("manageSite", &[], "permanent")]);
    assert_eq!(who_may(&world, &command), [OLGA]);
}

#[test]
fn a_site_is_handed_on_by_its_owner() {
    let world = World::new();
    let command = json!({"transferSite": {"site": "villa", "to": "paul"}});
    assert_eq!(who_may(&world, &command), [""; 0]);
    world.hand_over(0, "villa", &[]);
    assert_eq!(who_may(&world, &command), [OLGA]);
    done(&world.tell(0, OLGA, command), &["siteTransferred"]);
    assert_eq!(world.show(0, "site", "villa")["owner"], json!(PAUL));
}

// ------------------------------------------------------------------------------------------ access

#[test]
fn before_hand_over_responsible_installers_need_no_grant() {
    let world = World::new();
    assert_eq!(who_can(&world, 0, "liveView", CAM_7), [ADA, IVAN, MIA]);
    assert_eq!(who_can(&world, 0, "playback", CAM_7), [ADA, IVAN, MIA]);
    assert_eq!(who_can(&world, 0, "configure", CAM_7), [ADA, IVAN], "mia does not manage devices");
    assert_eq!(who_can(&world, 0, "manageSite", VILLA), [ADA, IVAN, MIA]);
    assert_eq!(who_can(&world, 0, "manageSite", FLAT), [ADA, MIA], "ivan is not assigned to the flat");
    assert_eq!(who_can(&world, 0, "manageSite", r#"Site::"barn""#), [RITA]);
    allowed(&world.check(0, ADA, "liveView", CAM_7), None);
}

#[test]
fn an_invite_alone_ends_nothing() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    assert_eq!(who_can(&world, 0, "liveView", CAM_7), [ADA, IVAN, MIA]);
}

#[test]
fn at_acceptance_what_installers_had_without_a_grant_ends() {
    let world = World::handed_over();
    for action in ON_DEVICES {
        assert_eq!(who_can(&world, 0, action, CAM_7), [OLGA], "{action}");
    }
    assert_eq!(who_can(&world, 0, "manageSite", VILLA), [OLGA]);
}

#[test]
fn after_hand_over_responsible_installers_have_what_live_grants_give_for_that_device_or_site() {
    for granted in ON_DEVICES {
        let world = World::handed_over();
        world.must(0, OLGA, grant("g", granted, "1h"));
        for action in ON_DEVICES {
            let expected: &[&str] = match (action == granted, action) {
                (false, _) => &[OLGA],
                (true, "configure") => &[ADA, IVAN, OLGA],
                (true, _) => &[ADA, IVAN, MIA, OLGA],
            };
            assert_eq!(who_can(&world, 0, action, CAM_7), expected, "{action} by a grant of {granted}");
            assert_eq!(who_can(&world, 0, action, r#"Device::"cam-8""#), [OLGA]);
        }
        assert_eq!(who_can(&world, 0, "manageSite", VILLA), [OLGA]);
        assert_eq!(who_can(&world, HOUR, granted, CAM_7), [OLGA], "the grant has ended");
    }
    let world = World::handed_over();
    let site = json!({"grantPermission": {"grant": "g", "company": "acme", "permission": "manageSite",
                                          "site": "villa", "validity": "1h"}});
    world.must(0, OLGA, site);
    assert_eq!(who_can(&world, 0, "manageSite", VILLA), [ADA, IVAN, MIA, OLGA]);
    assert_eq!(who_can(&world, 0, "liveView", CAM_7), [OLGA]);
}

#[test]
fn the_owner_may_always_use_what_is_theirs_and_nothing_else() {
    let world = World::handed_over();
    for at in [0, 1000 * DAY] {
        for action in ON_DEVICES {
            allowed(&world.check(at, OLGA, action, CAM_7), None);
            denied(&world.check(at, OLGA, action, r#"Device::"cam-9""#), "not_permitted");
        }
        allowed(&world.check(at, OLGA, "manageSite", VILLA), None);
        denied(&world.check(at, OLGA, "disableService", VILLA), "not_permitted");
    }
}

#[test]
fn disable_service_needs_rental_site_flag_and_owners_agreement() {
    let invite = |world: &World, site: &str, asks: bool, keeps: Option<bool>| {
        world.must(
            0,
            ADA,
            json!({"inviteOwner": {"invite": site, "site": site, "contact": {"email": "olga@example.com"},
                                                  "permissions": [], "disableService": asks}}),
        );
        assert!(who_can(world, 0, "disableService", &format!("Site::\"{site}\"")).is_empty());
        let mut accept = json!({"invite": site});
        if let Some(keeps) = keeps {
            accept["disableService"] = json!(keeps);
        }
        world.must(0, OLGA, json!({"acceptInvite": accept}));
        who_can(world, 0, "disableService", &format!("Site::\"{site}\""))
    };
    assert_eq!(invite(&World::new(), "flat", true, None), [ADA, MIA]);
    assert_eq!(invite(&World::new(), "flat", true, Some(true)), [ADA, MIA]);
    assert_eq!(invite(&World::new(), "flat", true, Some(false)), [""; 0]);
    assert_eq!(invite(&World::new(), "flat", false, None), [""; 0]);
    assert_eq!(invite(&World::new(), "villa", true, None), [""; 0], "the villa is no rental site");
}

#[test]
fn disable_service_ends_when_the_owner_takes_it_back_or_hands_the_site_on() {
    let world = World::new();
    let invite = json!({"inviteOwner": {"invite": "i", "site": "flat", "contact": {"email": "olga@example.com"},
                                        "permissions": [], "disableService": true}});
    world.must(0, ADA, invite);
    world.must(0, OLGA, json!({"acceptInvite": {"invite": "i"}}));
    assert_eq!(who_may(&world, &json!({"withdrawDisableService": {"site": "flat"}})), [OLGA]);
    world.must(0, OLGA, json!({"transferSite": {"site": "flat", "to": "paul"}}));
    world.must(0, PAUL, json!({"transferSite": {"site": "flat", "to": "olga"}}));
    assert!(who_can(&world, 0, "disableService", FLAT).is_empty(), "coming back revives nothing");
    refused(&world.tell(0, OLGA, json!({"withdrawDisableService": {"site": "flat"}})), "wrong_state");
}

// ------------------------------------------------------------------------------ asking and answering

#[test]
fn owners_are_invited_by_responsible_installers_while_the_site_has_none() {
    let world = World::new();
    let plain = invite_olga("i-1", "villa", &[]);
    assert_eq!(who_may(&world, &plain), [ADA, IVAN, MIA]);
    let on_site = invite_olga("i-1", "villa", &[permission("manageSite", &[], "1h")]);
    assert_eq!(who_may(&world, &on_site), [ADA, IVAN, MIA]);
    for action in ON_DEVICES {
        let on_device = invite_olga("i-1", "villa", &[permission(action, &["cam-7"], "1h")]);
        assert_eq!(who_may(&world, &on_device), [ADA, IVAN], "mia does not manage devices");
    }
    world.must(0, ADA, invite_olga("i-0", "villa", &[]));
    assert_eq!(who_may(&world, &plain), [ADA, IVAN, MIA], "a pending invite is no owner");
    world.must(0, OLGA, json!({"acceptInvite": {"invite": "i-0"}}));
    assert_eq!(who_may(&world, &plain), [""; 0]);
}

#[test]
fn permissions_are_applied_for_by_responsible_installers_after_hand_over() {
    let world = World::new();
    let on_device = apply("a-1", &[permission("liveView", &["cam-7"], "1h")]);
    let on_site = apply("a-1", &[permission("manageSite", &[], "1h")]);
    assert_eq!(who_may(&world, &on_site), [""; 0]);
    world.hand_over(0, "villa", &[]);
    assert_eq!(who_may(&world, &on_site), [ADA, IVAN, MIA]);
    assert_eq!(who_may(&world, &on_device), [ADA, IVAN], "mia does not manage devices");
}

#[test]
fn tickets_are_opened_with_a_live_grant_on_that_device() {
    let world = World::new();
    assert_eq!(who_may(&world, &open_ticket("t-1")), [""; 0], "before hand-over there is nobody to ask");
    world.hand_over(
        0,
        "villa",
        &[permission("manageSite", &[], "permanent"), permission("liveView", &["cam-8"], "permanent")],
    );
    assert_eq!(who_may(&world, &open_ticket("t-1")), [""; 0], "no grant on cam-7");
    for action in ON_DEVICES {
        let id = format!("g-{action}");
        world.must(0, OLGA, grant(&id, action, "1h"));
        assert_eq!(who_may(&world, &open_ticket("t-1")), [ADA, IVAN, MIA], "by {action}");
        world.must(0, OLGA, json!({"withdrawGrant": {"grant": id}}));
    }
    let cam_8 = json!({"openResetTicket": {"ticket": "t-1", "device": "cam-8", "mode": "onSite"}});
    refused(&world.tell(0, ADA, cam_8), "unsupported_device");
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    refused(&world.tell(HOUR, ADA, open_ticket("t-1")), "not_permitted");
}

#[test]
fn what_was_asked_for_is_withdrawn_and_grants_are_released_by_any_responsible_installer() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    assert_eq!(who_may(&world, &json!({"withdrawInvite": {"invite": "i-1"}})), [ADA, IVAN, MIA]);
    world.must(0, MIA, json!({"withdrawInvite": {"invite": "i-1"}}));
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "1h")]);
    world.must(0, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    assert_eq!(who_may(&world, &json!({"withdrawApplication": {"application": "a-1"}})), [ADA, IVAN, MIA]);
    assert_eq!(who_may(&world, &json!({"withdrawResetTicket": {"ticket": "t-1"}})), [ADA, IVAN, MIA]);
    assert_eq!(
        who_may(&world, &json!({"releaseGrant": {"grant": "to-villa/liveView/cam-7"}})),
        [ADA, IVAN, MIA]
    );
}

#[test]
fn an_invite_is_answered_by_the_invited_and_everything_else_by_the_owner() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7"], "1h")]));
    for command in ["acceptInvite", "rejectInvite"] {
        assert_eq!(who_may(&world, &json!({command: {"invite": "i-1"}})), [OLGA]);
    }
    world.must(0, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    world.must(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    world.must(0, OLGA, json!({"transferSite": {"site": "villa", "to": "paul"}}));
    for command in [
        json!({"acceptApplication": {"application": "a-1"}}),
        json!({"rejectApplication": {"application": "a-1"}}),
        json!({"rejectResetTicket": {"ticket": "t-1"}}),
        complete(0, "t-1", PASSWORD),
        grant("g", "liveView", "1h"),
        json!({"withdrawGrant": {"grant": "i-1/liveView/cam-7"}}),
    ] {
        assert_eq!(who_may(&world, &command), [PAUL], "paul is the owner now: {command}");
    }
    assert_eq!(who_may(&world, &json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}})), [ROOT]);
}

#[test]
fn contacts_are_compared_without_case_and_by_digits_and_plus() {
    for (contact, is_olgas) in [
        (json!({"email": "Olga@EXAMPLE.com"}), true),
        (json!({"phone": "+39 (06) 12-345"}), true),
        (json!({"phone": "+390612345"}), true),
        (json!({"phone": "390612345"}), false),
        (json!({"phone": "06 12345"}), false),
        (json!({"email": "olga+villa@example.com"}), false),
        (json!({"email": "o.lga@example.com"}), false),
    ] {
        let world = World::new();
        let invite = json!({"invite": "i", "site": "villa", "contact": contact, "permissions": [], "disableService": false});
        world.must(0, ADA, json!({"inviteOwner": invite}));
        let state = if is_olgas { "notAccepted" } else { "notRegistered" };
        assert_eq!(world.state(0, "site", "villa"), state, "{contact}");
        let who: &[&str] = if is_olgas { &[OLGA] } else { &[] };
        assert_eq!(who_may(&world, &json!({"acceptInvite": {"invite": "i"}})), who, "{contact}");
    }
}

#[test]
fn nobody_answers_what_they_asked_for_themselves() {
    let world = World::new();
    let own = json!({"invite": "i", "site": "villa", "contact": {"email": "IVAN@acme.example"}, "permissions": [], "disableService": false});
    assert_eq!(who_may(&world, &json!({"inviteOwner": own})), [ADA, MIA], "ivan invites himself");
    let ivan = r#"EndUser::"ivan""#;
    let contacts = json!([{"email": "ivan@acme.example"}, {"phone": "+39 06 777"}]);
    world.must(0, ROOT, json!({"registerEndUser": {"endUser": "ivan", "contacts": contacts}}));
    let by_phone = json!({"invite": "i", "site": "villa", "contact": {"phone": "+3906777"}, "permissions": [permission("liveView", &["cam-7"], "permanent")], "disableService": false});
    world.must(0, IVAN, json!({"inviteOwner": by_phone}));
    refused(&world.tell(0, ivan, json!({"acceptInvite": {"invite": "i"}})), "not_permitted");
    let by_ada = json!({"invite": "i-2", "site": "villa", "contact": {"phone": "+3906777"}, "permissions": [permission("liveView", &["cam-7"], "permanent")], "disableService": false});
    world.must(0, ADA, json!({"inviteOwner": by_ada}));
    world.must(0, ivan, json!({"acceptInvite": {"invite": "i-2"}}));
    world.must(0, IVAN, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, IVAN, open_ticket("t-1"));
    refused(&world.tell(0, ivan, json!({"acceptApplication": {"application": "a-1"}})), "not_permitted");
    refused(&world.tell(0, ivan, complete(0, "t-1", PASSWORD)), "not_permitted");
    refused(&world.tell(0, IVAN, json!({"acceptApplication": {"application": "a-1"}})), "not_permitted");
}

#[test]
fn an_acceptance_makes_one_grant_for_each_permission_and_device_from_that_moment_on() {
    let world = World::new();
    let asked = [
        permission("liveView", &["cam-7", "cam-8"], "1h"),
        permission("configure", &["cam-8"], "permanent"),
        permission("manageSite", &[], "8h"),
    ];
    world.must(0, ADA, invite_olga("i-1", "villa", &asked));
    let accepted = world.tell(5 * HOUR, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    done(&accepted, &["inviteAccepted", "grantMade", "grantMade", "grantMade", "grantMade"]);
    let expected = [
        ("i-1/configure/cam-8", Value::Null),
        ("i-1/liveView/cam-7", json!(time(6 * HOUR))),
        ("i-1/liveView/cam-8", json!(time(6 * HOUR))),
        ("i-1/manageSite", json!(time(13 * HOUR))),
    ];
    assert_eq!(world.grants(5 * HOUR, json!({})), expected.each_ref().map(|(id, _)| *id));
    for (id, until) in expected {
        assert_eq!(world.show(5 * HOUR, "grant", id)["until"], until, "{id}");
    }
}

#[test]
fn an_acceptance_gives_what_was_asked_for_or_less() {
    let world = World::handed_over();
    let asked = [permission("liveView", &["cam-7", "cam-8"], "4h"), permission("manageSite", &[], "1h")];
    world.must(0, ADA, apply("a-1", &asked));
    let accept =
        |permissions: Value| json!({"acceptApplication": {"application": "a-1", "permissions": permissions}});
    for wider in [
        json!([permission("liveView", &["cam-7"], "8h")]),
        json!([permission("liveView", &["cam-7"], "permanent")]),
        json!([permission("playback", &["cam-7"], "1h")]),
        json!([permission("liveView", &["cam-7"], "1h"), permission("manageSite", &[], "2h")]),
    ] {
        refused(&world.tell(0, OLGA, accept(wider)), "wider_than_asked");
        assert_eq!(world.state(0, "application", "a-1"), "pending");
    }
    world.must(0, OLGA, accept(json!([permission("liveView", &["cam-8"], "1h")])));
    assert_eq!(world.grants(0, json!({})), ["a-1/liveView/cam-8"]);
    assert_eq!(world.show(0, "grant", "a-1/liveView/cam-8")["until"], json!(time(HOUR)));
}

#[test]
fn owners_give_unasked_and_take_back_and_companies_give_back_at_any_time() {
    let world = World::handed_over();
    done(&world.tell(0, OLGA, grant("g-1", "liveView", "permanent")), &["grantMade"]);
    refused(&world.tell(0, OLGA, grant("g-1", "playback", "permanent")), "already_exists");
    done(&world.tell(0, OLGA, json!({"withdrawGrant": {"grant": "g-1"}})), &["grantWithdrawn"]);
    refused(&world.tell(0, OLGA, grant("g-1", "liveView", "permanent")), "already_exists");
    world.must(0, OLGA, grant("g-2", "liveView", "1h"));
    done(&world.tell(0, MIA, json!({"releaseGrant": {"grant": "g-2"}})), &["grantReleased"]);
    denied(&world.check(0, ADA, "liveView", CAM_7), "grant_ended");
}

// ------------------------------------------------------------------------------------ what goes away

#[test]
fn deleting_a_site_cancels_its_pending_invite() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[]));
    world.must(0, MIA, json!({"deleteSite": {"site": "villa"}}));
    assert_eq!(world.state(0, "invite", "i-1"), "cancelled");
    wrong_state(&world.tell(0, OLGA, json!({"acceptInvite": {"invite": "i-1"}})), "cancelled");
    denied(&world.check(0, ADA, "liveView", CAM_7), "unknown_resource");
}

#[test]
fn removing_a_device_revokes_cancels_and_takes_its_entries_out() {
    let world = World::new();
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "permanent")]);
    world.must(0, ADA, apply("a-only", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, apply("a-both", &[permission("configure", &["cam-7", "cam-8"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    world.must(0, OLGA, json!({"removeDevice": {"device": "cam-7"}}));
    assert_eq!(world.state(0, "grant", "to-villa/liveView/cam-7"), "revoked");
    assert_eq!(world.state(0, "application", "a-only"), "cancelled");
    assert_eq!(world.state(0, "ticket", "t-1"), "cancelled");
    world.must(0, OLGA, json!({"acceptApplication": {"application": "a-both"}}));
    assert_eq!(world.grants(0, json!({"live": true})), ["a-both/configure/cam-8"]);
}

#[test]
fn an_invite_left_with_nothing_of_what_it_asked_for_is_cancelled() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7", "cam-8"], "1h")]));
    world.must(0, ADA, json!({"removeDevice": {"device": "cam-8"}}));
    assert_eq!(world.state(0, "invite", "i-1"), "pending");
    world.must(0, ADA, json!({"removeDevice": {"device": "cam-7"}}));
    assert_eq!(world.state(0, "invite", "i-1"), "cancelled");
    world.must(0, ADA, invite_olga("i-2", "villa", &[]));
    world.must(
        0,
        ROOT,
        json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}}),
    );
    world.must(0, ADA, json!({"removeDevice": {"device": "cam-7"}}));
    assert_eq!(world.state(0, "invite", "i-2"), "pending", "it never asked for anything");
}

#[test]
fn a_ticket_on_its_way_to_the_device_is_left_to_its_confirmation() {
    for change in [
        json!({"transferSite": {"site": "villa", "to": "paul"}}),
        json!({"removeDevice": {"device": "cam-7"}}),
        json!({"withdrawGrant": {"grant": "g"}}),
    ] {
        let world = World::handed_over();
        world.must(0, OLGA, grant("g", "liveView", "permanent"));
        world.must(0, IVAN, open_ticket("t-1"));
        world.must(0, OLGA, complete(0, "t-1", PASSWORD));
        world.must(0, OLGA, change.clone());
        world.must(0, ROOT, json!({"removeInstaller": {"installer": "ivan"}}));
        assert_eq!(world.state(2 * DAY, "ticket", "t-1"), "applying", "{change}");
        done(
            &world.tell(2 * DAY, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "done"}})),
            &["resetCompleted"],
        );
        assert_eq!(world.state(2 * DAY, "ticket", "t-1"), "completed");
    }
}

#[test]
fn handing_a_site_on_ends_everything_and_coming_back_revives_nothing() {
    let world = World::new();
    world.hand_over(
        0,
        "villa",
        &[permission("liveView", &["cam-7"], "permanent"), permission("manageSite", &[], "permanent")],
    );
    world.must(0, ADA, apply("a-1", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ADA, open_ticket("t-1"));
    world.must(0, OLGA, json!({"transferSite": {"site": "villa", "to": "paul"}}));
    world.must(0, PAUL, json!({"transferSite": {"site": "villa", "to": "olga"}}));
    assert_eq!(world.state(0, "application", "a-1"), "cancelled");
    assert_eq!(world.state(0, "ticket", "t-1"), "cancelled");
    assert_eq!(world.state(0, "grant", "to-villa/manageSite"), "revoked");
    denied(&world.check(0, ADA, "liveView", CAM_7), "grant_ended");
    denied(&world.check(0, ADA, "manageSite", VILLA), "grant_ended");
}

#[test]
fn what_an_asker_asked_for_is_cancelled_when_they_are_removed_or_no_longer_responsible() {
    for change in [
        json!({"removeInstaller": {"installer": "ivan"}}),
        json!({"unassignSite": {"site": "villa", "installer": "ivan"}}),
    ] {
        let world = World::new();
        world.must(0, IVAN, invite_olga("i-1", "villa", &[]));
        world.must(0, ROOT, change.clone());
        wrong_state(&world.tell(0, OLGA, json!({"acceptInvite": {"invite": "i-1"}})), "cancelled");
        let world = World::handed_over();
        world.must(0, OLGA, grant("g", "liveView", "permanent"));
        world.must(0, IVAN, apply("a-1", &[permission("liveView", &["cam-7"], "1h")]));
        world.must(0, IVAN, open_ticket("t-1"));
        world.must(0, MIA, apply("a-mia", &[permission("manageSite", &[], "1h")]));
        world.must(0, ROOT, change);
        wrong_state(&world.tell(0, OLGA, json!({"acceptApplication": {"application": "a-1"}})), "cancelled");
        wrong_state(&world.tell(0, OLGA, complete(0, "t-1", PASSWORD)), "cancelled");
        world.must(0, OLGA, json!({"acceptApplication": {"application": "a-mia"}}));
    }
}

#[test]
fn an_asker_who_stays_responsible_in_another_way_keeps_what_they_asked_for() {
    let world = World::handed_over();
    world.must(0, ROOT, json!({"assignSite": {"site": "villa", "installer": "ada"}}));
    world.must(0, ROOT, json!({"assignSite": {"site": "flat", "installer": "ivan"}}));
    world.must(0, ADA, apply("a-ada", &[permission("liveView", &["cam-7"], "1h")]));
    world.must(0, IVAN, apply("a-ivan", &[permission("playback", &["cam-7"], "1h")]));
    world.must(0, ROOT, json!({"unassignSite": {"site": "villa", "installer": "ada"}}));
    world.must(0, ROOT, json!({"unassignSite": {"site": "flat", "installer": "ivan"}}));
    world.must(0, OLGA, json!({"acceptApplication": {"application": "a-ada"}}));
    world.must(0, OLGA, json!({"acceptApplication": {"application": "a-ivan"}}));
}

#[test]
fn ids_of_devices_sites_and_installers_are_used_again_and_inherit_nothing() {
    let world = World::new();
    world.must(0, ADA, invite_olga("i-1", "villa", &[permission("liveView", &["cam-7", "cam-8"], "1h")]));
    world.must(0, ROOT, json!({"removeDevice": {"device": "cam-7"}}));
    world.must(
        0,
        ROOT,
        json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}}),
    );
    world.must(0, OLGA, json!({"acceptInvite": {"invite": "i-1"}}));
    denied(&world.check(0, ADA, "liveView", CAM_7), "no_grant");

    world.must(0, OLGA, grant("g", "liveView", "permanent"));
    world.must(0, OLGA, json!({"removeDevice": {"device": "cam-7"}}));
    world.must(
        0,
        ROOT,
        json!({"addDevice": {"device": "cam-7", "site": "villa", "supportsPasswordReset": true}}),
    );
    denied(&world.check(0, ADA, "liveView", CAM_7), "no_grant");
    refused(&world.tell(0, ADA, open_ticket("t-1")), "not_permitted");

    world.must(0, ROOT, json!({"removeInstaller": {"installer": "ivan"}}));
    let ivan = json!({"registerInstaller": {"installer": "ivan", "company": "acme", "role": "member", "permissions": ["manageAssignedSites"]}});
    world.must(0, ROOT, ivan);
    world.must(0, OLGA, grant("g-2", "liveView", "permanent"));
    denied(&world.check(0, IVAN, "liveView", CAM_7), "not_permitted");

    world.must(0, ROOT, json!({"assignSite": {"site": "flat", "installer": "ivan"}}));
    world.must(0, ADA, invite_olga("i-flat", "flat", &[]));
    world.must(0, ROOT, json!({"deleteSite": {"site": "flat"}}));
    world.must(0, ROOT, json!({"createSite": {"site": "flat", "company": "acme", "kind": "rental"}}));
    denied(&world.check(0, IVAN, "manageSite", FLAT), "no_grant");
    wrong_state(&world.tell(0, OLGA, json!({"acceptInvite": {"invite": "i-flat"}})), "cancelled");
    assert_eq!(world.state(0, "site", "flat"), "notInvited");
}

#[test]
fn ids_of_invites_applications_tickets_and_grants_are_never_used_again() {
    let world = World::new();
    world.hand_over(0, "villa", &[permission("liveView", &["cam-7"], "permanent")]);
    world.must(0, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "1h")]));
    world.must(0, ADA, json!({"withdrawApplication": {"application": "a-1"}}));
    world.must(0, ADA, open_ticket("t-1"));
    world.must(0, ADA, json!({"withdrawResetTicket": {"ticket": "t-1"}}));
    world.must(0, OLGA, grant("g", "liveView", "1h"));
    world.must(0, ADA, json!({"releaseGrant": {"grant": "g"}}));
    refused(&world.tell(9 * DAY, ADA, invite_olga("to-villa", "flat", &[])), "already_exists");
    refused(
        &world.tell(9 * DAY, ADA, apply("a-1", &[permission("liveView", &["cam-7"], "1h")])),
        "already_exists",
    );
    refused(&world.tell(9 * DAY, ADA, open_ticket("t-1")), "already_exists");
    refused(&world.tell(9 * DAY, OLGA, grant("g", "liveView", "1h")), "already_exists");
}

#[test]
fn site_states_are_five() {
    let world = World::new();
    let state = |at| world.state(at, "site", "villa");
    assert_eq!(state(0), "notInvited");
    let late = json!({"inviteOwner": {"invite": "i-1", "site": "villa", "contact": {"email": "late@example.com"},
                                      "permissions": [permission("liveView", &["cam-7"], "1h")], "disableService": false}});
    world.must(0, ADA, late);
    assert_eq!(state(0), "notRegistered");
    let contacts = json!([{"email": "Late@example.com"}]);
    world.must(0, ROOT, json!({"registerEndUser": {"endUser": "late", "contacts": contacts}}));
    assert_eq!(state(0), "notAccepted");
    world.must(0, r#"EndUser::"late""#, json!({"acceptInvite": {"invite": "i-1"}}));
    assert_eq!(state(HOUR - 1), "authorized");
    assert_eq!(state(HOUR), "notAuthorized");
    world.must(HOUR, ADA, invite_olga("i-2", "flat", &[]));
    assert_eq!(world.state(HOUR, "site", "flat"), "notAccepted");
    assert_eq!(world.state(HOUR + DAY, "site", "flat"), "notInvited", "the invite has expired");
}

// ------------------------------------------------------------------------------------------- tickets

/// A world with the pending ticket `t-1` for cam-7, in this mode.
fn with_ticket(mode: &str) -> World {
    let world = World::handed_over();
    world.must(0, OLGA, grant("g", "liveView", "permanent"));
    world.must(0, ADA, json!({"openResetTicket": {"ticket": "t-1", "device": "cam-7", "mode": mode}}));
    world
}

#[test]
fn a_password_has_8_to_16_printable_ascii_characters_of_two_kinds() {
    let good =
        ["abcdefg1", "ABCDEFGh", "1234567!", "abcdefgh!", "!\"#$%&'a", "[]^_`{|}~0", "Sixteen-chars-16"];
    let bad = [
        "",
        "abcdef1",
        "Seventeen-chars-7",
        "abcdefgh",
        "ABCDEFGH",
        "12345678",
        "!!!!!!!!",
        "abcd efg1",
        " abcdefg1",
        "abcdefg1 ",
        "abcdefg1\t",
        "abcdefg\u{7f}1",
        "abcdefg\u{0}1",
        "pässword1",
        "abcdefg１",
        "😀😀😀😀😀😀aA1",
    ];
    let world = with_ticket("offSite");
    for (count, password) in bad.into_iter().enumerate() {
        let answer = world.tell(0, OLGA, complete(0, "t-1", password));
        assert_eq!(answer["code"], json!("weak_password"), "{password:?}: {answer}");
        let ticket = world.show(0, "ticket", "t-1");
        assert_eq!((&ticket["state"], &ticket["failedCompletions"]), (&json!("pending"), &json!(count + 1)));
    }
    for password in good {
        done(&world.tell(0, OLGA, complete(0, "t-1", password)), &["resetSubmitted"]);
        done(
            &world.tell(0, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "failed"}})),
            &["resetFailed"],
        );
    }
}

#[test]
fn the_same_network_is_attested_for_the_device_by_the_platform_in_the_last_five_minutes_for_the_right_peer() {
    let at = HOUR;
    let lan = |device: &str, by: &str, age: i64, peer: Option<&str>| {
        let mut lan = json!({"device": device, "attestedBy": by, "observedAt": time(at - age)});
        if let Some(peer) = peer {
            lan["peer"] = json!(peer);
        }
        json!({"completeResetTicket": {"ticket": "t-1", "password": PASSWORD, "sameLan": lan}})
    };
    let nothing = json!({"completeResetTicket": {"ticket": "t-1", "password": PASSWORD}});
    let (phone, client) = (Some("ownerPhone"), Some("installerClient"));
    for (mode, command, fits) in [
        ("offSite", lan("cam-7", "platform", 0, None), true),
        ("offSite", lan("cam-7", "platform", 5 * MINUTE, phone), true),
        ("offSite", lan("cam-7", "platform", 5 * MINUTE + 1, phone), false),
        ("offSite", lan("cam-7", "platform", -1, phone), false),
        ("offSite", lan("cam-8", "platform", 0, phone), false),
        ("offSite", lan("cam-7", "olga", 0, phone), false),
        ("offSite", lan("cam-7", "Platform", 0, phone), false),
        ("offSite", lan("cam-7", "platform", 0, client), false),
        ("offSite", nothing.clone(), false),
        ("onSite", lan("cam-7", "platform", 0, None), true),
        ("onSite", lan("cam-7", "platform", 0, phone), true),
        ("onSite", lan("cam-7", "platform", 0, client), true),
        ("onSite", lan("cam-7", "platform", 5 * MINUTE + 1, client), false),
        ("onSite", nothing, false),
    ] {
        let world = with_ticket(mode);
        let answer = world.tell(at, OLGA, command.clone());
        if fits {
            done(&answer, &["resetSubmitted"]);
        } else {
            assert_eq!(answer["code"], json!("lan_not_attested"), "{mode} {command}: {answer}");
            assert_eq!(world.show(at, "ticket", "t-1")["failedCompletions"], json!(1));
        }
    }
}

#[test]
fn a_failed_completion_leaves_the_deadline_where_it_was() {
    let world = with_ticket("offSite");
    refused(&world.tell(DAY - MINUTE, OLGA, complete(DAY - MINUTE, "t-1", "weak")), "weak_password");
    assert_eq!(world.show(DAY - MINUTE, "ticket", "t-1")["deadline"], json!(time(DAY)));
    refused(&world.tell(DAY, OLGA, complete(DAY, "t-1", PASSWORD)), "expired");
}

#[test]
fn a_confirmation_completes_a_ticket_or_returns_it_to_where_time_has_left_it() {
    let confirm = |outcome: &str| json!({"confirmReset": {"ticket": "t-1", "outcome": outcome}});
    let world = with_ticket("offSite");
    world.must(DAY - 1, OLGA, complete(DAY - 1, "t-1", PASSWORD));
    world.must(9 * DAY, ROOT, confirm("done"));
    assert_eq!(world.state(9 * DAY, "ticket", "t-1"), "completed");

    let world = with_ticket("offSite");
    world.must(0, OLGA, complete(0, "t-1", PASSWORD));
    done(&world.tell(DAY - 1, ROOT, confirm("failed")), &["resetFailed"]);
    assert_eq!(world.state(DAY - 1, "ticket", "t-1"), "pending");
    world.must(DAY - 1, OLGA, complete(DAY - 1, "t-1", PASSWORD));
    world.must(DAY, ROOT, confirm("failed"));
    assert_eq!(world.state(DAY, "ticket", "t-1"), "expired");
    refused(&world.tell(DAY, ROOT, confirm("done")), "expired");
    refused(&world.tell(DAY, OLGA, complete(DAY, "t-1", PASSWORD)), "expired");
}

#[test]
fn a_ticket_that_comes_back_finds_what_was_cancelled_meanwhile() {
    for change in [
        json!({"transferSite": {"site": "villa", "to": "paul"}}),
        json!({"removeDevice": {"device": "cam-7"}}),
    ] {
        let world = with_ticket("offSite");
        world.must(0, OLGA, complete(0, "t-1", PASSWORD));
        world.must(0, OLGA, change.clone());
        world.must(0, ROOT, json!({"confirmReset": {"ticket": "t-1", "outcome": "failed"}}));
        assert_eq!(world.state(0, "ticket", "t-1"), "cancelled", "{change}");
    }
}

// ----------------------------------------------------------------------------------------- deadlines

#[test]
fn a_lifetime_changed_in_configuration_never_moves_an_old_deadline() {
    let ledger = Shared::default();
    let with = |hours: u16| -> Engine {
        let lifetime = Duration::from_hours(hours);
        let builder = Engine::builder(ledger.clone()).policies(shipped()).lifetime(Asked::Invite, lifetime);
        let builder = builder.lifetime(Asked::PermissionApplication, lifetime);
        builder.lifetime(Asked::ResetTicket, lifetime).open().unwrap()
    };
    let tell = |engine: &Engine, at: i64, who: &str, command: Value| {
        let answer = answer(engine, &json!({"at": time(at), "as": who, "do": command}));
        assert_eq!(answer["ok"], json!(true), "{answer}");
    };
    let state = |engine: &Engine, at: i64, id: &str| {
        answer(engine, &json!({"at": time(at), "show": {"invite": id}}))["state"].clone()
    };
    let two = with(2);
    tell(&two, 0, ROOT, json!({"registerCompany": {"company": "acme"}}));
    tell(&two, 0, ROOT, json!({"createSite": {"site": "villa", "company": "acme", "kind": "normal"}}));
    tell(&two, 0, ROOT, json!({"createSite": {"site": "flat", "company": "acme", "kind": "normal"}}));
    tell(
        &two,
        0,
        ROOT,
        json!({"registerInstaller": {"installer": "ada", "company": "acme", "role": "admin", "permissions": []}}),
    );
    tell(&two, 0, ADA, invite_olga("i-2h", "villa", &[]));
    let one = with(1);
    tell(&one, 0, ADA, invite_olga("i-1h", "flat", &[]));
    assert_eq!(state(&one, HOUR, "i-1h"), json!("expired"));
    assert_eq!(state(&one, 2 * HOUR - 1, "i-2h"), json!("pending"));
    let hundred = with(100);
    assert_eq!(state(&hundred, 2 * HOUR - 1, "i-1h"), json!("expired"));
    assert_eq!(state(&hundred, 2 * HOUR, "i-2h"), json!("expired"));
}
