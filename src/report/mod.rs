//! Reports of runs, plans and the state of a database.
//!
//! In: nothing, because other modules create the values. Out: plain data, which the command
//! shows as tables and JSON.

mod uninstall;

use std::time::Duration;

use crate::diagnostic::{Diagnostic, Place};
pub use crate::error::{Notice, NoticeLevel};
use crate::history::AppState;
use crate::model::MigrationId;
pub use crate::plan::State;
use crate::plan::{Basis, Repair, Revert};
use crate::registry::{MissingTrigger, TrackedCache};

pub use uninstall::{Dependant, DroppedTable, ForeignKey, Uninstall, UninstallPlan};

/// The direction of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// The migration is applied.
    Up,
    /// The migration is reverted.
    Down,
}

impl Direction {
    /// Returns the word for the direction in documents: `up` or `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }
}

/// The result of a run.
///
/// ```
/// # use bustard::{App, Migration, Migrator};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # let migrator = Migrator::new().app(app);
/// let report = migrator.run(&mut connection)?;
/// for step in &report.steps {
///     println!("{} {} took {:?}", step.app, step.migration, step.elapsed);
/// }
/// assert!(report.changed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The applied or reverted migrations, in order.
    pub steps: Vec<StepReport>,
    /// The apps with a changed state: installed, restored, disabled, enabled or
    /// uninstalled.
    pub apps: Vec<AppChange>,
    /// The caches that were registered again, because applied migrations had registered them
    /// and they were not registered.
    pub restored_caches: Vec<UnregisteredCache>,
    /// Whether some of Bustard's own tables were missing, and were created again.
    pub reinstalled: bool,
    /// The apps whose histories are in another table than before, according to a repair.
    pub histories: Vec<HistoryChange>,
    /// Whether the database got a new identity, because it is a copy of another one or because
    /// a repair asked for it.
    pub new_identity: bool,
    /// The missing triggers that the run has restored.
    pub missing_triggers: Vec<MissingTrigger>,
    /// The roles that may now read and invalidate caches, if the run has changed them.
    pub granted: Option<Vec<String>>,
    /// What the server said while the migrations ran, in order. Empty on SQLite, and on a
    /// connection of the caller.
    pub notices: Vec<Notice>,
    /// Diagnostics that did not stop the run.
    pub warnings: Vec<Diagnostic>,
    /// The time from the preflight to the last commit.
    pub elapsed: Duration,
}

impl Report {
    /// Returns whether the run changed anything. If it did, it has invalidated every cache.
    pub fn changed(&self) -> bool {
        !self.steps.is_empty()
            || !self.apps.is_empty()
            || !self.histories.is_empty()
            || !self.restored_caches.is_empty()
            || self.reinstalled
            || self.new_identity
            || !self.missing_triggers.is_empty()
    }
}

/// The history of an app that a repair takes for another table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryChange {
    /// The app's label.
    pub app: String,
    /// The table that was recorded.
    pub before: String,
    /// The table that is recorded now.
    pub table: String,
    /// Whether the recorded migrations were forgotten, so that what the table does not have
    /// is applied again.
    pub new: bool,
}

/// An app whose state the run has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppChange {
    /// The app's label.
    pub app: String,
    /// The new state of the app.
    pub state: AppState,
}

/// The state of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppStatus {
    /// The label of the app.
    pub label: String,
    /// Whether the app is installed, and whether its migrations are expected.
    pub state: AppState,
    /// Whether the migrator has loaded the app's migrations.
    pub loaded: bool,
    /// The highest applied version.
    pub version: Option<i64>,
    /// The number of applied migrations.
    pub applied: usize,
    /// The number of loaded migrations that are not applied.
    pub pending: usize,
    /// The names of the app's registered caches.
    pub caches: Vec<String>,
}

/// A migration that a run has applied, faked, reverted or repaired, and committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepReport {
    /// The app's label.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// Whether it is applied or reverted.
    pub direction: Direction,
    /// How the step was done.
    pub how: How,
    /// The caches that it registered.
    pub registered: Vec<String>,
    /// The caches that it unregistered.
    pub unregistered: Vec<String>,
    /// The duration. It includes the commit if the step had a transaction of its own.
    pub elapsed: Duration,
}

/// How a step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// All operations were run.
    Run,
    /// Only the cache operations were run, and the history was written:
    /// [`Migrator::fake`](crate::Migrator::fake).
    Faked,
    /// Only the checksum was replaced.
    Repaired,
}

impl How {
    /// Returns the word for the value in documents: `run`, `faked` or `repaired`.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Run => "run",
            How::Faked => "faked",
            How::Repaired => "repaired",
        }
    }
}

/// The plan of a run: the steps that it would execute.
///
/// ```
/// # use bustard::{App, Migration, Migrator};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # let migrator = Migrator::new().app(app);
/// let plan = migrator.plan(&mut connection)?;
/// for step in &plan.steps {
///     println!("{} {}: {}", step.app, step.migration, step.operations.join(", "));
/// }
/// migrator.execute(&mut connection, &plan)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// The steps in order.
    pub steps: Vec<PlannedStep>,
    /// The apps that the run would install or restore.
    pub apps: Vec<AppChange>,
    /// The caches that the run would register again.
    pub restored_caches: Vec<UnregisteredCache>,
    /// The histories that a repair would take for other tables.
    pub histories: Vec<HistoryChange>,
    /// Whether the run would give the database a new identity, because it is a copy of another
    /// one or because a repair asks for it.
    pub new_identity: bool,
    /// The missing triggers that the run would restore.
    pub missing_triggers: Vec<MissingTrigger>,
    /// Diagnostics that do not stop the run, such as irreversible migrations.
    pub warnings: Vec<Diagnostic>,
    /// The verb, and the state of the database that the plan was made from.
    pub(crate) planned: Option<(Verb, Basis)>,
}

/// The verb that a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Migrate,
    Revert(Revert),
    Repair(Repair),
}

/// One step of a [`Plan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The app's label.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// Whether it is applied or reverted.
    pub direction: Direction,
    /// A line for each operation, in order.
    pub operations: Vec<String>,
    /// The SQL of the step in order, including cache operations. Rust functions appear as
    /// comments.
    pub sql: Vec<String>,
    /// The caches that it registers.
    pub registers: Vec<String>,
    /// The caches that it unregisters.
    pub unregisters: Vec<String>,
    /// The first operation that nothing reverts. If there is such an operation, the
    /// migration cannot be reverted.
    pub irreversible: Option<String>,
    /// The file, if there is one.
    pub file: Option<Place>,
}

/// The state of a database.
///
/// ```
/// # use bustard::{App, Migration, Migrator};
/// # let mut connection = rusqlite::Connection::open_in_memory()?;
/// # let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
/// # let migrator = Migrator::new().app(app);
/// use bustard::report::State;
///
/// let status = migrator.status(&mut connection)?;
/// assert!(status.in_state(State::Pending).any(|migration| migration.app == "main"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Every migration of every app, from files and histories, by app and version.
    pub migrations: Vec<MigrationStatus>,
    /// The caches that the applied migrations register, but that are not registered.
    pub unregistered: Vec<UnregisteredCache>,
    /// Whether some of Bustard's own tables are missing. The next run creates them again.
    pub incomplete: bool,
    /// Whether the database is a copy that still has the identity of the original. The next run
    /// gives it an identity of its own.
    pub copied: bool,
    /// The labels of the disabled apps, whose migrations are not expected.
    pub disabled: Vec<String>,
    /// The labels of the loaded apps with kept data. The next run restores them.
    pub kept: Vec<String>,
    /// The missing triggers, and the tables that were renamed or dropped.
    pub missing_triggers: Vec<MissingTrigger>,
    /// The registered caches with their tables; empty if the database has no registry, or one
    /// that cannot be read.
    pub caches: Vec<TrackedCache>,
    /// Diagnostics that would not stop a run.
    pub warnings: Vec<Diagnostic>,
}

impl Status {
    /// Returns the expected migrations: the migrations of apps that are not disabled.
    pub fn expected(&self) -> impl Iterator<Item = &MigrationStatus> {
        self.migrations.iter().filter(|migration| !self.disabled.contains(&migration.app))
    }

    /// Returns the migrations in this state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &MigrationStatus> {
        self.migrations.iter().filter(move |migration| migration.state == state)
    }
}

/// The state of one migration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The app's label.
    pub app: String,
    /// The migration. The name of a missing migration comes from the history.
    pub migration: MigrationId,
    /// The state of the migration.
    pub state: State,
    /// The time when the migration was applied, RFC 3339 in UTC.
    pub applied_on: Option<String>,
    /// The file, if there is one.
    pub file: Option<Place>,
    /// What stops a run, with what differs and what to do, if the migration is divergent, out
    /// of order or superseded, and its app is not disabled.
    pub diagnostic: Option<Diagnostic>,
}

/// A cache that should be registered, but is not registered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnregisteredCache {
    /// The cache's name.
    pub name: String,
    /// The app whose migration registers it.
    pub app: String,
    /// The migration that registers it.
    pub migration: MigrationId,
}
