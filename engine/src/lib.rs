//! Consentry: authorization for access that has to be asked for.

pub mod command;
pub mod decide;
pub mod directory;
pub mod domain;
pub mod engine;
pub mod event;
pub mod ledger;
pub mod lifecycle;
pub mod policy;
pub mod refusal;
#[cfg(feature = "schema")]
mod schema;
mod sync;
pub mod view;

pub use command::{Command, Submission};
pub use decide::{Effect, Lifetimes};
pub use directory::{Directory, EntityKey, Revision};
pub use domain::{Principal, Timestamp, Uid, UidRef};
pub use engine::{Answer, Asked, Engine, EngineError, Receipt, Subscription};
pub use event::Event;
pub use ledger::{Ledger, LedgerError, MemoryLedger};
pub use policy::{AccessRequest, ActionKey, DenyReason, Evaluation, Policies, PolicySources, Ruling};
pub use refusal::{Refusal, RefusalCode};
