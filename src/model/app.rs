//! An app: a label and its ordered migrations. [`App`] says where they come
//! from; `source` turns it into a [`LoadedApp`] for one engine.

use std::path::{Path, PathBuf};

use super::embedded::File;
use crate::diagnostic::Place;
use crate::model::{Migration, MigrationId, Which};

/// The label of Bustard's own app.
pub(crate) const BUSTARD: &str = "bustard";

/// A label and where its migrations come from.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) label: String,
    pub(crate) history: Option<String>,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Directory(PathBuf),
    #[cfg(feature = "_engine")]
    Refinery(Vec<refinery_core::Migration>),
    /// File stems (`V1__name`) and what was built in code.
    Code(Vec<(String, Migration)>),
    /// Paths of files beneath their directory, and what a build script put into the
    /// binary of each.
    Embedded(&'static [(&'static str, File)]),
}

impl App {
    /// The migration files of a directory and its subdirectories, read when the
    /// migrator runs.
    pub fn directory(label: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        App { label: label.into(), history: None, origin: Origin::Directory(path.into()) }
    }

    /// Migrations as refinery loads or embeds them.
    #[cfg(feature = "_engine")]
    pub fn refinery(label: impl Into<String>, migrations: Vec<refinery_core::Migration>) -> Self {
        App { label: label.into(), history: None, origin: Origin::Refinery(migrations) }
    }

    /// An app without migrations, to which [`App::migration`] adds them.
    pub fn new(label: impl Into<String>) -> Self {
        App { label: label.into(), history: None, origin: Origin::Code(Vec::new()) }
    }

    /// Adds a migration built in code under a name like `V1__create_users`.
    ///
    /// # Panics
    ///
    /// If the app was not made with [`App::new`]: one app's migrations come
    /// from one place.
    pub fn migration(mut self, name: impl Into<String>, migration: Migration) -> Self {
        match &mut self.origin {
            Origin::Code(migrations) => migrations.push((name.into(), migration)),
            _ => panic!("App::migration adds to apps made with App::new only"),
        }
        self
    }

    /// Adds a repeatable migration: it runs after the app's versions, and again
    /// whenever it is not what it was any more. For a migration with SQL that
    /// means another text, for a function another label.
    ///
    /// `name` is the name without a prefix; `R__name`, as a file is called, is
    /// understood as well. [`App::migration`] with `R__name` does the same.
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
    /// As [`App::migration`].
    pub fn repeatable(self, name: impl AsRef<str>, migration: Migration) -> Self {
        let name = name.as_ref();
        self.migration(format!("R__{}", name.strip_prefix("R__").unwrap_or(name)), migration)
    }

    /// Keeps the history in another table than `refinery_schema_history_{label}`
    /// (for the app `main`, `refinery_schema_history`). A schema may precede
    /// the name: `audit.migrations`.
    pub fn history(mut self, table: impl Into<String>) -> Self {
        self.history = Some(table.into());
        self
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The directory of its migration files, for an app made with
    /// [`App::directory`].
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Directory(path) => Some(path),
            _ => None,
        }
    }
}

/// The app of these files, each with its path beneath the directory.
pub fn embedded_app(label: impl Into<String>, files: &'static [(&'static str, File)]) -> App {
    App { label: label.into(), history: None, origin: Origin::Embedded(files) }
}

/// An app whose migrations have been read for one engine: the versions in their order,
/// and then the repeatable migrations in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct LoadedApp {
    pub label: String,
    pub history: Option<String>,
    pub migrations: Vec<LoadedMigration>,
    /// The edition of Bustard's own functions; `None` for all other apps.
    pub edition: Option<i32>,
}

/// A migration with its number, its name and what its checksum is made from.
#[derive(Clone, Debug)]
pub(crate) struct LoadedMigration {
    pub id: MigrationId,
    pub migration: Migration,
    /// The whole file as it was read, or what stands for it.
    pub text: String,
    /// The lines of `text`, counted from 0, that say what it depends on.
    pub dependency_lines: Vec<usize>,
    /// The file, where there is one.
    pub file: Option<Place>,
}

impl LoadedApp {
    /// The migrations with a version.
    pub(crate) fn versioned(&self) -> &[LoadedMigration] {
        &self.migrations[..self.first_repeatable()]
    }

    /// The repeatable migrations.
    pub(crate) fn repeatables(&self) -> &[LoadedMigration] {
        &self.migrations[self.first_repeatable()..]
    }

    /// The index of the first repeatable migration, which is the number of versions.
    pub(crate) fn first_repeatable(&self) -> usize {
        self.migrations.partition_point(|migration| !migration.is_repeatable())
    }

    /// The migration with this version.
    pub(crate) fn find(&self, version: i64) -> Option<usize> {
        self.versioned().binary_search_by_key(&version, |migration| migration.id.version).ok()
    }

    /// The repeatable migration with this name.
    pub(crate) fn find_repeatable(&self, name: &str) -> Option<usize> {
        let found = self.repeatables().binary_search_by(|migration| migration.id.name.as_str().cmp(name));
        found.ok().map(|index| self.first_repeatable() + index)
    }

    /// The migration that is named; `None` for a whole app.
    pub(crate) fn find_which(&self, which: &Which) -> Option<usize> {
        match which {
            Which::All => None,
            Which::Version(version) => self.find(*version),
            Which::Repeatable(name) => self.find_repeatable(name),
        }
    }
}

impl LoadedMigration {
    /// Whether it runs again when its text has changed.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.id.is_repeatable()
    }
}
