use consentry::Uid;

use super::*;

fn fields(all: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    all.iter().for_each(|(name, value)| fields.append(name.as_bytes(), value.as_bytes()));
    fields
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn headers_that_plugins_changed_are_told_with_all_of_their_values() {
    let before = [("a", "1"), ("b", "2"), ("c", "3"), ("c", "4"), ("cookie", "x=1")];
    let (set, removed) = changes(&fields(&before), &fields(&before));
    assert_eq!((set, removed.len()), (vec![], 0));
    let after = [("a", "1"), ("a", "5"), ("c", "4"), ("cookie", "x=1"), ("cookie", "y=2"), ("d", "6")];
    let (set, removed) = changes(&fields(&before), &fields(&after));
    assert_eq!(set, pairs(&[("a", "1, 5"), ("c", "4"), ("cookie", "x=1; y=2"), ("d", "6")]));
    assert_eq!(removed, ["b"]);
    let (set, _) = changes(&fields(&[("a", "1"), ("a", "2")]), &fields(&[("a", "2"), ("a", "1")]));
    assert_eq!(set, pairs(&[("a", "2, 1")]), "their order counts");
}

/// With another length than it has, what is left of a body would be a request of its own.
#[test]
fn no_plugin_says_where_a_request_ends_or_whom_it_is_for() {
    let before = fields(&[("content-length", "50"), ("host", "a"), ("connection", "close")]);
    let after = fields(&[
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("te", "trailers"),
        ("x-seen", "1"),
    ]);
    assert_eq!(changes(&before, &after), (pairs(&[("x-seen", "1")]), vec![]));
}

fn passes(principal: &str) -> Verdict {
    let question = AccessRequest::new(Uid::new("EndUser", principal), "liveView", Uid::new("Device", "d"));
    Verdict { question: Some(Box::new(question)), ..Verdict::open() }
}

#[test]
fn what_only_the_server_says_is_said_by_nobody_else() {
    let mut verdict = passes("olga");
    verdict.set = pairs(&[("x-consentry-reason", "none"), ("x-seen", "yes"), ("x-odd", "a\u{f6}b")]);
    verdict.removed = vec!["x-consentry-decision".to_owned(), "x-gone".to_owned()];
    let headers = verdict.headers();
    let said: Vec<&str> = headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(said, ["x-consentry-decision", "x-consentry-principal", "x-seen"]);
    let unsaid =
        ["x-consentry-reason", "x-consentry-revision", "x-consentry-policies", "x-consentry-valid-until"];
    assert_eq!(verdict.removed(&headers), [&unsaid[..], &["x-gone", "x-odd"]].concat());
    let denied = Verdict { set: pairs(&[("x-seen", "yes")]), ..Verdict::denied("unmapped", None) };
    assert_eq!(
        denied.removed(&denied.headers()),
        [""; 0],
        "nothing goes on that something could be taken from"
    );
}

#[test]
fn whoever_asks_is_told_in_letters_that_every_header_can_hold() {
    let headers = passes("r\u{f6}\u{1f4f7}t\n").headers();
    let principal = headers.iter().find(|(name, _)| name == "x-consentry-principal").unwrap();
    assert_eq!(principal.1, r#"EndUser::"r\u{f6}\u{1f4f7}t\n""#);
    let nobody = Verdict::open().headers();
    assert!(nobody.contains(&("x-consentry-principal".into(), String::new())), "{nobody:?}");
}
