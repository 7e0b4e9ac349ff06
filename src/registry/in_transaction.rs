//! The cache operations of migrations.
//!
//! In: the open transaction of a run. Out: changed registrations.

use crate::engine::Transaction;
use crate::error::Result;
use crate::model::{ChangeCache, RegisterCache, Statement, UnregisterCache};
pub(crate) use crate::sql::Manner;

/// Registers the cache for the app. If the operation keeps the owner, registers the cache
/// with the owner and the tables that it had before it was unregistered.
pub(crate) fn register(
    transaction: &mut dyn Transaction,
    register: &RegisterCache,
    app: &str,
    manner: Manner,
) -> Result<()> {
    transaction.registry().register_in(transaction, register, app, manner)
}

/// Changes the tables of the cache.
pub(crate) fn change(
    transaction: &mut dyn Transaction,
    change: &ChangeCache,
    app: &str,
    manner: Manner,
) -> Result<()> {
    transaction.registry().change_in(transaction, change, app, manner)
}

/// Unregisters the cache.
pub(crate) fn unregister(
    transaction: &mut dyn Transaction,
    unregister: &UnregisterCache,
    manner: Manner,
) -> Result<()> {
    transaction.registry().unregister_in(transaction, unregister, manner)
}

/// Installs missing triggers.
pub(crate) fn install_triggers(transaction: &mut dyn Transaction) -> Result<()> {
    transaction.registry().install_triggers(transaction)
}

/// Gives every cache a new version.
pub(crate) fn invalidate_all(transaction: &mut dyn Transaction) -> Result<()> {
    let sql = transaction.dialect().registry().invalidate_all();
    transaction.execute(Statement::generated(sql, None))
}
