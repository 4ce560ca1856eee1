//! Calls of plugins to upstreams: made by whoever embeds the host.

use std::sync::Weak;
use std::time::Duration;

use crate::http::Headers;
use crate::instance::CalloutAnswer;
use crate::slot::Slot;

/// Makes the calls of plugins. The host makes none by itself.
pub trait Callouts: Send + Sync {
    /// Begins a call and returns. The answer is delivered when it is there, on any thread; a call that is dropped
    /// has failed.
    ///
    /// # Errors
    /// When there is no such upstream, or the call cannot be begun.
    fn begin(&self, call: Callout, reply: Reply) -> Result<(), NoCallout>;
}

/// A call to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callout {
    /// The name of the upstream, as the plugin was granted it.
    pub upstream: String,
    /// `:method`, `:path` and `:authority` among them.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// When to give up.
    pub timeout: Duration,
}

/// Why a call was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCallout {
    /// There is no such upstream.
    Unknown,
    /// It cannot be called now.
    Failed,
}

/// Where the answer to a call goes. The plugin runs on the thread that delivers it.
pub struct Reply {
    pub(crate) slot: Weak<Slot>,
    pub(crate) call: u32,
    pub(crate) sent: bool,
}

impl Reply {
    /// Delivers the answer. `None`: the call failed.
    pub fn deliver(mut self, answer: Option<CalloutAnswer>) {
        self.send(answer);
    }

    fn send(&mut self, answer: Option<CalloutAnswer>) {
        self.sent = true;
        if let Some(slot) = self.slot.upgrade() {
            slot.answer(self.call, answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.sent {
            self.send(None);
        }
    }
}

/// No upstreams.
pub(crate) struct NoCallouts;

impl Callouts for NoCallouts {
    fn begin(&self, _: Callout, mut reply: Reply) -> Result<(), NoCallout> {
        reply.sent = true;
        Err(NoCallout::Unknown)
    }
}
