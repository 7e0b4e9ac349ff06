//! The operations as a migration runs them: on PostgreSQL they travel with its
//! other statements.

use super::{sqlite, tables};
use crate::engine::{Executor, Row, Transaction, sealed};
use crate::error::Result;
use crate::model::{RegisterCache, Statement, UnregisterCache};
use crate::sql::Dialect;

/// How much of the registry there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Whether it knows of tables: not before the second of Bustard's own migrations.
    pub tables: bool,
    /// Whether tables that are not there are passed over.
    pub lenient: bool,
}

/// Registers the cache for the app, or, where it keeps its owner, as it was before
/// it was unregistered.
pub(crate) fn register(
    transaction: &mut dyn Transaction,
    register: &RegisterCache,
    app: &str,
    scope: Scope,
) -> Result<()> {
    let place = register.place.clone();
    if transaction.dialect().has_schemas() {
        let sql = register_call(register, app, scope);
        return transaction.execute_as_runner(Statement::generated(sql, place));
    }
    let executor = &mut Within(transaction);
    let name = &register.name;
    let registered = match register.owner(app) {
        None => sqlite::register_again(executor, name).and_then(|()| match scope.tables {
            true => tables::track_again(executor, name),
            false => Ok(()),
        }),
        owner => super::register(executor, name, owner).and_then(|()| match register.tables.is_empty() {
            true => Ok(()),
            false => tables::track(executor, name, &register.tables, scope.lenient),
        }),
    };
    registered.map_err(|error| error.at(place))
}

fn register_call(register: &RegisterCache, app: &str, scope: Scope) -> String {
    let name = &register.name;
    match register.owner(app) {
        None if scope.tables => super::postgres::register_with_tables_again(name),
        None => super::postgres::register_again(name),
        owner if register.tables.is_empty() => super::postgres::register(name, owner),
        owner => super::postgres::register_on(name, owner, &register.tables, scope.lenient),
    }
}

pub(crate) fn unregister(
    transaction: &mut dyn Transaction,
    unregister: &UnregisterCache,
    scope: Scope,
) -> Result<()> {
    let place = unregister.place.clone();
    if transaction.dialect().has_schemas() {
        let sql = unregister_call(unregister, scope);
        return transaction.execute_as_runner(Statement::generated(sql, place));
    }
    let executor = &mut Within(transaction);
    let name = &unregister.name;
    let unregistered =
        super::unregister(executor, name).and_then(|()| match unregister.undoes && scope.tables {
            true => tables::forget(executor, name),
            false => Ok(()),
        });
    unregistered.map_err(|error| error.at(place))
}

fn unregister_call(unregister: &UnregisterCache, scope: Scope) -> String {
    match unregister.undoes && scope.tables {
        true => super::postgres::undo_register(&unregister.name),
        false => super::postgres::unregister(&unregister.name),
    }
}

/// What registering is in SQL; on SQLite, which has no functions, a comment.
pub(crate) fn register_sql(dialect: &'static dyn Dialect, register: &RegisterCache, app: &str) -> String {
    match dialect.has_schemas() {
        true => {
            format!("{};", register_call(register, app, Scope { tables: true, lenient: false }))
        }
        false => format!("-- bustard: {}", register.describe()),
    }
}

/// What unregistering is in SQL; on SQLite a comment.
pub(crate) fn unregister_sql(dialect: &'static dyn Dialect, unregister: &UnregisterCache) -> String {
    match dialect.has_schemas() {
        true => {
            format!("{};", unregister_call(unregister, Scope { tables: true, lenient: false }))
        }
        false => format!("-- bustard: unregister cache {}", unregister.name),
    }
}

/// Puts back the triggers that are missing.
pub(crate) fn install_triggers(transaction: &mut dyn Transaction) -> Result<()> {
    match transaction.dialect().has_schemas() {
        true => transaction.execute(Statement::generated(super::postgres::install_triggers(), None)),
        false => tables::install(&mut Within(transaction)),
    }
}

pub(crate) fn invalidate_all(transaction: &mut dyn Transaction) -> Result<()> {
    let sql = match transaction.dialect().has_schemas() {
        true => super::postgres::invalidate_all(),
        false => sqlite::invalidate_all(),
    };
    transaction.execute(Statement::generated(sql, None))
}

struct Within<'t>(&'t mut dyn Transaction);

impl Executor for Within<'_> {}

impl sealed::Executor for Within<'_> {
    fn dialect(&self) -> &'static dyn Dialect {
        self.0.dialect()
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.0.rows(sql)
    }

    fn commits(&self) -> bool {
        false
    }
}
