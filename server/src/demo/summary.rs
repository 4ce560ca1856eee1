//! What the story came to, counted.

use std::collections::{BTreeMap, BTreeSet};

use consentry::domain::Timestamp;
use consentry::engine::{Engine, EngineError};
use consentry::view::GrantFilter;
use serde::Serialize;

use crate::script::{Ask, Line, Reply};

/// Counts over a story.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    principals: BTreeSet<String>,
    done: usize,
    refused: BTreeMap<&'static str, usize>,
    allowed: usize,
    allowed_by: BTreeMap<String, usize>,
    denied: BTreeMap<&'static str, usize>,
    revision: u64,
    grants: usize,
    live_grants: usize,
}

impl Summary {
    pub(super) fn count(&mut self, line: &Line, reply: &Reply) {
        self.first.get_or_insert(line.at);
        self.last = Some(line.at);
        match &line.ask {
            Ask::Do(submission) => self.principals.insert(submission.principal.to_string()),
            Ask::Check(request) => self.principals.insert(request.principal.to_string()),
            Ask::Show(_) | Ask::List(_) => false,
        };
        match reply {
            Reply::Done { .. } => self.done += 1,
            Reply::Refused { refusal, .. } => *self.refused.entry(refusal.code.name()).or_default() += 1,
            Reply::Checked(evaluation) if evaluation.is_allowed() => {
                self.allowed += 1;
                for policy in &evaluation.determining_policies {
                    *self.allowed_by.entry(policy.clone()).or_default() += 1;
                }
            }
            Reply::Checked(evaluation) => {
                let reason = evaluation.reason.map_or("not_permitted", consentry::DenyReason::name);
                *self.denied.entry(reason).or_default() += 1;
            }
            Reply::Shown(_) | Reply::Listed { .. } => {}
        }
    }

    /// # Errors
    /// When the ledger fails.
    pub(super) fn close(&mut self, engine: &Engine) -> Result<(), EngineError> {
        let now = self.last.unwrap_or(Timestamp::MIN);
        let all = engine.list_grants(&GrantFilter::default(), now)?;
        self.revision = engine.directory().revision();
        self.grants = all.len();
        self.live_grants = all.iter().filter(|grant| grant.state == "active").count();
        Ok(())
    }

    pub(super) fn paragraph(&self) -> String {
        let span = match (self.first, self.last) {
            (Some(first), Some(last)) => (last.millis() - first.millis()) / 60_000,
            _ => 0,
        };
        let listed =
            |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let count = |name: &dyn std::fmt::Display, count: usize| format!("{count} {name}");
        let refused = listed(self.refused.iter().map(|(name, n)| count(name, *n)).collect());
        let denied = listed(self.denied.iter().map(|(name, n)| count(name, *n)).collect());
        let allowed = listed(self.allowed_by.iter().map(|(name, n)| count(name, *n)).collect());
        format!(
            "In {} hours and {} minutes of simulated time, {} principals took part. Of their commands {} were done \
             and {} refused ({refused}). Of their checks {} were allowed (by {allowed}) and {} denied ({denied}). The \
             ledger stands at revision {}; of the {} grants that were made, {} are live at the end.",
            span / 60,
            span % 60,
            self.principals.len(),
            self.done,
            self.refused.values().sum::<usize>(),
            self.allowed,
            self.denied.values().sum::<usize>(),
            self.revision,
            self.grants,
            self.live_grants,
        )
    }
}
