//! Tracked tables on SQLite: records which tables invalidate a cache, and installs their
//! triggers, statement by statement.

use sea_query::{Expr, ExprTrait, OnConflict, Query, SqliteQueryBuilder};

use super::registry_sql::{TRACKED, id_of};
use crate::engine::quote_ident;
use crate::engine::sealed::Executor;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::TableName;

/// Records the tables that invalidate a registered cache. With `lenient`, skips tables
/// that do not exist.
pub(super) fn track(
    executor: &mut dyn Executor,
    cache: &str,
    tables: &[TableName],
    lenient: bool,
) -> Result<()> {
    let mut names = Vec::new();
    for asked in tables {
        match found(executor, cache, asked)? {
            Some(name) => names.push(name),
            None if lenient => {}
            None => {
                let message = format!("there is no table {asked} for the cache {cache}");
                return Err(Error::new(ErrorKind::Database, message)
                    .help("register the cache after the statement that creates the table"));
            }
        }
    }
    for name in names {
        let row = id_of(cache).expr(Expr::val(name)).to_owned();
        let mut note = Query::insert();
        note.into_table(TRACKED).columns(["cache_id", "table_name"]);
        note.select_from(row).map_err(|error| {
            Error::new(ErrorKind::Failed, "the tracked table could not be recorded").caused_by(error)
        })?;
        // The same table may be named twice.
        note.on_conflict(OnConflict::new().do_nothing().to_owned());
        executor.rows(&note.to_string(SqliteQueryBuilder))?;
    }
    install(executor)
}

/// Replaces the tracked tables of a registered cache by `tables`.
pub(super) fn track_instead(
    executor: &mut dyn Executor,
    cache: &str,
    tables: &[TableName],
    lenient: bool,
) -> Result<()> {
    let now = Query::delete()
        .from_table(TRACKED)
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .and_where(Expr::col("suspended").eq(0))
        .to_string(SqliteQueryBuilder);
    executor.rows(&now)?;
    track(executor, cache, tables, lenient)
}

/// Restores the tracked tables that a cache had before it was unregistered.
pub(super) fn track_again(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    go_back(executor, cache)?;
    install(executor)
}

/// Forgets the last tracked tables of a cache after it is unregistered.
pub(super) fn forget(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    let last = Query::delete()
        .from_table(TRACKED)
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .and_where(Expr::col("suspended").eq(1))
        .to_string(SqliteQueryBuilder);
    executor.rows(&last)?;
    go_back(executor, cache)
}

/// Decrements `suspended` in all records of a cache, which reverts the effect of one
/// unregistration.
fn go_back(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    let back = Query::update()
        .table(TRACKED)
        .value("suspended", Expr::col("suspended").sub(1))
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .to_string(SqliteQueryBuilder);
    executor.rows(&back).map(drop)
}

/// Returns the table's name as it was created; `None` if there is no such table. Returns an
/// error for a table that cannot or must not have triggers.
fn found(executor: &mut dyn Executor, cache: &str, asked: &TableName) -> Result<Option<String>> {
    let (schema, name) = asked.parts();
    let refused = |what: &str| {
        Error::new(
            ErrorKind::Database,
            format!("{asked} is {what}: writes to it cannot invalidate the cache {cache}"),
        )
        .help("name the tables that its contents come from, or invalidate the cache where it is written")
    };
    let lower = name.to_ascii_lowercase();
    match schema.map(|schema| schema.to_ascii_lowercase()).as_deref() {
        None | Some("main") => {}
        Some("temp") => return Err(refused("a temporary table")),
        Some(_) => return Err(refused("in an attached database")),
    }
    if lower.starts_with("sqlite_") || lower.starts_with("pragma_") {
        return Err(refused("a system table"));
    }
    if lower.starts_with("bustard_") {
        return Err(refused("one of Bustard's own tables"));
    }
    let look = |schema: &'static str| {
        Query::select()
            .columns(["name", "type", "rootpage"])
            .from((schema, "sqlite_master"))
            .and_where(Expr::cust_with_values("name = ? COLLATE NOCASE", [name.clone()]))
            .and_where(Expr::col("type").is_in(["table", "view"]))
            .to_string(SqliteQueryBuilder)
    };
    let Some(row) = executor.rows(&look("main"))?.into_iter().next() else {
        return match executor.rows(&look("temp"))?.is_empty() {
            true => Ok(None),
            false => Err(refused("a temporary table")),
        };
    };
    match (row.get(1).and_then(Option::as_deref), row.get(2).and_then(Option::as_deref)) {
        (Some("view"), _) => Err(refused("a view")),
        (_, Some("0")) => Err(refused("a virtual table")),
        _ => Ok(row.into_iter().next().flatten()),
    }
}

/// Installs each missing trigger, and drops triggers that are no longer wanted.
pub(super) fn install(executor: &mut dyn Executor) -> Result<()> {
    let renamed = "SELECT id, found FROM main.bustard_located WHERE table_name <> found";
    for row in executor.rows(renamed)? {
        if let [Some(id), Some(name)] = row.as_slice() {
            // A renamed table may already have a row under its new name. In that case, the
            // updated row replaces it.
            let update = Query::update()
                .table(TRACKED)
                .value("table_name", name.as_str())
                .and_where(Expr::cust_with_values("id = ?", [id.as_str()]))
                .to_string(SqliteQueryBuilder);
            executor.rows(&update.replacen("UPDATE", "UPDATE OR REPLACE", 1))?;
        }
    }
    let missing =
        "SELECT name, event, table_name, cache_id FROM main.bustard_wanted_trigger WHERE installed = 0";
    for row in executor.rows(missing)? {
        if let [Some(name), Some(event), Some(table), Some(cache)] = row.as_slice() {
            executor.rows(&format!("DROP TRIGGER IF EXISTS main.{name}"))?;
            executor.rows(&format!(
                "CREATE TRIGGER main.{name} AFTER {event} ON {} BEGIN \
                 UPDATE bustard_cache SET n = n + 1, nonce = random() WHERE id = {cache} AND active = 1; END",
                quote_ident(table)
            ))?;
        }
    }
    drop_unwanted(executor)
}

/// Drops the triggers of tables that no registered cache tracks any more.
pub(super) fn drop_unwanted(executor: &mut dyn Executor) -> Result<()> {
    let all = "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND name GLOB 'bustard_[0-9]*_*'";
    let all = executor.rows(all)?;
    if all.is_empty() {
        return Ok(());
    }
    let wanted = executor.rows("SELECT name FROM main.bustard_wanted_trigger")?;
    for row in all.iter().filter(|row| !wanted.contains(row)) {
        if let [Some(name)] = row.as_slice() {
            executor.rows(&format!("DROP TRIGGER IF EXISTS main.{}", quote_ident(name)))?;
        }
    }
    Ok(())
}
