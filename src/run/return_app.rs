//! Restoring apps with kept data.
//!
//! In: an app that was uninstalled with kept data. Out: its caches, registered again, and
//! its state.

use super::{Run, caches};
use crate::engine::Transaction;
use crate::error::Result;
use crate::history::{AppState, app_rows};
use crate::model::RegisterCache;
use crate::plan::{Facts, foreign_tables};
use crate::registry;
use crate::registry::in_transaction::Manner;
use crate::report::AppChange;

impl Run<'_> {
    /// Restores the registrations of the caches that the app's applied migrations leave
    /// registered.
    pub(super) fn return_app(
        &mut self,
        transaction: &mut dyn Transaction,
        facts: &Facts<'_>,
        app: usize,
    ) -> Result<()> {
        let label = &facts.apps[app].label;
        if facts.installed.guest {
            return Err(foreign_tables("an app whose data was kept cannot be restored"));
        }
        let left = caches::left_registered(facts);
        let left: Vec<_> = left.into_iter().filter(|(_, node)| node.0 == app).collect();
        let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
        let rows = transaction.rows(&registry::owners_query(transaction.dialect(), &names))?;
        let owners = caches::owners_of(rows);
        for (name, node) in left {
            let migration = facts.migration(node);
            match owners.get(name) {
                Some(Some(owner)) if owner == label => continue,
                Some(owner) => {
                    return Err(registry::taken(name, owner.as_deref()).in_migration(label, &migration.id));
                }
                None => {}
            }
            transaction.enter(label, &migration.id.to_string());
            let again =
                RegisterCache { name: name.to_owned(), tables: Vec::new(), keeps_owner: true, place: None };
            transaction.execute(app_rows::give_cache(transaction.dialect(), name, label))?;
            let manner = Manner { lenient: true, repeatable: false };
            registry::in_transaction::register(transaction, &again, label, manner)?;
        }
        self.put_app(transaction, facts, app, AppState::Enabled)?;
        self.open.apps.push(AppChange { app: label.clone(), state: AppState::Enabled });
        self.open.invalidates = true;
        Ok(())
    }
}
