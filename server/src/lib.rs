//! The edge of Consentry: files, the clock, the command line.

pub mod cli;
pub mod folder;
pub mod script;
