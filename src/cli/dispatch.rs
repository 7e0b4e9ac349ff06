//! Calls the command that the command line names.

use bustard::Migrator;

use super::arguments::{Arguments, Command};
use super::commands::{apps, caches, check, graph, migrate, new, plan, repair, revert, status, uninstall};
use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::progress;

/// Runs the command for the apps of `migrator` and of the configuration.
pub fn run(arguments: &Arguments, migrator: Migrator, output: &Output) -> Result<Exit, Failure> {
    let context = Context::new(&arguments.options, output)?;
    let migrator = context.config.applied_to(migrator).on_event(progress::follow(&arguments.options));
    match &arguments.command {
        Command::Migrate(options) => migrate::run(&context, migrator, options),
        Command::Plan(options) => plan::run(&context, migrator, options),
        Command::Status => status::run(&context, &migrator),
        Command::Check => check::run(&context, &migrator),
        Command::Graph(options) => graph::run(&context, &migrator, options),
        Command::Revert(options) => revert::run(&context, migrator, options),
        Command::Repair(options) => repair::run(&context, &migrator, options),
        Command::New(options) => new::run(&context, migrator.configured(), options),
        Command::Apps => apps::list(&context, &migrator),
        Command::Disable(options) => apps::disable(&context, &migrator, options),
        Command::Enable(options) => apps::enable(&context, &migrator, options),
        Command::Uninstall(options) => uninstall::run(&context, migrator, options),
        Command::Caches(options) => caches::run(&context, options),
    }
}
