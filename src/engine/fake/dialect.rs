//! The SQL of the fake engine, which only tests use.

use sea_query::{Expr, SchemaStatement, SimpleExpr, SqliteQueryBuilder, Value};

use crate::sql::{
    Admission, Dialect, Manner, Query, RecordsSql, RegistrySql, Semicolons, Shell, Syntax, TrackedTable,
    Unit, write_query, write_schema,
};

/// The prefix of statements on Bustard's own tables.
pub(super) const OWN: &str = "OWN";

#[derive(Debug)]
pub(super) struct FakeDialect;

static SYNTAX: Syntax = Syntax {
    tokenizer: || &sqlparser::dialect::GenericDialect {},
    escaped_strings: false,
    foreign_quotes: false,
    nested_comments: true,
    semicolons: Semicolons::ParenthesesAndBlocks,
    shell: Shell::Backslash,
    folds_quoted_names: false,
    default_schema: None,
};

impl Dialect for FakeDialect {
    fn name(&self) -> &'static str {
        "Fake"
    }

    fn variant(&self) -> &'static str {
        "fake"
    }

    fn syntax(&self) -> &'static Syntax {
        &SYNTAX
    }

    fn shell(&self) -> &'static str {
        "fakesql"
    }

    fn refuse(&self, _: &Unit<'_>) -> Admission {
        Admission::Admitted
    }

    fn registry(&self) -> &'static dyn RegistrySql {
        &FakeRegistrySql
    }

    fn records(&self) -> &'static dyn RecordsSql {
        &FakeRecords
    }

    fn has_schemas(&self) -> bool {
        false
    }

    fn longest_table_name(&self) -> Option<usize> {
        None
    }

    fn own_table(&self, table: &'static str) -> (&'static str, String) {
        ("own", table.to_owned())
    }

    fn own_schema(&self) -> Option<&'static str> {
        None
    }

    fn literal(&self, text: &str) -> String {
        format!("'{text}'")
    }

    fn equals(&self) -> &'static str {
        "IS"
    }

    fn among(&self, column: &'static str, values: Vec<Value>) -> SimpleExpr {
        Expr::cust_with_values(format!("{column} AMONG ?"), values)
    }

    fn check_deferred(&self) -> Option<&'static str> {
        None
    }

    fn write(&self, query: Query<'_>) -> String {
        format!("{OWN} {}", write_query(query, SqliteQueryBuilder))
    }

    fn write_schema(&self, statement: &SchemaStatement) -> Option<String> {
        write_schema(statement, SqliteQueryBuilder)
    }
}

#[derive(Debug)]
struct FakeRegistrySql;

impl RegistrySql for FakeRegistrySql {
    fn list(&self) -> &'static str {
        "LIST"
    }

    fn names(&self) -> &'static str {
        "CACHES"
    }

    fn owned(&self) -> &'static str {
        "CACHES"
    }

    fn former(&self) -> &'static str {
        "CACHES"
    }

    fn missing_triggers(&self) -> &'static str {
        "MISSING"
    }

    fn owners(&self, _: &[&str]) -> String {
        "CACHES".to_owned()
    }

    fn version(&self, name: &str) -> String {
        format!("VERSION OF {name}")
    }

    fn identity(&self, name: &str) -> String {
        format!("IDENTITY OF {name}")
    }

    fn key_version(&self, name: &str, key: &[&str]) -> String {
        format!("VERSION {name} {key:?}")
    }

    fn key_identity(&self, name: &str, key: &[&str]) -> String {
        format!("IDENTITY {name} {key:?}")
    }

    fn invalidate_all(&self) -> String {
        "INVALIDATE ALL".to_owned()
    }

    fn forget_all(&self, app: &str) -> String {
        format!("FORGET {app}")
    }

    fn shown_register(&self, name: &str, _: &[TrackedTable], _: Option<&str>, _: Manner) -> String {
        format!("REGISTER {name}")
    }

    fn shown_change(&self, name: &str, _: &[TrackedTable], _: Option<&str>, _: Manner) -> String {
        format!("CHANGE {name}")
    }

    fn shown_unregister(&self, name: &str, _: bool, _: Manner) -> String {
        format!("UNREGISTER {name}")
    }

    fn notify(&self) -> Option<&'static str> {
        None
    }
}

#[derive(Debug)]
struct FakeRecords;

impl RecordsSql for FakeRecords {
    fn apps(&self) -> &'static str {
        "APPS"
    }

    fn new_identity(&self) -> &'static str {
        "NEW IDENTITY"
    }

    fn repeatables(&self) -> String {
        "REPEATABLES".to_owned()
    }

    fn definition(&self, name: &str) -> SimpleExpr {
        Expr::cust(format!("DEFINITION OF {name}"))
    }

    fn is_current(&self) -> SimpleExpr {
        Expr::cust("CURRENT")
    }

    fn boolean(&self, value: bool) -> SimpleExpr {
        Expr::cust(value.to_string())
    }

    fn now(&self) -> SimpleExpr {
        Expr::cust("NOW")
    }

    fn create_schema(&self) -> Option<&'static str> {
        None
    }

    fn revoke_defaults(&self, _: &str) -> Option<String> {
        None
    }

    fn settle_owner(&self) -> Option<&'static str> {
        None
    }
}
