//! The migration lock: an advisory lock. It ends with its transaction, so it also works
//! through a pooler.

use super::simple_query::Link;
use crate::diagnostic::{Action, Advice};
use crate::engine::patience::Patience;
use crate::error::{Error, ErrorKind};

/// The key of the advisory lock that every run holds while it changes anything: the
/// letters of "bustard" as a number.
const LOCK: i64 = 0x0062_7573_7461_7264;

/// Builds the query that tries to take the lock for the transaction. The query returns
/// false if another session has the lock.
pub(super) fn obtain() -> String {
    format!("SELECT pg_catalog.pg_try_advisory_xact_lock({LOCK})")
}

/// The SQLSTATE of a lock that was not obtained in time.
pub(super) const NOT_AVAILABLE: &str = "55P03";

/// Sets how the server reads text for the rest of the transaction, whatever the role, the
/// database, the caller, or code that a migration has called, have set.
pub(super) const READ_TEXT: &str = "SELECT pg_catalog.set_config('standard_conforming_strings','on',true),\
    pg_catalog.set_config('client_encoding','UTF8',true),\
    pg_catalog.set_config('backslash_quote','safe_encoding',true)";

/// Builds the query of the settings of the transaction: those of [`READ_TEXT`]; the limit of
/// each wait for a lock, unless the role has a limit of its own; and, with `watch_client`, how
/// long the server works on for a client that has died. Not every server can watch its client.
pub(super) fn limits(patience: &Patience, watch_client: bool) -> String {
    let wait = patience.milliseconds();
    let set = |name: &str, value: &str, only: &str| {
        format!(
            "CASE WHEN pg_catalog.current_setting('{name}', true) OPERATOR(pg_catalog.=) '0'{only} \
             THEN pg_catalog.set_config('{name}', '{value}', true) END"
        )
    };
    let mut settings = format!("{READ_TEXT},{}", set("lock_timeout", &wait.to_string(), ""));
    if watch_client {
        let linux = " AND pg_catalog.version() OPERATOR(pg_catalog.~~) '%linux%'";
        settings += ",";
        settings += &set("client_connection_check_interval", "1000", linux);
    }
    settings
}

/// Builds the error for a statement whose lock was not obtained in time.
pub(super) fn blocked(link: &mut impl Link, patience: &Patience, error: Error) -> Error {
    let error = error.locked(format!("a lock was not obtained within {:?}", patience.limit()));
    let registry = "l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.mode OPERATOR(pg_catalog.=) 'ShareRowExclusiveLock' \
        AND l.relation OPERATOR(pg_catalog.=) pg_catalog.to_regclass('bustard.cache')::pg_catalog.oid";
    match holder(link, registry) {
        Some(holder) => error
            .help(format!("another session registers or unregisters a cache: {holder}; end its transaction")),
        None => error.help(
            Advice::text(
                "another session has a lock that this statement needs: end its transaction, or wait longer with ",
            )
            .then(Action::LockWait),
        ),
    }
}

/// Builds the error for a migration lock that another session has held for too long.
pub(super) fn not_obtained(link: &mut impl Link, patience: &Patience) -> Error {
    let message = format!("the migration lock was not obtained within {:?}", patience.limit());
    let error = Error::new(ErrorKind::Locked, message);
    let (high, low) = (LOCK >> 32, LOCK & 0xffff_ffff);
    let migration = format!(
        "l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.classid OPERATOR(pg_catalog.=) {high}::pg_catalog.oid \
         AND l.objid OPERATOR(pg_catalog.=) {low}::pg_catalog.oid AND l.objsubid OPERATOR(pg_catalog.=) 1"
    );
    match holder(link, &migration) {
        Some(holder) => error.help(format!("it is held by another run: {holder}; wait for it, or end it")),
        None => error.help("the lock has just been released: run again"),
    }
}

/// Describes a session that holds a lock of this kind, and the start of its transaction.
fn holder(link: &mut impl Link, which: &str) -> Option<String> {
    let sql = format!(
        "SELECT a.pid, a.application_name, pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), \
         a.usename FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid \
         WHERE {which} AND l.granted AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d \
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
