//! The global options, which may stand before or after the command.

use std::path::PathBuf;

use clap::{ArgAction, Args};

// No Debug: the URL may hold a password.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// Configuration file [default: bustard.toml in the working directory, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// postgres://… or sqlite:PATH [default: $DATABASE_URL, else from .env, else from the
    /// configuration]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Print one JSON document, errors too
    #[arg(long, global = true)]
    pub json: bool,

    /// Log more: -v what is done, -vv how, -vvv everything (RUST_LOG wins)
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// No warnings and no progress, only errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Options {
    /// What `env_logger` lets through where RUST_LOG is not set. Other crates
    /// stay at warnings, since some of them log whole statements. Refinery calls
    /// an error what `--allow-missing` and its like allow; where they do not,
    /// Bustard has an error of its own.
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
