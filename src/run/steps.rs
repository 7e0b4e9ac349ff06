//! The execution of each step.
//!
//! In: a step, facts and the open transaction. Out: the changed database, and the effects
//! for the report.

use std::time::Instant;

use super::{Event, Run};
use crate::diagnostic::{Code, Place};
use crate::engine::Transaction;
use crate::engine::inspector::Table;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Node;
use crate::history::{self, AppState, InstalledApp, STORE, app_rows, checksum, repeatable_rows};
use crate::model::{Applied, BUSTARD, Form, Operation, Statement, UnregisterCache};
use crate::plan::{Change, Facts, reverting_operations};
use crate::registry::in_transaction::Manner;
use crate::registry::{self, MissingTrigger};
use crate::report::{AppChange, Direction, How, State, StepReport};
use crate::run::caches;

impl Run<'_> {
    /// Applies a migration, and writes its history row and its record.
    pub(super) fn apply(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let (app, loaded) = (&facts.apps[node.0].label, facts.migration(node));
        let started = self.start(transaction, facts, node, Direction::Up);
        self.prepare(transaction, facts, node.0)?;
        self.operations(transaction, facts, node, &loaded.migration().operations, Direction::Up)?;
        let how = if self.options.fake { How::Faked } else { How::Run };
        if loaded.is_repeatable() {
            self.record_repeatable(transaction, facts, node)?;
            self.installs(facts, node.0);
            self.done(facts, node, Direction::Up, how, &loaded.migration().operations, started);
            return Ok(());
        }
        let table = transaction.history_table(app).to_owned();
        let width = facts.histories[node.0].width();
        STORE.insert(transaction, &table, loaded, width)?;
        let row = Applied {
            version: loaded.id.version,
            name: loaded.id.name.clone(),
            applied_on: String::new(),
            checksum: checksum(loaded, width)?.to_string(),
        };
        self.open.changes.push(Change::Recorded(node.0, row));
        self.remember(transaction, facts, node)?;
        self.installs(facts, node.0);
        self.done(facts, node, Direction::Up, how, &loaded.migration().operations, started);
        Ok(())
    }

    /// Reverts a migration, and deletes its history row and its record.
    pub(super) fn revert(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let (app, loaded) = (&facts.apps[node.0].label, facts.migration(node));
        let started = self.start(transaction, facts, node, Direction::Down);
        let operations = reverting_operations(facts, node, transaction.dialect())?;
        self.operations(transaction, facts, node, &operations, Direction::Down)?;
        if loaded.is_repeatable() {
            // The record of the app is deleted together with those of its migrations.
            self.done(facts, node, Direction::Down, How::Run, &operations, started);
            return Ok(());
        }
        let table = transaction.history_table(app).to_owned();
        STORE.delete(transaction, &table, loaded.id.version)?;
        self.open.changes.push(Change::Forgotten(node.0, loaded.id.version));
        self.forget(transaction, facts, node)?;
        let how = if self.options.fake { How::Faked } else { How::Run };
        self.done(facts, node, Direction::Down, how, &operations, started);
        Ok(())
    }

    /// Accepts the current file of an applied migration: replaces name and checksum. A
    /// database that only refinery has migrated has no records and no caches yet.
    pub(super) fn accept(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        let (app, loaded) = (&facts.apps[node.0].label, facts.migration(node));
        let started = Instant::now();
        transaction.enter(app, &loaded.id.to_string());
        let table = transaction.history_table(app).to_owned();
        let checksum = checksum(loaded, facts.histories[node.0].width())?.to_string();
        STORE.replace(transaction, &table, &loaded.id, &checksum)?;
        if let Some(row) = facts.row(node) {
            let row = Applied { name: loaded.id.name.clone(), checksum, ..row.clone() };
            self.open.changes.push(Change::Recorded(node.0, row));
        }
        if facts.has_registry() {
            self.replace_record(transaction, facts, node)?;
        }
        self.done(facts, node, Direction::Up, How::Repaired, &[], started);
        self.open.invalidates = facts.has_registry();
        Ok(())
    }

    fn start(
        &self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
        direction: Direction,
    ) -> Instant {
        let (app, name) = (&facts.apps[node.0].label, facts.migration(node).id.to_string());
        log::info!("{} {app}:{name}", if direction == Direction::Up { "applying" } else { "reverting" });
        transaction.enter(app, &name);
        self.options.listeners.tell(Event::Started {
            app: app.clone(),
            migration: name,
            direction,
            index: self.report.steps.len() + self.open.steps.len() + 1,
        });
        Instant::now()
    }

    fn done(
        &mut self,
        facts: &Facts<'_>,
        node: Node,
        direction: Direction,
        how: How,
        operations: &[Operation],
        started: Instant,
    ) {
        let (registered, unregistered) = caches::names(operations);
        self.open.invalidates = true;
        self.open.steps.push(StepReport {
            app: facts.apps[node.0].label.clone(),
            migration: facts.migration(node).id.clone(),
            direction,
            how,
            registered,
            unregistered,
            elapsed: started.elapsed(),
        });
    }

    /// Creates the app's history table with refinery's code if it does not exist, and
    /// verifies it.
    pub(super) fn prepare(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
    ) -> Result<()> {
        if !self.verified.insert(app) {
            return Ok(());
        }
        let (history, loaded) = (&facts.histories[app], &facts.apps[app]);
        let records = transaction.dialect().records();
        let create = records.create_schema().filter(|_| loaded.label == BUSTARD && history.width.is_none());
        if let Some(create) = create {
            transaction.execute(Statement::generated(create, None))?;
        }
        if history.width.is_none() {
            transaction.makes_history(&loaded.label);
            self.open.changes.push(Change::TableMade(app));
        }
        let allow = self.options.allow;
        let table = transaction.history_table(&loaded.label).to_owned();
        let missing = allow.missing || allow.out_of_order;
        let opened = history::Opened {
            files: loaded.versioned(),
            history,
            same: &|i| facts.state((app, i)) == State::Applied,
            allow_divergent: allow.divergent,
            allow_missing: missing,
        };
        STORE.open(transaction, &table, &opened)?;
        if history.width.is_some() {
            return Ok(());
        }
        if let Some(revoke) = records.revoke_defaults(&table) {
            transaction.execute(Statement::generated(revoke, None))?;
        }
        transaction.check_owners()
    }

    pub(super) fn operations(
        &self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
        operations: &[Operation],
        direction: Direction,
    ) -> Result<()> {
        let repeatable = facts.migration(node).is_repeatable() && direction == Direction::Up;
        let manner = Manner { lenient: self.options.fake, repeatable };
        let app = &facts.apps[node.0].label;
        let name = facts.migration(node).id.to_string();
        if direction == Direction::Up && !manner.repeatable {
            self.release_caches(transaction, facts, node, operations)?;
        }
        for operation in operations {
            self.operate(transaction, app, &name, operation, manner)
                .map_err(|error| error.in_migration(app, &name))?;
        }
        transaction.end_migration(self.open.steps.len() + 1 >= self.open.migrations)
    }

    /// Unregisters the caches of this app that the migration registers and no applied one
    /// has registered: the history has gone back since they were.
    fn release_caches(
        &self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
        operations: &[Operation],
    ) -> Result<()> {
        let label = &facts.apps[node.0].label;
        let (registered, _) = caches::names(operations);
        if registered.is_empty() || !facts.installed.apps.contains_key(label) {
            return Ok(());
        }
        let left = caches::left_registered(facts);
        for name in registered.iter().filter(|name| !left.contains_key(name.as_str())) {
            transaction.registry().release_in(transaction, name, label)?;
        }
        Ok(())
    }

    fn operate(
        &self,
        transaction: &mut dyn Transaction,
        app: &str,
        migration: &str,
        operation: &Operation,
        manner: Manner,
    ) -> Result<()> {
        match operation {
            Operation::RegisterCache(register) => {
                registry::in_transaction::register(transaction, register, app, manner)?;
            }
            Operation::ChangeCache(change) => {
                registry::in_transaction::change(transaction, change, app, manner)?;
            }
            Operation::UnregisterCache(unregister) => {
                registry::in_transaction::unregister(transaction, unregister, manner)?;
            }
            // A faked run skips these operations, but not those that create Bustard's own
            // tables, because it needs the tables.
            Operation::Sql(_) | Operation::Schema(_) | Operation::Function(_)
                if self.options.fake && app != BUSTARD => {}
            Operation::Sql(sql) => {
                sql.each(transaction.dialect(), &mut |statement| transaction.execute(statement))?;
            }
            Operation::Schema(schema) => {
                let sql = schema.sql(transaction.dialect()).ok_or_else(|| {
                    Error::new(ErrorKind::Source, "sea-query cannot write a schema statement for this engine")
                        .with_code(Code::UnsupportedSchemaStatement)
                })?;
                // No file contains the generated SQL, so the error shows the SQL instead of
                // a line.
                let place =
                    Place::at(format!("{app} {migration} (built in code)"), 1, 1).with_line(sql.as_str());
                transaction.execute(Statement { sql, place: Some(place), form: Form::Statement })?;
            }
            Operation::Function(function) => transaction.call(function)?,
        }
        Ok(())
    }

    /// Writes the state of an app.
    pub(super) fn set_app(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: &InstalledApp,
    ) -> Result<()> {
        self.open.written.extend(facts.apps.iter().position(|loaded| loaded.label == app.label));
        transaction.execute(app_rows::put_app(transaction.dialect(), app))?;
        self.open.changes.push(Change::App(app.clone()));
        self.open.apps.push(AppChange { app: app.label.clone(), state: app.state });
        self.open.invalidates = true;
        Ok(())
    }

    pub(super) fn check_deferred(&self, transaction: &mut dyn Transaction) -> Result<()> {
        match transaction.dialect().check_deferred() {
            Some(check) => transaction.execute(Statement::generated(check, None)),
            None => Ok(()),
        }
    }

    pub(super) fn check_references(&self, transaction: &mut dyn Transaction, tables: &[Table]) -> Result<()> {
        let dialect = transaction.dialect();
        let left = transaction.inspector().dangling(&mut |sql| transaction.rows(sql), tables)?;
        match left.first() {
            Some(left) => Err(Error::from_diagnostics(ErrorKind::Failed, vec![left.in_the_way(dialect)])),
            None => Ok(()),
        }
    }

    /// Unregisters the caches that the apps own now. Returns whether there were any.
    pub(super) fn unregister_caches(
        &mut self,
        transaction: &mut dyn Transaction,
        apps: &[String],
        keep_sources: bool,
    ) -> Result<bool> {
        let rows = transaction.rows(registry::owned_query(transaction.dialect()))?;
        let owned = caches::owned_by(caches::owners_of(rows), apps);
        let manner = Manner::default();
        for name in &owned {
            let unregister = UnregisterCache { name: name.clone(), reverts: !keep_sources, place: None };
            registry::in_transaction::unregister(transaction, &unregister, manner)?;
        }
        self.open.invalidates |= !owned.is_empty();
        Ok(!owned.is_empty())
    }

    /// Deletes the history, the records and the caches of an app.
    pub(super) fn forget_app(&mut self, transaction: &mut dyn Transaction, label: &str) -> Result<()> {
        let dialect = transaction.dialect();
        let table = transaction.history_table(label).to_owned();
        STORE.drop(transaction, &table)?;
        for statement in app_rows::delete_app(dialect, label) {
            transaction.execute(statement)?;
        }
        transaction.execute(registry::forget_all(dialect, label))?;
        self.open.apps.push(AppChange { app: label.to_owned(), state: AppState::NotInstalled });
        self.open.invalidates = true;
        Ok(())
    }

    /// Restores missing triggers. Returns whether there were any.
    pub(super) fn restore_triggers(&mut self, transaction: &mut dyn Transaction) -> Result<bool> {
        let rows = transaction.rows(registry::missing_triggers_query(transaction.dialect()))?;
        let mut missing = registry::missing_triggers(rows);
        missing.retain(MissingTrigger::is_repairable);
        self.open.invalidates |= !missing.is_empty();
        self.open.restored = missing;
        Ok(!self.open.restored.is_empty())
    }

    /// Gives Bustard's own functions to the owner of its tables.
    pub(super) fn settle_owner(&self, transaction: &mut dyn Transaction) -> Result<()> {
        match repeatable_rows::settle_owner(transaction.dialect()) {
            Some(statement) => transaction.execute(statement),
            None => Ok(()),
        }
    }

    /// Reports that an app is installed, if no migration of the app is applied yet.
    fn installs(&mut self, facts: &Facts<'_>, app: usize) {
        let label = &facts.apps[app].label;
        let first = facts.histories[app].applied.is_empty()
            && label != BUSTARD
            && facts.installed.repeatables.installed_of(label) == 0;
        if first && !self.open.apps.iter().any(|change| change.app == *label) {
            self.open.apps.push(AppChange { app: label.clone(), state: AppState::Enabled });
        }
    }

    /// Grants the use of caches to the configured roles, and revokes it from other roles.
    pub(super) fn grant(&mut self, transaction: &mut dyn Transaction) -> Result<bool> {
        let Some(roles) = self.options.grant else { return Ok(false) };
        self.open.granted = transaction.registry().set_grants(transaction, roles)?;
        Ok(self.open.granted)
    }
}
