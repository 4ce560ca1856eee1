//! What an instance has on the host's side.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use wasmtime::{Memory, TypedFunc};

use crate::http::Headers;
use crate::instance::{CalloutAnswer, Lane, Part};
use crate::sandbox::Meter;
use crate::slot::Slot;
use crate::surroundings::{LogBudget, Surroundings};

/// The context of the plugin itself. Requests have those after it.
pub(super) const ROOT: u32 = 1;

/// What an instance has on the host's side.
pub(super) struct State {
    pub(super) around: Arc<Surroundings>,
    /// Where the instance lives: who is woken by what comes for it.
    pub(super) slot: Weak<Slot>,
    pub(super) meter: Meter,
    pub(super) log: LogBudget,
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    /// The plugin's allocator runs: it may not call anything but the log.
    pub(super) allocating: bool,
    /// What is on its way into the plugin's memory; kept, so that nothing is allocated for it.
    pub(super) scratch: Vec<u8>,
    /// The context that functions act for.
    pub(super) effective: u32,
    /// The last context that was made.
    pub(super) last_context: u32,
    /// The contexts of requests: the one that the instance has now, and those that it has not done with.
    pub(super) contexts: Vec<(u32, Box<Part>)>,
    /// The context of the request that the instance has now.
    pub(super) current: Option<u32>,
    /// Contexts whose request has ended, and which the plugin has done with only now.
    pub(super) done: Vec<u32>,
    pub(super) calls: HashSet<u32>,
    pub(super) last_call: u32,
    /// What is being delivered.
    pub(super) answer: Option<CalloutAnswer>,
    pub(super) configuring: Configuring,
}

/// Which configuration can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Configuring {
    None,
    Machine,
    Plugin,
}

impl State {
    pub(super) fn new(around: Arc<Surroundings>, slot: Weak<Slot>) -> Self {
        let limits = &around.settings.limits;
        let meter = Meter::new(limits.memory_bytes, limits.table_elements);
        Self {
            around,
            slot,
            meter,
            log: LogBudget::default(),
            memory: None,
            allocate: None,
            allocating: false,
            scratch: Vec::new(),
            effective: ROOT,
            last_context: ROOT,
            contexts: Vec::new(),
            current: None,
            done: Vec::new(),
            calls: HashSet::new(),
            last_call: 0,
            answer: None,
            configuring: Configuring::None,
        }
    }

    pub(super) fn context(&mut self, context: u32) -> Option<&mut Part> {
        self.contexts.iter_mut().find(|(other, _)| *other == context).map(|(_, part)| &mut **part)
    }

    /// The request that functions act for.
    pub(super) fn part(&mut self) -> Option<&mut Part> {
        self.context(self.effective)
    }

    pub(super) fn lane(&mut self, request: bool) -> Option<&mut Lane> {
        let part = self.part()?;
        Some(if request { &mut part.request } else { &mut part.response })
    }

    /// The map of this number, if it is there now (`proxy_map_type_t`).
    pub(super) fn map(&mut self, map: u32) -> Result<Option<&mut Headers>, BadMap> {
        Ok(match map {
            0 => self.lane(true).and_then(|lane| lane.headers.as_mut()),
            1 => self.lane(true).and_then(|lane| lane.trailers.as_mut()),
            2 => self.lane(false).and_then(|lane| lane.headers.as_mut()),
            3 => self.lane(false).and_then(|lane| lane.trailers.as_mut()),
            // Metadata of gRPC calls: there are none.
            4 | 5 => None,
            6 => self.answer.as_mut().map(|answer| &mut answer.headers),
            7 => self.answer.as_mut().map(|answer| &mut answer.trailers),
            _ => return Err(BadMap),
        })
    }
}

/// There is no map of this number.
pub(super) struct BadMap;
