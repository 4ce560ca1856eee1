//! What a module exports: the callbacks of proxy-wasm 0.2.1, all of them optional.

use wasmtime::{
    Extern, ExternType, Instance, Module, ModuleExport, Store, TypedFunc, ValType, WasmParams, WasmResults,
};

use super::state::{Configuring, State};
use crate::error::{LoadCode, LoadError};
use crate::instance::Stage;

/// The callbacks that a host of HTTP calls, with the numbers of their parameters and results, all of them `i32`.
const CALLBACKS: [(&str, usize, usize); 20] = [
    ("_initialize", 0, 0),
    ("_start", 0, 0),
    ("main", 2, 1),
    ("proxy_on_memory_allocate", 1, 1),
    ("malloc", 1, 1),
    ("proxy_on_context_create", 2, 0),
    ("proxy_on_vm_start", 2, 1),
    ("proxy_on_configure", 2, 1),
    ("proxy_on_tick", 1, 0),
    ("proxy_on_queue_ready", 2, 0),
    ("proxy_on_http_call_response", 5, 0),
    ("proxy_on_request_headers", 3, 1),
    ("proxy_on_request_body", 3, 1),
    ("proxy_on_request_trailers", 2, 1),
    ("proxy_on_response_headers", 3, 1),
    ("proxy_on_response_body", 3, 1),
    ("proxy_on_response_trailers", 2, 1),
    ("proxy_on_done", 1, 1),
    ("proxy_on_log", 1, 0),
    ("proxy_on_delete", 1, 0),
];

/// The callback that is shown this.
pub(super) fn handler(stage: Stage) -> &'static str {
    match stage {
        Stage::RequestHeaders => "proxy_on_request_headers",
        Stage::RequestBody => "proxy_on_request_body",
        Stage::RequestTrailers => "proxy_on_request_trailers",
        Stage::ResponseHeaders => "proxy_on_response_headers",
        Stage::ResponseBody => "proxy_on_response_body",
        Stage::ResponseTrailers => "proxy_on_response_trailers",
    }
}

/// Whether what is exported can be called.
pub(super) fn check(module: &Module) -> Result<(), LoadError> {
    let wrong = |message: String| Err(LoadError::new(LoadCode::WrongSignature, message));
    for (name, parameters, results) in CALLBACKS {
        let Some(export) = module.get_export(name) else { continue };
        let ExternType::Func(function) = export else {
            return wrong(format!("`{name}` is not a function"));
        };
        let integers = function.params().chain(function.results()).all(|of| matches!(of, ValType::I32));
        if function.params().len() != parameters || function.results().len() != results || !integers {
            return wrong(format!(
                "`{name}` must take {parameters} and give {results} values, all of them i32; it is {function}"
            ));
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => Ok(()),
        _ => wrong("it exports no memory".to_owned()),
    }
}

/// Most modules export few of them, and an instance is to be small.
pub(super) type Callback<P, R> = Option<Box<TypedFunc<P, R>>>;

/// The callbacks of an instance.
pub(super) struct Exports {
    pub(super) context_create: Callback<(u32, u32), ()>,
    pub(super) tick: Callback<u32, ()>,
    pub(super) queue_ready: Callback<(u32, u32), ()>,
    pub(super) http_call_response: Callback<(u32, u32, u32, u32, u32), ()>,
    /// By stage.
    pub(super) handlers: [Option<Handler>; 6],
    pub(super) done: Callback<u32, u32>,
    pub(super) log: Callback<u32, ()>,
    pub(super) delete: Callback<u32, ()>,
}

/// A callback that is shown a step of a request.
pub(super) enum Handler {
    /// It is told whether this is the end.
    WithEnd(Box<TypedFunc<(u32, u32, u32), u32>>),
    /// It is the end.
    WithoutEnd(Box<TypedFunc<(u32, u32), u32>>),
}

/// Where a module has its exports: looked up once, not for every instance.
pub(super) struct Places(Vec<(&'static str, ModuleExport)>);

impl Places {
    pub(super) fn of(module: &Module) -> Self {
        let names = CALLBACKS.into_iter().map(|(name, ..)| name).chain(["memory"]);
        Self(names.filter_map(|name| Some((name, module.get_export_index(name)?))).collect())
    }

    fn find(&self, store: &mut Store<State>, instance: &Instance, name: &str) -> Option<Extern> {
        let (_, place) = self.0.iter().find(|(known, _)| *known == name)?;
        instance.get_module_export(store, place)
    }

    fn function<P: WasmParams, R: WasmResults>(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        name: &str,
    ) -> Callback<P, R> {
        self.find(store, instance, name)?.into_func()?.typed(&*store).ok().map(Box::new)
    }
}

impl Exports {
    /// Looks them up, and what the host functions need of the instance.
    pub(super) fn find(places: &Places, store: &mut Store<State>, instance: &Instance) -> Self {
        let memory = places.find(store, instance, "memory").and_then(Extern::into_memory);
        let allocate = places
            .function(store, instance, "proxy_on_memory_allocate")
            .or_else(|| places.function(store, instance, "malloc"))
            .map(|allocate| *allocate);
        let handlers = Stage::ALL.map(|stage| match stage {
            Stage::RequestTrailers | Stage::ResponseTrailers => {
                places.function(store, instance, handler(stage)).map(Handler::WithoutEnd)
            }
            Stage::RequestHeaders | Stage::RequestBody | Stage::ResponseHeaders | Stage::ResponseBody => {
                places.function(store, instance, handler(stage)).map(Handler::WithEnd)
            }
        });
        let state = store.data_mut();
        state.memory = memory;
        state.allocate = allocate;
        Self {
            context_create: places.function(store, instance, "proxy_on_context_create"),
            tick: places.function(store, instance, "proxy_on_tick"),
            queue_ready: places.function(store, instance, "proxy_on_queue_ready"),
            http_call_response: places.function(store, instance, "proxy_on_http_call_response"),
            handlers,
            done: places.function(store, instance, "proxy_on_done"),
            log: places.function(store, instance, "proxy_on_log"),
            delete: places.function(store, instance, "proxy_on_delete"),
        }
    }
}

/// Starts the module as proxy-wasm 0.2.1 has it: `_initialize` and then `main`, or `_start`.
pub(super) fn start(places: &Places, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
    let initialize: Callback<(), ()> = places.function(store, instance, "_initialize");
    if let Some(initialize) = initialize {
        initialize.call(&mut *store, ())?;
        let main: Callback<(u32, u32), u32> = places.function(store, instance, "main");
        if let Some(main) = main {
            main.call(&mut *store, (0, 0))?;
        }
        return Ok(());
    }
    let start: Callback<(), ()> = places.function(store, instance, "_start");
    start.map_or(Ok(()), |start| start.call(&mut *store, ()))
}

/// The callbacks that are given the two configurations.
pub(super) type Configurations = [(Callback<(u32, u32), u32>, Configuring); 2];

/// Looks them up.
pub(super) fn configurations(
    places: &Places,
    store: &mut Store<State>,
    instance: &Instance,
) -> Configurations {
    [
        (places.function(store, instance, "proxy_on_vm_start"), Configuring::Machine),
        (places.function(store, instance, "proxy_on_configure"), Configuring::Plugin),
    ]
}
