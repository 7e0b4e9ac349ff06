//! An app: a label and its ordered migrations.
//!
//! In: an [`App`], which has the source of the migrations. Out: a [`LoadedApp`], which
//! `source` loads from it for one engine.

use std::path::{Path, PathBuf};

use super::embedded::File;
use crate::diagnostic::Diagnostic;
use crate::model::{LoadedMigration, Migration, Which};

/// The label of Bustard's own app.
pub(crate) const BUSTARD: &str = "bustard";

/// An app: a label, and the source of its migrations.
///
/// ```
/// use bustard::{App, Migration};
///
/// let files = App::directory("forum", "migrations");
/// let code = App::new("bans").migration("V1__bans", Migration::new().register_cache("bans"));
/// assert_eq!((files.label(), code.label()), ("forum", "bans"));
/// ```
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) label: String,
    pub(crate) history: Option<String>,
    pub(crate) origin: AppSource,
}

#[derive(Clone, Debug)]
pub(crate) enum AppSource {
    Directory(PathBuf),
    #[cfg(feature = "_engine")]
    Refinery(Vec<refinery_core::Migration>),
    /// File stems (`V1__name`) and migrations built in code.
    Code(Vec<(String, Migration)>),
    /// Paths relative to the directory, and the files that a build script has embedded.
    Embedded(&'static [(&'static str, File)]),
}

impl App {
    /// Creates an app from the migration files of a directory and its subdirectories. The
    /// files are read when the migrator runs.
    pub fn directory(label: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        App { label: label.into(), history: None, origin: AppSource::Directory(path.into()) }
    }

    /// Creates an app from migrations that refinery has loaded or embedded.
    #[cfg(feature = "_engine")]
    pub fn refinery(label: impl Into<String>, migrations: Vec<refinery_core::Migration>) -> Self {
        App { label: label.into(), history: None, origin: AppSource::Refinery(migrations) }
    }

    /// Creates an app without migrations. Add them with [`App::migration`].
    pub fn new(label: impl Into<String>) -> Self {
        App { label: label.into(), history: None, origin: AppSource::Code(Vec::new()) }
    }

    /// Adds a migration built in code under a name like `V1__create_users`.
    ///
    /// # Panics
    ///
    /// Panics if the app was not created with [`App::new`], because all migrations of an
    /// app must have one source.
    pub fn migration(mut self, name: impl Into<String>, migration: Migration) -> Self {
        match &mut self.origin {
            AppSource::Code(migrations) => migrations.push((name.into(), migration)),
            _ => panic!("App::migration works only on an app created with App::new"),
        }
        self
    }

    /// Adds a repeatable migration. It runs after the app's versioned migrations, and runs
    /// again when it has changed. SQL counts as changed if its text differs. A function
    /// counts as changed if its label differs.
    ///
    /// `name` may be written with or without the prefix `R__`. [`App::migration`] with
    /// `R__name` does the same.
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator};
    ///
    /// let view = |text: &str| {
    ///     let view = Migration::new().sql("DROP VIEW IF EXISTS names").sql(text);
    ///     let table = Migration::new().sql("CREATE TABLE users (name TEXT)");
    ///     let app = App::new("main").migration("V1__users", table).repeatable("names", view);
    ///     Migrator::new().app(app)
    /// };
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// view("CREATE VIEW names AS SELECT name FROM users").run(&mut connection)?;
    ///
    /// let report = view("CREATE VIEW names AS SELECT upper(name) FROM users").run(&mut connection)?;
    /// assert_eq!(report.steps[0].migration.to_string(), "R__names");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics in the cases of [`App::migration`].
    pub fn repeatable(self, name: impl AsRef<str>, migration: Migration) -> Self {
        let name = name.as_ref();
        self.migration(format!("R__{}", name.strip_prefix("R__").unwrap_or(name)), migration)
    }

    /// Sets the history table. The default is `refinery_schema_history` for the app `main`,
    /// and `refinery_schema_history_{label}` for other apps. The name may include a schema:
    /// `audit.migrations`.
    pub fn history(mut self, table: impl Into<String>) -> Self {
        self.history = Some(table.into());
        self
    }

    /// Returns the label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the directory of the migration files, if the app was created with
    /// [`App::directory`].
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            AppSource::Directory(path) => Some(path),
            _ => None,
        }
    }
}

/// Creates an app from embedded files, each with its path relative to the directory.
pub fn embedded_app(label: impl Into<String>, files: &'static [(&'static str, File)]) -> App {
    App { label: label.into(), history: None, origin: AppSource::Embedded(files) }
}

/// An app whose migrations have been loaded for one engine: the versioned migrations in
/// order, then the repeatable migrations in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct LoadedApp {
    pub label: String,
    pub history: Option<String>,
    pub migrations: Vec<LoadedMigration>,
    /// The edition of Bustard's own functions; `None` for all other apps.
    pub edition: Option<i32>,
}

impl LoadedApp {
    /// Returns the versioned migrations.
    pub(crate) fn versioned(&self) -> &[LoadedMigration] {
        &self.migrations[..self.first_repeatable()]
    }

    /// Returns the repeatable migrations.
    pub(crate) fn repeatables(&self) -> &[LoadedMigration] {
        &self.migrations[self.first_repeatable()..]
    }

    /// Returns the index of the first repeatable migration, which is the number of
    /// versioned migrations.
    pub(crate) fn first_repeatable(&self) -> usize {
        self.migrations.partition_point(|migration| !migration.is_repeatable())
    }

    /// Judges the texts of all migrations, and returns the errors.
    pub(crate) fn errors_in_texts(&self) -> impl Iterator<Item = &Diagnostic> {
        let all = self.migrations.iter().flat_map(|migration| &migration.reading().errors);
        all.map(|error| &error.diagnostic)
    }

    /// Returns the index of the migration with this version.
    pub(crate) fn find(&self, version: i64) -> Option<usize> {
        self.versioned().binary_search_by_key(&version, |migration| migration.id.version).ok()
    }

    /// Returns the index of the repeatable migration with this name.
    pub(crate) fn find_repeatable(&self, name: &str) -> Option<usize> {
        let found = self.repeatables().binary_search_by(|migration| migration.id.name.as_str().cmp(name));
        found.ok().map(|index| self.first_repeatable() + index)
    }

    /// Returns the index of the referenced migration; `None` for a whole app.
    pub(crate) fn find_which(&self, which: &Which) -> Option<usize> {
        match which {
            Which::All => None,
            Which::Version(version) => self.find(*version),
            Which::Repeatable(name) => self.find_repeatable(name),
        }
    }
}
