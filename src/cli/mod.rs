//! The command, for an application's own binary: with the apps that are compiled
//! into it, migrations in Rust included. `bustard` itself is the same without any.
//!
//! Arguments and a configuration file come in; text or one JSON document, and an
//! exit code, go out. Everything in between is the crate's public API: what the
//! command can do, an application can do.

// Outside of the crate, which is where the command must compile as well, the
// library's enums may grow.
#![allow(unreachable_patterns)]

mod arguments;
mod commands;
mod confirm;
mod context;
mod dispatch;
mod document;
mod exit;
mod failure;
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

use options::Options;
use output::Output;

/// Does what the command line of this process says, as `bustard` would, and
/// returns how the process should exit.
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
/// The binary `forum` then knows `forum migrate`, `forum status`, `forum caches …`.
/// A host with words of its own on the command line looks at
/// [`std::env::args`] first, and calls this for all others.
///
/// `bustard.toml` is read as by `bustard`. What it says of the database, of
/// `[migrate]` and `[registry]` wins over what `migrator` was told, and the
/// options on the command line win over both. Apps that it names beside those
/// of `migrator` are there as well; for a label that both have, `migrator`
/// counts. See [`Config::applied_to`](bustard::Config::applied_to).
///
/// Logs go to standard error, as `-v`, `-q` or `RUST_LOG` have it, unless the
/// process has a logger already. SIGINT and SIGTERM roll back what is under way, and
/// so does a panic of a migration, which is a failure like others.
#[allow(clippy::needless_doctest_main, reason = "`main` is what the example shows")]
pub fn run(migrator: Migrator) -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    start_log(&arguments.options);
    let output = Output::new(arguments.options.json, arguments.options.quiet);
    // Nothing is used after a panic but what prints.
    let run = AssertUnwindSafe(|| dispatch::run(&arguments, migrator, &output));
    let ended = catch_unwind(run).unwrap_or_else(|panic| Err(panic.into()));
    let exit = ended.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit()
    });
    exit.into()
}

fn start_log(options: &Options) {
    let log = env_logger::Env::default().default_filter_or(options.log_filter());
    // The host's own logger stays, if it has set one.
    let _ = env_logger::Builder::from_env(log).try_init();
}
