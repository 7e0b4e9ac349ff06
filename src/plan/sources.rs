//! The sources of a run: the loaded apps with their order.
//!
//! In: the apps that `source` has loaded. Out: facts, warnings, and the operations that
//! revert a migration.

use std::cell::{Ref, RefCell};

use super::{Facts, Memory};
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Node};
use crate::history::Installed;
use crate::model::{History, HistoryTable, LoadedApp, LoadedMigration, Operation};
use crate::sql::Dialect;

/// The loaded apps, with their history tables, their order and their warnings.
pub(crate) struct Sources {
    pub apps: Vec<LoadedApp>,
    pub graph: Graph,
    /// The history tables, in the order of the apps.
    tables: RefCell<Vec<HistoryTable>>,
    pub warnings: Vec<Diagnostic>,
    pub memory: Memory,
}

impl Sources {
    /// Collects apps in order, with the tables of their histories.
    pub(crate) fn new(
        apps: Vec<LoadedApp>,
        graph: Graph,
        tables: Vec<HistoryTable>,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        Sources { apps, graph, tables: RefCell::new(tables), warnings, memory: Memory::default() }
    }

    /// Returns the history tables, in the order of the apps.
    pub(crate) fn tables(&self) -> Ref<'_, [HistoryTable]> {
        Ref::map(self.tables.borrow(), Vec::as_slice)
    }

    /// Looks for the history of an app in this table from now on.
    pub(crate) fn keep_history_in(&self, app: usize, table: HistoryTable) {
        if let Some(kept) = self.tables.borrow_mut().get_mut(app) {
            *kept = table;
        }
    }

    pub(crate) fn facts<'f>(&'f self, histories: &'f [History], installed: &'f Installed) -> Facts<'f> {
        Facts { apps: &self.apps, graph: &self.graph, histories, installed, memory: &self.memory }
    }

    pub(crate) fn warnings_with(&self, facts: &Facts<'_>) -> Vec<Diagnostic> {
        self.warnings.iter().cloned().chain(facts.warnings()).collect()
    }

    /// Finds the file of a migration by the names in an error.
    pub(crate) fn file_of(&self, app: Option<&str>, migration: Option<&str>) -> Option<&Place> {
        let app = self.apps.iter().find(|loaded| app == Some(&loaded.label))?;
        let found = app.migrations.iter().find(|loaded| migration == Some(&loaded.id.to_string()))?;
        found.file.as_ref()
    }

    pub(crate) fn has_functions(&self) -> bool {
        self.apps.iter().any(has_functions)
    }
}

/// Returns whether the app's migrations call functions, when applied or reverted.
pub(crate) fn has_functions(app: &LoadedApp) -> bool {
    app.migrations.iter().any(LoadedMigration::has_functions)
}

/// Returns the operations that revert a migration.
///
/// # Errors
///
/// Returns an error that names the first operation without a reverting operation.
pub(crate) fn reverting_operations(
    facts: &Facts<'_>,
    node: Node,
    dialect: &'static dyn Dialect,
) -> Result<Vec<Operation>> {
    let loaded = facts.migration(node);
    loaded.migration().revert_operations().map_err(|operation| {
        let what = operation.describe(dialect);
        Error::new(ErrorKind::Usage, format!("cannot be reverted: {what}"))
            .with_code(Code::IrreversibleMigration)
            .in_migration(&facts.apps[node.0].label, &loaded.id)
            .at(operation.place().or(loaded.file.as_ref()).cloned())
            .help("write how: in SQL after `-- bustard: down`, in Rust with `Migration::down`")
    })
}
