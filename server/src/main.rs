//! `consentry`: authorization for access that has to be asked for.

use std::process::ExitCode;

fn main() -> ExitCode {
    consentry_server::cli::main()
}
