//! The operations as a migration runs them.

use crate::engine::Transaction;
pub(crate) use crate::engine::registry::Scope;
use crate::error::Result;
use crate::model::{RegisterCache, Statement, UnregisterCache};

/// Registers the cache for the app, or, where it keeps its owner, as it was before
/// it was unregistered.
pub(crate) fn register(
    transaction: &mut dyn Transaction,
    register: &RegisterCache,
    app: &str,
    scope: Scope,
) -> Result<()> {
    transaction.registry().register_in(transaction, register, app, scope)
}

/// Unregisters the cache.
pub(crate) fn unregister(
    transaction: &mut dyn Transaction,
    unregister: &UnregisterCache,
    scope: Scope,
) -> Result<()> {
    transaction.registry().unregister_in(transaction, unregister, scope)
}

/// Installs the triggers that are missing.
pub(crate) fn install_triggers(transaction: &mut dyn Transaction) -> Result<()> {
    transaction.registry().install_triggers(transaction)
}

/// Gives every cache a new version.
pub(crate) fn invalidate_all(transaction: &mut dyn Transaction) -> Result<()> {
    let sql = transaction.dialect().registry().invalidate_all();
    transaction.execute(Statement::generated(sql, None))
}
