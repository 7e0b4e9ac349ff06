//! What the database itself knows of the tables that an uninstall would drop: which
//! of them are there, how many rows they have, and who refers to them.
//!
//! In: names as SQL writes them. Out: tables with their schemas. Everything is
//! asked through whatever runs a query, so that it can be asked before a
//! transaction and in it. Nothing depends on the search path but where a name
//! without a schema is looked up: as the statement that drops it will.

use sea_query::{PostgresQueryBuilder, QueryBuilder, SqliteQueryBuilder};

use crate::engine::{Row, quote_ident};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Dialect, TableName};

/// Runs a query.
pub(crate) type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<Row>>;

/// A table that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    /// On SQLite `main`.
    pub schema: String,
    pub name: String,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Whose it is.
    pub from: Table,
    pub columns: Vec<String>,
    pub to: Table,
}

impl Table {
    /// The name for people: on SQLite, which looks there first, without `main`.
    pub(crate) fn shown(&self, dialect: &'static dyn Dialect) -> String {
        let schema = (dialect.has_schemas()).then_some(self.schema.as_str());
        TableName::of(schema, &self.name).to_string()
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// Those of the names that are tables now, and all tables of the schemas, each once,
/// in the order of their names.
pub(crate) fn tables(
    dialect: &'static dyn Dialect,
    ask: Ask<'_>,
    names: &[TableName],
    schemas: &[String],
) -> Result<Vec<Table>> {
    let mut found = Vec::new();
    if !names.is_empty() {
        found.extend(ask(&named(dialect, names))?);
    }
    if !schemas.is_empty() && dialect.has_schemas() {
        let schemas: Vec<String> = schemas.iter().map(|schema| text(dialect, schema)).collect();
        found.extend(ask(&format!(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE {IS_TABLE} AND n.nspname OPERATOR(pg_catalog.=) ANY (ARRAY[{}]::pg_catalog.name[])",
            schemas.join(",")
        ))?);
    }
    let mut tables = found.into_iter().map(|row| table(&mut row.into_iter())).collect::<Result<Vec<_>>>()?;
    tables.sort();
    tables.dedup();
    Ok(tables)
}

/// Ordinary and partitioned tables; the rows of partitions count with the latter.
const IS_TABLE: &str =
    "c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p']::pg_catalog.\"char\"[]) AND NOT c.relispartition";

fn named(dialect: &'static dyn Dialect, names: &[TableName]) -> String {
    match dialect.has_schemas() {
        true => {
            let values = names
                .iter()
                .map(|name| format!("(pg_catalog.to_regclass({}))", text(dialect, name.as_str())));
            format!(
                "SELECT n.nspname, c.relname FROM (VALUES {}) t (oid) \
                 JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.oid \
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p']::pg_catalog.\"char\"[])",
                values.collect::<Vec<_>>().join(",")
            )
        }
        false => {
            let names = names.iter().map(TableName::parts).filter(|(schema, _)| schema.is_none());
            let names: Vec<String> = names.map(|(_, name)| text(dialect, &name)).collect();
            format!(
                "SELECT 'main', name FROM main.sqlite_master \
                 WHERE type = 'table' AND name COLLATE NOCASE IN ({})",
                names.join(",")
            )
        }
    }
}

/// How many rows each of the tables has.
pub(crate) fn count(dialect: &'static dyn Dialect, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<u64>> {
    let mut counts = Vec::with_capacity(tables.len());
    let count = if dialect.has_schemas() { "pg_catalog.count(*)" } else { "count(*)" };
    for table in tables {
        let rows = ask(&format!("SELECT {count} FROM {}", table.quoted()))?;
        let count = rows.into_iter().next().and_then(|row| row.into_iter().next()??.parse().ok());
        counts.push(count.ok_or_else(strange)?);
    }
    Ok(counts)
}

/// The foreign keys onto these tables from others, in the order of their tables.
pub(crate) fn references(
    dialect: &'static dyn Dialect,
    ask: Ask<'_>,
    tables: &[Table],
) -> Result<Vec<Reference>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let rows = ask(&match dialect.has_schemas() {
        true => {
            let oids = tables
                .iter()
                .map(|table| format!("pg_catalog.to_regclass({})", text(dialect, &table.quoted())));
            postgres_references(&oids.collect::<Vec<_>>().join(","))
        }
        false => {
            let names: Vec<String> = tables.iter().map(|table| text(dialect, &table.name)).collect();
            sqlite_references(&names)
        }
    })?;
    let mut references: Vec<(Option<String>, Reference)> = Vec::new();
    for row in rows {
        let mut columns = row.into_iter();
        let key = columns.next().flatten();
        let from = table(&mut columns)?;
        let column = columns.next().flatten().ok_or_else(strange)?;
        let to = table(&mut columns)?;
        match references.last_mut() {
            Some((last, reference)) if *last == key && reference.from == from => {
                reference.columns.push(column)
            }
            _ => references.push((key, Reference { from, columns: vec![column], to })),
        }
    }
    Ok(references.into_iter().map(|(_, reference)| reference).collect())
}

/// Those onto tables that have been dropped: SQLite lets them be, and from then on
/// refuses to write to their tables.
pub(crate) fn dangling(
    dialect: &'static dyn Dialect,
    ask: Ask<'_>,
    dropped: &[Table],
) -> Result<Vec<Reference>> {
    if dialect.has_schemas() || dropped.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<TableName> = dropped.iter().map(|table| TableName::of(None, &table.name)).collect();
    let there = tables(dialect, ask, &names, &[])?;
    let mut left = references(dialect, ask, dropped)?;
    left.retain(|reference| !there.contains(&reference.to));
    Ok(left)
}

/// SQLite's views and triggers other than those of the tables, each with its kind, name
/// and SQL: it lets them be when a table goes that they use.
pub(crate) fn views_and_triggers(
    dialect: &'static dyn Dialect,
    ask: Ask<'_>,
    tables: &[Table],
) -> Result<Vec<[String; 3]>> {
    if dialect.has_schemas() || tables.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = tables.iter().map(|table| text(dialect, &table.name)).collect();
    let rows = ask(&format!(
        "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('view', 'trigger') \
         AND tbl_name NOT IN ({}) ORDER BY type, name",
        names.join(",")
    ))?;
    let one = |row: Row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok();
    rows.into_iter().map(|row| one(row).ok_or_else(strange)).collect()
}

/// A row for each column of each key. Keys of partitions are those of the tables
/// that they are partitions of.
fn postgres_references(oids: &str) -> String {
    format!(
        "SELECT k.oid, n.nspname, c.relname, a.attname, tn.nspname, t.relname FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) k.confrelid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace \
         CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, i) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) k.conrelid \
         AND a.attnum OPERATOR(pg_catalog.=) u.number \
         WHERE k.contype OPERATOR(pg_catalog.=) 'f'::pg_catalog.\"char\" AND k.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid \
         AND k.confrelid OPERATOR(pg_catalog.=) ANY (ARRAY[{oids}]::pg_catalog.oid[]) \
         AND k.conrelid OPERATOR(pg_catalog.<>) ALL (ARRAY[{oids}]::pg_catalog.oid[]) \
         ORDER BY n.nspname, c.relname, k.oid, u.i"
    )
}

fn sqlite_references(names: &[String]) -> String {
    let (names, rows) = (names.join(","), format!("({})", names.join("),(")));
    format!(
        "SELECT k.id, 'main', m.name, k.\"from\", 'main', t.name FROM main.sqlite_master m \
         JOIN pragma_foreign_key_list(m.name, 'main') k \
         JOIN (SELECT column1 AS name FROM (VALUES {rows})) t ON t.name = k.\"table\" COLLATE NOCASE \
         WHERE m.type = 'table' AND m.name NOT IN ({names}) ORDER BY m.name, k.id, k.seq"
    )
}

fn table(columns: &mut impl Iterator<Item = Option<String>>) -> Result<Table> {
    match (columns.next().flatten(), columns.next().flatten()) {
        (Some(schema), Some(name)) => Ok(Table { schema, name }),
        _ => Err(strange()),
    }
}

/// A string in SQL.
fn text(dialect: &'static dyn Dialect, text: &str) -> String {
    match dialect.has_schemas() {
        true => PostgresQueryBuilder.value_to_string(&text.into()),
        false => SqliteQueryBuilder.value_to_string(&text.into()),
    }
}

fn strange() -> Error {
    Error::new(ErrorKind::Failed, "the database's catalog gave an answer of another shape than asked for")
}
