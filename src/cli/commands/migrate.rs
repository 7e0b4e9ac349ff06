//! `bustard migrate`: applies pending migrations.

use std::time::Duration;

use bustard::config::parse_duration;
use bustard::{Migrator, TransactionMode};
use clap::{Args, ValueEnum};

use super::report;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::selection::Selection;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    selection: Selection,

    /// Record migrations as applied without running their SQL and functions; cache operations
    /// still run
    #[arg(long)]
    fake: bool,

    /// Run each migration in its own transaction, or all in one [default: each]
    #[arg(long, value_name = "each|all", hide_possible_values = true)]
    transaction: Option<Transaction>,

    /// Wait this long for the migration lock, such as 90s or 1h30m [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lock_wait: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Transaction {
    Each,
    All,
}

pub fn run(context: &Context<'_>, migrator: Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database_to_create()?;
    let mut migrator = options.selection.applied_to(migrator).fake(options.fake);
    if let Some(transaction) = options.transaction {
        migrator = migrator.transaction(match transaction {
            Transaction::Each => TransactionMode::Each,
            Transaction::All => TransactionMode::All,
        });
    }
    if let Some(wait) = options.lock_wait {
        migrator = migrator.lock_wait(wait);
    }
    let report = migrator.run(&mut chosen.database)?;
    // Dropping the migrator removes the progress bar.
    drop(migrator);
    report::show(context, &mut chosen, &report)
}
