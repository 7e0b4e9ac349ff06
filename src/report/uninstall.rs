//! The request and the plan of an uninstall.
//!
//! In: the label of an app and options. Out: plain data, which the command shows as a
//! question and as JSON.

use super::PlannedStep;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, ErrorKind, Result};
use crate::model::MigrationId;
use crate::plan::Basis;

/// A request to uninstall an app.
///
/// ```
/// use bustard::Uninstall;
///
/// let what = Uninstall::new("bans").keep_data(true);
/// assert_eq!(what.app, "bans");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uninstall {
    /// The app's label.
    pub app: String,
    /// Whether to keep the app's data: no migration is reverted, and only the app's caches
    /// are unregistered. The data stays for a later `migrate` or a later uninstall.
    pub keep_data: bool,
    /// Revert no migration, and delete the app's caches, records and history. Its tables, if
    /// there are any, stay as they are. Use it where they were dropped by hand.
    pub forget: bool,
    /// First uninstall the apps that depend on this one.
    pub cascade: bool,
}

impl Uninstall {
    /// Uninstalls this app with its data, and no other app.
    pub fn new(app: impl Into<String>) -> Self {
        Uninstall { app: app.into(), keep_data: false, forget: false, cascade: false }
    }

    /// Keeps the app's data.
    pub fn keep_data(mut self, keep: bool) -> Self {
        self.keep_data = keep;
        self
    }

    /// Reverts nothing, and deletes what is recorded of the app: its caches, its records and
    /// its history.
    pub fn forget(mut self, forget: bool) -> Self {
        self.forget = forget;
        self
    }

    /// Also uninstalls the apps that depend on it.
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }
}

/// The plan of an uninstall, from
/// [`Migrator::plan_uninstall`](crate::Migrator::plan_uninstall). If it has
/// [`obstacles`](UninstallPlan::obstacles), the uninstall would be refused.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UninstallPlan {
    /// The request.
    pub what: Uninstall,
    /// The uninstalled apps, in order.
    pub apps: Vec<String>,
    /// The reverted migrations, in order; none if data is kept or the app forgotten.
    pub steps: Vec<PlannedStep>,
    /// The dropped tables.
    pub tables: Vec<DroppedTable>,
    /// Other dropped objects, a line each, such as `column thread.pinned` or
    /// `view active_ban`. A function appears as `objects dropped by the function fill slugs`,
    /// because its effects are unknown before it runs.
    pub drops: Vec<String>,
    /// Foreign keys from tables of other apps onto dropped tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// The unregistered caches.
    pub caches: Vec<String>,
    /// The migrations of other apps that depend on the app, each with its dependency.
    pub dependants: Vec<Dependant>,
    /// The diagnostics that refuse the uninstall.
    pub obstacles: Vec<Diagnostic>,
    /// Diagnostics that do not stop the uninstall.
    pub warnings: Vec<Diagnostic>,
    /// The state of the database that the plan was made from.
    pub(crate) basis: Basis,
}

impl UninstallPlan {
    /// Checks that the plan has no obstacles.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Failed`](crate::ErrorKind::Failed) with all obstacles, as from
    /// [`Migrator::uninstall`](crate::Migrator::uninstall).
    pub fn check(&self) -> Result<()> {
        if self.obstacles.is_empty() {
            return Ok(());
        }
        Err(Error::from_diagnostics(ErrorKind::Failed, self.obstacles.clone()).after(Vec::new()))
    }
}

/// A table that an uninstall drops.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedTable {
    /// The name of the table, on PostgreSQL with its schema, quoted where SQL requires it.
    pub table: String,
    /// The number of rows in the table.
    pub rows: u64,
}

/// A foreign key from a table of another app onto a table that an uninstall drops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ForeignKey {
    /// The table that has the foreign key.
    pub table: String,
    /// The columns of the foreign key.
    pub columns: Vec<String>,
    /// The dropped table that the foreign key refers to.
    pub references: String,
}

/// A migration of another app that depends on a migration of an uninstalled app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Dependant {
    /// The app of the migration.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// The migration that it depends on, as `app:V1__name`.
    pub needs: String,
}
