//! The command `bustard`: the command of a host without apps of its own.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

use std::process::ExitCode;

use bustard::Migrator;

fn main() -> ExitCode {
    bustard::cli::run(Migrator::new())
}
