//! Putting right what does not agree with the histories or with the place of the database:
//! the records, the registry, Bustard's own tables and the identity.
//!
//! In: the new record of an app, or what is missing. Out: the changed database.

use super::{Run, caches};
use crate::engine::Transaction;
use crate::error::Result;
use crate::graph::Node;
use crate::history::{InstalledApp, app_rows};
use crate::plan::{Change, Facts, places};
use crate::registry;
use crate::registry::in_transaction::Manner;
use crate::report::{Direction, HistoryChange, UnregisteredCache};

impl Run<'_> {
    /// Writes where the history of an app is, and makes its records agree with the rows
    /// there. With `new`, forgets what was recorded, and creates the table if needed.
    pub(super) fn set_history(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: &InstalledApp,
        new: bool,
    ) -> Result<()> {
        let dialect = transaction.dialect();
        let loaded = facts.apps.iter().position(|loaded| loaded.label == app.label);
        match new {
            true => {
                for statement in app_rows::delete_app(dialect, &app.label) {
                    transaction.execute(statement)?;
                }
            }
            false => {
                for statement in app_rows::match_records(dialect, &app.label, &app.history) {
                    transaction.execute(statement)?;
                }
            }
        }
        transaction.execute(app_rows::put_app(dialect, app))?;
        if let Some(loaded) = loaded {
            self.open.written.insert(loaded);
            if facts.histories[loaded].width.is_none() {
                self.prepare(transaction, facts, loaded)?;
            }
            self.record_applied(transaction, facts, loaded)?;
        }
        self.open.changes.push(Change::App(app.clone()));
        self.open.histories.push(change(facts, app, new));
        self.open.invalidates = true;
        Ok(())
    }
}

impl Run<'_> {
    /// Gives the database a new identity.
    pub(super) fn give_identity(&mut self, transaction: &mut dyn Transaction) -> Result<()> {
        transaction.execute(app_rows::new_identity(transaction.dialect()))?;
        self.open.changes.push(Change::NewIdentity);
        self.open.new_identity = true;
        self.open.invalidates = true;
        Ok(())
    }

    /// Runs one of Bustard's own migrations again, which creates what is missing.
    pub(super) fn reinstall(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        node: Node,
    ) -> Result<()> {
        transaction.enter(&facts.apps[node.0].label, &facts.migration(node).id.to_string());
        let operations = &facts.migration(node).migration().operations;
        self.operations(transaction, facts, node, operations, Direction::Up)?;
        self.open.reinstalled = true;
        self.open.invalidates = true;
        Ok(())
    }

    /// Registers caches again as their migrations have registered them, on those of their
    /// tables that exist. Returns whether there were any.
    pub(super) fn restore_caches(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        lost: &[(String, Node)],
    ) -> Result<bool> {
        let dialect = transaction.dialect();
        let names: Vec<&str> = lost.iter().map(|(name, _)| name.as_str()).collect();
        let owners = caches::owners_of(transaction.rows(&registry::owners_query(dialect, &names))?);
        let mut changed = false;
        for (name, node) in lost {
            let (label, loaded) = (&facts.apps[node.0].label, facts.migration(*node));
            let registration = caches::last_registration(facts, name);
            let again = match owners.get(name) {
                Some(Some(owner)) if owner != label || !facts.installed.incomplete => continue,
                Some(Some(_)) => registration.filter(|registration| !registration.tables.is_empty()),
                Some(None) => {
                    transaction.execute(app_rows::give_cache(dialect, name, label))?;
                    None
                }
                None => registration,
            };
            if let Some(register) = again {
                transaction.enter(label, &loaded.id.to_string());
                // The cache may be registered, on tables that are not recorded.
                let manner = Manner { lenient: true, repeatable: true };
                registry::in_transaction::register(transaction, &register, label, manner)?;
            }
            changed = true;
            self.open.restored_caches.push(UnregisteredCache {
                name: name.clone(),
                app: label.clone(),
                migration: loaded.id.clone(),
            });
        }
        self.open.invalidates |= changed;
        Ok(changed)
    }
}

/// Describes the change of a record.
pub(crate) fn change(facts: &Facts<'_>, app: &InstalledApp, new: bool) -> HistoryChange {
    let before = facts.installed.apps.get(&app.label).map_or("", |before| &before.history);
    HistoryChange {
        app: app.label.clone(),
        before: places::shown(before),
        table: places::shown(&app.history),
        new,
    }
}
