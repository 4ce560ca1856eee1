//! wasmtime, set up once for all plugins of a host.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolConcurrencyLimitError,
    PoolingAllocationConfig, ResourceLimiter, Trap, WasmBacktrace,
};

use crate::error::{FailureKind, Fault, LoadCode, LoadError};

/// What all plugins of a host share.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Instances of modules at one time, whoever's.
    pub instances: u32,
    /// Bytes of memory that no instance may pass, whatever its plugin's limit.
    pub memory_bytes: usize,
    /// Bytes of stack of a call into a plugin.
    pub stack_bytes: usize,
    /// Bytes that a plugin may have, before it is compiled.
    pub plugin_bytes: usize,
    /// How long a plugin may take to compile.
    pub compile_deadline: Duration,
    /// Where compiled plugins are kept. Whoever can write there, runs code in this process: it is made for its owner
    /// alone, and refused if it is anybody else's. `None`: they are compiled anew by every process.
    pub cache: Option<PathBuf>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            instances: 1_100,
            memory_bytes: 64 << 20,
            stack_bytes: 512 << 10,
            plugin_bytes: 32 << 20,
            compile_deadline: Duration::from_secs(60),
            cache: None,
        }
    }
}

/// One wasmtime engine, and the thread that counts its time.
pub(crate) struct Sandbox {
    pub(crate) engine: Engine,
    pulse: Arc<Pulse>,
    counting: Option<JoinHandle<()>>,
}

/// A tick of the engine's clock.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call in sight after which the clock rests.
const REST: u64 = 200;
/// Core instances that a component may be made of; one of JavaScript has 13.
const CORE_INSTANCES: u32 = 20;
/// Memory of a slot that is wiped rather than given back between two instances, as far as it was touched.
const KEPT: usize = 256 << 10;

impl Sandbox {
    pub(crate) fn new(settings: &SandboxSettings) -> Result<Self, LoadError> {
        let failed = |error: &dyn std::fmt::Display| LoadError::new(LoadCode::Sandbox, error.to_string());
        let engine = Engine::new(&config(settings)?).map_err(|error| failed(&error))?;
        let pulse = Arc::new(Pulse::default());
        let counting = {
            let (engine, pulse) = (engine.clone(), pulse.clone());
            thread::Builder::new()
                .name("consentry-epoch".to_owned())
                .spawn(move || pulse.count(&engine))
                .map_err(|error| failed(&error))?
        };
        Ok(Self { engine, pulse, counting: Some(counting) })
    }

    /// Runs `call` with a deadline that the caller sets on its store to the ticks that it is given.
    pub(crate) fn enter<R>(
        &self,
        deadline: Duration,
        call: impl FnOnce(u64) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.pulse.begin(self.counting.as_ref());
        // The tick that is under way does not count.
        let ticks = u64::from(u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)).saturating_add(1);
        let result = catch_unwind(AssertUnwindSafe(|| call(ticks)));
        self.pulse.active.fetch_sub(1, Ordering::SeqCst);
        match result {
            Ok(result) => result.map_err(|error| fault(&error)),
            Err(_) => Err(Fault::new(FailureKind::Host, "the host panicked")),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.pulse.over.store(true, Ordering::Release);
        if let Some(counting) = self.counting.take() {
            counting.thread().unpark();
            // It panicked or it ended: nothing is left to be done either way.
            let _ = counting.join();
        }
    }
}

/// Counts time while there is something to be timed.
#[derive(Default)]
struct Pulse {
    /// Calls under way.
    active: AtomicUsize,
    resting: AtomicBool,
    over: AtomicBool,
}

impl Pulse {
    /// A call begins. It sees that time is not counted, or whoever would stop counting sees the call: each writes
    /// before it looks.
    fn begin(&self, counting: Option<&JoinHandle<()>>) {
        self.active.fetch_add(1, Ordering::SeqCst);
        if self.resting.load(Ordering::SeqCst)
            && let Some(counting) = counting
        {
            counting.thread().unpark();
        }
    }

    fn count(&self, engine: &Engine) {
        let mut idle = 0;
        while !self.over.load(Ordering::SeqCst) {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            idle = if self.active.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            if idle < REST {
                continue;
            }
            self.resting.store(true, Ordering::SeqCst);
            while self.active.load(Ordering::SeqCst) == 0 && !self.over.load(Ordering::SeqCst) {
                // Calls that are over before this is awake leave nothing to be timed.
                thread::park();
            }
            self.resting.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

fn config(settings: &SandboxSettings) -> Result<Config, LoadError> {
    let mut pool = PoolingAllocationConfig::new();
    let instances = settings.instances;
    pool.total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_component_instances(instances)
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .max_memory_size(settings.memory_bytes)
        .table_elements(100_000)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(4)
        .max_tables_per_component(8)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(KEPT)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(settings.stack_bytes)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(20))
        .wasm_memory64(false)
        .cache(settings.cache.as_deref().map(cache).transpose()?);
    Ok(config)
}

fn cache(folder: &std::path::Path) -> Result<Cache, LoadError> {
    let failed = |why: &dyn std::fmt::Display| {
        LoadError::new(LoadCode::Sandbox, format!("the cache `{}`: {why}", folder.display()))
    };
    owned_alone(folder).map_err(|error| failed(&error))?;
    let folder = folder.canonicalize().map_err(|error| failed(&error))?;
    let mut config = CacheConfig::new();
    config.with_directory(folder.clone());
    Cache::new(config).map_err(|error| failed(&error))
}

/// Makes the folder for its owner alone, or sees that it is.
#[cfg(unix)]
fn owned_alone(folder: &std::path::Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};

    let mut builder = std::fs::DirBuilder::new();
    match builder.mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let others = || Err(Error::new(ErrorKind::PermissionDenied, "others than its owner may write there"));
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.mode() & 0o022 != 0 {
        return others();
    }
    // What this process makes is its own: the owner of its own file is who it runs as.
    let probe = folder.join(format!(".owner-{}", std::process::id()));
    let own = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe)?.metadata()?.uid();
    std::fs::remove_file(&probe)?;
    if found.uid() != own { others() } else { Ok(()) }
}

#[cfg(not(unix))]
fn owned_alone(_: &std::path::Path) -> std::io::Result<()> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "cannot tell here who may write there"))
}

/// What a call into a plugin ended with.
fn fault(error: &wasmtime::Error) -> Fault {
    let kind = if error.is::<PoolConcurrencyLimitError>() {
        FailureKind::Exhausted
    } else if let Some(Trap::Interrupt) = error.downcast_ref::<Trap>() {
        FailureKind::Deadline
    } else if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
        FailureKind::Stack
    } else {
        FailureKind::Trap
    };
    if kind == FailureKind::Deadline {
        let place = place(error).map(|name| format!(" (in `{name}`)")).unwrap_or_default();
        return Fault::new(kind, format!("cut off at its deadline{place}"));
    }
    Fault::new(kind, told(error))
}

/// The innermost function that has a name.
fn place(error: &wasmtime::Error) -> Option<String> {
    let trace = error.downcast_ref::<WasmBacktrace>()?;
    trace.frames().iter().find_map(|frame| frame.func_name().map(str::to_owned))
}

/// An error with its causes, on one line; without the frames, but for the innermost that has a name.
pub(crate) fn told(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    if causes.len() > 1 && causes.first().is_some_and(|first| first.starts_with("error while executing")) {
        causes.remove(0);
    }
    let told = causes.join(": ").replace('\n', " ");
    place(error).map_or(told.clone(), |name| format!("{told} (in `{name}`)"))
}

/// What an instance takes, and may take.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: usize,
    memory_limit: usize,
    tables: usize,
    table_limit: usize,
    /// It was refused more memory.
    pub(crate) refused: bool,
}

impl Meter {
    pub(crate) fn new(memory_limit: usize, table_limit: usize) -> Self {
        Self { memory: 0, memory_limit, tables: 0, table_limit, refused: false }
    }

    /// What a fault is called once it is known whether memory was short.
    pub(crate) fn name(&self, mut fault: Fault) -> Fault {
        if self.refused && fault.kind == FailureKind::Trap {
            fault.kind = FailureKind::Memory;
        }
        fault
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.memory.saturating_add(desired.saturating_sub(current));
        let fits = after <= self.memory_limit;
        if fits {
            self.memory = after;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.tables.saturating_add(desired.saturating_sub(current));
        let fits = after <= self.table_limit;
        if fits {
            self.tables = after;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }
}
