//! The registry on SQLite. One statement decides each operation, so that it is atomic
//! even when no transaction is open.

use std::collections::BTreeSet;

use sea_query::{Expr, ExprTrait, Func, OnConflict, Query, SimpleExpr, SqliteQueryBuilder, UpdateStatement};

use super::registry_sql::{ALL, BASE, NEXT_ID, TABLE, VIEW, id_of, invalidated};
use super::tracked_tables;
use crate::engine::registry::{Registry, not_owner, taken, unknown, unknown_now};
use crate::engine::sealed::Executor;
use crate::engine::{Row, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ChangeCache, RegisterCache, UnregisterCache};
use crate::sql::{Dialect, Manner, TrackedTable};

/// The registry on SQLite.
#[derive(Debug)]
pub(crate) struct SqliteRegistry;

fn now() -> SimpleExpr {
    Expr::cust("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
}

/// Builds the statement that registers an unregistered name again.
fn activate(name: &str) -> UpdateStatement {
    Query::update()
        .table(TABLE)
        .values([("active", 1.into()), ("registered_at", now())])
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("active").eq(0))
        .and_where(Expr::col("id").ne(ALL))
        .returning_col("id")
        .to_owned()
}

fn register(executor: &mut dyn Executor, name: &str, app: Option<&str>) -> Result<()> {
    let again = activate(name).value("app", app.map(str::to_owned)).to_string(SqliteQueryBuilder);
    if !executor.rows(&again)?.is_empty() {
        return Ok(());
    }
    let next_id = Query::select()
        .expr(Expr::cust(NEXT_ID))
        .expr(Expr::val(name))
        .expr(Expr::val(app.map(str::to_owned)))
        // Without a WHERE, SQLite would parse the ON of the upsert as part of a join.
        .and_where(Expr::cust("TRUE"))
        .to_owned();
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(["id", "name", "app"]);
    insert.select_from(next_id).map_err(|error| {
        Error::new(ErrorKind::Failed, "the registration could not be written").caused_by(error)
    })?;
    insert.on_conflict(OnConflict::column("name").do_nothing().to_owned()).returning_col("id");
    if !executor.rows(&insert.to_string(SqliteQueryBuilder))?.is_empty() {
        return Ok(());
    }
    let rows = executor.rows(&executor.dialect().registry().owners(&[name]))?;
    let owner = rows.first().and_then(|row| row.get(1)?.as_deref());
    Err(taken(name, owner))
}

/// Registers the cache, unless this app has registered it already.
fn ensure(executor: &mut dyn Executor, name: &str, app: &str) -> Result<()> {
    let rows = executor.rows(&executor.dialect().registry().owners(&[name]))?;
    match rows.first().and_then(|row| row.get(1)?.as_deref()) {
        Some(owner) if owner == app => Ok(()),
        _ => register(executor, name, Some(app)),
    }
}

/// Refuses to change a cache that is not registered, or that another app owns.
fn check_owner(executor: &mut dyn Executor, name: &str, app: &str) -> Result<()> {
    let rows = executor.rows(&executor.dialect().registry().owners(&[name]))?;
    match rows.first().map(|row| row.get(1).and_then(Option::as_deref)) {
        None => Err(unknown_now(executor, name)?),
        Some(Some(owner)) if owner == app => Ok(()),
        Some(owner) => Err(not_owner(name, owner)),
    }
}

/// Returns whether the cache was registered before and is not registered now.
fn is_former(executor: &mut dyn Executor, name: &str) -> Result<bool> {
    let former =
        id_of(name).and_where(Expr::col("active").eq(0)).and_where(Expr::col("id").ne(ALL)).to_owned();
    Ok(!executor.rows(&former.to_string(SqliteQueryBuilder))?.is_empty())
}

/// Registers the cache with its last owner, which is still in its row.
fn register_again(executor: &mut dyn Executor, name: &str) -> Result<()> {
    match executor.rows(&activate(name).to_string(SqliteQueryBuilder))?.is_empty() {
        true => register(executor, name, None),
        false => Ok(()),
    }
}

fn unregister(executor: &mut dyn Executor, name: &str) -> Result<()> {
    let update = Query::update()
        .table(TABLE)
        .value("active", 0)
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("active").eq(1))
        .returning_col("id")
        .to_string(SqliteQueryBuilder);
    if executor.rows(&update)?.is_empty() {
        return Err(unknown_now(executor, name)?);
    }
    match tracked_tables::drop_unwanted(executor) {
        // Triggers of an unregistered cache have no effect, and the next run drops them.
        Err(error) if executor.commits() => {
            log::debug!("the triggers of {name} could not be dropped: {error}");
            Ok(())
        }
        dropped => dropped,
    }
}

/// The statement itself checks that all names are registered. A separate check could
/// miss a cache that is unregistered before the update.
fn invalidate(executor: &mut dyn Executor, names: &[&str]) -> Result<()> {
    let asked: BTreeSet<&str> = names.iter().copied().collect();
    let registered = Query::select()
        .expr(Func::count(Expr::col("name")))
        .from(VIEW)
        .and_where(Expr::col("name").is_in(asked.iter().copied()))
        .to_owned();
    let all_registered = Expr::val(asked.len() as u64).eq(SimpleExpr::from(registered));
    let cells = Query::select()
        .expr(Expr::cust("id << 12"))
        .from(TABLE)
        .and_where(Expr::col("name").is_in(asked))
        .and_where(Expr::col("active").eq(1))
        .to_owned();
    let update = Query::update()
        .table(BASE)
        .values(invalidated())
        .and_where(Expr::col("cell").in_subquery(cells))
        .and_where(all_registered)
        .returning_col("cell")
        .to_string(SqliteQueryBuilder);
    loop {
        if !executor.rows(&update)?.is_empty() {
            return Ok(());
        }
        let registered = registered_names(executor)?;
        if let Some(name) = names.iter().find(|name| !registered.iter().any(|known| known == *name)) {
            return Err(unknown(name, &registered));
        }
        // Another session has registered the missing name since the update, so the update
        // is repeated.
    }
}

fn registered_names(executor: &mut dyn Executor) -> Result<Vec<String>> {
    let rows = executor.rows(executor.dialect().registry().names())?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

impl Registry for SqliteRegistry {
    fn register(&self, executor: &mut dyn Executor, name: &str, app: Option<&str>) -> Result<()> {
        register(executor, name, app)
    }

    fn unregister(&self, executor: &mut dyn Executor, name: &str) -> Result<()> {
        unregister(executor, name)
    }

    fn invalidate(&self, executor: &mut dyn Executor, names: &[&str]) -> Result<()> {
        invalidate(executor, names)
    }

    /// A key has the version of the whole cache.
    fn invalidate_key(&self, executor: &mut dyn Executor, name: &str, _key: &[&str]) -> Result<()> {
        invalidate(executor, &[name])
    }

    fn register_in(
        &self,
        transaction: &mut dyn Transaction,
        cache: &RegisterCache,
        app: &str,
        manner: Manner,
    ) -> Result<()> {
        let executor = &mut Within(transaction);
        let name = &cache.name;
        let registered = match cache.owner(app) {
            None => register_again(executor, name).and_then(|()| tracked_tables::track_again(executor, name)),
            Some(owner) if manner.repeatable => ensure(executor, name, owner)
                .and_then(|()| tracked_tables::track_instead(executor, name, &cache.tables, manner.lenient)),
            owner => register(executor, name, owner).and_then(|()| match cache.tables.is_empty() {
                true => Ok(()),
                false => tracked_tables::track(executor, name, &cache.tables, manner.lenient),
            }),
        };
        registered.map_err(|error| error.at(cache.place.clone()))?;
        say_widened(transaction, name, &cache.tables);
        Ok(())
    }

    fn change_in(
        &self,
        transaction: &mut dyn Transaction,
        cache: &ChangeCache,
        app: &str,
        manner: Manner,
    ) -> Result<()> {
        let executor = &mut Within(transaction);
        let name = &cache.name;
        let changed = match cache.owner(app) {
            None => tracked_tables::change_back(executor, name),
            Some(owner) => check_owner(executor, name, owner).and_then(|()| match manner.repeatable {
                true => tracked_tables::track_instead(executor, name, &cache.tables, manner.lenient),
                false => tracked_tables::change(executor, name, &cache.tables, manner.lenient),
            }),
        };
        changed.map_err(|error| error.at(cache.place.clone()))?;
        say_widened(transaction, name, &cache.tables);
        Ok(())
    }

    fn unregister_in(
        &self,
        transaction: &mut dyn Transaction,
        cache: &UnregisterCache,
        manner: Manner,
    ) -> Result<()> {
        let executor = &mut Within(transaction);
        let name = &cache.name;
        if manner.repeatable && is_former(executor, name)? {
            return Ok(());
        }
        let unregistered = unregister(executor, name).and_then(|()| match cache.reverts {
            true => tracked_tables::forget(executor, name),
            false => Ok(()),
        });
        unregistered.map_err(|error| error.at(cache.place.clone()))
    }

    fn release_in(&self, transaction: &mut dyn Transaction, name: &str, app: &str) -> Result<()> {
        let executor = &mut Within(transaction);
        let rows = executor.rows(&executor.dialect().registry().owners(&[name]))?;
        match rows.first().and_then(|row| row.get(1)?.as_deref()) == Some(app) {
            true => unregister(executor, name).and_then(|()| tracked_tables::forget(executor, name)),
            false => Ok(()),
        }
    }

    fn install_triggers(&self, transaction: &mut dyn Transaction) -> Result<()> {
        tracked_tables::install(&mut Within(transaction))
    }
}

/// Reports the tables of a cache whose writes invalidate all keys, although a key is named.
fn say_widened(transaction: &dyn Transaction, cache: &str, tables: &[TrackedTable]) {
    for tracked in tables.iter().filter(|tracked| !tracked.key.is_empty()) {
        let table = &tracked.table;
        transaction
            .notice(format!("on SQLite, each write to {table} invalidates all keys of the cache {cache}"));
    }
}

/// The open transaction of a migration.
struct Within<'t>(&'t mut dyn Transaction);

impl Executor for Within<'_> {
    fn dialect(&self) -> &'static dyn Dialect {
        self.0.dialect()
    }

    fn registry(&self) -> &'static dyn Registry {
        self.0.registry()
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.0.rows(sql)
    }

    fn commits(&self) -> bool {
        false
    }
}
