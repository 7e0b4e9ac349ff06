//! The port for text: how an engine writes SQL, and what it cannot take.
//!
//! Everything here is pure. What runs on a connection goes through the ports in
//! `engine`.

use std::fmt;

use sea_query::{
    DeleteStatement, ForeignKeyStatement, IndexStatement, InsertStatement, QueryBuilder, SchemaBuilder,
    SchemaStatement, SelectStatement, SimpleExpr, TableStatement, UpdateStatement, Value,
};

use super::records::RecordsSql;
#[cfg(feature = "_sql")]
use super::refuse::{Admission, transaction_control};
use super::registry::RegistrySql;
#[cfg(feature = "_sql")]
use super::split::Unit;
use super::syntax::Syntax;

/// An engine's SQL.
pub trait Dialect: fmt::Debug + Sync {
    /// The engine's name for people: `PostgreSQL`.
    fn name(&self) -> &'static str;

    /// The engine's name in file names and documents: `postgres`.
    fn variant(&self) -> &'static str;

    /// How its SQL is cut into statements and names.
    fn syntax(&self) -> &'static Syntax;

    /// What its shell is called: `psql`.
    fn shell(&self) -> &'static str;

    /// Whether a migration can contain the statement, as far as this engine alone
    /// decides.
    #[cfg(feature = "_sql")]
    fn refuse(&self, unit: &Unit<'_>) -> Admission;

    /// The SQL on the registry of caches.
    fn registry(&self) -> &'static dyn RegistrySql;

    /// The SQL on records of apps and repeatable migrations.
    fn records(&self) -> &'static dyn RecordsSql;

    /// Whether tables are in schemas that users name.
    fn has_schemas(&self) -> bool;

    /// The most bytes that a table's name has, where the engine cuts longer ones.
    fn longest_table_name(&self) -> Option<usize>;

    /// One of Bustard's own tables, with its schema: `app`, `migration`, `cache`.
    fn own_table(&self, table: &'static str) -> (&'static str, String);

    /// The schema of Bustard's own history, where it has one.
    fn own_schema(&self) -> Option<&'static str>;

    /// A string literal that reads alike whatever the session's settings are.
    fn literal(&self, text: &str) -> String;

    /// The operator `=`, qualified where a session could redefine it.
    fn equals(&self) -> &'static str;

    /// Whether a column has one of these values, with qualified operators.
    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr;

    /// Checks what is deferred, as a commit would; `None` where nothing that is pending
    /// keeps a table from being altered or dropped.
    fn check_deferred(&self) -> Option<&'static str>;

    /// Writes a query.
    fn write(&self, query: Query<'_>) -> String;

    /// Writes a schema statement; `None` where sea-query cannot for this engine.
    fn write_schema(&self, statement: &SchemaStatement) -> Option<String>;
}

/// What [`Dialect::write`] writes.
#[derive(Clone, Copy, Debug)]
pub enum Query<'q> {
    Select(&'q SelectStatement),
    Insert(&'q InsertStatement),
    Update(&'q UpdateStatement),
    Delete(&'q DeleteStatement),
}

/// Writes a [`Query`] with a sea-query builder.
pub(crate) fn write_query(query: Query<'_>, builder: impl QueryBuilder) -> String {
    match query {
        Query::Select(query) => query.to_string(builder),
        Query::Insert(query) => query.to_string(builder),
        Query::Update(query) => query.to_string(builder),
        Query::Delete(query) => query.to_string(builder),
    }
}

/// Writes a `SchemaStatement` with a sea-query builder; `None` for a kind that this
/// version does not know, and where sea-query panics because the engine cannot do it.
pub(crate) fn write_schema(statement: &SchemaStatement, builder: impl SchemaBuilder) -> Option<String> {
    let write = || {
        Some(match statement {
            SchemaStatement::TableStatement(TableStatement::Create(create)) => create.to_string(builder),
            SchemaStatement::TableStatement(TableStatement::Alter(alter)) => alter.to_string(builder),
            SchemaStatement::TableStatement(TableStatement::Drop(drop)) => drop.to_string(builder),
            SchemaStatement::TableStatement(TableStatement::Rename(rename)) => rename.to_string(builder),
            SchemaStatement::TableStatement(TableStatement::Truncate(truncate)) => {
                truncate.to_string(builder)
            }
            SchemaStatement::IndexStatement(IndexStatement::Create(create)) => create.to_string(builder),
            SchemaStatement::IndexStatement(IndexStatement::Drop(drop)) => drop.to_string(builder),
            SchemaStatement::ForeignKeyStatement(ForeignKeyStatement::Create(create)) => {
                create.to_string(builder)
            }
            SchemaStatement::ForeignKeyStatement(ForeignKeyStatement::Drop(drop)) => drop.to_string(builder),
            _ => return None,
        })
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).ok().flatten()
}

impl fmt::Display for dyn Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl dyn Dialect {
    /// Whether a migration can contain the statement.
    #[cfg(feature = "_sql")]
    pub(crate) fn judge(&self, unit: &Unit<'_>) -> Admission {
        transaction_control(unit).unwrap_or_else(|| self.refuse(unit))
    }
}
