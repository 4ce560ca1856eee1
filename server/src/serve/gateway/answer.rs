//! What a gateway and those behind it are told: headers, a body, metadata.

use std::borrow::Cow;

use super::Verdict;
use crate::serve::problem::Problem;

/// A header, by its name in small letters.
pub(super) type Header = (Cow<'static, str>, String);

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
fn ascii(text: String) -> String {
    if is_plain(&text) {
        return text;
    }
    text.chars()
        .map(|c| if (' '..='~').contains(&c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}

impl Verdict {
    /// The code of a decision.
    pub(super) fn decision(&self) -> &'static str {
        if self.allowed { "allow" } else { "deny" }
    }

    /// What is said in headers: with an allow to what is behind the gateway, with a denial to who asked.
    pub(super) fn headers(&self) -> Vec<Header> {
        let mut headers = Vec::with_capacity(OWN.len() + self.set.len());
        let mut say = |name: &'static str, value: String| headers.push((Cow::Borrowed(name), value));
        say("x-consentry-decision", self.decision().to_owned());
        if let Some(reason) = self.reason {
            say("x-consentry-reason", reason.to_owned());
        }
        if self.allowed {
            // Always: nobody shall say it in its place. Where nobody had to be known, nobody is.
            let principal = self.question.as_ref().map(|question| ascii(question.principal.to_string()));
            say("x-consentry-principal", principal.unwrap_or_default());
        }
        if let Some(evaluation) = &self.evaluation {
            say("x-consentry-revision", evaluation.revision.to_string());
            if !evaluation.determining_policies.is_empty() {
                say("x-consentry-policies", ascii(evaluation.determining_policies.join(",")));
            }
            if let Some(until) = evaluation.valid_until {
                say("x-consentry-valid-until", until.to_string());
            }
        }
        let of_plugins = self.set.iter().filter(|(name, value)| !is_own(name) && is_plain(value));
        headers.extend(of_plugins.map(|(name, value)| (Cow::Owned(name.clone()), value.clone())));
        headers
    }

    /// Headers that a request loses before it passes with those that are `said`: those that plugins removed, those that
    /// they set to what no header can hold, and whatever only this server says and does not say of this request.
    pub(super) fn removed(&self, said: &[Header]) -> Vec<String> {
        if !self.allowed {
            return Vec::new();
        }
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
}
