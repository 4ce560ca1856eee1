use axum::http::{HeaderMap, HeaderName, HeaderValue};
use consentry::policy::{PolicyFile, PolicySources};
use serde_json::json;

use super::*;

const FILE: &str = include_str!("../../../../../tests/gateways/mapping.toml");

fn policies() -> Policies {
    Policies::shipped().unwrap()
}

/// What a request by `identity` stands for.
fn stands(mapping: &Mapping, method: &str, target: &str, identity: &Value) -> Result<String, Unmapped> {
    let headers = HeaderMap::new();
    let request = GatewayRequest { method, target, headers: &headers };
    let identity = identity.as_object().map(|identity| Identity(identity.clone()));
    mapping.stands_for(&request, identity.as_ref(), &policies()).map(|stands| match stands {
        StandsFor::Open => "open".to_owned(),
        StandsFor::Question(question) => {
            format!("{} {} {}", question.principal, question.action, question.resource)
        }
    })
}

fn ivan(method: &str, target: &str) -> Result<String, Unmapped> {
    stands(&Mapping::parse(FILE).unwrap(), method, target, &json!({ "sub": "ivan" }))
}

fn asks(question: &str) -> Result<String, Unmapped> {
    Ok(question.to_owned())
}

#[test]
fn a_request_stands_for_what_its_route_says() {
    Mapping::parse(FILE).unwrap().fits(&policies()).unwrap();
    let live = "/sites/villa/devices/cam-7/live";
    assert_eq!(ivan("GET", live), asks(r#"Installer::"ivan" liveView Device::"cam-7""#));
    assert_eq!(
        ivan("GET", &format!("{live}?quality=high")),
        asks(r#"Installer::"ivan" liveView Device::"cam-7""#)
    );
    assert_eq!(ivan("POST", live), Err(Unmapped::NoRoute));
    assert_eq!(ivan("get", live), Err(Unmapped::NoRoute));
    assert_eq!(ivan("GET", &format!("{live}/")), Err(Unmapped::NoRoute));
    assert_eq!(ivan("GET", "/sites//devices/cam-7/live"), Err(Unmapped::NoRoute));
    assert_eq!(
        ivan("DELETE", "/sites/villa/settings"),
        asks(r#"Installer::"ivan" manageSite Site::"villa""#)
    );
    let recordings = "/sites/villa/devices/cam-7/recordings";
    assert_eq!(
        ivan("GET", &format!("{recordings}/2026/11/a.mp4")),
        asks(r#"Installer::"ivan" playback Device::"cam-7""#)
    );
    assert_eq!(ivan("GET", recordings), Err(Unmapped::NoRoute));
    assert_eq!(ivan("GET", &format!("{recordings}/")), Err(Unmapped::NoRoute));
    assert_eq!(ivan("GET", "/"), Err(Unmapped::NoRoute));
    assert_eq!(ivan("GET", "/status"), asks("open"));
}

#[test]
fn who_asks_is_the_principal_of_the_first_rule_that_holds() {
    let mapping = Mapping::parse(FILE).unwrap();
    let who = |identity: Value| stands(&mapping, "GET", "/sites/s/devices/d/live", &identity);
    assert_eq!(
        who(json!({ "sub": "olga", "kind": "owner" })),
        asks(r#"EndUser::"olga" liveView Device::"d""#)
    );
    assert_eq!(
        who(json!({ "sub": "ivan", "kind": "staff" })),
        asks(r#"Installer::"ivan" liveView Device::"d""#)
    );
    assert_eq!(who(Value::Null), Err(Unmapped::NoIdentity));
    for nobody in [json!({}), json!({ "sub": "" }), json!({ "sub": ["ivan"] }), json!({ "kind": "owner" })] {
        assert_eq!(who(nobody.clone()), Err(Unmapped::NoPrincipal), "{nobody}");
    }
    assert_eq!(stands(&mapping, "GET", "/status", &Value::Null), asks("open"));
}

/// What servers read in different ways stands for nothing, whatever routes there are.
#[test]
fn a_path_that_can_be_read_in_two_ways_is_none() {
    for path in [
        "/sites/villa/devices/cam-7/../cam-8/live",
        "/sites/villa/devices/cam-7/%2e%2E/live",
        "/sites/villa/devices/./live",
        "/sites/villa/devices/cam-7%2Flive",
        "/sites/villa/devices/cam-7%5clive",
        "/sites/villa/devices/cam-7\\live",
        "/sites/villa/devices/cam%252F7/live",
        "/sites/villa/devices/cam;v=1/live",
        "/sites/villa/devices/cam%3Bv=1/live",
        "/sites/villa/devices/cam%3Flive/live",
        "/sites/villa/devices/cam%23/live",
        "/sites/villa/devices/cam-7/live#x",
        "/sites/villa/devices/cam%00/live",
        "/sites/villa/devices/cam%0a/live",
        "/sites/villa/devices/cam%ff/live",
        "/sites/villa/devices/cam%zz/live",
        "/sites/villa/devices/cam%+1/live",
        "/sites/villa/devices/cam%4",
        "/sites/villa/devices/cam 7/live",
        "/sites/villa/devices/cam\u{e9}/live",
        "sites/villa/devices/cam-7/live",
        "http://other/sites/villa/devices/cam-7/live",
        "*",
        "",
    ] {
        assert!(matches!(ivan("GET", path), Err(Unmapped::Ambiguous(_))), "{path}");
    }
    let escaped = ivan("GET", "/sites/villa/devices/cam%2D7/live");
    assert_eq!(escaped, asks(r#"Installer::"ivan" liveView Device::"cam-7""#));
    assert_eq!(
        ivan("GET", "/s%69tes/villa/devices/d/live"),
        asks(r#"Installer::"ivan" liveView Device::"d""#)
    );
}

fn with_context(context: &str) -> Result<Mapping, String> {
    Mapping::parse(&format!(
        "[[principal]]\nis = 'Installer::\"{{identity.realm.id}}\"'\n\
         [[route]]\npath = \"/live/{{device}}\"\naction = \"liveView\"\nresource = 'Device::\"{{device}}\"'\n\
         context = {context}\n",
    ))
}

#[test]
fn a_context_is_said_under_the_schema() {
    let schema = PolicySources::shipped().schema.unwrap().text.replace(
        "context: { now: datetime, grant?: Coverage },",
        "context: { now: datetime, grant?: Coverage, from?: String, speed?: Long, site?: String },",
    );
    let mut sources = PolicySources::shipped();
    sources.schema = Some(PolicyFile { name: "schema".into(), text: schema });
    let policies = Policies::load(&sources).unwrap();
    let mapping = with_context(r#"{ from = "{query.from}", speed = 3, site = "{header.X-Site}!" }"#).unwrap();
    mapping.fits(&policies).unwrap();
    let ask = |target: &str, sites: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for site in sites {
            headers.append(HeaderName::from_static("x-site"), HeaderValue::from_static(site));
        }
        let request = GatewayRequest { method: "GET", target, headers: &headers };
        let identity = Identity(json!({ "realm": { "id": 7 } }).as_object().unwrap().clone());
        mapping.stands_for(&request, Some(&identity), &policies)
    };
    let Ok(StandsFor::Question(question)) = ask("/live/d?x=1&from=a%20b", &["villa"]) else {
        panic!("no question")
    };
    assert_eq!(question.principal.to_string(), r#"Installer::"7""#);
    assert_eq!(
        Value::Object(question.context.clone()),
        json!({ "from": "a b", "speed": 3, "site": "villa!" })
    );
    for (target, sites) in [
        ("/live/d", ["villa"].as_slice()),
        ("/live/d?from=a&from=b", &["villa"]),
        ("/live/d?from=a", &[]),
        ("/live/d?from=a", &["villa", "hut"]),
    ] {
        assert!(matches!(ask(target, sites), Err(Unmapped::NoQuestion(_))), "{target} {sites:?}");
    }
    let required = sources.schema.as_mut().unwrap();
    required.text = required.text.replace("speed?: Long", "speed: Long");
    let policies = Policies::load(&sources).unwrap();
    mapping.fits(&policies).unwrap();
    let without = with_context(r#"{ site = "villa" }"#).unwrap();
    assert!(without.fits(&policies).unwrap_err().contains("liveView needs `speed`"));
    assert!(
        mapping
            .fits(&Policies::shipped().unwrap())
            .unwrap_err()
            .contains("no `from` in the context of liveView")
    );
}

#[test]
fn what_is_wrong_with_a_mapping_is_said() {
    let principal = "[[principal]]\nis = 'Installer::\"{identity.sub}\"'\n";
    let route = |more: &str| format!("{principal}[[route]]\n{more}\n");
    let live = "action = \"liveView\"\nresource = 'Device::\"{d}\"'\n";
    for (text, words) in [
        ("[[route]]\npaht = \"/\"\n".to_owned(), "unknown field `paht`"),
        (route("path = \"/x\"\n"), "it needs an `action` and a `resource`, or must be `open`"),
        (route(&format!("path = \"/x\"\nopen = true\n{live}")), "an `open` route asks nothing"),
        (route(&format!("path = \"x/{{d}}\"\n{live}")), "begins with `/`"),
        (route(&format!("path = \"/x\"\n{live}")), "there is no {d} in the path"),
        (route(&format!("path = \"/{{d}}/{{d}}\"\n{live}")), "{d} is in it twice"),
        (route(&format!("path = \"/{{d*}}/x\"\n{live}")), "nothing can stand after"),
        (route(&format!("path = \"/a-{{d}}\"\n{live}")), "text or one variable"),
        (route(&format!("path = \"/%41/{{d}}\"\n{live}")), "without escapes"),
        (route(&format!("path = \"/{{d}}\"\nmethods = [\"get\"]\n{live}")), "`get` is no method"),
        (
            route("path = \"/{d}\"\naction = \"liveView\"\nresource = 'Device'\n"),
            "not of the form Type::\"id\"",
        ),
        (route("path = \"/{d}\"\naction = \"liveView\"\nresource = 'Device::\"{d\"'\n"), "without its `}`"),
        (
            route("path = \"/{d}\"\naction = \"liveView\"\nresource = 'Device::\"{cookie.d}\"'\n"),
            "neither a variable",
        ),
        (route("path = \"/{d}\"\naction = \"liveView\"\nresource = '{d}::\"x\"'\n"), "not of the form"),
        ("[[principal]]\nis = 'Installer::\"{header.x-user}\"'\n".to_owned(), "a verified identity alone"),
        ("[[principal]]\nis = 'Operator::\"root\"'\n".to_owned(), "a verified identity alone"),
        (
            route(&format!(
                "path = \"/{{d}}\"\n{live}[[route]]\nmethods = [\"GET\"]\npath = \"/x\"\nopen = true\n"
            )),
            "the route /x is never reached",
        ),
    ] {
        let message = Mapping::parse(&text).expect_err(&text);
        assert!(message.contains(words), "{text}: {message}");
    }
    let other =
        Mapping::parse(&route("path = \"/{d}\"\naction = \"fly\"\nresource = 'Device::\"{d}\"'\n")).unwrap();
    assert!(other.fits(&policies()).unwrap_err().contains("no fly on a Device"));
    let command =
        Mapping::parse(&route("path = \"/{d}\"\naction = \"removeDevice\"\nresource = 'Device::\"{d}\"'\n"));
    assert!(command.unwrap().fits(&policies()).is_err());
}

#[test]
fn a_route_before_another_hides_it_only_if_it_takes_all_of_it() {
    let with = |first: &str, second: &str| {
        Mapping::parse(&format!("[[route]]\n{first}\nopen = true\n[[route]]\n{second}\nopen = true\n"))
            .is_err()
    };
    assert!(with("path = '/a/{x}'", "path = '/a/b'"));
    assert!(with("path = '/{x*}'", "path = '/a/b'"));
    assert!(with("path = '/{x*}'", "path = '/a/{y*}'"));
    assert!(with("path = '/a'\nmethods = ['GET', 'PUT']", "path = '/a'\nmethods = ['PUT']"));
    assert!(!with("path = '/a/b'", "path = '/a/{x}'"));
    assert!(!with("path = '/a/{x}'", "path = '/a/b/c'"));
    assert!(!with("path = '/a/{x*}'", "path = '/a'"));
    assert!(!with("path = '/a/{x}'", "path = '/{x*}'"));
    assert!(!with("path = '/a'\nmethods = ['GET']", "path = '/a'"));
    assert!(!with("path = '/{x}'", "path = '/'"));
}
