//! One plugin on the way of an exchange.

use std::sync::Arc;

use super::Direction;
use super::lane::Way;
use crate::error::{Failure, FailureKind, Fault};
use crate::http::Connection;
use crate::instance::Part;
use crate::plugin::Plugin;
use crate::slot::{Signal, Slot};

/// One plugin on the way.
pub(super) struct Hop {
    pub(super) plugin: Arc<Plugin>,
    /// From when the request reached it.
    pub(super) slot: Option<Arc<Slot>>,
    /// It failed, and requests go on without it.
    pub(super) skipped: bool,
    pub(super) request: Way,
    pub(super) response: Way,
    /// It has seen the head of an answer.
    pub(super) answering: bool,
}

impl Hop {
    pub(super) fn new(plugin: &Arc<Plugin>) -> Self {
        Self {
            plugin: plugin.clone(),
            slot: None,
            skipped: false,
            request: Way::default(),
            response: Way::default(),
            answering: false,
        }
    }

    /// Whether the plugin holds something back.
    pub(super) fn is_paused(&self) -> bool {
        self.request.paused.is_some() || self.response.paused.is_some()
    }

    pub(super) fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

/// The instance has no request, though it was given one: it failed in between.
pub(super) fn lost() -> Fault {
    Fault::new(FailureKind::Host, "the instance has lost its request")
}

/// An instance of the plugin, with a request.
pub(super) fn begin(
    plugin: &Plugin,
    connection: Connection,
    signal: &Arc<Signal>,
) -> Result<Arc<Slot>, Failure> {
    let slot = plugin.check_out()?;
    slot.listen(Some(signal.clone()));
    let part = Box::new(Part::new(connection));
    slot.with(|instance| instance.begin(part)).map_err(|fault| plugin.failure(&fault))?;
    Ok(slot)
}
