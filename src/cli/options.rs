//! The global options, which are accepted before and after the command.

use std::path::PathBuf;

use clap::{ArgAction, Args};

// No Debug: the URL may hold a password.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// Read this configuration file [default: bustard.toml in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Connect to postgres://… or sqlite:PATH [default: $DATABASE_URL, then .env, then the
    /// configuration file]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Print the result or the error as one JSON document
    #[arg(long, global = true)]
    pub json: bool,

    /// Show notices of the server, and log more: -v steps, -vv details, -vvv everything (RUST_LOG
    /// takes precedence)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print only errors and what was asked for, as by `status`: no warnings, no progress, no report
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Options {
    /// Reports whether the options contradict each other. Clap compares only options that
    /// are on the same side of the command.
    pub fn contradict(&self) -> bool {
        self.quiet && self.verbose > 0
    }

    /// Returns the filter of `env_logger` when RUST_LOG is not set.
    ///
    /// Other crates stay at `warn`, because some of them log whole statements. Refinery
    /// logs an error for findings that `--allow-missing` and similar options permit.
    /// Refinery's log is off, because Bustard itself reports an error for each finding that
    /// is not permitted.
    pub fn log_filter(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "error,refinery_core=off",
            (_, 0) => "warn,refinery_core=off",
            (_, 1) => "warn,refinery_core=off,bustard=info",
            (_, 2) => "warn,refinery_core=off,bustard=debug",
            _ => "warn,bustard=trace",
        }
    }
}
