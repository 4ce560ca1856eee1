mod claims;
mod keys;

use super::*;
use crate::directory::Directory;
use crate::domain::{Timestamp, Uid};
use crate::event::Event;

/// A directory with `acme`, its admin `ada`, the owner `olga` of `villa`, and `cam-7` on it.
fn villa() -> Directory {
    let events: Vec<Event> = serde_json::from_str(
        r#"[
        {"companyRegistered":{"company":"acme"}},
        {"endUserRegistered":{"endUser":"olga","contacts":[{"email":"olga@example.com"}]}},
        {"installerRegistered":{"installer":"ada","company":"acme","role":"admin","permissions":[],"contacts":[]}},
        {"siteCreated":{"site":"villa","company":"acme","kind":"normal"}},
        {"deviceAdded":{"device":"cam-7","site":"villa","supportsPasswordReset":true}},
        {"ownerInvited":{"invite":"i","site":"villa","asker":"ada","contact":{"email":"olga@example.com"},
          "entries":[],"disableService":false,"deadline":"2026-01-02T00:00:00Z"}},
        {"inviteAccepted":{"invite":"i","owner":"olga","disableService":false}},
        {"grantMade":{"grant":"g","company":"acme","site":"villa","permission":"liveView",
          "scope":{"device":"cam-7"},"until":"2026-01-01T08:00:00Z"}}
    ]"#,
    )
    .unwrap();
    let mut directory = Directory::default();
    directory.apply(1, time("2026-01-01T00:00:00Z"), &events).unwrap();
    directory
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn with(policy: &str) -> Result<Policies, PolicyErrors> {
    let mut sources = PolicySources::shipped();
    sources.policies.push(PolicyFile { name: "own.cedar".into(), text: policy.into() });
    Policies::load(&sources)
}

fn live_view(principal: &str) -> AccessRequest {
    AccessRequest::new(principal.parse().unwrap(), "liveView", r#"Device::"cam-7""#.parse().unwrap())
}

fn ask(policies: &Policies, principal: &str, at: &str) -> Evaluation {
    policies.evaluate(&villa(), 1, &live_view(principal), time(at)).unwrap()
}

const ADA: &str = r#"Installer::"ada""#;
const OLGA: &str = r#"EndUser::"olga""#;

#[test]
fn an_allow_by_grant_holds_until_the_grant_ends() {
    let shipped = Policies::shipped().unwrap();
    let allow = ask(&shipped, ADA, "2026-01-01T07:59:59.999Z");
    assert_eq!(allow.determining_policies, ["installer-uses-devices-with-grant"]);
    assert_eq!(allow.valid_until, Some(time("2026-01-01T08:00:00Z")));
    let deny = ask(&shipped, ADA, "2026-01-01T08:00:00Z");
    assert_eq!(deny.reason, Some(DenyReason::GrantEnded));
    assert_eq!(ask(&shipped, OLGA, "2026-01-01T08:00:00Z").valid_until, None);
}

#[test]
fn an_allow_that_rests_on_the_time_itself_is_not_to_be_kept() {
    let night = with(
        r#"@id("night") permit (principal is EndUser, action == Action::"liveView", resource)
        when { context.now.toTime() > duration("22h") };"#,
    )
    .unwrap();
    assert_eq!(ask(&night, OLGA, "2026-01-01T12:00:00Z").valid_until, None);
    assert_eq!(ask(&night, OLGA, "2026-01-01T23:00:00Z").valid_until, Some(time("2026-01-01T23:00:00Z")));
    for when in
        [r#"context.now < datetime("2026-06-01")"#, r#"{"at": context.now}.at < datetime("2026-06-01")"#]
    {
        let spring = with(&format!(
            r#"@id("spring") permit (principal is EndUser, action == Action::"liveView", resource) when {{ {when} }};"#,
        ));
        let answer = ask(&spring.unwrap(), OLGA, "2026-01-01T12:00:00Z");
        assert!(answer.determining_policies.contains(&"spring".to_owned()), "{when}");
        assert_eq!(answer.valid_until, Some(time("2026-01-01T12:00:00Z")), "{when}");
    }
    let lunch = with(
        r#"@id("lunch") forbid (principal, action, resource)
        when { context.now.toTime() == duration("12h") };"#,
    )
    .unwrap();
    assert_eq!(ask(&lunch, ADA, "2026-01-01T07:00:00Z").valid_until, Some(time("2026-01-01T07:00:00Z")));
}

#[test]
fn a_set_of_policies_is_named_by_what_is_in_it() {
    let one = r#"@id("one") forbid (principal, action, resource);"#;
    let shipped = Policies::shipped().unwrap();
    assert!(shipped.version().len() == 16 && shipped.version().bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(shipped.version(), Policies::shipped().unwrap().version());
    assert_eq!(with(one).unwrap().version(), with(one).unwrap().version());
    let all =
        [shipped, Policies::none().unwrap(), with(one).unwrap(), with(&one.replace("one", "two")).unwrap()];
    let versions: std::collections::BTreeSet<&str> = all.iter().map(Policies::version).collect();
    assert_eq!(versions.len(), all.len());
    let answer = ask(&all[2], OLGA, "2026-01-01T12:00:00Z");
    assert_eq!(*answer.policy_version, *all[2].version());
}

#[test]
fn the_policies_for_a_kind_of_request_are_those_whose_scope_can_match() {
    let policies = Policies::shipped().unwrap();
    let watching = policies.schema().request_envs().find(|kind| {
        let (principal, action) = (kind.principal().to_string(), kind.action().id().unescaped());
        principal == "Installer" && action == "liveView"
    });
    let matching = policies.matching(&watching.unwrap()).unwrap();
    let mut ids: Vec<&str> = matching.policies().map(|policy| policy.id().as_ref()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["installer-uses-devices-before-hand-over", "installer-uses-devices-with-grant"]);
    let other = with(r#"@id("one") permit (principal, action, resource);"#).unwrap();
    let none = Policies::none().unwrap();
    let count = |policies: &Policies, kind: &RequestEnv| policies.matching(kind).unwrap().policies().count();
    for kind in policies.schema().request_envs() {
        assert_eq!(count(&other, &kind), count(&policies, &kind) + 1, "{kind:?}");
        assert_eq!(count(&none, &kind), 0, "{kind:?}");
    }
}

#[test]
fn a_reason_is_called_as_it_is_written() {
    for reason in [
        DenyReason::NoGrant,
        DenyReason::GrantEnded,
        DenyReason::Forbidden,
        DenyReason::UnknownPrincipal,
        DenyReason::UnknownResource,
        DenyReason::UnknownAction,
        DenyReason::PolicyError,
        DenyReason::Stale,
        DenyReason::NotPermitted,
    ] {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
}

#[test]
fn a_policy_that_looks_at_the_whole_context_sees_all_of_it() {
    let noon = with(
        r#"@id("noon") permit (principal is EndUser, action == Action::"disableService", resource)
        when { context == {now: datetime("2026-01-01T12:00:00Z")} };
        @id("others") forbid (principal is EndUser, action == Action::"disableService", resource)
        when { resource has owner && resource.owner != principal };"#,
    )
    .unwrap();
    let request =
        AccessRequest::new(OLGA.parse().unwrap(), "disableService", r#"Site::"villa""#.parse().unwrap());
    let at = |text| noon.evaluate(&villa(), 1, &request, time(text)).unwrap();
    assert_eq!(at("2026-01-01T12:00:00Z").determining_policies, ["noon"]);
    assert_eq!(at("2026-01-01T12:00:00Z").valid_until, Some(time("2026-01-01T12:00:00Z")));
    assert!(!at("2026-01-01T12:00:01Z").is_allowed());
}

/// Knows facts that are none.
struct Broken;

impl EntitySource for Broken {
    fn slice(&self, _: &Uid, _: &str, _: &Uid, _: &Hints, _: Timestamp) -> Result<Slice, Unknown> {
        Err(Unknown::Facts("the site is in itself".to_owned()))
    }
}

#[test]
fn facts_that_cedar_does_not_take_are_an_error_and_no_unknown_principal() {
    let request =
        AccessRequest::new(OLGA.parse().unwrap(), "liveView", r#"Device::"cam-7""#.parse().unwrap());
    let now = time("2026-01-01T12:00:00Z");
    let answer = Policies::shipped().unwrap().evaluate(&Broken, 1, &request, now).unwrap();
    assert!(!answer.is_allowed());
    assert_eq!(answer.reason, Some(DenyReason::PolicyError));
    assert_eq!(answer.errors, ["the site is in itself"]);
}

/// Puts everything into its slices, whether policies look at it or not.
struct Whole<'a>(&'a Directory);

impl EntitySource for Whole<'_> {
    fn slice(
        &self,
        principal: &Uid,
        action: &str,
        resource: &Uid,
        hints: &Hints,
        now: Timestamp,
    ) -> Result<Slice, Unknown> {
        let all = Hints { all_attributes: true, hierarchy: true, ..hints.clone() };
        self.0.slice(principal, action, resource, &all, now)
    }
}

#[test]
fn what_no_policy_looks_at_makes_no_difference() {
    let directory = villa();
    let sets = [
        Policies::shipped().unwrap(),
        Policies::none().unwrap(),
        with(r#"@id("has") forbid (principal, action, resource is Site) when { resource has owner };"#)
            .unwrap(),
        with(
            r#"@id("far") forbid (principal is EndUser, action == Action::"manageSite", resource is Site)
            when { resource has owner && !resource.owner.contacts.isEmpty() };"#,
        )
        .unwrap(),
    ];
    let everybody = [ADA, OLGA, r#"Operator::"root""#, r#"EndUser::"nobody""#];
    let everything =
        [r#"Device::"cam-7""#, r#"Site::"villa""#, r#"Company::"acme""#, r#"Invite::"i""#, r#"Grant::"g""#];
    let mut allowed = 0;
    for policies in &sets {
        for principal in everybody {
            for action in ["liveView", "playback", "configure", "manageSite", "disableService", "fly"] {
                for resource in everything {
                    let request =
                        AccessRequest::new(principal.parse().unwrap(), action, resource.parse().unwrap());
                    let now = time("2026-01-01T07:00:00Z");
                    let slim = policies.evaluate(&directory, 1, &request, now).unwrap();
                    let whole = policies.evaluate(&Whole(&directory), 1, &request, now).unwrap();
                    assert_eq!(slim, whole, "{request:?}");
                    allowed += usize::from(slim.is_allowed());
                }
            }
        }
    }
    assert!(allowed > 5, "{allowed}");
}

#[test]
fn a_policy_that_takes_the_context_as_a_whole_sees_all_of_it() {
    let lunch = with(
        r#"@id("lunch") forbid (principal, action == Action::"liveView", resource)
        when { {asked: context}.asked.now.toTime() == duration("12h") };"#,
    )
    .unwrap();
    assert!(ask(&lunch, OLGA, "2026-01-01T07:00:00Z").is_allowed());
    assert_eq!(ask(&lunch, OLGA, "2026-01-01T12:00:00Z").reason, Some(DenyReason::Forbidden));
}

/// The shipped policies and one more, with the shipped schema changed.
fn with_schema(from: &str, to: &str, policy: &str) -> Policies {
    let mut sources = PolicySources::shipped();
    let schema = sources.schema.as_mut().unwrap();
    assert!(schema.text.contains(from), "{from}");
    schema.text = schema.text.replacen(from, to, 1);
    sources.policies.push(PolicyFile { name: "own.cedar".into(), text: policy.into() });
    Policies::load(&sources).unwrap()
}

const ACCESS: &str = "action liveView, playback, configure appliesTo {";

#[test]
fn a_policy_may_speak_of_a_group_of_actions_in_its_scope_and_in_its_conditions() {
    let groups = "action viewing;\naction liveView, playback, configure in [viewing] appliesTo {";
    for policy in [
        r#"@id("own") forbid (principal, action in Action::"viewing", resource);"#,
        r#"@id("own") forbid (principal, action, resource) when { action in Action::"viewing" };"#,
    ] {
        let grouped = with_schema(ACCESS, groups, policy);
        let answer = ask(&grouped, OLGA, "2026-01-01T07:00:00Z");
        assert_eq!(answer.determining_policies, ["own"], "{policy}");
    }
}

#[test]
fn what_the_callers_context_names_beyond_the_question_is_not_taken() {
    let from = "context: { now: datetime, grant?: Coverage },";
    let to = "context: { now: datetime, grant?: Coverage, from?: Site, ways?: Set<Site>, speed?: Long },";
    let schema = with_schema(
        from,
        to,
        r#"@id("own") forbid (principal is Installer, action == Action::"liveView", resource)
        when { context has from && principal in context.from };"#,
    );
    let directory = villa();
    let asked = |context: &str| {
        let mut request = live_view(ADA);
        request.context = serde_json::from_str(context).unwrap();
        schema.evaluate(&directory, 1, &request, time("2026-01-01T07:00:00Z"))
    };
    assert!(asked(r#"{"speed": 3}"#).unwrap().is_allowed());
    for context in
        [r#"{"from": {"type": "Site", "id": "hq"}}"#, r#"{"ways": [{"type": "Site", "id": "hq"}]}"#]
    {
        assert!(matches!(asked(context), Err(RequestError::Context(_))), "{context}");
    }
}

#[test]
fn a_grant_that_is_compared_as_a_whole_is_whole() {
    let closing = with_schema(
        "type Coverage = { permission: String, until?: datetime };",
        "type Coverage = { permission: String, until: datetime };",
        r#"@id("own") forbid (principal is Installer, action == Action::"liveView", resource)
        when { context has grant && context.grant == {permission: "liveView", until: datetime("2026-01-01T08:00:00Z")} };"#,
    );
    assert_eq!(ask(&closing, ADA, "2026-01-01T07:00:00Z").determining_policies, ["own"]);
}

#[test]
fn what_is_valid_and_can_never_apply_is_warned_of() {
    let policies = with(
        r#"@id("never") forbid (principal is EndUser, action == Action::"liveView", resource is Site);"#,
    );
    let policies = policies.unwrap();
    assert!(!policies.warnings().is_empty());
    for warning in policies.warnings() {
        assert_eq!((warning.file.as_str(), warning.place), ("own.cedar", Some((1, 1))));
    }
    assert!(Policies::shipped().unwrap().warnings().is_empty());
}

#[test]
fn a_policy_that_errors_denies_and_is_named() {
    // Overflow is the error that validation lets through.
    let broken = with(
        r#"@id("sum") forbid (principal, action == Action::"liveView", resource)
        when { 9223372036854775807 + 1 == 0 };"#,
    )
    .unwrap();
    let answer = ask(&broken, OLGA, "2026-01-01T07:00:00Z");
    assert_eq!(answer.reason, Some(DenyReason::PolicyError));
    assert!(answer.determining_policies.is_empty());
    assert!(answer.errors[0].contains("sum"), "{:?}", answer.errors);
}

#[test]
fn a_forbid_decides_over_every_permit() {
    let closed =
        with(r#"@id("closed") forbid (principal, action == Action::"liveView", resource in Site::"villa");"#)
            .unwrap();
    for principal in [ADA, OLGA] {
        let answer = ask(&closed, principal, "2026-01-01T07:00:00Z");
        assert_eq!(answer.determining_policies, ["closed"]);
        assert_eq!(answer.reason, Some(DenyReason::Forbidden));
    }
}

#[test]
fn a_site_named_in_a_policy_is_in_every_slice() {
    let mut directory = villa();
    let more: Vec<Event> = serde_json::from_str(
        r#"[{"siteCreated":{"site":"hq","company":"acme","kind":"normal"}},
            {"siteAssigned":{"site":"hq","installer":"ada"}}]"#,
    )
    .unwrap();
    directory.apply(2, time("2026-01-01T00:00:00Z"), &more).unwrap();
    let policies =
        with(r#"@id("hq") forbid (principal in Site::"hq", action == Action::"liveView", resource);"#)
            .unwrap();
    let answer = policies.evaluate(&directory, 2, &live_view(ADA), time("2026-01-01T01:00:00Z")).unwrap();
    assert_eq!(answer.determining_policies, ["hq"]);
    let answer = policies.evaluate(&directory, 2, &live_view(OLGA), time("2026-01-01T01:00:00Z")).unwrap();
    assert!(answer.is_allowed());
}

#[test]
fn what_is_not_known_is_denied_by_name() {
    let shipped = Policies::shipped().unwrap();
    let ask = |principal: &str, action: &str, resource: &str| {
        let uid = |text: &str| text.parse::<Uid>().unwrap();
        let request = AccessRequest::new(uid(principal), action, uid(resource));
        shipped.evaluate(&villa(), 1, &request, time("2026-01-01T00:00:00Z")).unwrap().reason
    };
    let cam = r#"Device::"cam-7""#;
    assert_eq!(ask(r#"Installer::"nobody""#, "liveView", cam), Some(DenyReason::UnknownPrincipal));
    assert_eq!(ask(r#"Robot::"r""#, "liveView", cam), Some(DenyReason::UnknownPrincipal));
    assert_eq!(ask(ADA, "liveView", r#"Device::"cam-8""#), Some(DenyReason::UnknownResource));
    assert_eq!(ask(ADA, "dance", cam), Some(DenyReason::UnknownAction));
    assert_eq!(ask(ADA, "acceptInvite", r#"Invite::"i""#), Some(DenyReason::UnknownAction));
    assert_eq!(ask(ADA, "playback", cam), Some(DenyReason::NoGrant));
    assert_eq!(ask(ADA, "liveView", r#"Site::"villa""#), Some(DenyReason::NoGrant));
    assert_eq!(ask(r#"Operator::"root""#, "liveView", cam), Some(DenyReason::NotPermitted));
}

#[test]
fn a_stale_answer_is_a_denial() {
    let request = AccessRequest { at_least: Some(2), ..live_view(OLGA) };
    let answer =
        Policies::shipped().unwrap().evaluate(&villa(), 1, &request, time("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(answer.reason, Some(DenyReason::Stale));
}

#[test]
fn the_engines_own_context_cannot_be_given() {
    let shipped = Policies::shipped().unwrap();
    for (name, value) in [("now", "2026-01-01T00:00:00Z"), ("grant", "x"), ("unheard", "x")] {
        let mut request = live_view(OLGA);
        request.context.insert(name.into(), value.into());
        assert!(shipped.evaluate(&villa(), 1, &request, time("2026-01-01T00:00:00Z")).is_err(), "{name}");
    }
}

#[test]
fn a_context_that_the_schema_declares_reaches_the_policies() {
    let mut sources = PolicySources::shipped();
    let schema = sources.schema.as_mut().unwrap();
    schema.text = schema.text.replacen(
        "context: { now: datetime, grant?: Coverage },",
        "context: { now: datetime, grant?: Coverage, mfa?: Bool },",
        1,
    );
    sources.policies.push(PolicyFile {
        name: "own.cedar".into(),
        text: r#"@id("mfa") forbid (principal, action == Action::"liveView", resource)
            unless { context has mfa && context.mfa };"#
            .into(),
    });
    let policies = Policies::load(&sources).unwrap();
    let at = time("2026-01-01T00:00:00Z");
    let mut request = live_view(ADA);
    assert_eq!(policies.evaluate(&villa(), 1, &request, at).unwrap().determining_policies, ["mfa"]);
    request.context.insert("mfa".into(), true.into());
    let answer = policies.evaluate(&villa(), 1, &request, at).unwrap();
    assert!(answer.is_allowed());
    assert_eq!(answer.valid_until, Some(time("2026-01-01T08:00:00Z")));
    request.context.insert("mfa".into(), "yes".into());
    assert!(policies.evaluate(&villa(), 1, &request, at).is_err());
}

#[test]
fn without_policies_everything_is_denied() {
    let none = Policies::none().unwrap();
    for principal in [ADA, OLGA, r#"Operator::"root""#] {
        assert!(!ask(&none, principal, "2026-01-01T00:00:00Z").is_allowed());
    }
}

#[test]
fn what_is_wrong_with_a_policy_is_said_with_its_place() {
    let message = |text: &str| with(text).unwrap_err().to_string();
    let syntax = message("@id(\"a\")\npermit (principal, action,\n  resource) when { ! };");
    assert!(syntax.starts_with("own.cedar:3:"), "{syntax}");
    let types = message("@id(\"a\") permit (principal, action, resource)\nwhen { principal.colour == 1 };");
    assert!(types.starts_with("own.cedar:2:8"), "{types}");
    assert!(message("permit (principal, action, resource);").contains("has no @id"));
    let twice = message(r#"@id("owner-hands-site-on") permit (principal, action, resource);"#);
    assert!(twice.contains("already"), "{twice}");
    assert!(message(r#"@id("a") permit (principal == ?principal, action, resource);"#).contains("slots"));
}

#[test]
fn a_schema_without_the_commands_is_refused() {
    let schema = Some(PolicyFile {
        name: "s".into(),
        text: "entity A; action a appliesTo { principal: A, resource: A };".into(),
    });
    let error = Policies::load(&PolicySources { schema, policies: Vec::new() }).unwrap_err().to_string();
    assert!(error.contains("acceptInvite"), "{error}");
}

#[test]
fn a_policy_of_ten_thousand_conditions_is_refused_and_one_of_many_needs_no_large_stack() {
    let load = |count: usize| {
        let conditions: Vec<String> =
            (0..count).map(|number| format!("principal.role == \"r{number}\"")).collect();
        let scope = r#"principal is Installer, action == Action::"liveView", resource is Device"#;
        let text = format!("@id(\"long\")\npermit ({scope})\nwhen {{ {} }};", conditions.join(" || "));
        let file = PolicyFile { name: "own.cedar".to_owned(), text };
        Policies::load(&PolicySources { schema: None, policies: vec![file] })
    };
    let error = load(10_000).unwrap_err().to_string();
    assert!(error.starts_with("own.cedar:3:"), "{error}");
    assert!(error.contains("chained by operators, more than 2000 deep"), "{error}");
    let policies = load(1_900).unwrap();
    assert_eq!(policies.not_compiled(), []);
}
