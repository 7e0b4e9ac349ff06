//! Finds and reads refinery's history tables on PostgreSQL.
//!
//! The first read is one message: it queries the place and the columns of each table, and
//! then all rows of all tables. A name without a schema is looked up in the search path
//! once, as refinery does. After that, the name is qualified.

use std::fmt::Write as _;

use super::quote_text;
use super::simple_query::{Answer, Link};
use crate::engine::postgres::rights::{self, REFUSED, Rights};
use crate::engine::{Failure, Row, applied, other_shape, quote_ident};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Applied, History, HistoryTable, Width};

/// A history table that was found, or the place where it will be created.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub app: String,
    /// The name with its schema, quoted for SQL.
    pub quoted: String,
    /// The role that owns the table.
    pub owner: Option<String>,
    /// `None` if the table does not exist.
    pub width: Option<Width>,
}

impl Resolved {
    /// Returns whether the place still has the same table. The owner of a table that this
    /// session has created is not known.
    pub(super) fn is_still(&self, before: &Resolved) -> bool {
        (&self.quoted, self.width) == (&before.quoted, before.width)
            && (before.owner.is_none() || self.owner == before.owner)
    }

    /// Returns the history with these rows.
    pub(super) fn history(&self, applied: Vec<Applied>) -> History {
        History { place: self.quoted.clone(), owner: self.owner.clone(), width: self.width, applied }
    }
}

/// Returns the quoted name of the history table of an app.
pub(super) fn place<'r>(resolved: &'r [Resolved], app: &str) -> &'r str {
    resolved.iter().find(|table| table.app == app).map_or("", |table| &table.quoted)
}

const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_SCHEMA: &str = "3F000";
const UNDEFINED_COLUMN: &str = "42703";
const UNDEFINED_FUNCTION: &str = "42883";

/// The result of a first read.
pub(super) struct Read {
    pub resolved: Vec<Resolved>,
    pub histories: Vec<History>,
    /// The rows of the additional queries.
    pub rows: Vec<Vec<Row>>,
}

/// Looks all tables up, reads them, and runs the additional queries. Takes one round
/// trip if everything exists.
pub(super) fn read(
    link: &mut impl Link,
    tables: &[HistoryTable],
    queries: &[&str],
    rights: &Rights,
) -> Result<Read> {
    let names: Vec<String> = tables.iter().map(unresolved).collect();
    let names = || names.iter().map(String::as_str);
    // The guard comes first, before anything is read that another role may have made.
    let lookup = lookup(tables, &rights.guard(names()));
    let unresolved = tables.iter().enumerate().map(|(i, table)| (i, unresolved(table)));
    let look = format!("{lookup};{}", rows_of(unresolved));
    let mut answer = send_with(link, &look, 2, queries);
    if let Some(failure) = answer.failure.take() {
        if !is_absence(&failure) {
            return Err(refused(link, &rights.findings(names()), failure));
        }
        if answer.results.is_empty() {
            answer = link.send(&lookup, true);
            if let Some(failure) = answer.failure.take() {
                return Err(refused(link, &rights.findings(names()), failure));
            }
        }
        let resolved = resolve(tables, first(&answer))?;
        let existing = resolved.iter().enumerate().filter(|(_, table)| table.width.is_some());
        let existing: Vec<_> = existing.map(|(i, table)| (i, table.quoted.clone())).collect();
        let mut results = Vec::new().into_iter();
        if !existing.is_empty() {
            let answer = send_with(link, &rows_of(existing.into_iter()), 1, queries);
            results = answer.all().map_err(Failure::into_error)?.into_iter();
        }
        let histories = histories(&resolved, results.next().unwrap_or_default())?;
        return Ok(Read { resolved, histories, rows: results.collect() });
    }
    let rows = answer.results.split_off(2.min(answer.results.len()));
    let applied = answer.results.pop().unwrap_or_default();
    let resolved = resolve(tables, first(&answer))?;
    let histories = histories(&resolved, applied)?;
    Ok(Read { resolved, histories, rows })
}

/// Builds the error of a message that begins with the guard. If it was the guard that
/// failed, `findings` is the query for the reasons.
pub(super) fn refused(link: &mut impl Link, findings: &str, failure: Failure) -> Error {
    if failure.server_message.code.as_deref() != Some(REFUSED) {
        return failure.into_error();
    }
    match link.send(findings, true).all() {
        Ok(results) => {
            let rows = results.into_iter().next_back().unwrap_or_default();
            rights::refused(rows).unwrap_or_else(|| failure.into_error())
        }
        Err(failure) => failure.into_error(),
    }
}

/// Sends `count` statements and then the queries. If a query refers to an object that does
/// not exist, the query and all queries after it have no result. The results before it are
/// returned.
fn send_with(link: &mut impl Link, sql: &str, count: usize, queries: &[&str]) -> Answer {
    let Some((_, fewer)) = queries.split_last() else { return link.send(sql, true) };
    let mut answer = link.send(&format!("{sql};{}", queries.join(";")), true);
    let absent = |failure: &Failure| {
        let code = failure.server_message.code.as_deref();
        matches!(code, Some(UNDEFINED_FUNCTION | UNDEFINED_SCHEMA | UNDEFINED_TABLE))
    };
    if answer.failure.as_ref().is_some_and(absent) {
        if answer.results.len() >= count {
            answer.failure = None;
        } else if answer.results.is_empty() {
            // The failure does not tell which statement failed, so the last query is left
            // out.
            return send_with(link, sql, count, fewer);
        }
    }
    answer
}

fn is_absence(failure: &Failure) -> bool {
    matches!(
        failure.server_message.code.as_deref(),
        Some(UNDEFINED_TABLE | UNDEFINED_SCHEMA | UNDEFINED_COLUMN)
    )
}

fn unresolved(table: &HistoryTable) -> String {
    let name = quote_ident(&table.name);
    match &table.schema {
        Some(schema) => format!("{}.{name}", quote_ident(schema)),
        None => name,
    }
}

/// Builds the lookup of all tables. Qualifies operators like everything else, because
/// the search path may put another role's schema before `pg_catalog`.
///
/// Returns one row for each table: its schema if it exists, its columns with types, the
/// schema in which it would be created, its owner, and the guard, if there is one. It is
/// also run under the lock, where it shows whether another session has created, dropped or moved a table.
///
/// PostgreSQL caches which names it has not found, until it processes invalidation
/// messages. It does so when a transaction begins, which was before the lock was taken,
/// and when a relation is locked: hence the JOINs.
pub(super) fn lookup(tables: &[HistoryTable], guard: &str) -> String {
    let mut sql = String::from(
        "SELECT n.nspname, (SELECT pg_catalog.string_agg(pg_catalog.concat(a.attname, ' ', pg_catalog.format_type(a.atttypid, NULL)), ',') \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped), \
         pg_catalog.current_schema(), pg_catalog.pg_get_userbyid(c.relowner)",
    );
    if !guard.is_empty() {
        let _ = write!(sql, ", {guard}");
    }
    sql.push_str(" FROM (VALUES ");
    for (i, table) in tables.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}({i}, pg_catalog.to_regclass({}))", quote_text(&unresolved(table)));
    }
    sql.push_str(
        ") t (i, oid) LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid \
         LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace ORDER BY t.i",
    );
    sql
}

/// Reads all rows of all tables in one statement, each with its table's number.
fn rows_of(tables: impl Iterator<Item = (usize, String)>) -> String {
    let selects = tables.map(|(i, quoted)| {
        format!("SELECT {i}, version::pg_catalog.int8, name, applied_on, checksum FROM {quoted}")
    });
    selects.collect::<Vec<_>>().join(" UNION ALL ")
}

fn first(answer: &Answer) -> &[Row] {
    answer.results.first().map(Vec::as_slice).unwrap_or_default()
}

/// Reads the answer to [`lookup`].
pub(super) fn resolve(tables: &[HistoryTable], rows: &[Row]) -> Result<Vec<Resolved>> {
    tables.iter().zip(rows).map(|(table, row)| resolve_one(table, row)).collect()
}

fn resolve_one(table: &HistoryTable, row: &Row) -> Result<Resolved> {
    let column = |i: usize| row.get(i).and_then(Option::as_deref);
    let width = match (column(0), column(1)) {
        (None, _) => None,
        (Some(_), columns) => Some(width(&table.name, columns.unwrap_or_default())?),
    };
    let schema = column(0).or(table.schema.as_deref()).or(column(2)).ok_or_else(|| {
        let message = format!("there is no schema in which to create the table {}", table.name);
        Error::new(ErrorKind::Failed, message).help(
            "the search path names no schema that exists: create one, or set the role's or database's search_path",
        )
    })?;
    Ok(Resolved {
        app: table.app.clone(),
        quoted: format!("{}.{}", quote_ident(schema), quote_ident(&table.name)),
        owner: column(0).and(column(3)).map(str::to_owned),
        width,
    })
}

/// Returns which of refinery's two table shapes the table has. `columns` is a list such as
/// `version integer,name character varying,…`.
fn width(table: &str, columns: &str) -> Result<Width> {
    let type_of =
        |name: &str| columns.split(',').find_map(|column| column.strip_prefix(name)?.strip_prefix(' '));
    let text = |name| matches!(type_of(name), Some("character varying" | "text"));
    let width = match type_of("version") {
        Some("integer") => Some(Width::Int4),
        Some("bigint") => Some(Width::Int8),
        _ => None,
    };
    match width {
        Some(width) if text("name") && text("applied_on") && text("checksum") => Ok(width),
        _ => Err(other_shape(table, &columns.replace(',', ", "))),
    }
}

fn histories(resolved: &[Resolved], rows: Vec<Row>) -> Result<Vec<History>> {
    let mut histories: Vec<History> = resolved.iter().map(|table| table.history(Vec::new())).collect();
    for mut row in rows {
        let number = row.first().and_then(|n| n.as_deref()?.parse::<usize>().ok());
        let Some(history) = number.and_then(|n| histories.get_mut(n)) else { continue };
        row.remove(0);
        let table = number.map_or("", |n| &resolved[n].quoted);
        history.applied.push(applied(table, row)?);
    }
    for history in &mut histories {
        history.applied.sort_by_key(|applied| applied.version);
    }
    Ok(histories)
}
