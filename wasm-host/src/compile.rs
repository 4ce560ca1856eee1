//! From bytes to something that can be started: off the path of requests, with an end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use crate::error::{LoadCode, LoadError};
use crate::sandbox::told;

/// What a plugin is compiled to.
#[derive(Clone)]
pub(crate) enum Compiled {
    Core(Module),
    Component(Component),
}

/// SHA-256 of what a plugin was read from.
pub(crate) type Hash = [u8; 32];

/// Compiles each plugin once. All is compiled by one engine with one configuration, so that the content is the key.
pub(crate) struct Compiler {
    engine: Engine,
    limit: usize,
    deadline: Duration,
    /// The latest used first. Whoever runs a plugin keeps it, whatever is forgotten here.
    known: Mutex<VecDeque<(Hash, Compiled)>>,
    /// Compilations under way, those among them that nobody waits for any more.
    under_way: Arc<AtomicUsize>,
}

/// Compilations at one time. What took too long goes on until it ends, and takes its place as long as that.
const AT_ONE_TIME: usize = 2;
/// Plugins that are kept compiled, beside those that run.
const KEPT: usize = 32;

impl Compiler {
    pub(crate) fn new(engine: Engine, limit: usize, deadline: Duration) -> Self {
        Self { engine, limit, deadline, known: Mutex::default(), under_way: Arc::default() }
    }

    /// The plugin in `bytes`: a module or component, in bytes or as text.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<(Hash, Compiled), LoadError> {
        if bytes.len() > self.limit {
            let message = format!("{} bytes; plugins may have {}", bytes.len(), self.limit);
            return Err(LoadError::new(LoadCode::TooLarge, message));
        }
        let hash: Hash = Sha256::digest(bytes).into();
        if let Some(compiled) = self.recall(&hash) {
            return Ok((hash, compiled));
        }
        let place = Place::take(&self.under_way)?;
        let (engine, bytes) = (self.engine.clone(), bytes.to_owned());
        let (sender, receiver) = mpsc::sync_channel(1);
        let work = move || {
            let compiled = compile(&engine, &bytes);
            // Whoever hears of it may have something else compiled at once.
            drop(place);
            // Nobody may be waiting any more.
            let _ = sender.send(compiled);
        };
        thread::Builder::new()
            .name("consentry-compile".to_owned())
            .spawn(work)
            .map_err(|error| LoadError::new(LoadCode::Sandbox, error.to_string()))?;
        let compiled = match receiver.recv_timeout(self.deadline) {
            Ok(compiled) => compiled?,
            Err(RecvTimeoutError::Timeout) => {
                let message = format!("not compiled after {} ms", self.deadline.as_millis());
                return Err(LoadError::new(LoadCode::CompileDeadline, message));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(LoadError::new(LoadCode::Malformed, "the compiler panicked"));
            }
        };
        self.keep(hash, compiled.clone());
        Ok((hash, compiled))
    }

    fn recall(&self, hash: &Hash) -> Option<Compiled> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|(other, _)| other == hash)?;
        let found = known.remove(place)?;
        known.push_front(found.clone());
        Some(found.1)
    }

    fn keep(&self, hash: Hash, compiled: Compiled) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| *other != hash);
        known.push_front((hash, compiled));
        known.truncate(KEPT);
    }
}

/// A place among the compilations under way, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(under_way: &Arc<AtomicUsize>) -> Result<Self, LoadError> {
        let more = |count: usize| (count < AT_ONE_TIME).then_some(count + 1);
        under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).map_err(|count| {
            LoadError::new(LoadCode::CompileBusy, format!("{count} plugins are being compiled"))
        })?;
        Ok(Self(under_way.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn compile(engine: &Engine, bytes: &[u8]) -> Result<Compiled, LoadError> {
    let malformed = |message: String| LoadError::new(LoadCode::Malformed, message);
    // What was compiled elsewhere is machine code that nobody here has looked at.
    if Engine::detect_precompiled(bytes).is_some() {
        return Err(malformed("it is compiled already; only its source is taken".to_owned()));
    }
    let bytes = wat::parse_bytes(bytes).map_err(|error| malformed(error.to_string()))?;
    let compiled = match kind(&bytes) {
        Some(Kind::Core) => Module::from_binary(engine, &bytes).map(Compiled::Core),
        Some(Kind::Component) => Component::from_binary(engine, &bytes).map(Compiled::Component),
        None => return Err(malformed("neither a module nor a component".to_owned())),
    };
    compiled.map_err(|error| malformed(told(&error)))
}

enum Kind {
    Core,
    Component,
}

/// What the first eight bytes say: a magic number, a version, and whether it is a component.
fn kind(bytes: &[u8]) -> Option<Kind> {
    match bytes.strip_prefix(b"\0asm")? {
        [1, 0, 0, 0, ..] => Some(Kind::Core),
        [_, 0, 1, 0, ..] => Some(Kind::Component),
        _ => None,
    }
}
