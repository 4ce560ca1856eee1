//! Checks by number, and by name without the names of policies.

use super::*;
use crate::directory::EntityKey;

const PEOPLE: [&str; 3] = [r#"Installer::"ada""#, r#"EndUser::"olga""#, r#"Company::"acme""#];
const THINGS: [&str; 6] = [
    r#"Device::"cam-7""#,
    r#"Site::"villa""#,
    r#"Grant::"g""#,
    r#"Installer::"ada""#,
    r#"EndUser::"olga""#,
    r#"Company::"acme""#,
];

fn key(directory: &Directory, uid: &str) -> EntityKey {
    directory.key(&uid.parse().unwrap()).unwrap()
}

/// Sees that those with keys are answered as they are by name; how many were allowed, and for which reasons they were not.
fn alike(policies: &Policies, directory: &Directory, now: Timestamp) -> (usize, Vec<DenyReason>) {
    let (mut allowed, mut reasons) = (0, Vec::new());
    let actions: Vec<String> = policies.inner.actions.names().map(str::to_owned).collect();
    for (who, what) in PEOPLE.into_iter().flat_map(|who| THINGS.map(|what| (who, what))) {
        for action in &actions {
            let request = AccessRequest::new(who.parse().unwrap(), action, what.parse().unwrap());
            let by_name = policies.evaluate(directory, directory.revision(), &request, now).unwrap();
            let (who, action, what) =
                (key(directory, who), policies.action(action).unwrap(), key(directory, what));
            let by_key = policies.check(directory, (who, &action, what), now);
            assert_eq!(by_key, by_name.ruling(), "{request:?}");
            let named = ((&request.principal).into(), request.action.as_str(), (&request.resource).into());
            assert_eq!(policies.check_named(directory, named, now), by_name.ruling(), "{request:?}");
            allowed += usize::from(by_key.is_allowed());
            reasons.extend(by_key.reason.filter(|reason| !reasons.contains(reason)));
        }
    }
    (allowed, reasons)
}

#[test]
fn who_is_known_by_a_key_is_answered_as_by_name() {
    let shipped = Policies::shipped().unwrap();
    let forbidding =
        with(r#"@id("closed") forbid (principal is EndUser, action, resource is Device);"#).unwrap();
    let failing = with(
        r#"@id("broken") permit (principal is EndUser, action == Action::"liveView", resource is Device)
        when { 9223372036854775807 + context.now.toTime().toMilliseconds() > 0 };"#,
    )
    .unwrap();
    let mut seen = Vec::new();
    for policies in [&shipped, &forbidding, &failing, &shipped.clone().with(Evaluator::Cedar)] {
        for now in ["2026-01-01T00:00:01Z", "2026-01-01T09:00:00Z"] {
            let (allowed, reasons) = alike(policies, &villa(), time(now));
            assert!(allowed > 0, "{now}");
            seen.extend(reasons);
        }
    }
    for reason in [
        DenyReason::NoGrant,
        DenyReason::GrantEnded,
        DenyReason::Forbidden,
        DenyReason::UnknownPrincipal,
        DenyReason::UnknownAction,
        DenyReason::PolicyError,
    ] {
        assert!(seen.contains(&reason), "{reason:?} is not among {seen:?}");
    }
}

#[test]
fn a_key_of_another_directory_is_of_nobody() {
    let (policies, directory, other) = (Policies::shipped().unwrap(), villa(), villa());
    let action = policies.action("liveView").unwrap();
    let check = |who, what| policies.check(&directory, (who, &action, what), time("2026-01-01T00:00:01Z"));
    let [own_ada, other_ada] = [&directory, &other].map(|directory| key(directory, PEOPLE[0]));
    let [own_cam, other_cam] = [&directory, &other].map(|directory| key(directory, THINGS[0]));
    assert!(check(own_ada, own_cam).is_allowed());
    assert_eq!(check(other_ada, own_cam).reason, Some(DenyReason::UnknownPrincipal));
    assert_eq!(check(own_ada, other_cam).reason, Some(DenyReason::UnknownResource));
    // A clone is the same at another time.
    assert_eq!(key(&directory.clone(), PEOPLE[0]), own_ada);
}

#[test]
fn a_key_stands_for_its_id_and_means_nothing_while_nobody_has_it() {
    let (policies, mut directory) = (Policies::shipped().unwrap(), villa());
    let (ada, action) = (key(&directory, PEOPLE[0]), policies.action("liveView").unwrap());
    let cam = key(&directory, THINGS[0]);
    let now = time("2026-01-01T00:00:01Z");
    let removed = Event::InstallerRemoved { installer: "ada".parse().unwrap() };
    directory.apply(2, now, &[removed]).unwrap();
    assert_eq!(
        policies.check(&directory, (ada, &action, cam), now).reason,
        Some(DenyReason::UnknownPrincipal)
    );
    let again = Event::InstallerRegistered {
        installer: "ada".parse().unwrap(),
        company: "acme".parse().unwrap(),
        role: crate::domain::Role::Admin,
        permissions: Vec::new(),
        contacts: Vec::new(),
    };
    directory.apply(3, now, &[again]).unwrap();
    assert!(policies.check(&directory, (ada, &action, cam), now).is_allowed());
    assert_eq!(directory.key(&"Installer::\"nobody\"".parse().unwrap()), None);
    assert_eq!(directory.key(&"Operator::\"root\"".parse().unwrap()), None);
}

#[test]
fn an_action_that_was_found_in_other_policies_is_known_by_its_name() {
    let (shipped, directory) = (Policies::shipped().unwrap(), villa());
    let now = time("2026-01-01T00:00:01Z");
    let (olga, cam) = (key(&directory, PEOPLE[1]), key(&directory, THINGS[0]));
    let action = shipped.action("liveView").unwrap();
    let forbidding =
        with(r#"@id("closed") forbid (principal, action == Action::"liveView", resource);"#).unwrap();
    assert!(shipped.check(&directory, (olga, &action, cam), now).is_allowed());
    let denied = forbidding.check(&directory, (olga, &action, cam), now);
    assert_eq!(denied.reason, Some(DenyReason::Forbidden));
    assert!(shipped.action("dance").is_none());
    let mut other = PolicySources::shipped();
    let schema = other.schema.as_mut().unwrap();
    schema.text = schema.text.replace("liveView", "look");
    other.policies.clear();
    let without = Policies::load(&other).unwrap();
    let denied = without.check(&directory, (olga, &action, cam), now);
    assert_eq!(denied.reason, Some(DenyReason::UnknownAction));
}

#[test]
fn a_grant_for_a_device_is_none_for_a_site_of_the_same_id() {
    let mut sources = PolicySources::shipped();
    let schema = sources.schema.as_mut().unwrap();
    schema.text = schema.text.replacen("resource: Device,\n", "resource: [Device, Site],\n", 1);
    sources.policies = vec![PolicyFile {
        name: "own.cedar".to_owned(),
        text: r#"@id("given") permit (principal, action == Action::"liveView", resource) when { context has grant };"#
            .to_owned(),
    }];
    let policies = Policies::load(&sources).unwrap();
    let mut directory = villa();
    let now = time("2026-01-01T00:00:01Z");
    let events: Vec<Event> = serde_json::from_str(
        r#"[{"deviceAdded":{"device":"villa","site":"villa","supportsPasswordReset":true}},
            {"grantMade":{"grant":"h","company":"acme","site":"villa","permission":"liveView",
             "scope":{"device":"villa"},"until":null}}]"#,
    )
    .unwrap();
    directory.apply(2, now, &events).unwrap();
    for evaluator in [Evaluator::Compiled, Evaluator::Cedar] {
        let policies = policies.clone().with(evaluator);
        let ask = |resource: &str| {
            let request = AccessRequest::new(ADA.parse().unwrap(), "liveView", resource.parse().unwrap());
            policies.evaluate(&directory, 2, &request, now).unwrap()
        };
        assert!(ask(r#"Device::"villa""#).is_allowed());
        assert_eq!(ask(r#"Site::"villa""#).reason, Some(DenyReason::NoGrant));
    }
}

#[test]
fn who_is_not_registered_is_answered_by_name_alike() {
    let (policies, directory, now) = (Policies::shipped().unwrap(), villa(), time("2026-01-01T00:00:01Z"));
    let mut seen = Vec::new();
    for who in [
        ("Operator", "root"),
        ("Operator", "not an id"),
        ("Installer", "nobody"),
        ("Robot", "r2"),
        ("Invite", "i"),
    ] {
        for what in
            [("Device", "cam-7"), ("Device", "nothing"), ("Invite", "i"), ("Ship", "s"), ("Operator", "root")]
        {
            for action in ["liveView", "manageSite", "deleteSite", "fly"] {
                let request = AccessRequest::new(Uid::new(who.0, who.1), action, Uid::new(what.0, what.1));
                let evaluation = policies.evaluate(&directory, directory.revision(), &request, now).unwrap();
                let named = ((&request.principal).into(), action, (&request.resource).into());
                assert_eq!(policies.check_named(&directory, named, now), evaluation.ruling(), "{request:?}");
                seen.extend(evaluation.reason.filter(|reason| !seen.contains(reason)));
            }
        }
    }
    for reason in [DenyReason::UnknownPrincipal, DenyReason::UnknownResource, DenyReason::UnknownAction] {
        assert!(seen.contains(&reason), "{reason:?} is not among {seen:?}");
    }
}
