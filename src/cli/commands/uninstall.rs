//! `bustard uninstall`: prints the plan, asks for confirmation, and executes the plan.
//! Without a terminal, `--yes` confirms.

use bustard::report::{Dependant, ForeignKey};
use bustard::{Migrator, Uninstall, UninstallPlan};
use clap::Args;

use super::{plan, report, uninstall_plan};
use crate::cli::confirm::{self, Answer};
use crate::cli::context::{Chosen, Context};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::{Lines, Paint, one_line, paint};
use crate::cli::output::print_error;
use crate::cli::table::{Cell, Table, count};

#[derive(Args)]
pub struct Options {
    /// Label of the app
    app: String,

    /// Unregister the app's caches, and keep its tables and its history
    #[arg(long)]
    keep_data: bool,

    /// Revert nothing, and delete the app's caches, records and history
    #[arg(long, conflicts_with = "keep_data")]
    forget: bool,

    /// Uninstall the apps that depend on it first
    #[arg(long)]
    cascade: bool,

    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub fn run(context: &Context<'_>, migrator: Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let what = Uninstall::new(&options.app)
        .keep_data(options.keep_data)
        .forget(options.forget)
        .cascade(options.cascade);
    let plan = migrator.plan_uninstall(&mut chosen.database, &what)?;
    // A person who is asked must see the plan.
    let asks = !options.yes && can_ask(context);
    match asks && plan.check().is_ok() {
        true => context.output.text(|| human(&plan))?,
        false => context.output.unless_quiet(|| human(&plan))?,
    }
    context.output.warnings(&plan.warnings);
    match decide(context, options, &plan) {
        Ok(None) => {}
        Ok(Some(exit)) => return Ok(exit),
        Err(failure) => return refuse(context, &chosen, &plan, failure),
    }
    let report = migrator.uninstall(&mut chosen.database, &plan)?;
    // Dropping the migrator removes the progress bar.
    drop(migrator);
    report::show_uninstall(context, &mut chosen, &report, &plan)
}

fn can_ask(context: &Context<'_>) -> bool {
    !context.options.json && confirm::is_possible()
}

/// Decides whether to execute the plan. `None` means yes. An exit code means that the
/// user declined or a signal arrived.
fn decide(context: &Context<'_>, options: &Options, plan: &UninstallPlan) -> Result<Option<Exit>, Failure> {
    plan.check()?;
    if options.yes {
        return Ok(None);
    }
    if !can_ask(context) {
        let usage =
            Failure::usage("nothing was changed: an uninstall must be confirmed, and this run cannot ask");
        let hidden = context.options.quiet && !context.options.json;
        let review = if hidden { "run without --quiet to review the plan" } else { "review the plan" };
        return Err(usage.help(format!("{review}, then run again with --yes")).into());
    }
    // The answer is the label and not `y`, because a user may type `y` before reading the
    // plan.
    match confirm::ask(&format!("Type the app's label, {}, to uninstall it: ", one_line(&options.app))) {
        Answer::Line(line) if line == options.app => Ok(None),
        Answer::Line(_) => {
            print_error("not confirmed: nothing was changed\n");
            Ok(Some(Exit::No))
        }
        Answer::Signal(signal) => Ok(Some(Exit::Signal(signal))),
    }
}

/// Prints why the uninstall is refused. In JSON, the plan and the error are one document.
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
    context.output.answer(&refused, Lines::default)?;
    Ok(failure.exit())
}

fn human(plan: &UninstallPlan) -> Lines {
    let apps = plan.apps.join(", then ");
    let data = if plan.apps.len() == 1 { "its data" } else { "their data" };
    let heading = match (plan.what.keep_data, plan.what.forget) {
        (true, _) => format!("uninstall {apps}, keeping {data}"),
        (_, true) => format!("forget {apps}, reverting nothing"),
        _ => format!("uninstall {apps}, dropping {data}"),
    };
    let mut table = Table::plain();
    let mut line = |word: &str, what: String| {
        table.row([Cell::new(format!("    {word}")), Cell::new(what)]);
    };
    for step in &plan.steps {
        line("revert", format!("{} {}", step.app, step.migration));
    }
    for dropped in &plan.tables {
        let rows = count(usize::try_from(dropped.rows).unwrap_or(usize::MAX), "row");
        let rows = if dropped.rows == 0 { rows } else { paint(Paint::Red, &rows) };
        line("drop", format!("table {}, with {rows}", dropped.table));
    }
    for what in &plan.drops {
        line("drop", what.clone());
    }
    for cache in &plan.caches {
        line("unregister", format!("cache {cache}"));
    }
    for Dependant { app, migration, needs, .. } in &plan.dependants {
        line("dependant", format!("{app} {migration}, which depends on {needs}"));
    }
    for ForeignKey { table, columns, references, .. } in &plan.foreign_keys {
        line("foreign key", format!("{table} ({}) onto {references}", columns.join(", ")));
    }
    let end = "all caches are invalidated at the end of the transaction";
    let mut lines = Lines::of(heading);
    lines.lines(table.render());
    lines.line("");
    // They come from a table, so a person must see them before they run. Indented, they
    // cannot look like another line of the plan.
    for line in plan::statements(&plan.steps).as_str().lines() {
        lines.line(if line.is_empty() { String::new() } else { format!("    {line}") });
    }
    for line in [end, ""] {
        lines.line(line);
    }
    lines
}
