//! PostgreSQL's SQL.

use sea_query::{Expr, PostgresQueryBuilder, SchemaStatement, SimpleExpr, Value};

use super::literal::literal;
use super::records::PostgresRecords;
#[cfg(feature = "_sql")]
use super::refuse;
use super::registry::PostgresRegistry;
#[cfg(feature = "_sql")]
use crate::sql::{Admission, Unit};
use crate::sql::{
    Dialect, Query, RecordsSql, RegistrySql, Semicolons, Shell, Syntax, write_query, write_schema,
};

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
};

/// The schema of Bustard's own objects. Its name is fixed, so that apps in different
/// schemas of one database share these objects.
const SCHEMA: &str = "bustard";

/// Runs the deferred checks, as a commit would. While a check of a table is pending, the
/// next migration could not alter or drop the table.
const CHECK_DEFERRED: &str = "DO $$ DECLARE deferred pg_catalog.text := \
    (SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.conname), ',') FROM \
        (SELECT connamespace, conname FROM pg_catalog.pg_constraint GROUP BY connamespace, conname \
         HAVING pg_catalog.bool_or(condeferred) AND pg_catalog.bool_and(condeferrable)) AS c \
     JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.connamespace); \
    BEGIN IF deferred IS NOT NULL THEN SET CONSTRAINTS ALL IMMEDIATE; \
    EXECUTE pg_catalog.format('SET CONSTRAINTS %s DEFERRED', deferred); END IF; END $$";

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

    /// pg_dump writes these commands around its output, so that psql runs no other command
    /// that the output may contain.
    fn shell_only(&self, command: &str) -> bool {
        matches!(command, "\\restrict" | "\\unrestrict")
    }

    #[cfg(feature = "_sql")]
    fn refuse(&self, unit: &Unit<'_>) -> Admission {
        refuse::refuse(unit)
    }

    fn registry(&self) -> &'static dyn RegistrySql {
        &PostgresRegistry
    }

    fn records(&self) -> &'static dyn RecordsSql {
        &PostgresRecords
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

    fn own_schema(&self) -> Option<&'static str> {
        Some(SCHEMA)
    }

    fn literal(&self, text: &str) -> String {
        literal(text)
    }

    fn equals(&self) -> &'static str {
        "OPERATOR(pg_catalog.=)"
    }

    /// Qualifies the operator: the search path may put another role's schema before
    /// `pg_catalog`.
    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr {
        let equals = self.equals();
        let places: Vec<String> = (1..=values.len()).map(|n| format!("{column} {equals} ${n}")).collect();
        let places = if places.is_empty() { "false".to_owned() } else { places.join(" OR ") };
        Expr::cust_with_values(format!("({places})"), values)
    }

    fn check_deferred(&self) -> Option<&'static str> {
        Some(CHECK_DEFERRED)
    }

    fn write(&self, query: Query<'_>) -> String {
        write_query(query, PostgresQueryBuilder)
    }

    fn write_schema(&self, statement: &SchemaStatement) -> Option<String> {
        write_schema(statement, PostgresQueryBuilder)
    }
}
