//! What askers say beside the ids, entities from a file, and searches.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::*;

const LIBRARY: &str = r"
    entity team;
    entity user in [team] { role?: String, born?: datetime, boss?: user };
    entity shelf { keeper?: user };
    entity book { status?: String, shelf?: shelf } tags String;
    action lend appliesTo { principal: user, resource: book, context: { now: datetime, days?: Long } };
    action burn appliesTo { principal: user, resource: book, context: { reason: String } };
";

const RULES: &str = r#"
    @id("team-lends") permit (principal in team::"desk", action == Action::"lend", resource)
    unless { resource has status && resource.status == "lost" };
    @id("role-lends") permit (principal, action == Action::"lend", resource)
    when { principal has role && principal.role == "librarian" };
    @id("keeper-lends") permit (principal, action == Action::"lend", resource)
    when { resource has shelf && resource.shelf has keeper && resource.shelf.keeper == principal };
    @id("old") forbid (principal, action == Action::"lend", resource)
    when { principal has born && principal.born < datetime("1900-01-01") };
    @id("short") forbid (principal, action == Action::"lend", resource)
    when { context has days && context.days > 30 };
    @id("of-the-boss") forbid (principal, action == Action::"lend", resource)
    when { principal has boss && principal.boss in team::"banned" };
    @id("burns") permit (principal, action == Action::"burn", resource) when { context.reason == "mould" };
    @id("tagged") permit (principal, action == Action::"lend", resource)
    when { resource.hasTag("for") && resource.getTag("for") == "all" && resource has status };
"#;

const ENTITIES: &str = r#"[
    {"uid": {"type": "user", "id": "amy"}, "attrs": {}, "parents": [{"type": "team", "id": "desk"}]},
    {"uid": {"type": "user", "id": "ben"}, "attrs": {"role": "reader"}, "parents": []},
    {"uid": {"type": "user", "id": "cal"}, "attrs": {}, "parents": []},
    {"uid": {"type": "team", "id": "desk"}, "attrs": {}, "parents": []},
    {"uid": {"type": "shelf", "id": "s"}, "attrs": {"keeper": {"type": "user", "id": "cal"}}, "parents": []},
    {"uid": {"type": "book", "id": "b1"}, "attrs": {"shelf": {"type": "shelf", "id": "s"}}, "parents": []},
    {"uid": {"type": "book", "id": "b2"}, "attrs": {"status": "lost"}, "parents": []},
    {"uid": {"type": "book", "id": "b3"}, "attrs": {}, "parents": [], "tags": {"for": "all"}}
]"#;

fn library() -> Reading {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let sources = PolicySources {
        schema: Some(file("schema.cedarschema", LIBRARY)),
        policies: vec![file("rules.cedar", RULES)],
    };
    let policies = Policies::load_for_checks(&sources).unwrap();
    let store = EntityStore::from_json(ENTITIES, &policies).unwrap();
    Reading::new(policies, Arc::new(store), 1, time("2026-01-01T12:00:00Z"))
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn uid(entity_type: &str, id: &str) -> Uid {
    Uid::new(entity_type, id)
}

/// Who lends which book, with what is said about the user, the action, the book and in the context.
fn lends(user: &str, book: &str, said: [Value; 4]) -> Result<Evaluation, RequestError> {
    asked("lend", user, book, said)
}

fn asked(action: &str, user: &str, book: &str, said: [Value; 4]) -> Result<Evaluation, RequestError> {
    let [principal, of_action, resource, context] = said.map(map);
    let claims = Claims { principal, action: of_action, resource, context };
    let library = library();
    let question = library.policies().question_with(uid("user", user), action, uid("book", book), &claims)?;
    library.evaluate(&question)
}

fn nothing() -> Value {
    json!({})
}

fn silence() -> [Value; 4] {
    [nothing(), nothing(), nothing(), nothing()]
}

#[test]
fn a_schema_of_any_domain_can_be_checked() {
    assert_eq!(lends("amy", "b1", silence()).unwrap().determining_policies, ["team-lends"]);
    assert_eq!(lends("cal", "b1", silence()).unwrap().determining_policies, ["keeper-lends"]);
    assert_eq!(lends("amy", "b2", silence()).unwrap().reason, Some(DenyReason::NotPermitted));
    assert_eq!(lends("dan", "b1", silence()).unwrap().reason, Some(DenyReason::UnknownPrincipal));
    assert_eq!(lends("amy", "b9", silence()).unwrap().reason, Some(DenyReason::UnknownResource));
    assert_eq!(asked("fly", "amy", "b1", silence()).unwrap().reason, Some(DenyReason::UnknownAction));
    let missing = Policies::load(&PolicySources {
        schema: Some(PolicyFile { name: "library".into(), text: LIBRARY.into() }),
        policies: Vec::new(),
    });
    assert!(
        missing.unwrap_err().to_string().starts_with("library: the schema lacks the actions registerCompany")
    );
}

#[test]
fn a_property_adds_what_the_facts_lack_and_the_schema_declares() {
    let librarian = |user| lends(user, "b2", [json!({"role": "librarian"}), nothing(), nothing(), nothing()]);
    assert_eq!(librarian("cal").unwrap().determining_policies, ["role-lends"]);
    let unknown = json!({"shoes": 44, "role": null, "rol": "librarian"});
    assert!(!lends("cal", "b2", [unknown, nothing(), nothing(), nothing()]).unwrap().is_allowed());
    let lost = [nothing(), nothing(), json!({"status": "lost"}), nothing()];
    assert!(!lends("amy", "b1", lost).unwrap().is_allowed());
    let born = [json!({"born": "1850-05-05"}), nothing(), nothing(), nothing()];
    assert_eq!(lends("amy", "b1", born).unwrap().determining_policies, ["old"]);
}

#[test]
fn a_property_never_takes_the_place_of_a_fact() {
    let librarian = [json!({"role": "librarian"}), nothing(), nothing(), nothing()];
    assert!(!lends("ben", "b2", librarian).unwrap().is_allowed());
    let found = [nothing(), nothing(), json!({"status": "here"}), nothing()];
    assert!(!lends("amy", "b2", found).unwrap().is_allowed());
}

/// The schema that comes with Consentry says all that the directory keeps: nobody may supply any of it.
#[test]
fn what_the_directory_keeps_cannot_be_supplied_even_where_it_is_not_there() {
    let events: Vec<Event> = serde_json::from_str(
        r#"[
        {"companyRegistered":{"company":"acme"}},
        {"endUserRegistered":{"endUser":"eve","contacts":[]}},
        {"installerRegistered":{"installer":"ada","company":"acme","role":"member","permissions":[],"contacts":[]}},
        {"siteCreated":{"site":"villa","company":"acme","kind":"normal"}},
        {"deviceAdded":{"device":"cam-7","site":"villa","supportsPasswordReset":true}}
    ]"#,
    )
    .unwrap();
    let mut directory = Directory::default();
    directory.apply(1, time("2026-01-01T00:00:00Z"), &events).unwrap();
    let schema = include_str!("../../../../policies/schema.cedarschema");
    let mut sources = PolicySources::shipped();
    sources.schema = Some(PolicyFile {
        name: "schema.cedarschema".into(),
        text: schema
            .replace("supportsPasswordReset: Bool,\n};", "supportsPasswordReset: Bool,\n  heat?: Long,\n};"),
    });
    sources.policies.push(PolicyFile {
        name: "own.cedar".into(),
        text: r#"@id("hot") permit (principal, action == Action::"playback", resource)
            when { resource has heat && resource.heat > 90 };"#
            .into(),
    });
    let policies = Policies::load(&sources).unwrap();
    let ask = |principal: &str, action: &str, resource: &str, said: [Value; 2]| {
        let [of_principal, of_resource] = said.map(map);
        let claims = Claims { principal: of_principal, resource: of_resource, ..Claims::default() };
        let (principal, resource) = (principal.parse().unwrap(), resource.parse().unwrap());
        let question = policies.question_with(principal, action, resource, &claims).unwrap();
        policies.evaluate(&directory, 1, &question, time("2026-01-01T12:00:00Z")).unwrap()
    };
    let (camera, villa) = (r#"Device::"cam-7""#, r#"Site::"villa""#);
    let admin = json!({"role": "admin", "permissions": ["manageAllSites"]});
    assert!(!ask(ADA, "liveView", camera, [admin, nothing()]).is_allowed());
    let own = json!({"owner": {"type": "EndUser", "id": "eve"}});
    assert!(!ask(r#"EndUser::"eve""#, "manageSite", villa, [nothing(), own]).is_allowed());
    let hot = ask(ADA, "playback", camera, [nothing(), json!({"heat": 91})]);
    assert_eq!(hot.determining_policies, ["hot"]);
}

#[test]
fn a_property_of_another_type_is_no_question() {
    let wrong = [
        json!({"role": 7}),
        json!({"role": ["librarian"]}),
        json!({"born": "yesterday"}),
        json!({"born": 5}),
        json!({"role": {"__extn": {"fn": "unknown", "arg": "x"}}}),
        json!({"boss": {"type": "user", "id": "amy"}}),
    ];
    for properties in wrong {
        let answer = lends("cal", "b1", [properties.clone(), nothing(), nothing(), nothing()]);
        assert!(matches!(answer, Err(RequestError::Attribute { .. })), "{properties}: {answer:?}");
    }
}

#[test]
fn what_is_said_about_the_action_joins_the_context() {
    let days = |context: Value, action: Value| lends("amy", "b1", [nothing(), action, nothing(), context]);
    assert!(days(nothing(), json!({"days": 30})).unwrap().is_allowed());
    assert_eq!(days(nothing(), json!({"days": 31})).unwrap().determining_policies, ["short"]);
    assert_eq!(days(json!({"days": 31}), nothing()).unwrap().determining_policies, ["short"]);
    assert!(days(json!({"days": 5, "ip": "192.168.1.1"}), json!({"days": 5, "method": "GET"})).is_ok());
    let two = days(json!({"days": 5}), json!({"days": 6}));
    assert_eq!(two, Err(RequestError::Contradiction("days".into())));
    assert_eq!(days(json!({"now": "2020-01-01T00:00:00Z"}), nothing()), Err(RequestError::Reserved("now")));
    assert!(matches!(days(json!({"days": "many"}), nothing()), Err(RequestError::Context(_))));
    let unknown = json!({"days": {"__extn": {"fn": "unknown", "arg": "x"}}});
    assert!(!days(unknown, nothing()).is_ok_and(|answer| answer.is_allowed()));
}

#[test]
fn what_a_schema_requires_in_a_context_must_be_said() {
    assert!(matches!(asked("burn", "cal", "b1", silence()), Err(RequestError::Context(_))));
    let mould = [nothing(), nothing(), nothing(), json!({"reason": "mould"})];
    assert!(asked("burn", "cal", "b1", mould).unwrap().is_allowed());
    // This schema has no `now` for this action: then it is no name of the engine's.
    let now = [nothing(), nothing(), nothing(), json!({"reason": "mould", "now": 5})];
    assert!(asked("burn", "cal", "b1", now).unwrap().is_allowed());
}

#[test]
fn an_entity_keeps_its_tags_when_something_is_added_to_it() {
    let status = [nothing(), nothing(), json!({"status": "here"}), nothing()];
    assert_eq!(lends("cal", "b3", status).unwrap().determining_policies, ["tagged"]);
    assert!(!lends("cal", "b3", silence()).unwrap().is_allowed());
}

fn find(sought: &Sought, said: &Claims, span: &Span) -> Found {
    library().search(sought, said, span, &mut || true).unwrap()
}

fn who(action: &str) -> Sought {
    Sought::Principals { entity_type: "user".into(), action: action.into(), resource: uid("book", "b1") }
}

const ALL: Span = Span { after: None, found: usize::MAX, asked: usize::MAX };

#[test]
fn a_search_finds_what_checks_allow() {
    let books = |user: &str| Sought::Resources {
        principal: uid("user", user),
        action: "lend".into(),
        entity_type: "book".into(),
    };
    assert_eq!(find(&who("lend"), &Claims::default(), &ALL).ids, ["amy", "cal"]);
    assert_eq!(find(&books("amy"), &Claims::default(), &ALL).ids, ["b1", "b3"]);
    assert_eq!(find(&books("cal"), &Claims::default(), &ALL).ids, ["b1"]);
    let librarian = Claims { principal: map(json!({"role": "librarian"})), ..Claims::default() };
    assert_eq!(find(&books("cal"), &librarian, &ALL).ids, ["b1", "b2", "b3"]);
    for nowhere in [books("nobody"), who("fly")] {
        assert_eq!(find(&nowhere, &Claims::default(), &ALL), Found::default());
    }
    let ships = Sought::Resources {
        principal: uid("user", "amy"),
        action: "lend".into(),
        entity_type: "ship".into(),
    };
    assert_eq!(find(&ships, &Claims::default(), &ALL), Found::default());
    let permitted = library().permitted(&uid("user", "amy"), &uid("book", "b1"), &Claims::default()).unwrap();
    assert_eq!(permitted.iter().map(|(action, _)| action.as_str()).collect::<Vec<_>>(), ["lend"]);
}

#[test]
fn a_search_goes_on_where_it_ended() {
    for span in [Span { found: 1, ..ALL }, Span { asked: 1, ..ALL }, Span { asked: 2, ..ALL }] {
        let (mut all, mut from) = (Vec::new(), span.clone());
        loop {
            let found = find(&who("lend"), &Claims::default(), &from);
            assert!(found.ids.len() <= 1 || span.found > 1);
            all.extend(found.ids);
            match found.next {
                Some(next) => from.after = Some(next),
                None => break,
            }
        }
        assert_eq!(all, ["amy", "cal"], "{span:?}");
    }
}

#[test]
fn a_search_that_is_told_to_end_has_asked_for_one_and_can_be_gone_on_with() {
    let (mut all, mut from, mut pages) = (Vec::new(), ALL, 0);
    while pages < 10 {
        pages += 1;
        let found = library().search(&who("lend"), &Claims::default(), &from, &mut || false).unwrap();
        all.extend(found.ids);
        from.after = found.next;
        if from.after.is_none() {
            break;
        }
    }
    assert_eq!((all, pages), (vec!["amy".to_owned(), "cal".to_owned()], 3));
}

#[test]
fn a_directory_is_searched_in_the_order_of_ids() {
    let directory = villa();
    assert_eq!(directory.ids("Site", None, 5), ["villa"]);
    assert_eq!(directory.ids("Site", Some("villa"), 5), [""; 0]);
    assert_eq!(directory.ids("Operator", None, 5), [""; 0]);
    let mut many = Directory::default();
    let companies: Vec<Event> = (0..3000)
        .map(|number| {
            let name = format!("c-{:04}", (number * 7) % 3000);
            serde_json::from_value(json!({"companyRegistered": {"company": name}})).unwrap()
        })
        .collect();
    many.apply(1, time("2026-01-01T00:00:00Z"), &companies).unwrap();
    let all = many.ids("Company", None, 5000);
    assert_eq!(all.len(), 3000);
    assert!(all.is_sorted());
    assert_eq!(many.ids("Company", Some("c-0041"), 2), ["c-0042", "c-0043"]);
    assert_eq!(many.ids("Company", Some("c-2998"), 2), ["c-2999"]);
}

#[test]
fn entities_that_do_not_fit_the_schema_are_refused() {
    let library = library();
    for (text, said) in [
        ("[", "EOF"),
        (r#"[{"uid": {"type": "user", "id": "x"}, "attrs": {"role": 7}, "parents": []}]"#, "role"),
        (r#"[{"uid": {"type": "ship", "id": "x"}, "attrs": {}, "parents": []}]"#, "ship"),
    ] {
        let error = EntityStore::from_json(text, library.policies()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
