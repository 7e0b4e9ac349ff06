//! What a run did, what it would do, and how things stand: plain data, from
//! which the command makes tables and JSON.

mod uninstall;

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Place};
use crate::history::AppState;
use crate::model::MigrationId;
pub use crate::plan::State;
use crate::plan::{Basis, Revert};
use crate::registry::MissingTrigger;

pub use uninstall::{Dependant, DroppedTable, ForeignKey, Uninstall, UninstallPlan};

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// The migration is applied.
    Up,
    /// The migration is undone.
    Down,
}

impl Direction {
    /// The word for it in documents: `up` or `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What was applied or undone, in order.
    pub steps: Vec<StepReport>,
    /// The apps that now stand otherwise: installed, brought back, disabled, enabled
    /// or uninstalled.
    pub apps: Vec<AppChange>,
    /// The tables on which triggers of caches were missing, and are restored.
    pub missing_triggers: Vec<MissingTrigger>,
    /// The roles that may now read and invalidate caches, if the run changed that.
    pub granted: Option<Vec<String>>,
    /// Things worth knowing that did not stop the run.
    pub warnings: Vec<Diagnostic>,
    /// From the first look to the last commit.
    pub elapsed: Duration,
}

impl Report {
    /// Whether anything was changed, and so every cache invalidated.
    pub fn changed(&self) -> bool {
        !self.steps.is_empty() || !self.apps.is_empty() || !self.missing_triggers.is_empty()
    }
}

/// An app that stands otherwise than before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppChange {
    /// The app's label.
    pub app: String,
    /// How it stands now.
    pub state: AppState,
}

/// How an app stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppStatus {
    /// Its label.
    pub label: String,
    /// Whether it is installed, and whether its migrations are expected.
    pub state: AppState,
    /// Whether the migrator has its migrations.
    pub loaded: bool,
    /// The highest version that is applied.
    pub version: Option<i64>,
    /// How many migrations are applied.
    pub applied: usize,
    /// How many migrations are not applied, of those that the migrator has.
    pub pending: usize,
    /// The names of the caches that are registered and belong to it.
    pub caches: Vec<String>,
}

/// One migration that a run applied, faked, undid or repaired, and committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepReport {
    /// The app's label.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// Applied or undone.
    pub direction: Direction,
    /// How it was done.
    pub how: How,
    /// The caches that it registered.
    pub registered: Vec<String>,
    /// The caches that it unregistered.
    pub unregistered: Vec<String>,
    /// What it took, the commit included where it had one of its own.
    pub elapsed: Duration,
}

/// How a step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// Everything was run.
    Run,
    /// Only cache operations and history: [`Migrator::fake`](crate::Migrator::fake).
    Faked,
    /// Only the checksum was replaced.
    Repaired,
}

impl How {
    /// The word for it in documents: `run`, `faked` or `repaired`.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Run => "run",
            How::Faked => "faked",
            How::Repaired => "repaired",
        }
    }
}

/// What a run would do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The steps in order.
    pub steps: Vec<PlannedStep>,
    /// The apps that a run installs or brings back.
    pub apps: Vec<AppChange>,
    /// The tables on which triggers of caches are missing, and which a run puts back.
    pub missing_triggers: Vec<MissingTrigger>,
    /// Things worth knowing: what cannot be reverted, notes on files.
    pub warnings: Vec<Diagnostic>,
    /// What was planned, and from which state of the database.
    pub(crate) planned: Option<(Verb, Basis)>,
}

/// What a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Migrate,
    Revert(Revert),
    Repair { app: String, version: i64 },
}

/// One step of a [`Plan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The app's label.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// Applied or undone.
    pub direction: Direction,
    /// A line for each operation, in order.
    pub operations: Vec<String>,
    /// The SQL of the step in order, cache operations included; Rust functions
    /// are comments in it.
    pub sql: Vec<String>,
    /// The caches that it registers.
    pub registers: Vec<String>,
    /// The caches that it unregisters.
    pub unregisters: Vec<String>,
    /// The first operation that nothing undoes: such a migration cannot be reverted.
    pub irreversible: Option<String>,
    /// The file, where there is one.
    pub file: Option<Place>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Every migration of every app, files and history together, by app and version.
    pub migrations: Vec<MigrationStatus>,
    /// Caches that an applied migration registers, no later one unregisters, and
    /// which are nevertheless not registered.
    pub unregistered: Vec<UnregisteredCache>,
    /// The labels of the apps that are disabled: their migrations are not expected.
    pub disabled: Vec<String>,
    /// The labels of the apps that were uninstalled with their data kept, and whose
    /// migrations are here: a run brings them back.
    pub kept: Vec<String>,
    /// Tables on which a cache is registered and which are not as they were then.
    pub missing_triggers: Vec<MissingTrigger>,
    /// Things worth knowing.
    pub warnings: Vec<Diagnostic>,
}

impl Status {
    /// The migrations that are expected: those of apps that are not disabled.
    pub fn expected(&self) -> impl Iterator<Item = &MigrationStatus> {
        self.migrations.iter().filter(|migration| !self.disabled.contains(&migration.app))
    }

    /// The migrations in this state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &MigrationStatus> {
        self.migrations.iter().filter(move |migration| migration.state == state)
    }
}

/// How one migration stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The app's label.
    pub app: String,
    /// The migration; for a missing one, what the history calls it.
    pub migration: MigrationId,
    /// Applied, pending, or wrong.
    pub state: State,
    /// When it was applied, RFC 3339 in UTC.
    pub applied_on: Option<String>,
    /// The file, where there is one.
    pub file: Option<Place>,
}

/// A cache that should be registered and is not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnregisteredCache {
    /// The cache's name.
    pub name: String,
    /// The app whose migration registers it.
    pub app: String,
    /// That migration.
    pub migration: MigrationId,
}
