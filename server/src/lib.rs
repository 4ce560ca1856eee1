//! The edge of Consentry: files, the clock, the command line. No decision is made here.

pub mod cli;
pub mod clock;
mod demo;
pub mod folder;
pub mod script;
#[cfg(feature = "serve")]
mod serve;
pub mod shipped;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
