//! `bustard status`: lists every migration of every app with its state.

use bustard::diagnostic::Action;
use bustard::registry::{MissingTrigger, MissingTriggerCause};
use bustard::report::{MigrationStatus, State};
use bustard::{Migrator, Status};
use serde::Serialize;

use crate::cli::context::{Chosen, Context};
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{YELLOW, paint};
use crate::cli::program;
use crate::cli::table::{self, Cell, Color};

/// The document of `status` and `check`.
#[derive(Serialize)]
pub struct Document<'a> {
    database: document::Database,
    up_to_date: bool,
    migrations: Vec<document::Migration<'a>>,
    disabled: &'a [String],
    kept: &'a [String],
    unregistered: Vec<document::Unregistered<'a>>,
    missing_triggers: Vec<document::MissingTrigger<'a>>,
    warnings: Vec<document::Diagnostic<'a>>,
}

impl<'a> Document<'a> {
    pub fn new(chosen: &Chosen, status: &'a Status) -> Self {
        Document {
            database: chosen.document(),
            up_to_date: is_up_to_date(status),
            migrations: status.migrations.iter().map(document::Migration::from).collect(),
            disabled: &status.disabled,
            kept: &status.kept,
            unregistered: status.unregistered.iter().map(document::Unregistered::from).collect(),
            missing_triggers: status.missing_triggers.iter().map(document::MissingTrigger::from).collect(),
            warnings: status.warnings.iter().map(document::Diagnostic::from).collect(),
        }
    }
}

pub fn run(context: &Context<'_>, migrator: &Migrator) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let status = migrator.status(&mut chosen.database)?;
    context.output.answer(&Document::new(&chosen, &status), || {
        table(&status, status.migrations.iter()) + &apps(&status) + &caches(&status) + &summary(&status)
    })?;
    context.output.warnings(&status.warnings);
    Ok(Exit::Done)
}

/// Reports whether all expected migrations are applied, all caches are registered, no app
/// has kept data, and no repairable trigger is missing.
pub fn is_up_to_date(status: &Status) -> bool {
    let wrong =
        |missing: &MissingTrigger| missing.is_repairable() || missing.why == MissingTriggerCause::Gone;
    !status.missing_triggers.iter().any(wrong)
        && status.unregistered.is_empty()
        && !status.incomplete
        && status.kept.is_empty()
        && status.expected().all(|one| one.state == State::Applied)
}

/// Renders the table of these migrations and their states.
pub fn table<'a>(status: &Status, shown: impl Iterator<Item = &'a MigrationStatus>) -> String {
    let mut table = table::table(&["app", "migration", "state", "applied on"]);
    let shown: Vec<&MigrationStatus> = shown.collect();
    // Bustard's own migrations share one row per state, except those in a state that needs
    // a decision: such a migration has its own row.
    let shares = |one: &MigrationStatus| {
        table::is_own(&one.app) && matches!(one.state, State::Applied | State::Pending)
    };
    let alike = |one: &&MigrationStatus, next: &&MigrationStatus| {
        shares(one) && shares(next) && one.state == next.state
    };
    for group in shown.chunk_by(alike) {
        let [one, ..] = group else { continue };
        let (word, color) = match one.state {
            state if state != State::Applied && status.disabled.contains(&one.app) => {
                ("disabled", Color::Yellow)
            }
            state => word(state),
        };
        let what = if shares(one) { table::OWN.to_owned() } else { one.migration.to_string() };
        let latest = group.iter().filter_map(|one| one.applied_on.as_deref()).max();
        table.add_row([
            Cell::new(&one.app),
            Cell::new(what),
            Cell::new(word).fg(color),
            Cell::new(latest.unwrap_or_default()),
        ]);
    }
    if table.is_empty() { String::new() } else { table::render(table) + "\n" }
}

/// Describes the apps that are disabled or have kept data.
pub fn apps(status: &Status) -> String {
    let mut text = String::new();
    let program = program::name();
    let migrate = Action::Migrate.as_command(&program);
    for app in &status.disabled {
        let enable = Action::Enable { app: app.clone() }.as_command(&program);
        text += &format!("app {app} is disabled: `{enable}` enables it\n");
    }
    for app in &status.kept {
        let words = paint(YELLOW, "was uninstalled with its data kept");
        text += &format!("app {app} {words}: `{migrate}` restores it\n");
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Describes the caches that are missing in the registry, and the tables of caches whose
/// triggers are missing.
pub fn caches(status: &Status) -> String {
    let mut text = String::new();
    let migrate = Action::Migrate.as_command(&program::name());
    if status.incomplete {
        let words = paint(YELLOW, "are missing");
        text += &format!("some of Bustard's own tables {words}: `{migrate}` creates them again\n");
    }
    for cache in &status.unregistered {
        let words = paint(YELLOW, "is not registered");
        text += &format!(
            "cache {} {words}, although {}:{} is applied and registers it: `{migrate}` registers it again\n",
            cache.name, cache.app, cache.migration
        );
    }
    for MissingTrigger { cache, table, why, .. } in &status.missing_triggers {
        text += &match why {
            MissingTriggerCause::Triggers => {
                let words = paint(YELLOW, "are missing");
                format!(
                    "cache {cache} is registered on {table}, whose triggers {words}: `{migrate}` restores them\n"
                )
            }
            MissingTriggerCause::Renamed => format!(
                "cache {cache} is registered on {table}, which was renamed: `{migrate}` records the new name\n"
            ),
            MissingTriggerCause::Foreign => {
                let words = paint(YELLOW, "do not invalidate it");
                format!(
                    "cache {cache} is registered on a parent of the foreign table {table}: writes to that table {words}\n"
                )
            }
            _ => format!("cache {cache} is registered on {table}, which no longer exists\n"),
        };
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Counts the expected migrations by state, without Bustard's own.
pub fn summary(status: &Status) -> String {
    let states = [
        State::Applied,
        State::Pending,
        State::OutOfOrder,
        State::Divergent,
        State::Missing,
        State::Superseded,
    ];
    let (own, expected): (Vec<_>, Vec<_>) = status.expected().partition(|one| table::is_own(&one.app));
    let mut parts: Vec<String> = (states.into_iter())
        .map(|state| (expected.iter().filter(|one| one.state == state).count(), word(state).0))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    if let Some(one) = own.iter().find(|one| one.state != State::Applied) {
        parts.push(format!("Bustard's own tables {}", word(one.state).0));
    }
    let disabled = match status.disabled.len() {
        0 => String::new(),
        number => format!("; {} disabled", table::count(number, "app")),
    };
    if parts.is_empty() { format!("no migrations{disabled}\n") } else { parts.join(", ") + &disabled + "\n" }
}

fn word(state: State) -> (&'static str, Color) {
    match state {
        State::Applied => ("applied", Color::Green),
        State::Pending => ("pending", Color::Yellow),
        State::OutOfOrder => ("out of order", Color::Red),
        State::Divergent => ("divergent", Color::Red),
        State::Missing => ("missing", Color::Red),
        State::Superseded => ("superseded", Color::Red),
        other => (other.as_str(), Color::Red),
    }
}
