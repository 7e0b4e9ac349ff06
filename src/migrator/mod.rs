//! The migrator, which brings databases up to date.
//!
//! In: apps, options and a connection. Out: a database that is up to date, and a report.
//!
//! A [`Migrator`] is built once. Its verbs are `run`, `plan`, `revert`, `repair`,
//! `uninstall` and `status`. Every verb loads the sources, reads the state of the database
//! and makes a plan before it changes anything. `run::execute` executes the plan.

mod apps;
#[cfg(feature = "tokio")]
mod asynchronous;
mod migration_graph;
mod repair;
mod status;
mod uninstall;
mod verbs;

#[cfg(test)]
pub(crate) use uninstall::off_search_path;

use std::fmt;
use std::time::Duration;

pub use self::migration_graph::{GraphEdge, GraphMigration, MigrationGraph};
use crate::engine::dialects;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use crate::model::{App, Engine, HistoryTable};
use crate::plan::{Allow, Migrate, Sources, TransactionMode};
use crate::run::{Event, Listeners, Options};
use crate::source;
use crate::sql::Dialect;

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
    added: Vec<App>,
    /// The app of a configuration without apps.
    implied: Option<App>,
    transaction: TransactionMode,
    lock_wait: Duration,
    target: Option<(String, i64)>,
    fake: bool,
    allow: Allow,
    grant: Option<Vec<String>>,
    trust: Vec<String>,
    listeners: Listeners,
}

impl Default for Migrator {
    fn default() -> Self {
        Migrator {
            added: Vec::new(),
            implied: None,
            transaction: TransactionMode::Each,
            lock_wait: Duration::from_secs(15 * 60),
            target: None,
            fake: false,
            allow: Allow::default(),
            grant: None,
            trust: Vec::new(),
            listeners: Listeners::default(),
        }
    }
}

impl fmt::Debug for Migrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("apps", &self.configured()).finish_non_exhaustive()
    }
}

impl Migrator {
    /// Returns a migrator without apps.
    pub fn new() -> Self {
        Migrator::default()
    }

    /// Adds an app. The order of the calls does not matter; dependencies decide.
    pub fn app(mut self, app: App) -> Self {
        self.added.push(app);
        self
    }

    /// Adds apps.
    pub fn apps(mut self, apps: impl IntoIterator<Item = App>) -> Self {
        self.added.extend(apps);
        self
    }

    /// Sets the app that a configuration without apps implies. It counts only if no app is
    /// added, before or after this call: an added app may have the same files.
    #[cfg(feature = "config")]
    pub(crate) fn implied(mut self, app: App) -> Self {
        self.implied = Some(app);
        self
    }

    /// Returns the apps in the order in which they were added. If none was added, returns
    /// the app that the configuration implies, if there is one.
    pub fn configured(&self) -> &[App] {
        match self.added.as_slice() {
            [] => self.implied.as_slice(),
            added => added,
        }
    }

    /// Uses one transaction for each migration (the default), or one for the whole run.
    pub fn transaction(mut self, mode: TransactionMode) -> Self {
        self.transaction = mode;
        self
    }

    /// Sets how long to wait for another run to end. The default is 15 minutes.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Applies this migration and its dependencies, and no other migrations.
    pub fn target(mut self, app: impl Into<String>, version: i64) -> Self {
        self.target = Some((app.into(), version));
        self
    }

    /// Writes history and runs cache operations, but runs no SQL and no functions. Use it
    /// for databases that already have the schema of the migrations.
    pub fn fake(mut self, fake: bool) -> Self {
        self.fake = fake;
        self
    }

    /// Continues if an applied migration has no file.
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.allow.missing = allow;
        self
    }

    /// Continues if an applied migration differs from its file.
    pub fn allow_divergent(mut self, allow: bool) -> Self {
        self.allow.divergent = allow;
        self
    }

    /// Applies pending migrations that are older than applied migrations.
    pub fn allow_out_of_order(mut self, allow: bool) -> Self {
        self.allow.out_of_order = allow;
        self
    }

    /// Installs texts of repeatable migrations that newer texts have replaced. By default
    /// such texts are an error, because they come from an older release.
    pub fn repeat(mut self, repeat: bool) -> Self {
        self.allow.repeat = repeat;
        self
    }

    /// Limits reading and invalidating caches to these roles (PostgreSQL). Every run
    /// grants and revokes the rights accordingly.
    pub fn grant(mut self, roles: Vec<String>) -> Self {
        self.grant = Some(roles);
        self
    }

    /// Trusts these roles with Bustard's tables and with the histories (PostgreSQL).
    ///
    /// A run fails before it changes anything if one of them belongs to another role than
    /// these, the current role, a role that it is a member of, a superuser or the
    /// database's owner, or if a trigger there calls a function of another role than these.
    pub fn trust(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.trust.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Adds a listener for the events of a run, for progress bars and logs. Listeners are
    /// called in the order in which they were added.
    pub fn on_event(self, listener: impl FnMut(&Event) + Send + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Reads and checks the sources for an engine, without a connection.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Source`](crate::ErrorKind::Source), with the diagnostics of all
    /// files.
    pub fn check_sources(&self, engine: Engine) -> Result<()> {
        self.judged_sources(dialects::of(engine)).map(drop)
    }

    /// Loads the sources: names, directives and the order of apps. Texts are judged when it
    /// is known which migrations are pending.
    fn sources(&self, dialect: &'static dyn Dialect) -> Result<Sources> {
        self.load(dialect, false)
    }

    /// Loads the sources and judges all texts, because there is no database.
    fn judged_sources(&self, dialect: &'static dyn Dialect) -> Result<Sources> {
        let sources = self.load(dialect, true)?;
        sources.judge(false)?;
        Ok(sources)
    }

    fn load(&self, dialect: &'static dyn Dialect, judge: bool) -> Result<Sources> {
        let mut apps = vec![source::own()];
        apps.extend_from_slice(self.configured());
        let source::Loaded { apps, warnings, mut errors, broken } = source::load(&apps, dialect);
        let graph = match Graph::new(&apps, &broken) {
            Ok(graph) if errors.is_empty() => graph,
            refused => {
                errors.extend(refused.err().unwrap_or_default());
                if judge {
                    for (a, app) in apps.iter().enumerate() {
                        errors.extend(app.errors_in_texts().map(|error| (a, error.clone())));
                    }
                }
                errors.sort_by(|(a, one), (b, other)| (a, one.place()).cmp(&(b, other.place())));
                let errors = errors.into_iter().map(|(_, error)| error).collect();
                return Err(Error::from_diagnostics(ErrorKind::Source, errors));
            }
        };
        let tables = apps.iter().map(|app| HistoryTable::of(app, dialect)).collect();
        Ok(Sources::new(apps, graph, tables, warnings))
    }

    /// Returns the migrations and their declared dependencies, without a connection.
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
    /// Returns [`ErrorKind::Source`](crate::ErrorKind::Source), with the diagnostics of all
    /// files.
    pub fn graph(&self, engine: Engine) -> Result<MigrationGraph> {
        let Sources { apps, graph, .. } = self.judged_sources(dialects::of(engine))?;
        Ok(migration_graph::of(&apps, &graph))
    }

    fn migrate(&self) -> Migrate<'_> {
        Migrate {
            target: self.target.as_ref().map(|(app, version)| (app.as_str(), *version)),
            transaction: self.transaction,
            grants: self.grant.is_some(),
        }
    }

    fn options(&self) -> Options<'_> {
        Options {
            fake: self.fake,
            allow: self.allow,
            grant: self.grant.as_deref(),
            listeners: &self.listeners,
            advice: None,
        }
    }
}
