//! `bustard repair`: accepts the current file of an applied migration or another place of a
//! history, or gives the database a new identity. Runs no migration.

use bustard::{Migrator, Repair};
use clap::Args;

use super::report;
use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::target::Target;

#[derive(Args)]
pub struct Options {
    /// Migration, such as main:V3; with --history, the label of an app
    #[arg(value_name = "APP:VERSION", required_unless_present_any = ["history", "new_identity"])]
    what: Option<String>,

    /// Take this table as the history of the app, or `new` for the configured table, from
    /// which everything that it does not have is applied again
    #[arg(long, value_name = "new|SCHEMA.TABLE")]
    history: Option<String>,

    /// Give the database a new identity and invalidate all caches, for a copy that cannot be
    /// told from the original, such as a promoted standby or a SQLite file
    #[arg(long, conflicts_with_all = ["what", "history"])]
    new_identity: bool,
}

pub fn run(context: &Context<'_>, migrator: &Migrator, options: &Options) -> Result<Exit, Failure> {
    let what = options.repair()?;
    let mut chosen = context.database()?;
    let report = migrator.repair(&mut chosen.database, &what)?;
    report::show(context, &mut chosen, &report)
}

impl Options {
    fn repair(&self) -> Result<Repair, Failure> {
        if self.new_identity {
            return Ok(Repair::NewIdentity);
        }
        let what = self.what.clone();
        match self.history.as_deref() {
            Some("new") => Ok(Repair::NewHistory { app: what }),
            Some(table) => Ok(Repair::History { app: what, table: table.to_owned() }),
            None => {
                let target = what.unwrap_or_default().parse::<Target>();
                let Target { app, version } = target.map_err(Failure::usage)?;
                Ok(Repair::migration(app, version))
            }
        }
    }
}
