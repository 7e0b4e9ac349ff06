//! `bustard repair`: accepts the current file of an applied migration. Only the checksum
//! in the history changes.

use bustard::Migrator;
use clap::Args;

use super::report;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::target::Target;

#[derive(Args)]
pub struct Options {
    /// Migration, such as main:V3
    #[arg(value_name = "APP:VERSION")]
    migration: Target,
}

pub fn run(context: &Context<'_>, migrator: &Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let Target { app, version } = &options.migration;
    let report = migrator.repair(&mut chosen.database, app, *version)?;
    report::show(context, &mut chosen, &report)
}
