//! Commands before compiled policies and before Cedar: random policies, random questions, the same answers.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::decide::Authorizer as _;
use crate::event::Event;
use crate::policy::ask::Verdict;
use crate::policy::{Policies, PolicyFile, PolicySources};

/// The directory after each of these: people and sites, an invite, a hand-over with what is asked for after it,
/// an asker who goes and one of the same id who comes, a device and a site that do.
const STORY: [&str; 8] = [
    r#"[{"companyRegistered":{"company":"acme"}}, {"companyRegistered":{"company":"globex"}},
        {"endUserRegistered":{"endUser":"olga","contacts":[{"email":"olga@example.com"},{"phone":"+39061"}]}},
        {"endUserRegistered":{"endUser":"oscar","contacts":[{"phone":"+39062"}]}},
        {"installerRegistered":{"installer":"ada","company":"acme","role":"admin","permissions":[],"contacts":[]}},
        {"installerRegistered":{"installer":"ivan","company":"acme","role":"member",
          "permissions":["manageAssignedSites","manageDevices"],"contacts":[{"phone":"+39062"}]}},
        {"installerRegistered":{"installer":"gina","company":"globex","role":"member",
          "permissions":["manageAllSites"],"contacts":[{"email":"gina@example.com"}]}},
        {"siteCreated":{"site":"villa","company":"acme","kind":"normal"}},
        {"siteCreated":{"site":"farm","company":"globex","kind":"rental"}},
        {"deviceAdded":{"device":"cam-7","site":"villa","supportsPasswordReset":true}},
        {"deviceAdded":{"device":"cam-8","site":"farm","supportsPasswordReset":false}},
        {"siteAssigned":{"site":"villa","installer":"ivan"}}, {"siteAssigned":{"site":"farm","installer":"ivan"}}]"#,
    r#"[{"ownerInvited":{"invite":"inv","site":"villa","asker":"ivan","contact":{"email":"olga@example.com"},
          "entries":[],"disableService":true,"deadline":"2026-01-09T00:00:00Z"}}]"#,
    r#"[{"inviteAccepted":{"invite":"inv","owner":"olga","disableService":true}},
        {"grantMade":{"grant":"g","company":"acme","site":"villa","permission":"liveView",
          "scope":{"device":"cam-7"},"until":"2026-01-09T00:00:00Z"}}]"#,
    r#"[{"resetTicketOpened":{"ticket":"t","device":"cam-7","asker":"ivan","mode":"offSite",
          "deadline":"2026-01-09T00:00:00Z"}},
        {"permissionApplied":{"application":"app","site":"villa","asker":"ivan","entries":[],
          "deadline":"2026-01-09T00:00:00Z"}}]"#,
    r#"[{"installerRemoved":{"installer":"ivan"}}]"#,
    r#"[{"installerRegistered":{"installer":"ivan","company":"globex","role":"admin","permissions":[],
          "contacts":[]}}]"#,
    r#"[{"deviceRemoved":{"device":"cam-7"}},
        {"deviceAdded":{"device":"cam-7","site":"farm","supportsPasswordReset":true}}]"#,
    r#"[{"siteDeleted":{"site":"villa"}}, {"siteCreated":{"site":"villa","company":"globex","kind":"rental"}},
        {"siteAssigned":{"site":"villa","installer":"ada"}}]"#,
];

static DIRECTORIES: LazyLock<Vec<Directory>> = LazyLock::new(|| {
    let mut directory = Directory::default();
    let after = |(revision, events): (u64, &str)| {
        let events: Vec<Event> = serde_json::from_str(events).unwrap();
        directory.apply(revision, Timestamp::from_millis(0), &events).unwrap();
        directory.clone()
    };
    (1..).zip(STORY).map(after).collect()
});

/// What can be said about one kind of question, by type.
struct Words {
    scope: &'static [&'static str],
    texts: &'static [&'static str],
    sets: &'static [&'static str],
    entities: &'static [&'static [&'static str]],
    truths: &'static [&'static str],
}

const INVITE: Words = Words {
    scope: &[
        r#"principal is Installer, action == Action::"withdrawInvite", resource is Invite"#,
        r#"principal == Installer::"ivan", action in [Action::"withdrawInvite"], resource is Invite"#,
        r#"principal in Company::"acme", action == Action::"withdrawInvite", resource is Invite"#,
        r#"principal is Installer in Site::"villa", action == Action::"withdrawInvite", resource"#,
        r#"principal is Installer, action == Action::"withdrawInvite", resource == Invite::"inv""#,
    ],
    texts: &[
        "principal.role",
        r#""admin""#,
        "resource.contact",
        r#""email:olga@example.com""#,
        "resource.site.kind",
        r#""rental""#,
        r#""phone:+39062""#,
    ],
    sets: &[
        "principal.permissions",
        "principal.contacts",
        "resource.askerContacts",
        r#"["manageAllSites", "manageDevices"]"#,
        r#"["phone:+39062"]"#,
    ],
    entities: &[
        &["principal.company", "resource.company", "resource.site.company", r#"Company::"acme""#],
        &["resource.site", r#"Site::"villa""#, r#"Site::"farm""#],
        &["principal", r#"Installer::"ivan""#],
    ],
    truths: &[
        "resource has asker",
        "resource.site has owner",
        "principal in resource.site",
        r#"principal in Site::"farm""#,
        r#"principal in Company::"acme""#,
        r#"principal in [resource.site, Site::"farm"]"#,
        "resource.site.disableServiceAccepted",
        "resource has asker && resource.asker == principal",
        r#"resource.contact like "email:*@*.com""#,
        r#"context.now < datetime("2026-01-06T12:00:00Z")"#,
        r#"context.now.toTime() < duration("13h")"#,
        r#"action in [Action::"withdrawInvite", Action::"rejectInvite"]"#,
        r#"{ a: principal.role, b: 1 } == { b: 1, a: "member" }"#,
        r#"[principal.company, resource.company].contains(resource.site.company)"#,
        r#"resource has asker.role"#,
        r#"resource has asker && resource.asker.role == "member""#,
        r#"resource.site has owner && resource.site.owner == EndUser::"olga""#,
        "true",
    ],
};

const TICKET: Words = Words {
    scope: &[
        r#"principal is EndUser, action == Action::"completeResetTicket", resource is ResetTicket"#,
        r#"principal == EndUser::"olga", action == Action::"completeResetTicket", resource"#,
    ],
    texts: &[
        "resource.mode",
        r#""offSite""#,
        "resource.site.kind",
        r#""normal""#,
        r#""email:olga@example.com""#,
    ],
    sets: &["principal.contacts", "resource.askerContacts", r#"["phone:+39062", "phone:+39061"]"#],
    entities: &[
        &["resource.company", "resource.site.company", r#"Company::"acme""#],
        &["resource.site", "resource.device.site", r#"Site::"villa""#],
        &["resource.device", r#"Device::"cam-7""#, r#"Device::"cam-8""#],
    ],
    truths: &[
        "resource has asker",
        "resource.site has owner && resource.site.owner == principal",
        "resource.device.supportsPasswordReset",
        "resource.device in resource.site",
        r#"resource.device in Site::"farm""#,
        r#"resource has asker && resource.asker in Company::"globex""#,
        "false",
    ],
};

const INVITING: Words = Words {
    scope: &[r#"principal is Installer, action == Action::"inviteOwner", resource is Site"#],
    texts: &["principal.role", r#""admin""#, "resource.kind", "context.contact", r#""phone:+39062""#],
    sets: &[
        "principal.permissions",
        "principal.contacts",
        "context.permissions",
        r#"["liveView", "manageDevices"]"#,
    ],
    entities: &[
        &["principal.company", "resource.company", r#"Company::"globex""#],
        &["resource", r#"Site::"villa""#],
    ],
    truths: &[
        "resource has owner",
        "context.disableService",
        "principal in resource",
        r#"principal in Site::"villa""#,
        r#"context.devices.contains(Device::"cam-7")"#,
        "context.devices.isEmpty()",
        r#"resource has owner && resource.owner.contacts.contains(context.contact)"#,
        "context has contact",
        r#"context.devices.containsAny([Device::"cam-8", Device::"cam-9"])"#,
    ],
};

const PASSING_ON: Words = Words {
    scope: &[r#"principal is EndUser, action == Action::"transferSite", resource is Site"#],
    texts: &["resource.kind", r#""normal""#],
    sets: &["principal.contacts", "context.to.contacts", r#"["phone:+39062"]"#],
    entities: &[
        &["principal", "context.to", r#"EndUser::"oscar""#],
        &["resource.company", r#"Company::"acme""#],
    ],
    truths: &[
        "resource has owner && resource.owner == principal",
        "resource has owner && resource.owner == context.to",
        "context.to in principal",
    ],
};

/// Something that is true or false, in Cedar.
fn truth(words: &'static Words) -> impl Strategy<Value = String> {
    let text = || select(words.texts);
    let set = || select(words.sets);
    let same_type = (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(group, one, other)| {
        let group = group.get(words.entities);
        (*one.get(group), *other.get(group))
    });
    let leaf = prop_oneof![
        3 => select(words.truths).prop_map(|truth| format!("({truth})")),
        1 => (text(), text(), select(&["==", "!="][..])).prop_map(|(one, other, op)| format!("({one} {op} {other})")),
        1 => (same_type, select(&["==", "!="][..])).prop_map(|((one, other), op)| format!("({one} {op} {other})")),
        1 => (set(), text()).prop_map(|(set, text)| format!("{set}.contains({text})")),
        1 => (set(), set(), select(&["containsAll", "containsAny"][..])).prop_map(|(one, other, op)| format!("{one}.{op}({other})")),
        1 => (set(), set()).prop_map(|(one, other)| format!("({one} == {other})")),
        1 => set().prop_map(|set| format!("{set}.isEmpty()")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("!{one}")),
            (inner.clone(), inner.clone(), select(&["&&", "||"][..]))
                .prop_map(|(one, other, op)| format!("({one} {op} {other})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(one, then, or)| format!("(if {one} then {then} else {or})")),
        ]
    })
}

fn policy(words: &'static Words) -> impl Strategy<Value = String> {
    let effect = prop_oneof![15 => Just("permit"), 1 => Just("forbid")];
    let clause = (select(&["when", "unless"][..]), truth(words));
    (effect, select(words.scope), prop::collection::vec(clause, 0..3)).prop_map(|(effect, scope, clauses)| {
        let clauses: Vec<String> =
            clauses.iter().map(|(kind, truth)| format!("{kind} {{ {truth} }}")).collect();
        format!("{effect} ({scope}) {};", clauses.join(" "))
    })
}

fn policies(words: &'static Words) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(policy(words), 1..12)
}

fn load(policies: &[String]) -> Policies {
    let text: Vec<String> = (0..)
        .zip(policies)
        .map(|(number, policy): (usize, _)| format!("@id(\"it's {number:02}\") {policy}"))
        .collect();
    let file = PolicyFile { name: "own.cedar".to_owned(), text: text.join("\n") };
    Policies::load(&PolicySources { schema: None, policies: vec![file] }).unwrap()
}

/// Asks both, of everybody, in every directory, and says how many answers differed from each other in what decided.
fn compare(
    policies: &Policies,
    action: &'static str,
    principals: &[&str],
    resource: &Resource,
    contexts: &[Vec<(&'static str, Fact)>],
) -> HashSet<Vec<String>> {
    let mut answers = HashSet::new();
    for principal in principals {
        let principal: Principal = principal.parse().unwrap();
        for context in contexts {
            let question = Question {
                principal: &principal,
                action,
                resource: resource.clone(),
                context: context.clone(),
            };
            for directory in DIRECTORIES.iter() {
                if let Some(verdict) = policies.same_answer(directory, &question) {
                    answers.insert(verdict.determining_policies);
                }
            }
        }
    }
    answers
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_767_700_000_000)
}

impl Policies {
    /// The answer of compiled policies, which Cedar's is equal to. `None`: nobody of that name is there, or Cedar was
    /// asked.
    fn same_answer(&self, directory: &Directory, question: &Question<'_>) -> Option<Verdict> {
        let resource_type = resource_type(&question.resource).name();
        let environment =
            self.environment(question.principal.parts().0, question.action, resource_type).unwrap();
        assert!(environment.not_compiled.is_none(), "{:?}", environment.compiled.not_compiled());
        let cedar = self.ask_cedar(environment, &environment.policies, directory, question, now());
        let facts = match DirectoryFacts::command(directory, question, now()) {
            Ok(Some(facts)) => facts,
            Ok(None) => {
                assert_eq!(cedar.unwrap(), None);
                return None;
            }
            // What is not there is an error to Cedar.
            Err(Failed) => {
                assert!(cedar.is_err());
                return None;
            }
        };
        let cedar = cedar.unwrap().unwrap();
        let answer = environment.compiled.answer(&facts);
        assert_eq!(answer.failed.is_empty(), cedar.errors.is_empty(), "{question:?}: {cedar:?}");
        if !answer.failed.is_empty() {
            return None;
        }
        let verdict = self.verdict(environment, &answer, |_| Err(())).unwrap();
        assert_eq!(verdict, cedar, "{question:?}");
        Some(verdict)
    }
}

const INSTALLERS: [&str; 4] =
    [r#"Installer::"ada""#, r#"Installer::"ivan""#, r#"Installer::"gina""#, r#"Installer::"nobody""#];
const END_USERS: [&str; 3] = [r#"EndUser::"olga""#, r#"EndUser::"oscar""#, r#"EndUser::"nobody""#];

fn inviting() -> Vec<Vec<(&'static str, Fact)>> {
    let context = |contact: &str, permissions: &[&str], devices: &[&str], disable| {
        vec![
            ("contact", Fact::Text(contact.to_owned())),
            ("permissions", Fact::Texts(permissions.iter().map(|&name| name.to_owned()).collect())),
            ("devices", Fact::Devices(devices.iter().map(|id| id.parse().unwrap()).collect())),
            ("disableService", Fact::Flag(disable)),
        ]
    };
    vec![
        context("phone:+39062", &["liveView"], &["cam-7"], false),
        context("email:olga@example.com", &[], &[], true),
        context("", &["manageDevices", "liveView"], &["cam-9", "cam-8"], true),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn compiled_policies_answer_as_cedar_does_about_invites(policies in policies(&INVITE)) {
        let resource = Resource::Invite("inv".parse().unwrap());
        compare(&load(&policies), "withdrawInvite", &INSTALLERS, &resource, &[Vec::new()]);
    }

    #[test]
    fn compiled_policies_answer_as_cedar_does_about_tickets(policies in policies(&TICKET)) {
        let resource = Resource::Ticket("t".parse().unwrap());
        compare(&load(&policies), "completeResetTicket", &END_USERS, &resource, &[Vec::new()]);
    }

    #[test]
    fn compiled_policies_answer_as_cedar_does_about_inviting(policies in policies(&INVITING)) {
        let resource = Resource::Site("villa".parse().unwrap());
        compare(&load(&policies), "inviteOwner", &INSTALLERS, &resource, &inviting());
    }

    #[test]
    fn compiled_policies_answer_as_cedar_does_about_passing_a_site_on(policies in policies(&PASSING_ON)) {
        let resource = Resource::Site("villa".parse().unwrap());
        let to = |id: &str| vec![("to", Fact::EndUser(id.parse().unwrap()))];
        compare(&load(&policies), "transferSite", &END_USERS, &resource, &[to("oscar"), to("olga")]);
    }
}

#[test]
fn the_random_questions_have_different_answers() {
    let policies: Vec<String> = INVITE
        .truths
        .iter()
        .map(|truth| {
            let scope = r#"principal is Installer, action == Action::"withdrawInvite", resource is Invite"#;
            format!("permit ({scope}) when {{ {truth} }};")
        })
        .collect();
    let resource = Resource::Invite("inv".parse().unwrap());
    let answers = compare(&load(&policies), "withdrawInvite", &INSTALLERS, &resource, &[Vec::new()]);
    let ever: HashSet<&String> = answers.iter().flatten().collect();
    assert_eq!(ever.len(), policies.len(), "{answers:?}");
    assert!(answers.len() > 8, "{answers:?}");
}

#[test]
fn every_shipped_policy_is_compiled() {
    let shipped = Policies::shipped().unwrap();
    for environment in shipped.inner.actions.all() {
        assert_eq!(environment.compiled.not_compiled(), [], "{}", environment.action);
    }
}

/// A schema that says of devices what is true of records, or leaves out what installers are in.
fn with_schema(from: &str, to: &str, policy: &str) -> Policies {
    let mut sources = PolicySources::shipped();
    let schema = sources.schema.as_mut().unwrap();
    assert!(schema.text.contains(from), "{from}");
    schema.text = schema.text.replace(from, to);
    let text = format!("@id(\"own\") {policy}");
    sources.policies = vec![PolicyFile { name: "own.cedar".to_owned(), text }];
    Policies::load(&sources).unwrap()
}

#[test]
fn a_schema_that_is_wrong_about_the_directory_lets_nobody_in() {
    let record = with_schema(
        "entity Device in [Site] {\n  site: Site,",
        "entity Device in [Site] {\n  site: { company: Company, owner?: EndUser },",
        r#"permit (principal is EndUser, action == Action::"removeDevice", resource)
           when { resource.site has owner && resource.site.owner.contacts.contains("email:olga@example.com") };"#,
    );
    let literal = with_schema(
        "entity Installer in [Company, Site]",
        "entity Installer in [Company]",
        r#"permit (principal is Installer, action == Action::"removeDevice", resource)
           when { principal in Site::"villa" && Installer::"ada".role == "admin" };"#,
    );
    for (policies, principal) in [(record, END_USERS[1]), (literal, INSTALLERS[1])] {
        let principal = principal.parse().unwrap();
        let resource = Resource::Device("cam-7".parse().unwrap());
        let question =
            Question { principal: &principal, action: "removeDevice", resource, context: Vec::new() };
        let answer = policies.authorize(&DIRECTORIES[2], &question, Timestamp::from_millis(0));
        assert!(!answer.allowed);
        assert!(answer.errors[0].contains("does not exist"), "{answer:?}");
    }
}

#[test]
fn what_is_gone_or_there_twice_is_left_to_cedar() {
    let principal: Principal = END_USERS[0].parse().unwrap();
    let question =
        |resource, context| Question { principal: &principal, action: "withdrawGrant", resource, context };
    let is_left =
        |question: &Question<'_>| DirectoryFacts::command(&DIRECTORIES[2], question, now()).is_err();
    let gone = [Resource::Grant("h".parse().unwrap()), Resource::Installer("nobody".parse().unwrap())];
    for resource in gone {
        assert!(is_left(&question(resource, Vec::new())));
    }
    let twice = vec![("role", Fact::Flag(true)), ("role", Fact::Flag(false))];
    let there = Resource::Grant("g".parse().unwrap());
    assert!(is_left(&question(there.clone(), twice)));
    assert!(!is_left(&question(there, Vec::new())));
}
