//! The result of a command that changes the schema: a line for each migration with the
//! caches that it registered or unregistered, and the number of invalidated caches.

use bustard::registry::{self, MissingTrigger, MissingTriggerCause};
use bustard::report::{AppChange, Direction, HistoryChange, How, StepReport, UnregisteredCache};
use bustard::{AppState, Report, UninstallPlan};
use serde::Serialize;

use super::uninstall_plan;
use crate::cli::context::{Chosen, Context};
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::{Lines, Paint};
use crate::cli::table::{self, Cell, Table, count};

#[derive(Serialize)]
struct Document<'a> {
    database: document::Database,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<uninstall_plan::Plan<'a>>,
    changed: bool,
    steps: Vec<document::Step<'a>>,
    apps: Vec<document::AppChange<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restored_caches: Vec<document::Unregistered<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    histories: Vec<document::HistoryChange<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    new_identity: bool,
    restored_triggers: Vec<document::MissingTrigger<'a>>,
    caches_invalidated: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<&'a [String]>,
    notices: Vec<document::Notice<'a>>,
    warnings: Vec<document::Diagnostic<'a>>,
    elapsed_ms: u64,
}

/// Prints the report and its warnings.
pub fn show(context: &Context<'_>, chosen: &mut Chosen, report: &Report) -> Result<Exit, Failure> {
    show_with(context, chosen, report, None)?;
    context.output.warnings(&report.warnings);
    Ok(Exit::Done)
}

/// Prints the report of an uninstall. The plan of the uninstall was printed before, with
/// all warnings.
pub fn show_uninstall(
    context: &Context<'_>,
    chosen: &mut Chosen,
    report: &Report,
    plan: &UninstallPlan,
) -> Result<Exit, Failure> {
    show_with(context, chosen, report, Some(plan))?;
    Ok(Exit::Done)
}

fn show_with(
    context: &Context<'_>,
    chosen: &mut Chosen,
    report: &Report,
    plan: Option<&UninstallPlan>,
) -> Result<(), Failure> {
    // The caches are counted after the commit, and only for the output. A failure to read
    // them is ignored, because the run itself has succeeded.
    let caches = match report.changed() {
        true => registry::list(&mut chosen.database).ok().map(|caches| caches.len()),
        false => Some(0),
    };
    let document = Document {
        database: chosen.document(),
        plan: plan.map(uninstall_plan::Plan::from),
        changed: report.changed() || report.granted.is_some(),
        steps: report.steps.iter().map(document::Step::from).collect(),
        apps: report.apps.iter().map(document::AppChange::from).collect(),
        restored_caches: report.restored_caches.iter().map(document::Unregistered::from).collect(),
        histories: report.histories.iter().map(document::HistoryChange::from).collect(),
        new_identity: report.new_identity,
        restored_triggers: report.missing_triggers.iter().map(document::MissingTrigger::from).collect(),
        caches_invalidated: caches,
        granted: report.granted.as_deref(),
        notices: report.notices.iter().map(document::Notice::from).collect(),
        warnings: report.warnings.iter().map(document::Diagnostic::from).collect(),
        elapsed_ms: document::milliseconds(report.elapsed),
    };
    context.output.done(&document, || human(report, caches))
}

fn human(report: &Report, caches: Option<usize>) -> Lines {
    let granted = report.granted.as_deref().map(granted);
    if !report.changed() {
        let nothing = || "nothing to do: the database was not touched, no cache was invalidated".to_owned();
        return Lines::of(granted.unwrap_or_else(nothing));
    }
    let mut table = Table::plain();
    let (own, steps): (Vec<&StepReport>, Vec<&StepReport>) =
        report.steps.iter().partition(|done| table::is_own(&done.app));
    if let [done, ..] = own.as_slice() {
        let word = own_word(&own);
        table.row([
            Cell::new(&done.app),
            Cell::new(table::OWN),
            Cell::new(word).paint(Paint::Green),
            Cell::new(""),
        ]);
    }
    for done in &steps {
        let (word, color) = word(done);
        table.row([
            Cell::new(&done.app),
            Cell::new(&done.migration),
            Cell::new(word).paint(color),
            Cell::new(effects(&done.registered, &done.unregistered)),
        ]);
    }
    let caches = match caches {
        Some(0) => "no cache is tracked".to_owned(),
        Some(1) => "1 cache invalidated".to_owned(),
        Some(number) => format!("all {number} caches invalidated"),
        None => "all caches invalidated".to_owned(),
    };
    let mut lines = if table.is_empty() { Lines::default() } else { table.render() };
    let others = (apps(report).into_iter())
        .chain(
            report
                .reinstalled
                .then(|| "created those of Bustard's own tables again that were missing".to_owned()),
        )
        .chain(report.new_identity.then(|| NEW_IDENTITY.to_owned()))
        .chain(report.restored_caches.iter().map(restored_cache))
        .chain(report.histories.iter().map(history))
        .chain(report.missing_triggers.iter().map(restored_trigger));
    for line in others {
        lines.line(line);
    }
    lines.line("");
    let what = match steps.first() {
        // All steps of a run have the same direction.
        Some(done) => format!("{} {}", count(steps.len(), "migration"), word(done).0),
        None if own.is_empty() => String::new(),
        None => format!("Bustard's own tables {}", own_word(&own)),
    };
    let elapsed = report.elapsed.as_millis();
    lines.line(if what.is_empty() { caches } else { format!("{what} in {elapsed} ms; {caches}") });
    if let Some(granted) = granted {
        lines.line(granted);
    }
    lines
}

/// What a run says of a copy. A repair that was asked to give a new identity says the same.
const NEW_IDENTITY: &str = "gave this copy of a database an identity of its own";

/// Describes what a run did to Bustard's own tables.
pub fn own_word(own: &[&StepReport]) -> &'static str {
    if own.iter().any(|done| done.migration.version == 1) { "set up" } else { "updated" }
}

/// Writes one line for each state that apps changed to.
fn apps(report: &Report) -> Vec<String> {
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    for AppChange { app, state, .. } in &report.apps {
        let stepped = report.steps.iter().any(|done| done.app == *app);
        let word = match state {
            AppState::Enabled if stepped => "installed",
            AppState::Enabled => "enabled",
            AppState::Disabled => "disabled",
            AppState::DataKept => "uninstalled, keeping the data of",
            _ => "uninstalled",
        };
        match lines.iter_mut().find(|(other, _)| *other == word) {
            Some((_, apps)) => apps.push(app),
            None => lines.push((word, vec![app])),
        }
    }
    lines.into_iter().map(|(word, apps)| format!("{word} {}", apps.join(", "))).collect()
}

fn history(change: &HistoryChange) -> String {
    let HistoryChange { app, before, table, new, .. } = change;
    let new = if *new { "new, " } else { "" };
    match before == table {
        true => format!("the history of {app} is {new}in {table}"),
        false => format!("the history of {app} is {new}in {table} now; it was recorded in {before}"),
    }
}

fn restored_cache(cache: &UnregisteredCache) -> String {
    format!("registered cache {} again, as {}:{} had", cache.name, cache.app, cache.migration)
}

fn restored_trigger(table: &MissingTrigger) -> String {
    let what = match table.why {
        MissingTriggerCause::Renamed => "recorded the new name",
        _ => "restored the triggers",
    };
    format!("{what} of {}, for cache {}", table.table, table.cache)
}

/// Names the roles that may now read and invalidate caches.
fn granted(roles: &[String]) -> String {
    match roles {
        [] => "only the owner of the registry may now read and invalidate caches".to_owned(),
        roles => format!("roles that may now read and invalidate caches: {}", roles.join(", ")),
    }
}

/// Returns the word for a step, and its colour.
pub fn word(done: &StepReport) -> (&'static str, Paint) {
    match (done.how, done.direction) {
        (How::Faked, Direction::Up) => ("faked", Paint::Yellow),
        (How::Faked, Direction::Down) => ("reverted (faked)", Paint::Yellow),
        (How::Repaired, _) => ("repaired", Paint::Yellow),
        (How::Run, Direction::Up) => ("applied", Paint::Green),
        (How::Run, Direction::Down) => ("reverted", Paint::Yellow),
        (how, _) => (how.as_str(), Paint::Yellow),
    }
}

fn effects(registered: &[String], unregistered: &[String]) -> String {
    let effects: Vec<String> = [("registered", registered), ("unregistered", unregistered)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(word, names)| format!("{word} {}", names.join(", ")))
        .collect();
    effects.join("; ")
}
