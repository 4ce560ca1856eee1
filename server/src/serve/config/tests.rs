use std::fs;

use super::*;

fn of(text: &str, overrides: &[Override]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consentry.toml");
    fs::write(&path, text).unwrap();
    let shown = path.display().to_string();
    merged(Some(&path), overrides).map_err(|error| error.to_string().replace(&shown, "consentry.toml"))
}

fn typed(text: &str) -> Override {
    Override::typed(text).unwrap()
}

#[test]
fn without_a_file_there_is_a_ledger_in_a_folder_and_only_loopback() {
    let config = merged(None, &[]).unwrap();
    assert_eq!(config.listen.http.unwrap().to_string(), "127.0.0.1:8181");
    assert_eq!(config.ledger.unwrap().folder.unwrap(), Path::new("consentry-ledger"));
    assert_eq!(config.entities, None);
    assert_eq!(config.lifetimes.invite, Length::from_hours(24));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[limits]\nevaluations = 7\nsearches = 7\nsearch_page = 7\n";
    let variable = |name: &str, value: &str| Override::variable(name, value).unwrap();
    let overrides = [
        variable("CONSENTRY__LIMITS__EVALUATIONS", "8"),
        variable("CONSENTRY__LIMITS__SEARCHES", "8"),
        typed("limits.searches=9"),
    ];
    let limits = of(file, &overrides).unwrap().limits;
    assert_eq!((limits.search_page, limits.evaluations, limits.searches), (7, 8, 9));
    assert_eq!(Override::variable("CONSENTRY_KILLS", "5"), None);
    assert_eq!(Override::variable("HOME", "/root"), None);
}

#[test]
fn paths_in_a_file_are_seen_from_the_file_and_typed_ones_from_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("consentry.toml");
    fs::write(&path, "[policies]\nfolder = \"rules\"\n[entities]\nfile = \"entities.json\"\n").unwrap();
    let config = merged(Some(&path), &[typed("policies.folder=mine")]).unwrap();
    assert_eq!(config.policies.folder.unwrap(), Path::new("mine"));
    assert_eq!(config.entities.unwrap().file, folder.path().join("entities.json"));
}

#[test]
fn what_is_printed_can_be_read_again() {
    for text in ["", "[policies]\nfolder = \"/p\"\npoll = \"2s\"\n[entities]\nfile = \"/e.json\"\n"] {
        let config = of(text, &[]).unwrap();
        assert_eq!(of(&toml::to_string(&config).unwrap(), &[]).unwrap(), config);
    }
}

#[test]
fn a_value_is_read_as_toml_where_it_is_some() {
    assert!(of("", &[typed("ledger.memory=true")]).unwrap().ledger.unwrap().memory);
    assert_eq!(of("", &[typed("limits.head=5s")]).unwrap().limits.head, Length::from_seconds(5));
    assert_eq!(of("", &[typed("listen.http=[::1]:9")]).unwrap().listen.http.unwrap().to_string(), "[::1]:9");
    let named = of("", &[typed("ledger.folder=2026-01-01")]).unwrap();
    assert_eq!(named.ledger.unwrap().folder.unwrap(), Path::new("2026-01-01"));
}

/// What is wrong, and the words that say so.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, words) in [
        ("[listen]\nhtpp = \"127.0.0.1:1\"\n", ["consentry.toml", "line 2", "htpp", "`http`"].as_slice()),
        ("[listen\n", &["consentry.toml", "line 1"]),
        ("[listen]\nhttp = \"here\"\n", &["line 2", "socket address"]),
        ("[listen]\nhttps = \"127.0.0.1:1\"\n", &["`listen.https` needs `tls`"]),
        ("[limits]\nbody = \"10\"\n", &["line 2", "`10` is no length of time"]),
        ("[limits]\nbody = \"50d\"\n", &["too long"]),
        ("[limits]\nbody = \"0s\"\n", &["limits.body", "no time at all"]),
        ("[limits]\nevaluations = -1\n", &["line 2"]),
        ("[limits]\nevaluations = 0\n", &["limits.evaluations", "is 0"]),
        ("[lifetimes]\ninvite = \"0s\"\n", &["lifetimes.invite"]),
        ("[ledger]\nfolder = \"l\"\nmemory = true\n", &["contradict"]),
        ("[entities]\nfile = \"e\"\n", &["policies.folder"]),
        ("[entities]\nfile = \"e\"\n[ledger]\nmemory = true\n", &["only one"]),
        ("[authzen]\npublic_url = \"http://pdp.example.com\"\n", &["https://"]),
        ("[authzen]\npublic_url = \"https://pdp.example.com/\"\n", &["ends without"]),
        ("[authzen]\npublic_url = \"https://pdp.example.com?x\"\n", &["query"]),
        ("[authzen]\npublic_url = \"https://\"\n", &["no host"]),
        ("[listen]\ngrpc = \"127.0.0.1:0\"\n", &["gateway.mapping"]),
        ("[[callers]]\nname = \"a\"\nrole = \"evaluate\"\ncertificate = \"b\"\n", &["`a`", "client_ca"]),
    ] {
        let message = of(text, &[]).expect_err(text);
        for word in words {
            assert!(message.contains(word), "{text}: {message}");
        }
    }
    for (set, words) in [
        ("limits.evaluations=many", ["--set limits.evaluations", "invalid type"].as_slice()),
        ("limits.evalutions=5", &["--set limits.evalutions", "unknown field"]),
        ("limits.head.most=5", &["--set limits.head.most", "has no parts"]),
    ] {
        let message = of("", &[typed(set)]).expect_err(set);
        for word in words {
            assert!(message.contains(word), "{set}: {message}");
        }
    }
    assert!(Override::typed("limits").unwrap_err().to_string().contains("KEY=VALUE"));
    assert!(
        merged(Some(Path::new("/nowhere.toml")), &[]).unwrap_err().to_string().starts_with("/nowhere.toml: ")
    );
}

#[test]
fn lengths_are_written_as_they_are_read() {
    for text in ["0s", "1ms", "1500ms", "2s", "5m", "24h", "7d", "1d"] {
        let written = text.parse::<Length>().unwrap().to_string();
        assert_eq!(written.parse::<Length>(), text.parse::<Length>());
    }
    assert_eq!("48h".parse::<Length>().unwrap().to_string(), "2d");
    for text in ["", "s", "5", "5 s", "-5s", "5w", "1.5s", "99999999999s"] {
        assert!(text.parse::<Length>().is_err(), "{text}");
    }
}
