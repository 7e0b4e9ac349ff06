//! The records that a run writes beside the history.
//!
//! In: an applied, reverted or accepted migration. Out: the record of its app, and the
//! record from which the migration can be reverted after its file was removed.

use super::Run;
use crate::engine::Transaction;
use crate::error::Result;
use crate::graph::Node;
use crate::history::{
    AppState, Installation, InstalledApp, Record, app_rows, body_checksum, repeatable_rows, text_checksum,
};
use crate::model::{BUSTARD, Dependency, Which};
use crate::plan::{Change, Facts};
use crate::report::State;
use crate::source::reverting;
use crate::sql::Dialect;

/// Builds the record of a migration from its current file.
fn record(facts: &Facts<'_>, node: Node, dialect: &'static dyn Dialect) -> Result<Record> {
    let loaded = facts.migration(node);
    let (revert, irreversible) = match loaded.migration().revert_operations() {
        Ok(operations) => match loaded.errors_in_down().next() {
            Some(error) => (String::new(), Some(error.to_string())),
            None => reverting::write(&operations, dialect)?,
        },
        Err(operation) => (String::new(), Some(format!("nothing reverts: {}", operation.describe(dialect)))),
    };
    let app = facts.apps[node.0].label.clone();
    Ok(Record {
        version: loaded.id.version,
        body_checksum: body_checksum(loaded)?,
        dependencies: others(facts, &app, &loaded.depends_on),
        required_by: others(facts, &app, &loaded.required_by),
        app,
        revert,
        irreversible,
    })
}

/// Returns the migrations of other apps that dependencies name. A dependency on a whole app
/// is a dependency on the last version of that app.
fn others(facts: &Facts<'_>, app: &str, dependencies: &[Dependency]) -> Vec<(String, i64)> {
    let last = |label: &str| {
        let app = facts.apps.iter().find(|app| app.label == label);
        app.and_then(|app| app.versioned().last()).map(|loaded| loaded.id.version)
    };
    // A dependency on a repeatable migration is a dependency on the last version of its
    // app, or on 0 if that app has no version.
    let of_repeatable = |asked: &Dependency| matches!(asked.which, Which::Repeatable(_)).then_some(0);
    let version = |asked: &Dependency| {
        asked.which.version().or_else(|| last(&asked.app)).or_else(|| of_repeatable(asked))
    };
    let one = |asked: &Dependency| Some((asked.app.clone(), version(asked)?));
    let named = dependencies.iter().filter(|asked| asked.app != app && asked.app != BUSTARD);
    let mut others: Vec<(String, i64)> = named.filter_map(one).collect();
    others.sort_unstable();
    others.dedup();
    others
}

impl Run<'_> {
    /// Writes the record of a migration that was just applied. For the first migration of
    /// an app in this run, it also records that the app is installed.
    pub(super) fn remember(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let enabled = facts.installed.state(&facts.apps[node.0].label) == Some(AppState::Enabled);
        if !enabled && facts.keeps_records_of(node.0) {
            self.put_app(transaction, facts, node.0, AppState::Enabled)?;
        }
        self.replace_record(transaction, facts, node)
    }

    /// Writes the record of a repeatable migration that was just applied. For the first
    /// migration of an app in this run, it also records that the app is installed.
    pub(super) fn record_repeatable(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let (dialect, app) = (transaction.dialect(), &facts.apps[node.0]);
        let enabled = facts.installed.state(&app.label) == Some(AppState::Enabled);
        if !enabled && facts.keeps_records_of(node.0) {
            self.put_app(transaction, facts, node.0, AppState::Enabled)?;
        }
        let migration = facts.migration(node);
        let (revert, irreversible) = match app.edition {
            Some(_) => (String::new(), None),
            None => reverting::write(&migration.migration().revert_repeatable(), dialect)?,
        };
        let installation = Installation {
            app: app.label.clone(),
            name: migration.id.name.clone(),
            checksum: text_checksum(migration),
            edition: app.edition,
            depends_on: (migration.depends_on.iter())
                .map(|asked| (asked.app.clone(), asked.which.clone()))
                .collect(),
            revert,
            irreversible,
        };
        let Installation { app, name, checksum, edition, .. } = &installation;
        self.open.changes.push(Change::Installed {
            app: app.clone(),
            name: name.clone(),
            checksum: checksum.clone(),
            edition: *edition,
        });
        let statements = repeatable_rows::record(dialect, &installation);
        statements.into_iter().try_for_each(|statement| transaction.execute(statement))
    }

    /// Replaces the record of a migration after its file was accepted.
    pub(super) fn replace_record(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        if !facts.keeps_records_of(node.0) {
            return Ok(());
        }
        let dialect = transaction.dialect();
        let history = transaction.history_table(&facts.apps[node.0].label).to_owned();
        transaction.execute(app_rows::put_record(dialect, &record(facts, node, dialect)?, &history))
    }

    /// Deletes the record of a migration that was just reverted.
    pub(super) fn forget(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        if !facts.keeps_records_of(node.0) {
            return Ok(());
        }
        let (app, version) = (&facts.apps[node.0].label, facts.migration(node).id.version);
        transaction.execute(app_rows::delete_record(transaction.dialect(), app, version))
    }

    /// Writes the state of an app, once in each transaction.
    pub(super) fn put_app(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
        state: AppState,
    ) -> Result<()> {
        if !self.open.written.insert(app) {
            return Ok(());
        }
        let label = facts.apps[app].label.clone();
        let history = transaction.history_table(&label).to_owned();
        let pinned = facts.installed.apps.get(&label).is_some_and(|app| app.pinned);
        let app = InstalledApp { label, history, state, pinned };
        transaction.execute(app_rows::put_app(transaction.dialect(), &app))?;
        self.open.changes.push(Change::App(app));
        Ok(())
    }

    /// Writes the records of an app that refinery has migrated, and of its applied
    /// migrations.
    pub(super) fn adopt(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
    ) -> Result<()> {
        self.put_app(transaction, facts, app, AppState::Enabled)?;
        self.record_applied(transaction, facts, app)
    }

    /// Writes the records of the app's applied migrations from their files.
    pub(super) fn record_applied(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
    ) -> Result<()> {
        let nodes = (0..facts.apps[app].first_repeatable()).map(|i| (app, i));
        for node in nodes.filter(|node| facts.state(*node) == State::Applied) {
            self.replace_record(transaction, facts, node)?;
        }
        Ok(())
    }
}
