//! The command `bustard`: parse, set up the log, run, exit.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let log = env_logger::Env::default().default_filter_or(arguments.options.log_filter());
    env_logger::Builder::from_env(log).init();
    cli::run(&arguments).into()
}
