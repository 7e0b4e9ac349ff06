//! The command line interface, for `bustard` and for the binary of an application. Such a
//! binary contains apps, including migrations in Rust.
//!
//! In: arguments and a configuration file. Out: text or one JSON document, and an exit
//! code. The command uses only the public API of the crate, so an application can do
//! everything that the command does.

// The command must also compile outside of the crate, where the library's
// non-exhaustive enums need a wildcard arm.
#![allow(unreachable_patterns)]

mod arguments;
mod commands;
mod confirm;
mod context;
mod dispatch;
mod document;
mod exit;
mod failure;
mod lines;
mod nearest;
mod options;
mod output;
mod program;
mod progress;
mod redact;
mod selection;
mod signals;
mod table;
mod target;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use bustard::Migrator;

use output::Output;

/// Runs the command that the arguments of this process name, and returns the exit
/// code of the process.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use bustard::{App, Migration, Migrator};
///
/// fn main() -> ExitCode {
///     let fill = Migration::new().run("fill", |_transaction| Ok(()));
///     let app = App::new("forum").migration("V1__fill", fill);
///     bustard::cli::run(Migrator::new().app(app))
/// }
/// ```
///
/// The binary `forum` then has the commands `forum migrate`, `forum status`,
/// `forum caches …`. A host that has commands of its own checks
/// [`std::env::args`] first, and calls this function for all other commands.
///
/// The function reads `bustard.toml` as `bustard` does. Options on the command line
/// take precedence over `bustard.toml`, and its `[migrate]` and `[registry]` take
/// precedence over the settings of `migrator`. Apps of `bustard.toml` are added to
/// those of `migrator`. If both define a label, the app of `migrator` is used. See
/// [`Config::applied_to`](bustard::Config::applied_to).
///
/// Logs go to standard error. `-v`, `-q` and `RUST_LOG` set their level. If the
/// process already has a logger, that logger stays. SIGINT, SIGTERM and a panic in a
/// migration roll back the open transaction.
#[allow(clippy::needless_doctest_main, reason = "`main` is what the example shows")]
pub fn run(migrator: Migrator) -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    output::start_log(arguments.options.log_filter());
    let output = Output::new(arguments.options.json, arguments.options.quiet);
    // Only the output is used after a panic, and it holds no state.
    let run = AssertUnwindSafe(|| dispatch::run(&arguments, migrator, &output));
    let ended = catch_unwind(run).unwrap_or_else(|panic| Err(panic.into()));
    let exit = ended.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit()
    });
    exit.into()
}
