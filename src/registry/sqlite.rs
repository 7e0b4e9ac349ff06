//! The registry on SQLite: one row for each cache in `bustard_cache`, and row 1
//! for all of them. Each operation hangs on one statement, so that it is whole
//! even where no transaction is open.

use std::collections::BTreeSet;

use sea_query::{
    Expr, ExprTrait, Func, JoinType, OnConflict, Query, SelectStatement, SimpleExpr, SqliteQueryBuilder,
    UpdateStatement,
};

use super::{tables, taken, unknown as unknown_among};
use crate::engine::Executor;
use crate::error::{Error, Result};

pub(super) const LIST: &str =
    "SELECT name, app, version, registered_at FROM main.bustard_caches ORDER BY name";

/// Changes with every commit of another connection.
pub(super) const DATA_VERSION: &str = "PRAGMA main.data_version";

// In the database itself, whatever is attached to it.
pub(super) const TABLE: (&str, &str) = ("main", "bustard_cache");
const VIEW: (&str, &str) = ("main", "bustard_caches");
/// The row that stands for all caches.
const ALL: i64 = 1;

fn now() -> SimpleExpr {
    Expr::cust("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
}

/// One more invalidation: the count goes up, the nonce is drawn anew.
fn invalidated() -> [(&'static str, SimpleExpr); 2] {
    [("n", Expr::col("n").add(1)), ("nonce", Expr::cust("random()"))]
}

/// The id that a name has, as a query.
pub(super) fn id_of(name: &str) -> SelectStatement {
    Query::select().column("id").from(TABLE).and_where(Expr::col("name").eq(name)).to_owned()
}

/// The statement that makes an unregistered name a registered one again.
fn activate(name: &str) -> UpdateStatement {
    Query::update()
        .table(TABLE)
        .values([("active", 1.into()), ("registered_at", now())])
        .values(invalidated())
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("active").eq(0))
        .and_where(Expr::col("id").ne(ALL))
        .returning_col("id")
        .to_owned()
}

pub(super) fn register(executor: &mut impl Executor, name: &str, app: Option<&str>) -> Result<()> {
    let again = activate(name).value("app", app.map(str::to_owned)).to_string(SqliteQueryBuilder);
    if !executor.rows(&again)?.is_empty() {
        return Ok(());
    }
    let next_id = Query::select()
        .expr(Expr::cust("max(id) + 1"))
        .expr(Expr::val(name))
        .expr(Expr::val(app.map(str::to_owned)))
        .from(TABLE)
        // SQLite takes ON for a join's without it.
        .and_where(Expr::cust("TRUE"))
        .to_owned();
    let mut insert = Query::insert();
    insert.into_table(TABLE).columns(["id", "name", "app"]);
    insert.select_from(next_id).map_err(|error| {
        Error::new(crate::error::ErrorKind::Failed, "the registration could not be written").caused_by(error)
    })?;
    insert.on_conflict(OnConflict::column("name").do_nothing().to_owned()).returning_col("id");
    if !executor.rows(&insert.to_string(SqliteQueryBuilder))?.is_empty() {
        return Ok(());
    }
    let rows = executor.rows(&owners(&[name]))?;
    let owner = rows.first().and_then(|row| row.get(1)?.as_deref());
    Err(taken(name, owner))
}

/// Registers it, unless this app has registered it already.
pub(super) fn ensure(executor: &mut impl Executor, name: &str, app: &str) -> Result<()> {
    let rows = executor.rows(&owners(&[name]))?;
    match rows.first().and_then(|row| row.get(1)?.as_deref()) {
        Some(owner) if owner == app => Ok(()),
        _ => register(executor, name, Some(app)),
    }
}

/// Whether it was registered once and is not now.
pub(super) fn is_former(executor: &mut impl Executor, name: &str) -> Result<bool> {
    let former =
        id_of(name).and_where(Expr::col("active").eq(0)).and_where(Expr::col("id").ne(ALL)).to_owned();
    Ok(!executor.rows(&former.to_string(SqliteQueryBuilder))?.is_empty())
}

/// Registers it with the owner that its row still names.
pub(super) fn register_again(executor: &mut impl Executor, name: &str) -> Result<()> {
    match executor.rows(&activate(name).to_string(SqliteQueryBuilder))?.is_empty() {
        true => register(executor, name, None),
        false => Ok(()),
    }
}

pub(super) fn unregister(executor: &mut impl Executor, name: &str) -> Result<()> {
    let update = Query::update()
        .table(TABLE)
        .value("active", 0)
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("active").eq(1))
        .returning_col("id")
        .to_string(SqliteQueryBuilder);
    if executor.rows(&update)?.is_empty() {
        return Err(unknown(executor, name)?);
    }
    match tables::drop_unwanted(executor) {
        // They do nothing any more, and the next run drops them.
        Err(error) if executor.commits() => {
            log::debug!("the triggers of {name} could not be dropped: {error}");
            Ok(())
        }
        dropped => dropped,
    }
}

/// All caches, or the wanted ones, with what their versions stand for.
pub(super) fn snapshot(wanted: Option<&[&str]>) -> String {
    Query::select()
        .columns([("c", "name"), ("c", "app")])
        .expr(Expr::cust("c.n + a.n"))
        .expr(Expr::cust("(c.nonce | a.nonce) - (c.nonce & a.nonce)"))
        .from_as(TABLE, "c")
        .join_as(JoinType::InnerJoin, TABLE, "a", Expr::col(("a", "id")).eq(ALL))
        .and_where(Expr::col(("c", "active")).eq(1))
        .and_where_option(wanted.map(|names| Expr::col(("c", "name")).is_in(names.iter().copied())))
        .to_string(SqliteQueryBuilder)
}

pub(super) fn get_version(name: &str) -> String {
    Query::select()
        .column("version")
        .from(VIEW)
        .and_where(Expr::col("name").eq(name))
        .to_string(SqliteQueryBuilder)
}

/// The one statement says itself that all the names must be there: otherwise one
/// could be unregistered between a look and the update.
pub(super) fn invalidate(executor: &mut impl Executor, names: &[&str]) -> Result<()> {
    let asked: BTreeSet<&str> = names.iter().copied().collect();
    let registered = Query::select()
        .expr(Func::count(Expr::col("name")))
        .from(VIEW)
        .and_where(Expr::col("name").is_in(asked.iter().copied()))
        .to_owned();
    let all_registered = Expr::val(asked.len() as u64).eq(SimpleExpr::from(registered));
    let update = Query::update()
        .table(TABLE)
        .values(invalidated())
        .and_where(Expr::col("name").is_in(asked))
        .and_where(Expr::col("active").eq(1))
        .and_where(all_registered)
        .returning_col("id")
        .to_string(SqliteQueryBuilder);
    loop {
        if !executor.rows(&update)?.is_empty() {
            return Ok(());
        }
        let registered = registered_names(executor)?;
        if let Some(name) = names.iter().find(|name| !registered.iter().any(|known| known == *name)) {
            return Err(unknown_among(name, &registered));
        }
        // It has been registered since.
    }
}

pub(super) fn invalidate_all() -> String {
    Query::update()
        .table(TABLE)
        .values(invalidated())
        .and_where(Expr::col("id").eq(ALL))
        .to_string(SqliteQueryBuilder)
}

pub(super) fn owners(names: &[&str]) -> String {
    Query::select()
        .columns(["name", "app"])
        .from(VIEW)
        .and_where(Expr::col("name").is_in(names.iter().copied()))
        .to_string(SqliteQueryBuilder)
}

/// The error for a name that is not registered, with the nearest that is.
pub(super) fn unknown(executor: &mut impl Executor, name: &str) -> Result<Error> {
    Ok(unknown_among(name, &registered_names(executor)?))
}

fn registered_names(executor: &mut impl Executor) -> Result<Vec<String>> {
    let names = Query::select().column("name").from(VIEW).to_string(SqliteQueryBuilder);
    Ok(executor.rows(&names)?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
