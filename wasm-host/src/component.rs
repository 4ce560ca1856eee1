//! Components of the world `consentry:gateway/plugin`, or of the smaller `mapping`: see `wit/gateway.wit`.

mod bindings;
mod convert;

use std::sync::{Arc, Weak};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use crate::error::{FailureKind, Fault, LoadCode, LoadError};
use crate::http::Headers;
use crate::instance::{Action, Instance, News, Part, Program, Stage, Stands};
use crate::sandbox::{Meter, told};
use crate::settings::{Capability, Level};
use crate::slot::Slot;
use crate::surroundings::{LogBudget, Surroundings};
use bindings::mapping::{Mapping, MappingPre};
use bindings::plugin::consentry::gateway::access::{self, AccessRequest, Entity, Evaluation, Permitted};
use bindings::plugin::consentry::gateway::authorization;
use bindings::plugin::consentry::gateway::host::{self, Level as WitLevel};
use bindings::plugin::consentry::gateway::{headers, http};
use bindings::plugin::{Answer, Plugin as World, PluginPre};

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plugin,
    Mapping,
}

/// What a component is for, if for gateways.
pub(crate) fn kind(component: &Component, engine: &Engine) -> Option<Kind> {
    let exports = |name| component.component_type().get_export(engine, name).is_some();
    if exports("on-request") {
        Some(Kind::Plugin)
    } else if exports("access-request-of") {
        Some(Kind::Mapping)
    } else {
        None
    }
}

/// What a component imports: functions, by their interfaces.
pub(crate) fn imports(component: &Component, engine: &Engine) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (interface, import) in component.component_type().imports(engine) {
        match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let functions = instance.exports(engine).filter(|(_, export)| {
                    matches!(export.ty, ComponentItem::ComponentFunc(_) | ComponentItem::Resource(_))
                });
                found.extend(functions.map(|(name, _)| (interface.to_owned(), name.to_owned())));
            }
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentFunc(_)
            | ComponentItem::CoreFunc(_)
            | ComponentItem::Module(_)
            | ComponentItem::Component(_)
            | ComponentItem::Resource(_) => found.push((String::new(), interface.to_owned())),
        }
    }
    found
}

/// What the functions of this interface are granted by.
pub(crate) fn needed(imports: &[(String, String)]) -> Vec<Capability> {
    let asked = |name: &str| {
        imports.iter().any(|(interface, function)| interface.starts_with(AUTHORIZATION) && function == name)
    };
    let functions = [("evaluate", Capability::Evaluate), ("list-permitted", Capability::List)];
    functions.into_iter().filter(|(name, _)| asked(name)).map(|(_, capability)| capability).collect()
}

const AUTHORIZATION: &str = "consentry:gateway/authorization@";

/// What an instance has on the host's side.
struct State {
    around: Arc<Surroundings>,
    meter: Meter,
    log: LogBudget,
    /// Of the request that is being shown.
    headers: Headers,
}

impl http::Host for State {}

impl headers::Host for State {
    fn get(&mut self, name: String) -> Vec<Vec<u8>> {
        if name.starts_with(':') {
            return Vec::new();
        }
        let called = |(known, _): &(&[u8], &[u8])| known.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(called).map(|(_, value)| value.to_owned()).collect()
    }

    fn all(&mut self) -> Vec<http::Header> {
        convert::headers(&self.headers).collect()
    }
}

impl access::Host for State {}

impl authorization::Host for State {
    fn evaluate(&mut self, request: AccessRequest) -> Evaluation {
        let around = &self.around;
        let request = convert::access_request(request, &around.settings.limits);
        let ask = |request| around.authority.evaluate(&request).map_err(|error| error.to_string());
        convert::evaluation(request.and_then(ask), &around.settings.limits)
    }

    fn list_permitted(&mut self, principal: Entity, resource: Entity) -> Vec<Permitted> {
        let permitted = self.around.authority.list(&convert::uid(principal), &convert::uid(resource));
        let size: usize = permitted.iter().map(|(action, _)| action.len()).sum();
        if size > self.around.settings.limits.result_bytes {
            self.around.note(&mut self.log, "the list that it asks for is too large");
            return Vec::new();
        }
        let permitted = permitted.into_iter();
        permitted
            .map(|(action, until)| Permitted { action, valid_until: until.map(convert::millis) })
            .collect()
    }
}

impl host::Host for State {
    fn configuration(&mut self) -> String {
        self.around.settings.configuration.clone()
    }

    fn log(&mut self, level: WitLevel, message: String) {
        let level = match level {
            WitLevel::Trace => Level::Trace,
            WitLevel::Debug => Level::Debug,
            WitLevel::Info => Level::Info,
            WitLevel::Warn => Level::Warn,
            WitLevel::Error => Level::Error,
        };
        self.around.log(&mut self.log, level, message.as_bytes());
    }

    fn count(&mut self, name: String, delta: u64) {
        if self.around.metrics.count(&name, delta).is_err() {
            self.around.note(&mut self.log, "it counts more things than it may");
        }
    }
}

/// A component in one configuration.
pub(crate) struct Plugin {
    linked: Linked,
    engine: Engine,
    around: Arc<Surroundings>,
}

enum Linked {
    Plugin(PluginPre<State>),
    Mapping(MappingPre<State>),
}

impl Plugin {
    pub(crate) fn new(
        component: &Component,
        engine: &Engine,
        around: Arc<Surroundings>,
    ) -> Result<Self, LoadError> {
        let unlinked = |code, error: &wasmtime::Error| LoadError::new(code, told(error));
        let kind = kind(component, engine).ok_or_else(|| {
            let message = "a component of another world: it exports neither `on-request` (world plugin) nor \
                `access-request-of` (world mapping)";
            LoadError::new(LoadCode::UnknownAbi, message)
        })?;
        let imports = imports(component, engine);
        let unknown: Vec<String> = imports
            .iter()
            .filter(|(interface, _)| {
                !(interface.starts_with("consentry:gateway/") && interface.ends_with("@0.1.0"))
            })
            .map(|(interface, function)| format!("`{interface}.{function}`"))
            .collect();
        if !unknown.is_empty() {
            let message = format!("it imports what gateways do not have: {}", unknown.join(", "));
            return Err(LoadError::new(LoadCode::UnknownImport, message));
        }
        let granted = |capability: &Capability| around.settings.grants(*capability);
        if let Some(missing) = needed(&imports).into_iter().find(|capability| !granted(capability)) {
            let message = format!("it needs `{}`, which it is not granted", missing.name());
            return Err(LoadError::new(LoadCode::NotGranted, message));
        }
        let mut linker = Linker::new(engine);
        World::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            .map_err(|error| unlinked(LoadCode::Sandbox, &error))?;
        let linked =
            linker.instantiate_pre(component).map_err(|error| unlinked(LoadCode::WrongSignature, &error))?;
        let linked = match kind {
            Kind::Plugin => PluginPre::new(linked).map(Linked::Plugin),
            Kind::Mapping => MappingPre::new(linked).map(Linked::Mapping),
        };
        let linked = linked.map_err(|error| unlinked(LoadCode::WrongSignature, &error))?;
        Ok(Self { linked, engine: engine.clone(), around })
    }
}

impl Program for Plugin {
    fn start(&self, _: Weak<Slot>) -> Result<Box<dyn Instance>, LoadError> {
        let limits = &self.around.settings.limits;
        let meter = Meter::new(limits.memory_bytes, limits.table_elements);
        let (around, log) = (self.around.clone(), LogBudget::default());
        let state = State { around, meter, log, headers: Headers::new() };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.meter);
        // What one call may hand over; strings in a plugin's memory may lie over each other.
        let handed_over =
            [limits.body_bytes, limits.map_bytes, limits.map_bytes, limits.result_bytes, 1 << 16];
        store.set_hostcall_fuel(handed_over.into_iter().fold(0, usize::saturating_add));
        store.data_mut().log.renew(limits.log_bytes);
        let started = self.around.sandbox.enter(limits.start_deadline(), |ticks| {
            store.set_epoch_deadline(ticks);
            match &self.linked {
                Linked::Mapping(linked) => Ok((Exports::Mapping(linked.instantiate(&mut store)?), Ok(()))),
                Linked::Plugin(linked) => {
                    let plugin = linked.instantiate(&mut store)?;
                    let configured = plugin.call_configure(&mut store)?;
                    Ok((Exports::Plugin(plugin), configured))
                }
            }
        });
        let (exports, configured) = started.map_err(|fault| store.data().meter.name(fault).at_start())?;
        if let Err(why) = configured {
            let why = if why.is_empty() { "it does not say why" } else { why.as_str() };
            let message = format!("it refuses its configuration: {why}");
            return Err(LoadError::new(LoadCode::Configuration, message));
        }
        Ok(Box::new(Started { store, exports, part: None }))
    }

    fn wants(&self, stage: Stage) -> bool {
        stage == Stage::RequestHeaders
    }
}

enum Exports {
    Plugin(World),
    Mapping(Mapping),
}

/// A started instance.
struct Started {
    store: Store<State>,
    exports: Exports,
    part: Option<Box<Part>>,
}

impl Instance for Started {
    fn begin(&mut self, part: Box<Part>) -> Result<(), Fault> {
        self.part = Some(part);
        Ok(())
    }

    fn part(&mut self) -> Option<&mut Part> {
        self.part.as_deref_mut()
    }

    fn show(&mut self, stage: Stage, _: bool) -> Result<Action, Fault> {
        let Some(part) = self.part.as_mut().filter(|_| stage == Stage::RequestHeaders) else {
            return Ok(Action::Continue);
        };
        let Some(headers) = part.request.headers.as_mut() else { return Ok(Action::Continue) };
        let head = convert::Head::of(headers);
        let store = &mut self.store;
        let around = store.data().around.clone();
        let limits = &around.settings.limits;
        store.data_mut().log.renew(limits.log_bytes);
        store.data_mut().headers.clone_from(headers);
        let exports = &self.exports;
        let answered = around.sandbox.enter(limits.deadline(), |ticks| {
            store.set_epoch_deadline(ticks);
            match exports {
                Exports::Plugin(plugin) => {
                    plugin.call_on_request(&mut *store, head.shown()).map(Answered::Plugin)
                }
                Exports::Mapping(mapping) => {
                    mapping.call_access_request_of(&mut *store, head.shown()).map(Answered::Mapping)
                }
            }
        });
        store.data_mut().headers.clear();
        let wrong = |why: String| Fault::new(FailureKind::Answer, why);
        let stands =
            |access| convert::access_request(access, limits).map(|access| Stands::For(Box::new(access)));
        match answered.map_err(|fault| store.data().meter.name(fault))? {
            Answered::Plugin(Answer::Proceed(pass)) => {
                convert::change(headers, &pass.changes, limits).map_err(wrong)?;
                part.access = pass.access.map_or(Ok(Stands::Untold), stands).map_err(wrong)?;
            }
            Answered::Plugin(Answer::Respond(response)) => {
                part.answer = Some(convert::response(response, limits).map_err(wrong)?);
            }
            Answered::Mapping(access) => {
                part.access = access.map_or(Ok(Stands::Nothing), stands).map_err(wrong)?;
            }
        }
        Ok(Action::Continue)
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.part = None;
        Ok(())
    }

    fn wake(&mut self, _: News) -> Result<(), Fault> {
        Ok(())
    }
}

enum Answered {
    Plugin(Answer),
    Mapping(Option<AccessRequest>),
}
