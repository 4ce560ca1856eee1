//! A gatekeeper for every gateway that speaks proxy-wasm: it reads from a request who wants to do what with which
//! device, asks Consentry, and lets through only what is allowed.
//!
//! Who asks is read from a header. Something in front of this plugin must have found out, and must overwrite what a
//! client sends under that name.

use std::rc::Rc;

use log::info;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, Status};
use serde::Deserialize;

/// Consentry's part of the gateway. A gateway without it answers NOT_FOUND.
const EVALUATE: &str = "consentry.evaluate";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { settings: Rc::default() }));
}}

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

struct Root {
    settings: Rc<Settings>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        if text.is_empty() {
            return true;
        }
        match serde_json::from_slice::<Settings>(&text) {
            Ok(Settings { header }) if header.is_empty() => refuse("no header is named"),
            Ok(settings) => {
                self.settings = Rc::new(settings);
                true
            }
            Err(error) => refuse(&error.to_string()),
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Gatekeeper { settings: Rc::clone(&self.settings) }))
    }
}

fn refuse(why: &str) -> bool {
    log::error!("the configuration is not taken: {why}");
    false
}

struct Gatekeeper {
    settings: Rc<Settings>,
}

impl Context for Gatekeeper {}

impl HttpContext for Gatekeeper {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        // The getters for strings panic on bytes that are not UTF-8, and a client may send any.
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        let request = self.installer().and_then(|installer| access_request(&path, &installer));
        let (status, reason) = match request.map(|request| self.ask(&request)) {
            Some(Ok(Evaluation { decision: Decision::Allow, .. })) => (200, "allow".to_owned()),
            Some(Ok(Evaluation { reason, .. })) => {
                (403, reason.unwrap_or_else(|| "not_permitted".to_owned()))
            }
            Some(Err(())) => (503, "no authorizer".to_owned()),
            None => (403, "unmapped".to_owned()),
        };
        info!("{}: {reason}", String::from_utf8_lossy(&path));
        if status == 200 {
            // In place of one that the client sent.
            self.set_http_request_header("x-consentry", Some("allow"));
            return Action::Continue;
        }
        let headers = vec![("x-consentry-reason", reason.as_str()), ("content-type", "application/json")];
        // Reasons are stable codes, of letters and `_`: nothing to escape.
        let body = format!(r#"{{"decision":"deny","reason":"{reason}"}}"#);
        self.send_http_response(status, headers, Some(body.as_bytes()));
        Action::Pause
    }
}

/// What this plugin wants to know of an answer; `consentry check --json` prints the same.
#[derive(Deserialize)]
struct Evaluation {
    decision: Decision,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Allow,
    Deny,
}

impl Gatekeeper {
    /// From the header if it is there once. Of two, nobody knows which counts; to ask for it by name gives the first.
    fn installer(&self) -> Option<Vec<u8>> {
        let headers = self.get_http_request_headers_bytes().into_iter();
        let mut values = headers.filter(|(name, _)| name.eq_ignore_ascii_case(&self.settings.header));
        let (Some((_, value)), None) = (values.next(), values.next()) else { return None };
        Some(value)
    }

    /// An error: there was nobody to ask, or what came back is no evaluation.
    fn ask(&self, request: &str) -> Result<Evaluation, ()> {
        match self.call_foreign_function(EVALUATE, Some(request.as_bytes())) {
            Ok(answer) => serde_json::from_slice(&answer.unwrap_or_default()).map_err(|error| {
                log::error!("the answer is no evaluation: {error}");
            }),
            Err(Status::NotFound) => Err(()),
            Err(status) => {
                log::error!("not answered: {status:?}");
                Err(())
            }
        }
    }
}

/// `/sites/{site}/devices/{device}/live`, asked for by an installer: may he do that?
fn access_request(path: &[u8], installer: &[u8]) -> Option<String> {
    let (path, installer) = (str::from_utf8(path).ok()?, id(str::from_utf8(installer).ok()?)?);
    let path = path.split_once('?').map_or(path, |(path, _query)| path);
    let mut parts = path.strip_prefix("/sites/")?.split('/');
    let _site = id(parts.next()?)?;
    let ("devices", device) = (parts.next()?, id(parts.next()?)?) else { return None };
    let action = match (parts.next()?, parts.next()) {
        ("live", None) => "liveView",
        ("playback", None) => "playback",
        ("configure", None) => "configure",
        _ => return None,
    };
    // None of the characters of an id has to be escaped.
    Some(format!(
        r#"{{"principal":"Installer::\"{installer}\"","action":"{action}","resource":"Device::\"{device}\""}}"#
    ))
}

/// Consentry's ids are of these characters, so that nothing is escaped; `.` and `..` are no ids in a path.
fn id(text: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:+".contains(c);
    let dots = text == "." || text == "..";
    ((1..=128).contains(&text.len()) && text.chars().all(fits) && !dots).then_some(text)
}
