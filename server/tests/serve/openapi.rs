//! The document about the API, which is made from the code.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::server::{Server, repository};

fn document() -> Value {
    let (status, document) = Server::certified().get("/v1/openapi.json");
    assert_eq!(status, 200);
    document
}

/// `UPDATE_GOLDEN=1` writes it anew; then read the difference.
#[test]
fn the_document_is_the_one_in_the_repository() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    let path = repository().join("docs/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "docs/openapi.json is not what the server serves: UPDATE_GOLDEN=1 writes it anew"
    );
}

fn visit(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            see(name, value);
            visit(value, see);
        }),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_the_document_refers_to_is_in_it() {
    let document = document();
    let mut count = 0;
    visit(&document, &mut |name, value| {
        if name == "$ref" {
            let at = value.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(at).is_some(), "{at}");
            count += 1;
        }
        assert!(!name.starts_with("x-"), "{name}");
    });
    assert!(count > 100);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_schema_is_used() {
    let document = document();
    let mut names = BTreeSet::new();
    let mut used = BTreeSet::from(["Record".to_owned(), "Event".to_owned()]);
    visit(&document, &mut |name, value| {
        if name == "operationId" {
            assert!(names.insert(value.as_str().unwrap().to_owned()), "{value}");
        }
        if name == "$ref" {
            used.insert(value.as_str().unwrap().rsplit('/').next().unwrap().to_owned());
        }
    });
    let schemas: BTreeSet<String> =
        document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(schemas.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new());
    let commands = &document["components"]["schemas"]["Command"]["oneOf"];
    assert_eq!(commands.as_array().unwrap().len(), consentry::Command::NAMES.len());
}
