//! Who asks through a gateway: tokens of every kind of wrongness, headers of a trusted gateway, and the gateway itself.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::callers::token;
use crate::http::Message;
use crate::process::until;
use crate::server::{Server, permissive, read, repository};

/// Base64 as tokens have it (RFC 7515 §2).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// Somebody who issues tokens.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    id: &'static str,
}

impl Issuer {
    pub(crate) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { key: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(), id }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": x, "y": y })
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let made = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", base64(made.as_ref()))
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "alg": "ES256", "typ": "JWT", "kid": self.id }), claims)
    }
}

/// Seconds since 1970, at this moment.
fn now() -> i64 {
    std::fs::metadata("/proc/self")
        .unwrap()
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

fn claims() -> Value {
    json!({ "iss": "https://id.acme.test", "aud": ["other", "video"], "sub": "root", "exp": now() + 600 })
}

pub(crate) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

const MAPPING: &str = "[[principal]]\nis = 'Operator::\"{identity.sub}\"'\n\
    [[route]]\npath = \"/sites/{site}\"\naction = \"manageSite\"\nresource = 'Site::\"{site}\"'\n\
    [[route]]\npath = \"/open\"\nopen = true\n";

/// Who asks is answered at all when they are known: the site is not there, and nobody may manage it.
const KNOWN: (u16, &str) = (403, "unknown_resource");
const NOBODY: (u16, &str) = (401, "unauthenticated");

fn server(folder: &Path, identity: &str) -> Server {
    fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
    let config = folder.join("consentry.toml");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\n[policies]\npoll = \"20ms\"\n[ledger]\nmemory = true\n[gateway]\nmapping = \"mapping.toml\"\n{identity}"
    );
    fs::write(&config, text).unwrap();
    Server::start(&["--config", config.to_str().unwrap()])
}

pub(crate) fn jwt(jwks: &str, more: &str) -> String {
    format!(
        "[identity.jwt]\njwks = \"{jwks}\"\nissuer = \"https://id.acme.test\"\naudience = [\"video\", \"audio\"]\n{more}\n"
    )
}

fn with_keys(folder: &Path, keys: &[Value], more: &str) -> Server {
    fs::write(folder.join("jwks.json"), json!({ "keys": keys }).to_string()).unwrap();
    server(folder, &jwt("jwks.json", more))
}

fn asked(server: &Server, headers: &[(&str, &str)]) -> (u16, String, Value) {
    let mut request = Message::new("GET /gateway/envoy/sites/none HTTP/1.1").header("host", "pdp");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = server.ask(&request);
    let reason =
        response.get("x-consentry-reason").map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let (status, body) = read(&response);
    (status, reason, body)
}

fn shown(server: &Server, token: &str) -> (u16, String) {
    let (status, reason, _) = asked(server, &[("authorization", &format!("Bearer {token}"))]);
    (status, reason)
}

fn said((status, reason): (u16, &str)) -> (u16, String) {
    (status, reason.to_owned())
}

#[test]
fn a_token_counts_if_it_is_signed_by_the_issuer_for_us_and_now() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let server = with_keys(folder.path(), &[Issuer::new("other").jwk(), issuer.jwk()], "");
    let told = |claims: &Value| {
        let token = issuer.token(claims);
        let (status, reason, body) = asked(&server, &[("authorization", &format!("Bearer {token}"))]);
        (status, reason, body["detail"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(shown(&server, &issuer.token(&claims())), said(KNOWN));
    // A second time the signature is known already.
    assert_eq!(shown(&server, &issuer.token(&with("aud", json!("audio")))), said(KNOWN));
    for (claims, why) in [
        (with("exp", json!(now() - 31)), "has expired"),
        (with("exp", json!("tomorrow")), "not valid"),
        (without("exp"), "not valid"),
        (with("nbf", json!(now() + 60)), "not valid yet"),
        (with("nbf", json!([])), "`nbf` is no moment"),
        (with("iss", json!("https://id.other.test")), "InvalidIssuer"),
        (without("iss"), "not valid"),
        (with("aud", json!("others")), "InvalidAudience"),
        (with("aud", json!([])), "not valid"),
        (without("aud"), "not valid"),
    ] {
        let (status, reason, detail) = told(&claims);
        assert_eq!((status, reason.as_str()), NOBODY, "{claims}");
        assert!(detail.contains(why), "{claims}: {detail}");
    }
    // Clocks may differ by half a minute.
    assert_eq!(shown(&server, &issuer.token(&with("exp", json!(now() - 10)))), said(KNOWN));
    assert_eq!(shown(&server, &issuer.token(&with("nbf", json!(now() + 10)))), said(KNOWN));
    assert_eq!(shown(&server, &issuer.token(&without("sub"))), (403, "no_principal".into()));
}

#[test]
fn a_token_that_was_changed_or_signed_by_others_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let server = with_keys(folder.path(), &[issuer.jwk()], "");
    let good = issuer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let other = base64(with("sub", json!("eve")).to_string().as_bytes());
    let header = |header: Value| issuer.signed(&header, &claims());
    let none = base64(br#"{"alg":"none"}"#);
    // The public key as the secret of HS256: whoever has it could sign.
    let hs = base64(br#"{"alg":"HS256","kid":"one"}"#);
    let twice =
        base64(br#"{"iss":"https://id.acme.test","aud":"video","sub":"a","sub":"b","exp":4102444800}"#);
    for (token, what) in [
        (format!("{}.{other}.{}", parts[0], parts[2]), "other claims"),
        (format!("{}.{}.{}", parts[0], parts[1], base64(&[0; 64])), "no signature of anybody"),
        (format!("{}.{}.", parts[0], parts[1]), "no signature"),
        (format!("{none}.{}.", parts[1]), "alg none"),
        (format!("{hs}.{}.{}", parts[1], base64(&[7; 32])), "a shared secret"),
        (Issuer::new("one").token(&claims()), "another key of the same id"),
        (Issuer::new("two").token(&claims()), "a key of another id"),
        (header(json!({ "alg": "RS256", "kid": "one" })), "another algorithm"),
        (header(json!({ "alg": "ES384", "kid": "one" })), "another curve"),
        (
            header(json!({ "alg": "ES256", "kid": "one", "crit": ["exp"] })),
            "an extension that must be understood",
        ),
        (header(json!({ "alg": "ES256", "kid": 7 })), "an id that is none"),
        (format!("{}.{twice}.{}", parts[0], parts[2]), "a claim that is there twice"),
        (format!("{good}.x"), "four parts"),
        (parts[1].to_owned(), "one part"),
        ("x".repeat(20_000), "far too long"),
        (String::new(), "nothing"),
    ] {
        assert_eq!(shown(&server, &token), said(NOBODY), "{what}");
    }
    assert_eq!(shown(&server, &good), said(KNOWN));
    let two = [("authorization", &*format!("Bearer {good}")), ("authorization", "Bearer x")];
    assert_eq!(asked(&server, &two).0, 401);
    assert_eq!(asked(&server, &[("authorization", &format!("Basic {good}"))]).0, 401);
    assert_eq!(asked(&server, &[]).0, 401);
    // What is open asks for nobody; a token that is shown must be good all the same.
    let open = |headers: &[(&str, &str)]| {
        let mut request = Message::new("GET /gateway/envoy/open HTTP/1.1").header("host", "pdp");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        server.ask(&request).second_word().to_owned()
    };
    assert_eq!((open(&[]), open(&[("authorization", "Bearer x")])), ("200".into(), "401".into()));
}

#[test]
fn an_ed25519_key_and_keys_without_an_id_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key().as_ref()) });
    let mut anonymous = Issuer::new("one").jwk();
    anonymous.as_object_mut().unwrap().retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
    let secret = json!({ "kty": "oct", "k": base64(b"secret"), "alg": "HS256" });
    let server = with_keys(folder.path(), &[secret, anonymous, jwk], "");
    let message = format!("{}.{}", base64(br#"{"alg":"EdDSA"}"#), base64(claims().to_string().as_bytes()));
    let token = format!("{message}.{}", base64(key.sign(message.as_bytes()).as_ref()));
    assert_eq!(shown(&server, &token), said(KNOWN));
}

#[test]
fn keys_in_a_file_are_read_again_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Issuer::new("one"), Issuer::new("two"));
    let server = with_keys(folder.path(), &[first.jwk()], "");
    let (old, new) = (first.token(&claims()), second.token(&claims()));
    assert_eq!((shown(&server, &old), shown(&server, &new)), (said(KNOWN), said(NOBODY)));
    fs::write(folder.path().join("jwks.json"), "{").unwrap();
    until("it is refused", || server.get("/readyz").1["refused"]["keys"].is_object());
    assert_eq!(shown(&server, &old), said(KNOWN));
    fs::write(folder.path().join("jwks.json"), json!({ "keys": [second.jwk()] }).to_string()).unwrap();
    until("the new key counts", || shown(&server, &new) == said(KNOWN));
    assert_eq!(shown(&server, &old), said(NOBODY), "what was verified before is verified again");
}

/// Publishes keys, or nothing while there are none.
fn published(keys: &Arc<Mutex<Option<Value>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, keys) = (listener.local_addr().unwrap().port(), keys.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = Message::read(&mut BufReader::new(&stream), false);
            let answer = match &*keys.lock().unwrap() {
                Some(keys) => Message::new("HTTP/1.1 200 OK")
                    .header("connection", "close")
                    .body(&json!({ "keys": [keys] }).to_string()),
                None => Message::new("HTTP/1.1 500 No").header("connection", "close").body(""),
            };
            let _ = answer.write(&mut stream).and_then(|()| stream.flush());
        }
    });
    port
}

#[test]
fn keys_are_read_from_where_the_issuer_publishes_them() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let keys = Arc::new(Mutex::new(Some(issuer.jwk())));
    let url = format!("http://127.0.0.1:{}/jwks", published(&keys));
    let server = server(folder.path(), &jwt(&url, ""));
    let token = issuer.token(&claims());
    until("the keys are there", || shown(&server, &token) == said(KNOWN));
    let folder = tempfile::tempdir().unwrap();
    *keys.lock().unwrap() = None;
    let without = self::server(folder.path(), &jwt(&url, ""));
    assert_eq!(shown(&without, &token), said(NOBODY));
    drop(without);
    let refused = |jwks: &str| {
        let config = folder.path().join("consentry.toml");
        fs::write(&config, jwt(jwks, "")).unwrap();
        let output =
            crate::server::command(&["--config", config.to_str().unwrap(), "--check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    for url in [
        "http://id.acme.test/jwks",
        "http://127.0.0.1.acme.test/jwks",
        "http://localhost@acme.test/jwks",
        "http://127.0.0.1:80@acme.test/jwks",
        "http://[::1].acme.test/jwks",
    ] {
        assert!(refused(url).contains("use https://"), "{url}");
    }
    assert!(refused("nowhere.json").contains("nowhere.json"));
}

#[test]
fn a_token_may_come_in_a_header_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let server = with_keys(folder.path(), &[issuer.jwk()], "header = \"X-Assertion\"\nleeway = \"0s\"");
    let token = issuer.token(&claims());
    for value in [token.clone(), format!("Bearer {token}")] {
        assert_eq!(asked(&server, &[("x-assertion", &value)]).0, 403);
    }
    assert_eq!(asked(&server, &[("authorization", &format!("Bearer {token}"))]).0, 401);
    let late = issuer.token(&with("exp", json!(now() - 2)));
    assert_eq!(asked(&server, &[("x-assertion", &late)]).0, 401);
}

#[test]
fn a_gateway_that_is_known_may_say_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (token, digest) = token();
    let callers = format!(
        "[identity.headers]\nsub = \"x-user\"\n[[callers]]\nname = \"gateway\"\nrole = \"evaluate\"\ntoken_sha256 = \"{digest}\"\n"
    );
    let strict = server(folder.path(), &callers);
    // Whoever does not show the gateway's own token says nothing, whatever headers they send; and whoever asked the
    // gateway is not told that it is their token which is wrong.
    for more in [("x-other", ""), ("authorization", "Bearer gateway-token"), ("x-consentry-token", "other")] {
        let (status, reason, body) = asked(&strict, &[("x-user", "root"), more]);
        assert_eq!(
            (status, reason.as_str(), &body["code"]),
            (403, "unknown_gateway", &json!("unknown_gateway"))
        );
    }
    assert_eq!(asked(&strict, &[("x-user", "root"), ("x-consentry-token", &token)]).1, KNOWN.1);
    drop(strict);
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "[identity.headers]\nsub = \"X-User\"\n");
    let of = |headers: &[(&str, &str)]| {
        let (status, reason, _) = asked(&server, headers);
        (status, reason)
    };
    assert_eq!(of(&[("x-user", "root")]), said(KNOWN));
    assert_eq!(of(&[]), said(NOBODY));
    assert_eq!(of(&[("x-user", "root"), ("x-user", "eve")]), said(NOBODY));
    assert_eq!(of(&[("x-user", "")]), (403, "no_principal".into()));
    assert_eq!(of(&[("x-user", "r\u{f6}\u{f6}t")]), said(NOBODY));
}

#[test]
fn two_ways_to_say_who_asks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |identity: &str| {
        let config = folder.path().join("consentry.toml");
        fs::write(&config, identity).unwrap();
        let output =
            crate::server::command(&["--config", config.to_str().unwrap(), "--check"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{identity}");
        String::from_utf8(output.stderr).unwrap()
    };
    fs::write(folder.path().join("jwks.json"), r#"{"keys":[]}"#).unwrap();
    let both = jwt("jwks.json", "") + "[identity.headers]\nsub = \"x-user\"\n";
    assert!(refused(&both).contains("only one of them"));
    assert!(refused("[identity]\n").contains("says nothing"));
    assert!(refused(&jwt("jwks.json", "").replace("[\"video\", \"audio\"]", "[]")).contains("audience"));
    assert!(refused("[identity.headers]\nsub = \"x user\"\n").contains("no name of a header"));
    assert!(refused("[gateway]\nmapping = \"none.toml\"\n").contains("none.toml"));
}

/// The three ways to ask over HTTP.
#[test]
fn each_kind_of_gateway_says_what_it_asks_about_in_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "[identity.headers]\nsub = \"x-user\"\n");
    let asked = |line: &str, headers: &[(&str, &str)]| {
        let mut request =
            Message::new(&format!("{line} HTTP/1.1")).header("host", "pdp").header("x-user", "root");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = server.ask(&request);
        let reason =
            response.get("x-consentry-reason").map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        (response.second_word().to_owned(), reason)
    };
    let open = |(status, reason): (String, String)| status == "200" && reason.is_empty();
    assert!(open(asked("DELETE /gateway/envoy/open?x=1", &[])));
    assert_eq!(asked("GET /gateway/envoy/open/", &[]).1, "unmapped");
    assert_eq!(asked("GET /gateway/envoy", &[]).1, "ambiguous_path");
    assert_eq!(asked("GET /gateway/envoy/", &[]).1, "unmapped");
    assert_eq!(asked("GET /gateway/envoy//open", &[]).1, "unmapped");
    assert_eq!(asked("GET /gateway/envoy/../open", &[]).1, "ambiguous_path");
    for (path, method, uri) in [
        ("/gateway/auth-request", "x-original-method", "x-original-uri"),
        ("/gateway/forward-auth", "x-forwarded-method", "x-forwarded-uri"),
    ] {
        let line = format!("GET {path}");
        assert!(open(asked(&line, &[(method, "GET"), (uri, "/open?x=/../y")])));
        assert_eq!(asked(&line, &[(method, "GET"), (uri, "/sites/none")]).1, "unknown_resource");
        for headers in [
            [(method, "GET"), ("x-other", "/open")].as_slice(),
            &[(uri, "/open")],
            &[(method, "GET"), (uri, "/open"), (uri, "/sites/none")],
            &[("x-original-method", "GET"), ("x-forwarded-uri", "/open")],
        ] {
            assert_eq!(asked(&line, headers), ("403".into(), "invalid".into()), "{headers:?}");
        }
    }
}

#[test]
fn a_mapping_that_changes_counts_from_then_on_and_a_bad_one_never() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "[identity.headers]\nsub = \"x-user\"\n");
    let reason = || asked(&server, &[("x-user", "root")]).1;
    assert_eq!(reason(), "unknown_resource");
    let file = folder.path().join("mapping.toml");
    fs::write(&file, MAPPING.replace("manageSite", "fly")).unwrap();
    let refused = || server.get("/readyz").1["refused"]["mapping"]["message"].clone();
    until("it is refused", || refused().is_string());
    assert!(refused().as_str().unwrap().contains("the schema has no fly on a Site"));
    assert_eq!(reason(), "unknown_resource");
    fs::write(&file, MAPPING.replace("/sites/{site}", "/places/{site}")).unwrap();
    until("the new mapping counts", || reason() == "unmapped");
    until("nothing is refused", || refused().is_null());
}

#[test]
fn policies_and_their_mapping_change_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = repository().join("tests/gateways/authzen/policies");
    let schema = fs::read_to_string(fixture.join("schema.cedarschema")).unwrap();
    let policies = permissive(folder.path(), &schema);
    let mapping = |action: &str| {
        format!(
            "[[principal]]\nis = 'user::\"{{identity.sub}}\"'\n[[route]]\npath = \"/{{it}}\"\naction = \"{action}\"\nresource = 'record::\"{{it}}\"'\n"
        )
    };
    let file = folder.path().join("mapping.toml");
    fs::write(&file, mapping("read")).unwrap();
    let config = folder.path().join("consentry.toml");
    let issuer = Issuer::new("one");
    fs::write(folder.path().join("jwks.json"), r#"{"keys":[]}"#).unwrap();
    let entities = repository().join("tests/gateways/authzen/entities.json");
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\n[policies]\nfolder = \"policies\"\npoll = \"0s\"\n[entities]\nfile = \"{}\"\n\
         [gateway]\nmapping = \"mapping.toml\"\n{}",
        entities.display(),
        jwt("jwks.json", "")
    );
    fs::write(&config, text).unwrap();
    let server = Server::start(&["--config", config.to_str().unwrap()]);
    let version = || server.get("/readyz").1["policies"]["version"].clone();
    let token = issuer.token(&with("sub", json!("alice")));
    let passes = || {
        let request = Message::new("GET /gateway/envoy/record-1 HTTP/1.1").header("host", "pdp");
        let request = request.header("authorization", format!("Bearer {token}"));
        server.ask(&request).second_word().to_owned()
    };
    let before = version();
    // The action has another name: neither the policies nor the mapping of before can be used with the others.
    fs::write(policies.join("schema.cedarschema"), schema.replace("action read", "action see")).unwrap();
    fs::write(folder.path().join("jwks.json"), json!({ "keys": [issuer.jwk()] }).to_string()).unwrap();
    server.signal("-HUP");
    until("the mapping is refused", || server.get("/readyz").1["refused"]["mapping"].is_object());
    until("keys are read all the same", || passes() == "200");
    let refused = server.get("/readyz").1["refused"].clone();
    assert!(
        refused["policies"]["message"].as_str().unwrap().contains("a mapping that is refused"),
        "{refused}"
    );
    assert_eq!((version(), &refused["keys"]), (before.clone(), &Value::Null));
    fs::write(&file, mapping("see")).unwrap();
    server.signal("-HUP");
    until("both are used", || version() != before);
    assert_eq!(passes(), "200");
    until("nothing is refused", || server.get("/readyz").1["refused"] == json!({}));
}
