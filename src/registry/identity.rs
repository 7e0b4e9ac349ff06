//! The identity of a cache's state, as a transaction sees it.
//!
//! In: a row. Out: the complete identity, of which a version is a part, and the database.

use crate::engine::registry::{not_a_version, unknown_now};
use crate::engine::{Executor, Row};
use crate::error::Result;
use crate::model::{DatabaseId, Identity};

/// A cache as a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub identity: Identity,
    pub database: DatabaseId,
    /// Whether the transaction has invalidated the cache itself, or may have. In that case,
    /// the transaction reads data that no other session sees yet, and that must not be
    /// cached.
    pub own: bool,
}

/// Returns a cache, or a key of it, as the transaction sees it.
pub(crate) fn sight(executor: &mut impl Executor, name: &str, key: Option<&[&str]>) -> Result<Sight> {
    super::check_name(name)?;
    let registry = executor.dialect().registry();
    let rows = executor
        .rows(&key.map_or_else(|| registry.identity(name), |key| registry.key_identity(name, key)))?;
    let Some(mut sight) = rows.first().map(read).transpose()? else {
        return Err(unknown_now(executor, name)?);
    };
    sight.own |= executor.has_written();
    Ok(sight)
}

/// Parses a row of n, nonce, own and the columns of the database.
pub(crate) fn read(row: &Row) -> Result<Sight> {
    let column = |i: usize| row.get(i).and_then(Option::as_deref);
    let number = |i| column(i)?.parse().ok();
    let database = DatabaseId::read(row.get(3..).unwrap_or_default());
    match (number(0), number(1), database) {
        (Some(n), Some(nonce), Some(database)) => {
            Ok(Sight { identity: Identity { n, nonce }, database, own: column(2) == Some("t") })
        }
        _ => Err(not_a_version()),
    }
}
