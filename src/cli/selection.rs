//! The options that `migrate` and `plan` share: the target, and the findings to allow.

use bustard::Migrator;
use clap::Args;

use crate::cli::target::Target;

#[derive(Args)]
pub struct Selection {
    /// Apply migrations up to this one, with their dependencies, and no others
    #[arg(long, value_name = "APP:VERSION")]
    to: Option<Target>,

    /// Continue if applied migrations have no file
    #[arg(long)]
    allow_missing: bool,

    /// Continue if applied migrations differ from their files
    #[arg(long)]
    allow_divergent: bool,

    /// Apply pending migrations that are older than applied ones
    #[arg(long)]
    allow_out_of_order: bool,

    /// Install repeatable migrations even if a newer release has replaced their text
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
