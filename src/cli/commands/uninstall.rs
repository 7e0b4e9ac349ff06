//! `bustard uninstall`: shows what would go, asks, and does it. Where nobody can be
//! asked, `--yes` is the answer.

use bustard::{Dependant, ForeignKey, Migrator, Uninstall, UninstallPlan};
use clap::Args;

use super::{report, uninstall_plan};
use crate::cli::confirm::{self, Answer};
use crate::cli::context::{Chosen, Context};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{RED, paint, print_error};
use crate::cli::table::{self, Cell, count};

#[derive(Args)]
pub struct Options {
    /// The app's label
    app: String,

    /// Undo no migration: unregister the app's caches, and leave its tables for later
    #[arg(long)]
    keep_data: bool,

    /// Uninstall the apps that need it as well, before it
    #[arg(long)]
    cascade: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub fn run(context: &Context<'_>, migrator: Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let what = Uninstall::new(&options.app).keep_data(options.keep_data).cascade(options.cascade);
    let plan = migrator.plan_uninstall(&mut chosen.database, &what)?;
    context.output.text(|| human(&plan))?;
    context.output.warnings(&plan.warnings);
    match decide(context, options, &plan) {
        Ok(None) => {}
        Ok(Some(exit)) => return Ok(exit),
        Err(failure) => return refuse(context, &chosen, &plan, failure),
    }
    let report = migrator.uninstall(&mut chosen.database, &plan)?;
    // Takes the progress bar away.
    drop(migrator);
    report::show_uninstall(context, &mut chosen, &report, &plan)
}

/// Whether to go on; with an exit code, it ends here and in peace.
fn decide(context: &Context<'_>, options: &Options, plan: &UninstallPlan) -> Result<Option<Exit>, Failure> {
    plan.check()?;
    if options.yes {
        return Ok(None);
    }
    if context.options.json || !confirm::is_possible() {
        let usage =
            Failure::usage("nothing was changed: this must be confirmed, and nobody can be asked here");
        return Err(usage.help("look at the plan, then say --yes").into());
    }
    // Not y: fingers are quicker than eyes.
    match confirm::ask(&format!("Type the app's label, {}, to uninstall it: ", options.app)) {
        Answer::Line(line) if line == options.app => Ok(None),
        Answer::Line(_) => {
            print_error("not confirmed: nothing was changed\n");
            Ok(Some(Exit::No))
        }
        Answer::Signal(signal) => Ok(Some(Exit::Signal(signal))),
    }
}

/// In JSON, the plan and what is wrong are one document.
fn refuse(
    context: &Context<'_>,
    chosen: &Chosen,
    plan: &UninstallPlan,
    failure: Failure,
) -> Result<Exit, Failure> {
    if !context.options.json {
        return Err(failure);
    }
    let refused = uninstall_plan::Refused::new(chosen.document(), plan, &failure);
    context.output.answer(&refused, String::new)?;
    Ok(failure.exit())
}

fn human(plan: &UninstallPlan) -> String {
    let (them, it) = (plan.apps.join(", then "), if plan.apps.len() == 1 { "it keeps" } else { "they keep" });
    let heading = match plan.what.keep_data {
        true => format!("uninstall {them}, and leave the data"),
        false => format!("uninstall {them}, with all that {it} in the database"),
    };
    let mut table = table::plain();
    let mut line = |word: &str, what: String| {
        table.add_row([Cell::new(format!("    {word}")), Cell::new(what)]);
    };
    for step in &plan.steps {
        line("undo", format!("{} {}", step.app, step.migration));
    }
    for dropped in &plan.tables {
        let rows = count(usize::try_from(dropped.rows).unwrap_or(usize::MAX), "row");
        let rows = if dropped.rows == 0 { rows } else { paint(RED, &rows) };
        line("drop", format!("table {}, with {rows}", dropped.table));
    }
    for what in &plan.drops {
        line("drop", what.clone());
    }
    for cache in &plan.caches {
        line("unregister", format!("cache {cache}"));
    }
    for Dependant { app, migration, needs, .. } in &plan.dependants {
        line("needed by", format!("{app} {migration}, which needs {needs}"));
    }
    for ForeignKey { table, columns, references, .. } in &plan.foreign_keys {
        line("foreign key", format!("{table} ({}) onto {references}", columns.join(", ")));
    }
    let end = "all caches are invalidated at the end of the transaction";
    format!("{heading}\n{}\n{end}\n\n", table::render(table))
}
