//! What is acknowledged is there after every crash, whatever the disk did with what was written, and what is said
//! of a failure is true.
//!
//! A shim between a process and its disk sees every write, and may let any of them fail. From what it saw, every
//! disk is made that a crash may leave, and the ledger is opened on it.
#![cfg_attr(
    all(target_os = "linux", target_pointer_width = "64"),
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a helper of a test may fail it, as a test may"
    )
)]

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[test]
fn only_where_a_library_can_be_put_between() {
    println!("skipped: the shim is written for Linux with 64 bits");
}
