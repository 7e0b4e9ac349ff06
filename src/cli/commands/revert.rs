//! `bustard revert`: reverts migrations, latest first.

use std::num::NonZeroUsize;

use bustard::{Migrator, Revert};
use clap::Args;

use super::report;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::target::Target;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Options {
    /// Revert all migrations after this one, and keep this one
    #[arg(long, value_name = "APP:VERSION")]
    to: Option<Target>,

    /// Revert this many migrations
    #[arg(long, value_name = "N")]
    steps: Option<NonZeroUsize>,
}

impl Options {
    fn revert(&self) -> Revert {
        match (&self.to, self.steps) {
            (Some(target), _) => Revert::To { app: target.app.clone(), version: target.version },
            // Clap requires one of the two options.
            (None, steps) => Revert::Steps(steps.map_or(1, NonZeroUsize::get)),
        }
    }
}

pub fn run(context: &Context<'_>, migrator: Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let report = migrator.revert(&mut chosen.database, &options.revert())?;
    // Dropping the migrator removes the progress bar.
    drop(migrator);
    report::show(context, &mut chosen, &report)
}
