//! The migration lock: an advisory lock. It ends with its transaction, so it also works
//! through a pooler.

use std::time::Duration;

use super::simple_query::Link;
use crate::error::{Error, ErrorKind};

/// The key of the advisory lock that every run holds while it changes anything: the
/// letters of "bustard" as a number.
const LOCK: i64 = 0x0062_7573_7461_7264;

/// Builds the query that tries to take the lock for the transaction. The query returns
/// false if another session has the lock.
pub(super) fn obtain() -> String {
    format!("SELECT pg_catalog.pg_try_advisory_xact_lock({LOCK})")
}

/// Builds the error for a lock that another session has held for too long.
pub(super) fn not_obtained(link: &mut impl Link, waited: Duration) -> Error {
    let message = format!("the migration lock was not obtained within {waited:?}");
    let error = Error::new(ErrorKind::Locked, message);
    match holder(link) {
        Some(holder) => error.help(format!("it is held by another run: {holder}; wait for it, or end it")),
        None => error.help("the lock has just been released: run again"),
    }
}

/// Describes the session that holds the lock, and the start of its transaction.
fn holder(link: &mut impl Link) -> Option<String> {
    let (high, low) = (LOCK >> 32, LOCK & 0xffff_ffff);
    let sql = format!(
        "SELECT a.pid, a.application_name, pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), \
         a.usename FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid \
         WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.classid OPERATOR(pg_catalog.=) {high}::pg_catalog.oid AND l.objid OPERATOR(pg_catalog.=) {low}::pg_catalog.oid AND l.objsubid OPERATOR(pg_catalog.=) 1 \
         AND l.granted AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d \
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) LIMIT 1"
    );
    let rows = link.send(&sql, true).all().ok()?.pop()?;
    let row = rows.into_iter().next()?;
    let column = |i: usize| row.get(i).and_then(Option::as_deref).filter(|text| !text.is_empty());
    Some(format!(
        "pid {}, role {}, application_name {}, in a transaction since {}",
        column(0).unwrap_or("?"),
        column(3).unwrap_or("?"),
        column(1).unwrap_or("(none)"),
        column(2).unwrap_or("?"),
    ))
}
