//! The host: plugins in their order, and requests on their way through them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::authority::Authority;
use crate::callouts::{Callouts, NoCallouts};
use crate::clock;
use crate::compile::{Compiled, Compiler};
use crate::component;
use crate::errands::Errands;
use crate::error::{Failure, LoadCode, LoadError};
use crate::exchange::{Exchange, Frame, Output};
use crate::http::{Connection, Headers, HttpHead, Response};
use crate::inspect::Inspection;
use crate::instance::{Cause, Program, Verdict};
use crate::metrics::{Metric, Metrics};
use crate::plugin::{Observer, Plugin};
use crate::proxy;
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::settings::{Level, Settings};
use crate::shared::Shares;
use crate::slot::lock;
use crate::surroundings::Surroundings;

/// Runs plugins. Every thread may use it; requests wait for no other request.
pub struct Host {
    // Dropped before the sandbox, whose engine they run on.
    plugins: ArcSwap<Vec<Arc<Plugin>>>,
    /// One is loaded at a time.
    loading: Mutex<()>,
    metrics: Mutex<HashMap<String, Arc<Metrics>>>,
    compiler: Compiler,
    shares: Arc<Shares>,
    errands: Arc<Errands>,
    authority: Arc<dyn Authority>,
    observer: Arc<dyn Observer>,
    callouts: Arc<dyn Callouts>,
    unmapped_goes_on: bool,
    sandbox: Arc<Sandbox>,
}

/// Sets a host up.
pub struct Builder {
    authority: Arc<dyn Authority>,
    observer: Arc<dyn Observer>,
    callouts: Arc<dyn Callouts>,
    sandbox: SandboxSettings,
    unmapped_goes_on: bool,
}

impl Builder {
    /// Who is told what plugins say and how they fail; without this nobody is.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        Self { observer: Arc::new(observer), ..self }
    }

    /// Who makes the calls of plugins to upstreams; without this there are no upstreams.
    #[must_use]
    pub fn callouts(self, callouts: impl Callouts + 'static) -> Self {
        Self { callouts: Arc::new(callouts), ..self }
    }

    /// A request that a mapping says stands for nothing goes on to the plugins after it: whoever runs the host says what
    /// it stands for, and must deny it where nobody does. Without this it is denied as `unmapped`.
    #[must_use]
    pub fn unmapped_goes_on(self) -> Self {
        Self { unmapped_goes_on: true, ..self }
    }

    /// What all plugins share.
    #[must_use]
    pub fn sandbox(self, sandbox: SandboxSettings) -> Self {
        Self { sandbox, ..self }
    }

    /// Makes the sandbox. It reserves address space for all its instances, and hardly any memory.
    ///
    /// # Errors
    /// When the sandbox cannot be made, or its cache is open to others.
    pub fn build(self) -> Result<Host, LoadError> {
        let sandbox = Arc::new(Sandbox::new(&self.sandbox)?);
        let engine = sandbox.engine.clone();
        Ok(Host {
            plugins: ArcSwap::default(),
            loading: Mutex::default(),
            metrics: Mutex::default(),
            compiler: Compiler::new(engine, self.sandbox.plugin_bytes, self.sandbox.compile_deadline),
            shares: Arc::default(),
            errands: Arc::default(),
            authority: self.authority,
            observer: self.observer,
            callouts: self.callouts,
            unmapped_goes_on: self.unmapped_goes_on,
            sandbox,
        })
    }
}

/// How a plugin is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Instances that there are.
    pub instances: usize,
    /// Failures since it was loaded.
    pub failures: u64,
}

impl Host {
    /// A host whose plugins ask `authority`, to be set up.
    #[must_use]
    pub fn builder(authority: impl Authority + 'static) -> Builder {
        Builder {
            authority: Arc::new(authority),
            observer: Arc::new(Nobody),
            callouts: Arc::new(NoCallouts),
            sandbox: SandboxSettings::default(),
            unmapped_goes_on: false,
        }
    }

    /// Says what a plugin is and what it needs, without running anything of it.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn inspect(&self, bytes: &[u8]) -> Result<Inspection, LoadError> {
        let (hash, compiled) = self.compiler.compile(bytes)?;
        Ok(Inspection::new(&hash, &compiled, &self.sandbox.engine))
    }

    /// Loads a plugin after those that are there, or in the place of the one of this name. It is compiled, started and
    /// configured before any request sees it; requests that are on their way keep the one that they began with.
    ///
    /// Takes as long as compiling takes: not for a thread that serves requests.
    ///
    /// # Errors
    /// When it cannot be compiled, started or configured. Then nothing is changed.
    pub fn load(&self, name: &str, bytes: &[u8], settings: Settings) -> Result<(), LoadError> {
        let plugin = self.opened(name, bytes, settings)?;
        self.put([plugin]);
        Ok(())
    }

    /// As [`Host::load`], for several at once: from one request to the next they all are there.
    ///
    /// # Errors
    /// The name of the first that cannot be compiled, started or configured, and why. Then nothing is changed.
    pub fn load_all<'a>(
        &self,
        plugins: impl IntoIterator<Item = (&'a str, &'a [u8], Settings)>,
    ) -> Result<(), (&'a str, LoadError)> {
        let mut opened = Vec::new();
        for (name, bytes, settings) in plugins {
            match self.opened(name, bytes, settings) {
                Ok(plugin) => opened.push(plugin),
                Err(error) => {
                    opened.iter().for_each(|plugin| plugin.retire());
                    return Err((name, error));
                }
            }
        }
        self.put(opened);
        Ok(())
    }

    /// A plugin that is compiled, started and configured, and that no request sees yet.
    fn opened(&self, name: &str, bytes: &[u8], settings: Settings) -> Result<Arc<Plugin>, LoadError> {
        let (_, compiled) = self.compiler.compile(bytes)?;
        let name: Arc<str> = name.into();
        let settings = Arc::new(settings);
        let around = Arc::new(self.surroundings(&name, &settings));
        let program: Box<dyn Program> = match &compiled {
            Compiled::Core(module) if proxy::version(module).is_some() => {
                Box::new(proxy::Plugin::new(module, around)?)
            }
            Compiled::Core(module) => {
                return Err(LoadError::new(LoadCode::UnknownAbi, proxy::not_for_gateways(module)));
            }
            Compiled::Component(found) => {
                Box::new(component::Plugin::new(found, &self.sandbox.engine, around)?)
            }
        };
        Plugin::open(name, settings, program, self.observer.clone())
    }

    /// Has requests see these plugins, each in the place of the one of its name.
    fn put(&self, opened: impl IntoIterator<Item = Arc<Plugin>>) {
        let _one = lock(&self.loading);
        let mut plugins = Vec::clone(&self.plugins.load());
        for plugin in opened {
            match plugins.iter_mut().find(|known| known.name == plugin.name) {
                Some(known) => std::mem::replace(known, plugin).retire(),
                None => plugins.push(plugin),
            }
        }
        self.plugins.store(Arc::new(plugins));
    }

    /// Takes a plugin away; false: there is none of this name.
    pub fn unload(&self, name: &str) -> bool {
        let _one = lock(&self.loading);
        let mut plugins = Vec::clone(&self.plugins.load());
        let Some(place) = plugins.iter().position(|known| &*known.name == name) else { return false };
        plugins.remove(place).retire();
        self.plugins.store(Arc::new(plugins));
        true
    }

    fn surroundings(&self, name: &Arc<str>, settings: &Arc<Settings>) -> Surroundings {
        let vm_id = settings.vm_id.as_deref().unwrap_or(name);
        let limit = settings.limits.metrics;
        let metrics = lock(&self.metrics)
            .entry(name.to_string())
            .or_insert_with(|| Arc::new(Metrics::new(limit)))
            .clone();
        Surroundings {
            name: name.clone(),
            settings: settings.clone(),
            sandbox: self.sandbox.clone(),
            authority: self.authority.clone(),
            observer: self.observer.clone(),
            callouts: self.callouts.clone(),
            errands: self.errands.clone(),
            metrics,
            share: self.shares.of(vm_id, settings.limits.shared_bytes),
        }
    }

    /// A request that is about to come, and its answer after it, frame by frame.
    #[must_use]
    pub fn exchange(&self, connection: Connection) -> Exchange {
        Exchange::new(&self.plugins.load(), self.authority.clone(), connection, self.unmapped_goes_on)
    }

    /// Whether a request may go on, and how. Its body and its answer are not shown to plugins: that is what
    /// [`Host::exchange`] is for. Blocks while a plugin waits for an upstream.
    #[must_use]
    pub fn on_request(&self, head: &HttpHead) -> Verdict {
        let mut exchange = self.exchange(head.connection);
        exchange.request(Frame::Head(head.headers.clone(), !head.has_body()));
        let mut answer: Option<Response> = None;
        let mut patience = None;
        loop {
            match exchange.output() {
                Some(Output::Upstream(Frame::Head(headers, _))) => {
                    let head = HttpHead { headers, connection: head.connection };
                    return Verdict::Continue { head, asked: exchange.take_asked() };
                }
                Some(Output::Upstream(_)) => {}
                Some(Output::Client(Frame::Head(headers, _))) => answer = Some(response(&headers)),
                Some(Output::Client(Frame::Data(bytes, _))) => {
                    if let Some(answer) = &mut answer {
                        answer.body.extend_from_slice(&bytes);
                    }
                }
                Some(Output::Client(Frame::Trailers(_))) => {}
                Some(Output::Reset) => return closed(&mut exchange),
                None if exchange.is_paused() => {
                    // One patience for all that it waits for: news do not begin it anew.
                    let end = *patience.get_or_insert_with(|| clock::tick().checked_add(exchange.patience()));
                    let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(clock::tick()));
                    if left.is_zero() || !exchange.wait(left) {
                        exchange.give_up();
                    }
                }
                None => {
                    return match (answer, exchange.cause().cloned()) {
                        (Some(response), Some(cause)) => {
                            Verdict::Respond { response, cause, asked: exchange.take_asked() }
                        }
                        _ => closed(&mut exchange),
                    };
                }
            }
        }
    }

    /// How the plugins are doing, in their order.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let standing = |plugin: &Arc<Plugin>| {
            let (instances, failures) = plugin.counts();
            Standing { name: plugin.name.to_string(), instances, failures }
        };
        self.plugins.load().iter().map(standing).collect()
    }

    /// What the plugin of this name counts.
    #[must_use]
    pub fn metrics(&self, plugin: &str) -> Vec<Metric> {
        lock(&self.metrics).get(plugin).map(|metrics| metrics.all()).unwrap_or_default()
    }
}

/// The answer that a head begins.
fn response(headers: &Headers) -> Response {
    let status = headers.text(":status").and_then(|status| status.parse().ok()).unwrap_or(500);
    let fields = headers.iter().filter(|(name, _)| *name != b":status");
    Response { status, headers: fields.collect(), body: Vec::new() }
}

/// Nothing came out, or no more than a cut: closed.
fn closed(exchange: &mut Exchange) -> Verdict {
    let cause = exchange.cause().cloned().unwrap_or_else(|| Cause::Plugin(String::new()));
    Verdict::Respond { response: Response::new(503), cause, asked: exchange.take_asked() }
}

/// Hears nothing.
struct Nobody;

impl Observer for Nobody {
    fn log(&self, _: &str, _: Level, _: &str) {}

    fn failed(&self, _: &Failure) {}
}
