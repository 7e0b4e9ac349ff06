//! The operations as a migration runs them: on PostgreSQL they travel with its
//! other statements.

use super::{sqlite, tables};
use crate::engine::{Executor, Row, Transaction, sealed};
use crate::error::Result;
use crate::model::{Engine, RegisterCache, Statement, UnregisterCache};

/// How cache operations are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Whether tables that are not there are passed over.
    pub lenient: bool,
    /// Whether they are those of a repeatable migration. They may have been carried out
    /// before: a cache that the app has registered gets the tables that are named now,
    /// and one that is unregistered stays so.
    pub repeatable: bool,
}

/// Registers the cache for the app, or, where it keeps its owner, as it was before
/// it was unregistered.
pub(crate) fn register(
    transaction: &mut dyn Transaction,
    register: &RegisterCache,
    app: &str,
    manner: Manner,
) -> Result<()> {
    let place = register.place.clone();
    if transaction.engine() == Engine::Postgres {
        let sql = register_call(register, app, manner);
        return transaction.execute_as_runner(Statement::generated(sql, place));
    }
    let executor = &mut Within(transaction);
    let name = &register.name;
    let registered = match register.owner(app) {
        None => sqlite::register_again(executor, name).and_then(|()| tables::track_again(executor, name)),
        Some(owner) if manner.repeatable => sqlite::ensure(executor, name, owner)
            .and_then(|()| tables::track_instead(executor, name, &register.tables, manner.lenient)),
        owner => super::register(executor, name, owner).and_then(|()| match register.tables.is_empty() {
            true => Ok(()),
            false => tables::track(executor, name, &register.tables, manner.lenient),
        }),
    };
    registered.map_err(|error| error.at(place))
}

fn register_call(register: &RegisterCache, app: &str, manner: Manner) -> String {
    let name = &register.name;
    match register.owner(app) {
        None => super::postgres::register_again(name),
        Some(owner) if manner.repeatable => {
            super::postgres::ensure(name, owner, &register.tables, manner.lenient)
        }
        owner if register.tables.is_empty() => super::postgres::register(name, owner),
        owner => super::postgres::register_on(name, owner, &register.tables, manner.lenient),
    }
}

pub(crate) fn unregister(
    transaction: &mut dyn Transaction,
    unregister: &UnregisterCache,
    manner: Manner,
) -> Result<()> {
    let place = unregister.place.clone();
    if transaction.engine() == Engine::Postgres {
        let sql = unregister_call(unregister, manner);
        return transaction.execute_as_runner(Statement::generated(sql, place));
    }
    let executor = &mut Within(transaction);
    let name = &unregister.name;
    if manner.repeatable && sqlite::is_former(executor, name)? {
        return Ok(());
    }
    let unregistered = super::unregister(executor, name).and_then(|()| match unregister.undoes {
        true => tables::forget(executor, name),
        false => Ok(()),
    });
    unregistered.map_err(|error| error.at(place))
}

fn unregister_call(unregister: &UnregisterCache, manner: Manner) -> String {
    match unregister.undoes {
        true => super::postgres::undo_register(&unregister.name),
        false if manner.repeatable => super::postgres::unregister_if_registered(&unregister.name),
        false => super::postgres::unregister(&unregister.name),
    }
}

/// What registering is in SQL; on SQLite, which has no functions, a comment.
pub(crate) fn register_sql(engine: Engine, register: &RegisterCache, app: &str, manner: Manner) -> String {
    match engine {
        Engine::Postgres => format!("{};", register_call(register, app, manner)),
        Engine::Sqlite => format!("-- bustard: {}", register.describe()),
    }
}

/// What unregistering is in SQL; on SQLite a comment.
pub(crate) fn unregister_sql(engine: Engine, unregister: &UnregisterCache, manner: Manner) -> String {
    match engine {
        Engine::Postgres => format!("{};", unregister_call(unregister, manner)),
        Engine::Sqlite => format!("-- bustard: unregister cache {}", unregister.name),
    }
}

/// Puts back the triggers that are missing.
pub(crate) fn install_triggers(transaction: &mut dyn Transaction) -> Result<()> {
    match transaction.engine() {
        Engine::Postgres => {
            transaction.execute(Statement::generated(super::postgres::install_triggers(), None))
        }
        Engine::Sqlite => tables::install(&mut Within(transaction)),
    }
}

pub(crate) fn invalidate_all(transaction: &mut dyn Transaction) -> Result<()> {
    let sql = match transaction.engine() {
        Engine::Postgres => super::postgres::invalidate_all(),
        Engine::Sqlite => sqlite::invalidate_all(),
    };
    transaction.execute(Statement::generated(sql, None))
}

struct Within<'t>(&'t mut dyn Transaction);

impl Executor for Within<'_> {}

impl sealed::Executor for Within<'_> {
    fn engine(&self) -> Engine {
        self.0.engine()
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.0.rows(sql)
    }

    fn commits(&self) -> bool {
        false
    }
}
