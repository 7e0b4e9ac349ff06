//! The command line: global options, which may stand before or after the
//! command, and one variant per command. Each command's own options are beside
//! its code.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::commands::{apps, caches, graph, migrate, new, plan, repair, revert, uninstall};
use super::exit::Exit;
use super::failure::Failure;
use super::options::Options;
use super::output::{self, Output};
use super::{program, redact};

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do
  1  failed; the failed transaction was rolled back
  2  wrong command line, configuration or migration files
  3  the answer is no (check: pending; caches valid: not current; uninstall: not confirmed)
  4  divergent, missing or out-of-order migrations
  5  the migration lock was not obtained in time
  130, 143  stopped by SIGINT or SIGTERM, after rolling back";

/// Schema migrations in which caches are part of the schema
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
    /// Bring the database up to date, and invalidate all caches
    Migrate(migrate::Options),
    /// Show what `migrate` would do; touch nothing
    Plan(plan::Options),
    /// List every migration of every app and how it stands
    Status,
    /// Is there nothing to do? For CI: see the exit codes
    Check,
    /// Show which app needs which, as text or as a picture; connect to nothing
    Graph(graph::Options),
    /// Undo migrations, the latest first, and invalidate all caches
    Revert(revert::Options),
    /// Accept an applied migration's file as it is now
    Repair(repair::Options),
    /// Write a new migration file
    New(new::Options),
    /// List the apps and how each stands, also those that only the database knows
    Apps,
    /// Expect an app's migrations no longer; its tables and caches stay
    Disable(apps::Options),
    /// Expect a disabled app's migrations again
    Enable(apps::Options),
    /// Undo all migrations of an app and forget it; show what goes, and ask
    Uninstall(uninstall::Options),
    /// List the tracked caches, or work with them
    Caches(caches::Options),
}

/// Reads the command line. `Err` after help, the version or an error was
/// printed.
pub fn parse() -> Result<Arguments, Exit> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let mut command = Arguments::command().bin_name(program::name());
    (command.try_get_matches_from_mut(&given))
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(|error| refuse(&given, &error.format(&mut command)))
}

fn refuse(given: &[OsString], error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        output::print(&error.render().ansi().to_string());
        return Exit::StepReport;
    }
    // What was mistyped may have been the URL, and clap quotes what it rejects.
    if given.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json") {
        let text = redact::arguments(&error.render().to_string(), given);
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let (message, help) = text.split_once("\n\n").unwrap_or((text, ""));
        let failure = Failure::usage(message.trim()).help(help.trim());
        Output::new(true, true).failure(&failure.into());
    } else {
        output::print_error(&redact::arguments(&error.render().ansi().to_string(), given));
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
    fn global_options_stand_anywhere() {
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
