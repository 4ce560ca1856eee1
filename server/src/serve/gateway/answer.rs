//! What a gateway and those behind it are told: headers, a body, metadata.

use serde_json::{Map, Value, json};

use super::Verdict;
use crate::serve::problem::Problem;

/// What is said with a request that passes, by nobody but this server.
const OWN: [&str; 6] = [
    "x-consentry-decision",
    "x-consentry-reason",
    "x-consentry-principal",
    "x-consentry-revision",
    "x-consentry-policies",
    "x-consentry-valid-until",
];

fn is_own(name: &str) -> bool {
    name.starts_with("x-consentry-")
}

/// Whether every header can hold this.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A text with escapes in place of what no header can hold, as Cedar reads them: `\u{f6}`.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| if (' '..='~').contains(&c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}

impl Verdict {
    /// The code of a decision.
    fn decision(&self) -> &'static str {
        if self.allowed { "allow" } else { "deny" }
    }

    /// What is said in headers: with an allow to what is behind the gateway, with a denial to who asked.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("x-consentry-decision", self.decision().to_owned())];
        headers.extend(self.reason.map(|reason| ("x-consentry-reason", reason.to_owned())));
        if self.allowed {
            // Always: nobody shall say it in its place. Where nobody had to be known, nobody is.
            let principal = self.question.as_ref().map(|question| ascii(&question.principal.to_string()));
            headers.push(("x-consentry-principal", principal.unwrap_or_default()));
        }
        if let Some(evaluation) = &self.evaluation {
            headers.push(("x-consentry-revision", evaluation.revision.to_string()));
            if !evaluation.determining_policies.is_empty() {
                headers.push(("x-consentry-policies", ascii(&evaluation.determining_policies.join(","))));
            }
            headers
                .extend(evaluation.valid_until.map(|until| ("x-consentry-valid-until", until.to_string())));
        }
        let mut headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let of_plugins = self.set.iter().filter(|(name, value)| !is_own(name) && is_plain(value));
        headers.extend(of_plugins.cloned());
        headers
    }

    /// Headers that a request loses before it passes: those that plugins removed, those that they set to what no header
    /// can hold, and whatever only this server says and does not say of this request.
    pub(super) fn removed(&self) -> Vec<String> {
        if !self.allowed {
            return Vec::new();
        }
        let said = self.headers();
        let unsaid =
            OWN.iter().filter(|own| !said.iter().any(|(name, _)| name == *own)).map(|own| (*own).to_owned());
        let lost = self.set.iter().filter(|(name, value)| !is_own(name) && !is_plain(value));
        let of_plugins = self.removed.iter().chain(lost.map(|(name, _)| name));
        let of_plugins = of_plugins.filter(|name| !is_own(name)).cloned();
        unsaid.chain(of_plugins).collect()
    }

    /// What who asked reads in place of what it asked for.
    pub(super) fn problem(&self) -> Problem {
        let reason = self.reason.unwrap_or("not_permitted");
        let detail = self.detail.clone().unwrap_or_else(|| "this is not permitted".to_owned());
        Problem::new(self.status, reason, detail)
    }

    /// All that there is to know: for the gateway's own logs and filters.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        let mut metadata = Map::new();
        let mut say = |name: &str, value: Value| drop(metadata.insert(name.to_owned(), value));
        say("decision", json!(self.decision()));
        for (name, value) in [("reason", self.reason), ("detail", self.detail.as_deref())] {
            if let Some(value) = value {
                say(name, json!(value));
            }
        }
        if let Some(question) = &self.question {
            say("principal", json!(question.principal));
            say("action", json!(question.action));
            say("resource", json!(question.resource));
        }
        if let Some(evaluation) = &self.evaluation {
            say("determining_policies", json!(evaluation.determining_policies));
            say("errors", json!(evaluation.errors));
            say("revision", json!(evaluation.revision));
            say("policy_version", json!(evaluation.policy_version));
            if let Some(until) = evaluation.valid_until {
                say("valid_until", json!(until));
            }
        }
        metadata
    }
}
