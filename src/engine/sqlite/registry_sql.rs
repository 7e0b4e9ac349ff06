//! The registry's SQL on SQLite. `bustard_cache` has one row for each cache. Row 1 stands
//! for all caches. `bustard_base` counts the invalidations of each cell.

use sea_query::{Expr, ExprTrait, Query, SelectStatement, SimpleExpr, SqliteQueryBuilder};

use crate::sql::{Manner, RegistrySql, TrackedTable};

/// The registry's SQL.
#[derive(Debug)]
pub(super) struct SqliteRegistrySql;

/// Returns a number that changes with every commit of another connection.
pub(super) const DATA_VERSION: &str = "PRAGMA main.data_version";

// The schema is `main`, so that attached databases do not matter.
pub(super) const TABLE: (&str, &str) = ("main", "bustard_cache");
pub(super) const VIEW: (&str, &str) = ("main", "bustard_caches");
pub(super) const SOURCES: (&str, &str) = ("main", "bustard_cache_source");
pub(super) const BASE: (&str, &str) = ("main", "bustard_base");
const COUNTED: (&str, &str) = ("main", "bustard_counted");
/// The identity of the database.
const DATABASE: &str = "(SELECT d.identity FROM main.bustard_database AS d)";
/// The row that stands for all caches.
pub(super) const ALL: i64 = 1;

/// The id of the next source. Caches and tables share their ids.
pub(super) const NEXT_ID: &str = "max((SELECT max(id) FROM main.bustard_cache), \
    coalesce((SELECT max(id) FROM main.bustard_source), 0), \
    coalesce((SELECT max(cache_id) FROM main.bustard_cache_source), 0)) + 1";

/// Returns the assignments of one more invalidation: the incremented count and a new nonce.
pub(super) fn invalidated() -> [(&'static str, SimpleExpr); 2] {
    [("n", Expr::col("n").add(1)), ("nonce", Expr::cust("random()"))]
}

/// Returns the cell of a source.
pub(super) fn cell(source: impl Into<SimpleExpr>) -> SimpleExpr {
    Expr::cust_with_exprs("(? << 12)", [source.into()])
}

/// Builds a query for the id of a name.
pub(super) fn id_of(name: &str) -> SelectStatement {
    Query::select().column("id").from(TABLE).and_where(Expr::col("name").eq(name)).to_owned()
}

/// Builds the query for all caches, or only for the wanted caches, with the values that
/// form their versions, and with the identity of the database.
pub(super) fn snapshot(wanted: Option<&[&str]>) -> String {
    Query::select()
        .columns(["name", "app", "n", "nonce"])
        .expr(Expr::cust(DATABASE))
        .from(COUNTED)
        .and_where_option(wanted.map(|names| Expr::col("name").is_in(names.iter().copied())))
        .to_string(SqliteQueryBuilder)
}

impl RegistrySql for SqliteRegistrySql {
    fn list(&self) -> &'static str {
        "SELECT v.name, v.app, v.version, v.registered_at, s.table_name FROM main.bustard_caches AS v \
         JOIN main.bustard_cache AS c ON c.name = v.name \
         LEFT JOIN main.bustard_cache_source AS t ON t.cache_id = c.id AND t.suspended = 0 \
         LEFT JOIN main.bustard_source AS s ON s.id = t.source_id ORDER BY v.name, s.table_name"
    }

    fn names(&self) -> &'static str {
        "SELECT name FROM main.bustard_caches"
    }

    fn owned(&self) -> &'static str {
        "SELECT name, app FROM main.bustard_caches ORDER BY name"
    }

    fn former(&self) -> &'static str {
        "SELECT name, app FROM main.bustard_cache WHERE active = 0"
    }

    fn missing_triggers(&self) -> &'static str {
        "SELECT cache, table_name, why FROM main.bustard_missing_triggers"
    }

    fn owners(&self, names: &[&str]) -> String {
        Query::select()
            .columns(["name", "app"])
            .from(VIEW)
            .and_where(Expr::col("name").is_in(names.iter().copied()))
            .to_string(SqliteQueryBuilder)
    }

    fn version(&self, name: &str) -> String {
        Query::select()
            .column("version")
            .from(VIEW)
            .and_where(Expr::col("name").eq(name))
            .to_string(SqliteQueryBuilder)
    }

    fn identity(&self, name: &str) -> String {
        let select =
            format!("c.n, c.nonce, NULL, {DATABASE} FROM main.bustard_counted AS c WHERE c.name = ?");
        Query::select().expr(Expr::cust_with_values(select, [name])).to_string(SqliteQueryBuilder)
    }

    /// A key has the version of the whole cache.
    fn key_version(&self, name: &str, _key: &[&str]) -> String {
        self.version(name)
    }

    fn key_identity(&self, name: &str, _key: &[&str]) -> String {
        self.identity(name)
    }

    fn invalidate_all(&self) -> String {
        Query::update()
            .table(BASE)
            .values(invalidated())
            .and_where(Expr::col("cell").eq(cell(ALL)))
            .to_string(SqliteQueryBuilder)
    }

    fn forget_all(&self, app: &str) -> String {
        let caches = Query::select()
            .column("id")
            .from(TABLE)
            .and_where(Expr::col("app").eq(app))
            .and_where(Expr::col("active").eq(0))
            .to_owned();
        let mut delete = Query::delete();
        delete.from_table(SOURCES).and_where(Expr::col("cache_id").in_subquery(caches));
        delete.to_string(SqliteQueryBuilder)
    }

    /// Returns the directive, because SQLite has no SQL function to show.
    fn shown_register(
        &self,
        name: &str,
        tables: &[TrackedTable],
        _owner: Option<&str>,
        _manner: Manner,
    ) -> String {
        format!("-- bustard: register cache {name}{}", on(tables))
    }

    fn shown_change(
        &self,
        name: &str,
        tables: &[TrackedTable],
        owner: Option<&str>,
        _manner: Manner,
    ) -> String {
        let rest = if owner.is_some() { on(tables) } else { " back".to_owned() };
        format!("-- bustard: change cache {name}{rest}")
    }

    fn shown_unregister(&self, name: &str, _reverts: bool, _manner: Manner) -> String {
        format!("-- bustard: unregister cache {name}")
    }

    fn notify(&self) -> Option<&'static str> {
        None
    }
}

fn on(tables: &[TrackedTable]) -> String {
    if tables.is_empty() { String::new() } else { format!(" on {}", TrackedTable::list(tables)) }
}
