//! SQLite's SQL.

use sea_query::{
    Expr, ExprTrait as _, QueryBuilder as _, SchemaStatement, SimpleExpr, SqliteQueryBuilder, TableStatement,
    Value,
};

use super::records::SqliteRecords;
#[cfg(feature = "_sql")]
use super::refuse;
use super::registry_sql::SqliteRegistrySql;
#[cfg(feature = "_sql")]
use crate::sql::{Admission, Unit};
use crate::sql::{
    Dialect, Query, RecordsSql, RegistrySql, Semicolons, Shell, Syntax, write_query, write_schema,
};

/// SQLite's SQL.
pub(crate) const SQLITE: &dyn Dialect = &SqliteDialect;

#[derive(Debug)]
struct SqliteDialect;

static SYNTAX: Syntax = Syntax {
    #[cfg(feature = "_sql")]
    tokenizer: || &sqlparser::dialect::SQLiteDialect {},
    escaped_strings: false,
    foreign_quotes: true,
    nested_comments: false,
    semicolons: Semicolons::Triggers,
    shell: Shell::FullStop,
    folds_quoted_names: true,
    // SQLite finds a name without a schema in `main`, unless it is a temporary table.
    default_schema: Some("main"),
};

impl Dialect for SqliteDialect {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn variant(&self) -> &'static str {
        "sqlite"
    }

    fn syntax(&self) -> &'static Syntax {
        &SYNTAX
    }

    fn shell(&self) -> &'static str {
        "the sqlite3 shell"
    }

    #[cfg(feature = "_sql")]
    fn refuse(&self, unit: &Unit<'_>) -> Admission {
        refuse::refuse(unit)
    }

    fn registry(&self) -> &'static dyn RegistrySql {
        &SqliteRegistrySql
    }

    fn records(&self) -> &'static dyn RecordsSql {
        &SqliteRecords
    }

    fn has_schemas(&self) -> bool {
        false
    }

    fn longest_table_name(&self) -> Option<usize> {
        None
    }

    fn own_table(&self, table: &'static str) -> (&'static str, String) {
        ("main", format!("bustard_{table}"))
    }

    fn own_schema(&self) -> Option<&'static str> {
        None
    }

    fn literal(&self, text: &str) -> String {
        SqliteQueryBuilder.value_to_string(&text.into())
    }

    fn equals(&self) -> &'static str {
        "="
    }

    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr {
        Expr::col(column).is_in(values)
    }

    fn check_deferred(&self) -> Option<&'static str> {
        None
    }

    fn write(&self, query: Query<'_>) -> String {
        write_query(query, SqliteQueryBuilder)
    }

    /// SQLite has no TRUNCATE and cannot alter foreign keys.
    fn write_schema(&self, statement: &SchemaStatement) -> Option<String> {
        match statement {
            SchemaStatement::TableStatement(TableStatement::Truncate(_))
            | SchemaStatement::ForeignKeyStatement(_) => None,
            statement => write_schema(statement, SqliteQueryBuilder),
        }
    }
}
