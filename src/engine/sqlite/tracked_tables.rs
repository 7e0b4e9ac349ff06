//! Tracked tables on SQLite: records which tables invalidate a cache, and installs their
//! triggers, statement by statement.

use std::collections::BTreeSet;

use sea_query::{Expr, ExprTrait, OnConflict, Query, SqliteQueryBuilder};

use super::registry_sql::{BASE, NEXT_ID, SOURCES, cell, id_of, invalidated};
use crate::engine::quote_ident;
use crate::engine::sealed::Executor;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{TableName, TrackedTable, unquoted};

/// Records the tables that invalidate a registered cache. With `lenient`, skips tables
/// that do not exist.
pub(super) fn track(
    executor: &mut dyn Executor,
    cache: &str,
    tables: &[TrackedTable],
    lenient: bool,
) -> Result<()> {
    let mut names = Vec::new();
    for TrackedTable { table: asked, key } in tables {
        match found(executor, cache, asked)? {
            Some(name) => {
                check_key(executor, cache, &name, key)?;
                names.push(name);
            }
            None if lenient => {}
            None => {
                let message = format!("there is no table {asked} for the cache {cache}");
                return Err(Error::new(ErrorKind::Database, message)
                    .help("register the cache after the statement that creates the table"));
            }
        }
    }
    for name in names {
        let source = "INSERT INTO main.bustard_source (id, table_name)";
        let row = Query::select()
            .expr(Expr::cust(NEXT_ID))
            .expr(Expr::val(name.as_str()))
            // Without a WHERE, SQLite would parse the ON of the upsert as part of a join.
            .and_where(Expr::cust("TRUE"))
            .to_string(SqliteQueryBuilder);
        executor.rows(&format!("{source} {row} ON CONFLICT DO NOTHING"))?;
        let ids = id_of(cache)
            .expr(Expr::cust_with_values(
                "(SELECT s.id FROM main.bustard_source AS s WHERE s.table_name = ?)",
                [name.as_str()],
            ))
            .to_owned();
        let mut note = Query::insert();
        note.into_table(SOURCES).columns(["cache_id", "source_id"]);
        note.select_from(ids).map_err(|error| {
            Error::new(ErrorKind::Failed, "the tracked table could not be recorded").caused_by(error)
        })?;
        // The same table may be named twice.
        note.on_conflict(OnConflict::new().do_nothing().to_owned());
        executor.rows(&note.to_string(SqliteQueryBuilder))?;
    }
    executor.rows("INSERT INTO main.bustard_base (cell) SELECT s.id << 12 FROM main.bustard_source AS s WHERE TRUE ON CONFLICT DO NOTHING")?;
    install(executor)
}

/// Replaces the tracked tables of a registered cache by `tables`, and keeps those that it has
/// now on record.
pub(super) fn change(
    executor: &mut dyn Executor,
    cache: &str,
    tables: &[TrackedTable],
    lenient: bool,
) -> Result<()> {
    let suspend = Query::update()
        .table(SOURCES)
        .value("suspended", Expr::col("suspended").add(1))
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .to_string(SqliteQueryBuilder);
    executor.rows(&suspend)?;
    invalidate(executor, cache)?;
    track(executor, cache, tables, lenient)
}

/// Restores the tracked tables that a registered cache had before the last change.
pub(super) fn change_back(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    delete(executor, cache, 0)?;
    invalidate(executor, cache)?;
    track_again(executor, cache)
}

/// Gives a registered cache a new version.
fn invalidate(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    let registry = executor.registry();
    registry.invalidate(executor, &[cache])
}

/// Replaces the tracked tables of a registered cache by `tables`.
pub(super) fn track_instead(
    executor: &mut dyn Executor,
    cache: &str,
    tables: &[TrackedTable],
    lenient: bool,
) -> Result<()> {
    delete(executor, cache, 0)?;
    invalidate(executor, cache)?;
    track(executor, cache, tables, lenient)
}

/// Restores the tracked tables that a cache had before it was unregistered.
pub(super) fn track_again(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    go_back(executor, cache)?;
    install(executor)
}

/// Forgets the last tracked tables of a cache after it is unregistered.
pub(super) fn forget(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    delete(executor, cache, 1)?;
    go_back(executor, cache)
}

/// Deletes the records of a cache that have been suspended this often.
fn delete(executor: &mut dyn Executor, cache: &str, suspended: i64) -> Result<()> {
    let delete = Query::delete()
        .from_table(SOURCES)
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .and_where(Expr::col("suspended").eq(suspended))
        .to_string(SqliteQueryBuilder);
    executor.rows(&delete).map(drop)
}

/// Decrements `suspended` in all records of a cache, which reverts the effect of one
/// unregistration or change.
fn go_back(executor: &mut dyn Executor, cache: &str) -> Result<()> {
    let back = Query::update()
        .table(SOURCES)
        .value("suspended", Expr::col("suspended").sub(1))
        .and_where(Expr::col("cache_id").in_subquery(id_of(cache)))
        .and_where(Expr::col("suspended").gt(0))
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

/// Checks that the columns of a key exist. SQLite counts each write to the table for all
/// keys.
fn check_key(executor: &mut dyn Executor, cache: &str, table: &str, key: &[String]) -> Result<()> {
    if key.is_empty() {
        return Ok(());
    }
    let columns = Query::select()
        .expr(Expr::cust_with_values(
            "x.name FROM main.pragma_table_xinfo(?, 'main') AS x ORDER BY x.cid",
            [table],
        ))
        .to_string(SqliteQueryBuilder);
    let columns: Vec<String> =
        executor.rows(&columns)?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    let missing =
        key.iter().find(|asked| !columns.iter().any(|column| column.eq_ignore_ascii_case(&unquoted(asked))));
    match missing {
        None => Ok(()),
        Some(asked) => {
            let message = format!("there is no column {asked} in {table} for the key of the cache {cache}");
            Err(Error::new(ErrorKind::Database, message)
                .help(format!("the table has the columns {}", columns.join(", "))))
        }
    }
}

/// Puts each missing or edited trigger right, and drops triggers that are no longer wanted.
/// The writes that a table's triggers have not counted may have invalidated its caches, so
/// its source gets an invalidation.
pub(super) fn install(executor: &mut dyn Executor) -> Result<()> {
    let renamed = "SELECT l.id, l.found, s.id FROM main.bustard_located AS l \
                   LEFT JOIN main.bustard_source AS s ON s.table_name = l.found AND s.id <> l.id \
                   WHERE l.table_name <> l.found";
    for row in executor.rows(renamed)? {
        match row.as_slice() {
            [Some(id), Some(name), None] => {
                let update = Query::update()
                    .table(("main", "bustard_source"))
                    .value("table_name", name.as_str())
                    .and_where(Expr::col("id").eq(Expr::cust(id.clone())))
                    .to_string(SqliteQueryBuilder);
                executor.rows(&update)?;
            }
            // The table has the name of another source. A name has one source, so the caches
            // of the table count that one from now on.
            [Some(id), Some(_), Some(other)] => {
                for sql in [
                    format!(
                        "UPDATE main.bustard_base SET n = n + 1, nonce = random() WHERE cell IN (SELECT t.cache_id << 12 \
                         FROM main.bustard_cache_source AS t WHERE t.source_id = {id} AND t.suspended = 0)"
                    ),
                    format!(
                        "UPDATE OR IGNORE main.bustard_cache_source SET source_id = {other} \
                         WHERE source_id = {id} AND suspended = 0"
                    ),
                    format!("DELETE FROM main.bustard_cache_source WHERE source_id = {id} AND suspended = 0"),
                ] {
                    executor.rows(&sql)?;
                }
            }
            _ => {}
        }
    }
    let missing = "SELECT name, body, source_id FROM main.bustard_wanted_trigger WHERE state <> 'installed' ORDER BY name";
    let mut invalidated_sources = BTreeSet::new();
    for row in executor.rows(missing)? {
        if let [Some(name), Some(body), Some(source)] = row.as_slice() {
            executor.rows(&format!("DROP TRIGGER IF EXISTS main.{name}"))?;
            executor.rows(&format!("CREATE TRIGGER main.{name}{body}"))?;
            if invalidated_sources.insert(source.clone()) {
                let event = Query::update()
                    .table(BASE)
                    .values(invalidated())
                    .and_where(Expr::col("cell").eq(cell(Expr::cust(source.clone()))))
                    .to_string(SqliteQueryBuilder);
                executor.rows(&event)?;
            }
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
