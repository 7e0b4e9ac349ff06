//! The registry on PostgreSQL: calls of the SQL API in the schema `bustard`.

use sea_query::{Expr, ExprTrait, Order, PostgresQueryBuilder, Query};

use crate::operation::TableName;

pub(super) const LIST: &str = "SELECT name, app, version, \
    pg_catalog.to_char(registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') \
    FROM bustard.caches ORDER BY name";

/// Whatever the database's default isolation, which several statements in one
/// message would otherwise run in.
pub(super) const FOLD: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;SELECT bustard.fold();COMMIT";

pub(super) const NOTIFY: &str = "SELECT bustard.notify()";

fn call(function: &str, arguments: impl IntoIterator<Item = Option<String>>) -> String {
    let arguments: Vec<sea_query::Value> = arguments.into_iter().map(Into::into).collect();
    let places = (1..=arguments.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
    Query::select()
        .expr(Expr::cust_with_values(format!("bustard.{function}({places})"), arguments))
        .to_string(PostgresQueryBuilder)
}

pub(super) fn register(name: &str, app: Option<&str>) -> String {
    call("register_cache", [Some(name.to_owned()), app.map(str::to_owned)])
}

/// Registers it with the owner that its row still names.
pub(super) fn register_again(name: &str) -> String {
    let owner = "(SELECT c.app FROM bustard.cache AS c WHERE c.name OPERATOR(pg_catalog.=) $1)";
    Query::select()
        .expr(Expr::cust_with_values(format!("bustard.register_cache($1, {owner})"), [name]))
        .to_string(PostgresQueryBuilder)
}

/// The same with the tables that it had then.
pub(super) fn register_with_tables_again(name: &str) -> String {
    call("register_cache_again", [Some(name.to_owned())])
}

/// With `lenient`, tables that are not there are passed over.
pub(super) fn register_on(name: &str, app: Option<&str>, tables: &[TableName], lenient: bool) -> String {
    let places = (3..tables.len() + 3).map(|i| format!("${i}"));
    let places = match lenient {
        false => places.collect::<Vec<_>>().join(", "),
        true => format!(
            "VARIADIC ARRAY(SELECT t.name FROM (VALUES {}) AS t (name) WHERE pg_catalog.to_regclass(t.name) IS NOT NULL)",
            places.map(|place| format!("({place}::pg_catalog.text)")).collect::<Vec<_>>().join(", ")
        ),
    };
    let values = [Some(name.to_owned()), app.map(str::to_owned)];
    let values = values.into_iter().chain(tables.iter().map(|table| Some(table.as_str().to_owned())));
    let values: Vec<sea_query::Value> = values.map(Into::into).collect();
    let call = format!("bustard.register_cache_on($1, $2, {places})");
    Query::select().expr(Expr::cust_with_values(call, values)).to_string(PostgresQueryBuilder)
}

pub(super) fn install_triggers() -> String {
    call("install_triggers", [])
}

pub(super) fn unregister(name: &str) -> String {
    call("unregister_cache", [Some(name.to_owned())])
}

pub(super) fn get_version(name: &str) -> String {
    call("get_version", [Some(name.to_owned())])
}

pub(super) fn invalidate(names: &[&str]) -> String {
    call("invalidate", names.iter().map(|name| Some((*name).to_owned())))
}

pub(super) fn invalidate_all() -> String {
    call("invalidate_all", [])
}

pub(super) fn owners(names: &[&str]) -> String {
    Query::select()
        .columns(["name", "app"])
        .from(("bustard", "caches"))
        .and_where(Expr::col("name").is_in(names.iter().copied()))
        .order_by("name", Order::Asc)
        .to_string(PostgresQueryBuilder)
}
