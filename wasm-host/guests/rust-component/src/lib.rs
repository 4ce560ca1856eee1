//! A gatekeeper for Consentry's own gateway: it reads from a request who wants to do what with which device, asks
//! Consentry, and lets through only what is allowed.
//!
//! Who asks is read from the header `x-installer`, or the one that the configuration names. Something in front of
//! this plugin must have found out, and must overwrite what a client sends under that name.

use std::cell::RefCell;

use serde::Deserialize;

wit_bindgen::generate!({ world: "plugin", path: "../../wit" });

use consentry::gateway::access::{Decision, Entity};
use consentry::gateway::authorization::evaluate;
use consentry::gateway::http::Header;
use consentry::gateway::{headers, host};

struct Gatekeeper;

export!(Gatekeeper);

/// The plugin's configuration; all of it may be left out.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The header that names the installer.
    header: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { header: "x-installer".to_owned() }
    }
}

thread_local! {
    static SETTINGS: RefCell<Settings> = RefCell::default();
}

impl Guest for Gatekeeper {
    fn configure() -> Result<(), String> {
        let text = host::configuration();
        if text.is_empty() {
            return Ok(());
        }
        let settings: Settings = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if settings.header.is_empty() || !settings.header.chars().all(fits) {
            return Err(format!("not the name of a header, in lower case: `{}`", settings.header));
        }
        SETTINGS.set(settings);
        Ok(())
    }

    fn on_request(head: RequestHead) -> Answer {
        let Some(request) = access_request(&head) else { return refused("unmapped") };
        let evaluation = evaluate(&request);
        match evaluation.decision {
            Decision::Allow => {
                // In place of one that the client sent. Consentry was asked: the gateway need not ask again.
                let changes = vec![HeaderChange::Set(header("x-consentry", "allow"))];
                Answer::Proceed(Pass { changes, access: None })
            }
            Decision::Deny => refused(evaluation.reason.as_deref().unwrap_or("not_permitted")),
        }
    }
}

fn refused(reason: &str) -> Answer {
    host::count("refused", 1);
    Answer::Respond(Response {
        status: 403,
        headers: vec![header("x-consentry-reason", reason), header("content-type", "application/json")],
        // Reasons are stable codes, of letters and `_`: nothing to escape.
        body: format!(r#"{{"decision":"deny","reason":"{reason}"}}"#).into_bytes(),
    })
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.as_bytes().to_vec() }
}

/// `/sites/{site}/devices/{device}/live`, asked for by an installer: may he do that?
fn access_request(head: &RequestHead) -> Option<AccessRequest> {
    let installer = SETTINGS.with_borrow(|settings| only(&settings.header))?;
    let path = head.path.split_once('?').map_or(head.path.as_str(), |(path, _query)| path);
    let mut parts = path.strip_prefix("/sites/")?.split('/');
    let _site = id(parts.next()?)?;
    let ("devices", device) = (parts.next()?, id(parts.next()?)?) else { return None };
    let action = match (parts.next()?, parts.next()) {
        ("live", None) => "liveView",
        ("playback", None) => "playback",
        ("configure", None) => "configure",
        _ => return None,
    };
    Some(AccessRequest {
        principal: Entity { entity_type: "Installer".to_owned(), id: id(&installer)?.to_owned() },
        action: action.to_owned(),
        resource: Entity { entity_type: "Device".to_owned(), id: device.to_owned() },
        context: Vec::new(),
        at_least: None,
    })
}

/// The value of a header that is there once; of two, nobody knows which counts.
fn only(name: &str) -> Option<String> {
    let [value] = <[Vec<u8>; 1]>::try_from(headers::get(name)).ok()?;
    String::from_utf8(value).ok()
}

/// Consentry's ids are of these characters, so that nothing is escaped; `.` and `..` are no ids in a path.
fn id(text: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:+".contains(c);
    let dots = text == "." || text == "..";
    ((1..=128).contains(&text.len()) && text.chars().all(fits) && !dots).then_some(text)
}
