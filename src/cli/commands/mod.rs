//! One file per command: its options, what it asks of the library, and how the
//! answer looks.

pub mod caches;
mod check;
pub mod migrate;
pub mod new;
pub mod plan;
pub mod repair;
mod report;
pub mod revert;
mod status;
mod watch;

use super::arguments::{Arguments, Command};
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

/// Runs the command.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let context = Context::new(&arguments.options, output)?;
    match &arguments.command {
        Command::Migrate(options) => migrate::run(&context, options),
        Command::Plan(options) => plan::run(&context, options),
        Command::Status => status::run(&context),
        Command::Check => check::run(&context),
        Command::Revert(options) => revert::run(&context, options),
        Command::Repair(options) => repair::run(&context, options),
        Command::New(options) => new::run(&context, options),
        Command::Caches(options) => caches::run(&context, options),
    }
}
