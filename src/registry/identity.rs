//! What a cache's version stands for, whole, as a transaction sees it.

use sea_query::{Expr, PostgresQueryBuilder, Query, SqliteQueryBuilder};

use crate::engine::{Executor, Row};
use crate::error::Result;
use crate::model::Identity;
use crate::sql::Dialect;

/// A cache as a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub identity: Identity,
    /// Whether the transaction has itself invalidated the cache, or may have:
    /// what it reads is then nobody else's yet, and must not be cached.
    pub own: bool,
}

pub(crate) fn sight(executor: &mut impl Executor, name: &str) -> Result<Sight> {
    super::check_name(name)?;
    let rows = executor.rows(&query(executor.dialect(), name))?;
    let Some(mut sight) = rows.first().map(read).transpose()? else {
        return Err(super::sqlite::unknown(executor, name)?);
    };
    sight.own |= executor.has_written();
    Ok(sight)
}

/// One row of n, nonce and own, if the cache is registered.
pub(crate) fn query(dialect: &'static dyn Dialect, name: &str) -> String {
    let select = |rest: &'static str| Query::select().expr(Expr::cust_with_values(rest, [name])).take();
    match dialect.has_schemas() {
        true => select("i.n, i.nonce, i.own FROM bustard.identity($1) AS i").to_string(PostgresQueryBuilder),
        // XOR as in the view.
        false => select(
            "c.n + a.n, (c.nonce | a.nonce) - (c.nonce & a.nonce), NULL \
             FROM main.bustard_cache AS c JOIN main.bustard_cache AS a ON a.id = 1 \
             WHERE c.name = ? AND c.active = 1",
        )
        .to_string(SqliteQueryBuilder),
    }
}

/// Reads a row of n, nonce and own.
pub(crate) fn read(row: &Row) -> Result<Sight> {
    let column = |i: usize| row.get(i).and_then(Option::as_deref);
    let number = |i| column(i)?.parse().ok();
    match (number(0), number(1)) {
        (Some(n), Some(nonce)) => Ok(Sight { identity: Identity { n, nonce }, own: column(2) == Some("t") }),
        _ => Err(super::strange()),
    }
}
