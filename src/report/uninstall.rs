//! What to uninstall, and what that would do: plain data, from which the command
//! makes a question and JSON.

use super::PlannedStep;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, ErrorKind, Result};
use crate::model::MigrationId;
use crate::plan::Basis;

/// Which app to uninstall, and how.
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
    /// Undo no migration: only the app's caches are unregistered, and what it keeps
    /// in the database stays for a later `migrate`, or a later uninstall.
    pub keep_data: bool,
    /// Uninstall the apps that need this one as well, before it.
    pub cascade: bool,
}

impl Uninstall {
    /// This app and no other, with all that it keeps in the database.
    pub fn new(app: impl Into<String>) -> Self {
        Uninstall { app: app.into(), keep_data: false, cascade: false }
    }

    /// Leaves the app's data where it is.
    pub fn keep_data(mut self, keep: bool) -> Self {
        self.keep_data = keep;
        self
    }

    /// Uninstalls the apps that need it, too.
    pub fn cascade(mut self, cascade: bool) -> Self {
        self.cascade = cascade;
        self
    }
}

/// What an uninstall would do, as [`Migrator::plan_uninstall`](crate::Migrator::plan_uninstall)
/// found it. With [`obstacles`](UninstallPlan::obstacles) it would be refused.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UninstallPlan {
    /// What was asked for.
    pub what: Uninstall,
    /// The apps that are uninstalled, in the order in which that happens.
    pub apps: Vec<String>,
    /// The migrations that are undone, in order; none where the data is kept.
    pub steps: Vec<PlannedStep>,
    /// The tables that are dropped.
    pub tables: Vec<DroppedTable>,
    /// What else is dropped, a line each: `column thread.pinned`, `view active_ban`; and
    /// `objects dropped by the function fill slugs`, since nobody knows before it runs.
    pub drops: Vec<String>,
    /// Foreign keys from tables of other apps onto tables that are dropped.
    pub foreign_keys: Vec<ForeignKey>,
    /// The caches that are unregistered.
    pub caches: Vec<String>,
    /// Who needs the app: the migrations of other apps, with what each needs.
    pub dependants: Vec<Dependant>,
    /// Why it would be refused.
    pub obstacles: Vec<Diagnostic>,
    /// Things worth knowing.
    pub warnings: Vec<Diagnostic>,
    /// The state of the database that the plan was made from.
    pub(crate) basis: Basis,
}

impl UninstallPlan {
    /// Whether nothing stands in its way.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed) with all obstacles, as from
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
    /// Its name, on PostgreSQL with its schema, quoted where SQL asks for it.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
}

/// A foreign key onto a table that an uninstall drops, from a table of another app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ForeignKey {
    /// The table that it belongs to.
    pub table: String,
    /// Its columns there.
    pub columns: Vec<String>,
    /// The table that it refers to, which is dropped.
    pub references: String,
}

/// A migration that needs one of an app that is to be uninstalled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Dependant {
    /// Its app.
    pub app: String,
    /// The migration.
    pub migration: MigrationId,
    /// What it needs, as `app:V1__name`.
    pub needs: String,
}
