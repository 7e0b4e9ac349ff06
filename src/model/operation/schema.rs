//! The operation "a sea-query schema statement".
//!
//! In: a statement of sea-query. Out: its SQL for an engine, and the statement that
//! reverts it.

use sea_query::{
    ForeignKey, ForeignKeyCreateStatement, ForeignKeyDropStatement, ForeignKeyStatement, Index,
    IndexCreateStatement, IndexDropStatement, IndexStatement, SchemaStatement, Table, TableAlterStatement,
    TableCreateStatement, TableDropStatement, TableRenameStatement, TableStatement, TableTruncateStatement,
};

use super::statement::summary;
use crate::sql::Dialect;

/// A sea-query statement that changes the schema. Convert sea-query's types with
/// `into()`; [`Migration::schema`](crate::Migration::schema) does this itself.
#[derive(Clone, Debug)]
pub struct Schema(Box<SchemaStatement>);

macro_rules! kinds {
    ($($group:ident($kind:ident $variant:ident): $statement:ident),* $(,)?) => {$(
        impl From<$statement> for Schema {
            fn from(statement: $statement) -> Self {
                Schema(Box::new(SchemaStatement::$group($kind::$variant(statement))))
            }
        }
        // sea-query's builders return `&mut Self`.
        impl From<&mut $statement> for Schema {
            fn from(statement: &mut $statement) -> Self {
                statement.clone().into()
            }
        }
    )*};
}

kinds! {
    TableStatement(TableStatement Create): TableCreateStatement,
    TableStatement(TableStatement Alter): TableAlterStatement,
    TableStatement(TableStatement Drop): TableDropStatement,
    TableStatement(TableStatement Rename): TableRenameStatement,
    TableStatement(TableStatement Truncate): TableTruncateStatement,
    IndexStatement(IndexStatement Create): IndexCreateStatement,
    IndexStatement(IndexStatement Drop): IndexDropStatement,
    ForeignKeyStatement(ForeignKeyStatement Create): ForeignKeyCreateStatement,
    ForeignKeyStatement(ForeignKeyStatement Drop): ForeignKeyDropStatement,
}

impl Schema {
    /// Returns the engine's SQL for the statement; `None` if sea-query does not support it
    /// on this engine.
    pub(crate) fn sql(&self, dialect: &'static dyn Dialect) -> Option<String> {
        dialect.write_schema(&self.0)
    }

    /// Returns the `DROP` that reverts a `CREATE`, if the created object has a name.
    pub(crate) fn revert(&self) -> Option<Schema> {
        match &*self.0 {
            SchemaStatement::TableStatement(TableStatement::Create(create)) => {
                let table = create.get_table_name()?.clone();
                Some(Table::drop().table(table).to_owned().into())
            }
            SchemaStatement::IndexStatement(IndexStatement::Create(create)) => {
                let name = create.get_index_spec().get_name()?;
                Some(Index::drop().name(name).to_owned().into())
            }
            SchemaStatement::ForeignKeyStatement(ForeignKeyStatement::Create(create)) => {
                let key = create.get_foreign_key();
                let (name, table) = (key.get_name()?, key.get_table()?.clone());
                Some(ForeignKey::drop().name(name).table(table).to_owned().into())
            }
            _ => None,
        }
    }

    pub(crate) fn describe(&self, dialect: &'static dyn Dialect) -> String {
        self.sql(dialect).map_or_else(|| "schema statement".to_owned(), |sql| summary(&sql))
    }
}
