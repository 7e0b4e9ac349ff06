//! The port of the catalog: which of the tables that an uninstall would drop exist, how
//! many rows they have, and what refers to them.
//!
//! In: names as written in SQL. Out: tables with their schemas. Each call takes the
//! function that runs queries, so it works before a transaction and inside it. The search
//! path matters only for a name without a schema. Such a name is resolved in the same way
//! as in the statement that drops the table.

use std::fmt;

use super::{Row, quote_ident};
use crate::diagnostic::{Action, Advice, Code, Diagnostic};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Dialect, TableName};

/// Runs a query.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<Row>>;

/// A table that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// `main` on SQLite.
    pub schema: String,
    pub name: String,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table that has the foreign key.
    pub from: Table,
    pub columns: Vec<String>,
    pub to: Table,
}

/// A view or trigger, with its kind, name and SQL.
pub type Definition = [String; 3];

/// Queries an engine's catalog.
pub trait Inspector: fmt::Debug + Sync {
    /// Returns the existing tables among these names, and all tables of the schemas. The
    /// result has no duplicates and is sorted by name.
    fn tables(&self, ask: Ask<'_>, names: &[TableName], schemas: &[String]) -> Result<Vec<Table>>;

    /// Counts the rows of each table.
    fn count(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<u64>>;

    /// Returns the foreign keys from other tables onto these tables, in the order of the
    /// other tables.
    fn references(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<Reference>>;

    /// Returns foreign keys onto dropped tables, on an engine that allows them.
    fn dangling(&self, ask: Ask<'_>, dropped: &[Table]) -> Result<Vec<Reference>>;

    /// Returns the views that may use the tables, and the triggers of other tables that may
    /// use them. Empty on an engine that does not keep a view or trigger when a table that
    /// it uses is dropped.
    fn views_and_triggers(&self, ask: Ask<'_>, tables: &[Table]) -> Result<Vec<Definition>>;
}

impl Table {
    /// Returns the name for display, without the schema on an engine that has only one
    /// schema.
    pub(crate) fn shown(&self, dialect: &'static dyn Dialect) -> String {
        let schema = dialect.has_schemas().then_some(self.schema.as_str());
        TableName::of(schema, &self.name).to_string()
    }

    /// Returns the name in SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl Reference {
    /// Builds the diagnostic for a foreign key that prevents a table from being dropped.
    pub(crate) fn in_the_way(&self, dialect: &'static dyn Dialect) -> Diagnostic {
        let (table, references) = (self.from.shown(dialect), self.to.shown(dialect));
        let columns = self.columns.join(", ");
        let message = format!(
            "the table {table} has a foreign key ({columns}) onto {references}, which would be dropped"
        );
        let advice = format!(
            "drop that foreign key in a migration of the app that {table} belongs to, or uninstall that app first; or "
        );
        Diagnostic::new(Code::ReferencedTable, message)
            .help(Advice::text(advice).then(Action::KeepData).and(" leaves the tables where they are"))
    }
}

/// Reads rows of schema and name.
pub(super) fn tables(rows: Vec<Row>) -> Result<Vec<Table>> {
    let one = |row: Row| table(&mut row.into_iter());
    let mut tables = rows.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    tables.sort();
    tables.dedup();
    Ok(tables)
}

/// Counts the rows of each table with `count`.
pub(super) fn count(ask: Ask<'_>, tables: &[Table], count: &str) -> Result<Vec<u64>> {
    let mut counts = Vec::with_capacity(tables.len());
    for table in tables {
        let rows = ask(&format!("SELECT {count} FROM {}", table.quoted()))?;
        let count = rows.into_iter().next().and_then(|row| row.into_iter().next()??.parse().ok());
        counts.push(count.ok_or_else(strange)?);
    }
    Ok(counts)
}

/// Reads rows of key, table, column and table, one for each column of a key.
pub(super) fn references(rows: Vec<Row>) -> Result<Vec<Reference>> {
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

fn table(columns: &mut impl Iterator<Item = Option<String>>) -> Result<Table> {
    match (columns.next().flatten(), columns.next().flatten()) {
        (Some(schema), Some(name)) => Ok(Table { schema, name }),
        _ => Err(strange()),
    }
}

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Failed, "the database's catalog returned unexpected columns")
}
