//! Asks the server about an error that has ended a transaction: which setting, or which right.
//!
//! In: an error and a link. Out: the error, with advice that names the setting, the object and
//! the role. Each question is one message, and only after a failure.

use super::lock::NOT_AVAILABLE;
use super::quote_text;
use super::simple_query::Link;
use crate::engine::Row;
use crate::engine::postgres::{INTERRUPTS, ident};
use crate::error::{Error, ErrorKind};

/// The SQLSTATE of a statement that was cancelled.
const CANCELLED: &str = "57014";
/// The SQLSTATE of a missing right.
const FORBIDDEN: &str = "42501";

/// Adds advice, if the server can tell more than the error does.
pub(super) fn explain(link: &mut impl Link, error: Error) -> Error {
    let of_server = error.raised_at().is_some_and(|place| place.starts_with(INTERRUPTS));
    let advice = match error.sqlstate() {
        _ if error.kind() != ErrorKind::Database => None,
        Some(NOT_AVAILABLE) if of_server => lock_timeout(link),
        Some(CANCELLED) if of_server => cancelled(link, error.raised_at().unwrap_or_default()),
        Some(FORBIDDEN) => missing_right(link, error.server_message().unwrap_or_default()),
        _ => None,
    };
    match advice {
        Some(advice) => error.help(advice),
        None => error,
    }
}

fn rows(link: &mut impl Link, sql: &str) -> Option<Vec<Row>> {
    link.send(sql, true).all().ok()?.pop()
}

/// A setting of the session, and what to do to change it.
struct Setting {
    /// The value with its unit; `None` for no limit.
    value: Option<String>,
    change: &'static str,
}

/// Reads a limit, as it is before the migration begins. A value that the caller has set is
/// none of these.
fn setting(link: &mut impl Link, name: &str) -> Option<Setting> {
    let sql = format!(
        "SELECT s.reset_val, pg_catalog.current_setting('{name}'), CASE \
         WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS r, pg_catalog.pg_database AS d, pg_catalog.unnest(r.setconfig) AS c \
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
         AND r.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, d.oid]) \
         AND r.setrole OPERATOR(pg_catalog.=) (SELECT a.oid FROM pg_catalog.pg_roles AS a WHERE a.rolname OPERATOR(pg_catalog.=) session_user) \
         AND pg_catalog.starts_with(c, '{name}=')) THEN 'role' \
         WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS r, pg_catalog.pg_database AS d, pg_catalog.unnest(r.setconfig) AS c \
         WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND r.setdatabase OPERATOR(pg_catalog.=) d.oid \
         AND r.setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND pg_catalog.starts_with(c, '{name}=')) THEN 'database' \
         ELSE 'other' END \
         FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) '{name}'"
    );
    let row = rows(link, &sql)?.pop()?;
    let column = |n: usize| row.get(n).cloned().flatten().unwrap_or_default();
    let value = Some(column(1)).filter(|value| value != "0");
    let change = match column(2).as_str() {
        _ if column(0) == "0" => "the session",
        "role" => "ALTER ROLE",
        "database" => "ALTER DATABASE",
        _ => "the configuration of the server or of the connection",
    };
    Some(Setting { value, change })
}

fn lock_timeout(link: &mut impl Link) -> Option<String> {
    const END: &str =
        "another session has a lock that this statement needs: end that session's transaction and run again";
    let Setting { value, change } = setting(link, "lock_timeout")?;
    Some(match value {
        Some(value) => {
            format!("{END}; the wait ended because of lock_timeout = {value}, which {change} has set")
        }
        None => format!("{END}; the wait ended because the migration sets lock_timeout itself"),
    })
}

/// Tells a time-out from a cancellation. Both have one code, and texts in the server's
/// language, but they come from different lines of its source. So this provokes a time-out,
/// and compares the lines.
fn cancelled(link: &mut impl Link, place: &str) -> Option<String> {
    let provoked =
        link.send("SET LOCAL statement_timeout = 1; SELECT pg_catalog.pg_sleep(5)", false).failure?;
    if provoked.server_message.code.as_deref() != Some(CANCELLED) {
        return None;
    }
    if provoked.server_message.raised_at.as_deref() != Some(place) {
        return Some(
            "another session cancelled the statement (pg_cancel_backend): run again when it may run"
                .to_owned(),
        );
    }
    let Setting { value, change } = setting(link, "statement_timeout")?;
    Some(match value {
        Some(value) => format!(
            "the statement took longer than statement_timeout = {value} allows, which {change} has set: write \
             `SET LOCAL statement_timeout = 0` before it, or let it do less at once"
        ),
        None => "the migration sets statement_timeout itself, and the statement took longer: raise it, or let the statement \
                 do less at once"
            .to_owned(),
    })
}

/// Finds the object that the message names and on which the role lacks a right. The words of
/// the message are compared with names of the catalogue, not with words of a language.
fn missing_right(link: &mut impl Link, message: &str) -> Option<String> {
    let named = |name: &str| {
        format!(
            "pg_catalog.strpos(m.words, ' ' OPERATOR(pg_catalog.||) {name} OPERATOR(pg_catalog.||) ' ') OPERATOR(pg_catalog.>) 0"
        )
    };
    let owned = |kind: &str, rank: u8, name: &str, owner: &str, from: &str| {
        format!(
            "SELECT {kind}, pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) pg_catalog.quote_ident({name}), \
             a.rolname, a.rolsuper, {rank} FROM m, {from} JOIN pg_catalog.pg_roles AS a ON a.oid OPERATOR(pg_catalog.=) {owner} \
             WHERE {} AND NOT pg_catalog.pg_has_role(a.oid, 'USAGE') AND n.nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema'])",
            named(name)
        )
    };
    let message = quote_text(message);
    let sql = [
        format!(
            "WITH m AS (SELECT ' ' OPERATOR(pg_catalog.||) pg_catalog.translate({message}, '\"»«„“”‘’''`:,.;', '              ') OPERATOR(pg_catalog.||) ' ' AS words) \
             SELECT f.*, current_user FROM (SELECT 'SCHEMA' AS kind, pg_catalog.quote_ident(n.nspname) AS name, \
             CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN 'CREATE' \
             WHEN pg_catalog.has_schema_privilege(n.oid, 'CREATE') THEN 'USAGE' ELSE 'USAGE, CREATE' END AS what, false AS super, 1 AS rank \
             FROM m, pg_catalog.pg_namespace AS n WHERE {} AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
             AND pg_catalog.has_schema_privilege(n.oid, 'CREATE'))",
            named("n.nspname")
        ),
        format!(
            "SELECT 'DATABASE', pg_catalog.quote_ident(d.datname), 'CREATE', false, 2 FROM m, pg_catalog.pg_database AS d \
             WHERE {} AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() \
             AND NOT pg_catalog.has_database_privilege(d.oid, 'CREATE')",
            named("d.datname")
        ),
        owned(
            "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v', 'm', 'S', 'f']::\"char\"[]) THEN 'TABLE' ELSE '' END",
            3,
            "c.relname",
            "c.relowner",
            "pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             AND c.relkind OPERATOR(pg_catalog.<>) ALL (ARRAY['c', 't']::\"char\"[])",
        ),
        owned(
            // The name without argument types is ambiguous if there are several functions.
            "CASE WHEN (SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc AS o WHERE o.proname OPERATOR(pg_catalog.=) p.proname \
             AND o.pronamespace OPERATOR(pg_catalog.=) p.pronamespace) OPERATOR(pg_catalog.=) 1 THEN 'ROUTINE' ELSE '' END",
            4,
            "p.proname",
            "p.proowner",
            "pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace",
        ),
        owned(
            "'TYPE'",
            5,
            "t.typname",
            "t.typowner",
            "pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace",
        ),
    ]
    .join(" UNION ALL ")
        + ") AS f ORDER BY f.rank LIMIT 2";
    let found = rows(link, &sql)?;
    let mut advice = Vec::new();
    for row in &found {
        let column = |n: usize| row.get(n).and_then(Option::as_deref).unwrap_or_default();
        let (kind, name, what, role) = (column(0), column(1), column(2), ident(column(5)));
        match kind {
            "SCHEMA" | "DATABASE" => advice.push(format!("`GRANT {what} ON {kind} {name} TO {role}`")),
            // Rights on objects in a schema or database of the same name are less likely.
            _ if !advice.is_empty() => {}
            _ => {
                let owner = ident(what);
                let lacks = format!("the role {role} lacks a right on {name}, which belongs to");
                // Membership in a superuser's role would give every right of a superuser.
                return Some(match (column(3) == "t", kind) {
                    (false, _) => format!(
                        "{lacks} the role {owner}: grant the right, or migrate as that role; only its members can change or \
                         drop it: `GRANT {owner} TO {role}`"
                    ),
                    (true, _) if name.starts_with("bustard.") => {
                        format!("{lacks} the superuser {owner}: grant the right")
                    }
                    (true, "") => {
                        format!("{lacks} the superuser {owner}: grant the right, or change the owner")
                    }
                    (true, _) => format!(
                        "{lacks} the superuser {owner}: grant the right; only the owner can change or drop it: \
                         `ALTER {kind} {name} OWNER TO {role}`"
                    ),
                });
            }
        }
    }
    if advice.is_empty() {
        return None;
    }
    Some(format!("grant the right that the role lacks: {}", advice.join(", or ")))
}
