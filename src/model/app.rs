//! An app: a label and its ordered migrations. [`App`] says where they come
//! from; `source` turns it into a [`LoadedApp`] for one engine.

use std::path::{Path, PathBuf};

use crate::diagnostic::Place;
use crate::embedded::File;
use crate::model::{Migration, MigrationId};

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

/// An app whose migrations have been read for one engine, in order of version.
/// The app of these files, each with its path beneath the directory.
pub fn embedded_app(label: impl Into<String>, files: &'static [(&'static str, File)]) -> App {
    App { label: label.into(), history: None, origin: Origin::Embedded(files) }
}

#[derive(Clone, Debug)]
pub(crate) struct LoadedApp {
    pub label: String,
    pub history: Option<String>,
    pub migrations: Vec<LoadedMigration>,
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
    /// The migration with this version.
    pub(crate) fn find(&self, version: i64) -> Option<usize> {
        self.migrations.binary_search_by_key(&version, |m| m.id.version).ok()
    }
}
