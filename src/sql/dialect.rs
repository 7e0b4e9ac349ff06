//! The port for an engine's SQL text, and for the statements that the engine does not
//! support.
//!
//! In: data. Out: SQL text. Everything here is pure; the ports in `engine` run statements
//! on connections.

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
    /// Returns the engine's name for people: `PostgreSQL`.
    fn name(&self) -> &'static str;

    /// Returns the engine's name in file names and documents: `postgres`.
    fn variant(&self) -> &'static str;

    /// Returns the rules for splitting the engine's SQL into statements and names.
    fn syntax(&self) -> &'static Syntax;

    /// Returns the name of the engine's shell: `psql`.
    fn shell(&self) -> &'static str;

    /// Returns whether a command of the shell only protects the shell from the text, so that
    /// a migration does not need it.
    fn shell_only(&self, _command: &str) -> bool {
        false
    }

    /// Decides whether a migration can contain the statement, by this engine's rules only.
    #[cfg(feature = "_sql")]
    fn refuse(&self, unit: &Unit<'_>) -> Admission;

    /// Returns the SQL on the registry of caches.
    fn registry(&self) -> &'static dyn RegistrySql;

    /// Returns the SQL on records of apps and repeatable migrations.
    fn records(&self) -> &'static dyn RecordsSql;

    /// Returns whether tables are in schemas with names that users choose.
    fn has_schemas(&self) -> bool;

    /// Returns the length of the longest table name in bytes, if the engine truncates
    /// longer names.
    fn longest_table_name(&self) -> Option<usize>;

    /// Returns the schema and name of one of Bustard's own tables: `app`, `migration`,
    /// `cache`.
    fn own_table(&self, table: &'static str) -> (&'static str, String);

    /// Returns the schema of Bustard's own history, if the engine has schemas.
    fn own_schema(&self) -> Option<&'static str>;

    /// Returns a string literal that does not depend on the session's settings.
    fn literal(&self, text: &str) -> String;

    /// Returns the operator `=`, qualified if a session could redefine it.
    fn equals(&self) -> &'static str;

    /// Returns an expression that is true if a column has one of these values, with
    /// qualified operators.
    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr;

    /// Returns the statement that checks deferred constraints as a commit would; `None` if
    /// pending checks do not prevent altering or dropping a table on this engine.
    fn check_deferred(&self) -> Option<&'static str>;

    /// Writes a query.
    fn write(&self, query: Query<'_>) -> String;

    /// Writes a schema statement; `None` if sea-query does not support it on this engine.
    fn write_schema(&self, statement: &SchemaStatement) -> Option<String>;
}

/// A query for [`Dialect::write`].
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

/// Writes a `SchemaStatement` with a sea-query builder; `None` for an unknown kind of
/// statement, and if sea-query panics because the engine does not support it.
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
    /// Decides whether a migration can contain the statement.
    #[cfg(feature = "_sql")]
    pub(crate) fn judge(&self, unit: &Unit<'_>) -> Admission {
        transaction_control(unit).unwrap_or_else(|| self.refuse(unit))
    }
}
