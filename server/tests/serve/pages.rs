//! Searches page by page, on entities of the test's own.

use std::fs;

use serde_json::{Value, json};

use crate::server::{Server, repository};

/// The fixture with a hundred records more, of which every third is archived: bob may write those alone.
fn server(folder: &std::path::Path, set: &[&str]) -> Server {
    let fixture = repository().join("tests/gateways/authzen");
    let mut entities: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(fixture.join("entities.json")).unwrap()).unwrap();
    for number in 0..100 {
        let status = if number % 3 == 0 { "archived" } else { "active" };
        let uid = json!({ "type": "record", "id": format!("r {number:03} \u{e9}.") });
        entities.push(json!({ "uid": uid, "attrs": { "status": status }, "parents": [] }));
    }
    let file = folder.join("entities.json");
    fs::write(&file, json!(entities).to_string()).unwrap();
    let policies = fixture.join("policies");
    let mut arguments = vec!["--entities", file.to_str().unwrap(), "--policies", policies.to_str().unwrap()];
    arguments.extend(["--listen", "127.0.0.1:0"]);
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    Server::start(&arguments)
}

fn writable() -> Value {
    json!({
        "subject": { "type": "user", "id": "bob" },
        "action": { "name": "write" },
        "resource": { "type": "record" },
    })
}

/// All ids, and how many pages there were.
fn all(server: &Server, mut search: Value, limit: Option<usize>) -> (Vec<String>, usize) {
    let (mut ids, mut pages) = (Vec::new(), 0);
    search["page"] = limit.map_or(json!({}), |limit| json!({ "limit": limit }));
    loop {
        let answer = server.answer("/access/v1/search/resource", &search);
        let results = answer["results"].as_array().unwrap();
        assert_eq!(answer["page"]["count"], results.len());
        assert!(limit.is_none_or(|limit| results.len() <= limit));
        ids.extend(results.iter().map(|result| result["id"].as_str().unwrap().to_owned()));
        pages += 1;
        match answer["page"]["next_token"].as_str().unwrap() {
            "" => return (ids, pages),
            token => search["page"]["token"] = json!(token),
        }
    }
}

#[test]
fn pages_together_are_the_whole_search() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let (whole, pages) = all(&server, writable(), None);
    assert_eq!((whole.len(), pages), (35, 1));
    assert!(whole.is_sorted());
    for limit in [1, 4, 34, 35, 36] {
        let (paged, pages) = all(&server, writable(), Some(limit));
        assert_eq!(paged, whole, "{limit}");
        assert!(pages >= 35_usize.div_ceil(limit) && pages <= 35 / limit + 1, "{limit}: {pages}");
    }
}

#[test]
fn a_search_that_asks_for_many_ends_its_page_early() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["limits.search_candidates=10", "limits.search_page=7"]);
    let (paged, pages) = all(&server, writable(), None);
    assert_eq!(paged.len(), 35);
    assert!(pages >= 10, "{pages}");
    let answer = server.answer("/access/v1/search/resource", &writable());
    assert_ne!(answer["page"]["next_token"], "", "there is more: it must be said without being asked for");
}

#[test]
fn a_search_that_takes_long_ends_its_page_early() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["limits.search=0s"]);
    let (paged, pages) = all(&server, writable(), None);
    assert_eq!(paged.len(), 35);
    assert!(pages > 100, "each page asks one question: {pages}");
}

#[test]
fn a_token_is_for_the_search_that_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let mut search = writable();
    search["page"] = json!({ "limit": 2 });
    let answer = server.answer("/access/v1/search/resource", &search);
    let token = answer["page"]["next_token"].clone();
    search["page"] = json!({ "limit": 2, "token": token });
    assert_eq!(server.post("/access/v1/search/resource", &search).0, 200);
    for (name, value) in [
        ("subject", json!({ "type": "user", "id": "alice" })),
        ("subject", json!({ "type": "user", "id": "bob", "properties": { "role": "admin" } })),
        ("action", json!({ "name": "read" })),
        ("context", json!({ "ip": "::1" })),
        ("page", json!({ "limit": 3, "token": token })),
        ("page", json!({ "token": "nonsense" })),
        ("page", json!({ "token": format!("{}00", token.as_str().unwrap().split('.').next().unwrap()) })),
        ("page", json!({ "token": 7 })),
        ("page", json!({ "limit": -1 })),
        ("page", json!({ "limit": "many" })),
        ("page", json!(5)),
    ] {
        let mut other = search.clone();
        other[name] = value;
        let (status, problem) = server.post("/access/v1/search/resource", &other);
        assert_eq!(status, 400, "{other}: {problem}");
    }
}

#[test]
fn a_page_of_none_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[]);
    let mut search = writable();
    search["page"] = json!({ "limit": 0 });
    let answer = server.answer("/access/v1/search/resource", &search);
    assert_eq!(answer["results"], json!([]));
    assert_ne!(answer["page"]["next_token"], "");
}

#[test]
fn actions_come_in_pages_too() {
    let server = Server::certified();
    let mut search = json!({
        "subject": { "type": "user", "id": "alice" }, "resource": { "type": "record", "id": "record-1" },
        "page": { "limit": 1 },
    });
    let first = server.answer("/access/v1/search/action", &search);
    assert_eq!(first["results"], json!([{ "name": "read" }]));
    search["page"] = json!({ "token": first["page"]["next_token"] });
    let second = server.answer("/access/v1/search/action", &search);
    assert_eq!(
        (&second["results"], &second["page"]["next_token"]),
        (&json!([{ "name": "write" }]), &json!(""))
    );
}
