//! PostgreSQL's SQL.

use sea_query::{Expr, PostgresQueryBuilder, QueryBuilder as _, SchemaStatement, SimpleExpr, Value};

#[cfg(feature = "_sql")]
use super::refuse;
use crate::sql::{Dialect, Query, Semicolons, Shell, Syntax, write_query, write_schema};
#[cfg(feature = "_sql")]
use crate::sql::{Unit, Verdict};

/// PostgreSQL's SQL.
pub(crate) const POSTGRES: &dyn Dialect = &PostgresDialect;

#[derive(Debug)]
struct PostgresDialect;

static SYNTAX: Syntax = Syntax {
    #[cfg(feature = "_sql")]
    tokenizer: || &sqlparser::dialect::PostgreSqlDialect {},
    escaped_strings: true,
    foreign_quotes: false,
    nested_comments: true,
    semicolons: Semicolons::ParenthesesAndBlocks,
    shell: Shell::Backslash,
    folds_quoted_names: false,
    default_schema: None,
    backslash_setting: true,
};

/// The schema of everything that is Bustard's own, so that apps in different schemas
/// of one database share it.
const SCHEMA: &str = "bustard";

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn variant(&self) -> &'static str {
        "postgres"
    }

    fn syntax(&self) -> &'static Syntax {
        &SYNTAX
    }

    fn shell(&self) -> &'static str {
        "psql"
    }

    #[cfg(feature = "_sql")]
    fn refuse(&self, unit: &Unit<'_>) -> Verdict {
        refuse::refuse(unit)
    }

    fn has_schemas(&self) -> bool {
        true
    }

    fn longest_table_name(&self) -> Option<usize> {
        Some(63)
    }

    fn own_table(&self, table: &'static str) -> (&'static str, String) {
        (SCHEMA, table.to_owned())
    }

    fn apps_query(&self) -> &'static str {
        "SELECT a.label, a.history, a.state FROM bustard.app AS a UNION ALL SELECT NULL, NULL, 'guest' \
         WHERE NOT pg_catalog.has_table_privilege('bustard.migration', 'INSERT')"
    }

    fn own_schema(&self) -> Option<&'static str> {
        Some(SCHEMA)
    }

    fn literal(&self, text: &str) -> String {
        PostgresQueryBuilder.value_to_string(&text.into())
    }

    fn equals(&self) -> &'static str {
        "OPERATOR(pg_catalog.=)"
    }

    /// The search path may name a schema that another role fills, before `pg_catalog`.
    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr {
        let equals = self.equals();
        let places: Vec<String> = (1..=values.len()).map(|n| format!("{column} {equals} ${n}")).collect();
        let places = if places.is_empty() { "false".to_owned() } else { places.join(" OR ") };
        Expr::cust_with_values(format!("({places})"), values)
    }

    fn write(&self, query: Query<'_>) -> String {
        write_query(query, PostgresQueryBuilder)
    }

    fn write_schema(&self, statement: &SchemaStatement) -> Option<String> {
        write_schema(statement, PostgresQueryBuilder)
    }
}
