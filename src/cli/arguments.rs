//! Parses the command line: global options, which are accepted before and after
//! the command, and one variant per command. The options of a command are defined
//! in the file of that command.

use std::ffi::OsString;

use bustard::diagnostic::is_unsafe;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::commands::{apps, caches, graph, migrate, new, plan, repair, revert, uninstall};
use super::exit::Exit;
use super::failure::Failure;
use super::options::Options;
use super::output::{self, Output};
use super::{program, redact};

const EXIT_CODES: &str = "\
Exit codes:
  0  success, or nothing to do
  1  failure; the failed transaction was rolled back
  2  invalid command line, configuration or migration files
  3  check: something is pending; caches valid: not current; uninstall: not confirmed
  4  divergent, missing or out-of-order migrations, or a lost history
  5  the migration lock was not acquired in time
  129, 130, 143  stopped by SIGHUP, SIGINT or SIGTERM, after a rollback";

/// Migrate database schemas, and invalidate the caches that depend on them
#[derive(Parser)]
#[command(name = "bustard", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Apply pending migrations and invalidate all caches
    Migrate(migrate::Options),
    /// Show what `migrate` would do, without changing anything
    Plan(plan::Options),
    /// List every migration of every app with its state
    Status,
    /// Exit with 0 if nothing is pending, 3 if something is
    Check,
    /// Show the dependencies between apps, without connecting to a database
    Graph(graph::Options),
    /// Revert migrations, latest first, and invalidate all caches
    Revert(revert::Options),
    /// Accept the current file of an applied migration
    Repair(repair::Options),
    /// Create a migration file
    New(new::Options),
    /// List all apps with their state, including apps whose files no longer exist
    Apps,
    /// Stop applying an app's migrations, and keep its tables and caches
    Disable(apps::Options),
    /// Apply the migrations of a disabled app again
    Enable(apps::Options),
    /// Revert all migrations of an app and remove it, after showing the plan and asking
    Uninstall(uninstall::Options),
    /// List, read, invalidate and register caches
    Caches(caches::Options),
}

impl Arguments {
    fn checked(self) -> Result<Self, clap::Error> {
        match self.options.contradict() {
            true => Err(clap::Error::raw(ErrorKind::ArgumentConflict, CONTRADICTION)),
            false => Ok(self),
        }
    }
}

const CONTRADICTION: &str = "the argument '--verbose...' cannot be used with '--quiet'";

/// Parses the command line. Returns `Err` with the exit code after printing help,
/// the version or an error.
pub fn parse() -> Result<Arguments, Exit> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let mut command = Arguments::command().bin_name(program::name());
    (command.try_get_matches_from_mut(&given))
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .and_then(Arguments::checked)
        .map_err(|error| refuse(&given, &error.format(&mut command)))
}

fn refuse(given: &[OsString], error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        output::print_help(&error.render().ansi().to_string());
        return Exit::Done;
    }
    // Clap quotes the argument that it rejects, which may be a URL with a password.
    if given.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json") {
        let text = redact::arguments(&error.render().to_string(), given);
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
        let failure = Failure::usage(message.trim()).help(help.trim());
        Output::new(true, true).failure(&failure.into());
    } else {
        let shown = error.render();
        let hidden = |text: String| redact::arguments(&text, given);
        let has_unsafe = given.iter().any(|argument| argument.to_string_lossy().chars().any(is_unsafe));
        output::print_usage(&hidden(shown.ansi().to_string()), &hidden(shown.to_string()), has_unsafe);
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_are_accepted_anywhere() {
        for line in [
            "bustard --json -vv migrate",
            "bustard migrate --json -vv",
            "bustard -v caches --json -v get x",
            "bustard caches get x -vv --json",
        ] {
            let arguments =
                Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(arguments.options.json, "{line}");
        }
    }
}
