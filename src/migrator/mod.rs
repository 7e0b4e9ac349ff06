//! The migrator: from apps and a connection to a database that is up to date.
//!
//! [`Migrator`] is built once and then asked to `run`, `plan`, `revert`,
//! `repair`, or for the `status`. Every verb loads the sources, looks at the
//! history, and makes a plan before it changes anything; what changes does so
//! under the lock, with the history read anew.

mod apply;
mod apps;
#[cfg(feature = "tokio")]
mod asynchronous;
mod caches;
mod describe;
mod lifecycle;
mod lock;
mod migration_graph;
mod preflight;
mod repair;
mod report;
mod revert_records;
mod status;
mod uninstall;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::migration_graph::{GraphEdge, GraphMigration, MigrationGraph};
pub use self::report::{
    AppChange, AppStatus, Direction, Done, How, MigrationStatus, Plan, Report, Status, Step,
    UnregisteredCache,
};
pub use self::uninstall::{Dependant, DroppedTable, ForeignKey, Uninstall, UninstallPlan};
use crate::diagnostic::{Diagnostic, Place};
use crate::engine::{Connection, GLANCE, dialects};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::history::{AppState, Installed};
use crate::model::{App, Engine, History, HistoryTable, LoadedApp};
use crate::plan::{Allow, Facts, Memory, Revert};
use crate::source;
use crate::sql::Dialect;

/// How a run is cut into transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionMode {
    /// One transaction for each migration: what has committed stays.
    #[default]
    Each,
    /// One transaction for the whole run: all or nothing.
    All,
}

/// What happens in a run, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The plan stands.
    Planned {
        /// How many steps it has.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// The app's label.
        app: String,
        /// The migration, as `V1__name`.
        migration: String,
        /// Applied or undone.
        direction: Direction,
        /// The step's number, from 1.
        index: usize,
    },
    /// A step has been done; with one transaction for each, it has committed.
    Finished {
        /// The step's number, from 1.
        index: usize,
    },
    /// Somebody else holds the migration lock; comes once for each wait.
    Waiting,
}

type Listener = Box<dyn FnMut(&Event) + Send>;

/// Brings a database up to date with its apps.
///
/// ```
/// use bustard::{App, Migration, Migrator};
///
/// let mut connection = rusqlite::Connection::open_in_memory()?;
/// let app = App::new("main").migration(
///     "V1__create_users",
///     Migration::new().sql("CREATE TABLE users (name TEXT NOT NULL)").register_cache("users"),
/// );
/// let report = Migrator::new().app(app.clone()).run(&mut connection)?;
/// assert!(report.changed());
///
/// // Nothing to do: nothing is written, nothing is invalidated.
/// let report = Migrator::new().app(app).run(&mut connection)?;
/// assert!(!report.changed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Migrator {
    apps: Vec<App>,
    transaction: TransactionMode,
    lock_wait: Duration,
    target: Option<(String, i64)>,
    fake: bool,
    allow: Allow,
    grant: Option<Vec<String>>,
    listeners: Mutex<Vec<Listener>>,
}

impl Default for Migrator {
    fn default() -> Self {
        Migrator {
            apps: Vec::new(),
            transaction: TransactionMode::Each,
            lock_wait: Duration::from_secs(15 * 60),
            target: None,
            fake: false,
            allow: Allow::default(),
            grant: None,
            listeners: Mutex::default(),
        }
    }
}

impl fmt::Debug for Migrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("apps", &self.apps).finish_non_exhaustive()
    }
}

impl Migrator {
    /// A migrator without apps.
    pub fn new() -> Self {
        Migrator::default()
    }

    /// Adds an app. The order of apps does not matter: their dependencies do.
    pub fn app(mut self, app: App) -> Self {
        self.apps.push(app);
        self
    }

    /// Adds apps.
    pub fn apps(mut self, apps: impl IntoIterator<Item = App>) -> Self {
        self.apps.extend(apps);
        self
    }

    /// The apps that were added, in that order.
    pub fn configured(&self) -> &[App] {
        &self.apps
    }

    /// One transaction for each migration (the default), or one for the run.
    pub fn transaction(mut self, mode: TransactionMode) -> Self {
        self.transaction = mode;
        self
    }

    /// How long to wait for another run to end; 15 minutes unless said.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Goes no further than this migration: it and what it needs are applied.
    pub fn target(mut self, app: impl Into<String>, version: i64) -> Self {
        self.target = Some((app.into(), version));
        self
    }

    /// Writes history and carries out cache operations, but runs no SQL and no
    /// functions: for databases that are already as the migrations would make them.
    pub fn fake(mut self, fake: bool) -> Self {
        self.fake = fake;
        self
    }

    /// Goes on although an applied migration has no file.
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.allow.missing = allow;
        self
    }

    /// Goes on although an applied migration differs from its file.
    pub fn allow_divergent(mut self, allow: bool) -> Self {
        self.allow.divergent = allow;
        self
    }

    /// Applies pending migrations that are older than applied ones.
    pub fn allow_out_of_order(mut self, allow: bool) -> Self {
        self.allow.out_of_order = allow;
        self
    }

    /// On PostgreSQL: the roles that may read and invalidate caches, instead of
    /// everybody. Every run sees to it that it is so.
    pub fn grant(mut self, roles: Vec<String>) -> Self {
        self.grant = Some(roles);
        self
    }

    /// Calls back with what happens, for progress bars and logs: each listener
    /// that was given, in that order.
    pub fn on_event(self, listener: impl FnMut(&Event) + Send + 'static) -> Self {
        self.listeners().push(Box::new(listener));
        self
    }

    /// Reads and checks the sources for an engine, without any connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`](crate::ErrorKind::Source), with all problems of all files.
    pub fn load(&self, engine: Engine) -> Result<()> {
        self.loaded(dialects::of(engine)).map(drop)
    }

    fn loaded(&self, dialect: &'static dyn Dialect) -> Result<Loaded> {
        let mut apps = vec![source::own()];
        apps.extend(self.apps.iter().cloned());
        let source::Loaded { apps, warnings, mut problems, broken } = source::load(&apps, dialect);
        let graph = match Graph::new(&apps, &broken) {
            Ok(graph) if problems.is_empty() => graph,
            refused => {
                problems.extend(refused.err().unwrap_or_default());
                problems.sort_by(|(a, one), (b, other)| (a, one.place()).cmp(&(b, other.place())));
                let problems = problems.into_iter().map(|(_, problem)| problem).collect();
                return Err(Error::problems(ErrorKind::Source, problems));
            }
        };
        let tables = apps.iter().map(|app| HistoryTable::of(app, dialect)).collect();
        Ok(Loaded { apps, graph, tables, warnings, memory: Memory::default() })
    }

    /// Which migrations there are, and which of them asked to come before or after
    /// which, without any connection.
    ///
    /// ```
    /// use bustard::{App, Engine, Migration, Migrator};
    ///
    /// let forum = App::new("forum").migration("V1__users", Migration::new());
    /// let bans = App::new("bans").migration("V1__bans", Migration::new().depends_on("forum", 1));
    /// let graph = Migrator::new().app(bans).app(forum).graph(Engine::Sqlite)?;
    ///
    /// assert_eq!(graph.apps, ["bans", "forum"]);
    /// let edge = &graph.edges[0];
    /// assert_eq!((edge.app.as_str(), edge.needs_app.as_str()), ("bans", "forum"));
    /// # Ok::<(), bustard::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`](crate::ErrorKind::Source), with all problems of all files.
    pub fn graph(&self, engine: Engine) -> Result<MigrationGraph> {
        let Loaded { apps, graph, .. } = self.loaded(dialects::of(engine))?;
        Ok(migration_graph::of(&apps, &graph))
    }

    /// Applies what is pending.
    ///
    /// Each transaction takes the migration lock, reads the history anew, applies,
    /// writes history, invalidates every cache and commits. With nothing pending,
    /// nothing is locked or written, unless triggers of caches are missing: they are
    /// put back.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind). Nothing of the failed transaction
    /// remains; [`Error::applied`](crate::Error::applied) lists what had committed before.
    pub fn run(&self, connection: &mut impl Connection) -> Result<Report> {
        let loaded = self.loaded(connection.dialect())?;
        let functions = loaded.has_functions();
        let mut session = connection.session(functions, self.lock_wait)?;
        self.forward(&loaded, &mut *session)
    }

    /// What [`run`](Migrator::run) would do; touches nothing.
    ///
    /// # Errors
    ///
    /// As for `run`, as far as they can be seen beforehand.
    pub fn plan(&self, connection: &mut impl Connection) -> Result<Plan> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, GLANCE.min(self.lock_wait))?;
        let choose = |facts: &Facts<'_>| facts.forward(self.wanted());
        let found = self.look(&loaded, &mut *session, Direction::Up, choose)?;
        let facts = loaded.facts(&found.seen.histories, &found.seen.installed);
        let (dialect, warnings) = (session.dialect(), loaded.warnings_with(&facts));
        let mut plan = describe::plan(&facts, dialect, &found.steps, Direction::Up, Vec::new(), warnings);
        plan.apps = describe::changes(&facts, &found.steps, &found.returning);
        plan.untracked = found.repairable();
        Ok(plan)
    }

    /// How every migration and every cache stands; touches nothing.
    ///
    /// # Errors
    ///
    /// Only those of sources and connection: what is wrong with the history is
    /// the answer, not an error.
    pub fn status(&self, connection: &mut impl Connection) -> Result<Status> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, GLANCE.min(self.lock_wait))?;
        let seen = loaded.see(&mut *session)?;
        let facts = loaded.facts(&seen.histories, &seen.installed);
        let warnings = loaded.warnings_with(&facts);
        status::status(&facts, &mut *session, seen.untracked.clone(), warnings)
    }

    /// Undoes migrations, those first that nothing else needs.
    ///
    /// # Errors
    ///
    /// As for [`run`](Migrator::run); and before anything is undone, if one of
    /// the migrations cannot be.
    pub fn revert(&self, connection: &mut impl Connection, to: &Revert) -> Result<Report> {
        let loaded = self.loaded(connection.dialect())?;
        let functions = loaded.has_functions();
        let mut session = connection.session(functions, self.lock_wait)?;
        self.backward(&loaded, &mut *session, to)
    }

    /// What [`revert`](Migrator::revert) would do; touches nothing.
    ///
    /// # Errors
    ///
    /// As for `revert`, as far as they can be seen beforehand.
    pub fn plan_revert(&self, connection: &mut impl Connection, to: &Revert) -> Result<Plan> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, GLANCE.min(self.lock_wait))?;
        let seen = loaded.see(&mut *session)?;
        let facts = loaded.facts(&seen.histories, &seen.installed);
        facts.check(self.allow)?;
        let steps = facts.backward(to)?;
        let (dialect, warnings) = (session.dialect(), loaded.warnings_with(&facts));
        Ok(describe::plan(&facts, dialect, &steps, Direction::Down, Vec::new(), warnings))
    }

    /// Accepts an applied migration's file as it is now: replaces the checksum
    /// and the name in the history, and invalidates every cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if there is no such
    /// migration or it is not applied.
    pub fn repair(&self, connection: &mut impl Connection, app: &str, version: i64) -> Result<Report> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, self.lock_wait)?;
        self.accept(&loaded, &mut *session, app, version)
    }

    /// How every app stands, those too that are in the database only, by label;
    /// touches nothing. Bustard's own tables are no app in this sense, and apps of
    /// others whose histories this role may not read are left out.
    ///
    /// # Errors
    ///
    /// Only those of sources and connection.
    pub fn list_apps(&self, connection: &mut impl Connection) -> Result<Vec<AppStatus>> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, GLANCE.min(self.lock_wait))?;
        apps::list(&loaded, &mut *session)
    }

    /// Disables an app: from now on its migrations are not expected. Pending ones are
    /// passed over, and nobody complains about applied ones that are missing or
    /// divergent. Its tables and caches stay. Invalidates every cache, unless the app
    /// is disabled already.
    ///
    /// ```
    /// use bustard::{App, AppState, Migration, Migrator};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let bans = App::new("bans").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let migrator = Migrator::new().app(bans.clone());
    /// migrator.run(&mut connection)?;
    /// migrator.disable(&mut connection, "bans")?;
    ///
    /// let more = bans.migration("V2__more", Migration::new().register_cache("more"));
    /// let migrator = Migrator::new().app(more);
    /// assert!(!migrator.run(&mut connection)?.changed());
    /// assert_eq!(migrator.list_apps(&mut connection)?[0].state, AppState::Disabled);
    ///
    /// migrator.enable(&mut connection, "bans")?;
    /// assert_eq!(migrator.run(&mut connection)?.steps.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for `bustard`, for an app that is
    /// neither here nor in the database, and for one of which only the data was kept;
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed) where `run` has not yet made the
    /// tables for it.
    pub fn disable(&self, connection: &mut impl Connection, app: &str) -> Result<Report> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, self.lock_wait)?;
        self.switch(&loaded, &mut *session, app, AppState::Disabled)
    }

    /// Undoes [`disable`](Migrator::disable).
    ///
    /// # Errors
    ///
    /// As for `disable`.
    pub fn enable(&self, connection: &mut impl Connection, app: &str) -> Result<Report> {
        let loaded = self.loaded(connection.dialect())?;
        let mut session = connection.session(false, self.lock_wait)?;
        self.switch(&loaded, &mut *session, app, AppState::Enabled)
    }

    fn wanted(&self) -> Option<(&str, i64)> {
        self.target.as_ref().map(|(app, version)| (app.as_str(), *version))
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        // A listener that panicked is still a listener.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        for listener in &mut *self.listeners() {
            listener(&event);
        }
    }
}

/// The sources as a run sees them.
struct Loaded {
    apps: Vec<LoadedApp>,
    graph: Graph,
    tables: Vec<HistoryTable>,
    warnings: Vec<Diagnostic>,
    memory: Memory,
}

impl Loaded {
    fn facts<'f>(&'f self, histories: &'f [History], installed: &'f Installed) -> Facts<'f> {
        Facts { apps: &self.apps, graph: &self.graph, histories, installed, memory: &self.memory }
    }

    fn warnings_with(&self, facts: &Facts<'_>) -> Vec<Diagnostic> {
        self.warnings.iter().cloned().chain(facts.warnings()).collect()
    }

    /// The file of a migration as errors name it, where it has one.
    fn file_of(&self, app: Option<&str>, migration: Option<&str>) -> Option<&Place> {
        let app = self.apps.iter().find(|loaded| app == Some(&loaded.label))?;
        let found = app.migrations.iter().find(|loaded| migration == Some(&loaded.id.to_string()))?;
        found.file.as_ref()
    }

    fn has_functions(&self) -> bool {
        self.apps.iter().any(has_functions)
    }
}

/// Whether the app's migrations call functions, forward or back.
fn has_functions(app: &LoadedApp) -> bool {
    let function =
        |operation: &crate::model::Operation| matches!(operation, crate::model::Operation::Function(_));
    app.migrations.iter().any(|loaded| {
        let migration = &loaded.migration;
        migration.operations.iter().chain(migration.down.iter().flatten()).any(function)
    })
}
