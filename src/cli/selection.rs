//! What `migrate` and `plan` have in common: how far to go, and what to put up with.

use bustard::Migrator;
use clap::Args;

use crate::cli::target::Target;

#[derive(Args)]
pub struct Selection {
    /// Apply what leads to this migration, and nothing after it
    #[arg(long, value_name = "APP:VERSION")]
    to: Option<Target>,

    /// Go on although applied migrations have no file
    #[arg(long)]
    allow_missing: bool,

    /// Go on although applied migrations differ from their files
    #[arg(long)]
    allow_divergent: bool,

    /// Apply migrations that are older than applied ones
    #[arg(long)]
    allow_out_of_order: bool,

    /// Install repeatable migrations again whose text was replaced by a newer one
    #[arg(long)]
    repeat: bool,
}

impl Selection {
    pub fn applied_to(&self, migrator: Migrator) -> Migrator {
        let migrator = migrator
            .allow_missing(self.allow_missing)
            .allow_divergent(self.allow_divergent)
            .allow_out_of_order(self.allow_out_of_order)
            .repeat(self.repeat);
        match &self.to {
            Some(target) => migrator.target(&target.app, target.version),
            None => migrator,
        }
    }
}
