//! The tables whose writes invalidate a cache: which of them have lost their
//! triggers, and putting these back. On PostgreSQL that is a function of the
//! database; on SQLite it is done here, statement by statement.

use sea_query::{Expr, ExprTrait, OnConflict, PostgresQueryBuilder, Query, SqliteQueryBuilder};

use super::{Executor, sqlite};
use crate::engine::{Row, quote_ident};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Statement;
use crate::sql::{Dialect, TableName};

/// A table on which a cache is registered and which is not as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UntrackedTable {
    /// The cache's name.
    pub cache: String,
    /// The table or partition, on PostgreSQL with its schema.
    pub table: String,
    /// What is the matter with it.
    pub why: Untracked,
}

/// What is the matter with a table on which a cache is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untracked {
    /// It has lost its triggers, or never had them: it was rebuilt, swapped, or is
    /// a new partition. Until the next run, writes to it invalidate nothing.
    Triggers,
    /// It has another name now, and triggers that work. The next run notes the name.
    Renamed,
    /// It is gone. Nobody can write to it, so nothing is to be done.
    Gone,
    /// It is a foreign table that has become a partition or child of a registered one:
    /// writes to it do not invalidate, and no run can change that.
    Foreign,
}

impl UntrackedTable {
    /// Whether a run sets it right.
    pub fn is_repairable(&self) -> bool {
        matches!(self.why, Untracked::Triggers | Untracked::Renamed)
    }
}

/// What is not as it was registered, from the second of Bustard's own migrations on.
pub(crate) fn untracked_query(dialect: &'static dyn Dialect) -> &'static str {
    match dialect.has_schemas() {
        true => "SELECT cache, relation, why FROM bustard.untracked()",
        false => "SELECT cache, table_name, why FROM main.bustard_untracked",
    }
}

/// The answer to it.
pub(crate) fn untracked(rows: Vec<Row>) -> Vec<UntrackedTable> {
    let one = |row: Row| {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        let (cache, table, why) = (next()?, next()?, next()?);
        let why = match why.as_str() {
            "triggers" => Untracked::Triggers,
            "renamed" => Untracked::Renamed,
            "foreign" => Untracked::Foreign,
            _ => Untracked::Gone,
        };
        Some(UntrackedTable { cache, table, why })
    };
    rows.into_iter().filter_map(one).collect()
}

/// A cache as a schema has it.
#[cfg(feature = "testing")]
pub(crate) struct Described {
    pub name: String,
    pub app: Option<String>,
    /// What it is registered on.
    pub tables: Vec<String>,
}

/// All registered caches of a SQLite database by name; none where it has no registry.
#[cfg(feature = "testing")]
pub(crate) fn described(executor: &mut impl Executor) -> Result<Vec<Described>> {
    let registry = "SELECT 1 FROM main.sqlite_master WHERE name = 'bustard_located'";
    if executor.rows(registry)?.is_empty() {
        return Ok(Vec::new());
    }
    let mut caches: Vec<Described> = Vec::new();
    let tables = "SELECT c.name, c.app, l.table_name FROM main.bustard_caches AS c \
                  LEFT JOIN main.bustard_located AS l ON l.cache = c.name ORDER BY 1, 3";
    for row in executor.rows(tables)? {
        let mut columns = row.into_iter();
        let (name, app) = (columns.next().flatten().unwrap_or_default(), columns.next().flatten());
        if caches.last().is_none_or(|last| last.name != name) {
            caches.push(Described { name, app, tables: Vec::new() });
        }
        if let (Some(cache), Some(table)) = (caches.last_mut(), columns.next().flatten()) {
            cache.tables.push(table);
        }
    }
    Ok(caches)
}

const TRACKED: (&str, &str) = ("main", "bustard_tracked_table");

/// Notes on SQLite what a registered cache is to be invalidated by. With `lenient`, tables that are not there are passed over.
pub(super) fn track(
    executor: &mut impl Executor,
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
        let row = sqlite::id_of(cache).expr(Expr::val(name)).to_owned();
        let mut note = Query::insert();
        note.into_table(TRACKED).columns(["cache_id", "table_name"]);
        note.select_from(row).map_err(|error| {
            Error::new(ErrorKind::Failed, "the table could not be noted").caused_by(error)
        })?;
        // A table that is named twice.
        note.on_conflict(OnConflict::new().do_nothing().to_owned());
        executor.rows(&note.to_string(SqliteQueryBuilder))?;
    }
    install(executor)
}

/// Goes back to what a cache was registered on before it was unregistered.
pub(super) fn track_again(executor: &mut impl Executor, cache: &str) -> Result<()> {
    go_back(executor, cache)?;
    install(executor)
}

/// Forgets what a cache was registered on last, once it is unregistered.
pub(super) fn forget(executor: &mut impl Executor, cache: &str) -> Result<()> {
    let last = Query::delete()
        .from_table(TRACKED)
        .and_where(Expr::col("cache_id").in_subquery(sqlite::id_of(cache)))
        .and_where(Expr::col("suspended").eq(1))
        .to_string(SqliteQueryBuilder);
    executor.rows(&last)?;
    go_back(executor, cache)
}

/// Forgets what an app's unregistered caches were registered on, on either engine:
/// nobody goes back to that.
pub(crate) fn forget_all(dialect: &'static dyn Dialect, app: &str) -> Statement {
    let sql = match dialect.has_schemas() {
        true => {
            let ids = "cache_id OPERATOR(pg_catalog.=) ANY (SELECT c.id FROM bustard.cache AS c \
                       WHERE c.app OPERATOR(pg_catalog.=) $1 AND NOT c.active)";
            let mut delete = Query::delete();
            delete.from_table(("bustard", "tracked_table")).and_where(Expr::cust_with_values(ids, [app]));
            delete.to_string(PostgresQueryBuilder)
        }
        false => {
            let caches = Query::select()
                .column("id")
                .from(sqlite::TABLE)
                .and_where(Expr::col("app").eq(app))
                .and_where(Expr::col("active").eq(0))
                .to_owned();
            let mut delete = Query::delete();
            delete.from_table(TRACKED).and_where(Expr::col("cache_id").in_subquery(caches));
            delete.to_string(SqliteQueryBuilder)
        }
    };
    Statement::generated(sql, None)
}

/// Takes one of the times back that a cache has been unregistered.
fn go_back(executor: &mut impl Executor, cache: &str) -> Result<()> {
    let back = Query::update()
        .table(TRACKED)
        .value("suspended", Expr::col("suspended").sub(1))
        .and_where(Expr::col("cache_id").in_subquery(sqlite::id_of(cache)))
        .to_string(SqliteQueryBuilder);
    executor.rows(&back).map(drop)
}

/// The table's name as it was created; `None` where there is no such table. What
/// cannot have triggers, or should not, is an error.
fn found(executor: &mut impl Executor, cache: &str, asked: &TableName) -> Result<Option<String>> {
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

/// Sees to it on SQLite that there is each trigger that there should be, and none
/// that should not.
pub(super) fn install(executor: &mut impl Executor) -> Result<()> {
    let renamed = "SELECT id, found FROM main.bustard_located WHERE table_name <> found";
    for row in executor.rows(renamed)? {
        if let [Some(id), Some(name)] = row.as_slice() {
            // A table that has its own row already keeps that one only.
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

/// Drops the triggers of tables that are none of a registered cache any more.
pub(super) fn drop_unwanted(executor: &mut impl Executor) -> Result<()> {
    let all = "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND name GLOB 'bustard_[0-9]*_*'";
    let all = executor.rows(all)?;
    if all.is_empty() {
        // Where the registry does not know of tables yet, there are none either.
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
