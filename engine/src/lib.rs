//! Consentry
pub mod command;
pub mod decide;
pub mod directory;
pub mod domain;
pub mod event;
pub mod ledger;
pub mod lifecycle;
pub mod policy;
pub mod refusal;
