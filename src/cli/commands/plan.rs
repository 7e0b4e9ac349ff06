//! `bustard plan`: shows what `migrate` would do, including the effects on caches.

use std::fmt::Write;

use bustard::registry::{MissingTrigger, MissingTriggerCause};
use bustard::report::{AppChange, Direction, PlannedStep, UnregisteredCache};
use bustard::{Migrator, Plan};
use clap::Args;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::{Lines, Paint, paint};
use crate::cli::selection::Selection;
use crate::cli::table::{self, count};

#[derive(Args)]
pub struct Options {
    /// Print the SQL, with everything else as comments
    #[arg(long)]
    sql: bool,

    #[command(flatten)]
    selection: Selection,
}

#[derive(Serialize)]
struct Document<'a> {
    database: document::Database,
    steps: Vec<document::PlannedStep<'a>>,
    apps: Vec<document::AppChange<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restored_caches: Vec<document::Unregistered<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    new_identity: bool,
    missing_triggers: Vec<document::MissingTrigger<'a>>,
    caches_invalidated: bool,
    warnings: Vec<document::Diagnostic<'a>>,
}

pub fn run(context: &Context<'_>, migrator: Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = if options.sql { context.database_in_sql()? } else { context.database()? };
    let plan = options.selection.applied_to(migrator).plan(&mut chosen.database)?;
    let document = Document {
        database: chosen.document(),
        steps: plan.steps.iter().map(|step| document::PlannedStep::new(step, options.sql)).collect(),
        apps: plan.apps.iter().map(document::AppChange::from).collect(),
        restored_caches: plan.restored_caches.iter().map(document::Unregistered::from).collect(),
        new_identity: plan.new_identity,
        missing_triggers: plan.missing_triggers.iter().map(document::MissingTrigger::from).collect(),
        caches_invalidated: !is_empty(&plan),
        warnings: plan.warnings.iter().map(document::Diagnostic::from).collect(),
    };
    context.output.answer(&document, || if options.sql { sql(&plan) } else { human(&plan) })?;
    context.output.warnings(&plan.warnings);
    Ok(Exit::Done)
}

const NOTHING: &str = "nothing to do: no cache would be invalidated";

fn is_empty(plan: &Plan) -> bool {
    plan.steps.is_empty()
        && plan.apps.is_empty()
        && plan.restored_caches.is_empty()
        && plan.missing_triggers.is_empty()
        && !plan.new_identity
}

fn human(plan: &Plan) -> Lines {
    if is_empty(plan) {
        return Lines::of(NOTHING);
    }
    let mut lines = Lines::default();
    if let Some(own) = own(plan) {
        lines.line(own);
    }
    for step in steps(plan) {
        lines.line(heading(step));
        for operation in &step.operations {
            lines.line(format!("    {operation}"));
        }
        if let Some(operation) = &step.irreversible {
            lines.line(format!("    {}: {operation}", paint(Paint::Yellow, "cannot be reverted")));
        }
    }
    for line in other_changes(plan) {
        lines.line(line);
    }
    lines.line("");
    for line in summary(plan) {
        lines.line(line);
    }
    lines
}

/// The SQL is shown as it is in the files, including secrets, because it was asked for.
fn sql(plan: &Plan) -> Lines {
    if is_empty(plan) {
        return Lines::of(format!("-- {NOTHING}"));
    }
    let mut lines = statements(&plan.steps);
    for line in other_changes(plan).into_iter().chain(summary(plan)) {
        lines.line(format!("-- {line}"));
    }
    lines
}

/// Writes the statements of all steps, each step with its name as a comment.
pub fn statements(steps: &[PlannedStep]) -> Lines {
    let mut lines = Lines::default();
    for step in steps {
        lines.line(format!("-- {}", heading(step)));
        for statement in &step.sql {
            let statement = statement.trim_end();
            let end = if statement.ends_with(';') || statement.starts_with("--") { "" } else { ";" };
            lines.block(&format!("{statement}{end}\n"));
        }
        lines.line("");
    }
    lines
}

/// Returns the steps, except for steps on Bustard's own tables.
fn steps(plan: &Plan) -> impl Iterator<Item = &PlannedStep> {
    plan.steps.iter().filter(|step| !table::is_own(&step.app))
}

/// Describes what a run would do to Bustard's own tables.
fn own(plan: &Plan) -> Option<String> {
    let mut own = plan.steps.iter().filter(|step| table::is_own(&step.app)).peekable();
    let app = &own.peek()?.app;
    let verb = if own.any(|step| step.migration.version == 1) { "set up" } else { "update" };
    Some(format!("{app} {}: {verb}", table::OWN))
}

fn has_steps(plan: &Plan, change: &AppChange) -> bool {
    plan.steps.iter().any(|step| step.app == change.app)
}

/// Describes the changes of a plan that are not steps, such as restored triggers.
fn other_changes(plan: &Plan) -> Vec<String> {
    let returning = (plan.apps.iter())
        .filter(|change| !has_steps(plan, change))
        .map(|change| format!("restore {}: register its caches again", change.app));
    let copied = "this database is a copy of another one: give it an identity of its own";
    let identity = plan.new_identity.then(|| copied.to_owned());
    (identity.into_iter().chain(returning))
        .chain(plan.restored_caches.iter().map(restored_cache))
        .chain(plan.missing_triggers.iter().map(trigger_change))
        .collect()
}

fn restored_cache(cache: &UnregisteredCache) -> String {
    format!("register cache {} again, as {}:{} had", cache.name, cache.app, cache.migration)
}

fn trigger_change(table: &MissingTrigger) -> String {
    let what = match table.why {
        MissingTriggerCause::Renamed => "record the new name",
        _ => "restore the triggers",
    };
    format!("{what} of {}, for cache {}", table.table, table.cache)
}

fn heading(step: &PlannedStep) -> String {
    let verb = if step.direction == Direction::Down { "revert " } else { "" };
    let mut heading = format!("{verb}{} {}", step.app, step.migration);
    if let Some(file) = &step.file {
        // Writing to a string cannot fail.
        let _ = write!(heading, "  ({})", file.path().display());
    }
    heading
}

fn summary(plan: &Plan) -> Vec<String> {
    let caches = |of: fn(&PlannedStep) -> &[String]| steps(plan).map(|step| of(step).len()).sum::<usize>();
    let number = steps(plan).count();
    if number == 0 {
        return vec!["all caches are invalidated at the end of the transaction".to_owned()];
    }
    let mut parts = vec![count(number, "migration")];
    let installed = plan.apps.iter().filter(|change| has_steps(plan, change)).count();
    if installed > 0 {
        parts.push(format!("{} installed", count(installed, "app")));
    }
    for (number, word) in
        [(caches(|step| &step.registers), "registered"), (caches(|step| &step.unregisters), "unregistered")]
    {
        if number > 0 {
            parts.push(format!("{} {word}", count(number, "cache")));
        }
    }
    let stuck = steps(plan).filter(|step| step.irreversible.is_some()).count();
    if stuck > 0 {
        parts.push(format!("{} cannot be reverted", count(stuck, "migration")));
    }
    vec![parts.join(", "), "all caches are invalidated at the end of each transaction".to_owned()]
}
