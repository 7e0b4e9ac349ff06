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
use crate::cli::lines::{Lines, Paint, paint};
use crate::cli::program;
use crate::cli::table::{self, Cell, Table};

/// The document of `status` and `check`.
#[derive(Serialize)]
pub struct Document<'a> {
    database: document::Database,
    up_to_date: bool,
    copied: bool,
    migrations: Vec<document::Migration<'a>>,
    disabled: &'a [String],
    kept: &'a [String],
    unregistered: Vec<document::Unregistered<'a>>,
    missing_triggers: Vec<document::MissingTrigger<'a>>,
    caches: Vec<document::CacheTables<'a>>,
    warnings: Vec<document::Diagnostic<'a>>,
}

impl<'a> Document<'a> {
    pub fn new(chosen: &Chosen, status: &'a Status) -> Self {
        Document {
            database: chosen.document(),
            up_to_date: is_up_to_date(status),
            copied: status.copied,
            migrations: status.migrations.iter().map(document::Migration::from).collect(),
            disabled: &status.disabled,
            kept: &status.kept,
            unregistered: status.unregistered.iter().map(document::Unregistered::from).collect(),
            missing_triggers: status.missing_triggers.iter().map(document::MissingTrigger::from).collect(),
            caches: status.caches.iter().map(document::CacheTables::from).collect(),
            warnings: status.warnings.iter().map(document::Diagnostic::from).collect(),
        }
    }
}

pub fn run(context: &Context<'_>, migrator: &Migrator) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let status = migrator.status(&mut chosen.database)?;
    context.output.answer(&Document::new(&chosen, &status), || {
        let mut lines = table(&status, status.migrations.iter());
        lines.lines(refusals(&status));
        lines.lines(apps(&status));
        lines.lines(sources(&status));
        lines.lines(caches(&status));
        lines.line(summary(&status));
        lines
    })?;
    context.output.warnings(&status.warnings);
    Ok(Exit::Done)
}

/// Reports whether all expected migrations are applied, all caches are registered, no app
/// has kept data, no repairable trigger is missing, and the database has an identity of its
/// own.
pub fn is_up_to_date(status: &Status) -> bool {
    let wrong = |missing: &MissingTrigger| {
        missing.is_repairable()
            || matches!(missing.why, MissingTriggerCause::Gone | MissingTriggerCause::Keys)
    };
    !status.missing_triggers.iter().any(wrong)
        && status.unregistered.is_empty()
        && !status.incomplete
        && !status.copied
        && status.kept.is_empty()
        && status.expected().all(|one| one.state == State::Applied)
}

/// Renders the table of these migrations and their states.
pub fn table<'a>(status: &Status, shown: impl Iterator<Item = &'a MigrationStatus>) -> Lines {
    let mut table = Table::new(&["app", "migration", "state", "applied on"]);
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
                ("disabled", Paint::Yellow)
            }
            state => word(state),
        };
        let what = if shares(one) { table::OWN.to_owned() } else { one.migration.to_string() };
        let latest = group.iter().filter_map(|one| one.applied_on.as_deref()).max();
        table.row([
            Cell::new(&one.app),
            Cell::new(what),
            Cell::new(word).paint(color),
            Cell::new(latest.unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        return Lines::default();
    }
    let mut lines = table.render();
    lines.line("");
    lines
}

/// Says of each migration that stops a run what differs and what to do.
pub fn refusals(status: &Status) -> Lines {
    let mut lines = Lines::default();
    let program = program::name();
    for found in status.expected().filter_map(|one| one.diagnostic.as_ref()) {
        let text = found.report().for_command(&program).to_string();
        text.lines().for_each(|line| lines.line(line));
    }
    if !lines.is_empty() {
        lines.line("");
    }
    lines
}

/// Describes the apps that are disabled or have kept data.
pub fn apps(status: &Status) -> Lines {
    let mut lines = Lines::default();
    let program = program::name();
    let migrate = Action::Migrate.as_command(&program);
    for app in &status.disabled {
        let enable = Action::Enable { app: app.clone() }.as_command(&program);
        lines.line(format!("app {app} is disabled: `{enable}` enables it"));
    }
    for app in &status.kept {
        let words = paint(Paint::Yellow, "was uninstalled with its data kept");
        lines.line(format!("app {app} {words}: `{migrate}` restores it"));
    }
    if !lines.is_empty() {
        lines.line("");
    }
    lines
}

/// Describes what is wrong with the registry: a copied identity, missing tables, missing
/// caches, and tables of caches whose triggers are missing.
pub fn caches(status: &Status) -> Lines {
    let mut lines = Lines::default();
    let migrate = Action::Migrate.as_command(&program::name());
    if status.copied {
        let words = paint(Paint::Yellow, "is a copy of another one");
        lines.line(format!("this database {words}: `{migrate}` gives it an identity of its own"));
    }
    if status.incomplete {
        let words = paint(Paint::Yellow, "are missing");
        lines.line(format!("some of Bustard's own tables {words}: `{migrate}` creates them again"));
    }
    for cache in &status.unregistered {
        let words = paint(Paint::Yellow, "is not registered");
        lines.line(format!(
            "cache {} {words}, although {}:{} is applied and registers it: `{migrate}` registers it again",
            cache.name, cache.app, cache.migration
        ));
    }
    for MissingTrigger { cache, table, why, .. } in &status.missing_triggers {
        lines.line(match why {
            MissingTriggerCause::Triggers => {
                let words = paint(Paint::Yellow, "are missing");
                format!(
                    "cache {cache} is registered on {table}, whose triggers {words}: `{migrate}` restores them"
                )
            }
            MissingTriggerCause::Disabled => {
                let words = paint(Paint::Yellow, "are disabled");
                format!(
                    "cache {cache} is registered on {table}, whose triggers {words}: `{migrate}` enables them"
                )
            }
            MissingTriggerCause::Edited => {
                let words = paint(Paint::Yellow, "were changed");
                format!(
                    "cache {cache} is registered on {table}, whose triggers {words}: `{migrate}` restores them"
                )
            }
            MissingTriggerCause::Renamed => format!(
                "cache {cache} is registered on {table}, which was renamed: `{migrate}` records the new name"
            ),
            MissingTriggerCause::Foreign => {
                let words = paint(Paint::Yellow, "do not invalidate it");
                format!(
                    "cache {cache} is registered on a parent of the foreign table {table}: writes to that table {words}"
                )
            }
            MissingTriggerCause::Keys => {
                let words = paint(Paint::Yellow, "invalidates all keys");
                format!(
                    "cache {cache} is registered on {table}, whose columns have changed: each write {words}, until a migration says `change cache {cache} on …`"
                )
            }
            _ => format!("cache {cache} is registered on {table}, which no longer exists"),
        });
    }
    if !lines.is_empty() {
        lines.line("");
    }
    lines
}

/// Lists the caches that are registered on tables, with these tables.
fn sources(status: &Status) -> Lines {
    let mut lines = Lines::default();
    for cache in status.caches.iter().filter(|cache| !cache.tables.is_empty()) {
        lines.line(format!("cache {} is on {}", cache.name, cache.tables.join(", ")));
    }
    if !lines.is_empty() {
        lines.line("");
    }
    lines
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
    if parts.is_empty() { format!("no migrations{disabled}") } else { parts.join(", ") + &disabled }
}

fn word(state: State) -> (&'static str, Paint) {
    match state {
        State::Applied => ("applied", Paint::Green),
        State::Pending => ("pending", Paint::Yellow),
        State::OutOfOrder => ("out of order", Paint::Red),
        State::Divergent => ("divergent", Paint::Red),
        State::Missing => ("missing", Paint::Red),
        State::Superseded => ("superseded", Paint::Red),
        other => (other.as_str(), Paint::Red),
    }
}
