//! proxy-wasm 0.2.1, as far as HTTP needs it: plugins written for Envoy and its kin, unchanged.

mod exports;
pub(crate) mod functions;
mod guest;
mod pairs;
mod properties;
mod state;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use wasmtime::{InstancePre, Module, Store, TypedFunc, WasmParams, WasmResults};

use crate::clock;
use crate::error::{FailureKind, Fault, LoadCode, LoadError};
use crate::instance::{Action, Instance, News, Part, Program, Stage};
use crate::slot::Slot;
use crate::surroundings::Surroundings;
use exports::{Configurations, Exports, Places};
use state::{Configuring, ROOT, State};

/// The functions that say which version a module was made for; those of 0.2.0 and 0.2.1 call and are called alike.
const VERSIONS: [&str; 2] = ["proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0"];

/// Which version of proxy-wasm a module was made for, if for any.
pub(crate) fn version(module: &Module) -> Option<&str> {
    let version = |export: wasmtime::ExportType<'_>| {
        export.name().starts_with("proxy_abi_version_").then(|| export.name().to_owned())
    };
    let found = module.exports().find_map(version)?;
    VERSIONS.into_iter().find(|version| *version == found)
}

/// Why a module is none for gateways, as far as its exports tell.
pub(crate) fn not_for_gateways(module: &Module) -> String {
    let mut names = module.exports().map(|export| export.name().to_owned());
    match names.find(|name| {
        ["on-request", "access-request-of"].contains(&name.as_str()) || name.starts_with("proxy_abi_version_")
    }) {
        Some(version) if version.starts_with("proxy_abi_version_") => {
            format!("it is for another version of proxy-wasm: it exports `{version}`; here is 0.2.1")
        }
        Some(_) => {
            "it is the module of a component, and not one yet: `wasm-tools component new` makes it one"
                .to_owned()
        }
        None => "a module that is not for gateways: it exports no `proxy_abi_version_0_2_1`".to_owned(),
    }
}

/// Bytes of scratch that an instance keeps between requests.
const SCRATCH: usize = 16 << 10;
/// Requests that have ended and that an instance may not have done with.
const LINGERING: usize = 100;

/// A module in one configuration.
pub(crate) struct Plugin {
    linked: InstancePre<State>,
    places: Places,
    around: Arc<Surroundings>,
    wants: [bool; 6],
}

impl Plugin {
    pub(crate) fn new(module: &Module, around: Arc<Surroundings>) -> Result<Self, LoadError> {
        exports::check(module)?;
        let linked = functions::link(module)?
            .instantiate_pre(module)
            .map_err(|error| LoadError::new(LoadCode::WrongSignature, crate::sandbox::told(&error)))?;
        let wants = Stage::ALL.map(|stage| module.get_export(exports::handler(stage)).is_some());
        Ok(Self { linked, places: Places::of(module), around, wants })
    }
}

impl Program for Plugin {
    fn start(&self, slot: Weak<Slot>) -> Result<Box<dyn Instance>, LoadError> {
        let mut store = Store::new(self.linked.module().engine(), State::new(self.around.clone(), slot));
        store.limiter(|state| &mut state.meter);
        let end = Deadline::after(self.around.settings.limits.start_deadline());
        let started = self.around.sandbox.enter(end.deadline, |ticks| {
            store.set_epoch_deadline(ticks);
            let instance = self.linked.instantiate(&mut store)?;
            let state = store.data_mut();
            state.log.renew(state.around.settings.limits.log_bytes);
            let exports = Exports::find(&self.places, &mut store, &instance);
            exports::start(&self.places, &mut store, &instance)?;
            Ok((exports, instance))
        });
        let (exports, module) = started.map_err(|fault| store.data().meter.name(fault).at_start())?;
        let configurations = exports::configurations(&self.places, &mut store, &module);
        let mut instance = Started { store, exports };
        instance.configure(configurations, &end)?;
        Ok(Box::new(instance))
    }

    fn wants(&self, stage: Stage) -> bool {
        self.wants.get(stage as usize).copied().unwrap_or_default()
    }
}

/// A started instance.
struct Started {
    store: Store<State>,
    exports: Exports,
}

impl Started {
    /// Makes the plugin's own context, and gives the plugin its configurations. All of a start has one deadline.
    fn configure(&mut self, configurations: Configurations, end: &Deadline) -> Result<(), LoadError> {
        let settings = self.store.data().around.settings.clone();
        let left = || end.left().map_err(Fault::at_start);
        let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
        if let Some(create) = &self.exports.context_create {
            call(&mut self.store, left()?, ROOT, create, (ROOT, 0)).map_err(Fault::at_start)?;
        }
        for (function, which) in configurations {
            let Some(function) = function else { continue };
            self.store.data_mut().configuring = which;
            let size = match which {
                Configuring::Machine => size(&settings.vm_configuration),
                Configuring::Plugin => size(&settings.configuration),
                Configuring::None => 0,
            };
            let accepted =
                call(&mut self.store, left()?, ROOT, &function, (ROOT, size)).map_err(Fault::at_start)?;
            if accepted == 0 {
                return Err(LoadError::new(LoadCode::Configuration, "it refuses its configuration"));
            }
        }
        self.store.data_mut().configuring = Configuring::None;
        Ok(())
    }

    fn deadline(&self) -> Duration {
        self.store.data().around.settings.limits.deadline()
    }

    /// Ends the contexts that the plugin has done with only now, all before one deadline.
    fn settle(&mut self, deadline: Duration) -> Result<(), Fault> {
        if self.store.data().done.is_empty() {
            return Ok(());
        }
        let end = Deadline::after(deadline);
        while let Some(context) = self.store.data_mut().done.pop() {
            // It may say so more than once, and while its context is on its way out.
            if self.store.data_mut().context(context).is_some() {
                self.delete(&end, context)?;
            }
        }
        Ok(())
    }

    fn delete(&mut self, end: &Deadline, context: u32) -> Result<(), Fault> {
        for function in [&self.exports.log, &self.exports.delete].into_iter().flatten() {
            call(&mut self.store, end.left()?, context, function, context)?;
        }
        self.store.data_mut().contexts.retain(|(other, _)| *other != context);
        Ok(())
    }
}

/// When several calls have to be over.
struct Deadline {
    begun: Instant,
    deadline: Duration,
}

impl Deadline {
    fn after(deadline: Duration) -> Self {
        Self { begun: clock::tick(), deadline }
    }

    /// What is left for the next of them.
    fn left(&self) -> Result<Duration, Fault> {
        let left = self.deadline.saturating_sub(clock::tick().saturating_duration_since(self.begun));
        if left.is_zero() {
            return Err(Fault::new(FailureKind::Deadline, "its calls together take too long"));
        }
        Ok(left)
    }
}

/// Calls into the plugin, for a context.
fn call<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    deadline: Duration,
    context: u32,
    function: &TypedFunc<P, R>,
    parameters: P,
) -> Result<R, Fault> {
    let state = store.data_mut();
    state.effective = context;
    state.log.renew(state.around.settings.limits.log_bytes);
    let sandbox = state.around.sandbox.clone();
    let result = sandbox.enter(deadline, |ticks| {
        store.set_epoch_deadline(ticks);
        function.call(&mut *store, parameters)
    });
    result.map_err(|fault| store.data().meter.name(fault))
}

impl Instance for Started {
    fn is_done(&self) -> bool {
        let state = self.store.data();
        state.contexts.is_empty() && state.calls.is_empty()
    }

    fn begin(&mut self, part: Box<Part>) -> Result<(), Fault> {
        let deadline = self.deadline();
        let state = self.store.data_mut();
        state.last_context = state.last_context.checked_add(1).ok_or_else(|| {
            Fault::new(FailureKind::Host, "the instance has had all the requests that can be numbered")
        })?;
        let context = state.last_context;
        state.current = Some(context);
        state.contexts.push((context, part));
        match &self.exports.context_create {
            Some(create) => call(&mut self.store, deadline, context, create, (context, ROOT)),
            None => Ok(()),
        }
    }

    fn part(&mut self) -> Option<&mut Part> {
        let state = self.store.data_mut();
        state.context(state.current?)
    }

    fn show(&mut self, stage: Stage, end: bool) -> Result<Action, Fault> {
        let deadline = self.deadline();
        let state = self.store.data_mut();
        let Some(context) = state.current else { return Ok(Action::Continue) };
        let size = state.context(context).map_or(0, |part| part.size(stage));
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let action = match self.exports.handlers.get(stage as usize).and_then(Option::as_ref) {
            Some(exports::Handler::WithEnd(function)) => {
                call(&mut self.store, deadline, context, function, (context, size, end.into()))?
            }
            Some(exports::Handler::WithoutEnd(function)) => {
                call(&mut self.store, deadline, context, function, (context, size))?
            }
            None => 0,
        };
        self.settle(deadline)?;
        Ok(if action == 0 { Action::Continue } else { Action::Pause })
    }

    fn end(&mut self) -> Result<(), Fault> {
        let deadline = self.deadline();
        let state = self.store.data_mut();
        state.scratch.shrink_to(SCRATCH);
        let Some(context) = state.current.take() else { return Ok(()) };
        if let Some(done) = &self.exports.done
            && call(&mut self.store, deadline, context, done, context)? == 0
        {
            // It says when it is done; from then on the context is gone.
            let state = self.store.data_mut();
            if let Some(part) = state.context(context) {
                part.request.body = Vec::new();
                part.response.body = Vec::new();
            }
            self.settle(deadline)?;
            if self.store.data().contexts.len() > LINGERING {
                return Err(Fault::new(FailureKind::Trap, "it has not done with too many requests"));
            }
            return Ok(());
        }
        self.delete(&Deadline::after(deadline), context)?;
        self.settle(deadline)
    }

    fn wake(&mut self, news: News) -> Result<(), Fault> {
        let deadline = self.deadline();
        match news {
            News::Tick => {
                if let Some(tick) = &self.exports.tick {
                    call(&mut self.store, deadline, ROOT, tick, ROOT)?;
                }
            }
            News::Queue { queue } => {
                if let Some(ready) = &self.exports.queue_ready {
                    call(&mut self.store, deadline, ROOT, ready, (ROOT, queue))?;
                }
            }
            News::Answer { call: id, answer } => {
                let state = self.store.data_mut();
                if !state.calls.remove(&id) {
                    return Ok(());
                }
                let answer = answer.unwrap_or_default();
                let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
                let sizes =
                    (number(answer.headers.len()), number(answer.body.len()), number(answer.trailers.len()));
                state.answer = Some(answer);
                if let Some(function) = &self.exports.http_call_response {
                    call(&mut self.store, deadline, ROOT, function, (ROOT, id, sizes.0, sizes.1, sizes.2))?;
                }
                self.store.data_mut().answer = None;
            }
        }
        self.settle(deadline)
    }
}
