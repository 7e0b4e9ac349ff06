//! The registry's SQL on SQLite. `bustard_cache` has one row for each cache. Row 1 stands
//! for all caches.

use sea_query::{Expr, ExprTrait, JoinType, Query, SelectStatement, SimpleExpr, SqliteQueryBuilder};

use crate::sql::{Manner, RegistrySql, TableName};

/// The registry's SQL.
#[derive(Debug)]
pub(super) struct SqliteRegistrySql;

/// Returns a number that changes with every commit of another connection.
pub(super) const DATA_VERSION: &str = "PRAGMA main.data_version";

// The schema is `main`, so that attached databases do not matter.
pub(super) const TABLE: (&str, &str) = ("main", "bustard_cache");
pub(super) const VIEW: (&str, &str) = ("main", "bustard_caches");
pub(super) const TRACKED: (&str, &str) = ("main", "bustard_tracked_table");
/// The identity of the database.
const DATABASE: &str = "(SELECT d.identity FROM main.bustard_database AS d)";
/// The row that stands for all caches.
pub(super) const ALL: i64 = 1;

/// Returns the assignments of one more invalidation: the incremented count and a new nonce.
pub(super) fn invalidated() -> [(&'static str, SimpleExpr); 2] {
    [("n", Expr::col("n").add(1)), ("nonce", Expr::cust("random()"))]
}

/// Builds a query for the id of a name.
pub(super) fn id_of(name: &str) -> SelectStatement {
    Query::select().column("id").from(TABLE).and_where(Expr::col("name").eq(name)).to_owned()
}

/// Builds the query for all caches, or only for the wanted caches, with the values that
/// form their versions, and with the identity of the database.
pub(super) fn snapshot(wanted: Option<&[&str]>) -> String {
    Query::select()
        .columns([("c", "name"), ("c", "app")])
        .expr(Expr::cust("c.n + a.n"))
        .expr(Expr::cust("(c.nonce | a.nonce) - (c.nonce & a.nonce)"))
        .expr(Expr::cust(DATABASE))
        .from_as(TABLE, "c")
        .join_as(JoinType::InnerJoin, TABLE, "a", Expr::col(("a", "id")).eq(ALL))
        .and_where(Expr::col(("c", "active")).eq(1))
        .and_where_option(wanted.map(|names| Expr::col(("c", "name")).is_in(names.iter().copied())))
        .to_string(SqliteQueryBuilder)
}

impl RegistrySql for SqliteRegistrySql {
    fn list(&self) -> &'static str {
        "SELECT name, app, version, registered_at FROM main.bustard_caches ORDER BY name"
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
        // The expression is the XOR of the nonces, as in the view `bustard_caches`.
        let select = format!(
            "c.n + a.n, (c.nonce | a.nonce) - (c.nonce & a.nonce), NULL, {DATABASE} \
             FROM main.bustard_cache AS c JOIN main.bustard_cache AS a ON a.id = 1 \
             WHERE c.name = ? AND c.active = 1"
        );
        Query::select().expr(Expr::cust_with_values(select, [name])).to_string(SqliteQueryBuilder)
    }

    fn invalidate_all(&self) -> String {
        Query::update()
            .table(TABLE)
            .values(invalidated())
            .and_where(Expr::col("id").eq(ALL))
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
        delete.from_table(TRACKED).and_where(Expr::col("cache_id").in_subquery(caches));
        delete.to_string(SqliteQueryBuilder)
    }

    /// Returns the directive, because SQLite has no SQL function to show.
    fn shown_register(
        &self,
        name: &str,
        tables: &[TableName],
        _owner: Option<&str>,
        _manner: Manner,
    ) -> String {
        let tables: Vec<&str> = tables.iter().map(TableName::as_str).collect();
        let on = if tables.is_empty() { String::new() } else { format!(" on {}", tables.join(", ")) };
        format!("-- bustard: register cache {name}{on}")
    }

    fn shown_unregister(&self, name: &str, _reverts: bool, _manner: Manner) -> String {
        format!("-- bustard: unregister cache {name}")
    }

    fn notify(&self) -> Option<&'static str> {
        None
    }
}
