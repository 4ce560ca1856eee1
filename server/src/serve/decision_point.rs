//! What answers: an engine on a ledger, or policies with entities from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use consentry::engine::{Asked, Engine};
use consentry::ledger::MemoryLedger;
use consentry::policy::{EntityStore, Evaluator, Policies, Reading};
use consentry::{Revision, Timestamp};
use consentry_ledger::DiskLedger;

use super::ServeError;
use super::config::{Config, ConfigError};
use super::seeing::Recheck;
use crate::{clock, folder};

/// What answers.
pub(crate) struct DecisionPoint {
    facts: Facts,
    folder: Option<PathBuf>,
    evaluator: Evaluator,
    /// Who puts some decisions to Cedar too.
    recheck: Option<Arc<Recheck>>,
}

enum Facts {
    Ledger(Engine),
    File { path: PathBuf, known: ArcSwap<Known>, latest: AtomicI64, loads: AtomicU64 },
}

/// Policies and entities, which are replaced together.
struct Known {
    policies: Policies,
    store: Arc<EntityStore>,
    revision: Revision,
}

/// What was loaded, and is not used yet.
pub(crate) enum Loaded {
    Policies(Policies),
    Both(Policies, EntityStore),
}

impl Loaded {
    /// The same, answering by this evaluator.
    fn by(self, evaluator: Evaluator) -> Self {
        match self {
            Self::Policies(policies) => Self::Policies(policies.with(evaluator)),
            Self::Both(policies, store) => Self::Both(policies.with(evaluator), store),
        }
    }

    pub(crate) fn policies(&self) -> &Policies {
        match self {
            Self::Policies(policies) | Self::Both(policies, _) => policies,
        }
    }
}

impl DecisionPoint {
    /// Opens what `config` names. Blocks.
    pub(crate) fn open(config: &Config, recheck: Option<Arc<Recheck>>) -> Result<Self, ServeError> {
        let folder = config.policies.folder.clone();
        let evaluator = config.policies.evaluator.into();
        let entities = config.entities.as_ref().map(|entities| entities.file.as_path());
        let facts = match (load(folder.as_deref(), entities)?.by(evaluator), entities) {
            (Loaded::Both(policies, store), Some(path)) => Facts::File {
                path: path.to_owned(),
                known: ArcSwap::from_pointee(Known { policies, store: Arc::new(store), revision: 1 }),
                latest: AtomicI64::new(Timestamp::MIN.millis()),
                loads: AtomicU64::new(1),
            },
            (Loaded::Policies(policies) | Loaded::Both(policies, _), _) => {
                let ledger = config.ledger.clone().unwrap_or_default();
                let builder = match &ledger.folder {
                    Some(folder) => Engine::builder(DiskLedger::open(folder)?),
                    None => Engine::builder(MemoryLedger::new()),
                };
                let lifetimes = &config.lifetimes;
                let engine = builder
                    .policies(policies)
                    .lifetime(Asked::Invite, lifetimes.invite.of_engine())
                    .lifetime(Asked::PermissionApplication, lifetimes.permission_application.of_engine())
                    .lifetime(Asked::ResetTicket, lifetimes.reset_ticket.of_engine())
                    .open()?;
                Facts::Ledger(engine)
            }
        };
        Ok(Self { facts, folder, evaluator, recheck })
    }

    /// The policies that `config` names, if they can be used; no ledger is touched. Blocks.
    pub(crate) fn check(config: &Config) -> Result<Policies, ServeError> {
        let entities = config.entities.as_ref().map(|entities| entities.file.as_path());
        let (Loaded::Policies(policies) | Loaded::Both(policies, _)) =
            load(config.policies.folder.as_deref(), entities)?;
        Ok(policies)
    }

    /// What is known now.
    pub(crate) fn reading(&self) -> Reading {
        let now = clock::now();
        let reading = match &self.facts {
            Facts::Ledger(engine) => engine.reading(now),
            Facts::File { known, latest, .. } => {
                let before = latest.fetch_max(now.millis(), Ordering::AcqRel);
                let now = Timestamp::from_millis(before.max(now.millis()));
                let known = known.load();
                Reading::new(known.policies.clone(), known.store.clone(), known.revision, now)
            }
        };
        match &self.recheck {
            Some(recheck) => reading.witnessed(recheck.clone()),
            None => reading,
        }
    }

    /// The engine, where there is a ledger.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        match &self.facts {
            Facts::Ledger(engine) => Some(engine),
            Facts::File { .. } => None,
        }
    }

    /// Loads policies and entities anew; they are not used yet. Blocks.
    pub(crate) fn load_anew(&self) -> Result<Loaded, ServeError> {
        let entities = match &self.facts {
            Facts::Ledger(_) => None,
            Facts::File { path, .. } => Some(path.as_path()),
        };
        Ok(load(self.folder.as_deref(), entities)?.by(self.evaluator))
    }

    /// Uses them from the next reading on, all of them. Whether the policies are others than before.
    pub(crate) fn use_loaded(&self, loaded: Loaded) -> bool {
        let differ = loaded.policies().version() != self.reading().policies().version();
        match (&self.facts, loaded) {
            (Facts::Ledger(engine), Loaded::Policies(policies) | Loaded::Both(policies, _)) => {
                engine.replace_policies(policies);
            }
            (Facts::File { known, loads, .. }, Loaded::Both(policies, store)) => {
                let revision = loads.fetch_add(1, Ordering::AcqRel) + 1;
                known.store(Arc::new(Known { policies, store: Arc::new(store), revision }));
            }
            // Where facts come from a file, they were loaded with the policies.
            (Facts::File { .. }, Loaded::Policies(_)) => {}
        }
        differ
    }
}

/// Reads policies, and entities where there is a file of them.
fn load(policies: Option<&Path>, entities: Option<&Path>) -> Result<Loaded, ServeError> {
    let Some(path) = entities else {
        return Ok(Loaded::Policies(match policies {
            Some(folder) => Policies::load(&folder::read(folder)?)?,
            None => Policies::shipped()?,
        }));
    };
    let folder = policies.ok_or_else(|| ConfigError("`entities` needs `policies.folder`".to_owned()))?;
    let sources = folder::read(folder)?;
    if sources.schema.is_none() {
        let folder = folder.display();
        return Err(ConfigError(format!(
            "`entities` needs a schema: there is no {folder}/schema.cedarschema"
        ))
        .into());
    }
    let policies = Policies::load_for_checks(&sources)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
    let store = EntityStore::from_json(&text, &policies)
        .map_err(|error| ServeError::Entities { path: path.to_owned(), error })?;
    Ok(Loaded::Both(policies, store))
}
