//! What the benchmarks share: one world, two ways to get an engine or a question on it, and the means
//! to compare things on a machine that does other work meanwhile.
//!
//! Each benchmark says in its own documentation what it measures and what it does not cover; figures
//! are in this crate's `README.md`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot build its world has nothing to measure")]

pub mod cedar;
pub mod disk;
pub mod frozen;
pub mod load;
pub mod machine;
pub mod placement;
pub mod random;
pub mod rounds;
pub mod served;
pub mod spread;
pub mod world;

/// Whether the program was started by `cargo bench`. Started by anything else, such as
/// `cargo test --all-targets`, a benchmark has nothing to do.
#[must_use]
pub fn is_asked_for() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
