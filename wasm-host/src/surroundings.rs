//! What surrounds an instance: all that its host functions may come to.

use std::sync::Arc;

use crate::authority::Authority;
use crate::callouts::Callouts;
use crate::errands::Errands;
use crate::metrics::Metrics;
use crate::plugin::Observer;
use crate::sandbox::Sandbox;
use crate::settings::{Level, Settings};
use crate::shared::Share;

/// What one plugin's instances have around them.
pub(crate) struct Surroundings {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) callouts: Arc<dyn Callouts>,
    pub(crate) errands: Arc<Errands>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) share: Arc<Share>,
}

/// What is left of what one call may log.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    left: usize,
}

impl LogBudget {
    /// A call begins.
    pub(crate) fn renew(&mut self, limit: usize) {
        self.left = limit;
    }
}

impl Surroundings {
    /// Writes what a plugin says, as far as it may say that much.
    pub(crate) fn log(&self, budget: &mut LogBudget, level: Level, message: &[u8]) {
        if level < self.settings.log_level || budget.left == 0 {
            return;
        }
        if message.len() + LINE > budget.left {
            budget.left = 0;
            self.observer.log(
                &self.name,
                Level::Warn,
                "it says more than it may; the rest of this call is dropped",
            );
            return;
        }
        budget.left -= message.len() + LINE;
        self.observer.log(&self.name, level, &String::from_utf8_lossy(message));
    }

    /// Writes what the host has to say about a plugin, out of what the plugin may say.
    pub(crate) fn note(&self, budget: &mut LogBudget, message: &str) {
        self.log(budget, Level::Warn, shortened(message).as_bytes());
    }
}

/// As much of a message as anybody reads.
pub(crate) fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MESSAGE)).unwrap_or_default()
}

/// Bytes of a message of the host.
const MESSAGE: usize = 1_000;
/// What a line takes beside its bytes: empty ones have an end, too.
const LINE: usize = 32;
