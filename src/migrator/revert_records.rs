//! What is written beside the history: a row for each installed app, and a record
//! of each applied migration, from which it can be undone when its file is gone.

use super::apply::Run;
use crate::engine::Transaction;
use crate::error::Result;
use crate::graph::Node;
use crate::history::{AppState, InstalledApp, Record, app_rows, body};
use crate::model::{BUSTARD, Dependency};
use crate::plan::{Facts, KEEPS_RECORDS, State};
use crate::source::reverting;
use crate::sql::Dialect;

/// The record of a migration as it is now.
fn record(facts: &Facts<'_>, node: Node, dialect: &'static dyn Dialect) -> Record {
    let loaded = facts.migration(node);
    let (undo, obstacle) = match loaded.migration.undo() {
        Ok(operations) => reverting::write(&operations, dialect),
        Err(operation) => (String::new(), Some(format!("nothing undoes: {}", operation.describe(dialect)))),
    };
    let app = facts.apps[node.0].label.clone();
    Record {
        version: loaded.id.version,
        body: body(loaded),
        needs: others(facts, &app, &loaded.migration.depends_on),
        required_by: others(facts, &app, &loaded.migration.required_by),
        app,
        undo,
        obstacle,
    }
}

/// The migrations of other apps that dependencies name; of an app as a whole, its last.
fn others(facts: &Facts<'_>, app: &str, dependencies: &[Dependency]) -> Vec<(String, i64)> {
    let last = |label: &str| {
        let app = facts.apps.iter().find(|app| app.label == label);
        app.and_then(|app| app.migrations.last()).map(|loaded| loaded.id.version)
    };
    let one = |asked: &Dependency| Some((asked.app.clone(), asked.version.or_else(|| last(&asked.app))?));
    let named = dependencies.iter().filter(|asked| asked.app != app && asked.app != BUSTARD);
    let mut others: Vec<(String, i64)> = named.filter_map(one).collect();
    others.sort_unstable();
    others.dedup();
    others
}

impl Run<'_> {
    /// Whether there are tables for it, in this transaction, that this role may write,
    /// and nobody else has that label.
    fn keeps_records(&self, facts: &Facts<'_>, app: usize) -> bool {
        let label = &facts.apps[app].label;
        let may = !facts.installed.guest && !facts.installed.foreign.contains(label);
        (facts.keeps_records() || self.has_made(KEEPS_RECORDS)) && may && label != BUSTARD
    }

    /// Writes the record of a migration that has just been applied, and, with the
    /// app's first in this run, that the app is installed.
    pub(super) fn remember(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let enabled = facts.installed.state(&facts.apps[node.0].label) == Some(AppState::Enabled);
        if !enabled && self.keeps_records(facts, node.0) {
            self.put_app(transaction, facts, node.0, AppState::Enabled)?;
        }
        self.replace_record(transaction, facts, node)
    }

    /// Writes the record anew of a migration whose file has been accepted.
    pub(super) fn replace_record(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        if !self.keeps_records(facts, node.0) {
            return Ok(());
        }
        let dialect = transaction.dialect();
        transaction.execute(app_rows::put_record(dialect, &record(facts, node, dialect)))
    }

    /// Deletes the record of a migration that has just been undone.
    pub(super) fn forget(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        if !self.keeps_records(facts, node.0) {
            return Ok(());
        }
        let (app, version) = (&facts.apps[node.0].label, facts.migration(node).id.version);
        transaction.execute(app_rows::delete_record(transaction.dialect(), app, version))
    }

    /// Writes how an app stands from now on, once in a transaction.
    pub(super) fn put_app(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
        state: AppState,
    ) -> Result<()> {
        if !self.written.insert(app) {
            return Ok(());
        }
        let label = facts.apps[app].label.clone();
        let history = transaction.history_table(&label).to_owned();
        transaction.execute(app_rows::put_app(transaction.dialect(), &InstalledApp { label, history, state }))
    }

    /// Writes rows and records for apps that have been migrated by refinery, or by a
    /// Bustard that kept none.
    pub(super) fn adopt(&mut self, transaction: &mut dyn Transaction, facts: &Facts<'_>) -> Result<()> {
        let dialect = transaction.dialect();
        for (app, loaded) in facts.apps.iter().enumerate() {
            let known = facts.installed.state(&loaded.label).is_some() || !self.keeps_records(facts, app);
            if known || facts.histories[app].applied.is_empty() {
                continue;
            }
            self.put_app(transaction, facts, app, AppState::Enabled)?;
            let nodes = (0..loaded.migrations.len()).map(|i| (app, i));
            for node in nodes.filter(|node| facts.state(*node) == State::Applied) {
                transaction.execute(app_rows::put_record(dialect, &record(facts, node, dialect)))?;
            }
        }
        Ok(())
    }
}
