//! Gateways' plugins in a sandbox, with Consentry's decisions in their hands.
//!
//! A [`Host`] runs plugins of two kinds on one core: modules of proxy-wasm 0.2.1, as they were made for Envoy, and
//! components of the worlds in `wit/gateway.wit`. It is told of requests ([`Host::on_request`], or frame by frame
//! [`Host::exchange`]) and says what becomes of them. It does no I/O: what plugins write goes to an [`Observer`],
//! what they call goes through [`Callouts`], what they ask is answered by an [`Authority`], such as the engine.
//!
//! Whatever a plugin does, it costs its own request at most: it is cut off at its deadline, what it may take is
//! counted, and after a fault its instance is dropped. A request that a plugin failed is answered 503, or goes
//! on without it where its settings say so.

mod authority;
mod callouts;
mod clock;
mod compile;
mod component;
mod errands;
mod error;
mod exchange;
mod host;
mod http;
mod inspect;
mod instance;
mod metrics;
mod plugin;
mod proxy;
mod sandbox;
mod settings;
mod shared;
mod slot;
mod surroundings;

pub use authority::Authority;
pub use callouts::{Callout, Callouts, NoCallout, Reply};
pub use error::{Failure, FailureKind, LoadCode, LoadError};
pub use exchange::{Exchange, Frame, Output};
pub use host::{Builder, Host, Standing};
pub use http::{Connection, Headers, HttpHead, Response};
pub use inspect::{Abi, Inspection};
pub use instance::{Asked, CalloutAnswer, Cause, Verdict};
pub use metrics::{Metric, MetricValue};
pub use plugin::Observer;
pub use sandbox::SandboxSettings;
pub use settings::{Capability, Instances, Level, Limits, OnFailure, Settings};
